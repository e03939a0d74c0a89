import type { Advance } from './case.ts';
import type { Envelope, Message, Millis, Receipt } from './envelope.ts';
import type { Fault } from './fault.ts';

/**
 * What each happening of a delivery does to its case. Every method is pure and gives the `Advance` that the store runs inside the
 * transaction of that happening: a step's end, the next step's envelope and the message to the window are one commit.
 */
export interface Routing {
  delivered(envelope: Envelope, receipt: Receipt): Advance;
  answered(envelope: Envelope, message: Message): Advance;
  refused(envelope: Envelope, fault: Fault): Advance;
  postponed(envelope: Envelope, fault: Fault, notBefore: Millis): Advance;
  parked(envelope: Envelope, fault: Fault): Advance;
  /** `by` is the operator's app key. */
  released(envelope: Envelope, by: string): Advance;
  cancelled(envelope: Envelope, by: string, reason: string): Advance;
  held(held: boolean, by: string, reason: string): Advance;
}
