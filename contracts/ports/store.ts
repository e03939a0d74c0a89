import type { Advance, CaseEvent, CaseRecord, Change, EnvelopeView, Hold, Parked } from './case.ts';
import type { HandedOutFiles, Ledger, Mandates, Register, Stale, UseTickets } from './certificate.ts';
import type { Coordination } from './coordination.ts';
import type { Envelope, EnvelopeState, KeptMessage, Message, Millis, Party, Reason, Receipt } from './envelope.ts';
import type { Fault } from './fault.ts';
import type { ItemVersion } from './item.ts';
import type { NewsCarrier } from './news.ts';
import type { OnceValues } from './once-values.ts';
import type { PublicEvent, PublicEvents } from './public-event.ts';

/**
 * The store remembers. Each method is ONE durable transaction, named for what happened; when its promise resolves the
 * transaction is on disk. Transactions that arrive together share one commit. Who calls what:
 *
 *   intake      accept, collected, corrected, withdrawn
 *   delivery    lease, begin, mayBeSent, delivered, refused, postponed, parked, withheld, returned, awaiting, answerFailed, answerAwaited, partyAway, partyBack,
 *               rematch, retryKept, endMessages, forgetSeen
 *   a person    released, settled, cancelled, attached, discarded, paused, resumed, held, unheld
 *   all nodes   allot, claim, keep, reserve: what they know together (`Coordination`)
 *   adapters    once, onceValues: what is fixed before an envelope is first sent (`OnceValues`)
 *   the start   keepItemVersions, undecidedCases
 *   the bus     tell, unpublished, published, giveUp: events for others (`PublicEvents`)
 *   anybody     the reads
 *
 * Where a method takes `advance`, the store reads the case, gives it to `advance` outside of any transaction, and writes what that returns in one transaction,
 * which it begins only then and which holds only if the case is still as it was read: else the change is computed again. So `advance` may run more than once,
 * and may take its time (30 seconds at most) without keeping anybody else waiting but others who change the same case. An `advance` that throws changes nothing, and rejects.
 */
export type Store = CaseStore &
  DeliveryStore &
  DeskStore &
  CaseReads &
  Ledger &
  Mandates &
  Register &
  UseTickets &
  HandedOutFiles &
  Nonces &
  ItemVersions &
  PublicEvents &
  OnceValues &
  Coordination & {
    /** Where nodes share the database: news between them through it, for a bus that reaches no further than its process. */
    readonly news?: NewsCarrier;
    close(): Promise<void>;
  };

/** The number is given by the store; everything that needs it is made by `open`, before the transaction. `open` is called once. */
export interface NewCase {
  readonly applicationNo: string;
  readonly appKey: string;
  /** Lower-case hex SHA-256 of the canonical submission: the same again is the same case, another is a conflict. */
  readonly bodyHash: string;
  /** First digits of the case number: region 6 + yyMMdd. */
  readonly numberPrefix: string;
  open(caseNo: string): Promise<{ readonly record: CaseRecord; readonly change: Change }>;
}

/** What a party calls one of its messages, for ever. */
export interface MessageName {
  readonly party: Party;
  readonly dedupe: string;
}

export interface CaseStore {
  /** The same application number of the same caller: the stored case and `seenBefore`; with another body hash: `conflict`, nothing is stored. */
  accept(
    submission: NewCase,
  ): Promise<{ readonly record: CaseRecord; readonly seenBefore: boolean; readonly conflict: boolean }>;
  /** A case already stored under this application number, before certificates are fetched for it in vain. */
  byApplication(
    appKey: string,
    applicationNo: string,
  ): Promise<{ readonly record: CaseRecord; readonly bodyHash: string } | undefined>;
  /**
   * A party's later word. `applied`: matched to an envelope and advanced. `seenBefore`: nothing changed.
   * `unmatched`: kept; it may have come before our own commit, and `rematch` and `retryKept` try it again.
   */
  collected(
    message: Message,
    advance: (envelope: Envelope, message: Message) => Advance,
  ): Promise<'applied' | 'seenBefore' | 'unmatched'>;
  /**
   * An envelope is delivered, and its number known (null: the party gives none): tries the kept messages that are about it, and no others; how many were applied.
   * A hundred at most: the rest by `retryKept`.
   */
  rematch(
    about: { readonly party: Party; readonly key: string; readonly number: string | null },
    advance: (envelope: Envelope, message: Message) => Advance,
  ): Promise<number>;
  /** Tries a page of the kept messages of all parties again, the oldest after `after` first; `next` null: those were the last. */
  retryKept(
    after: KeptMessage | null,
    advance: (envelope: Envelope, message: Message) => Advance,
  ): Promise<{ readonly applied: number; readonly left: readonly KeptMessage[]; readonly next: KeptMessage | null }>;
  /** Whether a party's word of a changed certificate was heard under this name before. */
  changeKnown(name: MessageName): Promise<boolean>;
  /** It is heard, and what others are to be told of it is written with it: once, however many nodes say so at a time. */
  changeTold(name: MessageName, events: readonly PublicEvent[]): Promise<void>;
  /** Supplied by the window, withdrawn by the applicant: changes a case, whatever `advance` makes of it. Undefined when there is no such case. */
  changed(caseNo: string, advance: Advance): Promise<CaseRecord | undefined>;
  /**
   * Cases that owe a material and whose time to try again has come: at most `limit`, each moved to its next time by `scheduleMs` (the last one repeats), so
   * that no other node tries at once.
   */
  owing(request: {
    readonly limit: number;
    readonly now: Millis;
    readonly scheduleMs: readonly number[];
  }): Promise<readonly CaseRecord[]>;
}

