import type { Certificate, Holder, IssuedCertificate, Purpose } from './certificate.ts';
import type {
  Answer,
  ContractName,
  Envelope,
  EnvelopeState,
  JsonObject,
  Millis,
  Party,
  Reason,
  Words,
} from './envelope.ts';
import type { FaultKind } from './fault.ts';

/** In place of a party: a person at this gateway, or the gateway itself, and no department. */
export const GATEWAY = 'gateway';

/** domain.md section 5.1. ACCEPTED → HANDLING when the first department has it → (CORRECTING → HANDLING)* → DECIDED | WITHDRAWN. */
export type CaseState =
  | 'RECEIVED'
  | 'ACCEPTED'
  | 'NOT_ACCEPTED'
  | 'CORRECTING'
  | 'RETURNED'
  | 'HANDLING'
  | 'SUSPENDED'
  | 'DECIDED'
  | 'WITHDRAWN';

/**
 * What a step shows.
 *   PENDING → SENT → (WAITING ⇄ SENT) → ACKED | WAITING_RECEIPT → DONE | REJECTED
 *   PENDING → SKIPPED       its `when` does not hold, or the case was decided before it began
 *   SENT, WAITING … → PARKED → SENT (released) | REJECTED (cancelled)
 *   SENT, WAITING_RECEIPT → CORRECTING → SENT (supplied, next revision)
 * DONE, REJECTED and SKIPPED are final: nothing that comes late leads back from them by itself. A REJECTED that a person here brought about is taken back when a
 * person settles that the department has it after all.
 */
export type StepState =
  | 'PENDING'
  | 'SENT'
  | 'WAITING'
  | 'ACKED'
  | 'WAITING_RECEIPT'
  | 'CORRECTING'
  | 'PARKED'
  | 'DONE'
  | 'REJECTED'
  | 'SKIPPED';

export interface Step {
  readonly no: string;
  readonly title: Words;
  readonly party: Party;
  readonly contract: ContractName;
  readonly blocking: boolean;
  readonly state: StepState;
  /** 1, and one more for each correction supplied. */
  readonly revision: number;
  /** Under which the department filed it. */
  readonly number: string | null;
  readonly result: JsonObject | null;
  /** Why it waits, is parked or was refused. */
  readonly reason: Reason | null;
  /** REJECTED by a person here, and by no word of its department. */
  readonly by?: typeof GATEWAY;
  /** What its department said after the step had ended otherwise: kept, shown, and followed only when a person settles it so. */
  readonly late?: { readonly answer: Answer | null; readonly number: string | null; readonly at: Millis };
  readonly since: Millis;
  /** The party's own time of its last word; an older word that comes later changes nothing. */
  readonly heardAt: Millis | null;
  /** WAITING: when it goes on by itself. */
  readonly resumesAt: Millis | null;
}

export interface Deadline {
  readonly at: Millis;
  /** Computed beyond the holiday table; will be recomputed when the next table is loaded. */
  readonly provisional: boolean;
}

export interface Decision {
  readonly outcome: 'approved' | 'refused' | 'withdrawn';
  /** The department that refused; `gateway` where a person here ended the step, which is no department's word; null when nobody refused. */
  readonly by: Party | typeof GATEWAY | null;
  readonly reason: Reason | null;
  readonly at: Millis;
}

export interface Hold {
  /** An operator's app key. */
  readonly by: string;
  readonly reason: string;
  readonly at: Millis;
}

/** What was submitted, as it passed `case.submit@1`. */
export interface Submission {
  readonly applicationNo: string;
  readonly itemCode: string;
  readonly channel: string;
  /** Who sits at the window; absent where nobody does. */
  readonly clerk?: Purpose['clerk'];
  readonly applicant: JsonObject;
  readonly agent?: JsonObject;
  readonly form: JsonObject;
  readonly materials: readonly JsonObject[];
}

/** Fetched for a material of the item, or made by one of its steps. */
export interface CaseCertificate {
  readonly material: string | null;
  readonly stepNo?: string;
  readonly holder: Holder;
  readonly certificate: Certificate;
}

/** A material that a case owes: one holder's certificate of one type. */
export interface Owed {
  /** The item's material. */
  readonly material: string;
  readonly title: Words;
  readonly type: string;
  readonly holder: Holder;
  /** Steps that wait for it. */
  readonly steps: readonly string[];
  readonly since: Millis;
  readonly due: Deadline;
  /** Why it is not there yet. */
  readonly reason: Reason;
  /** The clerk was told: its time is over, or it is certain that no source has it. */
  readonly told: boolean;
}

