import type { Millis, Reason } from './envelope.ts';

/**
 * A fault is named for what has to happen next. This table is the whole retry policy of the gateway:
 *
 *   kind          means                                                      the gateway                              breaker
 *   refused       the party understood, and said no                          advances the case; never resends         no
 *   malformed     an answer or message broke its contract or cannot be read  parks it, and logs an error              if theirs
 *   unauthorized  our key, seal or session was not accepted (one fresh       stops the lane, and logs an error        no
 *                 login was tried)
 *   busy          come back later: quota, closed hours, our own breaker      waits as asked                           no
 *                 or bulkhead
 *   unreachable   it certainly did not arrive                                resends with backoff and jitter          yes
 *   inDoubt       sent, and no answer came                                   inquires first; resends only if it never yes
 *                                                                            arrived, or the party is idempotent
 *
 * `busy`, `unreachable` and `inDoubt` are waited for, however often: until the case has to be decided, and 30 days after the first sending at least. Then, and
 * for `malformed` at once, a person is needed, and the envelope is parked. Anything unforeseen is `inDoubt`, never "safe to repeat".
 */
export type FaultKind = 'refused' | 'malformed' | 'unauthorized' | 'busy' | 'unreachable' | 'inDoubt';

export interface FaultPolicy {
  readonly next: 'advance' | 'park' | 'parkLane' | 'wait' | 'resend' | 'inquire';
  readonly countsAgainstBreaker: boolean;
  /** Whether a person has to be told: an ERROR line and an alarm. */
  readonly rings: boolean;
}

export const FAULT_POLICY = {
  refused: { next: 'advance', countsAgainstBreaker: false, rings: false },
  malformed: { next: 'park', countsAgainstBreaker: true, rings: true },
  unauthorized: { next: 'parkLane', countsAgainstBreaker: false, rings: true },
  busy: { next: 'wait', countsAgainstBreaker: false, rings: false },
  unreachable: { next: 'resend', countsAgainstBreaker: true, rings: false },
  inDoubt: { next: 'inquire', countsAgainstBreaker: true, rings: false },
} as const satisfies Record<FaultKind, FaultPolicy>;

/** Reasons of `busy` that are there by appointment: people plan by them. All others mean that the party does not take it now. */
export const CLOSED_HOURS = 'closedHours';
export const QUOTA_USED_UP = 'quotaUsedUp';

export interface FaultDetail {
  /** For the clerk: plain, with the party's own code. */
  readonly reason: Reason;
  /** `busy`, `inDoubt`: not before this time. */
  readonly until?: Millis;
  /** `malformed` only: true when the message at fault is ours, so that it does not count against the party's breaker. */
  readonly ours?: boolean;
  /** `malformed`: true when bytes of a write had gone out, so that a person's release must inquire first. */
  readonly maybeArrived?: boolean;
  /** For the log. */
  readonly cause?: unknown;
}

/** The only error an adapter may throw on purpose. */
export class Fault extends Error {
  readonly kind: FaultKind;
  readonly reason: Reason;
  readonly until?: Millis;
  readonly ours: boolean;
  readonly maybeArrived: boolean;

  constructor(kind: FaultKind, detail: FaultDetail) {
    super(`${kind} ${detail.reason.code}: ${detail.reason.en}`, { cause: detail.cause });
    this.name = 'Fault';
    this.kind = kind;
    this.reason = detail.reason;
    if (detail.until !== undefined) this.until = detail.until;
    this.ours = detail.ours ?? false;
    this.maybeArrived = detail.maybeArrived ?? kind === 'inDoubt';
  }

  /** What nobody foresaw is the careful kind. */
  static from(error: unknown): Fault {
    if (error instanceof Fault) return error;
    return new Fault('inDoubt', {
      reason: {
        code: 'unforeseen',
        zh: '发生未预料的错误，是否送达不明',
        en: 'an unforeseen error; whether it arrived is not known',
      },
      cause: error,
    });
  }
}
