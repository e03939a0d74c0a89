import { type SelectQueryBuilder, sql } from 'kysely';
import type { CaseRecord } from '../../contracts/ports/case.ts';
import type { CaseFilter, Page } from '../../contracts/ports/store.ts';
import { EVERYTHING, MOST_EXAMINED, type Range, search, unindexed, type Way, within } from './bounded-search.ts';
import { keyOf, paged } from './cursor.ts';
import type { StoreParts } from './parts.ts';
import { type CaseRow, caseOf } from './rows.ts';
import type { Tables } from './tables.ts';

/** Each has an index in the order of reading: by that column, the time and then the row's number, or the case's. */
const INDEX = {
  itemCode: { table: 'cases', column: 'item_code' },
  party: { table: 'case_parties', column: 'party' },
  state: { table: 'cases', column: 'state' },
  appKey: { table: 'cases', column: 'app_key' },
} as const;
type Searched = keyof typeof INDEX;
/** The more telling first. */
const SEARCHED = ['itemCode', 'party', 'state', 'appKey'] as const satisfies readonly Searched[];

/** The filter whose index a statement goes along; `time`: none of them. */
type Lead = Searched | 'applicationNo' | 'time';

/** So that the index of an application number is taken, and none that has the order. */
const unindexedTime = sql<number>`coalesce(cases.accepted_at, 0)`;

interface Wanted {
  readonly filter: CaseFilter;
  /** Time and number of the last row of the page before. */
  readonly after: readonly [number, number] | undefined;
}

/** Newest first; `since` is included, `until` is not. Places of a range are times. */
export function makeCaseSearch({
  db,
  dialect,
}: Pick<StoreParts, 'db' | 'dialect'>): (filter: CaseFilter) => Promise<Page<CaseRecord>> {
  function rowsAlong(lead: Lead, { filter, after }: Wanted, range: Range, limit: number): Promise<readonly CaseRow[]> {
    const { party, applicationNo } = filter;
    // A party's cases are walked along in its own rows, which have the same times.
    const own = lead === 'party';
    const index = lead === 'applicationNo' || lead === 'time' ? undefined : INDEX[lead];
    // An outer join although every row has its case: so it is never begun at the cases.
    const from = own
      ? db.selectFrom('case_parties').leftJoin('cases', 'cases.case_no', 'case_parties.case_no')
      : db.selectFrom('cases');
    let query = (from as SelectQueryBuilder<Tables, 'cases', object>).selectAll('cases');
    if (applicationNo !== undefined)
      query = query.where(
        lead === 'applicationNo' ? sql.ref<string>('application_no') : unindexed('application_no'),
        '=',
        applicationNo,
      );
    for (const name of ['itemCode', 'state', 'appKey'] as const) {
      const value = filter[name];
      if (value !== undefined && name !== lead) query = query.where(unindexed(INDEX[name].column), '=', value);
    }
    if (party !== undefined && !own)
      // Not `exists`: PostgreSQL would begin with the party.
      query = query.where(
        sql<number>`coalesce((select 1 from case_parties where case_parties.party = ${party}
                              and case_parties.accepted_at = cases.accepted_at and case_parties.case_no = cases.case_no), 0)`,
        '=',
        1,
      );
    // Of the time at which the page before ended there may be more.
    if (after !== undefined)
      query = query.where((row) => row.or([row(unindexedTime, '<', after[0]), row('cases.seq', '<', after[1])]));
    if (lead === 'applicationNo')
      query = query
        .where(unindexedTime, '>=', range.from)
        .where(unindexedTime, '<', range.before)
        .orderBy(unindexedTime, 'desc');
    else if (index === undefined)
      query = query
        .where('cases.accepted_at', '>=', range.from)
        .where('cases.accepted_at', '<', range.before)
        .orderBy('cases.accepted_at', 'desc');
    else
      query = query
        .where(within(index.column, filter[lead as 'party'] ?? '', `${index.table}.accepted_at`, range))
        .orderBy(sql.ref(index.column), 'desc')
        .orderBy(sql.ref(`${index.table}.accepted_at`), 'desc');
    return query.orderBy('cases.seq', 'desc').limit(limit).modifyEnd(dialect.anew).execute();
  }

  async function endAlong(lead: Searched, { filter }: Wanted, range: Range): Promise<number | undefined> {
    const { table, column } = INDEX[lead];
    const end = await db
      .selectFrom(table)
      .select('accepted_at')
      .where(within(column, filter[lead] ?? '', 'accepted_at', range))
      .orderBy(sql.ref(column), 'desc')
      .orderBy('accepted_at', 'desc')
      .limit(1)
      .offset(MOST_EXAMINED - 1)
      .modifyEnd(dialect.anew)
      .executeTakeFirst();
    return end?.accepted_at;
  }

  return async (filter) => {
    const { applicationNo, since = 0, until = EVERYTHING.before, cursor } = filter;
    const after = cursor === undefined ? undefined : (keyOf(cursor, 2) as [number, number]);
    const wanted: Wanted = { filter, after };
    const range = { from: since, before: after === undefined ? until : Math.min(until, after[0] + 1) };
    const limit = filter.limit + 1;
    const way = (lead: Searched): Way<CaseRow> => ({
      end: (piece) => endAlong(lead, wanted, piece),
      rows: (piece, most) => rowsAlong(lead, wanted, piece, most),
    });
    const [first, ...others] = SEARCHED.filter((name) => filter[name] !== undefined);
    // An application number is one case for each caller at most.
    const rows =
      applicationNo !== undefined
        ? await rowsAlong('applicationNo', wanted, range, limit)
        : first === undefined || others.length === 0
          ? await rowsAlong(first ?? 'time', wanted, range, limit)
          : await search([way(first), ...others.map(way)], { range, newestFirst: true, limit });
    return paged(rows, filter.limit, caseOf, (row) => [row.accepted_at, row.seq]);
  };
}
