import { type Insertable, type Kysely, sql } from 'kysely';
import type { CaseEvent, CaseRecord, Change, OutgoingEnvelope } from '../../contracts/ports/case.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { StoreDialect } from './dialect.ts';
import type { Tx } from './group.ts';
import { type InLine, places } from './places.ts';
import { inserting, prepared } from './prepared.ts';
import { type CaseRow, caseOf, changed, type EnvelopeRow, ended, OPEN, spared } from './rows.ts';
import type { Place, Tables } from './tables.ts';

/** A case as the transaction found it. */
export interface Stored {
  readonly row: CaseRow;
  readonly record: CaseRecord;
}

const ENVELOPE_COLUMNS = [
  'id',
  'case_no',
  'step_no',
  'lane',
  'contract',
  'body',
  'traceparent',
  'created_at',
  'place',
  'attempts',
  'not_before',
  'fence',
  'wakes_at',
  'in_doubt',
  'fault',
  'reason',
  'asked',
  'updated_at',
] as const;

export type CaseBook = ReturnType<typeof makeCaseBook>;

/** The few writes that every happening is made of: a case, its events, its envelopes and their places in line. */
export function makeCaseBook({ db, dialect, clock }: { db: Kysely<Tables>; dialect: StoreDialect; clock: Clock }) {
  const { locksRows } = dialect;

  const caseByNo = prepared((p: { caseNo: string }) =>
    db
      .selectFrom('cases')
      .selectAll()
      .where('case_no', '=', p.caseNo)
      .$if(locksRows, (query) => query.forUpdate()),
  );
  const envelopeById = prepared((p: { id: string }) =>
    db
      .selectFrom('envelopes')
      .selectAll()
      .where('id', '=', p.id)
      .$if(locksRows, (query) => query.forUpdate()),
  );
  const saveCase = prepared(
    (p: {
      caseNo: string;
      state: string;
      held: number;
      messages: number;
      events: number;
      submission: string;
      steps: string;
      decision: string | null;
    }) =>
      db
        .updateTable('cases')
        .set({
          state: p.state,
          held: p.held,
          messages: p.messages,
          events: p.events,
          submission: p.submission,
          steps: p.steps,
          decision: p.decision,
        })
        .where('case_no', '=', p.caseNo),
  );
  const saveEnvelope = prepared((p: EnvelopeRow) =>
    db
      .updateTable('envelopes')
      .set({
        place: p.place,
        attempts: p.attempts,
        not_before: p.not_before,
        fence: p.fence,
        wakes_at: p.wakes_at,
        in_doubt: p.in_doubt,
        fault: p.fault,
        reason: p.reason,
        number: p.number,
        delivered_at: p.delivered_at,
        answer_due: p.answer_due,
        updated_at: p.updated_at,
      })
      .where('seq', '=', p.seq),
  );
  const line = prepared((p: { caseNo: string }) =>
    db
      .selectFrom('envelopes')
      .select(['seq', 'lane', 'not_before', sql<Place>`place`.as('place')])
      .where('case_no', '=', p.caseNo)
      .where('place', 'in', [...OPEN])
      .orderBy('seq'),
  );
  const put = prepared((p: { seq: number; place: Place; wakesAt: Millis | null }) =>
    db.updateTable('envelopes').set({ place: p.place, wakes_at: p.wakesAt }).where('seq', '=', p.seq),
  );
  const heldOf = prepared((p: { caseNo: string }) =>
    db.selectFrom('cases').select('held').where('case_no', '=', p.caseNo),
  );
  const noAnswerDue = prepared((p: { caseNo: string; stepNo: string }) =>
    db
      .updateTable('envelopes')
      .set({ answer_due: null })
      .where('case_no', '=', p.caseNo)
      .where('step_no', '=', p.stepNo)
      .where('answer_due', 'is not', null),
  );
  const takeBack = prepared((p: { caseNo: string; stepNo: string; now: Millis }) =>
    db
      .updateTable('envelopes')
      .set({ place: 'cancelled', wakes_at: null, fence: sql<number>`fence + 1`, updated_at: p.now })
      .where('case_no', '=', p.caseNo)
      .where('step_no', '=', p.stepNo)
      .where(
        'place',
        'in',
        OPEN.filter((place) => place !== 'leased'),
      ),
  );
  const insertEnvelopes = inserting(db, 'envelopes', ENVELOPE_COLUMNS);
  const insertEvents = inserting(db, 'events', ['case_no', 'no', 'event']);

  /** Gives the open envelopes of a case, and those about to be added, their places; returns those of the added. */
  async function arrange(tx: Tx, caseNo: string, held: boolean, added: readonly InLine[]): Promise<readonly Place[]> {
    const now = clock.now();
    const before = await tx.rows(line({ caseNo }));
    const after = places([...before, ...added], held, now);
    for (const [i, { seq, lane, place, not_before }] of before.entries()) {
      const to = after[i] as Place;
      if (to === place) continue;
      tx.lanes.add(lane);
      await tx.write(put({ seq, place: to, wakesAt: to === 'asleep' ? not_before : null }));
    }
    return after.slice(before.length);
  }

  const eventRows = (caseNo: string, from: number, events: readonly CaseEvent[]) =>
    events.map((event, i) => ({ case_no: caseNo, no: from + i + 1, event: JSON.stringify(event) }));

  return {
    async caseOf(tx: Tx, caseNo: string): Promise<Stored> {
      const stored = await this.find(tx, caseNo);
      if (stored === undefined) throw new Error(`case ${caseNo} is not in the store`);
      return stored;
    },

    async find(tx: Tx, caseNo: string): Promise<Stored | undefined> {
      const row = await tx.first(caseByNo({ caseNo }));
      return row && { row, record: caseOf(row) };
    },

    envelope: (tx: Tx, id: string): Promise<EnvelopeRow | undefined> => tx.first(envelopeById({ id })),

    /** `place` may be a guess: `change` or `rearrange` after it sets it right. */
    async save(tx: Tx, row: EnvelopeRow): Promise<void> {
      tx.lanes.add(row.lane);
      await tx.write(saveEnvelope({ ...row, updated_at: clock.now() }));
    },

    async rearrange(tx: Tx, caseNo: string): Promise<void> {
      const row = await tx.first(heldOf({ caseNo }));
      await arrange(tx, caseNo, row?.held === 1, []);
    },

    /** Writes what one happening changes: state, steps, events, outbox. The case as it is then. */
    async change(tx: Tx, { row, record }: Stored, change: Change, held = record.held): Promise<CaseRecord> {
      const after: CaseRecord = { ...changed(record, change), held };
      const { caseNo } = record;
      await tx.write(
        saveCase({
          caseNo,
          state: after.state,
          held: held ? 1 : 0,
          messages: after.messages,
          events: row.events + change.events.length,
          submission: change.submission === undefined ? row.submission : JSON.stringify(after.submission),
          steps: JSON.stringify(after.steps),
          decision: after.decision === null ? null : JSON.stringify(after.decision),
        }),
        ...insertEvents(eventRows(caseNo, row.events, change.events)),
      );
      for (const { no } of change.steps ?? []) {
        if (!ended(after.steps, no) || ended(record.steps, no)) continue;
        await tx.write(noAnswerDue({ caseNo, stepNo: no }));
        // What a department has answered has reached it; what it was spared must not reach it any more.
        if (spared(after.steps, no)) await tx.write(takeBack({ caseNo, stepNo: no, now: clock.now() }));
      }
      const added = change.outbox.map(inLine);
      const stand = await arrange(tx, caseNo, held, added);
      await this.send(
        tx,
        change.outbox.map((envelope, i) => ({ envelope, place: stand[i] as Place })),
      );
      return after;
    },

    /** Stores envelopes whose places are known. */
    async send(tx: Tx, outgoing: readonly { envelope: OutgoingEnvelope; place: Place }[]): Promise<void> {
      if (outgoing.length === 0) return;
      const now = clock.now();
      for (const { envelope } of outgoing) tx.lanes.add(envelope.to);
      await tx.write(...insertEnvelopes(outgoing.map(({ envelope, place }) => envelopeRow(envelope, place, now))));
    },

    /** The first events of new cases. */
    async note(tx: Tx, cases: readonly { caseNo: string; events: readonly CaseEvent[] }[]): Promise<void> {
      await tx.write(...insertEvents(cases.flatMap(({ caseNo, events }) => eventRows(caseNo, 0, events))));
    },
  };
}

/** A new envelope is due at once. */
export function inLine(envelope: OutgoingEnvelope): InLine {
  return { lane: envelope.to, place: envelope.parked === undefined ? 'ready' : 'parked', not_before: 0 };
}

function envelopeRow(
  { id, caseNo, stepNo, to, contract, body, traceparent, createdAt, parked }: OutgoingEnvelope,
  place: Place,
  now: Millis,
): Pick<Insertable<Tables['envelopes']>, (typeof ENVELOPE_COLUMNS)[number]> {
  return {
    id,
    case_no: caseNo,
    step_no: stepNo,
    lane: to,
    contract,
    body: JSON.stringify(body),
    traceparent,
    created_at: createdAt,
    place,
    attempts: 0,
    not_before: createdAt,
    fence: 0,
    wakes_at: null,
    in_doubt: 0,
    fault: parked?.kind ?? null,
    reason: parked === undefined ? null : JSON.stringify(parked.reason),
    asked: 0,
    updated_at: now,
  };
}
