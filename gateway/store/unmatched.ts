import { sql } from 'kysely';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { KeptMessage, Message, Millis, Party } from '../../contracts/ports/envelope.ts';
import type { CaseReads, Cursor, DeliveryStore, DeskStore, StoredMessage } from '../../contracts/ports/store.ts';
import { KEPT_COLUMNS, type KeptRow, keptOf, lookupColumns } from './message-rows.ts';
import type { StoreParts } from './parts.ts';
import { prepared } from './prepared.ts';
import type { Tables } from './tables.ts';

/** Rows that one transaction ends or forgets. As a number in the statement: of a limit it does not know PostgreSQL believes that it is much, and reads the table. */
const BATCH = 500;

/** How a person ended a message, as the row says it. */
export type Ended =
  | {
      readonly as: 'attached';
      readonly envelope: string;
      readonly by: string;
      readonly reason: string;
      readonly at: Millis;
    }
  | { readonly as: 'discarded'; readonly by: string; readonly reason: string; readonly at: Millis };

type Place = Pick<KeptMessage, 'receivedAt' | 'dedupe' | 'from'>;

/** Messages that wait for their envelope, and the names of those that do not any more. */
export interface Unmatched {
  /** In the order in which they came, those after `after`. What a program of before has kept is made so that it can be looked up. */
  page(party: Party | null, limit: number, after: Place | null): Promise<readonly KeptMessage[]>;
  find(id: string): Promise<Tables['messages'] | undefined>;
}

export function makeUnmatched({ db, group }: Pick<StoreParts, 'db' | 'group'>): Unmatched {
  const byId = prepared((p: { id: string }) => db.selectFrom('messages').selectAll().where('id', '=', p.id));
  const name = prepared((p: { party: Party; dedupe: string } & ReturnType<typeof lookupColumns>) =>
    db
      .updateTable('messages')
      .set({ id: p.id, about_key: p.about_key, about_number: p.about_number })
      .where('party', '=', p.party)
      .where('dedupe', '=', p.dedupe),
  );

  async function nameAll(rows: readonly KeptRow[]): Promise<void> {
    const unnamed = rows.filter(({ id }) => id === null);
    if (unnamed.length === 0) return;
    await group.run((tx) =>
      tx.write(
        ...unnamed.map(({ party, dedupe, message }) =>
          name({ party, dedupe, ...lookupColumns(JSON.parse(message ?? 'null') as Message) }),
        ),
      ),
    );
  }

  return {
    async page(party, limit, after) {
      const { rows } = await db.executeQuery(
        db
          .selectFrom('messages')
          .select([...KEPT_COLUMNS])
          .where('message', 'is not', null)
          .$if(party !== null, (query) => query.where('party', '=', party as Party))
          .$if(after !== null, (query) =>
            query.where((e) =>
              e(
                e.refTuple('received_at', 'dedupe', 'party'),
                '>',
                e.tuple(after?.receivedAt ?? 0, after?.dedupe ?? '', after?.from ?? ''),
              ),
            ),
          )
          .orderBy('received_at')
          .orderBy('dedupe')
          .orderBy('party')
          .limit(limit)
          .compile(),
      );
      await nameAll(rows);
      return rows.map(keptOf);
    },

    find: async (id) => (await db.executeQuery(byId({ id }))).rows[0],
  };
}

/** What may be asked of kept messages, and how they end without an envelope. */
export function makeMessageEnds(
  { db, dialect, group, clock }: StoreParts,
  unmatched: Unmatched,
): Pick<CaseReads, 'unmatched' | 'message'> &
  Pick<DeskStore, 'discarded'> &
  Pick<DeliveryStore, 'endMessages' | 'forgetSeen'> {
  const discard = prepared((p: { id: string; ended: string }) =>
    db
      .updateTable('messages')
      .set({ message: null, problem: null, ended: p.ended })
      .where('id', '=', p.id)
      .where('message', 'is not', null),
  );
  const oldest = (before: Millis, kept: boolean) =>
    db
      .selectFrom('messages as old')
      .select(['old.party', 'old.dedupe'])
      .where('old.message', kept ? 'is not' : 'is', null)
      .where('old.received_at', '<', before)
      .orderBy('old.received_at')
      .limit(sql.lit(BATCH))
      .$if(dialect.locksRows, (rows) => rows.forUpdate().skipLocked())
      .$asTuple('party', 'dedupe');
  const end = prepared((p: { before: Millis }) =>
    db
      .deleteFrom('messages')
      .where((row) => row(row.refTuple('party', 'dedupe'), 'in', oldest(p.before, true)))
      .returning('party'),
  );
  const forget = prepared((p: { before: Millis }) =>
    db.deleteFrom('messages').where((row) => row(row.refTuple('party', 'dedupe'), 'in', oldest(p.before, false))),
  );

  return {
    async unmatched({ party = null, cursor, limit }) {
      const rows = await unmatched.page(party, limit + 1, cursor === undefined ? null : await placeOf(cursor));
      const shown = rows.slice(0, limit);
      const last = shown.at(-1);
      return { rows: shown, next: rows.length > limit && last !== undefined ? `${last.receivedAt}-${last.id}` : null };
    },

    async message(id) {
      const row = await unmatched.find(id);
      return row && storedOf(row);
    },

    async discarded(id, by, reason) {
      const ended: Ended = { as: 'discarded', by, reason, at: clock.now() };
      const written = await group.run((tx) => tx.write(discard({ id, ended: JSON.stringify(ended) })));
      if (written > 0) return 'discarded';
      return (await unmatched.find(id)) && 'ended';
    },

    endMessages: (before) =>
      group.run(async (tx) => {
        const counts = new Map<Party, number>();
        for (const { party } of await tx.rows(end({ before }))) counts.set(party, (counts.get(party) ?? 0) + 1);
        return counts;
      }),

    forgetSeen: (before) => group.run((tx) => tx.write(forget({ before }))),
  };

  /** Where a page ended. The message itself may have ended since. @throws Unfit 400 for anything we did not give out */
  async function placeOf(cursor: Cursor): Promise<Place> {
    const [, at, id] = /^(\d{1,16})-([0-9a-f]{32})$/.exec(cursor) ?? [];
    if (at === undefined || id === undefined)
      throw new Unfit(400, 'cursorInvalid', { zh: '分页游标无效', en: 'the cursor is not one of ours' });
    const row = await unmatched.find(id);
    return { receivedAt: Number(at), dedupe: row?.dedupe ?? '', from: row?.party ?? '' };
  }
}

function storedOf(row: Tables['messages']): StoredMessage {
  if (row.message !== null) return { state: 'unmatched', message: keptOf(row) };
  const ended: Ended | null = row.ended === null ? null : JSON.parse(row.ended);
  if (ended?.as === 'attached') return { state: 'attached', from: row.party, envelopeId: ended.envelope };
  return { state: ended === null ? 'applied' : 'discarded', from: row.party };
}
