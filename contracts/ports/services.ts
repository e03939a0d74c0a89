import type { RawReply, RawRequest } from './adapter.ts';
import type { CaseRecord } from './case.ts';
import type { Problem } from './contract.ts';
import type { Json, JsonObject, Millis, Party, Reason, Words } from './envelope.ts';
import type { BreakerState, OperationGroup } from './observe.ts';

/** Who calls us, once the signature was checked. */
export interface Caller {
  readonly appKey: string;
  readonly role: 'window' | 'department' | 'operator' | 'auditor';
  /** `window`: the channels it may submit for (`window`, `web`, `app`, `terminal`, `post`). */
  readonly channels: readonly string[];
  /** `department`: its own party, the only one it sees. */
  readonly party: Party | null;
}

export interface MaterialState {
  readonly code: string;
  readonly title: Words;
  readonly from: 'form' | 'upload' | 'certificate' | 'step';
  /**
   * `fetched`: certificate found · `supplied`: uploaded · `made`: a step of the route will make it · `missing` · `unavailable`: the source cannot be asked
   * now · `owed`: the same, and the case is accepted without it · `notNeeded`
   */
  readonly state: 'fetched' | 'supplied' | 'made' | 'missing' | 'unavailable' | 'owed' | 'notNeeded';
  /** `fetched` from a copy: when the oldest of them was fetched. */
  readonly asOf?: Millis;
}

/** What a clerk's platform does with cases. Every method throws `Unfit` with all problems at once. */
export interface Intake {
  /** Resolves only after the case is stored durably. */
  submit(
    caller: Caller,
    submission: Json,
    traceparent: string,
  ): Promise<{ readonly record: CaseRecord; readonly seenBefore: boolean }>;
  /** All that is missing, told once; stores nothing but the ledger of the certificates it looked for. */
  precheck(
    caller: Caller,
    submission: Json,
    traceparent: string,
  ): Promise<{
    readonly acceptable: boolean;
    readonly problems: readonly Problem[];
    readonly materials: readonly MaterialState[];
  }>;
  /** `{form?, materials?}`: a whole new form and more materials, for a case in CORRECTING. */
  correct(caller: Caller, caseNo: string, supplement: Json): Promise<CaseRecord>;
  withdraw(caller: Caller, caseNo: string, request: Json): Promise<CaseRecord>;
}

/** Whether a certificate source can be asked now. */
export interface SourceState {
  readonly title: Words;
  readonly state: 'ready' | 'closed' | 'away' | 'notConnected';
}

export interface DepartmentView {
  readonly party: Party;
  readonly title: Words;
  readonly owner: string;
  readonly version: string;
  readonly breakers: {
    readonly [group in OperationGroup]: { readonly state: BreakerState; readonly until: Millis | null };
  };
  readonly lane: {
    readonly waiting: number;
    readonly inFlight: number;
    readonly parked: number;
    readonly oldestWaiting: Millis | null;
    readonly unmatched: number;
  };
  readonly paused: { readonly by: string; readonly reason: string; readonly at: Millis } | null;
  /** It does not answer; what is for it waits. */
  readonly away: { readonly since: Millis; readonly reason: Reason } | null;
  readonly closed: { readonly hours: readonly string[]; readonly now: boolean; readonly opensAt: Millis | null };
  readonly quota: { readonly calls: number; readonly per: string; readonly used: number } | null;
  readonly lastSuccess: Millis | null;
  readonly delivers: readonly string[];
  readonly queries: readonly string[];
  readonly certificates: readonly string[];
}

/** The departments as callers see them. */
export interface Departments {
  list(): Promise<readonly DepartmentView[]>;
  get(party: Party): Promise<DepartmentView | undefined>;
  /** Contract-checked both ways, through the guard. Throws `Unfit` (404 unknown, 422 unfit, 502 their answer broke its contract, 503/504 with retryAfter). */
  query(party: Party, name: string, body: Json, traceparent: string): Promise<JsonObject>;
  /** Answers in the party's own words; throws `Unfit` 404 when it takes no callbacks. */
  callback(party: Party, request: RawRequest, traceparent: string): Promise<RawReply>;
}

/** How far cases have come. */
export interface CaseProgress {
  /** The same cases, in order; a step whose message is kept back says WAITING, why, and since when. */
  shown(records: readonly CaseRecord[]): Promise<readonly CaseRecord[]>;
}

/** What a person has found out about an envelope in doubt. */
export type Settlement =
  /** `number`: under which the party filed it, if it gave one. */
  | { readonly outcome: 'filed'; readonly number: string | null; readonly reason: string }
  | { readonly outcome: 'notThere'; readonly reason: string };

/** The person's queue. `by` is the operator's app key. All survive a restart. Throw `Unfit` 404 and 409. */
export interface Desk {
  release(envelopeId: string, by: string): Promise<void>;
  /**
   * The party is asked first, where it can be: what it says counts for more than what a person says.
   * @throws Unfit 409 `notInDoubt`, or `partyHasIt` when a person says that it is not there and the party has it: it is then settled as filed
   */
  settle(envelopeId: string, by: string, settlement: Settlement): Promise<void>;
  /** What the person has to know of it: that it is in doubt, so that the party may have it all the same. */
  cancel(envelopeId: string, by: string, reason: string): Promise<readonly Reason[]>;
  /**
   * A kept message is taken as being about this envelope. The same again changes nothing.
   * @throws Unfit 404 `messageUnknown`; 409 `messageEnded` when it has found another envelope, or was discarded; 422 with `/envelope` when there is no such
   * envelope, it is another party's, or the message is no answer to it
   */
  attach(messageId: string, envelopeId: string, by: string, reason: string): Promise<void>;
  /**
   * A kept message is of no use. The same again changes nothing.
   * @throws Unfit 404 `messageUnknown`; 409 `messageEnded` when it has found its envelope
   */
  discard(messageId: string, by: string, reason: string): Promise<void>;
  pause(lane: Party, by: string, reason: string): Promise<void>;
  resume(lane: Party, by: string): Promise<void>;
  hold(caseNo: string, by: string, reason: string): Promise<void>;
  unhold(caseNo: string, by: string): Promise<void>;
}
