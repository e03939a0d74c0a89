import { type Insertable, type Kysely, sql } from 'kysely';
import type { CaseEvent, CaseRecord, Change, OutgoingEnvelope } from '../../contracts/ports/case.ts';
import type { CertificateState, IssuedCertificate } from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { Happening, PublicEvent, Publicly } from '../../contracts/ports/public-event.ts';
import { PUBLIC_EVENTS } from '../../contracts/ports/store.ts';
import { unindexed } from './bounded-search.ts';
import type { StoreDialect } from './dialect.ts';
import type { Tx } from './group.ts';
import { type InLine, places } from './places.ts';
import { compilable, inserting, prepared } from './prepared.ts';
import { type CaseRow, caseOf, changed, type EnvelopeRow, ended, OPEN } from './rows.ts';
import type { Place, Tables } from './tables.ts';
import { adding, changing, each, reading } from './together.ts';

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

const CHANGED_OF_CASE = [
  'state',
  'held',
  'hold',
  'messages',
  'events',
  'submission',
  'certificates',
  'steps',
  'owed',
  'owed_due',
  'decision',
] as const;

const CHANGED_OF_ENVELOPE = [
  'place',
  'attempts',
  'not_before',
  'fence',
  'wakes_at',
  'in_doubt',
  'doubted_at',
  'doubted_fence',
  'first_sent_at',
  'fault',
  'reason',
  'number',
  'delivered_at',
  'answer_due',
  'updated_at',
] as const;

/** Nobody has to look any more at an answer that could not be collected. */
const answered = <T>(column: string) =>
  sql<T | null>`case when envelopes.place = 'unanswered' then null else ${sql.ref(`envelopes.${column}`)} end`;
const NOTHING_DUE = {
  place: answered<Place>('place'),
  fault: answered<string>('fault'),
  reason: answered<string>('reason'),
};

/** 注销, GB/T 36903. */
export const VALID: CertificateState = '01';
const CANCELLED: CertificateState = '04';

const REGISTER_COLUMNS = [
  'identifier',
  'holder_hash',
  'type',
  'number',
  'state',
  'certificate',
  'issued_at',
  'case_no',
  'step_no',
] as const;

export type CaseBook = ReturnType<typeof makeCaseBook>;

