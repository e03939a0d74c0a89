import { type RawBuilder, type SqlBool, sql } from 'kysely';

/** Entries of an index that one statement of a search looks at, at most. */
export const MOST_EXAMINED = 1_000;

/** Times or row numbers: `from` is included, `before` is not. */
export interface Range {
  readonly from: number;
  readonly before: number;
}

/** Before and after everything. */
export const EVERYTHING: Range = { from: 0, before: Number.MAX_SAFE_INTEGER };

/** One index that a search can go along. All rows with the same place in a range are examined together. */
export interface Way<R> {
  /** The place of the `MOST_EXAMINED`th entry of the range, in the order of the search; undefined when there are fewer. */
  end(range: Range): Promise<number | undefined>;
  /** The rows of the range that every filter lets through, in the order of the search. */
  rows(range: Range, limit: number): Promise<readonly R[]>;
}

/**
 * The first `limit` rows of a search with several filters. The embedded database answers on the event loop, so that a statement that passes over all of the
 * history for a few rows would keep everybody waiting: so a search goes along whichever of its indexes is short; where none is, along the first of them, a
 * piece at a time, and everybody else has his turn between two pieces.
 */
export async function search<R>(
  ways: readonly [Way<R>, ...Way<R>[]],
  { range, newestFirst, limit }: { readonly range: Range; readonly newestFirst: boolean; readonly limit: number },
): Promise<readonly R[]> {
  const [first] = ways;
  let end = await first.end(range);
  if (end !== undefined)
    for (const other of ways.slice(1)) if ((await other.end(range)) === undefined) return other.rows(range, limit);
  const found: R[] = [];
  for (let rest = range; ; ) {
    const piece = end === undefined ? rest : newestFirst ? { ...rest, from: end } : { ...rest, before: end + 1 };
    found.push(...(await first.rows(piece, limit - found.length)));
    if (end === undefined || found.length >= limit) return found;
    rest = newestFirst ? { ...rest, before: end } : { ...rest, from: end + 1 };
    await new Promise(setImmediate);
    end = await first.end(rest);
  }
}

/** A text column as part of an expression, so that no index of its own is taken for it: another one finds less. */
export const unindexed = (column: string): RawBuilder<string> => sql<string>`coalesce(${sql.ref(column)}, '')`;

/**
 * The rows of an index on a column and a time that have this value, in a range of times. As a comparison of both at once, which no other index can serve:
 * PostgreSQL would otherwise go along that of the times alone where it believes that most rows have the value. The order of reading then begins with the column.
 */
export const within = (column: string, value: string, time: string, { from, before }: Range): RawBuilder<SqlBool> =>
  sql<SqlBool>`(${sql.ref(column)}, ${sql.ref(time)}) >= (${value}, ${from}) and (${sql.ref(column)}, ${sql.ref(time)}) < (${value}, ${before})`;
