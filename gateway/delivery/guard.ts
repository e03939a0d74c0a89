import CircuitBreaker from 'opossum';
import type { Call, PartyFacts } from '../../contracts/ports/adapter.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis, Reason } from '../../contracts/ports/envelope.ts';
import { FAULT_POLICY, Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { BreakerState, Metrics, OperationGroup } from '../../contracts/ports/observe.ts';
import type { DepartmentView } from '../../contracts/ports/services.ts';
import { Bulkhead } from './bulkhead.ts';
import { opensAt } from './hours.ts';
import { Quota } from './quota.ts';

export interface GuardParts {
  readonly facts: PartyFacts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'called' | 'fault' | 'breaker'>;
}

export interface GuardedCall {
  readonly group: OperationGroup;
  /** For the log and the metrics: `deliver`, `inquire`, a query's name … */
  readonly name: string;
  /** Whether silence leaves doubt: it does for a delivery, and for nothing else. */
  readonly write: boolean;
  readonly attempt: number;
  readonly traceparent: string;
}

const GROUPS: readonly OperationGroup[] = ['deliver', 'query', 'certificates'];
/** How long a call that was aborted may take to say what became of it. */
const LAST_WORD_MS = 250;
/** How long a slot stays taken by a call that ignores its abort. */
const GRACE_MS = 30_000;
const WAITING_PER_SLOT = 16;

/**
 * The one doorway to a party. In this order: is it open, is there quota, is the breaker closed, is there a slot; then the call, with a deadline of its own.
 * Every call's log line and metrics are written here and nowhere else. Throws Fault only.
 *
 * Opossum decides when a breaker opens, and nothing else: it has no timeout and no capacity of its own here, because its timeout frees the slot of a call
 * that goes on, a full capacity counts as a failure, and a trial that hangs would block the party for ever.
 */
export class Guard {
  readonly #facts: PartyFacts;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: GuardParts['metrics'];
  readonly #bulkhead: Bulkhead;
  readonly #quota: Quota | undefined;
  readonly #breakers: ReadonlyMap<
    OperationGroup,
    { readonly circuit: CircuitBreaker<[() => Promise<unknown>]>; openUntil: Millis | null }
  >;

  constructor({ facts, clock, log, metrics }: GuardParts) {
    this.#facts = facts;
    this.#clock = clock;
    this.#log = log;
    this.#metrics = metrics;
    const { concurrency, quota } = facts.terms;
    this.#bulkhead = new Bulkhead(concurrency, concurrency * WAITING_PER_SLOT);
    this.#quota = quota === null ? undefined : new Quota(quota, clock);
    this.#breakers = new Map(GROUPS.map((group) => [group, this.#breaker(group)]));
  }

  async call<T>(what: GuardedCall, run: (call: Call) => Promise<T>): Promise<T> {
    const started = this.#clock.now();
    let outcome = 'done';
    try {
      return await this.#admitted(what, run);
    } catch (error) {
      const fault = Fault.from(error);
      outcome = fault.kind;
      this.#metrics.fault(this.#facts.party, fault.kind);
      throw fault;
    } finally {
      const ms = this.#clock.now() - started;
      this.#metrics.called(this.#facts.party, what.group, outcome, ms / 1_000);
      this.#log.debug('called', {
        party: this.#facts.party,
        group: what.group,
        call: what.name,
        attempt: what.attempt,
        outcome,
        ms,
        traceparent: what.traceparent,
      });
    }
  }

  async #admitted<T>(what: GuardedCall, run: (call: Call) => Promise<T>): Promise<T> {
    const { terms } = this.#facts;
    const opens = opensAt(terms.closed, this.#clock.now());
    if (opens !== null)
      throw busy(opens + this.#spread(60_000), {
        code: 'closedHours',
        zh: `该部门系统不在服务时间，${clockTime(opens)} 开放`,
        en: `the department is closed until ${clockTime(opens)}`,
      });
    this.#refuseWhenOpen(what.group);
    const release = await this.#bulkhead.enter((leave) => void this.#clock.after(terms.deadlineMs, leave));
    if (release === undefined)
      throw busy(this.#clock.now() + 1_000 + this.#spread(1_000), {
        code: 'bulkheadFull',
        zh: '该部门同时处理的请求已达上限，稍后继续',
        en: 'as many calls as this department takes are under way',
      });
    try {
      // Others may have found out meanwhile that it is away.
      this.#refuseWhenOpen(what.group);
      const again = this.#quota?.take() ?? null;
      if (again !== null)
        throw busy(again + this.#spread(60_000), {
          code: 'quotaUsedUp',
          zh: `该部门的调用配额已用完，${clockTime(again)} 恢复`,
          en: `the department's quota is used up until ${clockTime(again)}`,
        });
    } catch (error) {
      release();
      throw error;
    }
    const circuit = this.#breakers.get(what.group)?.circuit;
    try {
      return (await circuit?.fire(() => this.#bounded(what, run, release))) as T;
    } catch (error) {
      if ((error as { code?: string }).code !== 'EOPENBREAKER') throw error;
      release();
      throw this.#breakerOpen(what.group);
    }
  }

  /** Settles by itself at the deadline; the slot is given back when the call has really ended. */
  #bounded<T>(
    { write, attempt, traceparent }: GuardedCall,
    run: (call: Call) => Promise<T>,
    release: () => void,
  ): Promise<T> {
    const { deadlineMs } = this.#facts.terms;
    const own = new AbortController();
    return new Promise((resolve, reject) => {
      let stopLast: (() => void) | undefined;
      let stopGrace: (() => void) | undefined;
      const stopDeadline = this.#clock.after(deadlineMs, () => {
        own.abort(new Error(`no answer within ${deadlineMs} ms`));
        const reason = {
          code: 'deadline',
          zh: `${deadlineMs} 毫秒内没有结果`,
          en: `no outcome within ${deadlineMs} ms`,
        };
        stopLast = this.#clock.after(LAST_WORD_MS, () =>
          reject(new Fault(write ? 'inDoubt' : 'unreachable', { reason })),
        );
        stopGrace = this.#clock.after(GRACE_MS, release);
      });
      run({ signal: own.signal, attempt, traceparent, log: this.#log })
        .then(resolve, reject)
        .finally(() => {
          stopDeadline();
          stopLast?.();
          stopGrace?.();
          release();
        });
    });
  }

  #breaker(group: OperationGroup): { circuit: CircuitBreaker<[() => Promise<unknown>]>; openUntil: Millis | null } {
    const { party, terms } = this.#facts;
    const { failures, windowMs, openMs } = terms.breaker;
    const circuit = new CircuitBreaker((run: () => Promise<unknown>) => run(), {
      name: `${party}/${group}`,
      timeout: false,
      volumeThreshold: failures,
      errorThresholdPercentage: 50,
      rollingCountTimeout: windowMs,
      rollingCountBuckets: 10,
      rollingPercentilesEnabled: false,
      resetTimeout: openMs,
      // True: no failure. A refusal, or a fault of our own, says that the party is there.
      errorFilter: (error: unknown) => {
        const fault = Fault.from(error);
        return !FAULT_POLICY[fault.kind].countsAgainstBreaker || fault.ours;
      },
    });
    const breaker: { circuit: typeof circuit; openUntil: Millis | null } = { circuit, openUntil: null };
    circuit.on('open', () => {
      breaker.openUntil = this.#clock.now() + openMs;
      this.#metrics.breaker(party, group, 'open');
      this.#log.warn('breaker open', { party, group, openMs });
    });
    circuit.on('halfOpen', () => this.#metrics.breaker(party, group, 'halfOpen'));
    circuit.on('close', () => {
      breaker.openUntil = null;
      this.#metrics.breaker(party, group, 'closed');
      this.#log.info('breaker closed', { party, group });
    });
    return breaker;
  }

  #refuseWhenOpen(group: OperationGroup): void {
    if (this.#breakers.get(group)?.circuit.opened === true) throw this.#breakerOpen(group);
  }

  #breakerOpen(group: OperationGroup): Fault {
    const { openMs } = this.#facts.terms.breaker;
    const until = Math.max(this.#breakers.get(group)?.openUntil ?? 0, this.#clock.now() + Math.min(openMs, 250));
    return busy(until + this.#spread(openMs / 4), {
      code: 'breakerOpen',
      zh: '该部门系统暂时不可用，已暂停发送，恢复后自动继续',
      en: 'the department does not answer; sending pauses and goes on by itself',
    });
  }

  #spread(ms: number): number {
    return Math.round(this.#clock.random() * ms);
  }

  view(): Pick<DepartmentView, 'breakers' | 'closed' | 'quota'> & { readonly inFlight: number } {
    const { terms } = this.#facts;
    const opens = opensAt(terms.closed, this.#clock.now());
    const state = (group: OperationGroup): { state: BreakerState; until: Millis | null } => {
      const breaker = this.#breakers.get(group);
      if (breaker?.circuit.opened === true) return { state: 'open', until: breaker.openUntil };
      return { state: breaker?.circuit.halfOpen === true ? 'halfOpen' : 'closed', until: null };
    };
    return {
      breakers: { deliver: state('deliver'), query: state('query'), certificates: state('certificates') },
      closed: { hours: terms.closed, now: opens !== null, opensAt: opens },
      quota: terms.quota === null ? null : { ...terms.quota, used: this.#quota?.used ?? 0 },
      inFlight: this.#bulkhead.taken,
    };
  }

  close(): void {
    for (const { circuit } of this.#breakers.values()) circuit.shutdown();
  }
}

const busy = (until: Millis, reason: Reason): Fault => new Fault('busy', { until, reason });

/** HH:MM in local time (+08:00). */
const clockTime = (at: Millis): string => new Date(at + 8 * 3_600_000).toISOString().slice(11, 16);
