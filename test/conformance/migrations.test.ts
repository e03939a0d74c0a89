import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { Kysely, Migrator, sql } from 'kysely';
import pg from 'pg';
import { type Clock, wallClock } from '../../contracts/ports/clock.ts';
import type { Message } from '../../contracts/ports/envelope.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { Lease, Store } from '../../contracts/ports/store.ts';
import type { StoreDialect } from '../../gateway/store/dialect.ts';
import { migrations } from '../../gateway/store/migrations.ts';
import { openStore, storeOver } from '../../gateway/store/open.ts';
import { postgres } from '../../gateway/store/postgres.ts';
import { sqlite } from '../../gateway/store/sqlite.ts';
import { HandClock } from '../support/hand-clock.ts';
import { ledgerEntry } from '../support/ledger-entry.ts';
import { change, event, newCase, nothing, PREFIX, stepIn } from '../support/sample-case.ts';
import * as services from '../support/services.ts';
import { until } from '../support/world.ts';
// Written by 0.1.0 itself: its schema, and what stood in it when its process was killed at `at`.
import released from './released/0.1.0.json' with { type: 'json' };

const DATABASE = { poolSize: 4, connectTimeoutMs: 2_000, statementTimeoutMs: 1_000, lockTimeoutMs: 100 };
const engine = await services.postgres();
const skip = 'missing' in engine ? engine.missing : false;
const KEPT_MS = 60_000;

/** An empty database of one kind. */
interface Ground {
  dialect(clock: Clock): Promise<StoreDialect>;
  /** Brings it to where the first release left it. */
  asReleased(): Promise<void>;
}

const grounds: readonly { readonly name: string; readonly skip: string | false; readonly at: typeof embedded }[] = [
  { name: 'embedded', skip: false, at: embedded },
  { name: 'PostgreSQL', skip, at: shared },
];

