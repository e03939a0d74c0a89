import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';

const WINDOW_MS = 60_000;
/** Keys remembered within one window; those beyond share one count. */
const MOST_KEYS = 50_000;

/** How often something happened in this minute, by key. Fixed windows on the gateway's clock: no timer that somebody must stop, and bounded in keys. */
export class MinuteCounts {
  readonly #clock: Clock;
  #counts = new Map<string, number>();
  #ends: Millis = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(key: string): number {
    this.#turn();
    return this.#counts.get(this.#kept(key)) ?? 0;
  }

  /** The count with this one. */
  add(key: string): number {
    this.#turn();
    const kept = this.#kept(key);
    const count = (this.#counts.get(kept) ?? 0) + 1;
    this.#counts.set(kept, count);
    return count;
  }

  /** Until the next window begins, whole seconds, at least one. */
  secondsLeft(): number {
    return Math.max(1, Math.ceil((this.#ends - this.#clock.now()) / 1_000));
  }

  #kept(key: string): string {
    return this.#counts.has(key) || this.#counts.size < MOST_KEYS ? key : '';
  }

  #turn(): void {
    const now = this.#clock.now();
    // A clock that was set back must not make a window without end.
    if (now < this.#ends && now >= this.#ends - WINDOW_MS) return;
    this.#counts = new Map();
    this.#ends = now + WINDOW_MS;
  }
}
