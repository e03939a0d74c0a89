import { sql } from 'kysely';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Message, Millis, Party } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { CaseReads, CaseStore } from '../../contracts/ports/store.ts';
import type { Tx } from './group.ts';
import type { StoreParts } from './parts.ts';
import { prepared } from './prepared.ts';
import { type EnvelopeRow, envelopeOf, OPEN } from './rows.ts';
import { Unavailable } from './unavailable.ts';

/** Messages kept for one party without an envelope they belong to; the next is answered 503, and stays with the party. */
const MOST_KEPT = 1_000;
const REMATCH_PAGE = 100;

type AdvanceWith = Parameters<CaseStore['collected']>[1];

/** What parties say later about what they were given. A message is told from all others by its party and `dedupe`. */
export function makeCollected({
  db,
  group,
  book,
  cases,
  clock,
  log,
}: StoreParts): Pick<CaseStore & CaseReads, 'collected' | 'rematch' | 'unmatched'> {
  const seen = prepared((p: { party: Party; dedupe: string }) =>
    db.selectFrom('messages').select('message').where('party', '=', p.party).where('dedupe', '=', p.dedupe),
  );
  const remember = prepared((p: { party: Party; dedupe: string; at: Millis; message: string | null }) =>
    db
      .insertInto('messages')
      .values({ party: p.party, dedupe: p.dedupe, received_at: p.at, message: p.message })
      .onConflict((c) => c.columns(['party', 'dedupe']).doUpdateSet({ message: p.message })),
  );
  const byNumber = prepared((p: { lane: Party; number: string }) =>
    db
      .selectFrom('envelopes')
      .selectAll()
      .where('lane', '=', p.lane)
      .where('number', '=', p.number)
      // A number that a party used twice means its latest filing.
      .orderBy('seq', 'desc')
      .limit(1),
  );
  const keptCount = prepared((p: { party: Party }) =>
    db
      .selectFrom('messages')
      .select((e) => e.fn.countAll<number>().as('n'))
      .where('party', '=', p.party)
      // Every time there is: so that it goes along the index of what is kept, and not along every name that was ever seen.
      .where('received_at', '>=', 0)
      .where('message', 'is not', null),
  );

  async function find({ from, about }: Message): Promise<EnvelopeRow | undefined> {
    if ('number' in about) return (await db.executeQuery(byNumber({ lane: from, number: about.number }))).rows[0];
    const { rows } = await db.executeQuery(book.byId({ id: about.key }));
    // A party speaks only for what was sent to it.
    return rows[0]?.lane === from ? rows[0] : undefined;
  }

  /**
   * What a party has said about an envelope tells that it has it: it is not sent again, nor does it wait for a person. One that was cancelled here is in doubt
   * from then on, until a person settles what is to hold.
   */
  async function settle(tx: Tx, row: EnvelopeRow, message: Message): Promise<void> {
    if (row.place === 'leased') return;
    const open = row.place !== null && (OPEN.includes(row.place) || row.place === 'unanswered');
    const arrived = {
      place: null,
      wakes_at: null,
      delivered_at: row.delivered_at ?? clock.now(),
      in_doubt: 0,
      doubted_at: null,
    };
    const cancelled = { in_doubt: 1, doubted_at: row.doubted_at ?? clock.now() };
    const become = open ? arrived : row.place === 'cancelled' && row.number === null ? cancelled : {};
    if (Object.keys(become).length === 0) return;
    const number = 'number' in message.about ? message.about.number : row.number;
    await book.save(tx, { ...row, ...become, number, ...NO_FAULT, fence: row.fence + 1 });
  }

  async function take(message: Message, advance: AdvanceWith): ReturnType<CaseStore['collected']> {
    const { from: party, dedupe } = message;
    const { rows } = await db.executeQuery(seen({ party, dedupe }));
    if (rows[0]?.message === null) return 'seenBefore';
    const row = await find(message);
    if (row === undefined) return keep(message);
    const word = await cases.run(row.case_no, {
      advance: advance(envelopeOf(row), message),
      also: async (tx) => ({
        seen: await tx.first(seen({ party, dedupe })),
        row: await book.envelope(tx, row.id),
      }),
      async write(tx, stored, change, now) {
        if (now.seen?.message === null) return 'seenBefore' as const;
        if (now.row !== undefined) await settle(tx, now.row, message);
        await book.change(tx, stored, change);
        await tx.write(remember({ party, dedupe, at: clock.now(), message: null }));
        return 'applied' as const;
      },
    });
    return word ?? keep(message);
  }

  const keep = (message: Message): ReturnType<CaseStore['collected']> =>
    group.run(async (tx) => {
      const { from: party, dedupe } = message;
      const before = await tx.first(seen({ party, dedupe }));
      if (before?.message === null) return 'seenBefore';
      if (before === undefined) {
        if (((await tx.first(keptCount({ party })))?.n ?? 0) >= MOST_KEPT) throw tooManyKept();
        await tx.write(remember({ party, dedupe, at: clock.now(), message: JSON.stringify(message) }));
      }
      return 'unmatched';
    });

  const kept = async (party: Party | null, limit: number, after?: { receivedAt: Millis; dedupe: string }) => {
    const { rows } = await db.executeQuery(
      db
        .selectFrom('messages')
        .select(['received_at', 'dedupe', sql<string>`message`.as('message')])
        .where('message', 'is not', null)
        .$if(party !== null, (query) => query.where('party', '=', party as Party))
        .$if(after !== undefined, (query) =>
          query.where((e) =>
            e(e.refTuple('received_at', 'dedupe'), '>', e.tuple(after?.receivedAt ?? 0, after?.dedupe ?? '')),
          ),
        )
        .orderBy('received_at')
        .orderBy('dedupe')
        .limit(limit)
        .compile(),
    );
    return rows.map((row) => ({ ...(JSON.parse(row.message) as Message), receivedAt: row.received_at }));
  };

  return {
    collected: take,

    async rematch(party, advance) {
      let matched = 0;
      let page: Awaited<ReturnType<typeof kept>> = [];
      do {
        page = await kept(party, REMATCH_PAGE, page.at(-1));
        const tried = await Promise.allSettled(page.map((message) => take(message, advance)));
        for (const one of tried) {
          // One that cannot be applied stays kept, where a person sees it, and must not keep the others back. A Fault is the caller's own word.
          if (one.status === 'fulfilled') matched += one.value === 'applied' ? 1 : 0;
          else if (one.reason instanceof Unavailable) throw one.reason;
          else if (!(one.reason instanceof Fault))
            log.error('a kept message could not be applied', { error: one.reason });
        }
      } while (page.length === REMATCH_PAGE);
      return matched;
    },

    unmatched: (party, limit) => kept(party, limit),
  };
}

const NO_FAULT = { fault: null, reason: null } as const;

function tooManyKept(): Unfit {
  const words = {
    zh: '该部门待匹配的回执过多，请稍后重送',
    en: 'too many messages of this party wait for a match; send it again later',
  };
  return new Unfit(503, 'tooManyUnmatched', words, [], 60);
}
