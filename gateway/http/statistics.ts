import type { Ledger, LedgerCount } from '../../contracts/ports/certificate.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import { fromIso, isoDay } from './iso.ts';

/** What the yearly report says of a key, or of all. */
export interface Figures {
  /** Matters handled with fetched certificates: applications, or cases where no application number is known, with at least one call. */
  readonly matters: number;
  /** Certificates asked for that were permitted. */
  readonly calls: number;
  readonly fetched: number;
  /** fetched / calls; null when nothing was asked for. */
  readonly hitRate: number | null;
  /** Of those fetched, how many from a copy. */
  readonly cachedRate: number | null;
  /** fetched × the minutes of its type. */
  readonly minutesSaved: number;
}

export type Grouping = 'item' | 'type' | 'source' | 'month';

export interface Counting {
  readonly count: Ledger['count'];
  /** What an applicant and a clerk are spared by not bringing one certificate of this type. */
  readonly minutesOf: (type: string) => number;
}

/** From the day `from` to the day before `until`. */
export async function statistics(
  { count, minutesOf }: Counting,
  { from, until, by }: { readonly from: Millis; readonly until: Millis; readonly by: Grouping },
): Promise<{ readonly total: Figures; readonly rows: readonly (Figures & { readonly key: string | null })[] }> {
  if (by !== 'month') {
    const { total, rows } = await count({ from, until, by });
    return {
      total: figures(total, minutesOf),
      rows: rows.map(({ key, ...counted }) => ({ key, ...figures(counted, minutesOf) })),
    };
  }
  // A matter of two months stands in both, so that the total is counted by itself.
  const { total } = await count({ from, until, by: 'type' });
  const rows: (Figures & { readonly key: string })[] = [];
  for (const month of months(from, until)) {
    const counted = await count({ ...month, by: 'type' });
    rows.push({ key: month.key, ...figures(counted.total, minutesOf) });
    // The embedded database answers without a pause; everybody else wants his turn.
    await new Promise(setImmediate);
  }
  return { total: figures(total, minutesOf), rows };
}

function figures({ matters, calls, fetched: byType }: LedgerCount, minutesOf: Counting['minutesOf']): Figures {
  const sum = (of: (row: LedgerCount['fetched'][number]) => number): number =>
    byType.reduce((all, row) => all + of(row), 0);
  const fetched = sum((row) => row.fetched);
  return {
    matters,
    calls,
    fetched,
    hitRate: share(fetched, calls),
    cachedRate: share(
      sum((row) => row.cached),
      fetched,
    ),
    minutesSaved: sum((row) => row.fetched * minutesOf(row.type)),
  };
}

/** To four places. */
const share = (part: number, whole: number): number | null =>
  whole === 0 ? null : Math.round((part / whole) * 10_000) / 10_000;

/** The county's months, the first and the last cut to the range. */
function* months(from: Millis, until: Millis): Generator<{ key: string; from: Millis; until: Millis }> {
  for (let begin = from; begin < until; ) {
    const key = isoDay(begin).slice(0, 7);
    const [year = 0, month = 0] = key.split('-').map(Number);
    const next = month === 12 ? `${year + 1}-01-01` : `${year}-${String(month + 1).padStart(2, '0')}-01`;
    const end = Math.min(until, fromIso(next) ?? until);
    yield { key, from: begin, until: end };
    begin = end;
  }
}
