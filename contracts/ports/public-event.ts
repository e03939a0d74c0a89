import type { CaseRecord, Change } from './case.ts';
import type { JsonObject } from './envelope.ts';

export type PublicEventKind =
  | 'case.accepted'
  | 'case.progressed'
  | 'case.decided'
  | 'certificate.issued'
  | 'certificate.changed';

/** What others may learn of a happening. Never a personal value, and nobody's free words: whoever may know more asks the API. */
export interface PublicEvent {
  /** Names it for ever, however often it is published. */
  readonly id: string;
  /** Its data are under the contract `event.<kind>@1`. */
  readonly kind: PublicEventKind;
  /** The case's number. Without a case the certificate's identifier; or null. */
  readonly subject: string | null;
  /** Grows from one event of a case to its next, as texts are compared. Null without a case. */
  readonly sequence: string | null;
  /** ISO 8601 with the county's offset. */
  readonly time: string;
  readonly traceparent: string | null;
  /** Others choose by these. Whoever chose by several of them has the event once. */
  readonly keys: readonly string[];
  readonly data: JsonObject;
}

/** A case, and what is about to change in it. */
export interface Happening {
  readonly before: CaseRecord;
  /** How many lines its timeline had before. */
  readonly lines: number;
  readonly change: Change;
}

/** Pure but for the ids; runs inside the store's transaction, and is run again with it. */
export type Publicly = (happening: Happening) => readonly PublicEvent[];

/** `seq`: its place among those that wait. */
export interface UnpublishedEvent {
  readonly seq: number;
  readonly event: PublicEvent;
}

/** The outbox of the events for others. Those of a case are written in the transaction of the happening itself. */
export interface PublicEvents {
  /** Of no case of ours. Durable when resolved. */
  tell(events: readonly PublicEvent[]): Promise<void>;
  /** The oldest, in order. No event of a case is there before all earlier ones of that case are there, or published. */
  unpublished(limit: number): Promise<readonly UnpublishedEvent[]>;
  /** Others can have them: they are forgotten. At most `MOST_PUBLISHED` at once. */
  published(seqs: readonly number[]): Promise<void>;
  /** Forgets the oldest where there are more than about `most`; how many it forgot. */
  giveUp(most: number): Promise<number>;
}

export const MOST_PUBLISHED = 128;

/** Whether it goes along at once is not promised: of a batch that fails all may have left, some or none. */
export interface EventExchange {
  /** Whether it would take anything now. */
  readonly open: boolean;
  /**
   * In this order. Resolves when every queue that is bound has had its time to keep them; whoever could not is passed over. Rejects when that is not known of
   * all: then the same ones are to be published again, from the first on.
   */
  publish(messages: readonly EventMessage[]): Promise<void>;
}

export interface EventMessage {
  readonly id: string;
  readonly kind: PublicEventKind;
  readonly keys: readonly string[];
  readonly content: Buffer;
}
