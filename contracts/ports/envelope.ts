/**
 * The words of the whole program, defined once. No synonyms stand beside them.
 *
 *   party      any system at the far end of a wire: a department's, or the window's
 *   case       one applicant's matter (办件), known by its case number
 *   step       one department's part of the case's route
 *   envelope   one message about a case, from one party to another, under one contract; never changed once stored
 *   lane       the queue of envelopes that wait for one party; the lane bears the party's name
 *   contract   a published JSON Schema, `name@major`
 *   receipt    the party's word that an envelope has reached it
 *   fault      why a delivery did not succeed, named for what has to happen next (`fault.ts`)
 */

export type Json = null | boolean | number | string | Json[] | JsonObject;
export type JsonObject = { [key: string]: Json };

/** One sentence for a person, in both languages. Never carries a personal value. */
export interface Words {
  readonly zh: string;
  readonly en: string;
}

/** The folder name of an adapter, or the name under which a department registered it: `^[a-z][a-z0-9-]{1,30}$`. */
export type Party = string;

/** `name@major`, for example `case.submit@1`. */
export type ContractName = string;

/** Milliseconds since the epoch, UTC. All times inside the gateway are this; the API shows ISO 8601 with +08:00. */
export type Millis = number;

export interface Envelope {
  /**
   * Its name and its idempotency key in one, stable over every resend:
   * the step number (`331124261123000001-02`), from the second revision on with `.2`, `.3` …;
   * messages to the window are `331124261123000001-W1`, `-W2` …
   */
  readonly id: string;
  readonly caseNo: string;
  /** Two digits, or null for a message that belongs to no step (those to the window). */
  readonly stepNo: string | null;
  readonly to: Party;
  readonly contract: ContractName;
  readonly body: JsonObject;
  /** W3C trace context of the request that caused it. */
  readonly traceparent: string;
  readonly createdAt: Millis;
  /**
   * When it first went out to its party: the same in every resend, inquiry and question after its answer. Absent as long as it has not gone out. Not a part
   * of the message but what the store knows of it.
   */
  readonly firstSentAt?: Millis;
}

export type EnvelopeState = 'waiting' | 'leased' | 'delivered' | 'refused' | 'parked' | 'cancelled';

/** Why, in a party's own words. `code` is theirs, to be quoted on the telephone. */
export interface Reason extends Words {
  readonly code: string;
}

/** What a party decided about an envelope. */
export type Answer =
  | { readonly outcome: 'done'; readonly result: JsonObject }
  | { readonly outcome: 'refused'; readonly reason: Reason }
  /** The party wants something mended (补正); `asks` names form fields (JSON Pointer into the form) or material codes. */
  | { readonly outcome: 'correction'; readonly reason: Reason; readonly asks: readonly string[] }
  /** Still working; nothing is decided. */
  | { readonly outcome: 'progress'; readonly reason: Reason };

export interface Receipt {
  /** The number under which the party filed it; null when it gives none. */
  readonly number: string | null;
  /** The party said it had this envelope already: success all the same. */
  readonly duplicate: boolean;
  /** Present when the party answers at once. */
  readonly answer?: Answer;
}

/** What a party says later, by callback or when asked, about an envelope it was given. */
export interface Message {
  readonly from: Party;
  /** Which envelope: by our key, or by the number they filed it under. */
  readonly about: { readonly key: string } | { readonly number: string };
  /** Names this message for ever: their receipt number, or a digest of its bytes. Seen twice = one message. */
  readonly dedupe: string;
  /** Their business time; messages out of order are ordered by it. */
  readonly at: Millis;
  readonly answer: Answer;
}

/** A message that waits: no envelope is known that it is about, or it could not be used. */
export interface KeptMessage extends Message {
  /** 32 hexadecimal digits that its party and its `dedupe` make: the same for ever. */
  readonly id: string;
  readonly receivedAt: Millis;
  /** Why it could not be used the last time it was tried; null while it matches nothing. */
  readonly problem: Reason | null;
}
