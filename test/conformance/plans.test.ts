import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import type { CompiledQuery } from 'kysely';
import pg from 'pg';
import { wallClock } from '../../contracts/ports/clock.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { Store } from '../../contracts/ports/store.ts';
import type { StoreDialect } from '../../gateway/store/dialect.ts';
import { openStore, storeOver } from '../../gateway/store/open.ts';
import * as postgres from '../../gateway/store/postgres.ts';
import { sqlite } from '../../gateway/store/sqlite.ts';
import { HandClock } from '../support/hand-clock.ts';
import { caseNoOf, FINISHED, type Filled, fill } from '../support/long-history.ts';
import { newCase, nothing } from '../support/sample-case.ts';
import * as services from '../support/services.ts';
import { listening } from '../support/statements.ts';
import { type Call, IssuedStatements, type Method } from '../support/store-calls.ts';

/*
 * The plan of every statement that the store can issue, with a long history in every table. A statement is known by the method that issues it; a new method is
 * missed by the compiler (`store-calls.ts`, `PLANS`), a statement that no call there issues by the first test, one that takes another index by the second.
 */

/** Indexes of a primary key or of what must be unique are named for their columns: each database calls them otherwise. */
const CASE = 'cases(case_no)';
const ENVELOPE = ['envelopes(id)', 'envelopes(seq)'];
/** What every happening does: the case, its envelope, and the places of the others in line. */
const HAPPENING = [CASE, ...ENVELOPE, 'envelopes_case'];
const CERTIFICATE = 'register(identifier, holder_hash)';
const MESSAGE = 'messages(party, dedupe)';
/** What a party's word about an envelope does that was delivered before. */
const HEARD = [...HAPPENING.filter((index) => index !== 'envelopes(seq)'), MESSAGE];
const ANCHOR = 'ledger_anchor(id)';
/** One row for each department. */
const ALL_LANES = 'all of lanes';

interface Expected {
  /** By name. `a | b`: either will do, and the reason stands beside it. */
  readonly indexes: readonly string[];
  readonly embedded?: readonly string[];
  readonly shared?: readonly string[];
  /** What the embedded database may put in order after reading it, and why that is little. */
  readonly sorts?: string;
}

