import { sql } from 'kysely';
import type { Json, Millis } from '../../contracts/ports/envelope.ts';
import { MOST_VALUE_BYTES, MOST_VALUE_NAMES, type OnceValues } from '../../contracts/ports/once-values.ts';
import type { StoreParts } from './parts.ts';
import { compilable, prepared } from './prepared.ts';

const SWEEP_EVERY_MS = 60_000;
/** Rows that one sweep deletes. More than are made in its time, so that it keeps up. */
const MOST_SWEPT = 500;
/** After its envelope has ended: a party may be asked about it for as long, and a person may look. */
const LASTS_MS = 90 * 86_400_000;

/** The values that envelopes are sent with, fixed before their first send. Written with the group's commits: nobody waits for a row of another's. */
export function makeEnvelopeValues({ db, dialect, group, clock, log }: StoreParts): OnceValues {
  const read = prepared((p: { envelope_id: string }) =>
    db.selectFrom('envelope_values').select(['name', 'value']).where('envelope_id', '=', p.envelope_id),
  );
  // A row that is there is given back as it is: the update changes nothing.
  const keep = prepared((p: { envelope_id: string; name: string; value: string; at: Millis }) =>
    compilable<{ readonly value: string }>(
      db,
      sql`insert into envelope_values (envelope_id, name, value, at)
          select cast(${p.envelope_id} as text), cast(${p.name} as text), cast(${p.value} as text), cast(${p.at} as bigint)
          where (select count(*) from envelope_values where envelope_id = ${p.envelope_id} and name <> ${p.name})
                < ${sql.lit(MOST_VALUE_NAMES)}
          on conflict (envelope_id, name) do update set at = envelope_values.at
          returning value`,
    ),
  );
  // Walks the oldest values; each envelope is looked up by its id. As a value, not as a join: a plan for that might read all envelopes.
  const sweep = prepared((p: { before: Millis }) =>
    db.deleteFrom('envelope_values').where((row) =>
      row(
        row.refTuple('envelope_id', 'name'),
        'in',
        row
          .selectFrom('envelope_values as old')
          .select(['old.envelope_id', 'old.name'])
          .where('old.at', '<', p.before)
          .where(
            sql<boolean>`coalesce(
              (select case when envelopes.updated_at < ${p.before} and envelopes.answer_due is null
                             and (envelopes.place is null or envelopes.place in ('refused', 'cancelled')) then 1 else 0 end
               from envelopes where envelopes.id = old.envelope_id), 1) = 1`,
          )
          .orderBy('old.at')
          .limit(MOST_SWEPT)
          .$if(dialect.locksRows, (rows) => rows.forUpdate().skipLocked())
          .$asTuple('envelope_id', 'name'),
      ),
    ),
  );
  let sweptAt = clock.now();

  /** After a write, now and then: only writing makes anything to sweep. */
  async function swept(now: Millis): Promise<void> {
    if (now - sweptAt < SWEEP_EVERY_MS) return;
    sweptAt = now;
    try {
      await db.executeQuery(sweep({ before: now - LASTS_MS }));
    } catch (error) {
      log.warn('values of ended envelopes could not be deleted yet', { error });
    }
  }

  return {
    async once(envelopeId, name, value) {
      const text = JSON.stringify(value);
      if (Buffer.byteLength(text) > MOST_VALUE_BYTES) throw new RangeError(`a value of more than ${MOST_VALUE_BYTES}`);
      const now = clock.now();
      const row = await group.run((tx) => tx.first(keep({ envelope_id: envelopeId, name, value: text, at: now })));
      if (row === undefined) throw new RangeError(`an envelope has at most ${MOST_VALUE_NAMES} values`);
      await swept(now);
      return JSON.parse(row.value) as Json;
    },

    async onceValues(envelopeId) {
      const { rows } = await db.executeQuery(read({ envelope_id: envelopeId }));
      return Object.fromEntries(rows.map(({ name, value }) => [name, JSON.parse(value) as Json]));
    },
  };
}
