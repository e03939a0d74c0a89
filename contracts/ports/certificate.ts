import type { JsonObject, Millis, Party, Reason, Words } from './envelope.ts';

/** Whose certificate. `idType` 111 = resident identity card, 001 = unified social credit code (USCC). */
export interface Holder {
  readonly name: string;
  readonly idType: string;
  readonly idNo: string;
}

/** Why, for which case and by whom: no retrieval without it (domain.md section 8.2). */
export interface Purpose {
  /** One of the two: the case number, or before acceptance the application number. */
  readonly caseNo?: string;
  readonly applicationNo?: string;
  readonly itemCode: string;
  readonly clerk: { readonly officerId: string; readonly deptUscc?: string; readonly windowId?: string };
  /** Legal basis or consent. */
  readonly basis: string;
}

/** What a source is asked: one holder, one type. */
export interface CertificateQuery {
  readonly holder: Holder;
  /** 21 characters, GB/T 36904. */
  readonly type: string;
  readonly purpose: Purpose;
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
  /** The business fields of the certificate, as strings. */
  readonly fields: JsonObject;
}

export type RetrievalState = 'found' | 'none' | 'unavailable' | 'notPermitted';

export interface Retrieved {
  readonly type: string;
  readonly title: Words;
  readonly holder: Holder;
  readonly state: RetrievalState;
  /** Present unless found: `noData`, `notValid`, `fault`, `timeout`, `breakerOpen`, `closed`, `notInItem`, `noPurpose` … */
  readonly reason?: Reason;
  readonly source: Party | null;
  readonly tried: readonly { readonly source: Party; readonly outcome: string; readonly ms: number }[];
  readonly fetchedAt: Millis | null;
  readonly cached: boolean;
  readonly warnings: readonly string[];
  readonly certificate?: Certificate;
  readonly ledgerId: string;
}

export interface RetrievalRequest {
  readonly holder: Holder;
  readonly types: readonly string[];
  readonly purpose: Purpose;
  readonly hints: JsonObject;
  readonly channel: string;
  /** The caller's app key, for the ledger. */
  readonly appKey: string;
  readonly traceparent: string;
  /** Overall limit for all types together. */
  readonly timeLimitMs: number;
}

export interface Certificates {
  /** One answer per type, in the order asked; never throws for one source's sake. Written to the ledger before a source is called. */
  retrieve(request: RetrievalRequest): Promise<readonly Retrieved[]>;
  /** Forgets every cached copy of this holder and type. */
  forget(holder: Holder, type: string): void;
  close(): Promise<void>;
}

/** One row of the access ledger (调用台账): append-only, hash-chained, for misses and refusals too. */
export interface LedgerEntry {
  readonly id: string;
  readonly at: Millis;
  readonly phase: 'asked' | 'answered';
  readonly of: string | null;
  readonly appKey: string;
  readonly officerId: string;
  readonly caseNo: string | null;
  readonly applicationNo: string | null;
  readonly itemCode: string;
  readonly type: string;
  readonly holderMasked: string;
  /** HMAC-SM3 of the id number, so that a citizen's own question can be answered. */
  readonly holderHash: string;
  readonly basis: string;
  readonly channel: string;
  readonly source: Party | null;
  readonly state: RetrievalState | null;
  readonly reason: string | null;
  readonly identifier: string | null;
  readonly fields: readonly string[];
}

export interface Ledger {
  /** Durable when resolved. Entries given together are one transaction. */
  write(entries: readonly LedgerEntry[]): Promise<void>;
  read(filter: {
    holderHash?: string;
    caseNo?: string;
    after?: string;
    limit: number;
  }): Promise<readonly (LedgerEntry & { readonly hash: string })[]>;
}
