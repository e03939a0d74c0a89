import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { LogFields, Logger } from '../../contracts/ports/logger.ts';

const MOST = 20;
const PERIOD_MS = 60_000;

/**
 * Warnings of what others can cause as often as they like: some of each minute are told, and of the rest how many there were, with the first of the next.
 * `of`: what stands with that number.
 */
export class BoundedWarnings {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #of: LogFields;
  #since: Millis = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(clock: Clock, log: Logger, of: LogFields = {}) {
    this.#clock = clock;
    this.#log = log;
    this.#of = of;
  }

  warn(message: string, fields: LogFields): void {
    const now = this.#clock.now();
    if (now - this.#since >= PERIOD_MS) {
      const left = this.#count - MOST;
      if (left > 0) this.#log.warn('more of the same was not told one by one', { ...this.#of, count: left });
      this.#since = now;
      this.#count = 0;
    }
    this.#count += 1;
    if (this.#count <= MOST) this.#log.warn(message, fields);
  }
}
