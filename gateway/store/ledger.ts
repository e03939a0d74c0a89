import { createHash } from 'node:crypto';
import { type CompiledQuery, type Selectable, type SelectQueryBuilder, sql } from 'kysely';
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
import { EVERYTHING, MOST_EXAMINED, type Range, search, unindexed, type Way, within } from './bounded-search.ts';
import type { Many } from './group.ts';
import { COLUMNS, columnsOf } from './ledger-columns.ts';
import { callDeletion } from './ledger-deletion.ts';
import type { StoreParts } from './parts.ts';
import { compilable, inserting, prepared } from './prepared.ts';
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

/** The more telling first: where several are given and none finds few, the first is gone along, and what it finds is sifted by the others. */
const BY_INDEX = [
  ['holderHash', 'holder_hash'],
  ['officerId', 'officer_id'],
  ['source', 'source'],
  ['state', 'state'],
  ['type', 'type'],
  ['itemCode', 'item_code'],
  ['phase', 'phase'],
] as const satisfies readonly (readonly [keyof LedgerFilter, keyof Tables['ledger']])[];

/** The filter whose index a statement goes along. A matter's entries are few, so that whatever else is asked is sifted out of them. */
type Lead = (typeof BY_INDEX)[number][0] | 'caseNo' | 'applicationNo';
const COLUMN = {
  ...(Object.fromEntries(BY_INDEX) as { [L in (typeof BY_INDEX)[number] as L[0]]: L[1] }),
  caseNo: 'case_no',
  applicationNo: 'application_no',
} as const satisfies Record<Lead, keyof Tables['ledger']>;

type Found = Pick<Selectable<Tables['ledger']>, 'at' | 'seq' | 'entry' | 'hash'>;

interface Place {
  readonly seq: number;
  readonly at: Millis;
}

const KEY = { item: 'item_code', type: 'type', source: 'source' } as const;

/** The access ledger: only ever added to, and its oldest rows deleted when their time is over; the database itself refuses anything else. */
export function makeLedger({ db, dialect, group }: Pick<StoreParts, 'db' | 'dialect' | 'group'>): Ledger {
  const last = prepared((_: object) =>
    db.selectFrom('ledger').select('hash').where('seq', '>', 0).orderBy('seq', 'desc').limit(1),
  );
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
    db.selectFrom('ledger').select(['seq', 'at', 'hash']).where('seq', '>', 0).orderBy('seq').limit(p.limit),
  );
  /** Rows up to one, and the anchor after it. */
  const removing = dialect.hasRoles ? removeAsOwner(db) : removeHere(db);

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

  async function placeOf(id: string): Promise<Place> {
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

  /** All that is counted stands in `ledger_counted`. One matter, whether its case has a number yet or not. */
  const counted = prepared((p: { phase: string; from: Millis; until: Millis; after: number }) =>
    db
      .selectFrom('ledger')
      .select(['at', 'seq', 'state', 'type', 'item_code', 'source', 'cached'])
      .select(
        sql<
          string | null
        >`coalesce(application_no, (select c.application_no from cases c where c.case_no = ledger.case_no), case_no)`.as(
          'matter',
        ),
      )
      .where('phase', '=', p.phase)
      .where('at', '>=', p.from)
      .where('at', '<', p.until)
      .where((row) => row.or([row(sql<number>`coalesce(at, 0)`, '>', p.from), row('seq', '>', p.after)]))
      .orderBy('at')
      .orderBy('seq')
      .limit(PAGE),
  );

  /** Along one index, in the order of reading; all other filters are sifted by. */
  function rowsAlong(
    lead: Lead | undefined,
    filter: LedgerFilter,
    last: Place | undefined,
    range: Range,
    limit: number,
  ): Promise<readonly Found[]> {
    let query = db.selectFrom('ledger').select(['at', 'seq', 'entry', 'hash']);
    for (const [name, column] of BY_INDEX) {
      const value = filter[name];
      if (value !== undefined && name !== lead) query = query.where(unindexed(column), '=', value);
    }
    // Of the time at which the page before ended there may be more.
    if (last !== undefined)
      query = query.where((row) =>
        row.or([row(sql<number>`coalesce(at, 0)`, '>', last.at), row('seq', '>', last.seq)]),
      );
    query =
      lead === undefined
        ? query.where('at', '>=', range.from).where('at', '<', range.before)
        : along(query, lead, filter[lead], range).orderBy(COLUMN[lead]);
    return query.orderBy('at').orderBy('seq').limit(limit).modifyEnd(dialect.anew).execute();
  }

  async function endAlong(lead: Lead, filter: LedgerFilter, range: Range): Promise<Millis | undefined> {
    const end = await along(db.selectFrom('ledger').select('at'), lead, filter[lead], range)
      .orderBy(COLUMN[lead])
      .orderBy('at')
      .limit(1)
      .offset(MOST_EXAMINED - 1)
      .modifyEnd(dialect.anew)
      .executeTakeFirst();
    return end?.at;
  }

  return {
    write: (entries) => group.together(write, entries),

    async read({ after, limit, caseNo, applicationNo, ...filter }) {
      const last = after === undefined ? undefined : await placeOf(after);
      const { from = 0, until = EVERYTHING.before } = filter;
      const range = { from: Math.max(from, last?.at ?? 0), before: until };
      const read = (lead: Lead | undefined, more: LedgerFilter = {}) =>
        rowsAlong(lead, { ...filter, ...more }, last, range, limit);
      const way = (lead: Lead): Way<Found> => ({
        end: (piece) => endAlong(lead, filter, piece),
        rows: (piece, most) => rowsAlong(lead, filter, last, piece, most),
      });
      const [first, ...others] = BY_INDEX.map(([name]) => name).filter((name) => filter[name] !== undefined);
      let rows: readonly Found[];
      if (caseNo !== undefined && applicationNo !== undefined)
        rows = merged(await Promise.all([read('caseNo', { caseNo }), read('applicationNo', { applicationNo })]), limit);
      else if (caseNo !== undefined) rows = await read('caseNo', { caseNo });
      else if (applicationNo !== undefined) rows = await read('applicationNo', { applicationNo });
      else if (first === undefined || others.length === 0) rows = await read(first);
      else rows = await search([way(first), ...others.map(way)], { range, newestFirst: false, limit });
      return rows.map(({ entry, hash }): LedgerRow => ({ ...UNSAID, ...(JSON.parse(entry) as LedgerEntry), hash }));
    },

    /** In pages, like a check: the database's own count of some years would keep everybody else waiting. */
    async count({ from, until, by }) {
      const total = new Counter();
      const counters = new Map<string | null, Counter>();
      const counterOf = (key: string | null): Counter => {
        const counter = counters.get(key) ?? new Counter();
        counters.set(key, counter);
        return counter;
      };
      for (const phase of ['asked', 'answered'] as const) {
        let last: { readonly at: Millis; readonly seq: number } = { at: from, seq: 0 };
        for (;;) {
          const { rows } = await db.executeQuery(counted({ phase, from: last.at, until, after: last.seq }));
          for (const row of rows) {
            const counter = counterOf(row[KEY[by]]);
            if (phase === 'asked') {
              if (row.state !== null) continue;
              total.call(row);
              // Who will answer is not known when somebody asks.
              if (by !== 'source') counter.call(row);
            } else {
              if (by === 'source') counter.call(row);
              if (row.state !== 'found') continue;
              total.fetch(row);
              counter.fetch(row);
            }
          }
          last = rows.at(-1) ?? last;
          if (rows.length < PAGE) break;
          await new Promise(setImmediate);
        }
      }
      const rows = [...counters].filter(([, { empty }]) => !empty);
      return {
        total: total.counts,
        rows: rows
          .sort(([a], [b]) => (b === null || (a !== null && a < b) ? -1 : 1))
          .map(([key, { counts }]) => ({ key, ...counts })),
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
          await tx.write(...removing(until));
          return old.length;
        });
        deleted += batch;
        if (batch < PAGE) return deleted;
      }
    },
  };
}

