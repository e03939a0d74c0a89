import { sql } from 'kysely';
import type { CaseRecord, Change } from '../../contracts/ports/case.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { CaseStore, NewCase } from '../../contracts/ports/store.ts';
import { inTime } from './case-changes.ts';
import { inLine } from './casebook.ts';
import type { BetweenNodes } from './dialect.ts';
import { gathered } from './gathered.ts';
import type { Many } from './group.ts';
import type { StoreParts } from './parts.ts';
import { places } from './places.ts';
import { compilable, inserting, prepared, textOf } from './prepared.ts';
import { type CaseRow, caseOf, changed, partiesOf } from './rows.ts';
import type { Place } from './tables.ts';

type Accepted = Awaited<ReturnType<CaseStore['accept']>>;

const CASE_COLUMNS = [
  'case_no',
  'app_key',
  'application_no',
  'body_hash',
  'query_code',
  'item_code',
  'state',
  'held',
  'hold',
  'messages',
  'events',
  'accepted_at',
  'traceparent',
  'submission',
  'certificates',
  'steps',
  'deadlines',
  'decision',
  'owed',
  'owed_due',
  'item_version',
] as const;

/** Case numbers that a node takes at a time. */
const BLOCK = 100;
/** Of a day, the first and how many. The numbers below are those of programs that counted from 1. */
const BLOCKS = { first: 1_000, count: 9_000 };

const APPLICATION = ['app_key', 'application_no'] as const;
type Application = Pick<CaseRow, (typeof APPLICATION)[number]>;

