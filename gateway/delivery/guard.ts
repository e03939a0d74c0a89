import CircuitBreaker from 'opossum';
import type { Call, PartyFacts } from '../../contracts/ports/adapter.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Coordination } from '../../contracts/ports/coordination.ts';
import type { Millis, Reason } from '../../contracts/ports/envelope.ts';
import { CLOSED_HOURS, FAULT_POLICY, Fault, QUOTA_USED_UP } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { BreakerState, Metrics, OperationGroup } from '../../contracts/ports/observe.ts';
import type { DepartmentView } from '../../contracts/ports/services.ts';
import { Bulkhead } from './bulkhead.ts';
import { opensAt } from './hours.ts';
import { Quota } from './quota.ts';
import { Rumour, type RumourParts } from './rumour.ts';
import { SharedSlots } from './shared-slots.ts';
import { ownSlots } from './slots.ts';

export interface GuardParts extends RumourParts {
  readonly shared: Coordination;
  readonly metrics: Pick<Metrics, 'called' | 'fault' | 'breaker'>;
}

export interface GuardedCall {
  readonly group: OperationGroup;
  /** For the log: `deliver`, `inquire`, a query's name … */
  readonly name: string;
  /** Whether silence leaves doubt: it does for a delivery, and for nothing else. */
  readonly write: boolean;
  readonly attempt: number;
  readonly traceparent: string;
  /** The call is not begun after this time: the lease behind it would run out while it is under way. */
  readonly notAfter?: Millis;
  /** Whether it may have reached the party before. */
  readonly sentBefore?: boolean;
  /** Looked at once it is its turn, right before the call; when it rejects there is no call, and nothing counts. Rejects with Fault. */
  readonly before?: () => Promise<void>;
}

interface Breaker {
  readonly circuit: CircuitBreaker<[() => Promise<unknown>]>;
  openUntil: Millis;
  /** While it is set, the state changes by what another node found out, which nobody has to be told again. */
  hearsay: boolean;
}

/** How long a call that was aborted may take to say what became of it. */
const LAST_WORD_MS = 250;
/** How long a slot stays taken by a call that ignores its abort. */
const GRACE_MS = 30_000;
const WAITING_PER_SLOT = 16;
/** Over which those who were told to come back after a rest are spread. */
const SPREAD_MS = { closed: 60_000, minute: 10_000, day: 60_000, full: 1_000 };

/**
 * The one doorway to a party. In this order: is it open, is there quota, is the breaker of this group closed, is there a slot; then the call, with a
 * deadline of its own. Every call's log line and metrics are written here and nowhere else. Throws Fault only.
 *
 * All groups share the party's slots, which are counted over all nodes, and each group has a line of its own for them (`Bulkhead`): so a flood of questions
 * keeps no filing out.
 *
 * Opossum keeps a breaker's state and lets one trial through, and nothing else: it has no timeout and no capacity of its own here, because its timeout
 * frees the slot of a call that goes on, a full capacity counts as a failure, one AbortController would abort everybody's call, and a trial that hangs
 * would block the party for ever.
 */
export class Guard {
  readonly #facts: PartyFacts;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #metrics: GuardParts['metrics'];
  readonly #bulkhead: Bulkhead;
  readonly #quota: Quota | undefined;
  readonly #rumour: Rumour;
  readonly #stopHearing: () => void;
  readonly #breakers: Readonly<Record<OperationGroup, Breaker>>;
  /** Aborts each call that is under way. */
  readonly #underWay = new Set<(reason: Reason) => void>();
  #closed = false;

