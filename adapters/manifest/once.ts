import type { Clock } from '../../contracts/ports/clock.ts';
import type { Json } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import { MOST_VALUE_BYTES, type OnceValues } from '../../contracts/ports/once-values.ts';
import { withinMapping } from './deadline.ts';

/** `$once(name, value or function)`. */
export type Once = (...given: readonly unknown[]) => Promise<Json>;

interface OnceParts {
  readonly values: OnceValues;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * `$once` for the mappings of one operation about one envelope: the value kept under the name, or else the value given, kept from now on. A function is
 * called only when nothing is kept yet. The store is asked at the first use, and not at all by a mapping without it.
 * The function given back rejects with Fault: `busy` when the store is away, `malformed` (ours) when there is no value or it is too large.
 */
export function onceFor(envelopeId: string, { values, clock, log }: OnceParts): Once {
  const fixed = new Map<string, Promise<Json>>();
  let kept: Promise<{ readonly [name: string]: Json }> | undefined;

  function away(error: unknown): Fault {
    log.warn('the store did not keep a value that an envelope is sent with; it waits', { envelope: envelopeId, error });
    const reason = { code: 'onceUnknown', zh: '暂时无法保存报文的固定值，未发送', en: 'a value could not be kept now' };
    return new Fault('busy', { until: clock.now() + 1_000, maybeArrived: false, reason, cause: error });
  }

  async function fix(name: string, make: unknown): Promise<Json> {
    kept ??= withinMapping(values.onceValues(envelopeId), clock, away);
    const before = await kept;
    if (Object.hasOwn(before, name)) return before[name] as Json;
    const text = JSON.stringify(typeof make === 'function' ? await make() : make);
    if (text === undefined) throw ours('onceEmpty', `固定值 ${name} 没有内容`, `the value ${name} is nothing`);
    if (Buffer.byteLength(text) > MOST_VALUE_BYTES)
      throw ours('onceTooLarge', `固定值 ${name} 过长`, `the value ${name} has more than ${MOST_VALUE_BYTES} bytes`);
    return withinMapping(values.once(envelopeId, name, JSON.parse(text) as Json), clock, away);
  }

  return async (...given) => {
    const [name, make] = given;
    // Where a mapping hands it over with `~>` it has one argument more than stands there.
    if (given.length !== 2 || typeof name !== 'string')
      throw ours('once', '$once 需要名称和值两个参数', '$once takes a name and a value');
    const one = fixed.get(name) ?? fix(name, make);
    fixed.set(name, one);
    return one;
  };
}

const ours = (code: string, zh: string, en: string): Fault =>
  new Fault('malformed', { ours: true, maybeArrived: false, reason: { code, zh, en } });

/** Envelopes of which an adapter that is alone keeps values. */
const MOST_ENVELOPES = 1_000;

/** For an adapter without a store: in memory, of the latest envelopes. */
export function valuesInMemory(): OnceValues {
  const envelopes = new Map<string, { [name: string]: Json }>();
  return {
    async once(envelopeId, name, value) {
      const own = envelopes.get(envelopeId) ?? {};
      if (!Object.hasOwn(own, name)) own[name] = value;
      envelopes.set(envelopeId, own);
      if (envelopes.size > MOST_ENVELOPES) envelopes.delete(envelopes.keys().next().value as string);
      return own[name] as Json;
    },
    async onceValues(envelopeId) {
      return { ...envelopes.get(envelopeId) };
    },
  };
}