/** How a case comes in, and how its applicant changes it. */
export function makeCases({
  db,
  dialect,
  group,
  book,
  cases,
  underWay,
  clock,
}: StoreParts): Pick<CaseStore, 'accept' | 'byApplication' | 'changed' | 'owing'> {
  const claim = prepared((p: { prefix: string }) =>
    db
      .insertInto('counters')
      .values({ prefix: p.prefix, last: 0 })
      .onConflict((taken) => taken.column('prefix').doNothing()),
  );
  const byApplication = prepared((p: { appKey: string; applicationNo: string }) =>
    db.selectFrom('cases').selectAll().where('app_key', '=', p.appKey).where('application_no', '=', p.applicationNo),
  );
  const insertCases = inserting(db, dialect, {
    into: 'cases',
    columns: CASE_COLUMNS,
    unlessTaken: APPLICATION,
  });
  const insertParties = inserting(db, dialect, {
    into: 'case_parties',
    columns: ['party', 'accepted_at', 'case_no'],
  });

  const owing = prepared((p: { now: Millis; limit: number }) =>
    db
      .selectFrom('cases')
      .selectAll()
      .where('owed_due', '<=', p.now)
      .orderBy('owed_due')
      .limit(p.limit)
      .$if(dialect.locksRows, (rows) => rows.forUpdate().skipLocked()),
  );
  const owedAgain = prepared((p: { seq: number; due: Millis }) =>
    db.updateTable('cases').set({ owed_due: p.due, owed_asked: sql<number>`owed_asked + 1` }).where('seq', '=', p.seq),
  );

  /** Asked for every submission: where that is a way to a server and back, for all that came together. */
  const sought = dialect.between === undefined ? alone : gathered(together(dialect.between));

  async function alone({ app_key: appKey, application_no: applicationNo }: Application): Promise<CaseRow | undefined> {
    return (await db.executeQuery(byApplication({ appKey, applicationNo }))).rows[0];
  }

  function together({ rowsFrom }: BetweenNodes) {
    const byApplications = prepared((p: { rows: string }) =>
      compilable(
        db,
        sql<CaseRow>`select c.* from ${rowsFrom('cases', p.rows)} as asked
                     join cases as c on c.app_key = asked.app_key and c.application_no = asked.application_no`,
      ),
    );
    const keyOf = ({ app_key, application_no }: Application): string => `${app_key}\n${application_no}`;
    return async (asked: readonly Application[]): Promise<readonly (CaseRow | undefined)[]> => {
      const { rows } = await db.executeQuery(byApplications({ rows: textOf(APPLICATION, asked) }));
      const found = new Map(rows.map((row) => [keyOf(row), row]));
      return asked.map((one) => found.get(keyOf(one)));
    };
  }

  /** What is left of the block that this node took last, and where it looks for the next: by prefix, of one day. */
  let numbers:
    | { readonly prefix: string; readonly start: number; taken: number; next: number; left: number }
    | undefined;
  let taking: Promise<void> = Promise.resolve();

  /**
   * The next case number of a day. A node takes blocks of numbers beside the transactions that use them, each block once over all nodes. It begins at a random
   * one at each start: so a store that is new, or was put back from a copy, does not give out the numbers that departments know from before.
   * @throws Unfit 503 when a day's numbers are used up
   */
  function next(prefix: string): Promise<string> {
    const number = taking.then(async () => {
      if (numbers?.prefix !== prefix)
        numbers = { prefix, start: Math.floor(clock.random() * BLOCKS.count), taken: 0, next: 0, left: 0 };
      if (numbers.left === 0) await takeBlock(numbers);
      numbers.left -= 1;
      numbers.next += 1;
      return `${prefix}${String(numbers.next - 1).padStart(6, '0')}`;
    });
    taking = number.then(
      () => {},
      () => {},
    );
    return number;
  }

  async function takeBlock(of: NonNullable<typeof numbers>): Promise<void> {
    while (of.taken < BLOCKS.count) {
      const block = BLOCKS.first + ((of.start + of.taken) % BLOCKS.count);
      of.taken += 1;
      const { numAffectedRows } = await db.executeQuery(claim({ prefix: `${of.prefix}/${block}` }));
      if (numAffectedRows !== 1n) continue;
      of.next = block * BLOCK;
      of.left = BLOCK;
      return;
    }
    throw new Unfit(503, 'numbersUsedUp', {
      zh: '当日办件编号已用尽',
      en: 'the case numbers of this day are used up',
    });
  }

  /** A case that is numbered and computed, before its transaction. */
  interface Opened {
    readonly one: NewCase;
    readonly caseNo: string;
    readonly before: CaseRecord;
    readonly change: Change;
    readonly record: CaseRecord;
  }

  async function open(one: NewCase): Promise<Opened> {
    const caseNo = await next(one.numberPrefix);
    const { record: before, change } = await inTime(() => one.open(caseNo), clock);
    return { one, caseNo, before, change, record: changed(before, change) };
  }

  /**
   * All cases that arrived together in a few statements. Whoever finds his application number taken, by an earlier case or by
   * one of this very batch, is given that one; his own number stays unused.
   */
  const accept: Many<Opened, Accepted> = async (tx, opened) => {
    const rows = opened.map(({ one, record, change }) => caseRow(one, record, change));
    const written = await tx.write(...insertCases(rows));
    const taken = new Map<NewCase, Accepted>();
    if (written < rows.length) {
      for (const { one, caseNo } of opened) {
        const stored = await tx.first(byApplication(one));
        if (stored === undefined || stored.case_no === caseNo) continue;
        const same = stored.body_hash === one.bodyHash;
        taken.set(one, { record: caseOf(stored), seenBefore: same, conflict: !same });
      }
    }
    const fresh = opened.filter(({ one }) => !taken.has(one));
    if (fresh.length !== written) throw new Error('cases were left out whose application numbers are free');
    const parties = fresh.flatMap(({ caseNo, record: { acceptedAt, steps } }) =>
      partiesOf({ case_no: caseNo, accepted_at: acceptedAt, steps }),
    );
    await Promise.all([
      tx.write(...insertParties(parties)),
      book.note(tx, fresh),
      book.send(
        tx,
        fresh.flatMap(({ change, record }) => {
          const stand = places(change.outbox.map(inLine), record.held !== null, 0);
          return change.outbox.map((envelope, i) => ({ envelope, place: stand[i] as Place }));
        }),
      ),
    ]);
    const made = new Map<NewCase, Accepted>(
      opened.map(({ one, record }) => [one, { record, seenBefore: false, conflict: false }]),
    );
    return opened.map(({ one }) => taken.get(one) ?? (made.get(one) as Accepted));
  };

  return {
    accept: (submission) => underWay.run(async () => group.together(accept, await open(submission))),

    async byApplication(appKey, applicationNo) {
      const row = await sought({ app_key: appKey, application_no: applicationNo });
      return row && { record: caseOf(row), bodyHash: row.body_hash };
    },

    owing: ({ limit, now, scheduleMs }) =>
      group.run(async (tx) => {
        const rows = await tx.rows(owing({ now, limit }));
        for (const { seq, owed_asked } of rows) {
          const wait = scheduleMs[Math.min(owed_asked, scheduleMs.length - 1)] ?? 0;
          await tx.write(owedAgain({ seq, due: now + wait }));
        }
        return rows.map(caseOf);
      }),

    changed: (caseNo, advance) =>
      cases.run(caseNo, { advance, write: (tx, stored, change) => book.change(tx, stored, change) }),
  };
}

function caseRow(one: NewCase, record: CaseRecord, change: Change) {
  return {
    case_no: record.caseNo,
    app_key: one.appKey,
    application_no: one.applicationNo,
    body_hash: one.bodyHash,
    query_code: record.queryCode,
    item_code: record.submission.itemCode,
    state: record.state,
    held: record.held === null ? 0 : 1,
    hold: record.held === null ? null : JSON.stringify(record.held),
    messages: record.messages,
    events: change.events.length,
    accepted_at: record.acceptedAt,
    traceparent: record.traceparent,
    submission: JSON.stringify(record.submission),
    certificates: JSON.stringify(record.certificates),
    steps: JSON.stringify(record.steps),
    deadlines: JSON.stringify([record.promisedBy, record.statutoryBy]),
    decision: record.decision === null ? null : JSON.stringify(record.decision),
    owed: JSON.stringify(record.owed),
    // The first try is at once: what took too long a moment ago may answer now.
    owed_due: record.owed.length === 0 ? null : record.acceptedAt,
    item_version: record.itemVersion,
  };
}