const PLANS: Record<Method | 'start' | 'sweep', readonly string[] | Expected> = {
  start: {
    indexes: ['envelopes_place | envelopes_state'],
    embedded: ['nonces(forget_at, app_key, nonce)'],
  },
  sweep: {
    indexes: [
      'nonces(forget_at, app_key, nonce)',
      'allotments_ends',
      'allotments(party, period)',
      'claims_ends',
      'claims(what)',
      'kept_ends',
      'kept(key)',
      'envelope_values_age',
      'envelope_values(envelope_id, name)',
      'envelopes(id)',
    ],
    shared: ['used_nonces_end', 'used_nonces(app_key, nonce)'],
  },
  firstUse: [],

  // A number is one row for each caller at most.
  accept: ['cases(app_key, application_no) | cases_application_no'],
  byApplication: ['cases(app_key, application_no) | cases_application_no'],
  changed: [CASE, 'envelopes_case', 'register_number | register_holder', 'register_holder'],
  changeKnown: [MESSAGE],
  changeTold: [MESSAGE],
  collected: [...HEARD, 'envelopes_latest_number', 'messages_kept'],
  rematch: ['messages_about_key', 'messages_about_number', 'messages_id', 'envelopes_latest_number', ...HEARD],
  retryKept: ['messages_unmatched', 'messages_id', 'envelopes_latest_number', ...HEARD],
  owing: ['cases_owed', 'cases(seq)'],

  // Of those that stand ready in one lane, and of those whose time has come.
  lease: ['envelopes_wakes', 'envelopes_place', 'envelopes(seq)', 'envelopes_case', CASE, 'lanes(lane)'],
  begin: ['envelopes(id)', CASE],
  delivered: HAPPENING,
  refused: HAPPENING,
  postponed: HAPPENING,
  parked: HAPPENING,
  returned: HAPPENING,
  mayBeSent: ['envelopes(id)', CASE, 'lanes(lane)'],
  withheld: HAPPENING,
  answerFailed: HAPPENING,
  answerAwaited: HAPPENING,
  endMessages: ['messages_unmatched', MESSAGE],
  forgetSeen: ['messages_seen', MESSAGE],
  partyAway: [],
  // Of those of one lane that stand open.
  partyBack: ['lanes(lane)', 'envelopes_place'],
  awaiting: ['envelopes_answer_lane', 'envelopes(seq)'],
  due: [
    'envelopes_wakes',
    'envelopes_state | envelopes_place',
    // Where it believes that few answers are awaited, PostgreSQL may look at all of those.
    'envelopes_answer | envelopes_answer_lane',
    'messages_unmatched',
    'cases_owed',
  ],

  released: HAPPENING,
  settled: HAPPENING,
  cancelled: HAPPENING,
  attached: [...HEARD, 'messages_id'],
  discarded: ['messages_id'],
  paused: [],
  resumed: ['lanes(lane)'],
  held: [CASE, 'envelopes_case', 'envelopes(seq)'],

  caseOf: [CASE],
  cases: [],
  timeline: ['events(case_no, no)'],
  envelope: ['envelopes(id)'],
  pauses: [ALL_LANES],
  open: ['envelopes_case'],
  envelopes: [],
  unmatched: ['messages_kept', 'messages_unmatched', 'messages_id'],
  message: ['messages_id'],
  // Both keep what has not ended, which is little.
  lanes: ['envelopes_place | envelopes_state', 'envelopes(seq)', 'messages_kept | messages_unmatched', ALL_LANES],

  write: [ANCHOR, 'ledger(seq)'],
  read: [],
  count: ['ledger_counted', CASE],
  check: [ANCHOR, 'ledger(seq)', 'ledger(id)'],
  deleteBefore: [ANCHOR, 'ledger(seq)'],

  record: [],
  mandate: ['mandates(id)'],
  revoke: ['mandates(id)'],
  issuedTo: ['register_holder'],
  issuedAs: [CERTIFICATE, 'register_number'],
  spokenOf: [CERTIFICATE, 'register_holder'],
  issue: ['use_codes_expiry', 'use_codes(code_hash)'],
  redeem: ['use_codes_expiry', 'use_codes(code_hash)'],
  giveBack: ['use_codes(code_hash)'],
  handedOut: [],
  handedOutAs: ['handed_out(sm3)'],

  tell: [],
  unpublished: ['public_events(seq)'],
  published: ['public_events(seq)'],
  giveUp: ['public_events(seq)'],

  once: ['envelope_values(envelope_id, name)'],
  onceValues: ['envelope_values(envelope_id, name)'],

  keepItemVersions: [],
  itemVersion: ['item_versions(code, version)', 'item_versions_newest'],
  undecidedCases: ['cases_undecided'],

  allot: [],
  allotted: ['allotments(party, period)'],
  claim: [],
  unclaim: ['claims(what)'],
  keep: [],
  kept: ['kept(key)'],
  reserve: [],
};

/** The index of each filter of a search: every statement of it goes along one of them. */
const CASES_BY: Readonly<Record<string, readonly string[]>> = {
  time: ['cases_accepted'],
  applicationNo: ['cases_application_no'],
  itemCode: ['cases_item'],
  party: ['case_parties(party, accepted_at, case_no)', CASE],
  state: ['cases_state'],
  appKey: ['cases_app'],
};
const ENVELOPES_BY: Readonly<Record<string, readonly string[]>> = {
  age: ['envelopes(seq)'],
  case: ['envelopes_case'],
  party: ['envelopes_lane'],
  state: ['envelopes_state'],
  'state and party': ['envelopes_place'],
};
const LEDGER_BY: Readonly<Record<string, readonly string[]>> = {
  time: ['ledger_time'],
  caseNo: ['ledger_case'],
  applicationNo: ['ledger_application'],
  holderHash: ['ledger_holder'],
  officerId: ['ledger_officer'],
  source: ['ledger_source'],
  state: ['ledger_state'],
  type: ['ledger_type'],
  itemCode: ['ledger_item'],
  phase: ['ledger_counted'],
};

