import type { Clock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { LogFields, Logger } from '../../contracts/ports/logger.ts';
import { MinuteCounts } from './counts.ts';

/** Refusals of one address and key a minute that are told why; whoever goes on is told only that it is too often. */
const REFUSALS = 300;

/**
 * How often one may call, a minute. Only what is proved counts: nobody can use up what is another's.
 * `perMinute` 0: no limit.
 */
export class RateLimit {
  readonly #counts: MinuteCounts;
  readonly #perMinute: number;

  constructor(clock: Clock, perMinute: number) {
    this.#counts = new MinuteCounts(clock);
    this.#perMinute = perMinute;
  }

  /** @throws Unfit 429 when no more calls are allowed under this key in this minute */
  check(key: string): void {
    if (this.#perMinute === 0 || this.#counts.of(key) < this.#perMinute) return;
    throw tooMany(this.#counts.secondsLeft(), 'tooManyRequests');
  }

  /** Counts a call; what is left of the minute, as response headers (draft-ietf-httpapi-ratelimit-headers-07). */
  count(key: string): { readonly [name: string]: string } {
    if (this.#perMinute === 0) return {};
    const remaining = Math.max(0, this.#perMinute - this.#counts.add(key));
    return {
      'RateLimit-Policy': `${this.#perMinute};w=60`,
      RateLimit: `limit=${this.#perMinute}, remaining=${remaining}, reset=${this.#counts.secondsLeft()}`,
    };
  }
}

/**
 * Requests that were refused, by address and by the key they claim. It refuses nobody who can prove who they are: the proof is always looked at,
 * and only the answer to a wrong one changes.
 */
export class Refusals {
  readonly #counts: MinuteCounts;

  constructor(clock: Clock) {
    this.#counts = new MinuteCounts(clock);
  }

  /** What is answered: the refusal itself, or 429 after too many. */
  refuse(network: string, key: string, refusal: Unfit): { readonly answer: Unfit; readonly count: number } {
    const count = this.#counts.add(`${network} ${key}`);
    return { count, answer: count <= REFUSALS ? refusal : tooMany(this.#counts.secondsLeft(), 'tooManyRefusals') };
  }
}

/** So many refusals of one address and key are logged one by one in a minute; after that only each that doubles their number. */
const LOGGED_REFUSALS = 20;

/** @param thisMinute how many there were of this address and key, with this one */
export function logRefusal(log: Logger, thisMinute: number, fields: LogFields): void {
  if (thisMinute <= LOGGED_REFUSALS || Number.isInteger(Math.log2(thisMinute / LOGGED_REFUSALS)))
    log.warn('a request was not let in', { ...fields, thisMinute });
}

function tooMany(seconds: number, code: 'tooManyRequests' | 'tooManyRefusals'): Unfit {
  const words =
    code === 'tooManyRequests'
      ? { zh: `请求过于频繁，请在 ${seconds} 秒后再试`, en: `too many requests: come again in ${seconds} s` }
      : {
          zh: `未通过验签的请求过多，请核对密钥，并在 ${seconds} 秒后再试；签名正确的请求不受影响`,
          en: `too many requests were refused: check the key and come again in ${seconds} s; one that is rightly signed is served all the same`,
        };
  return new Unfit(429, code, words, [], seconds);
}
