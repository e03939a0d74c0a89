import { createHash } from 'node:crypto';
import { type ExpressionWrapper, type Selectable, type SqlBool, sql } from 'kysely';
import type {
  Ledger,
  LedgerCheck,
  LedgerCount,
  LedgerEntry,
  LedgerFilter,
  LedgerRow,
} from '../../contracts/ports/certificate.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { Many } from './group.ts';
import { COLUMNS, columnsOf } from './ledger-columns.ts';
import type { StoreParts } from './parts.ts';
import { inserting, prepared } from './prepared.ts';
import type { Tables } from './tables.ts';

/** Rows that are read at a time by a check, and deleted in a transaction. */
const PAGE = 1_000;

/**
 * Hash of a ledger row: SM3 over the hash of the row before it (empty for the first), a line feed, and the entry as canonical
 * JSON (its members in alphabetical order). Whoever changes or removes a row breaks every hash after it.
 */
const link = (before: string, text: string): string => createHash('sm3').update(`${before}\n${text}`).digest('hex');

/** An entry is flat but for its list of field names, so that sorting its own members is enough. */
function canonical(entry: LedgerEntry): string {
  return JSON.stringify(entry, Object.keys(entry).sort());
}

/** What entries of the first release did not say. */
const UNSAID = {
  deptUscc: null,
  windowId: null,
  use: 'present',
  mandateId: null,
  material: null,
  requestId: null,
  cached: false,
  digest: null,
} as const satisfies Partial<LedgerEntry>;

/** The more telling first: the first that is given is looked up by its index, and what that finds is sifted by the others. */
const BY_INDEX = [
  ['holderHash', 'holder_hash'],
  ['officerId', 'officer_id'],
  ['source', 'source'],
  ['state', 'state'],
  ['type', 'type'],
  ['itemCode', 'item_code'],
  ['phase', 'phase'],
] as const satisfies readonly (readonly [keyof LedgerFilter, keyof Tables['ledger']])[];

const KEY = { item: 'item_code', type: 'type', source: 'source' } as const;

