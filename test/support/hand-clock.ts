import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';

/** A clock that stands still until it is moved; timers whose time has come run in their order while it moves. */
export class HandClock implements Clock {
  #now: Millis;
  #timers: { at: Millis; then: () => void }[] = [];

  constructor(start: Millis = Date.UTC(2026, 10, 23, 1)) {
    this.#now = start;
  }

  now(): Millis {
    return this.#now;
  }

  after(ms: number, then: () => void): () => void {
    const timer = { at: this.#now + ms, then };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  random(): number {
    return 0.5;
  }

  move(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#now = Math.max(this.#now, next.at);
      next.then();
    }
    this.#now = until;
  }
}