/** Of the tens of thousands that there are; of 4 KiB embedded, of 8 in PostgreSQL, which counts one again that is looked at again. */
function mostPages(call: Call): number {
  // Nonces that are remembered still, in this history far more than there ever are.
  if (call === 'start') return 1_000;
  // A thousand entries: of a search that sifts, of a check and of a count.
  if (/^(cases|read|envelopes) by|^(check|count|deleteBefore)$/.test(call)) return 4_000;
  // Five hundred rows, each found by its key, or looked up with its envelope.
  if (call === 'endMessages' || call === 'forgetSeen') return 4_000;
  if (call === 'sweep') return 8_000;
  // Ten thousand rows are deleted at once, each found by its number.
  return call === 'giveUp' ? 45_000 : 150;
}

function expectedOf(call: Call, kind: 'embedded' | 'shared'): Expected & { readonly every: boolean } {
  const [, search, by] = /^(cases|read|envelopes) by (.*)$/.exec(call) ?? [];
  if (search === undefined || by === undefined) {
    const plan = PLANS[call as Method] ?? assert.fail(`${call}: not among the expected plans`);
    const all: Expected = 'indexes' in plan ? plan : { indexes: plan };
    return { ...all, indexes: [...all.indexes, ...(all[kind] ?? [])], every: true };
  }
  const table = { cases: CASES_BY, read: LEDGER_BY, envelopes: ENVELOPES_BY }[search] ?? {};
  const indexes = by.split(', ').flatMap((name) => table[name] ?? assert.fail(`${call}: ${name}`));
  // Where a party is only sifted by, and where a row is looked up by which a page goes on.
  if (search === 'cases') indexes.push('case_parties(party, accepted_at, case_no)');
  if (search === 'read') indexes.push('ledger(id)');
  return {
    indexes,
    every: false,
    ...(search === 'cases' && by === 'applicationNo' ? { sorts: 'one case for each caller' } : {}),
    ...(search === 'cases' && by.includes('party') ? { sorts: 'the cases of one millisecond' } : {}),
  };
}

interface Plan {
  /** Each with the way in which it was read. */
  readonly accesses: readonly string[];
  readonly sorts: boolean;
  /** Read for it, when nothing of it was in memory; undefined where it could not be run once more. */
  readonly pages: number | undefined;
}

/** A database with a long history. */
interface Ground {
  readonly kind: 'embedded' | 'shared';
  dialect(clock: HandClock): Promise<StoreDialect>;
  /** This and the next while no store has it open. */
  plans(query: CompiledQuery): Promise<readonly Plan[]>;
  /** The first column. */
  rows(query: string): Promise<readonly string[]>;
  close(): Promise<void>;
}

const DATABASE = { poolSize: 4, connectTimeoutMs: 2_000, statementTimeoutMs: 60_000, lockTimeoutMs: 5_000 };
const server = await services.postgres();

/** Pages of 4 KiB that this process has read of any file, where the system says so. */
const READS = '/proc/self/io';
const countsReads = existsSync(READS);
const pagesRead = (): number => Number(/^syscr: (\d+)$/m.exec(readFileSync(READS, 'latin1'))?.[1]);

