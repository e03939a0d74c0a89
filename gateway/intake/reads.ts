import type { Facts } from '../../contracts/ports/item.ts';

/** Facts that note which of their parts an expression looks at. */
export interface WatchedFacts {
  readonly facts: Facts;
  /** Whether anything at or below one of these places (RFC 6901) was looked at. */
  readAny(pointers: readonly string[]): boolean;
}

/** For the one question: does what an expression came to depend on a part that is known to be wrong, or not known yet? */
export function watched(facts: Facts): WatchedFacts {
  const read = new Set<string>();
  const whole = new Set<string>();
  return {
    facts: watch(facts, '') as Facts,
    readAny: (pointers) =>
      pointers.some(
        (pointer) =>
          [...read].some((one) => one === pointer || one.startsWith(`${pointer}/`)) ||
          // Its keys were counted through: everything in it was.
          [...whole].some((one) => pointer === one || pointer.startsWith(`${one}/`)),
      ),
  };

  function watch(value: unknown, pointer: string): unknown {
    if (value === null || typeof value !== 'object') return value;
    return new Proxy(value, {
      get(target, key, receiver) {
        const inside: unknown = Reflect.get(target, key, receiver);
        if (typeof key === 'symbol' || typeof inside === 'function') return inside;
        const place = `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
        read.add(place);
        return watch(inside, place);
      },
      has(target, key) {
        if (typeof key === 'string') read.add(`${pointer}/${key}`);
        return Reflect.has(target, key);
      },
      ownKeys(target) {
        if (!Array.isArray(target)) whole.add(pointer);
        return Reflect.ownKeys(target);
      },
    });
  }
}