/** The few writes that every happening is made of: a case, its events, its envelopes and their places in line. */
export function makeCaseBook({
  db,
  dialect,
  clock,
  publicly,
}: {
  db: Kysely<Tables>;
  dialect: StoreDialect;
  clock: Clock;
  /** Undefined where nobody publishes. */
  publicly: Publicly | undefined;
}) {
  const { locksRows } = dialect;

  const casesByNo = reading(
    dialect,
    (asked) =>
      db
        .selectFrom('cases')
        .selectAll()
        .where(asked('case_no'))
        // In one order, so that two nodes never wait for each other.
        .orderBy('case_no')
        .$if(locksRows, (query) => query.forUpdate()),
    ({ case_no }) => case_no,
  );
  const envelopesById = reading(
    dialect,
    (asked) =>
      db
        .selectFrom('envelopes')
        .selectAll()
        .where(asked('id'))
        .orderBy('id')
        .$if(locksRows, (query) => query.forUpdate()),
    ({ id }) => id,
  );
  const lines = reading(
    dialect,
    (asked) =>
      db
        .selectFrom('envelopes')
        .select(['case_no', 'seq', 'lane', 'not_before', sql<Place>`place`.as('place')])
        .where(asked('case_no'))
        // A case has few, and what stands open may be much.
        .where(unindexed('place'), 'in', [...OPEN])
        .orderBy('seq')
        // Or a lease that another node gives meanwhile would be written over.
        .$if(locksRows, (query) => query.forUpdate()),
    ({ case_no }) => case_no,
  );
  const saveCase = changing(db, dialect, { table: 'cases', key: 'case_no', columns: CHANGED_OF_CASE });
  const saveEnvelope = changing(db, dialect, { table: 'envelopes', key: 'seq', columns: CHANGED_OF_ENVELOPE });
  const put = changing(db, dialect, { table: 'envelopes', key: 'seq', columns: ['place', 'wakes_at'] });
  const byId = prepared((p: { id: string }) => db.selectFrom('envelopes').selectAll().where('id', '=', p.id));
  const heldOf = prepared((p: { caseNo: string }) =>
    db.selectFrom('cases').select('held').where('case_no', '=', p.caseNo),
  );
  const noAnswerDue = each(
    dialect,
    ['case_no', 'step_no'],
    () =>
      prepared((p: { case_no: string; step_no: string }) =>
        db
          .updateTable('envelopes')
          .set({ answer_due: null, ...NOTHING_DUE })
          .where('case_no', '=', p.case_no)
          .where('step_no', '=', p.step_no)
          .where('answer_due', 'is not', null),
      ),
    ({ rowsFrom }) =>
      prepared((p: { rows: string }) =>
        compilable(
          db,
          // Said so that the index of all answers that are awaited does not fit: it would be read whole for every few steps.
          sql`update envelopes set answer_due = null, place = ${NOTHING_DUE.place}, fault = ${NOTHING_DUE.fault}, reason = ${NOTHING_DUE.reason} from ${rowsFrom('envelopes', p.rows)} as step
              where envelopes.case_no = step.case_no and envelopes.step_no = step.step_no and coalesce(envelopes.answer_due, 0) <> 0`,
        ),
      ),
  );
  const cancelUnsent = prepared((p: { caseNo: string; stepNo: string; now: Millis }) =>
    db
      .updateTable('envelopes')
      .set({ place: 'cancelled', wakes_at: null, fence: sql<number>`fence + 1`, updated_at: p.now })
      .where('case_no', '=', p.caseNo)
      .where('step_no', '=', p.stepNo)
      // What may be there already stays open: it is asked about, and not forgotten.
      .where('in_doubt', '=', 0)
      .where(
        unindexed('place'),
        'in',
        OPEN.filter((place) => place !== 'leased'),
      ),
  );
  const remake = prepared((p: { id: string; body: string }) =>
    db.updateTable('envelopes').set({ body: p.body }).where('id', '=', p.id),
  );
  const addEnvelopes = adding(db, dialect, { into: 'envelopes', columns: ENVELOPE_COLUMNS });
  const addEvents = adding(db, dialect, { into: 'events', columns: ['case_no', 'no', 'event'] });
  const addPublic = adding(db, dialect, { into: 'public_events', columns: ['event'] });
  const ending = (p: { type: string; holderHash: string }) =>
    db
      .updateTable('register')
      .set({ state: CANCELLED })
      .where('holder_hash', '=', p.holderHash)
      .where('type', '=', p.type)
      .where('state', '=', VALID);
  const endAll = prepared(ending);
  const endOne = prepared((p: { type: string; holderHash: string; number: string }) =>
    ending(p).where('number', '=', p.number),
  );
  const insertRegistered = inserting(db, dialect, {
    into: 'register',
    columns: REGISTER_COLUMNS,
    unlessTaken: ['identifier', 'holder_hash'],
  });

  /** Gives the open envelopes of a case, and those about to be added, their places; returns those of the added. */
  async function arrange(tx: Tx, caseNo: string, held: boolean, added: readonly InLine[]): Promise<readonly Place[]> {
    const now = clock.now();
    const before = await tx.together(lines, caseNo);
    const after = places([...before, ...added], held, now);
    await Promise.all(
      before.map(({ seq, lane, place, not_before }, i) => {
        const to = after[i] as Place;
        if (to === place) return undefined;
        tx.lanes.add(lane);
        return tx.together(put, { seq, place: to, wakes_at: to === 'asleep' ? not_before : null });
      }),
    );
    return after.slice(before.length);
  }

  /** Nothing is asked about it any more. */
  async function endStep(tx: Tx, caseNo: string, stepNo: string, after: CaseRecord): Promise<void> {
    await tx.together(noAnswerDue, { case_no: caseNo, step_no: stepNo });
    // What a department has answered has reached it; what is of a step that will not be done must not reach it any more.
    if (after.steps.find(({ no }) => no === stepNo)?.state === 'SKIPPED')
      await tx.write(cancelUnsent({ caseNo, stepNo, now: clock.now() }));
  }

  /** What ended goes first: the holder of the old may be the holder of the new. */
  async function register(tx: Tx, { ended = [], issued = [] }: Change): Promise<void> {
    for (const { type, holderHash, number } of ended) {
      await tx.write(number === null ? endAll({ type, holderHash }) : endOne({ type, holderHash, number }));
      tx.stale.push({ type, holderHash });
    }
    await tx.write(...insertRegistered(issued.map(registerRow)));
    for (const { certificate, holderHash } of issued) tx.stale.push({ type: certificate.type, holderHash });
  }

  async function publish(tx: Tx, events: readonly PublicEvent[]): Promise<void> {
    if (events.length === 0) return;
    tx.lanes.add(PUBLIC_EVENTS);
    await tx.together(
      addPublic,
      events.map((event) => ({ event: JSON.stringify(event) })),
    );
  }

  /** What others may learn of it. */
  const tell = (tx: Tx, happenings: readonly Happening[]): Promise<void> | undefined =>
    publicly && publish(tx, happenings.flatMap(publicly));

  const eventRows = (caseNo: string, from: number, events: readonly CaseEvent[]) =>
    events.map((event, i) => ({ case_no: caseNo, no: from + i + 1, event: JSON.stringify(event) }));

  return {
    /** An envelope as it stands on the disk, outside any transaction. */
    byId,

    async caseOf(tx: Tx, caseNo: string): Promise<Stored> {
      const stored = await this.find(tx, caseNo);
      if (stored === undefined) throw new Error(`case ${caseNo} is not in the store`);
      return stored;
    },

    async find(tx: Tx, caseNo: string): Promise<Stored | undefined> {
      const [row] = await tx.together(casesByNo, caseNo);
      return row && { row, record: caseOf(row) };
    },

    async envelope(tx: Tx, id: string): Promise<EnvelopeRow | undefined> {
      const [row] = await tx.together(envelopesById, id);
      return row && withDoubt(row);
    },

    /** `place` may be a guess: `change` or `rearrange` after it sets it right. */
    async save(tx: Tx, row: EnvelopeRow): Promise<void> {
      tx.lanes.add(row.lane);
      await tx.together(saveEnvelope, { ...row, doubted_fence: row.fence, updated_at: clock.now() });
    },

    async rearrange(tx: Tx, caseNo: string): Promise<void> {
      const row = await tx.first(heldOf({ caseNo }));
      await arrange(tx, caseNo, row?.held === 1, []);
    },

    /** Writes what one happening changes: state, steps, events, outbox. The case as it is then. */
    async change(tx: Tx, { row, record }: Stored, change: Change, held = record.held): Promise<CaseRecord> {
      const after: CaseRecord = { ...changed(record, change), held };
      const { caseNo } = record;
      await Promise.all([
        tx.together(saveCase, {
          case_no: caseNo,
          state: after.state,
          held: held === null ? 0 : 1,
          hold: held === null ? null : JSON.stringify(held),
          messages: after.messages,
          events: row.events + change.events.length,
          submission: change.submission === undefined ? row.submission : JSON.stringify(after.submission),
          certificates: change.certificates === undefined ? row.certificates : JSON.stringify(after.certificates),
          steps: JSON.stringify(after.steps),
          owed: change.owed === undefined ? row.owed : JSON.stringify(after.owed),
          owed_due: after.owed.length === 0 ? null : row.owed_due,
          decision: after.decision === null ? null : JSON.stringify(after.decision),
        }),
        tx.together(addEvents, eventRows(caseNo, row.events, change.events)),
        tell(tx, [{ before: record, lines: row.events, change }]),
        register(tx, change),
        change.remade && tx.write(remake({ id: change.remade.id, body: JSON.stringify(change.remade.body) })),
        ...(change.steps ?? [])
          .filter(({ no }) => ended(after.steps, no) && !ended(record.steps, no))
          .map(({ no }) => endStep(tx, caseNo, no, after)),
      ]);
      const added = change.outbox.map(inLine);
      const stand = await arrange(tx, caseNo, held !== null, added);
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
      for (const { envelope } of outgoing) {
        tx.lanes.add(envelope.to);
        if (envelope.parked !== undefined)
          tx.parked.push({ id: envelope.id, party: envelope.to, reason: envelope.parked.reason });
      }
      await tx.together(
        addEnvelopes,
        outgoing.map(({ envelope, place }) => envelopeRow(envelope, place, now)),
      );
    },

    /** The first events of new cases. */
    async note(tx: Tx, cases: readonly Omit<Happening, 'lines'>[]): Promise<void> {
      await Promise.all([
        tx.together(
          addEvents,
          cases.flatMap(({ before, change }) => eventRows(before.caseNo, 0, change.events)),
        ),
        tell(
          tx,
          cases.map((one) => ({ ...one, lines: 0 })),
        ),
      ]);
    },

    /** Events for others that are of no case. */
    publish,
  };
}

/** What a program that does not write down since when it is in doubt has put in doubt is so since that was last at it. */
function withDoubt(row: EnvelopeRow): EnvelopeRow {
  const known = row.in_doubt === 0 || row.place === 'leased' || row.doubted_fence === row.fence;
  return known ? row : { ...row, doubted_at: row.updated_at };
}

/** A new envelope is due at once. */
export function inLine(envelope: OutgoingEnvelope): InLine {
  return { lane: envelope.to, place: envelope.parked === undefined ? 'ready' : 'parked', not_before: 0 };
}

function registerRow({ certificate, holderHash, issuedAt, caseNo, stepNo }: IssuedCertificate) {
  const { identifier, type, number, state } = certificate;
  return {
    identifier,
    holder_hash: holderHash,
    type,
    number,
    state,
    certificate: JSON.stringify(certificate),
    issued_at: issuedAt,
    case_no: caseNo,
    step_no: stepNo,
  };
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
