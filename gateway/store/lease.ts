import { sql } from 'kysely';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import type { DeliveryStore, Lease } from '../../contracts/ports/store.ts';
import type { Tx } from './group.ts';
import type { StoreParts } from './parts.ts';
import { prepared } from './prepared.ts';
import { type EnvelopeRow, envelopeOf } from './rows.ts';
import type { Place } from './tables.ts';

/** Woken in one round; the rest in the next, which `nextDue` makes come at once. */
const MOST_WOKEN = 1_000;

/**
 * The right to work on envelopes. A round first wakes what time has made ready: sleepers whose time has come, and leases that
 * ran out, which are in doubt from then on. Both by one small index, so that its cost does not grow with what was delivered.
 */
export function makeLease({ db, dialect, group }: StoreParts): Pick<DeliveryStore, 'lease' | 'nextDue'> {
  const wake = prepared((p: { now: Millis }) =>
    db
      .updateTable('envelopes')
      .set({
        place: sql<Place>`case when exists (select 1 from cases where cases.case_no = envelopes.case_no and cases.held = 1)
                          then 'held' else 'ready' end`,
        in_doubt: sql<number>`case when place = 'leased' then 1 else in_doubt end`,
        wakes_at: null,
        updated_at: p.now,
      })
      .where('seq', 'in', (query) =>
        query
          .selectFrom('envelopes')
          .select('seq')
          .where('wakes_at', '<=', p.now)
          .orderBy('wakes_at')
          .limit(MOST_WOKEN)
          .$if(dialect.locksRows, (rows) => rows.forUpdate().skipLocked()),
      )
      .returning('lane'),
  );
  const look = prepared((p: { lane: Party }) =>
    db.selectNoFrom((query) => [
      query
        .selectFrom('envelopes')
        .select((count) => count.fn.countAll<number>().as('n'))
        .where('place', '=', 'leased')
        .where('lane', '=', p.lane)
        .as('leased'),
      query
        .selectFrom('envelopes')
        .select('seq')
        .where('place', '=', 'ready')
        .where('lane', '=', p.lane)
        .limit(1)
        .as('ready'),
      query.selectFrom('lanes').select('paused_at').where('lane', '=', p.lane).as('paused'),
    ]),
  );
  const take = prepared((p: { lane: Party; most: number; until: Millis; now: Millis }) =>
    db
      .updateTable('envelopes')
      .set({ place: 'leased', fence: sql<number>`fence + 1`, wakes_at: p.until, updated_at: p.now })
      .where('seq', 'in', (query) =>
        query
          .selectFrom('envelopes')
          .select('seq')
          .where('place', '=', 'ready')
          .where('lane', '=', p.lane)
          .orderBy('seq')
          .limit(p.most)
          .$if(dialect.locksRows, (rows) => rows.forUpdate().skipLocked()),
      )
      .returningAll(),
  );
  const first = (column: 'wakes_at' | 'answer_due') =>
    db
      .selectFrom('envelopes')
      .select(`${column} as at`)
      // Without it the partial index would not be used.
      .where(column, 'is not', null)
      .orderBy(column)
      .limit(1)
      .compile();
  const firstWake = first('wakes_at');
  const firstAnswer = first('answer_due');

  async function leaseLane(
    tx: Tx,
    { lane, limit }: { lane: Party; limit: number },
    forMs: number,
    now: Millis,
  ): Promise<readonly Lease[]> {
    const seen = await tx.first(look({ lane }));
    const most = limit - (seen?.leased ?? 0);
    if (seen === undefined || seen.ready === null || seen.paused !== null || most <= 0) return [];
    const rows = await tx.rows(take({ lane, most, until: now + forMs, now }));
    // `returning` promises no order.
    return rows.sort((a, b) => a.seq - b.seq).map(leaseOf);
  }

  return {
    lease: ({ lanes, forMs, now }) =>
      group.run(async (tx) => {
        const asked = new Set(lanes.map(({ lane }) => lane));
        for (const { lane } of await tx.rows(wake({ now }))) if (!asked.has(lane)) tx.lanes.add(lane);
        const leases: Lease[] = [];
        for (const lane of lanes) leases.push(...(await leaseLane(tx, lane, forMs, now)));
        return leases;
      }),

    /** May be past: then something is due that nobody has taken yet. What is ready counts no more, its wake-up has been given. */
    async nextDue() {
      const found = await Promise.all([db.executeQuery(firstWake), db.executeQuery(firstAnswer)]);
      const times = found.flatMap(({ rows }) => rows.map(({ at }) => at)).filter((at) => at !== null);
      return times.length === 0 ? null : Math.min(...times);
    },
  };
}

function leaseOf(row: EnvelopeRow): Lease {
  return {
    envelope: envelopeOf(row),
    fence: row.fence,
    until: row.wakes_at ?? 0,
    attempts: row.attempts,
    inDoubt: row.in_doubt === 1,
  };
}
