import type { JsonObject, Millis, Party } from './envelope.ts';

/** Whose certificate. `idType` 111 = resident identity card, 001 = unified social credit code (USCC). */
export interface Holder {
  readonly name: string;
  readonly idType: string;
  readonly idNo: string;
}

/**
 * In whose name a certificate may be looked at, the three ways of the provincial interface standards: the holder stands at the window · the holder gave a
 * mandate that is on record · the office does what the law tells it to do. `duty` only for somebody who is known to be a party of the matter.
 */
export type WayOfUse = 'present' | 'mandate' | 'duty';

/** Why, for which case and by whom: no retrieval without it (domain.md section 8.2). */
export interface Purpose {
  /** One of the two: the case number, or before acceptance the application number. */
  readonly caseNo?: string;
  readonly applicationNo?: string;
  readonly itemCode: string;
  readonly clerk: { readonly officerId: string; readonly deptUscc?: string; readonly windowId?: string };
  /** Legal basis or consent. */
  readonly basis: string;
  /** Left out: `duty` where the matter is known, otherwise `present`. */
  readonly use?: WayOfUse;
  /** The recorded mandate, where `use` is `mandate`. */
  readonly mandateId?: string;
}

/** What a source is asked: one holder, one type. */
export interface CertificateQuery {
  readonly holder: Holder;
  /** 21 characters, GB/T 36904. */
  readonly type: string;
  readonly purpose: Purpose;
  /** What their own audit is told (useCause): case, item and reason in one line of at most 200 characters. */
  readonly cause: string;
  /** Narrows the search where the source needs it: `{contractNo}`, `{certNo}` … taken from the form. */
  readonly hints: JsonObject;
}

/** State of a certificate, GB/T 36903: 01 valid; only 01 inside its dates is ever a hit. */
export type CertificateState = '01' | '02' | '03' | '04' | '05' | '06' | '07' | '99';

export interface Certificate {
  readonly type: string;
  /** GB/T 36904 identifier, where the source gives one. */
  readonly identifier: string | null;
  readonly number: string | null;
  readonly title: string;
  readonly holder: Holder;
  readonly state: CertificateState;
  readonly issuer: string;
  /** YYYYMMDD, or null when unlimited or not told. */
  readonly validFrom: string | null;
  readonly validTo: string | null;
  /** Left out: nothing more is told of it. */
  readonly metadata?: CertificateMetadata;
  /** The business fields of the certificate, as strings. */
  readonly fields: JsonObject;
  /** The document itself, where the source has one to give. */
  readonly file?: CertificateFile;
}

/** The rest of what GB/T 36903 says of a certificate; null where its source does not tell, nor its identifier. */
export interface CertificateMetadata {
  /** USCC of the issuing authority. */
  readonly issuerCode: string | null;
  /** YYYYMMDD; it may be issued before it is valid. */
  readonly issuedOn: string | null;
  /** GB/T 2260, where it was issued. */
  readonly areaCode: string | null;
  readonly version: string | null;
}

export type MediaType = 'application/pdf' | 'application/ofd';

/** What a source says of a certificate's document before it is fetched. */
export interface CertificateFile {
  readonly mediaType: MediaType;
  /** Under which the source hands it out; opaque to us. */
  readonly reference: string | null;
  /** `sm3:` or `sha256:` and lower-case hex, of the file's bytes; null: not told. */
  readonly digest: string | null;
}