type Removal = (last: { readonly seq: number; readonly hash: string }) => readonly CompiledQuery<unknown>[];

function removeHere(db: StoreParts['db']): Removal {
  const remove = prepared((p: { upTo: number }) => db.deleteFrom('ledger').where('seq', '<=', p.upTo));
  const setAnchor = prepared((p: { hash: string }) =>
    db.updateTable('ledger_anchor').set({ hash: p.hash }).where('id', '=', 1),
  );
  return ({ seq, hash }) => [remove({ upTo: seq }), setAnchor({ hash })];
}

/** The connected role itself may have no right to. */
function removeAsOwner(db: StoreParts['db']): Removal {
  const call = prepared((p: { upTo: number }) => compilable(db, callDeletion(p.upTo)));
  return ({ seq }) => [call({ upTo: seq })];
}

/** As it was written: in the chain, and found by what it says. */
function intact(row: Selectable<Tables['ledger']>, before: string): boolean {
  if (row.hash !== link(before, row.entry)) return false;
  const entry = JSON.parse(row.entry) as LedgerEntry;
  const columns = columnsOf(entry);
  return row.id === entry.id && COLUMNS.every((column) => row[column] === columns[column]);
}

/** Those of the column that are null stand in none of these indexes. */
const along = <O>(
  query: SelectQueryBuilder<Tables, 'ledger', O>,
  lead: Lead,
  value = '',
  range: Range = EVERYTHING,
): SelectQueryBuilder<Tables, 'ledger', O> =>
  query.where(COLUMN[lead], 'is not', null).where(within(COLUMN[lead], value, 'at', range));

/** In the order of reading, each once. */
const merged = (lists: readonly (readonly Found[])[], limit: number): readonly Found[] =>
  [...new Map(lists.flat().map((row) => [row.seq, row])).values()]
    .sort((a, b) => a.at - b.at || a.seq - b.seq)
    .slice(0, limit);

/** What is counted of one key, or of all. */
class Counter {
  readonly #matters = new Set<string>();
  #calls = 0;
  readonly #fetched = new Map<string, { fetched: number; cached: number }>();

  call({ matter }: { readonly matter: string | null }): void {
    this.#calls += 1;
    if (matter !== null) this.#matters.add(matter);
  }

  fetch({ type, cached }: { readonly type: string; readonly cached: number }): void {
    const of = this.#fetched.get(type) ?? { fetched: 0, cached: 0 };
    this.#fetched.set(type, of);
    of.fetched += 1;
    of.cached += cached;
  }

  get empty(): boolean {
    return this.#calls === 0 && this.#fetched.size === 0;
  }

  get counts(): LedgerCount {
    const fetched = [...this.#fetched]
      .map(([type, of]) => ({ type, ...of }))
      .sort((a, b) => (a.type < b.type ? -1 : 1));
    return { matters: this.#matters.size, calls: this.#calls, fetched };
  }
}