/** The right to work on one envelope until `until`; `fence` grows with every lease, and the word of an overtaken one is ignored. */
export interface Lease {
  readonly envelope: Envelope;
  readonly fence: number;
  readonly until: Millis;
  /** How often it was tried to take it, or a question about it, to its party. */
  readonly attempts: number;
  /** It may have been sent before: an earlier lease ended without a word, or the last fault left it in doubt. */
  readonly inDoubt: boolean;
  /** Since when; null when it is in no doubt. */
  readonly doubtedAt: Millis | null;
  /** Begin of the first lease under which it may have been sent: this one's, if none before it sent anything. */
  readonly firstSentAt: Millis;
  /** Its case has to be decided by then. */
  readonly statutoryBy: Millis;
  /** Its step has ended, or its case: it is not sent any more, and leased only because it is in doubt. */
  readonly ended: boolean;
}

/** What names a lease, and tells nothing of what is to be sent: for a way on which others may read and write. */
export type LeaseName = Pick<Envelope, 'id'> & Pick<Lease, 'fence'> & { readonly lane: Party };

/**
 * Whether a leased envelope may go out now. `overtaken`: somebody else has it. `ended`: its step or its case has ended, or a correction has taken its place.
 * `held`, `paused`: a person has stopped its case, or its lane.
 */
export type MayBeSent = 'yes' | 'overtaken' | 'ended' | 'held' | 'paused';

/** `overtaken`: the lease was no longer ours; nothing was written. */
export type Recorded = 'recorded' | 'overtaken';

