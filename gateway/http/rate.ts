import type { RequestHandler } from 'express';
import { type Options, rateLimit, type Store } from 'express-rate-limit';
import type { Clock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { Handler, Locals } from './route.ts';

const WINDOW_MS = 60_000;
/** Keys remembered within one window; those beyond share one count. */
const MOST_KEYS = 50_000;
/** Requests of one address that may be refused (401) a minute. Requests under way count too, so this stays well above the connections. */
const REFUSALS = 3_000;

/** Of one app, once its signature proved right. `perMinute` 0: no limit. */
export function appLimit(clock: Clock, perMinute: number): Handler {
  return limited(clock, perMinute, {
    keyGenerator: (_request, response) => (response.locals as Locals).claim?.caller.appKey ?? '',
  });
}

/** Of one address that signs nothing: a department's own requests. `perMinute` 0: no limit. */
export function addressLimit(clock: Clock, perMinute: number): Handler {
  return limited(clock, perMinute);
}

/** Of one address whose signatures are refused: nobody may try for long. */
export function refusalLimit(clock: Clock): Handler {
  return limited(clock, REFUSALS, {
    standardHeaders: false,
    skipSuccessfulRequests: true,
    requestWasSuccessful: (_request, response) => response.statusCode !== 401,
  });
}

function limited(clock: Clock, perMinute: number, more: Partial<Options> = {}): Handler {
  if (perMinute === 0) return (_request, _response, next) => next();
  const counts = countPerMinute(clock);
  const handler: RequestHandler = rateLimit({
    windowMs: WINDOW_MS,
    limit: perMinute,
    standardHeaders: 'draft-7',
    legacyHeaders: false,
    store: counts.store,
    // They look for mistakes of the set-up, and write to the console.
    validate: false,
    handler(_request, _response, next) {
      const seconds = Math.max(1, Math.ceil((counts.endsAt() - clock.now()) / 1000));
      const words = {
        zh: `请求过于频繁，请在 ${seconds} 秒后再试`,
        en: `too many requests: come again in ${seconds} s`,
      };
      next(new Unfit(429, 'tooManyRequests', words, [], seconds));
    },
    ...more,
  });
  return handler as unknown as Handler;
}

/** Fixed windows on the gateway's own clock: no timer that somebody must stop, and bounded in keys. */
function countPerMinute(clock: Clock): { readonly store: Store; endsAt(): Millis } {
  let hits = new Map<string, number>();
  let ends = 0;
  const add = (key: string, step: number) => {
    if (clock.now() >= ends) {
      hits = new Map();
      ends = clock.now() + WINDOW_MS;
    }
    const counted = hits.has(key) || hits.size < MOST_KEYS ? key : '';
    const totalHits = Math.max(0, (hits.get(counted) ?? 0) + step);
    hits.set(counted, totalHits);
    return { totalHits, resetTime: new Date(ends) };
  };
  return {
    endsAt: () => ends,
    store: {
      localKeys: true,
      increment: (key) => add(key, 1),
      decrement: (key) => void add(key, -1),
      resetKey: (key) => void hits.delete(key),
    },
  };
}
