import type { Clock } from '../../contracts/ports/clock.ts';
import type { Coordination } from '../../contracts/ports/coordination.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import { type EventExchange, MOST_PUBLISHED, type PublicEvents } from '../../contracts/ports/public-event.ts';
import { within } from '../../contracts/within.ts';
import { cloudEvent } from './cloud-event.ts';

export interface EventRelayParts {
  readonly store: Pick<PublicEvents, 'unpublished' | 'published' | 'giveUp'> & Pick<Coordination, 'claim' | 'unclaim'>;
  readonly exchange: EventExchange;
  /** Of the CloudEvents: `/onewindow/331124`. */
  readonly source: string;
  /** A name of this process that no other has. */
  readonly node: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** The net under the wake-ups, ms: one small read. */
  readonly sweepMs: number;
  /** About how many may wait for a broker that is away; beyond it the oldest are given up. */
  readonly most?: number;
}

/** Of 50,000 house transfers, or three times as many small matters: less than a gigabyte. */
const MOST = 1_000_000;
/** Nobody waits for them: what happens meanwhile goes along. */
const GATHER_MS = 50;
const FIRST_REST_MS = 250;
const LONGEST_REST_MS = 5_000;
/** Of sweeps: how long a node that fell silent keeps the others from publishing. */
const RIGHT_LASTS = 3;
const RIGHT = 'public events';
const STOP_MS = 2_000;

/**
 * Brings the events for others from the store to the exchange: woken by every commit that wrote some, and by a slow sweep. Of all nodes one publishes, by a right
 * in the store. Should two do so for a moment (one was paused), events are published twice, and still in order: each sends from the first that waits, and skips
 * none.
 *
 *   idle      → gathering  woken
 *   gathering → round      after `GATHER_MS`
 *   idle      → round      the sweep
 *   round     → idle       nothing waits, or another node has the right
 *   round     → resting    store or broker failed; wake-ups change nothing
 *   resting   → round      the timer ran out
 *   any       → stopped
 */
export class EventRelay {
  readonly #parts: EventRelayParts;
  #state: 'idle' | 'gathering' | 'round' | 'resting' | 'stopped' = 'stopped';
  #woken = false;
  /** Another node publishes: until the next sweep it is not asked whether it still does. */
  #others = false;
  #rightUntil = 0;
  #failures = 0;
  #round: Promise<void> = Promise.resolve();
  #stopTimer = () => {};

  constructor(parts: EventRelayParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#state = 'idle';
    this.#begin();
  }

  wake(): void {
    this.#woken = true;
    if (this.#state === 'idle' && !this.#others) this.#after('gathering', GATHER_MS);
  }

  /** The batch under way ends; the right is given to whoever wants it. What is left waits in the store. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#stopTimer();
    await within(this.#round, STOP_MS, 'the last batch', this.#parts.clock).catch(() => {});
    await this.#giveBack();
  }

  #after(state: 'idle' | 'gathering' | 'resting', ms: number): void {
    this.#state = state;
    this.#stopTimer();
    this.#stopTimer = this.#parts.clock.after(ms, () => this.#begin());
  }

  #begin(): void {
    if (this.#state === 'stopped') return;
    this.#stopTimer();
    this.#state = 'round';
    this.#others = false;
    this.#round = this.#rounds();
  }

  async #rounds(): Promise<void> {
    const { sweepMs, log } = this.#parts;
    try {
      do {
        this.#woken = false;
        while (this.#goesOn() && (await this.#batch()));
      } while (this.#woken && !this.#others && this.#goesOn());
      if (this.#failures > 1) log.info('events for others are published again');
      this.#failures = 0;
      if (this.#goesOn()) this.#after('idle', sweepMs);
    } catch (error) {
      await this.#failed(error);
    }
  }

  #goesOn(): boolean {
    return this.#state === 'round';
  }

  /** Whether there may be more. @throws when store or broker did not take part */
  async #batch(): Promise<boolean> {
    const { store, exchange, source } = this.#parts;
    const waiting = await store.unpublished(MOST_PUBLISHED);
    if (waiting.length === 0) return false;
    if (!exchange.open) throw new Error('the broker takes nothing');
    const right = await this.#right();
    this.#others = right === 'others';
    if (right !== 'ours') return right === 'new';
    await exchange.publish(waiting.map(({ event }) => ({ ...event, content: cloudEvent(event, source) })));
    await store.published(waiting.map(({ seq }) => seq));
    return waiting.length === MOST_PUBLISHED;
  }

  /** `new`: only now, and what was read before may have been published by whoever had it. */
  async #right(): Promise<'ours' | 'new' | 'others'> {
    const { store, node, clock, sweepMs } = this.#parts;
    const [now, lastsMs] = [clock.now(), RIGHT_LASTS * sweepMs];
    const had = this.#rightUntil > now;
    if (this.#rightUntil - now > lastsMs / 2) return 'ours';
    this.#rightUntil = 0;
    if (!(await store.claim(RIGHT, node, now, now + lastsMs))) return 'others';
    this.#rightUntil = now + lastsMs;
    return had ? 'ours' : 'new';
  }

  async #failed(error: unknown): Promise<void> {
    const { store, clock, log, most = MOST } = this.#parts;
    // The second time, too, it may be a broker that is started again.
    if (this.#failures === 1) log.warn('events for others wait: they cannot be published', { error });
    const longest = Math.min(FIRST_REST_MS * 2 ** this.#failures, LONGEST_REST_MS);
    this.#failures += 1;
    // Another node may reach what this one does not.
    await this.#giveBack();
    try {
      const lost = await store.giveUp(most);
      if (lost > 0) log.error('events for others were given up: too many wait for the broker', { events: lost, most });
    } catch (reason) {
      log.debug('events that wait could not be counted', { error: reason });
    }
    if (this.#goesOn()) this.#after('resting', longest * (0.5 + clock.random() / 2));
  }

  async #giveBack(): Promise<void> {
    if (this.#rightUntil === 0) return;
    this.#rightUntil = 0;
    const { store, node, log } = this.#parts;
    await store.unclaim(RIGHT, node).catch((error: unknown) => log.debug('a right to publish runs out', { error }));
  }
}
