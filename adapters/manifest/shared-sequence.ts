import type { Clock } from '../../contracts/ports/clock.ts';
import type { Coordination } from '../../contracts/ports/coordination.ts';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';

const OFFSET = 8 * 3_600_000;
const DAY = 86_400_000;
const BLOCK = 100;
/** A mapping has 500 ms in all. */
const PATIENCE_MS = 400;
/** Up to so many digits a number stands beside a time to the second, and only has to differ from its neighbours: it goes round. */
const ROUND = 5;

interface Stock {
  readonly span: number;
  next: number;
  readonly end: number;
}

/**
 * The party's sequence numbers over all nodes, in blocks from the store. With 6 digits and more they follow the clock as well (the day with up to 11, for
 * ever with 12), so that a database put back from a backup gives none a second time. Each node's own numbers grow; those of two nodes come interleaved.
 * The function given back throws, or rejects with, Fault `busy` when a span is used up or the store gives no block.
 */
export function sharedSequences(
  party: Party,
  clock: Clock,
  numbers: Pick<Coordination, 'reserve'>,
): (digits: number) => string | Promise<string> {
  const stocks = new Map<number, Stock>();
  const fetching = new Map<number, Promise<void>>();

  function spanOf(digits: number): { readonly span: number; readonly from: number; readonly size: number } {
    const size = 10 ** digits;
    const now = clock.now() + OFFSET;
    if (digits <= ROUND) return { span: 0, from: 0, size };
    if (digits >= 12) return { span: 0, from: now % size, size };
    const span = Math.floor(now / DAY);
    return { span, from: span * size + Math.floor(((now % DAY) / DAY) * size), size };
  }

  function fetch(digits: number): Promise<void> {
    const { span, from, size } = spanOf(digits);
    const count = Math.min(BLOCK, size / 10);
    const one =
      fetching.get(digits) ??
      numbers
        .reserve(`${party}:${digits}`, from, count)
        .then((next) => void stocks.set(digits, { span, next, end: next + count }))
        .finally(() => fetching.delete(digits));
    fetching.set(digits, one);
    return one;
  }

  /** Undefined: there is none at hand. */
  function taken(digits: number): string | undefined {
    const { span, size } = spanOf(digits);
    const stock = stocks.get(digits);
    if (stock === undefined || stock.span !== span || stock.next >= stock.end) return undefined;
    const value = digits <= ROUND ? stock.next % size : stock.next - span * size;
    if (value >= size) throw busy(clock.now() + 1_000, 'sequenceUsedUp', `${digits} 位流水号已用尽`, 'is used up');
    stock.next += 1;
    return String(value).padStart(digits, '0');
  }

  async function awaited(digits: number): Promise<string> {
    for (;;) {
      await bounded(fetch(digits), clock);
      const number = taken(digits);
      if (number !== undefined) return number;
    }
  }

  return (digits) => taken(digits) ?? awaited(digits);
}

async function bounded(work: Promise<void>, clock: Clock): Promise<void> {
  let stop = () => {};
  const late = new Promise<never>((_, reject) => {
    stop = clock.after(PATIENCE_MS, () => reject(new Error(`no numbers within ${PATIENCE_MS} ms`)));
  });
  try {
    await Promise.race([work, late]);
  } catch {
    throw busy(clock.now() + 1_000, 'sequenceUnknown', '暂时无法取得流水号', 'cannot be counted now');
  } finally {
    stop();
  }
}

function busy(until: Millis, code: string, zh: string, en: string): Fault {
  return new Fault('busy', { until, reason: { code, zh, en: `the sequence ${en}` } });
}