/** The access ledger: only ever added to, and its oldest rows deleted when their time is over; the database itself refuses anything else. */
export function makeLedger({ db, dialect, group }: Pick<StoreParts, 'db' | 'dialect' | 'group'>): Ledger {
  const last = prepared((_: object) => db.selectFrom('ledger').select('hash').orderBy('seq', 'desc').limit(1));
  const anchor = prepared((_: object) =>
    db
      .selectFrom('ledger_anchor')
      .select('hash')
      .where('id', '=', 1)
      .$if(dialect.locksRows, (row) => row.forUpdate()),
  );
  const place = prepared((p: { id: string }) => db.selectFrom('ledger').select(['seq', 'at']).where('id', '=', p.id));
  const page = prepared((p: { after: number; limit: number }) =>
    db.selectFrom('ledger').selectAll().where('seq', '>', p.after).orderBy('seq').limit(p.limit),
  );
  const before = prepared((p: { seq: number }) =>
    db.selectFrom('ledger').select('hash').where('seq', '<', p.seq).orderBy('seq', 'desc').limit(1),
  );
  const insert = inserting(db, dialect, { into: 'ledger', columns: ['id', ...COLUMNS, 'entry', 'hash'] });
  const oldest = prepared((p: { limit: number }) =>
    db.selectFrom('ledger').select(['seq', 'at', 'hash']).orderBy('seq').limit(p.limit),
  );
  const remove = prepared((p: { upTo: number }) => db.deleteFrom('ledger').where('seq', '<=', p.upTo));
  const setAnchor = prepared((p: { hash: string }) => db.updateTable('ledger_anchor').set({ hash: p.hash }));

  /** All that arrived together: the chain is looked up once, and the rows go in a few statements. */
  const write: Many<readonly LedgerEntry[], void> = async (tx, inputs) => {
    // The anchor first: where several nodes write, its lock is what makes them one chain.
    const anchored = await tx.first(anchor({}));
    let hash = (await tx.first(last({})))?.hash ?? anchored?.hash ?? '';
    const rows = inputs.flat().map((entry) => {
      const text = canonical(entry);
      hash = link(hash, text);
      return { id: entry.id, ...columnsOf(entry), entry: text, hash };
    });
    await tx.write(...insert(rows));
    return inputs.map(() => undefined);
  };

  async function placeOf(id: string): Promise<{ readonly seq: number; readonly at: Millis }> {
    const { rows } = await db.executeQuery(place({ id }));
    if (rows[0] !== undefined) return rows[0];
    const words = { zh: '台账中没有该编号的记录', en: 'no row of the ledger has this id' };
    throw new Unfit(400, 'ledgerIdUnknown', words);
  }

  /** Whether it could be told that rows were deleted meanwhile: then it is begun again. */
  async function checkedOnce(from: string | undefined): Promise<LedgerCheck | 'again'> {
    const anchored = async () => (await db.executeQuery(anchor({}))).rows[0]?.hash ?? '';
    const start = await anchored();
    const first = from === undefined ? undefined : await placeOf(from);
    let hash = first === undefined ? start : ((await db.executeQuery(before(first))).rows[0]?.hash ?? start);
    let after = first === undefined ? 0 : first.seq - 1;
    for (let count = 0; ; ) {
      const { rows } = await db.executeQuery(page({ after, limit: PAGE }));
      for (const row of rows) {
        if (!intact(row, hash)) return (await anchored()) === start ? { rows: count, brokenAt: row.id } : 'again';
        hash = row.hash;
        after = row.seq;
        count += 1;
      }
      if (rows.length < PAGE) return { rows: count, brokenAt: null };
      // The embedded database answers without a pause; everybody else wants his turn.
      await new Promise(setImmediate);
    }
  }

  /** One matter, whether its case has a number yet or not. */
  const matter = sql<string>`coalesce(application_no, (select c.application_no from cases c where c.case_no = ledger.case_no), case_no)`;
  const calls = sql<number>`count(*)`.as('calls');
  const matters = sql<number>`count(distinct ${matter})`.as('matters');

  return {
    write: (entries) => group.together(write, entries),

    async read({ after, limit, from, until, caseNo, applicationNo, ...filter }) {
      let query = db.selectFrom('ledger').select(['entry', 'hash']);
      let found = caseNo !== undefined || applicationNo !== undefined;
      if (found) {
        query = query.where((e) => {
          const either: ExpressionWrapper<Tables, 'ledger', SqlBool>[] = [];
          if (caseNo !== undefined) either.push(e('case_no', '=', caseNo));
          if (applicationNo !== undefined) either.push(e('application_no', '=', applicationNo));
          return e.or(either);
        });
      }
      for (const [name, column] of BY_INDEX) {
        const wanted = filter[name];
        if (wanted === undefined) continue;
        query = query.where(found ? sifting(column) : sql.ref<string>(column), '=', wanted);
        found = true;
      }
      if (from !== undefined) query = query.where('at', '>=', from);
      if (until !== undefined) query = query.where('at', '<', until);
      if (after !== undefined) {
        const { at, seq } = await placeOf(after);
        query = query.where((e) => e(e.refTuple('at', 'seq'), '>', e.tuple(at, seq)));
      }
      const rows = await query.orderBy('at').orderBy('seq').limit(limit).modifyEnd(dialect.anew).execute();
      return rows.map(({ entry, hash }): LedgerRow => ({ ...UNSAID, ...(JSON.parse(entry) as LedgerEntry), hash }));
    },

    async count({ from, until, by }) {
      const key = sql.ref<string | null>(KEY[by]);
      const within = db.selectFrom('ledger').where('at', '>=', from).where('at', '<', until);
      const asked = within.where('phase', '=', 'asked').where('state', 'is', null);
      // Who will answer is not known when somebody asks.
      const counted = by === 'source' ? within.where('phase', '=', 'answered') : asked;
      const [whole, rows, found] = [
        await asked.select([calls, matters]).executeTakeFirstOrThrow(),
        await counted
          .select([key.as('key'), calls, matters])
          .groupBy(key)
          .execute(),
        await within
          .where('phase', '=', 'answered')
          .where('state', '=', 'found')
          .select([key.as('key'), 'type', sql<number>`count(*)`.as('fetched'), sql<number>`sum(cached)`.as('cached')])
          .groupBy([key, 'type'])
          .execute(),
      ];
      const countOf = (counts: { calls: number; matters: number }, of: typeof found): LedgerCount => ({
        matters: Number(counts.matters),
        calls: Number(counts.calls),
        fetched: of.map(({ type, fetched, cached }) => ({ type, fetched: Number(fetched), cached: Number(cached) })),
      });
      const fetchedBy = Map.groupBy(found, (row) => row.key);
      const callsBy = new Map(rows.map((row) => [row.key, row]));
      const keys = [...new Set([...callsBy.keys(), ...fetchedBy.keys()])].sort((a, b) =>
        b === null || (a !== null && a < b) ? -1 : 1,
      );
      return {
        total: countOf(whole, found),
        rows: keys.map((one) => ({
          key: one,
          ...countOf(callsBy.get(one) ?? { calls: 0, matters: 0 }, fetchedBy.get(one) ?? []),
        })),
      };
    },

    async check(from) {
      for (;;) {
        const checked = await checkedOnce(from);
        if (checked !== 'again') return checked;
      }
    },

    async deleteBefore(when) {
      for (let deleted = 0; ; ) {
        const batch = await group.run(async (tx) => {
          await tx.first(anchor({}));
          const rows = await tx.rows(oldest({ limit: PAGE }));
          // From its beginning without a gap, or the chain could not be followed.
          const end = rows.findIndex(({ at }) => at >= when);
          const old = end === -1 ? rows : rows.slice(0, end);
          const until = old.at(-1);
          if (until === undefined) return 0;
          await tx.write(remove({ upTo: until.seq }), setAnchor({ hash: until.hash }));
          return old.length;
        });
        deleted += batch;
        if (batch < PAGE) return deleted;
      }
    },
  };
}

/** As it was written: in the chain, and found by what it says. */
function intact(row: Selectable<Tables['ledger']>, before: string): boolean {
  if (row.hash !== link(before, row.entry)) return false;
  const entry = JSON.parse(row.entry) as LedgerEntry;
  const columns = columnsOf(entry);
  return row.id === entry.id && COLUMNS.every((column) => row[column] === columns[column]);
}

/** A column whose index is not to be taken: another one finds less. */
const sifting = (column: string) => sql<string>`coalesce(${sql.ref(column)}, '')`;
