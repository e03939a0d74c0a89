import { sql } from 'kysely';
import type { CaseRecord, Change } from '../../contracts/ports/case.ts';
import type { CaseStore, NewCase } from '../../contracts/ports/store.ts';
import { inLine } from './casebook.ts';
import type { Many, Tx } from './group.ts';
import type { StoreParts } from './parts.ts';
import { places } from './places.ts';
import { inserting, prepared } from './prepared.ts';
import { caseOf, changed } from './rows.ts';
import type { Place } from './tables.ts';

type Accepted = Awaited<ReturnType<CaseStore['accept']>>;

const CASE_COLUMNS = [
  'case_no',
  'app_key',
  'application_no',
  'body_hash',
  'query_code',
  'item_code',
  'parties',
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
] as const;

/** How a case comes in, and how its applicant changes it. */
export function makeCases({ db, group, book }: StoreParts): Pick<CaseStore, 'accept' | 'byApplication' | 'changed'> {
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
  const insertCases = inserting(db, 'cases', CASE_COLUMNS, ['app_key', 'application_no']);

  /** One number for each, the counter taken once for all of the same prefix. */
  async function numbered(tx: Tx, cases: readonly NewCase[]): Promise<readonly (readonly [string, NewCase])[]> {
    const numbers: (readonly [string, NewCase])[] = [];
    for (const [prefix, alike] of Map.groupBy(cases, ({ numberPrefix }) => numberPrefix)) {
      const last = (await tx.first(count({ prefix, count: alike.length })))?.last ?? 0;
      for (const [i, one] of alike.entries()) {
        numbers.push([`${prefix}${String(last - alike.length + 1 + i).padStart(6, '0')}`, one]);
      }
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
        const { record, change } = await one.open(caseNo);
        return { one, caseNo, change, record: changed(record, change) };
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
    await book.note(
      tx,
      fresh.map(({ caseNo, change }) => ({ caseNo, events: change.events })),
    );
    await book.send(
      tx,
      fresh.flatMap(({ change, record }) => {
        const stand = places(change.outbox.map(inLine), record.held, 0);
        return change.outbox.map((envelope, i) => ({ envelope, place: stand[i] as Place }));
      }),
    );
    const made = new Map<NewCase, Accepted>(
      opened.map(({ one, record }) => [one, { record, seenBefore: false, conflict: false }]),
    );
    return cases.map((one) => taken.get(one) ?? (made.get(one) as Accepted));
  };

  return {
    accept: (submission) => group.together(accept, submission),

    async byApplication(appKey, applicationNo) {
      const { rows } = await db.executeQuery(byApplication({ appKey, applicationNo }));
      return rows[0] && { record: caseOf(rows[0]), bodyHash: rows[0].body_hash };
    },

    changed: (caseNo, advance) =>
      group.run(async (tx) => {
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
    parties: `|${[...new Set(record.steps.map(({ party }) => party))].join('|')}|`,
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
  };
}
