import { sql } from 'kysely';
import type { Coordination } from '../../contracts/ports/coordination.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { StoreParts } from './parts.ts';
import { prepared } from './prepared.ts';

const SWEEP_EVERY_MS = 60_000;
/** Rows of each table that one sweep takes. More than are made in its time, so that it keeps up. */
const MOST_SWEPT = 500;
/** Beyond its end a row stays this long: nodes whose clocks differ still find it. */
const SWEPT_AFTER_MS = 3_600_000;
/** An allotment is needed as long as anybody's clock is in its period; the longest is a day. */
const ALLOTMENT_LASTS_MS = 2 * 86_400_000;

/**
 * What all nodes know together. Each question is decided by the one statement that asks it, so that nodes asking at once need no lock but the row's, which
 * is held for that statement alone. That is also why these do not share the group's transactions: a row that every node wants would then be held while
 * 128 other operations run, and two such transactions could wait for each other.
 */
export function makeCoordination({ db, dialect, clock, log }: StoreParts): Coordination {
  const allot = prepared((p: { party: string; period: string; limit: number; most: number; ends_at: Millis }) =>
    db
      .insertInto('allotments')
      .values({ party: p.party, period: p.period, taken: p.most, latest: p.most, ends_at: p.ends_at })
      .onConflict((taken) =>
        taken
          .columns(['party', 'period'])
          .doUpdateSet((row) => {
            const latest = sql<number>`case when ${p.limit} - allotments.taken < excluded.latest
                                            then ${p.limit} - allotments.taken else excluded.latest end`;
            return { latest, taken: sql<number>`allotments.taken + ${latest}`, ends_at: row.ref('excluded.ends_at') };
          })
          .where('allotments.taken', '<', p.limit),
      )
      .returning('latest'),
  );
  const allotted = prepared((p: { party: string; period: string }) =>
    db.selectFrom('allotments').select('taken').where('party', '=', p.party).where('period', '=', p.period),
  );
  const claim = prepared((p: { what: string; holder: string; now: Millis; until: Millis }) =>
    db
      .insertInto('claims')
      .values({ what: p.what, holder: p.holder, ends_at: p.until })
      .onConflict((taken) =>
        taken
          .column('what')
          .doUpdateSet((row) => ({ holder: row.ref('excluded.holder'), ends_at: row.ref('excluded.ends_at') }))
          .where((row) =>
            row.or([row('claims.holder', '=', row.ref('excluded.holder')), row('claims.ends_at', '<=', p.now)]),
          ),
      )
      .returning('holder'),
  );
  const unclaim = prepared((p: { what: string; holder: string }) =>
    db.deleteFrom('claims').where('what', '=', p.what).where('holder', '=', p.holder),
  );
  const keep = prepared((p: { key: string; value: string; ends_at: Millis }) =>
    db
      .insertInto('kept')
      .values({ key: p.key, value: p.value, ends_at: p.ends_at })
      .onConflict((taken) =>
        taken
          .column('key')
          .doUpdateSet((row) => ({ value: row.ref('excluded.value'), ends_at: row.ref('excluded.ends_at') })),
      ),
  );
  const kept = prepared((p: { key: string; now: Millis }) =>
    db.selectFrom('kept').select(['value', 'ends_at']).where('key', '=', p.key).where('ends_at', '>', p.now),
  );
  const reserve = prepared((p: { name: string; count: number; next: number }) =>
    db
      .insertInto('sequences')
      .values({ name: p.name, next: p.next })
      .onConflict((taken) =>
        taken.column('name').doUpdateSet({
          next: sql<number>`case when sequences.next + ${p.count} > excluded.next
                                 then sequences.next + ${p.count} else excluded.next end`,
        }),
      )
      .returning('next'),
  );
  const sweeps = [
    prepared((p: { before: Millis }) =>
      db.deleteFrom('allotments').where((row) =>
        row(
          row.refTuple('party', 'period'),
          'in',
          row
            .selectFrom('allotments')
            .select(['party', 'period'])
            .where('ends_at', '<', p.before)
            .orderBy('ends_at')
            .limit(MOST_SWEPT)
            .$if(dialect.locksRows, (rows) => rows.forUpdate().skipLocked())
            .$asTuple('party', 'period'),
        ),
      ),
    ),
    prepared((p: { before: Millis }) =>
      db.deleteFrom('claims').where('what', 'in', (from) =>
        from
          .selectFrom('claims')
          .select('what')
          .where('ends_at', '<', p.before)
          .orderBy('ends_at')
          .limit(MOST_SWEPT)
          .$if(dialect.locksRows, (rows) => rows.forUpdate().skipLocked()),
      ),
    ),
    prepared((p: { before: Millis }) =>
      db.deleteFrom('kept').where('key', 'in', (from) =>
        from
          .selectFrom('kept')
          .select('key')
          .where('ends_at', '<', p.before)
          .orderBy('ends_at')
          .limit(MOST_SWEPT)
          .$if(dialect.locksRows, (rows) => rows.forUpdate().skipLocked()),
      ),
    ),
  ];
  let sweptAt = clock.now();

  /** After a write, now and then: only writing makes anything to sweep. */
  async function swept(): Promise<void> {
    const now = clock.now();
    if (now - sweptAt < SWEEP_EVERY_MS) return;
    sweptAt = now;
    try {
      for (const sweep of sweeps) await db.executeQuery(sweep({ before: now - SWEPT_AFTER_MS }));
    } catch (error) {
      log.warn('what nodes share could not be swept yet', { error });
    }
  }

  return {
    alone: dialect.alone,

    async allot(party, period, limit, most) {
      const first = Math.min(most, limit);
      if (first <= 0) return 0;
      const ends_at = clock.now() + ALLOTMENT_LASTS_MS;
      const { rows } = await db.executeQuery(allot({ party, period, limit, most: first, ends_at }));
      await swept();
      return rows[0]?.latest ?? 0;
    },

    async allotted(party, period) {
      return (await db.executeQuery(allotted({ party, period }))).rows[0]?.taken ?? 0;
    },

    async claim(what, holder, now, until) {
      const { rows } = await db.executeQuery(claim({ what, holder, now, until }));
      await swept();
      return rows.length > 0;
    },

    async unclaim(what, holder) {
      await db.executeQuery(unclaim({ what, holder }));
    },

    async keep(key, value, until) {
      await db.executeQuery(keep({ key, value, ends_at: until }));
      await swept();
    },

    async kept(key, now) {
      const found = (await db.executeQuery(kept({ key, now }))).rows[0];
      return found === undefined ? undefined : { value: found.value, until: found.ends_at };
    },

    async reserve(name, from, count) {
      const { rows } = await db.executeQuery(reserve({ name, count, next: from + count }));
      return Number(rows[0]?.next) - count;
    },
  };
}
