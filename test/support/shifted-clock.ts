import { type Clock, wallClock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';

/** The wall clock, which a test can set forward; its timers run as they would, so that sweeps find what has become due. */
export class ShiftedClock implements Clock {
  #by = 0;
  #setBy = 0;

  now(): Millis {
    return wallClock.now() + this.#by + this.#setBy;
  }

  steady(): Millis {
    return performance.now() + this.#by;
  }

  after(ms: number, then: () => void): () => void {
    return wallClock.after(ms, then);
  }

  random(): number {
    return wallClock.random();
  }

  /** So much time passes. */
  forward(ms: number): void {
    this.#by += ms;
  }

  /** Somebody sets the clock, and no time passes. */
  set(ms: number): void {
    this.#setBy += ms;
  }
}
