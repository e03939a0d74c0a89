import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { Kysely, Migrator, sql } from 'kysely';
import type { LedgerEntry, LedgerFilter, LedgerRow } from '../../contracts/ports/certificate.ts';
import { wallClock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { Store } from '../../contracts/ports/store.ts';
import { migrations } from '../../gateway/store/migrations.ts';
import { openStore, storeOver } from '../../gateway/store/open.ts';
import { sqlite } from '../../gateway/store/sqlite.ts';
import { HandClock } from '../support/hand-clock.ts';
import { ledgerEntry } from '../support/ledger-entry.ts';
import { newCase } from '../support/sample-case.ts';
import { listening } from '../support/statements.ts';
import { type Storage, storeSuite } from './store-suite.ts';

const DAY_MS = 86_400_000;

async function embedded(): Promise<Storage> {
  const dataDir = await mkdtemp(join(tmpdir(), 'onewindow-store-'));
  return {
    open: (means) => openStore({ dataDir, log: silent, ...means }),
    discard: () => rm(dataDir, { recursive: true, force: true }),
  };
}

storeSuite('embedded', embedded);

describe('the embedded store', () => {
  const open = (file: string, clock = wallClock) => openStore({ file, clock, log: silent });
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
      await assert.rejects(open(file), (error: Error) => {
        assert.equal(error.name, 'NotOpened');
        assert.match(error.message, /正被另一个进程使用.* \/ .*in use by another process/);
        return true;
      });
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
      const store = await storeOver(
        listening(sqlite(file), ({ sql }) => statements.add(sql)),
        { clock, log: silent },
      );
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
      const at = Date.now();
      await Promise.all(
        [1, 2, 3].map((n) => store.write([ledgerEntry(`a${n}`, { at }), ledgerEntry(`b${n}`, { at })])),
      );
      assert.deepEqual(await store.check(), { rows: 6, brokenAt: null });
      await store.close();
      const raw = new DatabaseSync(file);
      assert.throws(() => raw.exec('delete from ledger where seq = 2'), /append-only/);
      assert.throws(() => raw.exec(`update ledger set entry = replace(entry, 'W01', 'W02')`), /append-only/);
      raw.close();
    }));

  for (const [what, change] of [
    ['an entry that was changed', `update ledger set entry = replace(entry, 'W01', 'W02') where id = 'b1'`],
    ['one hidden from a citizen who asks', `update ledger set holder_hash = 'nobody' where id = 'b1'`],
    ['one hidden from a search by name', `update ledger set id = 'b9' where id = 'b1'`],
    ['one that was taken out', `delete from ledger where id = 'a1'`],
  ] as const) {
    test(`behind the store's back: ${what} is found`, () =>
      inFolder(async (file) => {
        const store = await open(file);
        await store.write(['a0', 'a1', 'b1', 'b2'].map((id) => ledgerEntry(id, { at: Date.now() })));
        await store.close();
        const raw = new DatabaseSync(file);
        raw.exec(`drop trigger ledger_no_update; drop trigger ledger_no_delete; ${change}`);
        raw.close();
        const changed = await open(file);
        const { brokenAt } = await changed.check();
        assert.equal(brokenAt, what.includes('by name') ? 'b9' : 'b1');
        assert.deepEqual(await changed.check('b2'), { rows: 1, brokenAt: null });
        await changed.close();
      }));
  }

  test('a row is deleted no sooner than the database itself allows, and the chain begins behind it', () =>
    inFolder(async (file) => {
      const store = await open(file);
      const old = Date.now() - 181 * DAY_MS;
      const young = Date.now() - 179 * DAY_MS;
      await store.write(Array.from({ length: 2_500 }, (_, i) => ledgerEntry(`old${i}`, { at: old + i })));
      await store.write(['y1', 'y2', 'y3'].map((id) => ledgerEntry(id, { at: young })));
      assert.equal(await store.deleteBefore(old), 0);
      assert.equal(await store.deleteBefore(old + 2_499), 2_499);
      assert.deepEqual(await store.check(), { rows: 4, brokenAt: null });
      await assert.rejects(store.deleteBefore(Date.now()), /append-only/);
      assert.deepEqual(
        (await store.read({ limit: 9 })).map(({ id }) => id),
        ['old2499', 'y1', 'y2', 'y3'],
      );
      assert.equal(await store.deleteBefore(young), 1);
      await store.write([ledgerEntry('next', { at: Date.now() })]);
      assert.deepEqual(await store.check(), { rows: 4, brokenAt: null });
      await store.close();
      const raw = new DatabaseSync(file);
      raw.exec(`drop trigger ledger_no_delete; delete from ledger where id = 'y1'`);
      raw.close();
      const cut = await open(file);
      assert.deepEqual(await cut.check(), { rows: 0, brokenAt: 'y2' }, 'the anchor tells a row that went by itself');
      await cut.close();
    }));

  test('a ledger whose rows were all deleted goes on where it ended', () =>
    inFolder(async (file) => {
      const store = await open(file);
      await store.write([ledgerEntry('a'), ledgerEntry('b')]);
      const [, b] = await store.read({ limit: 2 });
      assert.equal(await store.deleteBefore(Date.now() - 181 * DAY_MS), 2);
      const next = ledgerEntry('c', { at: Date.now() });
      await store.write([next]);
      const [c] = await store.read({ limit: 2 });
      assert.equal(c?.hash, hashOf(b?.hash ?? '', next));
      assert.deepEqual(await store.check(), { rows: 1, brokenAt: null });
      await store.close();
    }));

  test('a ledger of the first release is searched, counted and checked as it was written', () =>
    inFolder(async (file) => {
      const dialect = sqlite(file);
      const db = new Kysely<unknown>({ dialect: dialect.kysely });
      const { '001-first': first, '002-certificates': second } = migrations(dialect);
      if (first === undefined || second === undefined) throw new Error('the first migrations are gone');
      const provider = { getMigrations: async () => ({ '001-first': first, '002-certificates': second }) };
      assert.equal((await new Migrator({ db, provider }).migrateToLatest()).error, undefined);
      let hash = '';
      const written: OldEntry[] = [];
      for (let i = 0; i < 1_003; i++) {
        const asked = oldEntry(`r${i}`, i % 2 === 0 ? 'asked' : 'answered');
        written.push(asked);
        hash = hashOf(hash, asked);
        const row = {
          id: asked.id,
          case_no: asked.caseNo,
          holder_hash: asked.holderHash,
          hash,
          entry: canonical(asked),
        };
        await sql`insert into ledger (id, case_no, holder_hash, entry, hash)
                  values (${row.id}, ${row.case_no}, ${row.holder_hash}, ${row.entry}, ${row.hash})`.execute(db);
      }
      await db.destroy();

      const store = await open(file);
      await store.write([ledgerEntry('new', { at: 2, officerId: 'W-OLD' })]);
      assert.deepEqual(await store.check(), { rows: 1_004, brokenAt: null });
      const rows = await all(store, { officerId: 'W-OLD' });
      assert.deepEqual([rows.length, rows.at(-1)?.id], [1_004, 'new']);
      assert.deepEqual(
        { ...written[7], use: rows[7]?.use, cached: rows[7]?.cached, digest: rows[7]?.digest },
        { ...written[7], use: 'present', cached: false, digest: null },
      );
      const { total } = await store.count({ from: 0, until: 2, by: 'item' });
      assert.deepEqual([total.calls, total.matters, total.fetched], [502, 1, [{ type: 'T', fetched: 501, cached: 0 }]]);
      await store.close();
      const raw = new DatabaseSync(file);
      assert.throws(() => raw.exec(`update ledger set at = 5 where id = 'new'`), /append-only/);
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

  test('numbers that were given out and forgotten reject cases, and never let one pass for stored', () =>
    inFolder(async (file) => {
      // Both begin at the same numbers, which chance does not give in a hundred years.
      const clock = { ...wallClock, random: () => 0.5 };
      const store = await open(file, clock);
      await store.accept(newCase({ applicationNo: 'A1' }));
      await store.close();
      const raw = new DatabaseSync(file);
      raw.exec('delete from counters');
      raw.close();
      const again = await open(file, clock);
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
      assert.deepEqual(await store.check(), { rows: entries.length, brokenAt: null });

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

async function all(store: Store, filter: LedgerFilter = {}): Promise<readonly LedgerRow[]> {
  const entries: LedgerRow[] = [];
  for (;;) {
    const last = entries.at(-1);
    const page = await store.read({ ...filter, limit: 500, ...(last === undefined ? {} : { after: last.id }) });
    entries.push(...page);
    if (page.length < 500) return entries;
  }
}

/** As the first release wrote it. */
type OldEntry = Omit<
  LedgerEntry,
  'deptUscc' | 'windowId' | 'use' | 'mandateId' | 'material' | 'requestId' | 'cached' | 'digest'
>;

function oldEntry(id: string, phase: 'asked' | 'answered'): OldEntry {
  return {
    id,
    at: 1,
    phase,
    of: phase === 'asked' ? null : 'r0',
    appKey: 'window-demo',
    officerId: 'W-OLD',
    caseNo: '331124261123000001',
    applicationNo: null,
    itemCode: 'item',
    type: 'T',
    holderMasked: '张*',
    holderHash: 'h'.repeat(64),
    basis: 'law',
    channel: 'window',
    source: phase === 'asked' ? null : 'tea-office',
    state: phase === 'asked' ? null : 'found',
    reason: null,
    identifier: null,
    fields: ['name', 'idNo'],
  };
}

const canonical = (entry: OldEntry): string =>
  JSON.stringify(Object.fromEntries(Object.entries(entry).sort(([a], [b]) => (a < b ? -1 : 1))));
const hashOf = (before: string, entry: OldEntry): string =>
  createHash('sm3')
    .update(`${before}\n${canonical(entry)}`)
    .digest('hex');
