import { type SqlBool, sql } from 'kysely';
import type { CaseEvent } from '../../contracts/ports/case.ts';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import type { CaseReads, LaneState, Pause } from '../../contracts/ports/store.ts';
import { unindexed } from './bounded-search.ts';
import { makeCaseSearch } from './case-search.ts';
import { keyOf, paged } from './cursor.ts';
import { makeEnvelopeSearch } from './envelope-search.ts';
import { gathered } from './gathered.ts';
import type { StoreParts } from './parts.ts';
import { prepared } from './prepared.ts';
import { type CaseRow, caseOf, OPEN, openOf, viewOf } from './rows.ts';
import type { Place, Tables } from './tables.ts';

type Reads = Omit<CaseReads, 'unmatched' | 'message'>;

/** Reads a case as it stands on the disk; where that is a way to a server and back, for all who ask in the same turn. */
export function caseReader(
  db: StoreParts['db'],
  { between }: StoreParts['dialect'],
): (caseNo: string) => Promise<CaseRow | undefined> {
  if (between === undefined) {
    const one = prepared((p: { caseNo: string }) => db.selectFrom('cases').selectAll().where('case_no', '=', p.caseNo));
    return async (caseNo) => (await db.executeQuery(one({ caseNo }))).rows[0];
  }
  const many = prepared((p: { caseNos: readonly string[] }) =>
    db.selectFrom('cases').selectAll().where(sql<SqlBool>`case_no = any(${p.caseNos})`),
  );
  return gathered(async (caseNos: readonly string[]) => {
    const { rows } = await db.executeQuery(many({ caseNos: [...new Set(caseNos)] }));
    const found = new Map(rows.map((row) => [row.case_no, row]));
    return caseNos.map((caseNo) => found.get(caseNo));
  });
}

/** What anybody may ask. Reads wait for the transaction under way, so they never see what is not yet on disk. */
export function makeReads({ db, dialect }: Pick<StoreParts, 'db' | 'dialect'>): Reads {
  const caseByNo = prepared((p: { caseNo: string }) =>
    db.selectFrom('cases').selectAll().where('case_no', '=', p.caseNo),
  );
  const envelopeById = prepared((p: { id: string }) => db.selectFrom('envelopes').selectAll().where('id', '=', p.id));
  const eventsAfter = prepared((p: { caseNo: string; after: number; limit: number }) =>
    db
      .selectFrom('events')
      .select(['no', 'event'])
      .where('case_no', '=', p.caseNo)
      .where('no', '>', p.after)
      .orderBy('no')
      .limit(p.limit),
  );
  const depth = db
    .selectFrom('envelopes')
    .select((e) => [
      'lane',
      sql<Place>`place`.as('place'),
      e.fn.countAll<number>().as('n'),
      e.fn.min('seq').as('oldest'),
    ])
    .where('place', 'in', [...OPEN, 'unanswered'])
    .groupBy(['place', 'lane'])
    .compile();
  const columns = ['id', 'case_no', 'step_no', 'lane', 'place', 'updated_at'] as const;
  const openOfCases = (caseNos: readonly string[]) =>
    db
      .selectFrom('envelopes')
      .select([...columns])
      .where('case_no', 'in', [...caseNos])
      // A case has few, and what stands open may be much.
      .where(unindexed('place'), 'in', [...OPEN])
      .orderBy('case_no')
      .orderBy('seq');
  const createdAt = prepared((p: { seq: number }) =>
    db.selectFrom('envelopes').select('created_at').where('seq', '=', p.seq),
  );
  const laneRows = db.selectFrom('lanes').selectAll().compile();
  const unmatched = db
    .selectFrom('messages')
    .select((e) => ['party', e.fn.countAll<number>().as('n')])
    .where('message', 'is not', null)
    .groupBy('party')
    .compile();

  return {
    async caseOf(caseNo) {
      const { rows } = await db.executeQuery(caseByNo({ caseNo }));
      return rows[0] && caseOf(rows[0]);
    },

    cases: makeCaseSearch({ db, dialect }),

    /** In the order in which it happened. */
    async timeline(caseNo, cursor, limit) {
      const [after] = cursor === undefined ? [0] : keyOf(cursor, 1);
      const { rows } = await db.executeQuery(eventsAfter({ caseNo, after: after ?? 0, limit: limit + 1 }));
      return paged(
        rows,
        limit,
        ({ event }) => JSON.parse(event) as CaseEvent,
        ({ no }) => [no],
      );
    },

    async pauses() {
      const { rows } = await db.executeQuery(laneRows);
      return new Map(
        rows.flatMap((row) => {
          const paused = pauseOf(row);
          return paused === null ? [] : [[row.lane, paused] as const];
        }),
      );
    },

    async open(caseNos) {
      if (caseNos.length === 0) return [];
      return (await openOfCases(caseNos).execute()).map(openOf);
    },

    async envelope(id) {
      const { rows } = await db.executeQuery(envelopeById({ id }));
      return rows[0] && viewOf(rows[0]);
    },

    envelopes: makeEnvelopeSearch({ db, dialect }),

    /** Every lane that has ever had a delivery or a pause, or has something open. `lastDelivered` is exact to a second. */
    async lanes() {
      const [depths, rows, kept] = await Promise.all([
        db.executeQuery(depth),
        db.executeQuery(laneRows),
        db.executeQuery(unmatched),
      ]);
      const states = new Map<Party, LaneState>();
      const change = (lane: Party, with_: (state: LaneState) => Partial<LaneState>) => {
        const state = states.get(lane) ?? empty(lane);
        states.set(lane, { ...state, ...with_(state) });
      };
      for (const row of rows.rows) {
        change(row.lane, () => ({
          paused: pauseOf(row),
          away:
            row.away_since === null ? null : { since: row.away_since, reason: JSON.parse(row.away_reason ?? 'null') },
          lastDelivered: row.last_delivered_at,
        }));
      }
      const oldest = new Map<Party, number>();
      for (const { lane, place, n, oldest: seq } of depths.rows) {
        if (place === 'leased') change(lane, () => ({ leased: n }));
        else if (place === 'parked' || place === 'unanswered') change(lane, ({ parked }) => ({ parked: parked + n }));
        else {
          change(lane, ({ waiting }) => ({ waiting: waiting + n }));
          oldest.set(lane, Math.min(seq, oldest.get(lane) ?? seq));
        }
      }
      for (const [lane, seq] of oldest) {
        const { rows: first } = await db.executeQuery(createdAt({ seq }));
        const oldestWaiting: Millis | null = first[0]?.created_at ?? null;
        change(lane, () => ({ oldestWaiting }));
      }
      for (const { party, n } of kept.rows) change(party, () => ({ unmatched: n }));
      return [...states.values()].sort((a, b) => (a.lane < b.lane ? -1 : 1));
    },
  };
}

function pauseOf({ paused_at: at, paused_by: by, paused_reason: reason }: Tables['lanes']): Pause | null {
  return at === null ? null : { by: by ?? '', reason: reason ?? '', at };
}

function empty(lane: Party): LaneState {
  return {
    lane,
    paused: null,
    away: null,
    waiting: 0,
    leased: 0,
    parked: 0,
    oldestWaiting: null,
    lastDelivered: null,
    unmatched: 0,
  };
}