async function embedded(t: TestContext, finished = FINISHED): Promise<Ground & { readonly file: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'onewindow-plans-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'onewindow.db');
  await (await openStore({ file, clock: wallClock, log: silent })).close();
  const filling = new DatabaseSync(file, { enableForeignKeyConstraints: false });
  const database: Filled = {
    run: async (statement) => filling.exec(statement),
    indexes: async () =>
      filling
        .prepare(`select name, sql as definition from sqlite_master where type = 'index' and sql is not null`)
        .all() as unknown as Awaited<ReturnType<Filled['indexes']>>,
  };
  filling.exec('pragma synchronous = off; pragma cache_size = -200000; begin');
  await fill(database, finished);
  filling.exec('commit');
  filling.close();

  let raw: DatabaseSync | undefined;
  const opened = (): DatabaseSync => {
    raw ??= new DatabaseSync(file);
    return raw;
  };
  const columnsOf = (pragma: string): string =>
    opened()
      .prepare(pragma)
      .all()
      .map(({ name }) => name)
      .join(', ');
  function access(line: string): string | undefined {
    const [, table, how = ''] = /^(?:SEARCH|SCAN) (\w+)(?: LEFT-JOIN)?(?: USING (.*))?$/.exec(line) ?? [];
    if (table === undefined) {
      // What is no access: of these alone it is known.
      assert.match(
        line,
        /^(SCAN CONSTANT ROW|SCAN \d+-ROW VALUES CLAUSE|(CORRELATED )?SCALAR SUBQUERY \d+|LIST SUBQUERY \d+|COMPOUND QUERY|LEFT-MOST SUBQUERY|UNION ALL|USE TEMP B-TREE FOR .*)$/,
      );
      return undefined;
    }
    const [, index] = /^(?:COVERING )?INDEX (\S+)/.exec(how) ?? [];
    if (index?.startsWith('sqlite_autoindex_'))
      return `${index.slice(17, index.lastIndexOf('_'))}(${columnsOf(`pragma index_info(${index})`)})`;
    if (index !== undefined) return index;
    if (/^INTEGER PRIMARY KEY/.test(how)) return `${table}(${columnsOf(`pragma table_info(${table})`).split(',')[0]})`;
    if (/^PRIMARY KEY/.test(how)) {
      const key = opened().prepare(`select name from pragma_table_info('${table}') where pk > 0 order by pk`).all();
      assert.ok(key.length > 0, line);
      return `${table}(${key.map(({ name }) => name).join(', ')})`;
    }
    return `all of ${table}`;
  }
  return {
    kind: 'embedded',
    file,
    dialect: async () => sqlite(file),
    async plans({ sql, parameters }) {
      const db = opened();
      const lines = db
        .prepare(`explain query plan ${sql}`)
        .all()
        .map(({ detail }) => String(detail));
      let pages: number | undefined;
      if (countsReads && !sql.startsWith('insert')) {
        const statement = db.prepare(sql);
        db.exec('begin; pragma shrink_memory');
        const before = pagesRead();
        statement.all(...(parameters as SQLInputValue[]));
        pages = pagesRead() - before;
        db.exec('rollback');
      }
      return [
        {
          accesses: lines.flatMap((line) => access(line) ?? []),
          sorts: lines.some((line) => line.includes('TEMP B-TREE')),
          pages,
        },
      ];
    },
    async rows(query) {
      const db = new DatabaseSync(file);
      const rows = db.prepare(query).all();
      db.close();
      return rows.map((row) => String(Object.values(row)[0]));
    },
    async close() {
      raw?.close();
    },
  };
}