export interface DeliveryStore {
  /**
   * For each lane at most `limit` envelopes in flight over ALL nodes together; the oldest first; never a second envelope of
   * the same case and lane while an earlier one is not delivered, refused or cancelled; none of a paused lane or a held case;
   * and none whose step or case has ended, unless it is in doubt: then it is to be asked about.
   *
   * `toBegin`: nobody calls the party under these leases before `begin` has given them to him. One that ran out and that nobody began puts nothing in doubt.
   */
  lease(request: {
    readonly lanes: readonly { readonly lane: Party; readonly limit: number }[];
    readonly forMs: number;
    readonly now: Millis;
    readonly toBegin?: boolean;
  }): Promise<readonly Lease[]>;
  /**
   * Gives a lease that was made `toBegin` to whoever names it first, on whichever node. Undefined: there is none of this name in this lane, it has been begun, or its
   * time is over. Whatever the caller was told by others, what he gets is what the store holds.
   */
  begin(name: LeaseName): Promise<Lease | undefined>;
  delivered(lease: Lease, receipt: Receipt, advance: Advance, answerDue: Millis | null): Promise<Recorded>;
  refused(lease: Lease, fault: Fault, advance: Advance): Promise<Recorded>;
  /** Looked at right before it is sent: what happened since it was leased counts. */
  mayBeSent(lease: Lease): Promise<MayBeSent>;
  /** `doubtedAt`: since when it is in doubt, null when it is in none; `tried`: the party was called. Until it is, the first sending is still to come. */
  postponed(
    lease: Lease,
    fault: Fault,
    when: { readonly notBefore: Millis; readonly tried: boolean; readonly doubtedAt: Millis | null },
    advance: Advance,
  ): Promise<Recorded>;
  parked(lease: Lease, fault: Fault, tried: boolean, advance: Advance): Promise<Recorded>;
  /** It is certain that the party does not have it, and it is not sent any more: its step or its case has ended. */
  withheld(lease: Lease): Promise<Recorded>;
  /** Given back unsent: by a graceful stop, or because it may not be sent now. */
  returned(lease: Lease): Promise<Recorded>;
  /**
   * Delivered envelopes of a party whose answer is still due and whose time to be asked has come: at most `limit`, each moved to
   * its next time by `scheduleMs` (the last one repeats), so that no other node asks at once.
   */
  awaiting(request: {
    readonly party: Party;
    readonly limit: number;
    readonly now: Millis;
    readonly scheduleMs: readonly number[];
  }): Promise<readonly AwaitedAnswer[]>;
  /** Its answer could not be collected: it stands in the person's queue, with the reason, until one is. False: nothing is due of it any more. */
  answerFailed(envelopeId: string, fault: Fault, advance: (envelope: Envelope) => Advance): Promise<boolean>;
  /** It was asked for again, and the party had nothing to say yet: it waits for its answer as before. False: it did so already. */
  answerAwaited(envelopeId: string, advance: (envelope: Envelope) => Advance): Promise<boolean>;
  /**
   * Ends messages that were received before then and have found no envelope, the oldest 500 at most: how many of each party. The same again is a new message.
   */
  endMessages(before: Millis): Promise<ReadonlyMap<Party, number>>;
  /**
   * Forgets the names of messages that were received before then and are applied, attached or discarded, the oldest 500 at most: how many. The same again is
   * then a new message.
   */
  forgetSeen(before: Millis): Promise<number>;
  /** A party has not answered since then. True for the one, of all nodes, who says so first: that is to be told once. */
  partyAway(party: Party, since: Millis, reason: Reason): Promise<boolean>;
  /**
   * It answers: since when it had not; null when nobody had said so. `stillWaited`: something that was first sent before `sentBefore` waits for it still, and
   * nothing changes.
   */
  partyBack(party: Party, sentBefore: Millis): Promise<Millis | 'stillWaited' | null>;
  /** One small read: all that an idle node asks, now and then. */
  due(): Promise<Due>;
}

/** What time will make work of, null where nothing waits; a time that is past means that nobody has taken it yet. */
export interface Due {
  /** When the next sleeper wakes, or the next lease runs out. */
  readonly envelopes: Millis | null;
  /** Some stand ready; what keeps them may be a lane that is full, or paused. */
  readonly ready: boolean;
  /** When the next answer is to be asked for. */
  readonly answers: Millis | null;
  /** Messages are kept that match nothing yet. */
  readonly kept: boolean;
  /** When materials owed are to be looked for. */
  readonly owed: Millis | null;
}

/** A delivered envelope that waits for its answer. */
export interface AwaitedAnswer {
  readonly envelope: Envelope;
  readonly number: string | null;
  readonly deliveredAt: Millis;
  /** What was said the last time could not be read. */
  readonly failed?: boolean;
}

/** Why a lane stands still. `by` is an operator's app key, or `gateway` when a fault stopped it. */
export interface Pause {
  readonly by: string;
  readonly reason: string;
  readonly at: Millis;
}

export interface LaneState {
  readonly lane: Party;
  readonly paused: Pause | null;
  /** Its party does not answer. */
  readonly away: { readonly since: Millis; readonly reason: Reason } | null;
  readonly waiting: number;
  readonly leased: number;
  readonly parked: number;
  readonly oldestWaiting: Millis | null;
  readonly lastDelivered: Millis | null;
  readonly unmatched: number;
}

export interface DeskStore {
  /** Undefined: no such envelope. `notParked`: it is not parked (or waiting), nothing changed. A released one keeps its doubt; one whose answer failed is asked for it again. */
  released(envelopeId: string, advance: (view: EnvelopeView) => Advance): Promise<'released' | 'notParked' | undefined>;
  /**
   * A person has found out whether the party has it. `receipt` null: it has not, and it goes (again) unless its step has ended. `notInDoubt`: nothing changed.
   * One that was cancelled in doubt can be settled too. `answerDue` as for `delivered`.
   */
  settled(
    envelopeId: string,
    receipt: Receipt | null,
    answerDue: Millis | null,
    advance: (view: EnvelopeView) => Advance,
  ): Promise<'settled' | 'notInDoubt' | undefined>;
  /** Only what is parked or waiting can be cancelled. It keeps its doubt. */
  cancelled(envelopeId: string, advance: (view: EnvelopeView) => Advance): Promise<'cancelled' | 'tooLate' | undefined>;
  /**
   * A person has found out which envelope a kept message is about; it is applied as if it had been matched. `ended`: it is not kept any more, nothing changed.
   * Undefined: no such message, or no such envelope.
   */
  attached(
    messageId: string,
    to: { readonly envelopeId: string; readonly by: string; readonly reason: string },
    advance: (envelope: Envelope, message: Message) => Advance,
  ): Promise<'attached' | 'ended' | undefined>;
  /** A kept message is of no use; the same again is seen before. `ended` and undefined as above. */
  discarded(messageId: string, by: string, reason: string): Promise<'discarded' | 'ended' | undefined>;
  paused(lane: Party, by: string, reason: string): Promise<void>;
  resumed(lane: Party, by: string): Promise<void>;
  /** Stops a case with everything that is to be sent of it, or (`hold` null) lets it go on. False: no such case. */
  held(caseNo: string, hold: Hold | null, advance: Advance): Promise<boolean>;
}

