import type { Clock } from './ports/clock.ts';

export class TooLate extends Error {
  override readonly name = 'TooLate';
}

/** The work's own end, or a rejection that says `what` did not end within `ms`. The work itself goes on; its late failure harms nobody. */
export function within<T>(work: Promise<T>, ms: number, what: string, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = clock.after(ms, () => reject(new TooLate(`${what} did not end within ${ms} ms`)));
    work.then(resolve, reject).finally(stop);
  });
}