interface Node {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows'?: number;
  readonly 'Shared Hit Blocks'?: number;
  readonly 'Shared Read Blocks'?: number;
  readonly Plans?: readonly Node[];
}
const nodesOf = (plan: Node): readonly Node[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

async function shared(t: TestContext): Promise<Ground> {
  const { url, drop } = await services.freshDatabase('missing' in server ? '' : server.url);
  t.after(drop);
  await (await openStore({ databaseUrl: url, database: DATABASE, clock: wallClock, log: silent })).close();
  const client = new pg.Client({ connectionString: url, options: postgres.WALKS });
  await client.connect();
  await client.query(`set synchronous_commit = off; set maintenance_work_mem = '128MB'`);
  // Whether a row's case is there is not asked for each: only a superuser may leave that out.
  await client.query('set session_replication_role = replica').catch(() => {});
  await fill(
    {
      run: async (statement) => void (await client.query(statement)),
      indexes: async () =>
        (
          await client.query<{ name: string; definition: string }>(
            `select indexname as name, indexdef as definition from pg_indexes
             where schemaname = current_schema() and indexname not in (select conname from pg_constraint)`,
          )
        ).rows,
    },
    FINISHED / 2,
  );
  await client.query('analyze; set session_replication_role = default').catch(() => client.query('analyze'));
  const { rows: keys } = await client.query<{ name: string; key: string }>(
    `select i.relname as name, t.relname || '(' || string_agg(a.attname, ', ' order by k.n) || ')' as key
     from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid,
       unnest(x.indkey) with ordinality as k(column_no, n) join pg_attribute a on a.attnum = k.column_no
     where x.indisunique and a.attrelid = x.indrelid group by i.relname, t.relname`,
  );
  const named = new Map(keys.map(({ name, key }) => [name, key]));

  async function plan({ sql, parameters }: CompiledQuery): Promise<Plan> {
    await client.query('begin');
    try {
      await client.query(`prepare one as ${sql}`);
      const { rows } = await client.query<{ types: string[] }>(
        `select parameter_types::text[] as types from pg_prepared_statements where name = 'one'`,
      );
      const values = parameters.map((value, i) => `${literal(value)}::${rows[0]?.types[i]}`);
      // An insertion cannot be made once more.
      const run = !sql.startsWith('insert');
      const explain = `explain (${run ? 'analyze, buffers, ' : ''}format json) execute one${values.length === 0 ? '' : `(${values.join(', ')})`}`;
      const { rows: told } = await client.query<{ 'QUERY PLAN': readonly [{ readonly Plan: Node }] }>(explain);
      const top = told[0]?.['QUERY PLAN'][0].Plan ?? assert.fail('no plan');
      const nodes = nodesOf(top);
      return {
        accesses: nodes.flatMap((node) =>
          node['Index Name'] !== undefined
            ? (named.get(node['Index Name']) ?? node['Index Name'])
            : node['Node Type'] === 'Seq Scan'
              ? `all of ${node['Relation Name']}`
              : [],
        ),
        // Of few it is what PostgreSQL likes best.
        sorts: nodes.some((node) => node['Node Type'] === 'Sort' && (node['Actual Rows'] ?? 0) > 1_100),
        pages: run ? (top['Shared Hit Blocks'] ?? 0) + (top['Shared Read Blocks'] ?? 0) : undefined,
      };
    } finally {
      await client.query('rollback');
      await client.query('deallocate all');
    }
  }
  return {
    kind: 'shared',
    dialect: (clock) => postgres.postgres(url, DATABASE, { clock, log: silent }),
    // As it is planned for its values, and as it is kept for all values. A search is planned anew each time.
    async plans(query) {
      const plans: Plan[] = [];
      for (const mode of query.sql.endsWith('*/') ? ['custom'] : ['custom', 'generic']) {
        await client.query(`set plan_cache_mode = force_${mode}_plan`);
        plans.push(await plan(query));
      }
      return plans;
    },
    rows: async (query) => (await client.query({ text: query, rowMode: 'array' })).rows.map(([value]) => String(value)),
    close: () => client.end(),
  };
}

const literal = (value: unknown): string =>
  value === null ? 'null' : pg.escapeLiteral(Array.isArray(value) ? `{${value.join(',')}}` : String(value));

/** Cases of it. */
const WORK = 100;

/** Pages that a node reads while it does the same again and again. */
async function pagesOfWork(at: Ground): Promise<number> {
  const clock = new HandClock();
  const store = await storeOver(await at.dialect(clock), { clock, log: silent });
  let made = 0;
  async function work(times: number): Promise<void> {
    for (let i = 0; i < times; i += 1) {
      made += 1;
      await store.accept(newCase({ applicationNo: `work-${made}`, acceptedAt: clock.now() }));
      const leases = await store.lease({ lanes: [{ lane: 'tea-office', limit: 9 }], forMs: 60_000, now: clock.now() });
      assert.equal(leases.length, 1);
      for (const lease of leases)
        await store.delivered(lease, { number: `work-${made}`, duplicate: false }, nothing, null);
      await store.due();
      await store.lanes();
      await store.unmatched({ limit: 9 });
      clock.move(1_000);
    }
  }
  try {
    await work(10);
    const before = pagesRead();
    await work(WORK);
    return pagesRead() - before;
  } finally {
    await store.close();
  }
}

/** Neither about the schema nor about the engine itself. */
const asksForData = (text: string): boolean =>
  /^\s*(select|insert|update|delete) /.test(text) && !/kysely_|sqlite_|\bpg_/.test(text);

/** Prepared by both engines, and of use to one: where nodes share the database, its nonces are others. */
const ELSEWHERE = { embedded: /^$/, shared: /^insert into "nonces" / } as const;

for (const { name, skip, ground } of [
  { name: 'embedded', skip: false as string | false, ground: embedded as (t: TestContext) => Promise<Ground> },
  { name: 'PostgreSQL', skip: 'missing' in server ? server.missing : false, ground: shared },
]) {
  test(`every statement that the store can issue takes the index it should, by name, beside a long history: ${name}`, {
    skip,
  }, async (t) => {
    const at = await ground(t);
    const searches = await expectedOfSearches(at);
    await t.test('a search of several filters finds what they find together, all of it and in order', async () => {
      const clock = new HandClock();
      const store = await storeOver(await at.dialect(clock), { clock, log: silent });
      await searchesFind(store, searches).finally(() => store.close());
    });
    await t.test(
      'accepting, delivering and what an idle node asks now and then cost what they cost beside no history',
      {
        skip: at.kind === 'shared' ? 'counted for each statement' : countsReads ? false : `there is no ${READS}`,
      },
      async (t) => {
        const [short, long] = [await pagesOfWork(await embedded(t, 0)), await pagesOfWork(at)];
        // Its trees are a page or two higher.
        assert.ok(long <= short + 5 * WORK, `${long} pages were read, and ${short} beside no history`);
      },
    );
    const issued = new IssuedStatements();
    const compiled = new Set<string>();
    const clock = new HandClock();
    const dialect = listening(await at.dialect(clock), issued.heard, (query) => compiled.add(query.sql));
    const store = await storeOver(dialect, { clock, log: silent });
    try {
      await issued.callAll(store, clock);
    } finally {
      await store.close();
    }

    await t.test('no statement is prepared that no call here issues', () => {
      const run = new Set([...issued.calls.values()].flatMap((statements) => [...statements.keys()]));
      const never = [...compiled].filter(
        (text) => asksForData(text) && !run.has(text) && !ELSEWHERE[at.kind].test(text),
      );
      assert.deepEqual(never, [], 'add a call to test/support/store-calls.ts');
    });

    let explained = 0;
    for (const [call, statements] of issued.calls)
      await t.test(call, async () => {
        const expected = expectedOf(call, at.kind);
        const used = new Set<string>();
        for (const query of statements.values()) {
          if (!asksForData(query.sql)) continue;
          for (const { accesses, sorts, pages } of await at.plans(query)) {
            explained += 1;
            for (const access of accesses) {
              // What is checked of another table is the same for every new case.
              if (query.sql.startsWith('insert into "cases"')) continue;
              used.add(access);
              assert.ok(
                expected.indexes.some((one) => one.split(' | ').includes(access)),
                `${access} is not expected: ${query.sql}`,
              );
            }
            assert.ok(!sorts || expected.sorts !== undefined, `puts in order what it has read: ${query.sql}`);
            if (pages !== undefined) assert.ok(pages <= mostPages(call), `${pages} pages read by ${query.sql}`);
          }
        }
        if (!expected.every) return;
        const missed = expected.indexes.filter((one) => !one.split(' | ').some((index) => used.has(index)));
        assert.deepEqual(missed, [], 'expected, and taken by no statement');
      });
    await t.test('every method is among them', () => {
      const calls = [...issued.calls.keys()];
      const missed = Object.keys(PLANS).filter(
        (name) => !calls.some((call) => call === name || call.startsWith(`${name} by `)),
      );
      assert.deepEqual(missed, []);
      assert.ok(explained > 300, `${explained} plans were seen`);
    });
    await at.close();
  });
}

/** Both filters find much, and together little or nothing, so that a search goes on from piece to piece; and others that end in the middle of one. */
const CASE_SEARCHES = [
  [{ party: 'office-1', state: 'DECIDED' }, `party = 'office-1' and state = 'DECIDED'`],
  [{ party: 'office-1', itemCode: 'item-7' }, `party = 'office-1' and item_code = 'item-7'`],
  [{ appKey: 'kiosk', state: 'DECIDED' }, `app_key = 'kiosk' and state = 'DECIDED'`],
  [
    { appKey: 'hall', state: 'WITHDRAWN', party: 'rare-office' },
    `app_key = 'hall' and state = 'WITHDRAWN' and party = 'rare-office'`,
  ],
] as const;
const LEDGER_SEARCHES = [
  [{ source: 'office-1', itemCode: 'item-2' }, `source = 'office-1' and item_code = 'item-2'`],
  [
    { itemCode: 'item-5', phase: 'answered', state: 'found' },
    `item_code = 'item-5' and phase = 'answered' and state = 'found'`,
  ],
  [{ itemCode: 'item-1', state: 'notPermitted' }, `item_code = 'item-1' and state = 'notPermitted'`],
  [{ caseNo: caseNoOf(3), applicationNo: 'F4' }, `(case_no = '${caseNoOf(3)}' or application_no = 'F4')`],
] as const;
const ENVELOPE_SEARCHES = [
  [{ state: 'waiting' }, `place in ('ready', 'asleep', 'behind', 'held')`],
  [{ state: 'waiting', party: 'office-1' }, `place in ('ready', 'asleep', 'behind', 'held') and lane = 'office-1'`],
  [{ state: 'refused', party: 'office-1' }, `place = 'refused' and lane = 'office-1'`],
  [{ state: 'delivered', party: 'window' }, `place is null and lane = 'window'`],
  [{ party: 'office-1' }, `lane = 'office-1'`],
  [{ caseNo: caseNoOf(100) }, `case_no = '${caseNoOf(100)}'`],
  [{ caseNo: caseNoOf(100), state: 'cancelled' }, `case_no = '${caseNoOf(100)}' and place = 'cancelled'`],
] as const;
const PAGE = 90;
const PAGES = 4;

/** What the database itself finds, by the words of the search. */
async function expectedOfSearches(at: Ground): Promise<ReadonlyMap<string, readonly string[]>> {
  const expected = new Map<string, readonly string[]>();
  const find = async (where: string, from: string, order: string) =>
    expected.set(where, await at.rows(`select ${from} where ${where} order by ${order} limit ${PAGE * PAGES}`));
  for (const [filter, where] of CASE_SEARCHES) {
    const parties = 'party' in filter ? 'join case_parties p on p.case_no = c.case_no' : '';
    await find(where, `c.case_no from cases c ${parties}`, 'c.accepted_at desc, c.seq desc');
  }
  for (const [, where] of ENVELOPE_SEARCHES) await find(where, 'id from envelopes', 'seq');
  for (const [, where] of LEDGER_SEARCHES) await find(where, 'id from ledger', 'at, seq');
  return expected;
}

/** Some pages of each, every one beginning where the one before ended. */
async function searchesFind(store: Store, expected: ReadonlyMap<string, readonly string[]>): Promise<void> {
  type Found = { readonly ids: readonly string[]; readonly next: string | null };
  async function same(where: string, page: (cursor: string | undefined) => Promise<Found>): Promise<void> {
    const ids: string[] = [];
    let cursor: string | undefined;
    for (let i = 0; i < PAGES; i += 1) {
      const one = await page(cursor);
      ids.push(...one.ids);
      if (one.next === null) break;
      cursor = one.next;
    }
    assert.deepEqual(ids, expected.get(where), where);
  }
  const from = (cursor: string | undefined) => (cursor === undefined ? {} : { cursor });
  for (const [filter, where] of CASE_SEARCHES)
    await same(where, async (cursor) => {
      const { rows, next } = await store.cases({ ...filter, limit: PAGE, ...from(cursor) });
      return { ids: rows.map(({ caseNo }) => caseNo), next };
    });
  for (const [filter, where] of ENVELOPE_SEARCHES)
    await same(where, async (cursor) => {
      const { rows, next } = await store.envelopes({ ...filter, limit: PAGE, ...from(cursor) });
      return { ids: rows.map(({ envelope }) => envelope.id), next };
    });
  for (const [filter, where] of LEDGER_SEARCHES)
    await same(where, async (after) => {
      const rows = await store.read({ ...filter, limit: PAGE, ...(after === undefined ? {} : { after }) });
      return { ids: rows.map(({ id }) => id), next: rows.length < PAGE ? null : (rows.at(-1)?.id ?? null) };
    });
}