  constructor(parts: GuardParts) {
    const { facts, clock, log, metrics, shared } = parts;
    this.#facts = facts;
    this.#clock = clock;
    this.#log = log.with({ party: facts.party });
    this.#metrics = metrics;
    const { concurrency, quota, deadlineMs } = facts.terms;
    const over = {
      ...parts,
      log: this.#log,
      party: facts.party,
      slots: concurrency,
      callMs: deadlineMs + LAST_WORD_MS,
    };
    this.#bulkhead = new Bulkhead({
      slots: (line) => (shared.alone ? ownSlots(concurrency) : new SharedSlots(over, line)),
      longestLine: concurrency * WAITING_PER_SLOT,
      clock,
    });
    this.#quota = quota === null ? undefined : new Quota({ party: facts.party, terms: quota, clock, shared });
    this.#rumour = new Rumour({ ...parts, log: this.#log });
    this.#breakers = {
      deliver: this.#breaker('deliver'),
      query: this.#breaker('query'),
      certificates: this.#breaker('certificates'),
    };
    this.#stopHearing = this.#rumour.hear((group, state) => {
      onHearsay(this.#breakers[group], state);
    });
  }

  async call<T>(what: GuardedCall, run: (call: Call) => Promise<T>): Promise<T> {
    const { group, name, attempt, traceparent } = what;
    const started = this.#clock.now();
    let outcome: string = 'done';
    let code: string | undefined;
    try {
      return await this.#admitted(what, run);
    } catch (error) {
      const fault = Fault.from(error);
      outcome = fault.kind;
      code = fault.reason.code;
      this.#metrics.fault(this.#facts.party, fault.kind);
      throw fault;
    } finally {
      const ms = this.#clock.now() - started;
      this.#metrics.called(this.#facts.party, group, outcome, ms / 1_000);
      this.#log.debug('called', { group, call: name, attempt, outcome, code, ms, traceparent });
    }
  }

  async #admitted<T>(what: GuardedCall, run: (call: Call) => Promise<T>): Promise<T> {
    const { deadlineMs } = this.#facts.terms;
    this.#refuse(what);
    const spare = (what.notAfter ?? Number.POSITIVE_INFINITY) - this.#clock.now();
    const release = await this.#bulkhead.enter(what.group, Math.min(deadlineMs, spare));
    if (release === undefined)
      throw busy(this.#clock.now() + 1_000 + this.#spread(SPREAD_MS.full), {
        code: 'bulkheadFull',
        zh: '该部门同时处理的请求已达上限，稍后继续',
        en: 'as many calls as this department takes are under way',
      });
    try {
      await what.before?.();
      const right = { toTry: false };
      // While this call waited, others may have found out that the party is away: after each wait everything is looked at again.
      for (let wait = this.#missing(what, right); wait !== undefined; wait = this.#missing(what, right)) await wait();
    } catch (error) {
      release();
      throw error;
    }
    // Nothing is awaited between the last look and this: so the breaker still lets it through, and a quota is used by real calls only.
    return (await this.#breakers[what.group].circuit.fire(() => this.#bounded(what, run, release))) as T;
  }

  /**
   * What a call that has its slot still waits for; undefined: it may go, and its quota is taken.
   * @throws Fault as `#refuse` does
   */
  #missing(what: GuardedCall, right: { toTry: boolean }): (() => Promise<void>) | undefined {
    this.#refuse(what);
    const breaker = this.#breakers[what.group];
    if (breaker.circuit.halfOpen && !right.toTry)
      return async () => {
        right.toTry = await this.#rumour.mayTry(what.group);
        if (!right.toTry && breaker.circuit.halfOpen) onHearsay(breaker, 'open');
      };
    const quota = this.#quota;
    return quota === undefined || quota.take() ? undefined : () => quota.stocked();
  }

  /** @throws Fault `busy` with the time to come back, when the party is not to be called now */
  #refuse({ group, notAfter }: GuardedCall): void {
    const now = this.#clock.now();
    const { closed, quota, breaker } = this.#facts.terms;
    if (this.#closed)
      throw busy(now, {
        code: 'disconnected',
        zh: '该部门的接入正在停止',
        en: 'this department is being disconnected',
      });
    const opens = opensAt(closed, now);
    if (opens !== null)
      throw busy(opens + this.#spread(SPREAD_MS.closed), {
        code: CLOSED_HOURS,
        zh: `该部门系统不在服务时间，${clockTime(opens)} 开放`,
        en: `the department is closed until ${clockTime(opens)}`,
      });
    const again = this.#quota?.until ?? null;
    if (quota !== null && again !== null)
      throw busy(again + this.#spread(SPREAD_MS[quota.per]), {
        code: QUOTA_USED_UP,
        zh: `该部门的调用配额已用完，${clockTime(again)} 恢复`,
        en: `the department's quota is used up until ${clockTime(again)}`,
      });
    const { circuit, openUntil } = this.#breakers[group];
    const tried = circuit.halfOpen && !circuit.pendingClose;
    if (circuit.opened || tried)
      throw busy(Math.max(openUntil, now) + this.#spread(breaker.openMs / 4), {
        code: 'breakerOpen',
        zh: '该部门系统暂时不可用，已暂停发送，恢复后自动继续',
        en: 'the department does not answer; sending pauses and goes on by itself',
      });
    if (notAfter !== undefined && now > notAfter)
      throw busy(now, {
        code: 'leaseOver',
        zh: '本次处理时限将到，稍后重新处理',
        en: 'not enough time is left for a call; it is taken up again',
      });
  }

  /** Settles by itself soon after the deadline; the slot is given back when the call has really ended. */
  #bounded<T>(
    { name, write, attempt, traceparent, sentBefore }: GuardedCall,
    run: (call: Call) => Promise<T>,
    release: () => void,
  ): Promise<T> {
    const { deadlineMs } = this.#facts.terms;
    const own = new AbortController();
    const log = this.#log.with({ call: name, traceparent });
    return new Promise((resolve, reject) => {
      const stops: (() => void)[] = [];
      const abort = (reason: Reason): void => {
        if (own.signal.aborted) return;
        own.abort(new Error(reason.en));
        stops.push(
          this.#clock.after(LAST_WORD_MS, () => reject(new Fault(write ? 'inDoubt' : 'unreachable', { reason }))),
          this.#clock.after(GRACE_MS, release),
        );
      };
      this.#underWay.add(abort);
      stops.push(
        this.#clock.after(deadlineMs, () =>
          abort({ code: 'deadline', zh: `${deadlineMs} 毫秒内没有结果`, en: `no outcome within ${deadlineMs} ms` }),
        ),
      );
      const running = async (): Promise<T> =>
        run({ signal: own.signal, attempt, traceparent, log, ...(sentBefore === undefined ? {} : { sentBefore }) });
      running()
        .then(resolve, reject)
        .finally(() => {
          this.#underWay.delete(abort);
          for (const stop of stops) stop();
          release();
        });
    });
  }

  #breaker(group: OperationGroup): Breaker {
    const { party, terms } = this.#facts;
    const { failures, windowMs, openMs } = terms.breaker;
    const circuit = new CircuitBreaker((run: () => Promise<unknown>) => run(), {
      name: `${party}/${group}`,
      timeout: false,
      // Its own rule also counts calls that are under way, and never holds so; ours stands below. A failed trial opens it all the same.
      errorThresholdPercentage: Number.POSITIVE_INFINITY,
      rollingCountTimeout: windowMs,
      rollingCountBuckets: 10,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      resetTimeout: openMs,
      // True: no failure. A refusal, or a fault of our own, says that the party is there.
      errorFilter: (error: unknown) => {
        const fault = Fault.from(error);
        return !FAULT_POLICY[fault.kind].countsAgainstBreaker || fault.ours;
      },
    });
    const breaker: Breaker = { circuit, openUntil: 0, hearsay: false };
    const tell = (state: BreakerState) => this.#metrics.breaker(party, group, state);
    circuit.on('failure', () => {
      const { failures: failed, successes } = circuit.stats;
      if (failed >= failures && failed >= successes) circuit.open();
    });
    circuit.on('open', () => {
      breaker.openUntil = this.#clock.now() + openMs;
      tell('open');
      this.#log.warn('breaker open', { group, openMs, hearsay: breaker.hearsay });
      if (!breaker.hearsay) this.#rumour.opened(group, breaker.openUntil);
    });
    circuit.on('halfOpen', () => tell('halfOpen'));
    circuit.on('close', () => {
      tell('closed');
      this.#log.info('breaker closed', { group, hearsay: breaker.hearsay });
      if (!breaker.hearsay) this.#rumour.closed(group);
    });
    tell('closed');
    return breaker;
  }

  #spread(ms: number): number {
    return Math.round(this.#clock.random() * ms);
  }

  /** What other nodes used of the quota becomes known, for `view`. */
  async counted(): Promise<void> {
    await this.#quota?.count();
  }

  view(): Pick<DepartmentView, 'breakers' | 'closed' | 'quota'> {
    const { terms } = this.#facts;
    const opens = opensAt(terms.closed, this.#clock.now());
    const state = (group: OperationGroup): { state: BreakerState; until: Millis | null } => {
      const { circuit, openUntil } = this.#breakers[group];
      if (circuit.opened) return { state: 'open', until: openUntil };
      return { state: circuit.halfOpen ? 'halfOpen' : 'closed', until: null };
    };
    return {
      breakers: { deliver: state('deliver'), query: state('query'), certificates: state('certificates') },
      closed: { hours: terms.closed, now: opens !== null, opensAt: opens },
      quota: terms.quota === null ? null : { ...terms.quota, used: this.#quota?.used ?? 0 },
    };
  }

  /** No call begins any more, and those under way are aborted. Resolves when they have ended, and other nodes may have their slots. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#stopHearing();
    const free = this.#bulkhead.close();
    for (const abort of this.#underWay)
      abort({ code: 'disconnected', zh: '接入已停止，结果未知', en: 'stopped before an outcome was known' });
    for (const { circuit } of Object.values(this.#breakers)) circuit.shutdown();
    await free;
  }
}

function onHearsay(breaker: Breaker, state: 'open' | 'closed'): void {
  breaker.hearsay = true;
  if (state === 'open') breaker.circuit.open();
  else breaker.circuit.close();
  breaker.hearsay = false;
}

const busy = (until: Millis, reason: Reason): Fault => new Fault('busy', { until, reason });

/** HH:MM in local time (+08:00). */
const clockTime = (at: Millis): string => new Date(at + 8 * 3_600_000).toISOString().slice(11, 16);
