import type { Advance, Change } from '../../contracts/ports/case.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { CaseBook, Stored } from './casebook.ts';
import { type Group, overloaded, type Tx } from './group.ts';
import { type CaseRow, caseOf, unchanged } from './rows.ts';
import { Unavailable } from './unavailable.ts';
import type { UnderWay } from './under-way.ts';

/** Longer than any mapping may take: one that does not end must not keep its case for ever. */
const TIME_LIMIT_MS = 30_000;
/** Of one change that others were always quicker than. Only other nodes can be: those of this one wait for each other. */
const MOST_TRIES = 20;
/** Changes of one case that wait for each other; beyond it callers are told to come again. */
const MOST_WAITING = 512;

const STALE = Symbol('the case has changed since it was read');

interface CaseChangesParts {
  readonly group: Group;
  readonly book: CaseBook;
  readonly clock: Clock;
  readonly underWay: UnderWay;
  /** The case as it stands on the disk. */
  readonly read: (caseNo: string) => Promise<CaseRow | undefined>;
}

/** A change of one case: how it is computed, and how it is written. */
interface CaseChange<Also, T> {
  /** Outside any transaction, and again when the case has changed meanwhile; when it throws nothing is written. */
  readonly advance: Advance;
  /** What is read beside the case, in the same turn of the transaction. */
  readonly also?: (tx: Tx) => Promise<Also>;
  /** Inside the transaction; may be run twice, and must leave nothing outside. */
  readonly write: (tx: Tx, stored: Stored, change: Change, also: Also) => Promise<T>;
}

/**
 * Changes a case without keeping a transaction open while the change is computed: reads it, computes, and writes only if the case is still as it was read;
 * else it is computed again on what the case is by then. Changes of one case on this node wait for each other, so that no work is done in vain.
 */
export class CaseChanges {
  readonly #parts: CaseChangesParts;
  readonly #waiting = new Map<string, { last: Promise<unknown>; count: number }>();

  constructor(parts: CaseChangesParts) {
    this.#parts = parts;
  }

  /** Undefined: there is no such case. */
  run<T, Also = undefined>(caseNo: string, change: CaseChange<Also, T>): Promise<T | undefined> {
    return this.#parts.underWay.run(() => this.#inTurn(caseNo, () => this.#tried(caseNo, change)));
  }

  async #tried<T, Also>(caseNo: string, { advance, also, write }: CaseChange<Also, T>): Promise<T | undefined> {
    const { group, book, read, clock } = this.#parts;
    for (let tries = 1; tries <= MOST_TRIES; tries += 1) {
      const row = await read(caseNo);
      if (row === undefined) return undefined;
      const change = await inTime(() => advance(caseOf(row)), clock);
      const written = await group.runFor(caseNo, async (tx): Promise<T | typeof STALE | undefined> => {
        // The case before what belongs to it, as whoever arranges a case locks them: two nodes then wait for each other in turn, and not in a circle.
        const [stored, beside] = await Promise.all([book.find(tx, caseNo), also?.(tx)]);
        if (stored === undefined) return undefined;
        return unchanged(row, stored.row) ? write(tx, stored, change, beside as Also) : STALE;
      });
      if (written !== STALE) return written;
    }
    throw new Unavailable(new Error(`case ${caseNo} was changed by others at each of ${MOST_TRIES} tries`));
  }

  async #inTurn<T>(caseNo: string, work: () => Promise<T>): Promise<T> {
    const line = this.#waiting.get(caseNo) ?? { last: Promise.resolve(), count: 0 };
    if (line.count >= MOST_WAITING) throw overloaded();
    this.#waiting.set(caseNo, line);
    line.count += 1;
    const mine = line.last.then(work, work);
    line.last = mine;
    try {
      return await mine;
    } finally {
      line.count -= 1;
      if (line.count === 0) this.#waiting.delete(caseNo);
    }
  }
}

/** @throws Error when it takes longer than any change may */
export async function inTime<T>(work: () => Promise<T>, clock: Clock): Promise<T> {
  let stop = () => {};
  const late = new Promise<never>((_, reject) => {
    stop = clock.after(TIME_LIMIT_MS, () =>
      reject(new Error(`a change of a case took longer than ${TIME_LIMIT_MS} ms, and nothing of it was written`)),
    );
  });
  try {
    return await Promise.race([work(), late]);
  } finally {
    stop();
  }
}
