import type { Advance, CaseRecord } from '../../contracts/ports/case.ts';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import type { Fault } from '../../contracts/ports/fault.ts';
import type { AwaitedAnswer, DeliveryStore, Lease, Recorded } from '../../contracts/ports/store.ts';
import { within } from './bounded-search.ts';
import type { Tx } from './group.ts';
import type { StoreParts } from './parts.ts';
import { prepared } from './prepared.ts';
import { changed, type EnvelopeRow, ended, envelopeOf, spared } from './rows.ts';

type Outcomes = Pick<DeliveryStore, 'delivered' | 'refused' | 'postponed' | 'parked' | 'returned' | 'awaiting'>;

/** A lane's last delivery is written this often at most: one hot row for all would cost more than it tells. */
const LAST_DELIVERED_MS = 1_000;

/** The word of whoever held a lease, and what follows from it in the case, in one transaction. */
export function makeOutcomes({ db, dialect, group, book, clock }: StoreParts): Outcomes {
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
  const noted = new Map<Party, Millis>();

  /** The envelope, while this lease is still the last that was given: it counts even after it ran out, until another is given. */
  async function ours(tx: Tx, lease: Lease): Promise<EnvelopeRow | undefined> {
    const row = await book.envelope(tx, lease.envelope.id);
    return row?.fence === lease.fence ? row : undefined;
  }

  function outcome(
    lease: Lease,
    advance: Advance,
    become: (row: EnvelopeRow, after: CaseRecord, tx: Tx) => Partial<EnvelopeRow> | Promise<Partial<EnvelopeRow>>,
  ): Promise<Recorded> {
    return group.runFor(lease.envelope.caseNo, async (tx) => {
      // The case before its envelope, as whoever arranges a case locks them: two nodes then wait for each other in turn, and not in a circle.
      const [stored, row] = await Promise.all([book.caseOf(tx, lease.envelope.caseNo), ours(tx, lease)]);
      if (row === undefined) return 'overtaken';
      const change = await advance(stored.record);
      const after = changed(stored.record, change);
      const next = { ...row, fence: row.fence + 1, wakes_at: null, ...(await become(row, after, tx)) };
      await book.save(tx, next.place !== null && spared(after.steps, row.step_no) ? takenBack(next) : next);
      await book.change(tx, stored, change);
      return 'recorded';
    });
  }

  const why = (fault: Fault) => ({ fault: fault.kind, reason: JSON.stringify(fault.reason) });

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
          number: receipt.number,
          delivered_at: now,
          // Their answer may have overtaken their receipt.
          answer_due: ended(after.steps, row.step_no) ? null : answerDue,
          in_doubt: 0,
          fault: null,
          reason: null,
        };
      }),

    refused: (lease, fault, advance) =>
      outcome(lease, advance, () => ({ place: 'refused', in_doubt: 0, ...why(fault) })),

    postponed: (lease, fault, { notBefore, costsAttempt, inDoubt }, advance) =>
      outcome(lease, advance, (row) => {
        const asleep = notBefore > clock.now();
        return {
          place: asleep ? 'asleep' : 'ready',
          wakes_at: asleep ? notBefore : null,
          not_before: notBefore,
          attempts: row.attempts + (costsAttempt ? 1 : 0),
          in_doubt: inDoubt ? 1 : 0,
          ...why(fault),
        };
      }),

    parked: (lease, fault, advance) =>
      outcome(lease, advance, (row) => ({
        place: 'parked',
        in_doubt: fault.maybeArrived ? 1 : row.in_doubt,
        ...why(fault),
      })),

    returned: (lease) =>
      group.runFor(lease.envelope.caseNo, async (tx) => {
        const [{ record }, row] = await Promise.all([book.caseOf(tx, lease.envelope.caseNo), ours(tx, lease)]);
        if (row === undefined) return 'overtaken';
        // The doubt of a lease that ran out meanwhile is lifted: its holder says that nothing was sent.
        const in_doubt = lease.inDoubt ? 1 : 0;
        const next: EnvelopeRow = { ...row, fence: row.fence + 1, wakes_at: null, place: 'ready', in_doubt };
        await book.save(tx, spared(record.steps, row.step_no) ? takenBack(next) : next);
        await book.rearrange(tx, row.case_no);
        return 'recorded';
      }),

    awaiting: ({ party, limit, now, scheduleMs }) =>
      group.run(async (tx) => {
        const rows = await tx.rows(due({ party, from: 0, before: now + 1, limit }));
        for (const { seq, asked } of rows) {
          const delay = scheduleMs[Math.min(asked + 1, scheduleMs.length - 1)];
          await tx.write(askAgain({ seq, at: delay === undefined ? null : now + delay, asked: asked + 1 }));
        }
        return rows.map(awaited);
      }),
  };
}

/** Withdrawn while it was under way: what has not reached the party never will. */
function takenBack(row: EnvelopeRow): EnvelopeRow {
  return row.place === 'refused' ? row : { ...row, place: 'cancelled', wakes_at: null };
}

function awaited(row: EnvelopeRow): AwaitedAnswer {
  return { envelope: envelopeOf(row), number: row.number, deliveredAt: row.delivered_at ?? row.created_at };
}