/** The bytes of a certificate's document, as they come over the wire: a chunk at a time, never the whole. */
export interface CertificateDocument {
  readonly mediaType: MediaType;
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** Something happened to certificates: every copy of them is stale. By holder and type, or by identifier. */
export type CertificateChange =
  | { readonly type: string; readonly holder: Pick<Holder, 'idType' | 'idNo'> }
  | { readonly identifier: string };

/** The same between nodes, naming nobody: `holderHash` as in the ledger. */
export type Stale = { readonly type: string; readonly holderHash: string } | { readonly identifier: string };

/** What news of a changed certificate says; undefined when it says nothing of the kind. */
export function staleOf({ type, holderHash, identifier }: JsonObject): Stale | undefined {
  if (typeof identifier === 'string') return { identifier };
  return typeof type === 'string' && typeof holderHash === 'string' ? { type, holderHash } : undefined;
}

/** What is asked about one certificate that somebody shows: by its number with its type, or by its identifier. */
export type CertificateClaim = { readonly type: string; readonly number: string } | { readonly identifier: string };

export interface Verdict {
  /** `invalid`: known, and not to be used; `unknown`: whoever was asked has no such certificate. */
  readonly verdict: 'valid' | 'invalid' | 'unknown';
  readonly state: CertificateState | null;
  /** YYYYMMDD; left out, or null: unlimited, or not told. */
  readonly validFrom?: string | null;
  readonly validTo?: string | null;
}

export type RetrievalState = 'found' | 'none' | 'unavailable' | 'notPermitted';

/** A holder's consent that others look at his certificates for one item: limited in time, revocable. */
export interface Mandate {
  readonly id: string;
  readonly appKey: string;
  readonly holderMasked: string;
  readonly holderHash: string;
  /** Who may act for the holder, as the paper says; masked. */
  readonly agentMasked: string;
  readonly itemCode: string;
  /** Empty: every certificate that the item names. */
  readonly types: readonly string[];
  /** Where the signed consent is kept: a file number, never the file. */
  readonly evidence: string;
  readonly officerId: string;
  readonly from: Millis;
  readonly until: Millis;
  readonly revoked: { readonly at: Millis; readonly by: string; readonly reason: string } | null;
}

/** Consents on record. */
export interface Mandates {
  record(mandate: Mandate): Promise<void>;
  mandate(id: string): Promise<Mandate | undefined>;
  /** False: no such mandate, or revoked before. */
  revoke(id: string, revoked: NonNullable<Mandate['revoked']>): Promise<boolean>;
}

/** A certificate that a step of a case made, as it is registered here. */
export interface IssuedCertificate {
  readonly certificate: Certificate;
  readonly holderHash: string;
  readonly issuedAt: Millis;
  readonly caseNo: string;
  readonly stepNo: string;
}

/** What our own cases made and ended; never deleted. What its keeper has spoken of since is not told: he alone knows what it is now. */
export interface Register {
  /** Of one holder and type, the newest first; whatever their state. */
  issuedTo(holderHash: string, type: string): Promise<readonly IssuedCertificate[]>;
  /** By identifier, or by type and number: one row a holder. */
  issuedAs(claim: CertificateClaim): Promise<readonly IssuedCertificate[]>;
  /** Its keeper says that something happened to it. */
  spokenOf(stale: Stale): Promise<void>;
}

/** What a use code stands for, until it ends. Only the hash of the code is kept. */
export interface UseTicket {
  readonly codeHash: string;
  readonly appKey: string;
  readonly expiresAt: Millis;
  /** What is needed to fetch the file and to write it down: JSON. */
  readonly ticket: JsonObject;
}

/** What a use code came to; also of one that is refused it is known what it stood for. */
export type Redeemed =
  | { readonly refused: null; readonly ticket: UseTicket }
  /** `used`: somebody did before. Nothing changed. */
  | { readonly refused: 'used' | 'expired' | 'notYours'; readonly ticket: UseTicket }
  | { readonly refused: 'unknown' };

export interface UseTickets {
  /** Also forgets those that ran out long ago. */
  issue(tickets: readonly UseTicket[], now: Millis): Promise<void>;
  /** Takes it, once. */
  redeem(codeHash: string, appKey: string, now: Millis): Promise<Redeemed>;
  /** The file could not be had: the code may be used again while it lasts. */
  giveBack(codeHash: string): Promise<void>;
}

/** Files we handed out, by their digest, so that a copy that is shown can be recognised. */
export interface HandedOut {
  readonly sm3: string;
  /** Of the file as the source gave it; the same unless annotated. */
  readonly originalSm3: string;
  readonly identifier: string | null;
  readonly type: string;
  /** By which it is looked up where it has no identifier; null where it has one, or no number either. */
  readonly number: string | null;
  /** YYYYMMDD, or null when unlimited or not told. */
  readonly validTo: string | null;
  readonly caseNo: string | null;
  readonly applicationNo: string | null;
  readonly at: Millis;
  readonly annotated: boolean;
}

export interface HandedOutFiles {
  handedOut(file: HandedOut): Promise<void>;
  handedOutAs(sm3: string): Promise<HandedOut | undefined>;
}

/** One row of the access ledger (调用台账): append-only, hash-chained, for misses and refusals too. */
export interface LedgerEntry {
  readonly id: string;
  readonly at: Millis;
  /**
   * `late`: it came after the time limit, and nothing of it left; `document`: a file was asked for by its use code, `of` the retrieval; `verified`: a certificate that
   * somebody showed.
   */
  readonly phase: 'asked' | 'answered' | 'late' | 'document' | 'verified';
  readonly of: string | null;
  readonly appKey: string;
  readonly officerId: string;
  readonly deptUscc: string | null;
  readonly windowId: string | null;
  readonly caseNo: string | null;
  readonly applicationNo: string | null;
  readonly itemCode: string;
  readonly type: string;
  readonly holderMasked: string;
  /** HMAC-SM3 of the id number, so that a citizen's own question can be answered; empty where nobody was named. */
  readonly holderHash: string;
  /** In whose name, and by which recorded consent. */
  readonly use: WayOfUse;
  readonly mandateId: string | null;
  /** The item's material it was for. */
  readonly material: string | null;
  readonly basis: string;
  readonly channel: string;
  readonly requestId: string | null;
  readonly source: Party | null;
  readonly state: RetrievalState | null;
  readonly reason: string | null;
  /** Answered from a copy. */
  readonly cached: boolean;
  readonly identifier: string | null;
  /** Of a document that was handed out, or shown: `sm3:` and hex. */
  readonly digest: string | null;
  readonly fields: readonly string[];
}

/** A row as it stands in the chain: `hash` is over the hash of the row before it and the entry. */
export type LedgerRow = LedgerEntry & { readonly hash: string };

/** What is given must hold; but of a case and an application either will do: what was fetched before acceptance knows only the latter. */
export interface LedgerFilter {
  readonly holderHash?: string;
  readonly officerId?: string;
  readonly caseNo?: string;
  readonly applicationNo?: string;
  readonly type?: string;
  readonly itemCode?: string;
  readonly state?: RetrievalState;
  readonly source?: Party;
  readonly phase?: LedgerEntry['phase'];
  /** Included. */
  readonly from?: Millis;
  /** Not included. */
  readonly until?: Millis;
}

/** Counted of one key, or of all. */
export interface LedgerCount {
  /** Applications, or cases where no application number is known, with at least one call. */
  readonly matters: number;
  /** Certificates asked for that were permitted. */
  readonly calls: number;
  /** Answered `found`, by type. */
  readonly fetched: readonly { readonly type: string; readonly fetched: number; readonly cached: number }[];
}

export interface LedgerCounts {
  readonly total: LedgerCount;
  /** Alphabetical by key. By source: an answer counts under whoever gave it, and under null when nobody had it. */
  readonly rows: readonly (LedgerCount & { readonly key: string | null })[];
}

export interface LedgerCheck {
  /** Looked at, from the oldest on. */
  readonly rows: number;
  /** The first row that is not as it was written; null: all are. */
  readonly brokenAt: string | null;
}

/** The access ledger. Never changed; only its oldest rows are ever deleted, and the chain then begins behind them. */
export interface Ledger {
  /** Durable when resolved. Entries given together are one transaction. */
  write(entries: readonly LedgerEntry[]): Promise<void>;
  /**
   * In the order of their time, and of writing where that is the same; `after` is the id of the last row already read.
   * @throws Unfit 400 when `after` is no row's id
   */
  read(filter: LedgerFilter & { readonly after?: string; readonly limit: number }): Promise<readonly LedgerRow[]>;
  /** Counted by the database; `until` is not included. */
  count(asked: {
    readonly from: Millis;
    readonly until: Millis;
    readonly by: 'item' | 'type' | 'source';
  }): Promise<LedgerCounts>;
  /** Reads the whole ledger, or from the row `from` on, a page at a time. */
  check(from?: string): Promise<LedgerCheck>;
  /**
   * Deletes the oldest rows up to the first that is not older than `before`, a bounded batch a transaction; resolves with how many. How early is too early, the
   * caller knows; rejects when a row is younger than 180 days by the database's own clock.
   */
  deleteBefore(before: Millis): Promise<number>;
}
