import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { promisify } from 'node:util';
import pg from 'pg';
import { wallClock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { Store } from '../../contracts/ports/store.ts';
import { openStore } from '../../gateway/store/open.ts';
import { answers, type PostgresNode } from '../support/postgres-node.ts';
import { newCase, nothing } from '../support/sample-case.ts';
import { asked, freshDatabase, postgresNode } from '../support/services.ts';
import { smallDisk } from '../support/small-disk.ts';
import { until } from '../support/world.ts';

const run = promisify(execFile);
const DATABASE = { poolSize: 4, connectTimeoutMs: 2_000, statementTimeoutMs: 10_000, lockTimeoutMs: 200 };
const PASSWORD = 'of-the-gateway-and-nobody-else';
const comeAgain = (error: unknown): boolean =>
  error instanceof Unfit && error.status === 503 && error.code === 'storeUnavailable' && (error.retryAfter ?? 0) > 0;

/** Who may come in, and how: the gateway by its password, the test by any name. */
async function doors(): Promise<{ readonly file: string; discard(): Promise<void> }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-doors-'));
  await chmod(folder, 0o755);
  const file = path.join(folder, 'pg_hba.conf');
  await writeFile(
    file,
    ['host all onewindow 127.0.0.1/32 scram-sha-256', 'host all all 127.0.0.1/32 trust', ''].join('\n'),
  );
  return { file, discard: () => rm(folder, { recursive: true }) };
}

const { file, discard } = await doors();
const node = await postgresNode([`hba_file = '${file}'`, 'max_connections = 14', 'superuser_reserved_connections = 3']);

