import type { Terms } from '../../contracts/ports/adapter.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';

const SPAN = { minute: 60_000, day: 86_400_000 };
const OFFSET = 8 * 3_600_000;

/** Calls a party allows in a minute, or in a local day. Counted in this process: a restart begins anew, which the party's own count outlives. */
export class Quota {
  readonly #terms: NonNullable<Terms['quota']>;
  readonly #clock: Clock;
  #span = -1;
  #used = 0;

  constructor(terms: NonNullable<Terms['quota']>, clock: Clock) {
    this.#terms = terms;
    this.#clock = clock;
  }

  /** When there is a call again; null when there is one now. */
  get until(): Millis | null {
    if (this.used < this.#terms.calls) return null;
    return (this.#span + 1) * SPAN[this.#terms.per] - OFFSET;
  }

  take(): void {
    this.#used = this.used + 1;
  }

  get used(): number {
    const span = Math.floor((this.#clock.now() + OFFSET) / SPAN[this.#terms.per]);
    if (span !== this.#span) [this.#span, this.#used] = [span, 0];
    return this.#used;
  }
}
