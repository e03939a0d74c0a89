import type { EnvelopeView } from '../../contracts/ports/case.ts';
import type { EnvelopeState, Party } from '../../contracts/ports/envelope.ts';
import type { CaseReads, Page } from '../../contracts/ports/store.ts';
import { EVERYTHING, MOST_EXAMINED, type Range, search, unindexed, type Way } from './bounded-search.ts';
import { keyOf, paged } from './cursor.ts';
import type { StoreParts } from './parts.ts';
import { type EnvelopeRow, PLACES, viewOf } from './rows.ts';
import type { Place } from './tables.ts';

type Filter = Parameters<CaseReads['envelopes']>[0];

/** Oldest first. Places of a range are the rows' numbers. */
export function makeEnvelopeSearch({
  db,
  dialect,
}: Pick<StoreParts, 'db' | 'dialect'>): (filter: Filter) => Promise<Page<EnvelopeView>> {
  const inRange = ({ from, before }: Range, limit: number) =>
    db
      .selectFrom('envelopes')
      .selectAll()
      .where('seq', '>=', from)
      .where('seq', '<', before)
      .orderBy('seq')
      .limit(limit)
      .modifyEnd(dialect.anew);

  const ofCase = (caseNo: string, { state, party }: Filter, range: Range, limit: number) =>
    inRange(range, limit)
      .where('case_no', '=', caseNo)
      .$if(state === 'delivered', (query) => query.where('place', 'is', null))
      .$if(state !== undefined && state !== 'delivered', (query) =>
        query.where(unindexed('place'), 'in', placesOf(state)),
      )
      .$if(party !== undefined, (query) => query.where(unindexed('lane'), '=', party ?? ''))
      .execute();

  const ofLane = (party: Party | undefined, range: Range, limit: number) =>
    inRange(range, limit).$if(party !== undefined, (query) => query.where('lane', '=', party ?? ''));

  const atPlace = (place: Place, party: Party | undefined, range: Range, limit: number) =>
    ofLane(party, range, limit).where('place', '=', place).execute();

  const delivered = (party: Party | undefined): Way<EnvelopeRow> => ({
    async end({ from, before }) {
      const end = await db
        .selectFrom('envelopes')
        .select('seq')
        .$if(party !== undefined, (query) => query.where('lane', '=', party ?? ''))
        .where('seq', '>=', from)
        .where('seq', '<', before)
        .orderBy('seq')
        .limit(1)
        .offset(MOST_EXAMINED - 1)
        .modifyEnd(dialect.anew)
        .executeTakeFirst();
      return end?.seq;
    },
    rows: (range, limit) => ofLane(party, range, limit).where('place', 'is', null).execute(),
  });

  return async (filter) => {
    const { state, party, caseNo, cursor } = filter;
    const range = { ...EVERYTHING, from: (cursor === undefined ? 0 : (keyOf(cursor, 1)[0] ?? 0)) + 1 };
    const limit = filter.limit + 1;
    const find = async (): Promise<readonly EnvelopeRow[]> => {
      if (caseNo !== undefined) return ofCase(caseNo, filter, range, limit);
      if (state === undefined) return ofLane(party, range, limit).execute();
      if (state === 'delivered') return search([delivered(party)], { range, newestFirst: false, limit });
      // Each place has its index in the order of reading; to sort them all would be to read everything that waits.
      const found = await Promise.all(placesOf(state).map((place) => atPlace(place, party, range, limit)));
      return found.flat().sort((a, b) => a.seq - b.seq);
    };
    return paged(await find(), filter.limit, viewOf, ({ seq }) => [seq]);
  };
}

const placesOf = (state: EnvelopeState | undefined): readonly Place[] =>
  state === undefined || state === 'delivered' ? [] : PLACES[state];
