import type { TestContext } from 'node:test';
import { type Clock, wallClock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';

/** Turns of the event loop in which whatever the last timer began goes on: promises, and a store's commits. */
const TURNS = 12;

/**
 * The process's own time, taken in hand: timers of every part move with it, a library's too, and hours take no time. What is not a timer (files,
 * sockets, `setImmediate`) is as real as ever. The real time is back when the test ends.
 */
export class VirtualClock implements Clock {
  readonly #timers: TestContext['mock']['timers'];
  /** What chance says next; [0, 1). */
  chance = 0.5;

  constructor(t: TestContext, start: Millis = Date.UTC(2026, 10, 23, 1, 30)) {
    this.#timers = t.mock.timers;
    this.#timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: start });
  }

  now(): Millis {
    return Date.now();
  }

  after(ms: number, then: () => void): () => void {
    return wallClock.after(ms, then);
  }

  random(): number {
    return this.chance;
  }

  /** Lets `ms` pass, `step` at a time. */
  async pass(ms: number, step: number = Math.max(1, Math.min(ms, 100))): Promise<void> {
    await settle();
    for (let left = ms; left > 0; left -= step) {
      this.#timers.tick(Math.min(step, left));
      await settle();
    }
  }

  /** Lets time pass until `seen` gives something; rejects when it has not after `mostMs`. */
  async until<T>(
    what: string,
    seen: () => T | Promise<T>,
    mostMs = 60_000,
    step = 50,
  ): Promise<Exclude<NonNullable<T>, false>> {
    for (let passed = 0; passed <= mostMs; passed += step) {
      await settle();
      const value = await seen();
      if (value !== undefined && value !== null && value !== false) return value as Exclude<NonNullable<T>, false>;
      this.#timers.tick(step);
    }
    throw new Error(`${what}: not within ${mostMs} ms`);
  }
}

/** What has begun goes on as far as it can without time passing. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn += 1) await new Promise<void>((resolve) => setImmediate(resolve));
}
