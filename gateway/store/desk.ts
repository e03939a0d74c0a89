import type { EnvelopeView } from '../../contracts/ports/case.ts';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import type { DeskStore } from '../../contracts/ports/store.ts';
import type { StoreParts } from './parts.ts';
import { prepared } from './prepared.ts';
import { changed, type EnvelopeRow, ended, mayNotBeSent, viewOf } from './rows.ts';

type Advance = (view: EnvelopeView) => ReturnType<Parameters<DeskStore['released']>[1]>;

/** What a person does to envelopes, lanes and cases. All of it survives a restart, because it is stored like everything else. */
export function makeDesk({ db, group, book, cases, clock }: StoreParts): Omit<DeskStore, 'attached' | 'discarded'> {
  const pause = prepared((p: { lane: Party; by: string; reason: string; at: Millis }) =>
    db
      .insertInto('lanes')
      .values({ lane: p.lane, paused_by: p.by, paused_reason: p.reason, paused_at: p.at, last_delivered_at: null })
      .onConflict((c) => c.column('lane').doUpdateSet({ paused_by: p.by, paused_reason: p.reason, paused_at: p.at })),
  );
  const resume = prepared((p: { lane: Party }) =>
    db.updateTable('lanes').set({ paused_by: null, paused_reason: null, paused_at: null }).where('lane', '=', p.lane),
  );

  /** `become` is given the envelope and its case as they will be; undefined from it means that this cannot be done to it. */
  async function decide<Done extends string, Not extends string>(
    id: string,
    advance: Advance,
    may: (row: EnvelopeRow) => boolean,
    become: (
      row: EnvelopeRow,
      over: { readonly stepEnded: boolean; readonly unsendable: boolean },
    ) => Partial<EnvelopeRow>,
    words: { done: Done; not: Not },
  ): Promise<Done | Not | undefined> {
    const { rows } = await db.executeQuery(book.byId({ id }));
    const [before] = rows;
    if (before === undefined) return undefined;
    if (!may(before)) return words.not;
    return cases.run(before.case_no, {
      advance: advance(viewOf(before)),
      also: (tx) => book.envelope(tx, id),
      async write(tx, stored, change, row): Promise<Done | Not> {
        // What it was when it was shown to `advance` still holds: every word about an envelope raises its fence.
        if (row === undefined || row.fence !== before.fence || !may(row)) return words.not;
        const after = changed(stored.record, change);
        const over = {
          stepEnded: ended(after.steps, row.step_no),
          unsendable: mayNotBeSent(after, row),
        };
        await book.save(tx, { ...row, fence: row.fence + 1, wakes_at: null, ...become(row, over) });
        await book.change(tx, stored, change);
        return words.done;
      },
    });
  }

  const waits = ({ place }: EnvelopeRow): boolean => place !== null && WAITING.includes(place);
  const answerFailed = ({ place }: EnvelopeRow): boolean => place === 'unanswered';

  return {
    // A sleeper may be released too: it then goes at once.
    released: (id, advance) =>
      decide(
        id,
        advance,
        (row) => row.place === 'parked' || row.place === 'asleep' || answerFailed(row),
        (row, { stepEnded }) => ({
          ...(answerFailed(row)
            ? { place: null, answer_due: stepEnded ? null : clock.now() }
            : { place: 'ready', not_before: clock.now() }),
          fault: null,
          reason: null,
        }),
        { done: 'released', not: 'notParked' },
      ),

    settled: (id, receipt, answerDue, advance) =>
      decide(
        id,
        advance,
        (row) => row.in_doubt === 1 && (waits(row) || row.place === 'parked' || row.place === 'cancelled'),
        (row, { stepEnded, unsendable }) => {
          const certain = { in_doubt: 0, doubted_at: null, fault: null, reason: null };
          if (receipt !== null)
            return {
              ...certain,
              place: null,
              number: receipt.number,
              delivered_at: clock.now(),
              answer_due: stepEnded ? null : answerDue,
            };
          const over = row.place === 'cancelled' || unsendable;
          return { ...certain, ...(over ? { place: 'cancelled' } : { place: 'ready', not_before: clock.now() }) };
        },
        { done: 'settled', not: 'notInDoubt' },
      ),

    cancelled: (id, advance) =>
      decide(
        id,
        advance,
        (row) => waits(row) || row.place === 'parked' || answerFailed(row),
        () => ({ place: 'cancelled', answer_due: null }),
        { done: 'cancelled', not: 'tooLate' },
      ),

    paused: (lane, by, reason) =>
      group.run(async (tx) => {
        await tx.write(pause({ lane, by, reason, at: clock.now() }));
      }),

    resumed: (lane) =>
      group.run(async (tx) => {
        await tx.write(resume({ lane }));
        tx.lanes.add(lane);
      }),

    held: async (caseNo, hold, advance) =>
      (await cases.run(caseNo, {
        advance,
        async write(tx, stored, change) {
          await book.change(tx, stored, change, hold);
          return true;
        },
      })) ?? false,
  };
}

const WAITING: readonly EnvelopeRow['place'][] = ['ready', 'asleep', 'behind', 'held'];
