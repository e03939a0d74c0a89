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
      readonly costsAttempt: boolean;
      readonly inDoubt: boolean;
      readonly parkLane: boolean;
    };

export interface Circumstances {
  /** Attempts that cost, this one not among them. */
  readonly attempts: number;
  /** Whether it may have arrived, as far as was known before this fault. */
  readonly inDoubt: boolean;
  readonly canInquire: boolean;
  readonly terms: Pick<Terms, 'attempts' | 'backoffMs' | 'idempotent'>;
  readonly now: Millis;
  /** [0, 1) */
  readonly random: number;
}

/** A rest for what a lane that was stopped has waiting: it is looked at again once a person has resumed the lane. */
const LANE_PARKED_REST_MS = 1_000;
/** For a party that says "busy" and not until when. */
const BUSY_REST_MS = 60_000;
/** For one that says "now": asking again at once would be asking without end. */
const LEAST_REST_MS = 1_000;

/** The whole retry policy: the fault table of `contracts/ports/fault.ts`, applied. */
export function outcome(fault: Fault, { attempts, inDoubt, canInquire, terms, now, random }: Circumstances): Next {
  const policy = FAULT_POLICY[fault.kind];
  const spent = attempts + 1;
  const wait = {
    next: 'postponed',
    fault,
    costsAttempt: policy.costsAttempt,
    inDoubt: inDoubt || fault.maybeArrived,
    parkLane: false,
  } as const;
  switch (policy.next) {
    case 'advance':
      return { next: 'refused', fault };
    case 'park':
      return { next: 'parked', fault };
    case 'parkLane':
      return { ...wait, notBefore: now + LANE_PARKED_REST_MS, parkLane: true };
    case 'wait': {
      const least = now + Math.min(terms.backoffMs.first, LEAST_REST_MS);
      return { ...wait, notBefore: Math.max(least, fault.until ?? now + BUSY_REST_MS) };
    }
    case 'inquire':
      if (!canInquire && !terms.idempotent) return { next: 'parked', fault: unsettled(fault) };
      if (spent >= terms.attempts) return { next: 'parked', fault: usedUp(fault, spent) };
      return { ...wait, notBefore: now + backoff(terms.backoffMs, spent, random) };
    case 'resend':
      if (spent >= terms.attempts) return { next: 'parked', fault: usedUp(fault, spent) };
      return { ...wait, notBefore: now + backoff(terms.backoffMs, spent, random) };
  }
}

function usedUp(fault: Fault, attempts: number): Fault {
  const { code, zh, en } = fault.reason;
  return new Fault(fault.kind, {
    reason: {
      code,
      zh: `已尝试 ${attempts} 次仍未成功：${zh}`,
      en: `${countOf(attempts, 'attempt')} failed, the last one because: ${en}`,
    },
    maybeArrived: fault.maybeArrived,
    cause: fault,
  });
}

function unsettled(fault: Fault): Fault {
  const { code, zh, en } = fault.reason;
  return new Fault('inDoubt', {
    reason: {
      code,
      zh: `是否送达不明，且该部门无法查询，请人工核实：${zh}`,
      en: `whether it arrived is not known, and this department cannot be asked: ${en}`,
    },
    cause: fault,
  });
}
