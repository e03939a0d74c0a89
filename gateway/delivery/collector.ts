import type { Accept } from '../../contracts/ports/adapter.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Contracts } from '../../contracts/ports/contract.ts';
import type { Envelope, KeptMessage, Message, Millis, Party } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';
import type { Routing } from '../../contracts/ports/routing.ts';
import type { AwaitedAnswer, CaseReads, CaseStore, DeliveryStore, DeskStore } from '../../contracts/ports/store.ts';
import { isAway } from './away.ts';
import type { Outages } from './outages.ts';
import { checkAnswer, deliverableOf, type LiveParty } from './party.ts';

export interface CollectorParts {
  readonly store: CaseStore &
    Pick<DeliveryStore, 'awaiting' | 'due' | 'answerFailed' | 'answerAwaited' | 'endMessages' | 'forgetSeen'> &
    Pick<DeskStore, 'paused'> &
    Pick<CaseReads, 'lanes'>;
  readonly routing: Routing;
  readonly contracts: Contracts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'messagesEnded'>;
  readonly parties: () => readonly LiveParty[];
  readonly party: (party: Party) => LiveParty | undefined;
  readonly outages: Pick<Outages, 'failed' | 'answered'>;
  /** At most this long between two looks, ms. */
  readonly sweepMs: number;
  /** So long a message that matches nothing is kept, days. */
  readonly messageDays: number;
}

/** A message that matches nothing after this long rings: it was not early, it is about something we do not know. */
const UNMATCHED_RINGS_MS = 10 * 60_000;
const MOST_RUNG = 10_000;
const DAY_MS = 86_400_000;
/**
 * The name of a message that is used, attached or discarded is kept so long after it came, so that the same again is known. No party repeats one that is older:
 * a repetition follows within days, and the longest statutory time of a case is far below a year.
 */
const SEEN_MS = 400 * DAY_MS;
/** Between two batches of names that are forgotten: 72,000 a day and node, more than come. */
const FORGET_EVERY_MS = 10 * 60_000;
/** For a party whose message we could not keep. */
const NOT_KEPT_MS = 10_000;
const LEAST_LOOK_MS = 50;

