import type { Clock } from '../../contracts/ports/clock.ts';
import type { Coordination } from '../../contracts/ports/coordination.ts';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { withinMapping } from './deadline.ts';
import { type Sequence, sequencePosition, sequenceText, sequenceUsedUp } from './times.ts';

const BLOCK = 100;

interface Stock {
  readonly span: number;
  next: number;
  readonly end: number;
}

/**
 * The party's sequence numbers over all nodes, in blocks from the store. With 6 digits and more they follow the clock as well (the day with up to 11, a
 * century with 12), so that a database put back from a backup gives none a second time. Each node's own numbers grow; those of two nodes come interleaved.
 * A number of a day is given for the day in which `at` lies, and for no other: a message that was begun before midnight gets none of the new day.
 * The function given back throws, or rejects with, Fault `busy` when a day is used up or over, or the store gives no block.
 */
export function sharedSequences(party: Party, clock: Clock, numbers: Pick<Coordination, 'reserve'>): Sequence {
  const stocks = new Map<number, Stock>();
  const fetching = new Map<number, Promise<void>>();

  const unknown = (): Fault =>
    new Fault('busy', {
      until: clock.now() + 1_000,
      reason: { code: 'sequenceUnknown', zh: '暂时无法取得流水号', en: 'the sequence cannot be counted now' },
    });

  function fetch(digits: number, at: Millis): Promise<void> {
    const { span, from, size } = sequencePosition(digits, at);
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
  function taken(digits: number, at: Millis): string | undefined {
    const position = sequencePosition(digits, at);
    const stock = stocks.get(digits);
    if (stock === undefined || stock.span < position.span) return undefined;
    // The day is over: what is at hand is of a later one.
    if (stock.span > position.span) throw sequenceUsedUp(digits, at, clock.now());
    if (stock.next >= stock.end) return undefined;
    const text = sequenceText(stock.next, digits, position);
    if (text === undefined) throw sequenceUsedUp(digits, at, clock.now());
    stock.next += 1;
    return text;
  }

  async function awaited(digits: number, at: Millis): Promise<string> {
    for (;;) {
      await withinMapping(fetch(digits, at), clock, unknown);
      const number = taken(digits, at);
      if (number !== undefined) return number;
    }
  }

  return (digits, at = clock.now()) => taken(digits, at) ?? awaited(digits, at);
}
