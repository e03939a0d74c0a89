import { MOST_PUBLISHED, type PublicEvent, type PublicEvents } from '../../contracts/ports/public-event.ts';
import type { StoreParts } from './parts.ts';
import { prepared } from './prepared.ts';

/** Rows that one statement forgets of those that are too many: it must not keep the database from anything else for long. */
const MOST_GIVEN_UP = 10_000;

/** The outbox of the events for others: written with the cases (`casebook.ts`), read and emptied by whoever publishes. */
export function makePublicEvents({ db, group, book }: StoreParts): PublicEvents {
  const oldest = prepared((p: { limit: number }) =>
    db.selectFrom('public_events').selectAll().where('seq', '>', 0).orderBy('seq').limit(p.limit),
  );
  const places = Array.from({ length: MOST_PUBLISHED }, (_, i) => i);
  /** One text, however many there are. */
  const forget = prepared((p: readonly number[]) =>
    db.deleteFrom('public_events').where(
      'seq',
      'in',
      places.map((i) => p[i] as number),
    ),
  );
  // Two questions: SQLite answers one for both by reading every row.
  const ends = db
    .selectNoFrom((query) => [
      query.selectFrom('public_events').select('seq').where('seq', '>', 0).orderBy('seq').limit(1).as('first'),
      query.selectFrom('public_events').select('seq').where('seq', '>', 0).orderBy('seq', 'desc').limit(1).as('last'),
    ])
    .compile();
  const giveUp = prepared((p: { upTo: number }) =>
    db
      .deleteFrom('public_events')
      .where('seq', 'in', (from) =>
        from.selectFrom('public_events').select('seq').where('seq', '<=', p.upTo).orderBy('seq').limit(MOST_GIVEN_UP),
      ),
  );

  return {
    tell: (events) => group.run((tx) => book.publish(tx, events)),

    async unpublished(limit) {
      const { rows } = await db.executeQuery(oldest({ limit }));
      return rows.map(({ seq, event }) => ({ seq, event: JSON.parse(event) as PublicEvent }));
    },

    published: (seqs) =>
      group.run(async (tx) => {
        const [first] = seqs;
        if (first !== undefined) await tx.write(forget(places.map((i) => seqs[i] ?? first)));
      }),

    /** Counted by the first and the last: what is missing between them was published, or never written. */
    async giveUp(most) {
      const { rows } = await db.executeQuery(ends);
      const { first = null, last = null } = rows[0] ?? {};
      if (first === null || last === null || last - first < most) return 0;
      const { numAffectedRows = 0n } = await db.executeQuery(giveUp({ upTo: last - most }));
      return Number(numAffectedRows);
    },
  };
}
