import { sql } from 'kysely';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { KeptMessage, Message, Millis, Party, Reason } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { CaseStore, DeskStore } from '../../contracts/ports/store.ts';
import { unindexed } from './bounded-search.ts';
import type { Tx } from './group.ts';
import { KEPT_COLUMNS, keptOf, lookupColumns } from './message-rows.ts';
import type { StoreParts } from './parts.ts';
import { prepared } from './prepared.ts';
import { type EnvelopeRow, envelopeOf, OPEN } from './rows.ts';
import type { Ended, Unmatched } from './unmatched.ts';

/** Messages kept for one party without an envelope they belong to; the next is answered 503, and stays with the party. */
const MOST_KEPT = 1_000;
/** Kept messages that are tried again at a time. As a number in the statement: of a limit it does not know PostgreSQL believes that it is much. */
const PAGE = 100;

type AdvanceWith = Parameters<CaseStore['collected']>[1];

/** What parties say later about what they were given. A message is told from all others by its party and `dedupe`. */
export function makeCollected(
  { db, group, book, cases, clock, log }: StoreParts,
  unmatched: Unmatched,
): Pick<CaseStore, 'collected' | 'rematch' | 'retryKept' | 'changeKnown' | 'changeTold'> & Pick<DeskStore, 'attached'> {
  const seen = prepared((p: { party: Party; dedupe: string }) =>
    db.selectFrom('messages').select('message').where('party', '=', p.party).where('dedupe', '=', p.dedupe),
  );
  /** It is used from now on. */
  const remember = prepared((p: { party: Party; dedupe: string; at: Millis; ended: string | null }) =>
    db
      .insertInto('messages')
      .values({ party: p.party, dedupe: p.dedupe, received_at: p.at, message: null, ended: p.ended })
      .onConflict((c) => c.columns(['party', 'dedupe']).doUpdateSet({ message: null, problem: null, ended: p.ended })),
  );
  const insertKept = prepared(
    (p: { party: Party; dedupe: string; at: Millis; message: string } & ReturnType<typeof lookupColumns>) =>
      db
        .insertInto('messages')
        .values({
          party: p.party,
          dedupe: p.dedupe,
          received_at: p.at,
          message: p.message,
          id: p.id,
          about_key: p.about_key,
          about_number: p.about_number,
        })
        // Another node was given the same at the same moment, and may have used it.
        .onConflict((c) => c.columns(['party', 'dedupe']).doNothing()),
  );
  const noteProblem = prepared((p: { id: string; problem: string }) =>
    db.updateTable('messages').set({ problem: p.problem }).where('id', '=', p.id).where('message', 'is not', null),
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
  const keptAbout = (column: 'about_key' | 'about_number', party: Party, value: string) =>
    db
      .selectFrom('messages')
      .select([...KEPT_COLUMNS])
      .where('message', 'is not', null)
      .where(column, '=', value)
      // Every name that this party has ever given a message begins with it too, and SQLite would read them all.
      .where(unindexed('party'), '=', party);
  const aboutKey = prepared((p: { party: Party; key: string }) =>
    keptAbout('about_key', p.party, p.key).limit(sql.lit(PAGE)),
  );
  const aboutKeyOrNumber = prepared((p: { party: Party; key: string; number: string }) =>
    keptAbout('about_key', p.party, p.key)
      .unionAll(keptAbout('about_number', p.party, p.number))
      .limit(sql.lit(PAGE)),
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
    const number = row.number ?? ('number' in message.about ? message.about.number : null);
    await book.save(tx, { ...row, ...become, number, ...NO_FAULT, fence: row.fence + 1 });
  }

  /** Undefined: the case is not there. */
  async function apply(
    row: EnvelopeRow,
    message: Message,
    advance: AdvanceWith,
    ended: Ended | null,
  ): Promise<'applied' | 'seenBefore' | undefined> {
    const { from: party, dedupe } = message;
    return cases.run(row.case_no, {
      advance: advance(envelopeOf(row), message),
      also: async (tx) => ({
        seen: await tx.first(seen({ party, dedupe })),
        row: await book.envelope(tx, row.id),
      }),
      async write(tx, stored, change, now) {
        if (now.seen?.message === null) return 'seenBefore' as const;
        if (now.row !== undefined) await settle(tx, now.row, message);
        await book.change(tx, stored, change);
        const how = ended === null ? null : JSON.stringify(ended);
        await tx.write(remember({ party, dedupe, at: clock.now(), ended: how }));
        return 'applied' as const;
      },
    });
  }

  /** Undefined: it matches nothing. */
  async function match(message: Message, advance: AdvanceWith): Promise<'applied' | 'seenBefore' | undefined> {
    const row = await find(message);
    return row && apply(row, message, advance, null);
  }

  async function take(message: Message, advance: AdvanceWith): ReturnType<CaseStore['collected']> {
    const { from: party, dedupe } = message;
    const { rows } = await db.executeQuery(seen({ party, dedupe }));
    if (rows[0]?.message === null) return 'seenBefore';
    const word = (await match(message, advance)) ?? (await keep(message));
    if (word !== 'unmatched') return word;
    // Its envelope may have been delivered between our look and the keeping, and whoever delivered it have looked before. It is kept, whatever comes of this.
    return (await match(message, advance).catch(() => undefined)) ?? word;
  }

  const keep = (message: Message): Promise<'seenBefore' | 'unmatched'> =>
    group.run(async (tx) => {
      const { from: party, dedupe } = message;
      const before = await tx.first(seen({ party, dedupe }));
      if (before?.message === null) return 'seenBefore';
      if (before === undefined) {
        if (((await tx.first(keptCount({ party })))?.n ?? 0) >= MOST_KEPT) throw tooManyKept();
        const text = JSON.stringify(message);
        await tx.write(insertKept({ party, dedupe, at: clock.now(), message: text, ...lookupColumns(message) }));
      }
      return 'unmatched';
    });

  /** True when it was applied. One that cannot be stays kept, with the reason, and must not keep the others back. */
  async function retry(message: KeptMessage, advance: AdvanceWith): Promise<boolean> {
    try {
      return (await match(message, advance)) === 'applied';
    } catch (error) {
      if (error instanceof Unfit && error.status === 503) throw error;
      const problem = error instanceof Fault ? error.reason : NOT_APPLIED;
      if (message.problem?.code === problem.code && message.problem.en === problem.en) return false;
      // A Fault is the caller's own word.
      if (!(error instanceof Fault)) log.error('a kept message could not be applied', { message: message.id, error });
      const { code, zh, en } = problem;
      await group.run((tx) => tx.write(noteProblem({ id: message.id, problem: JSON.stringify({ code, zh, en }) })));
      return false;
    }
  }

  /** Which of them are left. */
  async function retryAll(messages: readonly KeptMessage[], advance: AdvanceWith): Promise<readonly KeptMessage[]> {
    const tried = await Promise.allSettled(messages.map((message) => retry(message, advance)));
    for (const one of tried) if (one.status === 'rejected') throw one.reason;
    return messages.filter((_, i) => {
      const one = tried[i];
      return one?.status === 'fulfilled' && !one.value;
    });
  }

  return {
    collected: take,

    async changeKnown(name) {
      return (await db.executeQuery(seen(name))).rows.length > 0;
    },

    changeTold: (name, events) =>
      group.run(async (tx) => {
        if ((await tx.first(seen(name))) !== undefined) return;
        await tx.write(remember({ ...name, at: clock.now(), ended: null }));
        if (events.length > 0) await book.publish(tx, events);
      }),

    async rematch({ party, key, number }, advance) {
      const { rows } = await db.executeQuery(
        number === null ? aboutKey({ party, key }) : aboutKeyOrNumber({ party, key, number }),
      );
      if (rows.length === 0) return 0;
      const inOrder = rows.map(keptOf).sort((a, b) => a.receivedAt - b.receivedAt);
      return inOrder.length - (await retryAll(inOrder, advance)).length;
    },

    async retryKept(after, advance) {
      const page = await unmatched.page(null, PAGE, after);
      const left = await retryAll(page, advance);
      const next = page.length === PAGE ? (page.at(-1) ?? null) : null;
      return { applied: page.length - left.length, left, next };
    },

    async attached(id, { envelopeId, by, reason }, advance) {
      const kept = await unmatched.find(id);
      if (kept === undefined) return undefined;
      if (kept.message === null) return 'ended';
      const message: Message = JSON.parse(kept.message);
      const { rows } = await db.executeQuery(book.byId({ id: envelopeId }));
      const [row] = rows;
      if (row?.lane !== message.from) return undefined;
      const ended: Ended = { as: 'attached', envelope: envelopeId, by, reason, at: clock.now() };
      const word = await apply(row, message, advance, ended);
      return word && (word === 'applied' ? 'attached' : 'ended');
    },
  };
}

const NO_FAULT = { fault: null, reason: null } as const;

const NOT_APPLIED: Reason = {
  code: 'notApplied',
  zh: '来文已对上信封，但未能登记到办件，本系统会再试',
  en: 'it matches an envelope, and could not be applied to its case; it is tried again',
};

function tooManyKept(): Unfit {
  const words = {
    zh: '该部门待匹配的回执过多，请稍后重送',
    en: 'too many messages of this party wait for a match; send it again later',
  };
  return new Unfit(503, 'tooManyUnmatched', words, [], 60);
}
