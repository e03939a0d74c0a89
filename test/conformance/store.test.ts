import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { Kysely, sql } from 'kysely';
import type { LedgerEntry } from '../../contracts/ports/certificate.ts';
import { wallClock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { Lease, Store } from '../../contracts/ports/store.ts';
import { cursorOf } from '../../gateway/store/cursor.ts';
import type { StoreDialect } from '../../gateway/store/dialect.ts';
import { chained } from '../../gateway/store/ledger.ts';
import { openStore, storeOver } from '../../gateway/store/open.ts';
import { sqlite } from '../../gateway/store/sqlite.ts';
import { HandClock } from '../support/hand-clock.ts';
import { ledgerEntry } from '../support/ledger-entry.ts';
import { change, fault, newCase, nothing, stepIn } from '../support/sample-case.ts';
import { type Storage, storeSuite } from './store-suite.ts';

async function embedded(): Promise<Storage> {
  const dataDir = await mkdtemp(join(tmpdir(), 'onewindow-store-'));
  return {
    open: (means) => openStore({ dataDir, log: silent, ...means }),
    discard: () => rm(dataDir, { recursive: true, force: true }),
  };
}

storeSuite('embedded', embedded);

describe('the embedded store', () => {
  const open = (file: string) => openStore({ file, clock: wallClock, log: silent });
  const inFolder = async (work: (file: string) => Promise<void>) => {
    const folder = await mkdtemp(join(tmpdir(), 'onewindow-store-'));
    try {
      await work(join(folder, 'onewindow.db'));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };

  test('a file that is open is refused to a second program, in plain words, and free again after close', () =>
    inFolder(async (file) => {
      const store = await open(file);
      await assert.rejects(open(file), /in use by another process/);
      await store.accept(newCase({ applicationNo: 'A1' }));
      await store.close();
      await (await open(file)).close();
    }));

  test('a commit is on the disk before it resolves, not in the cache of the system', () =>
    inFolder(async (file) => {
      const dialect = sqlite(file);
      const db = new Kysely<unknown>({ dialect: dialect.kysely });
      const synchronous = await sql<{ synchronous: number }>`pragma synchronous`.execute(db);
      const journal = await sql<{ journal_mode: string }>`pragma journal_mode`.execute(db);
      assert.deepEqual([synchronous.rows[0]?.synchronous, journal.rows[0]?.journal_mode], [2, 'wal']);
      await db.destroy();
    }));

  test('nonces are written within 200 ms though nothing else is', () =>
    inFolder(async (file) => {
      const statements = new Set<string>();
      const clock = new HandClock();
      const store = await storeOver(listening(sqlite(file), statements), { clock, log: silent });
      const written = () => [...statements].some((statement) => statement.startsWith('insert into "nonces"'));
      await store.firstUse('window-demo', '0123456789abcdef', clock.now() + 1000);
      clock.move(199);
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
      assert.equal(written(), false);
      clock.move(1);
      while (!written()) await new Promise(setImmediate);
      await store.close();
    }));

  test('a schema newer than the program is refused, and left as it is', () =>
    inFolder(async (file) => {
      await (await open(file)).close();
      const raw = new DatabaseSync(file);
      raw.exec(`insert into kysely_migration (name, timestamp) values ('999-later', '2099-01-01')`);
      raw.close();
      for (const _ of [1, 2]) await assert.rejects(open(file), /schema \(999-later\) is newer than this program/);
    }));

  test('the ledger is a hash chain that the database itself refuses to change', () =>
    inFolder(async (file) => {
      const store = await open(file);
      await Promise.all([1, 2, 3].map((n) => store.write([ledgerEntry(`a${n}`), ledgerEntry(`b${n}`)])));
      assert.equal(await verified(store), 6);
      await store.close();
      const raw = new DatabaseSync(file);
      assert.throws(() => raw.exec('delete from ledger where seq = 2'), /append-only/);
      assert.throws(() => raw.exec(`update ledger set entry = replace(entry, 'W01', 'W02')`), /append-only/);
      raw.exec('drop trigger ledger_no_update');
      raw.exec(`update ledger set entry = replace(entry, 'W01', 'W02') where seq = 2`);
      raw.close();
      const changed = await open(file);
      await assert.rejects(verified(changed), /broken at/);
      await changed.close();
    }));

  test('every statement on the path of a case is served by an index', () =>
    inFolder(async (file) => {
      const statements = new Set<string>();
      await wholePath(await storeOver(listening(sqlite(file), statements), { clock: wallClock, log: silent }));
      const raw = new DatabaseSync(file);
      let explained = 0;
      for (const statement of statements) {
        if (!/^(select|update|insert|delete) /.test(statement) || /kysely_|sqlite_/.test(statement)) continue;
        for (const { detail } of raw.prepare(`explain query plan ${statement}`).all()) {
          // The lanes are as many as the departments.
          // Walking in key order to a limit reads no more than it gives, as long as nothing is filtered out.
          if (/^select .* order by "seq"( desc)? limit \?$/.test(statement) && !statement.includes(' where ')) continue;
          const whole = /^SCAN (?!CONSTANT|\d+-ROW|lanes)/.test(String(detail)) && !String(detail).includes(' USING ');
          const sorted = String(detail).includes('TEMP B-TREE');
          assert.ok(!whole && !sorted, `${statement}: ${detail}`);
          explained += 1;
        }
      }
      assert.ok(explained > 20, 'the statements were seen');
      raw.close();
    }));

  test('a full disk: callers are told to come again, what was promised is there, and it goes on by itself', () =>
    inFolder(async (file) => {
      const dialect = sqlite(file);
      const disk = new Kysely<unknown>({ dialect: dialect.kysely });
      const store = await storeOver(dialect, { clock: wallClock, log: silent });
      const pages = await sql<{ page_count: number }>`pragma page_count`.execute(disk);
      await sql`pragma max_page_count = ${sql.lit((pages.rows[0]?.page_count ?? 0) + 20)}`.execute(disk);
      const promised: string[] = [];
      let refused: unknown;
      for (let i = 0; refused === undefined && i < 1000; i++) {
        const some = [0, 1, 2].map((n) => store.accept(newCase({ applicationNo: `A${i}-${n}` })));
        for (const one of await Promise.allSettled(some)) {
          if (one.status === 'fulfilled') promised.push(one.value.record.caseNo);
          else refused = one.reason;
        }
      }
      assert.ok(refused instanceof Unfit && refused.status === 503 && refused.retryAfter === 10, String(refused));
      await sql`pragma max_page_count = 1000000`.execute(disk);
      promised.push((await store.accept(newCase({ applicationNo: 'after' }))).record.caseNo);
      for (const caseNo of promised) assert.ok(await store.caseOf(caseNo), caseNo);
      await store.close();
    }));

  test('a counter that was set back rejects cases, and never lets one pass for stored', () =>
    inFolder(async (file) => {
      const store = await open(file);
      await store.accept(newCase({ applicationNo: 'A1' }));
      await store.close();
      const raw = new DatabaseSync(file);
      raw.exec('delete from counters');
      raw.close();
      const again = await open(file);
      await assert.rejects(again.accept(newCase({ applicationNo: 'A2', sends: [] })), /UNIQUE/);
      assert.equal(await again.byApplication('window-demo', 'A2'), undefined);
      await again.close();
    }));

  test('killed in the middle of commits, again and again: nothing that was promised is lost, nothing is half', () =>
    inFolder(async (file) => {
      const promised: string[] = [];
      for (let round = 0; round < 4; round++)
        promised.push(...(await writesUntilKilled(file, `r${round}`, 60 + round * 45)));
      const store = await open(file);
      const count = { accepted: 0, delivered: 0, ledger: 0, collected: 0 };
      for (const line of promised) {
        const [word, id] = line.split(' ') as [keyof typeof count, string];
        count[word] += 1;
        if (word === 'accepted') assert.ok(await store.caseOf(id), line);
        if (word === 'delivered') assert.equal((await store.envelope(id))?.state, 'delivered', line);
        if (word === 'collected') {
          const about = { number: id };
          const again = {
            from: 'tea-office',
            about,
            dedupe: id,
            at: 1,
            answer: { outcome: 'done', result: {} },
          } as const;
          assert.equal(await store.collected(again, () => () => assert.fail(line)), 'seenBefore', line);
        }
      }
      for (const [word, times] of Object.entries(count)) assert.ok(times > 0, `no ${word} before the kill`);
      const entries = await all(store);
      const written = new Set(entries.map(({ id }) => id));
      for (const line of promised.filter((one) => one.startsWith('ledger '))) {
        assert.ok(written.has(line.slice(7)) && written.has(`${line.slice(7)}-answered`), line);
      }
      assert.equal(await verified(store), entries.length);

      // Whole or not at all: every case has its events and its envelope, and its step is done exactly when that is delivered.
      let cursor: string | undefined;
      do {
        const page = await store.cases({ limit: 200, ...(cursor === undefined ? {} : { cursor }) });
        for (const record of page.rows) {
          const envelope = await store.envelope(`${record.caseNo}-01`);
          const events = (await store.timeline(record.caseNo, undefined, 10)).rows.map(({ kind }) => kind);
          assert.deepEqual(events.slice(0, 2), ['accepted', 'sent']);
          assert.equal(record.steps[0]?.state === 'DONE', envelope?.state === 'delivered');
          assert.equal(events.includes('delivered'), envelope?.state === 'delivered');
        }
        cursor = page.next ?? undefined;
      } while (cursor !== undefined);
      await store.close();
    }));
});

/** Every promise that the writer printed before it was killed with SIGKILL, after about `lines` of them. */
async function writesUntilKilled(file: string, name: string, lines: number): Promise<readonly string[]> {
  const program = join(import.meta.dirname, '../support/store-writer.ts');
  const child = spawn(process.execPath, [program, file, name], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    text += piece;
    if (text.split('\n').length > lines) child.kill('SIGKILL');
  });
  const [, signal] = await once(child, 'close');
  assert.equal(signal, 'SIGKILL');
  // A line without its end was cut off in the pipe, and promised nothing.
  return text.split('\n').slice(0, -1);
}

async function all(store: Store): Promise<readonly (LedgerEntry & { readonly hash: string })[]> {
  const entries: (LedgerEntry & { readonly hash: string })[] = [];
  for (;;) {
    const last = entries.at(-1);
    const page = await store.read({ limit: 500, ...(last === undefined ? {} : { after: last.id }) });
    entries.push(...page);
    if (page.length < 500) return entries;
  }
}

async function verified(store: Store): Promise<number> {
  const entries = await all(store);
  let before = '';
  for (const { hash, ...entry } of entries) {
    if (chained(before, entry) !== hash) throw new Error(`the chain is broken at ${entry.id}`);
    before = hash;
  }
  return entries.length;
}

/** The same dialect, noting each statement it runs. */
function listening(dialect: StoreDialect, statements: Set<string>): StoreDialect {
  const { kysely } = dialect;
  return {
    ...dialect,
    kysely: {
      createAdapter: () => kysely.createAdapter(),
      createIntrospector: (db) => kysely.createIntrospector(db),
      createQueryCompiler: () => kysely.createQueryCompiler(),
      createDriver: () => {
        const driver = kysely.createDriver();
        const acquire = driver.acquireConnection.bind(driver);
        driver.acquireConnection = async () => {
          const connection = await acquire();
          return {
            streamQuery: (query, size) => connection.streamQuery(query, size),
            executeQuery: (query) => {
              statements.add(query.sql);
              return connection.executeQuery(query);
            },
          };
        };
        return driver;
      },
    },
  };
}

/** Everything that happens again and again while cases go through. */
async function wholePath(store: Store): Promise<void> {
  const lane = 'tea-office';
  await store.byApplication('window-demo', 'A0');
  await Promise.all(['A0', 'A1', 'A2', 'A3'].map((applicationNo) => store.accept(newCase({ applicationNo }))));
  const round = { lanes: [{ lane, limit: 9 }], forMs: 1000, now: Date.now() };
  const [one, two, three, four] = (await store.lease(round)) as [Lease, Lease, Lease, Lease];
  await store.delivered(one, { number: 'N1', duplicate: false }, nothing, 1);
  const when = { notBefore: Date.now() + 9999, costsAttempt: true, inDoubt: false };
  await store.postponed(two, fault('busy'), when, nothing);
  await store.parked(three, fault('malformed'), nothing);
  await store.returned(four);
  await store.released(three.envelope.id, () => nothing);
  await store.awaiting({ party: lane, limit: 9, now: Date.now(), scheduleMs: [5] });
  await store.nextDue(Date.now());
  const answer = { outcome: 'done' as const, result: {} };
  const word = (number: string) => ({ from: lane, about: { number }, dedupe: number, at: 1, answer });
  await store.collected(word('N1'), () => async (record) => change({ steps: [stepIn(record, '01', 'DONE')] }));
  await store.collected(word('N2'), () => nothing);
  await store.rematch(lane, () => nothing);
  await store.held(one.envelope.caseNo, true, nothing);
  await store.paused(lane, 'operator-demo', 'tea');
  await store.resumed(lane, 'operator-demo');
  await store.write([ledgerEntry('L1')]);
  await store.read({ caseNo: 'x', after: 'L1', limit: 1 });
  await store.read({ holderHash: 'x', limit: 1 });
  await store.firstUse('window-demo', '0123456789abcdef', Date.now() + 1000);
  await store.caseOf(one.envelope.caseNo);
  await store.timeline(one.envelope.caseNo, undefined, 9);
  await store.envelope(one.envelope.id);
  await store.envelopes({ caseNo: one.envelope.caseNo, limit: 9 });
  await store.envelopes({ party: lane, state: 'parked', limit: 9 });
  await store.cases({ limit: 9 });
  await store.cases({ state: 'HANDLING', limit: 9, cursor: cursorOf([1, 1]) });
  await store.close();
}
