import type { Millis } from './envelope.ts';

/** Time and chance come in as arguments, so that a test of ten minutes' backoff takes none. */
export interface Clock {
  now(): Millis;
  /** Counts time from some moment on, whatever the clock is set to meanwhile. Missing: `now` is all there is. */
  steady?(): Millis;
  /** Runs `then` once after `ms`; the returned function cancels it. The caller owns the timer and must stop it. */
  after(ms: number, then: () => void): () => void;
  /** [0, 1) */
  random(): number;
}

export const wallClock: Clock = {
  now: () => Date.now(),
  steady: () => performance.now(),
  after(ms, then) {
    const timer = setTimeout(then, Math.min(Math.max(0, ms), 2 ** 31 - 1));
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};
