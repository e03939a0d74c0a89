import { sql } from 'kysely';
import type { Advance, CaseRecord } from '../../contracts/ports/case.ts';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import type { Fault } from '../../contracts/ports/fault.ts';
import type { AwaitedAnswer, DeliveryStore, Lease, Recorded } from '../../contracts/ports/store.ts';
import { within } from './bounded-search.ts';
import { gathered } from './gathered.ts';
import type { Tx } from './group.ts';
import type { StoreParts } from './parts.ts';
import { prepared } from './prepared.ts';
import { changed, type EnvelopeRow, ended, envelopeOf, mayNotBeSent, OPEN } from './rows.ts';

type Outcomes = Omit<DeliveryStore, 'lease' | 'begin' | 'due' | 'endMessages' | 'forgetSeen'>;

/** A lane's last delivery is written this often at most: one hot row for all would cost more than it tells. */
const LAST_DELIVERED_MS = 1_000;

/** The word of whoever held a lease, and what follows from it in the case, in one transaction. */
export function makeOutcomes({ db, dialect, group, book, cases, clock }: StoreParts): Outcomes {
  const noteDelivery = prepared((p: { lane: Party; at: Millis }) =>
    db
      .insertInto('lanes')
      .values({ lane: p.lane, paused_by: null, paused_reason: null, paused_at: null, last_delivered_at: p.at })
      .onConflict((c) => c.column('lane').doUpdateSet({ last_delivered_at: p.at })),
  );
  // Of this party alone: what others owe an answer to may be much, when nobody asks them.
  const due = prepared((p: { party: Party; from: Millis; before: Millis; limit: number }) =>
    db
      .selectFrom('envelopes')
      .selectAll()
      .where('answer_due', 'is not', null)
      .where(within('lane', p.party, 'answer_due', p))
      .orderBy('lane')
      .orderBy('answer_due')
      .limit(p.limit)
      .$if(dialect.locksRows, (rows) => rows.forUpdate().skipLocked()),
  );
  const askAgain = prepared((p: { seq: number; at: Millis | null; asked: number }) =>
    db.updateTable('envelopes').set({ answer_due: p.at, asked: p.asked }).where('seq', '=', p.seq),
  );
  const standing = db
    .selectFrom('envelopes')
    .innerJoin('cases', 'cases.case_no', 'envelopes.case_no')
    .leftJoin('lanes', 'lanes.lane', 'envelopes.lane')
    .select(['envelopes.id', 'envelopes.fence', 'lanes.paused_at', 'cases.held', 'cases.steps', 'cases.decision']);
  const standingOf = dialect.between === undefined ? standingOne() : standingTogether();
  const away = prepared((p: { lane: Party; since: Millis; reason: string }) =>
    db
      .insertInto('lanes')
      .values({ lane: p.lane, away_since: p.since, away_reason: p.reason })
      .onConflict((taken) =>
        taken
          .column('lane')
          .doUpdateSet({ away_since: p.since, away_reason: p.reason })
          .where('lanes.away_since', 'is', null),
      ),
  );
  const awaySince = prepared((p: { lane: Party }) =>
    db
      .selectFrom('lanes')
      .select('away_since')
      .where('lane', '=', p.lane)
      .where('away_since', 'is not', null)
      .$if(dialect.locksRows, (rows) => rows.forUpdate()),
  );
  const back = prepared((p: { lane: Party }) =>
    db.updateTable('lanes').set({ away_since: null, away_reason: null }).where('lane', '=', p.lane),
  );
  const waitsSince = prepared((p: { lane: Party; before: Millis }) =>
    db
      .selectFrom('envelopes')
      .select('seq')
      .where('place', 'in', ['ready', 'asleep', 'leased'])
      .where('lane', '=', p.lane)
      .where('first_sent_at', '<', p.before)
      .limit(1),
  );
  const noted = new Map<Party, Millis>();

  function standingOne() {
    const one = prepared((p: { id: string }) => standing.where('envelopes.id', '=', p.id));
    return async (id: string) => (await db.executeQuery(one({ id }))).rows[0];
  }

  /** Asked right before each send: where that is a way to a server and back, one question of all that are to be sent. */
  function standingTogether() {
    const many = prepared((p: { ids: readonly string[] }) =>
      standing.where(sql<boolean>`envelopes.id = any(${p.ids})`),
    );
    return gathered(async (ids: readonly string[]) => {
      const { rows } = await db.executeQuery(many({ ids: [...new Set(ids)] }));
      const found = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => found.get(id));
    });
  }

  /** The envelope, while this lease is still the last that was given: it counts even after it ran out, until another is given. */
  async function ours(tx: Tx, lease: Lease): Promise<EnvelopeRow | undefined> {
    const row = await book.envelope(tx, lease.envelope.id);
    return row?.fence === lease.fence ? row : undefined;
  }

  async function outcome(
    lease: Lease,
    advance: Advance,
    become: (row: EnvelopeRow, after: CaseRecord, tx: Tx) => Partial<EnvelopeRow> | Promise<Partial<EnvelopeRow>>,
  ): Promise<Recorded> {
    const written = await cases.run(lease.envelope.caseNo, {
      advance,
      also: (tx) => ours(tx, lease),
      async write(tx, stored, change, row): Promise<Recorded> {
        if (row === undefined) return 'overtaken';
        const after = changed(stored.record, change);
        const next = { ...row, fence: row.fence + 1, wakes_at: null, ...(await become(row, after, tx)) };
        await book.save(tx, unsent(next, after));
        await book.change(tx, stored, change);
        return 'recorded';
      },
    });
    if (written === undefined) throw new Error(`case ${lease.envelope.caseNo} is not in the store`);
    return written;
  }

  const why = (fault: Fault) => ({ fault: fault.kind, reason: JSON.stringify(fault.reason) });

  /** Of the delivered ones whose answer is still due. */
  async function ofAnswer(
    id: string,
    advance: Parameters<DeliveryStore['answerFailed']>[2],
    become: (row: EnvelopeRow) => Partial<EnvelopeRow> | undefined,
  ): Promise<boolean> {
    const { rows } = await db.executeQuery(book.byId({ id }));
    const [before] = rows;
    if (before === undefined || !isDelivered(before) || become(before) === undefined) return false;
    const written = await cases.run(before.case_no, {
      advance: advance(envelopeOf(before)),
      also: (tx) => book.envelope(tx, id),
      async write(tx, stored, change, row) {
        const next = row && become(row);
        if (row === undefined || !isDelivered(row) || next === undefined) return false;
        if (ended(stored.record.steps, row.step_no)) return false;
        await book.save(tx, { ...row, ...next });
        await book.change(tx, stored, change);
        return true;
      },
    });
    return written ?? false;
  }

  return {
    delivered: (lease, receipt, advance, answerDue) =>
      outcome(lease, advance, async (row, after, tx) => {
        const now = clock.now();
        if (now - (noted.get(row.lane) ?? 0) >= LAST_DELIVERED_MS) {
          const note = noteDelivery({ lane: row.lane, at: now });
          // A row that every node writes: held until the commit, transactions would wait for each other. It only tells, so it need not be part of one.
          if (dialect.locksRows) db.executeQuery(note).catch(() => {});
          else await tx.write(note);
          noted.set(row.lane, now);
        }
        return {
          place: null,
          attempts: row.attempts + 1,
          number: receipt.number,
          delivered_at: now,
          // Their answer may have overtaken their receipt.
          answer_due: ended(after.steps, row.step_no) ? null : answerDue,
          ...CERTAIN,
          fault: null,
          reason: null,
        };
      }),

    refused: (lease, fault, advance) =>
      outcome(lease, advance, (row) => ({
        place: 'refused',
        attempts: row.attempts + 1,
        ...CERTAIN,
        ...why(fault),
      })),

    postponed: (lease, fault, { notBefore, tried, doubtedAt }, advance) =>
      outcome(lease, advance, (row) => {
        const now = clock.now();
        const asleep = notBefore > now;
        return {
          place: asleep ? 'asleep' : 'ready',
          wakes_at: asleep ? notBefore : null,
          not_before: notBefore,
          attempts: row.attempts + (tried ? 1 : 0),
          in_doubt: doubtedAt === null ? 0 : 1,
          doubted_at: doubtedAt,
          ...(tried ? {} : notSent(row, lease)),
          ...why(fault),
        };
      }),

    parked: (lease, fault, tried, advance) =>
      outcome(lease, advance, (row) => ({
        place: 'parked',
        attempts: row.attempts + (tried ? 1 : 0),
        ...(fault.maybeArrived ? { in_doubt: 1, doubted_at: row.doubted_at ?? clock.now() } : {}),
        ...(tried ? {} : notSent(row, lease)),
        ...why(fault),
      })),

    withheld: (lease) =>
      group.runFor(lease.envelope.caseNo, async (tx) => {
        const [, row] = await Promise.all([book.caseOf(tx, lease.envelope.caseNo), ours(tx, lease)]);
        if (row === undefined) return 'overtaken';
        await book.save(tx, { ...row, ...CERTAIN, fence: row.fence + 1, wakes_at: null, place: 'cancelled' });
        await book.rearrange(tx, row.case_no);
        return 'recorded';
      }),

    returned: (lease) =>
      group.runFor(lease.envelope.caseNo, async (tx) => {
        const [{ record }, row] = await Promise.all([book.caseOf(tx, lease.envelope.caseNo), ours(tx, lease)]);
        if (row === undefined) return 'overtaken';
        // The doubt of a lease that ran out meanwhile is lifted: its holder says that nothing was sent.
        const doubted = { in_doubt: lease.inDoubt ? 1 : 0, doubted_at: lease.doubtedAt };
        const next: EnvelopeRow = {
          ...row,
          ...doubted,
          ...notSent(row, lease),
          fence: row.fence + 1,
          wakes_at: null,
          place: 'ready',
        };
        await book.save(tx, unsent(next, record));
        await book.rearrange(tx, row.case_no);
        return 'recorded';
      }),

    async mayBeSent(lease) {
      const row = await standingOf(lease.envelope.id);
      if (row === undefined || row.fence !== lease.fence) return 'overtaken';
      if (row.held === 1) return 'held';
      if (row.paused_at !== null) return 'paused';
      const { id, stepNo } = lease.envelope;
      const stands = {
        steps: JSON.parse(row.steps),
        decision: row.decision === null ? null : JSON.parse(row.decision),
      };
      return mayNotBeSent(stands, { id, step_no: stepNo }) ? 'ended' : 'yes';
    },

    awaiting: ({ party, limit, now, scheduleMs }) =>
      group.run(async (tx) => {
        const rows = await tx.rows(due({ party, from: 0, before: now + 1, limit }));
        for (const { seq, asked } of rows) {
          const delay = scheduleMs[Math.min(asked + 1, scheduleMs.length - 1)];
          await tx.write(askAgain({ seq, at: delay === undefined ? null : now + delay, asked: asked + 1 }));
        }
        return rows.map(awaited);
      }),

    answerFailed: (id, fault, advance) =>
      ofAnswer(id, advance, (row) => {
        if (row.answer_due === null) return undefined;
        const said = { place: 'unanswered' as const, ...why(fault) };
        return row.place === said.place && row.reason === said.reason ? undefined : said;
      }),

    answerAwaited: (id, advance) =>
      ofAnswer(id, advance, ({ place }) => (place === null ? undefined : { place: null, fault: null, reason: null })),

    partyAway: (lane, since, reason) =>
      group.run(async (tx) => (await tx.write(away({ lane, since, reason: JSON.stringify(reason) }))) === 1),

    partyBack: (lane, sentBefore) =>
      group.run(async (tx) => {
        const before = await tx.first(awaySince({ lane }));
        if (before === undefined) return null;
        if ((await tx.first(waitsSince({ lane, before: sentBefore }))) !== undefined) return 'stillWaited';
        await tx.write(back({ lane }));
        return before.away_since;
      }),
  };
}

const isDelivered = ({ place }: EnvelopeRow): boolean => place === null || place === 'unanswered';

const CERTAIN = { in_doubt: 0, doubted_at: null } as const;

/** Where the party was never called about it, and nobody died over it, the first sending is still to come. */
const notSent = ({ attempts }: EnvelopeRow, { inDoubt }: Lease) =>
  attempts === 0 && !inDoubt ? { first_sent_at: null } : {};

/** What has certainly not reached its party, of a step that will not be done any more, never will. What is in doubt is asked about. */
function unsent(row: EnvelopeRow, after: CaseRecord): EnvelopeRow {
  const open = row.place !== null && OPEN.includes(row.place) && row.place !== 'parked';
  return open && row.in_doubt === 0 && mayNotBeSent(after, row) ? { ...row, place: 'cancelled', wakes_at: null } : row;
}

function awaited(row: EnvelopeRow): AwaitedAnswer {
  return {
    envelope: envelopeOf(row),
    number: row.number,
    deliveredAt: row.delivered_at ?? row.created_at,
    ...(row.place === 'unanswered' ? { failed: true } : {}),
  };
}