async function embedded(t: TestContext): Promise<Ground> {
  const folder = await mkdtemp(join(tmpdir(), 'onewindow-migrations-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const dialect = async () => sqlite(join(folder, 'onewindow.db'));
  return {
    dialect,
    async asReleased() {
      const db = new Kysely<unknown>({ dialect: (await dialect()).kysely });
      for (const statement of released.schema) await sql.raw(statement).execute(db);
      for (const [table, rows] of Object.entries(released.tables)) await insert(db, table, rows);
      await db.destroy();
    },
  };
}

async function shared(t: TestContext): Promise<Ground> {
  const { url } = await database(t);
  const dialect = (clock: Clock) => postgres(url, DATABASE, { clock, log: silent });
  return {
    dialect,
    async asReleased() {
      const first = await dialect(wallClock);
      const db = new Kysely<unknown>({ dialect: first.kysely });
      await migratedTo(db, first, '001-first');
      for (const [table, rows] of Object.entries(released.tables)) {
        if (table.startsWith('kysely_')) continue;
        // It counts the rows by itself, and so in the same order.
        await insert(
          db,
          table,
          rows.map(({ seq: _, ...row }: { seq?: unknown }) => row),
        );
      }
      await db.destroy();
    },
  };
}

async function database(t: TestContext): Promise<{ readonly url: string }> {
  const { url, drop } = await services.freshDatabase('missing' in engine ? '' : engine.url);
  t.after(drop);
  return { url };
}

async function insert(db: Kysely<unknown>, table: string, rows: readonly object[]): Promise<void> {
  for (const row of rows) {
    const columns = sql.join(Object.keys(row).map((column) => sql.ref(column)));
    await sql`insert into ${sql.table(table)} (${columns}) values (${sql.join(Object.values(row))})`.execute(db);
  }
}

async function migratedTo(db: Kysely<unknown>, dialect: StoreDialect, name: string): Promise<void> {
  const known = migrations(dialect);
  const migrator = new Migrator({ db, provider: { getMigrations: async () => known } });
  assert.equal((await migrator.migrateTo(name)).error, undefined);
}

test('the first migration makes what the first release had, statement for statement', async (t) => {
  const dialect = await (await embedded(t)).dialect(wallClock);
  const db = new Kysely<unknown>({ dialect: dialect.kysely });
  await migratedTo(db, dialect, '001-first');
  const { rows } = await sql<{
    sql: string;
  }>`select sql from sqlite_master where sql is not null order by rowid`.execute(db);
  const told = (statement: string): string => statement.replaceAll(/\s+/g, ' ');
  assert.deepEqual(
    rows.map((row) => told(row.sql)),
    released.schema.map(told),
  );
  await db.destroy();
});

for (const ground of grounds) {
  describe(`from 0.1.0 with cases under way: ${ground.name}`, { skip: ground.skip }, () => {
    const TEA = 'tea-office';
    const numberOf = (applicationNo: string): string =>
      released.tables.cases.find((row) => row.application_no === applicationNo)?.case_no ?? assert.fail(applicationNo);
    const finish = () => async (record: Parameters<typeof stepIn>[0]) =>
      change({ steps: [stepIn(record, '01', 'DONE')], events: [event('answered')] });

    /** As 0.1.0 left it, and this program started on it a second after the kill. */
    async function begun(t: TestContext): Promise<{ store: Store; clock: HandClock }> {
      const there = await ground.at(t);
      await there.asReleased();
      const clock = new HandClock(released.at + 1_000);
      const store = await storeOver(await there.dialect(clock), { clock, log: silent });
      let closed = false;
      // Before the database is dropped.
      t.after(() => (closed ? undefined : store.close()));
      return {
        clock,
        store: {
          ...store,
          async close() {
            closed = true;
            await store.close();
          },
        },
      };
    }
    async function leased(store: Store, clock: HandClock): Promise<ReadonlyMap<string, Lease>> {
      const lanes = [TEA, 'hall', 'closed-office'].map((lane) => ({ lane, limit: 20 }));
      const leases = await store.lease({ lanes, forMs: KEPT_MS, now: clock.now() });
      return new Map(leases.map((lease) => [lease.envelope.id, lease]));
    }

    test('every case is there with its events; the same application is the same case, and the next has the next number', async (t) => {
      const { store } = await begun(t);
      for (const row of released.tables.cases) {
        const record = await store.caseOf(row.case_no);
        assert.deepEqual(
          [record?.submission, record?.steps, record?.state, record?.held, record?.owed],
          [
            JSON.parse(row.submission),
            JSON.parse(row.steps),
            row.state,
            row.held === 1 ? { by: '', reason: '', at: 0 } : null,
            [],
          ],
        );
        assert.deepEqual(
          (await store.timeline(row.case_no, undefined, 50)).rows,
          released.tables.events.filter((one) => one.case_no === row.case_no).map((one) => JSON.parse(one.event)),
        );
        const again = await store.accept(newCase({ applicationNo: row.application_no }));
        assert.deepEqual([again.seenBefore, again.record.caseNo], [true, row.case_no]);
      }
      for (const party of [TEA, 'hall', 'nobody']) {
        const { rows } = await store.cases({ party, limit: 50 });
        const of = released.tables.cases.filter((row) => row.parties.includes(`|${party}|`));
        assert.deepEqual(rows.map(({ caseNo }) => caseNo).sort(), of.map((row) => row.case_no).sort());
      }
      const { record } = await store.accept(newCase({ applicationNo: 'new' }));
      assert.ok(Number(record.caseNo.slice(PREFIX.length)) > released.tables.cases.length, record.caseNo);
      assert.equal(
        released.tables.cases.find((row) => row.case_no === record.caseNo),
        undefined,
      );
      await store.close();
    });

    test('envelopes go on where they stood: ready, asleep, behind another, held, leased, parked, and of a paused lane', async (t) => {
      const { store, clock } = await begun(t);
      // Whoever shares a database waits for the lease of the process that is gone; who has it alone need not.
      clock.move(KEPT_MS);
      const first = await leased(store, clock);
      assert.deepEqual(
        [...first.keys()].sort(),
        [`${numberOf('in-line')}-W1`, `${numberOf('leased')}-01`, `${numberOf('ready')}-01`].sort(),
      );
      const killed = first.get(`${numberOf('leased')}-01`) as Lease;
      assert.deepEqual([killed.inDoubt, killed.fence], [true, 2], 'it may have been sent');
      assert.equal(first.get(`${numberOf('ready')}-01`)?.inDoubt, false);

      const line = first.get(`${numberOf('in-line')}-W1`) as Lease;
      assert.equal(await store.delivered(line, { number: null, duplicate: false }, nothing, null), 'recorded');
      assert.equal(await store.released(`${numberOf('parked')}-01`, () => nothing), 'released');
      assert.equal(await store.held(numberOf('held'), null, nothing), true);
      await store.resumed('closed-office', 'operator-demo');
      clock.move(2 * KEPT_MS);
      // What was leased above runs out meanwhile, and is there again.
      const second = await leased(store, clock);
      for (const [application, suffix, doubt, attempts] of [
        ['asleep', '01', true, 1],
        ['parked', '01', true, 0],
        ['held', '01', false, 0],
        ['in-line', 'W2', false, 0],
        ['paused', '01', false, 0],
      ] as const) {
        const lease = second.get(`${numberOf(application)}-${suffix}`);
        assert.deepEqual([lease?.inDoubt, lease?.attempts], [doubt, attempts], application);
        assert.equal(
          await store.delivered(lease as Lease, { number: 'N', duplicate: false }, finish(), null),
          'recorded',
        );
      }
      await store.close();
    });

    test('answers find what was filed before, once; what came too early is still kept', async (t) => {
      const { store, clock } = await begun(t);
      const word = (number: string, dedupe: string): Message => ({
        from: TEA,
        about: { number },
        dedupe,
        at: clock.now(),
        answer: { outcome: 'done', result: { ok: 'yes' } },
      });
      assert.equal(await store.collected(word('N-ended', 'word-ended'), finish), 'seenBefore');
      clock.move(KEPT_MS);
      const due = await store.awaiting({ party: TEA, limit: 9, now: clock.now(), scheduleMs: [1_000] });
      assert.deepEqual(
        due.map(({ envelope, number }) => [envelope.id, number]),
        [[`${numberOf('answer-due')}-01`, 'N-due']],
      );
      assert.equal(await store.collected(word('N-due', 'word-due'), finish), 'applied');
      assert.equal((await store.caseOf(numberOf('answer-due')))?.steps[0]?.state, 'DONE');
      assert.deepEqual(
        (await store.unmatched({ party: TEA, limit: 9 })).rows.map(({ dedupe }) => dedupe),
        ['word-early'],
      );
      const ready = (await leased(store, clock)).get(`${numberOf('ready')}-01`) as Lease;
      await store.delivered(ready, { number: 'N-early', duplicate: false }, nothing, null);
      const about = { party: TEA, key: ready.envelope.id, number: 'N-early' };
      assert.equal(await store.rematch(about, finish), 1, 'it can be looked up by what it is about');
      await store.close();
    });

    test('the ledger is one chain over both releases, and found by what is searched now', async (t) => {
      const { store, clock } = await begun(t);
      await store.write([ledgerEntry('new', { at: clock.now(), caseNo: numberOf('held') })]);
      assert.deepEqual(await store.check(), { rows: 7, brokenAt: null });
      const ids = async (filter: Parameters<Store['read']>[0]) => (await store.read(filter)).map(({ id }) => id);
      const asked = ['asked-0', 'asked-1', 'asked-2'];
      assert.deepEqual(await ids({ limit: 9, caseNo: numberOf('held'), phase: 'asked' }), [...asked, 'new']);
      assert.deepEqual(await ids({ limit: 2, officerId: 'W01', after: 'asked-1', phase: 'asked' }), ['asked-2', 'new']);
      await store.close();
    });

    test('a migration that fails leaves everything as it was, and goes through when what was in its way is gone', async (t) => {
      const there = await ground.at(t);
      await there.asReleased();
      const inTheWay = async (statement: string) => {
        const db = new Kysely<unknown>({ dialect: (await there.dialect(wallClock)).kysely });
        await sql.raw(statement).execute(db);
        await db.destroy();
      };
      await inTheWay('create table allotments (of_somebody_else text)');
      const open = async () => storeOver(await there.dialect(wallClock), { clock: wallClock, log: silent });
      await assert.rejects(open(), /allotments.*already exists/);
      // 002 came before it, and is not there either.
      await inTheWay('alter table cases add column owed text');
      await inTheWay('alter table cases drop column owed');
      await inTheWay('drop table allotments');
      const store = await open();
      assert.equal((await store.cases({ limit: 20 })).rows.length, released.tables.cases.length);
      await store.close();
    });
  });

  test(`a schema newer than the program is refused, in both languages, and left as it is: ${ground.name}`, {
    skip: ground.skip,
  }, async (t) => {
    const there = await ground.at(t);
    const open = async () => storeOver(await there.dialect(wallClock), { clock: wallClock, log: silent });
    await (await open()).close();
    const db = new Kysely<unknown>({ dialect: (await there.dialect(wallClock)).kysely });
    await sql`insert into kysely_migration (name, timestamp) values ('999-later', '2099-01-01')`.execute(db);
    await db.destroy();
    for (const _ of [1, 2])
      await assert.rejects(open(), (error: Error) => {
        assert.equal(error.name, 'NotOpened');
        assert.match(
          error.message,
          /结构（999-later）比本程序新.* \/ .*schema \(999-later\) is newer than this program/,
        );
        return true;
      });
  });
}

test('a nonce that was used before the upgrade is not good again', async (t) => {
  const there = await embedded(t);
  await there.asReleased();
  const clock = new HandClock(released.at + 1_000);
  const store = await storeOver(await there.dialect(clock), { clock, log: silent });
  const [used] = released.tables.nonces;
  assert.equal(await store.firstUse(used?.app_key ?? '', used?.nonce ?? '', clock.now() + KEPT_MS), false);
  await store.close();
});

describe('programs that migrate one database at once', { skip }, () => {
  /** Another's connection, closed with the test. */
  async function other(t: TestContext, url: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    // The database is dropped under it.
    client.on('error', () => {});
    t.after(() => client.end().catch(() => {}));
    return client;
  }
  const open = (url: string) => openStore({ databaseUrl: url, database: DATABASE, clock: wallClock, log: silent });

  for (const from of ['an empty one', 'one of 0.1.0'] as const) {
    test(`all start on ${from}, and it is done once`, async (t) => {
      let url: string;
      if (from === 'an empty one') ({ url } = await database(t));
      else {
        const own = await database(t);
        url = own.url;
        await released001(url);
      }
      const stores = await Promise.all(Array.from({ length: 5 }, () => open(url)));
      const accepted = await Promise.all(
        stores.map((store, i) => store.accept(newCase({ applicationNo: `of-${i}`, acceptedAt: Date.now() }))),
      );
      assert.equal(new Set(accepted.map(({ record }) => record.caseNo)).size, stores.length);
      await Promise.all(stores.map((store) => store.close()));
    });
  }

  test('one that comes while another is at it waits, however long a statement may take otherwise', async (t) => {
    const { url } = await database(t);
    await released001(url);
    const first = await other(t, url);
    // What the migrator locks for itself.
    await first.query('select pg_advisory_lock(3853314791062309107)');
    const opening = open(url);
    await rest(3 * DATABASE.statementTimeoutMs);
    await first.query('select pg_advisory_unlock_all()');
    await (await opening).close();
  });

  test('it waits for a table that nodes of the release before are using', async (t) => {
    const { url } = await database(t);
    await released001(url);
    const node = await other(t, url);
    await node.query('begin; select count(*) from cases');
    const opening = open(url);
    const watch = await other(t, url);
    await until(
      async () => {
        const { rows } = await watch.query(
          `select 1 from pg_locks where not granted and relation = 'cases'::regclass and mode = 'AccessExclusiveLock'`,
        );
        return rows.length > 0 ? true : undefined;
      },
      10_000,
      'the migration waits for the table',
    );
    await rest(5 * DATABASE.lockTimeoutMs);
    await node.query('commit');
    await (await opening).close();
  });

  async function released001(url: string): Promise<void> {
    const dialect = await postgres(url, DATABASE, { clock: wallClock, log: silent });
    const db = new Kysely<unknown>({ dialect: dialect.kysely });
    await migratedTo(db, dialect, '001-first');
    await db.destroy();
  }
});

const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
