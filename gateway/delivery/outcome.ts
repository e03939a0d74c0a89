import { countOf } from '../../contracts/count.ts';
import type { Terms } from '../../contracts/ports/adapter.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import { FAULT_POLICY, Fault } from '../../contracts/ports/fault.ts';
import { backoff } from './backoff.ts';

/** What becomes of an envelope that was not delivered. */
export type Next =
  | { readonly next: 'refused'; readonly fault: Fault }
  | { readonly next: 'parked'; readonly fault: Fault }
  | {
      readonly next: 'postponed';
      readonly fault: Fault;
      readonly notBefore: Millis;
      readonly inDoubt: boolean;
      readonly parkLane: boolean;
    };

export interface Circumstances {
  /** How often the party was called about it, this time not among them. */
  readonly attempts: number;
  /** Whether it may have arrived, as far as was known before this fault. */
  readonly inDoubt: boolean;
  /** Until then a party that is away, busy or silent is waited for. */
  readonly waitUntil: Millis;
  readonly terms: Pick<Terms, 'backoffMs'>;
  readonly now: Millis;
  /** [0, 1) */
  readonly random: number;
}

const DAY_MS = 86_400_000;
/** However short the law's own time for a case is, an outage is waited for so long. */
const LEAST_WAIT_MS = 30 * DAY_MS;

/** Until when an outage is waited for: the day on which the case has to be decided, and 30 days after the first sending at least. */
export function waitUntil(statutoryBy: Millis, firstSentAt: Millis): Millis {
  return Math.max(statutoryBy, firstSentAt + LEAST_WAIT_MS);
}

/** A rest for what a lane that was stopped has waiting: it is looked at again once a person has resumed the lane. */
const LANE_PARKED_REST_MS = 1_000;
/** For a party that says "busy" and not until when. */
const BUSY_REST_MS = 60_000;
/** For one that says "now": asking again at once would be asking without end. */
const LEAST_REST_MS = 1_000;

/** The whole retry policy: the fault table of `contracts/ports/fault.ts`, applied. */
export function outcome(fault: Fault, about: Circumstances): Next {
  const { attempts, inDoubt, terms, now, random } = about;
  const wait = {
    next: 'postponed',
    fault,
    inDoubt: inDoubt || fault.maybeArrived,
    parkLane: false,
  } as const;
  switch (FAULT_POLICY[fault.kind].next) {
    case 'advance':
      return { next: 'refused', fault };
    case 'park':
      return { next: 'parked', fault };
    case 'parkLane':
      return { ...wait, notBefore: now + LANE_PARKED_REST_MS, parkLane: true };
    case 'wait': {
      const least = now + Math.min(terms.backoffMs.first, LEAST_REST_MS);
      const notBefore = Math.max(least, fault.until ?? now + BUSY_REST_MS);
      return now >= about.waitUntil ? waitedTooLong(fault, about) : { ...wait, notBefore };
    }
    case 'inquire':
    case 'resend':
      return now >= about.waitUntil
        ? waitedTooLong(fault, about)
        : { ...wait, notBefore: Math.max(fault.until ?? 0, now + backoff(terms.backoffMs, attempts + 1, random)) };
  }
}

function waitedTooLong(fault: Fault, { attempts, inDoubt }: Circumstances): Next {
  const { code, zh, en } = fault.reason;
  const tried = attempts + 1;
  const parked = new Fault(fault.kind, {
    reason: {
      code,
      zh: `等待期限已到，共尝试 ${tried} 次仍未成功，请人工处理：${zh}`,
      en: `waited for as long as the case allows, tried ${countOf(tried, 'time')}; the last time: ${en}`,
    },
    maybeArrived: inDoubt || fault.maybeArrived,
    cause: fault,
  });
  return { next: 'parked', fault: parked };
}