/** What a correction brings beside the corrected submission. */
export interface Supplied {
  /** Handed in with it, and nothing that was handed in before. */
  readonly brought: readonly JsonObject[];
  /** Fetched for it: each takes the place of what the case has of the same holder for the same material. */
  readonly certificates: readonly CaseCertificate[];
  /** Owed from now on. */
  readonly owed: readonly Owed[];
  /** Of what the case owes: for somebody or something that the corrected form no longer names. */
  readonly noMore: readonly Owed[];
}

export interface CaseRecord {
  readonly caseNo: string;
  readonly appKey: string;
  readonly queryCode: string;
  readonly submission: Submission;
  /** Of its item, as it was when the case began; null: accepted before items had versions. */
  readonly itemVersion: string | null;
  readonly certificates: readonly CaseCertificate[];
  /** Accepted without them (容缺受理): fetched when their source is back. */
  readonly owed: readonly Owed[];
  readonly traceparent: string;
  readonly state: CaseState;
  readonly steps: readonly Step[];
  readonly acceptedAt: Millis;
  readonly promisedBy: Deadline;
  readonly statutoryBy: Deadline;
  readonly decision: Decision | null;
  /** Stopped by a person: nothing of it is sent until resumed. */
  readonly held: Hold | null;
  /** How many messages the window has been sent; the next is this plus one. */
  readonly messages: number;
}

/** One line of the timeline. `detail` holds no personal value. */
export interface CaseEvent {
  readonly at: Millis;
  readonly kind:
    | 'accepted'
    | 'sent'
    | 'delivered'
    | 'waiting'
    | 'parked'
    | 'released'
    | 'cancelled'
    | 'settled'
    | 'attached'
    | 'reopened'
    | 'answered'
    | 'refused'
    | 'correctionAsked'
    | 'correctionSupplied'
    | 'skipped'
    | 'decided'
    | 'withdrawn'
    | 'held'
    | 'resumed'
    | 'told'
    | 'owed'
    | 'provided'
    | 'materialAsked'
    | 'issued';
  readonly party: Party | null;
  readonly stepNo: string | null;
  readonly reason: Reason | null;
  /** A time in it is `Millis` under a name such as `until` or `dueAt`: the API shows it as it shows all times. */
  readonly detail: JsonObject;
}

/** What one happening changes in a case. Computed by routing, written by the store in the transaction of the happening itself. */
export interface Change {
  readonly state?: CaseState;
  /** Whole steps that changed, by number. */
  readonly steps?: readonly Step[];
  readonly decision?: Decision;
  readonly submission?: Submission;
  /** The whole list. */
  readonly certificates?: CaseRecord['certificates'];
  /** The whole list. */
  readonly owed?: readonly Owed[];
  /** Registered with this happening. */
  readonly issued?: readonly IssuedCertificate[];
  /** No longer true after it; every copy is forgotten. */
  readonly ended?: readonly EndedCertificate[];
  readonly events: readonly CaseEvent[];
  readonly outbox: readonly OutgoingEnvelope[];
  /** The body of an envelope that was never sent, because our own mapping had spoilt it, made anew. */
  readonly remade?: { readonly id: string; readonly body: JsonObject };
  /** A decision that is taken back: the case goes on. */
  readonly reopened?: true;
}

/** An envelope that was stored parked. */
export interface Parked {
  readonly id: string;
  readonly party: Party;
  readonly reason: Reason;
}

/** `number` null: every one of this holder and type. */
export interface EndedCertificate {
  /** Whose end ended it. */
  readonly stepNo: string;
  readonly type: string;
  readonly holderHash: string;
  readonly number: string | null;
}

/** An envelope to be stored. `parked`: it may not go out (our own mapping broke its contract), and a person must see it. */
export type OutgoingEnvelope = Envelope & { readonly parked?: { readonly kind: FaultKind; readonly reason: Reason } };

/**
 * Computes what one happening changes, on the case as it was read; outside any transaction, and again when the case has changed meanwhile. Must not touch the
 * store, a wire or a clock of its own.
 */
export type Advance = (current: CaseRecord) => Promise<Change>;

/** An envelope as a person sees it in the queue. */
export interface EnvelopeView {
  readonly envelope: Envelope;
  readonly state: EnvelopeState;
  /** How often the party was called about it. */
  readonly attempts: number;
  readonly notBefore: Millis;
  /** Whether the party has it is not known. Kept until it is settled, whatever happens to the envelope meanwhile. */
  readonly inDoubt: boolean;
  readonly firstSentAt: Millis | null;
  readonly fault: FaultKind | null;
  readonly reason: Reason | null;
  /** The party's number, once delivered. */
  readonly number: string | null;
  readonly updatedAt: Millis;
}
