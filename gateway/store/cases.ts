import { sql } from 'kysely';
import type { CaseRecord, Change } from '../../contracts/ports/case.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { CaseStore, NewCase } from '../../contracts/ports/store.ts';
import { inLine } from './casebook.ts';
import type { BetweenNodes } from './dialect.ts';
import { gathered } from './gathered.ts';
import type { Many, Tx } from './group.ts';
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

/** Case numbers that a node takes at a time; a day has 999,999. */
const BLOCK = 100;

const APPLICATION = ['app_key', 'application_no'] as const;
type Application = Pick<CaseRow, (typeof APPLICATION)[number]>;

/** How a case comes in, and how its applicant changes it. */
export function makeCases({
  db,
  dialect,
  group,
  book,
}: StoreParts): Pick<CaseStore, 'accept' | 'byApplication' | 'changed' | 'owing'> {
  const count = prepared((p: { prefix: string; count: number }) =>
    db
      .insertInto('counters')
      .values({ prefix: p.prefix, last: p.count })
      .onConflict((c) => c.column('prefix').doUpdateSet({ last: sql`counters.last + excluded.last` }))
      .returning('last'),
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

  /** Where nodes share the counter: what is left of the last block that this one took, by prefix. */
  const blocks = new Map<string, { next: number; readonly last: number }>();

  /**
   * The next `n` numbers. A counter that nodes share would be locked from here to the commit, and they would take cases in turns: so a node takes a block of
   * numbers beside the transaction, and what it does not use of it is nobody's.
   */
  async function next(tx: Tx, prefix: string, n: number): Promise<readonly number[]> {
    if (dialect.between === undefined) {
      const last = (await tx.first(count({ prefix, count: n })))?.last ?? 0;
      return Array.from({ length: n }, (_, i) => last - n + 1 + i);
    }
    const numbers: number[] = [];
    while (numbers.length < n) {
      const block = blocks.get(prefix);
      if (block === undefined || block.next > block.last) {
        const { rows } = await db.executeQuery(count({ prefix, count: BLOCK }));
        const last = rows[0]?.last ?? 0;
        // Yesterday's are not needed any more.
        blocks.clear();
        blocks.set(prefix, { next: last - BLOCK + 1, last });
      } else {
        numbers.push(block.next);
        block.next += 1;
      }
    }
    return numbers;
  }

  async function numbered(tx: Tx, cases: readonly NewCase[]): Promise<readonly (readonly [string, NewCase])[]> {
    const numbers: (readonly [string, NewCase])[] = [];
    for (const [prefix, alike] of Map.groupBy(cases, ({ numberPrefix }) => numberPrefix)) {
      const taken = await next(tx, prefix, alike.length);
      for (const [i, one] of alike.entries()) numbers.push([`${prefix}${String(taken[i]).padStart(6, '0')}`, one]);
    }
    return numbers;
  }

  /**
   * All cases that arrived together in a few statements. Whoever finds his application number taken, by an earlier case or by
   * one of this very batch, is given that one; his own number stays unused.
   */
  const accept: Many<NewCase, Accepted> = async (tx, cases) => {
    const opened = await Promise.all(
      (await numbered(tx, cases)).map(async ([caseNo, one]) => {
        const { record: before, change } = await one.open(caseNo);
        return { one, caseNo, before, change, record: changed(before, change) };
      }),
    );
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
          const stand = places(change.outbox.map(inLine), record.held, 0);
          return change.outbox.map((envelope, i) => ({ envelope, place: stand[i] as Place }));
        }),
      ),
    ]);
    const made = new Map<NewCase, Accepted>(
      opened.map(({ one, record }) => [one, { record, seenBefore: false, conflict: false }]),
    );
    return cases.map((one) => taken.get(one) ?? (made.get(one) as Accepted));
  };

  return {
    accept: (submission) => group.together(accept, submission),

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
      group.runFor(caseNo, async (tx) => {
        const stored = await book.find(tx, caseNo);
        return stored && book.change(tx, stored, await advance(stored.record));
      }),
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
    held: record.held ? 1 : 0,
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