if ('missing' in node) test('a database that fails', { skip: node.missing }, () => discard());
else
  describe('a database that fails', () => {
    const shared = node;
    before(() => asked(node.url, `create role onewindow login password '${PASSWORD}'`));
    after(async () => {
      await node.discard();
      await discard();
    });

    /** A database of the gateway's own, and its stores, gone with the test. */
    async function ground(t: TestContext, server: PostgresNode = shared, tablespace?: string) {
      const { url, drop } = await freshDatabase(server.url);
      const name = new URL(url).pathname.slice(1);
      await asked(server.url, `alter database ${name} owner to onewindow`);
      if (tablespace !== undefined) await asked(server.url, `alter database ${name} set tablespace ${tablespace}`);
      const opened: (() => Promise<unknown>)[] = [];
      t.after(async () => {
        for (const close of opened.toReversed()) await close();
        // Another server goes as a whole.
        if (server === shared) await drop();
      });
      return {
        url: withPassword(url),
        /** As somebody who may do everything. */
        direct: url,
        async node(committed: (lanes: readonly Party[]) => void = () => {}): Promise<Store> {
          const means = { database: DATABASE, clock: wallClock, log: silent, committed };
          const store = await openStore({ databaseUrl: withPassword(url), ...means });
          opened.push(() => store.close());
          return store;
        },
      };
    }
    function withPassword(url: string): string {
      const own = new URL(url);
      own.username = 'onewindow';
      own.password = PASSWORD;
      return own.href;
    }
    const accepted = async (store: Store, applicationNo: string): Promise<string> =>
      (await store.accept(newCase({ applicationNo, acceptedAt: Date.now() }))).record.caseNo;
    const goesOn = (store: Store, applicationNo: string): Promise<string> =>
      until(() => accepted(store, applicationNo).catch(() => undefined), 30_000, 'a case is taken again');
    async function allThere(store: Store, promised: readonly string[]): Promise<void> {
      for (const caseNo of promised) assert.ok(await store.caseOf(caseNo), caseNo);
    }

    for (const how of ['stop', 'kill'] as const) {
      test(`${how === 'stop' ? 'stopped by an operator' : 'killed'} under load and started again: what was promised is there, and nodes hear each other again`, async (t) => {
        const at = await ground(t);
        const heard: Party[] = [];
        const one = await at.node();
        const two = await at.node((lanes) => void heard.push(...lanes));
        const promised: string[] = [];
        const refused: unknown[] = [];
        let over = false;
        const callers = [one, two].flatMap((store, n) =>
          Array.from({ length: 4 }, async (_, caller) => {
            for (let i = 0; !over; i++) {
              try {
                promised.push(await accepted(store, `${how}-${n}-${caller}-${i}`));
              } catch (error) {
                refused.push(error);
                // As a caller does that is told to come again.
                await new Promise((resolve) => setTimeout(resolve, 20));
              }
            }
          }),
        );
        await until(() => promised.length > 50 || undefined);
        await node[how]();
        await until(() => refused.length > 8 || undefined);
        await assert.rejects(one.changed('nobody', nothing), comeAgain);
        await assert.rejects(one.caseOf('nobody'), comeAgain);
        await node.start();
        const before = promised.length;
        await until(() => promised.length > before + 50 || undefined, 30_000, 'cases after the restart');
        over = true;
        await Promise.all(callers);
        assert.deepEqual(
          refused.filter((error) => !comeAgain(error)),
          [],
        );
        await allThere(two, promised);
        assert.equal(new Set(promised).size, promised.length);
        heard.length = 0;
        await until(async () => {
          await one.resumed('office-of-after', 'operator');
          return heard.includes('office-of-after') || undefined;
        }, 30_000);
        t.diagnostic(`${promised.length} promised, ${refused.length} told to come again`);
      });
    }

    test('no connection left in the database: callers are told to come again, a start is refused in plain words, and it goes on', async (t) => {
      const at = await ground(t);
      const store = await at.node();
      const promised = [await accepted(store, 'before')];
      const taken: pg.Client[] = [];
      // All of them, those of the gateway too: an idle one is ended as by an operator, and taken by somebody else.
      await asked(node.url, `alter role onewindow connection limit 0`);
      await asked(node.url, `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'onewindow'`);
      t.after(() => Promise.all(taken.map((client) => client.end().catch(() => {}))));
      await until(async () => {
        const error = await store.accept(newCase({ applicationNo: 'none' })).catch((reason: unknown) => reason);
        return comeAgain(error) || undefined;
      });
      await asked(node.url, `alter role onewindow connection limit -1`);
      await goesOn(store, 'between');

      for (;;) {
        const client = new pg.Client({ connectionString: at.direct });
        client.on('error', () => {});
        try {
          await client.connect();
          taken.push(client);
        } catch (error) {
          assert.equal((error as { code?: string }).code, '53300');
          break;
        }
      }
      await assert.rejects(at.node(), (error: Error) => {
        assert.equal(error.name, 'NotOpened');
        assert.match(error.message, /连接数已满 \/ .*no connection left \(max_connections\)/);
        return true;
      });
      // What it has suffices for one after the other; more at once have to come again.
      const all = await Promise.allSettled(
        Array.from({ length: 60 }, (_, i) => (i % 2 ? accepted(store, `full-${i}`) : store.caseOf(promised[0] ?? ''))),
      );
      for (const one of all) {
        if (one.status === 'rejected') assert.ok(comeAgain(one.reason), String(one.reason));
        else if (typeof one.value === 'string') promised.push(one.value);
      }
      await Promise.all(taken.splice(0).map((client) => client.end()));
      promised.push(await goesOn(store, 'after'));
      await allThere(store, promised);
    });

    describe('who is not let in is told so in one sentence, without the password, and the program does not start', () => {
      for (const [what, change, words] of [
        ['a wrong password', { password: 'not-the-right-one' }, /口令不被接受 \/ .*the password is not accepted/],
        ['no password', { password: '' }, /要求口令而地址中没有 \/ .*it wants a password, and the address has none/],
        [
          'a user that is none',
          { username: 'nobody', password: 'not-the-right-one' },
          /用户不被接受 \/ .*the user is not accepted/,
        ],
        ['a database that is none', { pathname: '/none' }, /没有这个数据库 \/ .*there is no such database/],
      ] as const) {
        test(what, async (t) => {
          const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-refused-'));
          t.after(() => rm(folder, { recursive: true, force: true }));
          const url = new URL(withPassword(shared.url));
          Object.assign(url, change);
          const program = spawn(process.execPath, [path.join(import.meta.dirname, '../../gateway/main.ts')], {
            env: { ...process.env, PORT: '0', DATA_DIR: folder, DATABASE_URL: url.href },
            stdio: ['ignore', 'pipe', 'pipe'],
          });
          let text = '';
          for (const stream of [program.stdout, program.stderr])
            stream.setEncoding('utf8').on('data', (piece: string) => {
              text += piece;
            });
          const [code] = await once(program, 'close');
          assert.equal(code, 1, text);
          assert.match(text, /^DATABASE_URL: 127\.0\.0\.1:\d+ 上的数据库 .* 无法打开：.* \/ database .*[^\n]\n$/);
          assert.match(text, words);
          assert.doesNotMatch(text, /not-the-right-one|of-the-gateway/);
        });
      }
    });

    /** Rows that nobody needs, until there is no room for another. */
    async function filled(url: string): Promise<void> {
      await asked(url, 'create table ballast (row text); alter table ballast alter column row set storage plain');
      for (const rows of [200, 20, 1]) {
        const full = (async () => {
          for (;;) await asked(url, `insert into ballast select repeat('x', 7000) from generate_series(1, ${rows})`);
        })();
        await assert.rejects(full, ({ code, message }: { code?: string; message: string }) => {
          return code === '53100' || /Connection terminated|ECONNRESET/.test(message);
        });
      }
    }
    async function untilRefused(store: Store, word: string): Promise<readonly string[]> {
      const promised: string[] = [];
      for (let i = 0; i < 5_000; i++) {
        const some = [0, 1, 2, 3].map((n) => accepted(store, `${word}-${i}-${n}`));
        for (const one of await Promise.allSettled(some)) {
          if (one.status === 'fulfilled') promised.push(one.value);
          else {
            assert.ok(comeAgain(one.reason), String(one.reason));
            return promised;
          }
        }
      }
      return assert.fail('the disk is not full');
    }

    test('its disk full: callers are told to come again, what was promised is there, and it goes on by itself', async (t) => {
      const disk = await smallDisk(64);
      if ('missing' in disk) return t.skip(disk.missing);
      const space = await ownedFolder(disk.folder);
      await asked(node.url, `create tablespace small location '${space}'`);
      const at = await ground(t, node, 'small');
      t.after(async () => {
        await asked(node.url, 'drop tablespace small');
        await disk.discard();
      });
      const store = await at.node();
      const promised = [await accepted(store, 'before')];
      await filled(at.direct);
      promised.push(...(await untilRefused(store, 'full')));
      // What needs no room goes on.
      await allThere(store, promised);
      await asked(at.direct, 'drop table ballast');
      promised.push(await goesOn(store, 'after'));
      await allThere(store, promised);
      t.diagnostic(`${promised.length} promised`);
    });

    test('the disk of its log full: it falls, and when there is room and it stands again, what was promised is there', async (t) => {
      const disk = await smallDisk(160);
      if ('missing' in disk) return t.skip(disk.missing);
      const small = await postgresNode(
        [`hba_file = '${file}'`, 'max_wal_size = 32MB', 'min_wal_size = 32MB'],
        disk.folder,
      );
      if ('missing' in small) return t.skip(small.missing);
      const rest = path.join(disk.folder, 'something-else');
      await asked(small.url, `create role onewindow login password '${PASSWORD}'`);
      const at = await ground(t, small);
      t.after(async () => {
        await small.discard();
        await disk.discard();
      });
      const store = await at.node();
      const promised = [await accepted(store, 'before')];
      await writeUntilFull(rest);
      promised.push(...(await untilRefused(store, 'full')));
      // Its tables have no room; now its log has none either, and that it does not survive.
      await untilFallen(small.url);
      await store.changed('nobody', nothing).catch((error: unknown) => assert.ok(comeAgain(error), String(error)));
      t.diagnostic(`${promised.length} promised before it fell`);
      await rm(rest);
      // Where it could not even recover, an operator starts it again.
      const back = until(async () => (await answers(small.url)) || undefined, 5_000);
      await back.catch(() => small.start());
      promised.push(await goesOn(store, 'after'));
      await allThere(store, promised);
    });
  });

/** As the database's user has it; and nobody else writes there. */
async function ownedFolder(under: string): Promise<string> {
  const folder = path.join(under, 'space');
  await run('install', ['-d', '-o', 'postgres', folder]);
  return folder;
}

async function writeUntilFull(file: string): Promise<void> {
  const piece = Buffer.alloc(64 * 1024);
  await assert.rejects(
    (async () => {
      for (;;) await appendFile(file, piece);
    })(),
    /ENOSPC/,
  );
}

/** Begins one piece of its log after the other; each is 16 MiB. */
async function untilFallen(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  let broken = false;
  client.on('error', () => {});
  client.on('end', () => {
    broken = true;
  });
  await client.connect();
  await until(
    async () => {
      await client.query(`select pg_logical_emit_message(true, 'test', 'x'), pg_switch_wal()`).catch(() => {});
      return broken || undefined;
    },
    20_000,
    'the fall',
  );
}
