import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';

/** By which two readings of a node's own clock may differ that are not taken at once. */
const TOGETHER_MS = 1_000;

/**
 * A node's clock, set by the database that the nodes share: leases, rights and quotas then mean the same on all of them, though their own clocks differ. In
 * between it follows the steady count, so that a node whose own clock is set does not take for over what others hold. Timers go on by the node's own.
 */
export class ClockInStep implements Clock {
  readonly #own: Clock;
  /** Of the database's time before the steady count. */
  #aheadMs: Millis;
  /** Of the own clock before the steady count, at the last shift. */
  #apartMs: Millis;

  constructor(own: Clock) {
    this.#own = own;
    this.#apartMs = this.#apart();
    this.#aheadMs = this.#apartMs;
  }

  /** @param ms how far the database is ahead of what this clock says now */
  shift(ms: Millis): void {
    this.#aheadMs += ms;
    this.#apartMs = this.#apart();
  }

  /** Somebody set the node's own clock since the last shift, or the node was suspended: which of the two cannot be told, and the database has to be asked. */
  get wandered(): boolean {
    return Math.abs(this.#apart() - this.#apartMs) > TOGETHER_MS;
  }

  now(): Millis {
    return Math.floor(this.steady() + this.#aheadMs);
  }

  steady(): Millis {
    return this.#own.steady?.() ?? this.#own.now();
  }

  after(ms: number, then: () => void): () => void {
    return this.#own.after(ms, then);
  }

  random(): number {
    return this.#own.random();
  }

  #apart(): Millis {
    return this.#own.now() - this.steady();
  }
}
