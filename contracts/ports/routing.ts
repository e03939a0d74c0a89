import type { Advance, EnvelopeView } from './case.ts';
import type { Envelope, Message, Millis, Receipt } from './envelope.ts';
import type { Fault } from './fault.ts';

/**
 * What each happening of a delivery does to its case. Every method is pure and gives the `Advance` whose change the store writes in the transaction of that
 * happening: a step's end, the next step's envelope and the message to the window are one commit.
 */
export interface Routing {
  delivered(envelope: Envelope, receipt: Receipt): Advance;
  answered(envelope: Envelope, message: Message): Advance;
  /** `answered`, where a person has found out which envelope the message is about. `by` is the operator's app key. */
  attached(envelope: Envelope, message: Message, by: string, reason: string): Advance;
  refused(envelope: Envelope, fault: Fault): Advance;
  postponed(envelope: Envelope, fault: Fault, notBefore: Millis): Advance;
  parked(envelope: Envelope, fault: Fault): Advance;
  /** Its answer could not be collected. */
  answerFailed(envelope: Envelope, fault: Fault): Advance;
  /** It could be asked for again, and is still to come. */
  answerAwaited(envelope: Envelope): Advance;
  /**
   * `by` is the operator's app key. One that our own mapping had spoilt is mapped again.
   * @throws Unfit 409 when it is spoilt still
   */
  released(view: EnvelopeView, by: string): Advance;
  /** `receipt` null: the party does not have it. `asked`: what the party itself said, when it could be asked. */
  settled(
    view: EnvelopeView,
    receipt: Receipt | null,
    by: string,
    reason: string,
    asked: 'there' | 'notThere' | null,
  ): Advance;
  cancelled(view: EnvelopeView, by: string, reason: string): Advance;
  held(held: boolean, by: string, reason: string): Advance;
}
