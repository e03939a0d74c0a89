import type {
  Certificate,
  CertificateChange,
  CertificateClaim,
  CertificateState,
  Holder,
  MediaType,
  Purpose,
  RetrievalState,
} from './certificate.ts';
import type { JsonObject, Millis, Party, Reason, Words } from './envelope.ts';
import type { Facts } from './item.ts';

/** `live`: asked for just now · `cached`: a copy still fresh · `asOf`: an older copy, where the item allows it while the source is away; see `fetchedAt`. */
export type Freshness = 'live' | 'cached' | 'asOf';

export interface Retrieved {
  readonly type: string;
  /** The item's material it is for; null where the item names none. */
  readonly material: string | null;
  readonly title: Words;
  readonly holder: Holder;
  readonly state: RetrievalState;
  /** Present unless found: `noData`, `notValid`, `fault`, `timeout`, `breakerOpen`, `closed`, `notInItem`, `noPurpose` … */
  readonly reason?: Reason;
  readonly source: Party | null;
  readonly tried: readonly { readonly source: Party; readonly outcome: string; readonly ms: number }[];
  readonly fetchedAt: Millis | null;
  readonly cached: boolean;
  readonly freshness: Freshness | null;
  readonly warnings: readonly string[];
  /** With the fields that the item's material names, and no others. */
  readonly certificate?: Certificate;
  /** Where the file was asked for and the source has one. */
  readonly file?: UseCode;
  readonly ledgerId: string;
}

/** The right to fetch one certificate's file once. */
export interface UseCode {
  readonly useCode: string;
  readonly mediaType: MediaType;
  readonly digest: string | null;
  readonly expiresAt: Millis;
}

/**
 * Whether a source has said no of a certificate: it is suspended, ended or outside its dates, or somebody else's. Not to be confused with "none is on record",
 * or with a source that cannot be asked or does not let us look.
 */
export function isNegative({ state, reason }: Pick<Retrieved, 'state' | 'reason'>): boolean {
  return (state === 'none' && reason?.code === 'notValid') || (state !== 'found' && reason?.code === 'holderMismatch');
}

export interface RetrievalRequest {
  /** Left out: everybody whose certificates the matter needs; the matter must be known then, by its case or by `form`. */
  readonly holders?: readonly Holder[];
  /** Left out: every certificate that the item's materials name. */
  readonly types?: readonly string[];
  readonly purpose: Purpose;
  /** The matter, where whoever asks has it at hand: then its case is not looked up. */
  readonly facts?: Facts;
  /** `facts` are those of a correction that has passed its checks, and stand in the place of those of its case. */
  readonly correction?: true;
  readonly hints: JsonObject;
  /** Also a use code for the file. */
  readonly wantsFile?: boolean;
  readonly channel: string;
  /** The caller's app key, for the ledger. */
  readonly appKey: string;
  readonly requestId?: string;
  readonly traceparent: string;
  /** Overall limit for all of them together. */
  readonly timeLimitMs: number;
}

export interface Certificates {
  /**
   * One answer per holder and type, in the order asked; never throws for one source's sake. Written to the ledger before a source is called.
   * @throws Unfit 422 when it cannot be told whose certificates are wanted
   */
  retrieve(request: RetrievalRequest): Promise<readonly Retrieved[]>;
  /** A question whose purpose is missing, or none: nothing of it is asked, and it is on record like every refusal. */
  refused(request: Omit<RetrievalRequest, 'purpose'> & { readonly purpose: Partial<Purpose> }): Promise<void>;
  /** Something happened to certificates: every node forgets its copies of them. Resolves when it was announced. */
  changed(changes: readonly CertificateChange[]): Promise<void>;
  close(): Promise<void>;
}

/** A file on its way to whoever redeemed its use code. */
export interface HandedDocument {
  readonly mediaType: MediaType;
  readonly bytes: number;
  /** Of these bytes; lower-case hex. */
  readonly sm3: string;
  /** Of the file as its source gave it. */
  readonly originalSm3: string;
  readonly identifier: string | null;
  readonly annotated: boolean;
  /** Our SM2 signature over `onewindow-document:1`, digest, identifier and case. */
  readonly seal: string;
  /** A chunk at a time; the file is removed when it ends, however it ends. */
  readonly content: AsyncIterable<Uint8Array>;
}

export interface Documents {
  /**
   * Redeems a use code: fetches the file from its source, checks it, stamps a copy if asked, and hands it out; in the ledger before and after.
   * @throws Unfit 404 unknown code, 403 another caller's, 410 used or expired, 422 cannot be annotated, 502 not what it says (the code is spent), 503 its
   * source cannot be asked now (the code may be used again)
   */
  handOut(asked: {
    readonly useCode: string;
    readonly annotated: boolean;
    readonly appKey: string;
    readonly traceparent: string;
  }): Promise<HandedDocument>;
  close(): Promise<void>;
}

/** What is known of a certificate that somebody shows. No name, no number: whoever asks has them on the paper. */
export interface Verification {
  /**
   * `valid`: one who keeps it says so now, and nobody who may know better is away. `unknown`: nobody, ourselves included, has it. `unavailable`: what it is now is
   * not confirmed, since a keeper cannot be asked, or none has it on record; `asOf`, `state` and `source` then say what is known, and up to when.
   */
  readonly verdict: 'valid' | 'invalid' | 'unknown' | 'unavailable';
  readonly state: CertificateState | null;
  readonly type: string | null;
  readonly identifier: string | null;
  /** Who said so: a party, or `register` and `handedOut` for what we know ourselves. */
  readonly source: Party | null;
  readonly reason: Reason | null;
  /** Up to when the verdict is known; null: now, by everybody who could say something against it, or nothing is known. */
  readonly asOf: Millis | null;
  /** `sourceAway`: somebody says that it is valid, but another who may know better cannot be asked now. */
  readonly warnings: readonly string[];
  readonly ledgerId: string;
}

export type VerificationClaim =
  | CertificateClaim
  /** A file that we handed out: its digest, and where there is one its seal. */
  | { readonly sm3: string; readonly seal?: string };

export interface Verifications {
  verify(
    claim: VerificationClaim,
    by: {
      readonly appKey: string;
      readonly clerk: Purpose['clerk'];
      readonly basis: string;
      readonly channel: string;
      readonly traceparent: string;
    },
  ): Promise<Verification>;
}
