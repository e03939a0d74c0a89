import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import type { DeskStore } from '../../contracts/ports/store.ts';
import type { StoreParts } from './parts.ts';
import { prepared } from './prepared.ts';
import { type EnvelopeRow, envelopeOf } from './rows.ts';

/** What a person does to envelopes, lanes and cases. All of it survives a restart, because it is stored like everything else. */
export function makeDesk({ db, group, book, clock }: StoreParts): DeskStore {
  const pause = prepared((p: { lane: Party; by: string; reason: string; at: Millis }) =>
    db
      .insertInto('lanes')
      .values({ lane: p.lane, paused_by: p.by, paused_reason: p.reason, paused_at: p.at, last_delivered_at: null })
      .onConflict((c) => c.column('lane').doUpdateSet({ paused_by: p.by, paused_reason: p.reason, paused_at: p.at })),
  );
  const resume = prepared((p: { lane: Party }) =>
    db.updateTable('lanes').set({ paused_by: null, paused_reason: null, paused_at: null }).where('lane', '=', p.lane),
  );

  function decide<Done extends string, Not extends string>(
    id: string,
    advance: Parameters<DeskStore['released']>[1],
    may: (row: EnvelopeRow) => boolean,
    become: (row: EnvelopeRow) => Partial<EnvelopeRow>,
    words: { done: Done; not: Not },
  ): Promise<Done | Not | undefined> {
    return group.run(async (tx) => {
      const row = await book.envelope(tx, id);
      if (row === undefined) return undefined;
      if (!may(row)) return words.not;
      const stored = await book.caseOf(tx, row.case_no);
      const change = await advance(envelopeOf(row))(stored.record);
      await book.save(tx, { ...row, fence: row.fence + 1, wakes_at: null, ...become(row) });
      await book.change(tx, stored, change);
      return words.done;
    });
  }

  return {
    // A sleeper may be released too: it then goes at once. A person's word gives all attempts anew.
    released: (id, advance) =>
      decide(
        id,
        advance,
        ({ place }) => place === 'parked' || place === 'asleep',
        () => ({ place: 'ready', not_before: clock.now(), attempts: 0, fault: null, reason: null }),
        { done: 'released', not: 'notParked' },
      ),

    cancelled: (id, advance) =>
      decide(
        id,
        advance,
        ({ place }) => place !== null && !['leased', 'refused', 'cancelled'].includes(place),
        () => ({ place: 'cancelled' }),
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

    held: (caseNo, held, advance) =>
      group.run(async (tx) => {
        const stored = await book.find(tx, caseNo);
        if (stored === undefined) return false;
        await book.change(tx, stored, await advance(stored.record), held);
        return true;
      }),
  };
}
