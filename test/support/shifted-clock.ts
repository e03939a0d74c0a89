import { type Clock, wallClock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';

/** The wall clock, which a test can set forward; its timers run as they would, so that sweeps find what has become due. */
export class ShiftedClock implements Clock {
  #by = 0;

  now(): Millis {
    return wallClock.now() + this.#by;
  }

  after(ms: number, then: () => void): () => void {
    return wallClock.after(ms, then);
  }

  random(): number {
    return wallClock.random();
  }

  forward(ms: number): void {
    this.#by += ms;
  }
}