/** An envelope that has not ended. `behind`: an earlier one of its case and lane has not either. */
export interface OpenEnvelope {
  readonly id: string;
  readonly caseNo: string;
  readonly stepNo: string | null;
  readonly lane: Party;
  readonly place: 'waiting' | 'behind' | 'leased' | 'parked';
  readonly since: Millis;
}

/** A message that was kept once. `applied`: it found its envelope by itself. */
export type StoredMessage =
  | { readonly state: 'unmatched'; readonly message: KeptMessage }
  | { readonly state: 'attached'; readonly from: Party; readonly envelopeId: string }
  | { readonly state: 'discarded' | 'applied'; readonly from: Party };

/** Opaque to callers. */
export type Cursor = string;
export interface Page<T> {
  readonly rows: readonly T[];
  readonly next: Cursor | null;
}

export interface CaseFilter {
  readonly state?: string;
  readonly itemCode?: string;
  readonly applicationNo?: string;
  readonly appKey?: string;
  readonly party?: Party;
  readonly since?: Millis;
  readonly until?: Millis;
  readonly cursor?: Cursor;
  readonly limit: number;
}

export interface CaseReads {
  caseOf(caseNo: string): Promise<CaseRecord | undefined>;
  cases(filter: CaseFilter): Promise<Page<CaseRecord>>;
  timeline(caseNo: string, cursor: Cursor | undefined, limit: number): Promise<Page<CaseEvent>>;
  envelope(id: string): Promise<EnvelopeView | undefined>;
  /** The lanes that are stopped. */
  pauses(): Promise<ReadonlyMap<Party, Pause>>;
  /** What has not ended of these cases, oldest first: one small read for all of them. */
  open(caseNos: readonly string[]): Promise<readonly OpenEnvelope[]>;
  envelopes(filter: {
    readonly state?: EnvelopeState;
    readonly party?: Party;
    readonly caseNo?: string;
    readonly cursor?: Cursor;
    readonly limit: number;
  }): Promise<Page<EnvelopeView>>;
  /** Kept messages, in the order in which they came. */
  unmatched(filter: {
    readonly party?: Party;
    readonly cursor?: Cursor;
    readonly limit: number;
  }): Promise<Page<KeptMessage>>;
  /** A message that was ever kept, by its id. */
  message(id: string): Promise<StoredMessage | undefined>;
  lanes(): Promise<readonly LaneState[]>;
}

/** Whole definitions of items, so that a case ends as it began. */
export interface ItemVersions {
  /** Those that are current now; one that is there already is only marked as the newest of its item. */
  keepItemVersions(current: readonly ItemVersion[], now: Millis): Promise<void>;
  /** `version` null: the newest of this item. */
  itemVersion(code: string, version: string | null): Promise<ItemVersion | undefined>;
  /** How many cases are not decided, by item and version. */
  undecidedCases(): Promise<
    readonly { readonly code: string; readonly version: string | null; readonly cases: number }[]
  >;
}

export interface Nonces {
  /** True exactly once for this caller and nonce until `forgetAfter`. */
  firstUse(appKey: string, nonce: string, forgetAfter: Millis): Promise<boolean>;
}

/** In place of lanes: any of them may have got work. */
export const EVERY_LANE = '*';
/** Among the lanes: events for others wait to be published. */
export const PUBLIC_EVENTS = '!';

/**
 * Called after each commit that may have made work for a lane (the relay's wake-up), changed what certificates say, or stored envelopes that may not go out and
 * that a person must see.
 */
export type Committed = (lanes: readonly Party[], stale: readonly Stale[], parked: readonly Parked[]) => void;
