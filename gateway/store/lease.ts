import { sql } from 'kysely';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import type { DeliveryStore, Lease } from '../../contracts/ports/store.ts';
import type { Tx } from './group.ts';
import type { StoreParts } from './parts.ts';
import { prepared } from './prepared.ts';
import { caseOf, type EnvelopeRow, envelopeOf, mayNotBeSent } from './rows.ts';
import type { Place } from './tables.ts';
import { reading } from './together.ts';

/** Woken in one round; the rest in the next, which `due` makes come at once. */
const MOST_WOKEN = 1_000;
/**
 * Of a lease that ran out. One that nobody has begun was sent by nobody: whoever is given it to begin does not call the party before the store has said so. A node
 * of the version before gives leases of which this column says nothing.
 */
const MAY_HAVE_BEEN_SENT = sql<boolean>`place = 'leased' and coalesce(unbegun_fence, -1) <> fence`;

/**
 * The right to work on envelopes. A round first wakes what time has made ready: sleepers whose time has come, and leases that
 * ran out, which are in doubt from then on. Both by one small index, so that its cost does not grow with what was delivered.
 */
export function makeLease({ db, dialect, group, book }: StoreParts): Pick<DeliveryStore, 'lease' | 'due'> {
  const wake = prepared((p: { now: Millis }) =>
    db
      .updateTable('envelopes')
      .set({
        // Not `exists`: PostgreSQL 18 answers that for many by reading all cases.
        place: sql<Place>`case when (select cases.held from cases where cases.case_no = envelopes.case_no) = 1
                          then 'held' else 'ready' end`,
        in_doubt: sql<number>`case when ${MAY_HAVE_BEEN_SENT} then 1 else in_doubt end`,
        // Whoever held it may have sent it until now.
        doubted_at: sql<Millis | null>`case when ${MAY_HAVE_BEEN_SENT} then ${p.now} else doubted_at end`,
        first_sent_at: sql<Millis | null>`case when place = 'leased' and unbegun_fence = fence and attempts = 0 and in_doubt = 0
                                               then null else first_sent_at end`,
        doubted_fence: sql<number | null>`case when place = 'leased' then fence else doubted_fence end`,
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
  const take = prepared((p: { lane: Party; most: number; until: Millis; now: Millis; toBegin: 0 | 1 }) =>
    db
      .updateTable('envelopes')
      .set({
        place: 'leased',
        fence: sql<number>`fence + 1`,
        wakes_at: p.until,
        updated_at: p.now,
        first_sent_at: sql<Millis>`coalesce(first_sent_at, ${p.now})`,
        // What a node of the version before did since is in doubt since then: it does not write down when.
        doubted_at: sql<Millis | null>`case when in_doubt = 0 then null when doubted_fence = fence then doubted_at else updated_at end`,
        doubted_fence: null,
        unbegun_fence: sql<number | null>`case when ${p.toBegin} = 1 then fence + 1 end`,
      })
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
  /** Read only: what is leased is looked at once more before it is sent. */
  const casesByNo = reading(
    dialect,
    (asked) => db.selectFrom('cases').selectAll().where(asked('case_no')),
    ({ case_no }) => case_no,
  );
  const cancel = prepared((p: { seq: number; now: Millis }) =>
    db
      .updateTable('envelopes')
      .set({ place: 'cancelled', wakes_at: null, first_sent_at: null, updated_at: p.now })
      .where('seq', '=', p.seq),
  );
  // Each by the first of an index that keeps only what waits. That it is not null has to be said: without it SQLite does not take such an index, and reads all.
  const due = db
    .selectNoFrom((query) => [
      query
        .selectFrom('envelopes')
        .select('wakes_at')
        .where('wakes_at', 'is not', null)
        .orderBy('wakes_at')
        .limit(1)
        .as('envelopes'),
      query.selectFrom('envelopes').select('seq').where('place', '=', 'ready').limit(1).as('ready'),
      query
        .selectFrom('envelopes')
        .select('answer_due')
        .where('answer_due', 'is not', null)
        .orderBy('answer_due')
        .limit(1)
        .as('answers'),
      query
        .selectFrom('messages')
        .select('received_at')
        .where('message', 'is not', null)
        .orderBy('received_at')
        .limit(1)
        .as('kept'),
      query
        .selectFrom('cases')
        .select('owed_due')
        .where('owed_due', 'is not', null)
        .orderBy('owed_due')
        .limit(1)
        .as('owed'),
    ])
    .compile();

  async function leaseLane(
    tx: Tx,
    { lane, limit }: { lane: Party; limit: number },
    { forMs, now, toBegin }: { readonly forMs: number; readonly now: Millis; readonly toBegin: boolean },
  ): Promise<readonly Lease[]> {
    // Two nodes that lease a lane at once would each see room for all of it. Whoever comes second looks again when the first is done.
    const [alone, seen] = await Promise.all([
      dialect.between === undefined ? { got: true } : tx.first(dialect.between.alone(`lane ${lane}`)),
      tx.first(look({ lane })),
    ]);
    if (!alone?.got) {
      tx.lanes.add(lane);
      return [];
    }
    const most = limit - (seen?.leased ?? 0);
    if (seen === undefined || seen.ready === null || seen.paused !== null || most <= 0) return [];
    const rows = await tx.rows(take({ lane, most, until: now + forMs, now, toBegin: toBegin ? 1 : 0 }));
    const cases = await Promise.all(rows.map(({ case_no }) => tx.together(casesByNo, case_no)));
    const leases: { readonly seq: number; readonly lease: Lease }[] = [];
    for (const [i, row] of rows.entries()) {
      const [ofCase] = cases[i] ?? [];
      if (ofCase === undefined) continue;
      const record = caseOf(ofCase);
      const ended = mayNotBeSent(record, row);
      if (ended && row.in_doubt === 0) {
        await tx.write(cancel({ seq: row.seq, now }));
        await book.rearrange(tx, row.case_no);
      } else leases.push({ seq: row.seq, lease: leaseOf(row, record.statutoryBy.at, ended) });
    }
    // `returning` promises no order.
    return leases.sort((a, b) => a.seq - b.seq).map(({ lease }) => lease);
  }

  return {
    lease: ({ lanes, forMs, now, toBegin = false }) =>
      group.run(async (tx) => {
        const asked = new Set(lanes.map(({ lane }) => lane));
        const [woken, ...leases] = await Promise.all([
          tx.rows(wake({ now })),
          ...lanes.map((lane) => leaseLane(tx, lane, { forMs, now, toBegin })),
        ]);
        for (const { lane } of woken) if (!asked.has(lane)) tx.lanes.add(lane);
        return leases.flat();
      }),

    async due() {
      const { rows } = await db.executeQuery(due);
      const { envelopes = null, ready = null, answers = null, kept = null, owed = null } = rows[0] ?? {};
      return { envelopes, ready: ready !== null, answers, kept: kept !== null, owed };
    },
  };
}

export function leaseOf(row: EnvelopeRow, statutoryBy: Millis, ended: boolean): Lease {
  return {
    envelope: envelopeOf(row),
    fence: row.fence,
    until: row.wakes_at ?? 0,
    attempts: row.attempts,
    inDoubt: row.in_doubt === 1,
    doubtedAt: row.doubted_at,
    firstSentAt: row.first_sent_at ?? row.updated_at,
    statutoryBy,
    ended,
  };
}