/** Brings in what departments say later: asks those that are to be asked, keeps what they push, and tries again what came before our own receipt. */
export class Collector {
  readonly #parts: CollectorParts;
  readonly #rung = new Set<string>();
  /** One party's questions never wait for another's. */
  readonly #asking = new Map<Party, Promise<void>>();
  /** The sweep that is under way. */
  #sweeping: Promise<void> | undefined;
  #sweptAt: Millis = Number.NEGATIVE_INFINITY;
  #forgottenAt: Millis = Number.NEGATIVE_INFINITY;
  /** Names may have to be forgotten: there are only more of them when messages come. */
  #namesGrow = false;
  /** The message after which the next sweep goes on; null: from the oldest on. */
  #sweptTo: KeptMessage | null = null;
  /** When it looks next; a look that is under way ends with another time. */
  #looksAt: Millis = Number.POSITIVE_INFINITY;
  #expected: Millis = Number.POSITIVE_INFINITY;
  #stopTimer = () => {};
  #running = false;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
  }

  /**
   * Given to the party's adapter: resolves when the message is durably kept. Rejects, and nothing is kept, with Fault `malformed` when its result breaks the
   * contract, and with Fault `busy` when our own store did not take it.
   */
  accept(party: Party): Accept {
    return async (message) => {
      const { store, clock, log } = this.#parts;
      try {
        this.#namesGrow = true;
        return await store.collected({ ...message, from: party }, this.#advance);
      } catch (error) {
        if (error instanceof Fault) throw error;
        const level = isAway(error) ? 'warn' : 'error';
        log[level]('a message could not be kept; the party is told so', { party, error });
        const reason = { code: 'notKept', zh: '暂时无法接收，请稍后重送', en: 'it could not be kept; send it again' };
        throw new Fault('busy', { until: clock.now() + NOT_KEPT_MS, reason, cause: error });
      }
    };
  }

  /** A name was kept by others: its time will be over too. */
  nameKept(): void {
    this.#namesGrow = true;
  }

  /** Tries again what its party said about this envelope before our own receipt was written down. Never rejects. */
  async rematch({ id: key, to: party }: Envelope, number: string | null): Promise<void> {
    const { store, log } = this.#parts;
    try {
      await store.rematch({ party, key, number }, this.#advanceKept);
    } catch (error) {
      log.warn('kept messages could not be tried again; they are at the next sweep', { party, error });
    }
  }

  start(): void {
    this.#running = true;
    this.#lookIn(LEAST_LOOK_MS);
  }

  /** An answer is to be asked for then. */
  expect(at: Millis): void {
    this.#expected = Math.min(this.#expected, at);
    if (this.#running && at < this.#looksAt) this.#lookIn(at - this.#parts.clock.now());
  }

  /** Resolves when no question is under way any more. */
  async stop(): Promise<void> {
    this.#running = false;
    this.#stopTimer();
    await Promise.all([this.#sweeping, ...this.#asking.values()]);
  }

  readonly #advance: Parameters<CaseStore['collected']>[1] = (envelope, message) => {
    const { routing, contracts, party } = this.#parts;
    const live = party(envelope.to);
    if (live !== undefined) checkAnswer(message.answer, deliverableOf(live.facts, envelope.contract), contracts);
    return routing.answered(envelope, message);
  };

  /** The party was told that we have it: what cannot be used stays kept, tried at every sweep, and rings once. */
  readonly #advanceKept: Parameters<CaseStore['collected']>[1] = (envelope, message) => {
    return async (record) => {
      try {
        return await this.#advance(envelope, message)(record);
      } catch (error) {
        if (isAway(error)) throw error;
        const fault = error instanceof Fault ? error : cannotGoOn(error);
        const { code, en: reason } = fault.reason;
        const fields = { envelope: envelope.id, party: envelope.to, code, reason, cause: fault.cause };
        if (this.#first(message))
          this.#parts.log.error('a message that was kept cannot be used: a person must look at it', fields);
        throw fault;
      }
    };
  };

  #lookIn(ms: number): void {
    const { clock } = this.#parts;
    const wait = Math.max(LEAST_LOOK_MS, ms);
    this.#stopTimer();
    this.#looksAt = clock.now() + wait;
    this.#stopTimer = clock.after(wait, () => {
      // Nothing that is expected from here on is seen by this look.
      this.#looksAt = Number.NEGATIVE_INFINITY;
      this.#expected = Number.POSITIVE_INFINITY;
      void this.#look().then((ms) => {
        if (this.#running) this.#lookIn(Math.min(ms, this.#expected - clock.now()));
      });
    });
  }

  /** How long until the next one, ms: until an answer is due, and the sweep at the latest. Never rejects. */
  async #look(): Promise<number> {
    const { store, clock, log, sweepMs } = this.#parts;
    try {
      const due = await store.due();
      const now = clock.now();
      if (this.#sweeping === undefined && now - this.#sweptAt >= sweepMs) {
        this.#sweptAt = now;
        this.#sweeping = this.#sweep(due.kept).finally(() => {
          this.#sweeping = undefined;
        });
      }
      if (due.answers === null) return sweepMs;
      if (due.answers > now) return Math.min(sweepMs, due.answers - now);
      const idle = this.#asked().filter(({ facts }) => !this.#asking.has(facts.party));
      const lanes = idle.length === 0 ? [] : await store.lanes();
      for (const live of idle) {
        const { party } = live.facts;
        // A lane that was stopped is not asked either, until a person lets it go on.
        if (!this.#running || lanes.some(({ lane, paused }) => lane === party && paused !== null)) continue;
        this.#asking.set(
          party,
          this.#askAll(live).finally(() => this.#asking.delete(party)),
        );
      }
    } catch (error) {
      log.warn('collecting could not reach the store; it looks again', { error });
    }
    // What is due and not asked for now (its lane is stopped, its party away) is looked at as often as the most impatient party is to be asked.
    return Math.min(sweepMs, ...this.#asked().flatMap(({ facts }) => facts.terms.askAfterMs.map((ms) => ms / 2)));
  }

  #asked(): readonly LiveParty[] {
    return this.#parts
      .parties()
      .filter(({ adapter, facts }) => adapter.collect !== undefined && facts.terms.askAfterMs.length > 0);
  }

  /** Asks for every answer that is due, a few at a time; a party that is away is not asked further. Never rejects. */
  async #askAll(live: LiveParty): Promise<void> {
    const { store, clock, log } = this.#parts;
    const { party, terms } = live.facts;
    try {
      for (;;) {
        const awaited = await store.awaiting({
          party,
          limit: terms.concurrency,
          now: clock.now(),
          scheduleMs: terms.askAfterMs,
        });
        if (awaited.length > 0) this.expect(clock.now() + Math.min(...terms.askAfterMs));
        const there = await Promise.all(awaited.map((one) => this.#ask(live, one)));
        if (!this.#running || awaited.length < terms.concurrency || there.includes(false)) return;
      }
    } catch (error) {
      log.warn('collecting could not reach the store; it looks again', { party, error });
    }
  }

  /** One question, a call of its own, so that one that hangs keeps no other back. False: the party is not to be asked further now. */
  async #ask({ facts, adapter, guard }: LiveParty, one: AwaitedAnswer): Promise<boolean> {
    const { id, traceparent } = one.envelope;
    try {
      await guard.call(
        { group: 'deliver', name: 'collect', write: false, attempt: 1, traceparent },
        async (call) => await adapter.collect?.([one], this.accept(facts.party), call),
      );
      void this.#parts.outages.answered(facts.party);
      if (one.failed)
        await this.#parts.store.answerAwaited(id, (envelope) => this.#parts.routing.answerAwaited(envelope));
      return true;
    } catch (error) {
      const fault = Fault.from(error);
      const { kind, reason, cause } = fault;
      const line = this.#parts.log.with({ envelope: id, party: facts.party, traceparent });
      const fields = { fault: kind, code: reason.code, reason: reason.en };
      // It is asked again on schedule; an answer that makes no sense, and a key that is not accepted, will not mend themselves.
      const { store, routing, clock, outages } = this.#parts;
      switch (kind) {
        case 'malformed':
        case 'refused':
          // They are there, and what they say helps nobody: it is asked for again on schedule, and stands before a person until it can be read.
          if (await store.answerFailed(id, fault, (envelope) => routing.answerFailed(envelope, fault)))
            line.error('an answer could not be collected: a person must look at it', { ...fields, cause });
          return true;
        case 'unauthorized':
          line.error('an answer could not be collected: our key, seal or session is not accepted', {
            ...fields,
            cause,
          });
          await store.paused(facts.party, 'gateway', reason.zh);
          return false;
        default:
          if (kind !== 'busy') void outages.failed(facts.party, clock.now(), fault);
          line.debug('an answer could not be asked for', fields);
          return false;
      }
    }
  }

  /** One page of what is kept, and one batch of each kind of row whose time is over. Never rejects. */
  async #sweep(kept: boolean): Promise<void> {
    const { store, clock, log } = this.#parts;
    try {
      if (kept) {
        const { left, next } = await store.retryKept(this.#sweptTo, this.#advanceKept);
        this.#sweptTo = next;
        this.#ring(left);
        await this.#endMessages();
      }
      const now = clock.now();
      if (!this.#namesGrow || now - this.#forgottenAt < FORGET_EVERY_MS) return;
      this.#forgottenAt = now;
      this.#namesGrow = (await store.forgetSeen(now - SEEN_MS)) > 0;
    } catch (error) {
      log.warn('kept messages could not be tried again; they are at the next sweep', { error });
    }
  }

  async #endMessages(): Promise<void> {
    const { store, clock, log, metrics, messageDays } = this.#parts;
    const ended = await store.endMessages(clock.now() - messageDays * DAY_MS);
    if (ended.size === 0) return;
    for (const [party, count] of ended) metrics.messagesEnded(party, count);
    log.warn('messages that matched no envelope have ended: their time is over', {
      days: messageDays,
      parties: Object.fromEntries(ended),
    });
  }

  #ring(left: readonly KeptMessage[]): void {
    const { clock, log } = this.#parts;
    for (const message of left) {
      if (clock.now() - message.receivedAt < UNMATCHED_RINGS_MS || !this.#first(message)) continue;
      const { from: party, about, id } = message;
      log.error('a message matches no envelope: a person must look at it', { party, message: id, about });
    }
  }

  /** True once for each message, so that it rings once. */
  #first({ from, dedupe }: Message): boolean {
    const name = `${from}/${dedupe}`;
    if (this.#rung.has(name)) return false;
    if (this.#rung.size >= MOST_RUNG) this.#rung.clear();
    this.#rung.add(name);
    return true;
  }
}

/** The message is right, and what it is about cannot be advanced: its item has gone, say. */
function cannotGoOn(cause: unknown): Fault {
  return new Fault('malformed', {
    ours: true,
    reason: {
      code: 'caseCannotGoOn',
      zh: '来文已对上信封，但所属办件无法继续，请人工处理',
      en: 'it matches an envelope, and the case of that cannot be advanced',
    },
    cause,
  });
}
