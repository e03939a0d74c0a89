import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { wallClock } from '../../contracts/ports/clock.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { Store } from '../../contracts/ports/store.ts';
import { openStore } from '../../gateway/store/open.ts';
import { EMBEDDED } from '../support/engines.ts';
import { Follower } from '../support/follow.ts';
import { ledgerEntry } from '../support/ledger-entry.ts';
import { type LogLine, logInto } from '../support/party.ts';
import { type TwoRoles, twoRoles } from '../support/roles.ts';
import { postgres } from '../support/services.ts';
import { houseTransfer } from '../support/submissions.ts';
import { startWorld } from '../support/world.ts';

const MIGRATE = fileURLToPath(new URL('../../gateway/migrate.ts', import.meta.url));
const DATABASE = { poolSize: 4, connectTimeoutMs: 5_000, statementTimeoutMs: 20_000, lockTimeoutMs: 5_000 };
const DAY_MS = 86_400_000;
const engine = await postgres();
const skip = 'missing' in engine ? engine.missing : false;

async function ground(t: TestContext): Promise<TwoRoles> {
  const roles = await twoRoles('missing' in engine ? '' : engine.url);
  t.after(() => roles.drop());
  return roles;
}

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly told: string;
}

/** `npm run migrate`, as a deployment runs it: with both addresses, unless told otherwise. */
async function migrated(
  t: TestContext,
  { ownerUrl, gatewayUrl }: Pick<TwoRoles, 'ownerUrl' | 'gatewayUrl'>,
  { args = [], settings = {}, env: over = {} }: { args?: string[]; settings?: object; env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-migrate-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const CONFIG = path.join(folder, 'settings.json');
  await writeFile(CONFIG, JSON.stringify(settings));
  const { AMQP_URL: _, HOST: __, ...env } = process.env;
  const child = spawn(process.execPath, [MIGRATE, ...args], {
    env: {
      ...env,
      CONFIG,
      DATA_DIR: path.join(folder, 'data'),
      MIGRATE_DATABASE_URL: ownerUrl,
      DATABASE_URL: gatewayUrl,
      ...over,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
  });
  const [out, told, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  for (const url of [ownerUrl, gatewayUrl]) {
    const { password } = new URL(url);
    if (password !== '') assert.ok(!(out + told).includes(password), 'no password is shown');
  }
  return { code, out, told };
}

async function connected(t: TestContext, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  t.after(() => client.end());
  return client;
}

async function opened(t: TestContext, url: string, ledgerDays?: number) {
  const lines: LogLine[] = [];
  const means = { database: DATABASE, clock: wallClock, log: logInto(lines), ledgerDays };
  const store = await openStore({ databaseUrl: url, ...means });
  t.after(() => store.close());
  return { store, warnings: () => lines.filter(({ level }) => level === 'warn').map(({ message }) => message) };
}

const refused = (url: string, words: RegExp) =>
  assert.rejects(openStore({ databaseUrl: url, database: DATABASE, clock: wallClock, log: silent }), (error: Error) => {
    assert.equal(error.name, 'NotOpened');
    assert.match(error.message, words);
    return true;
  });

describe('npm run migrate under the owner, and the gateway under a role of its own', { skip }, () => {
  test('a case is taken, certificates are fetched for it, it is decided, and its ledger is read, without a warning', async (t) => {
    const roles = await ground(t);
    const first = await migrated(t, roles);
    assert.equal(first.code, 0, first.told);
    assert.match(first.out, /001-first …\n001-first 完成 done\n/);
    assert.match(first.out, new RegExp(`the role ${roles.gatewayRole} has the rights that a gateway needs`));
    assert.doesNotMatch(first.out, /warning/);
    const again = await migrated(t, roles);
    assert.deepEqual([again.code, /nothing was to be migrated/.test(again.out)], [0, true]);

    const world = await startWorld({ engines: EMBEDDED, over: { databaseUrl: roles.gatewayUrl } });
    t.after(() => world.stop());
    const hall = new Follower(world);
    const caseNo = await hall.submit(houseTransfer());
    assert.equal((await hall.ends(caseNo)).decision?.outcome, 'approved');
    const searched = await world.auditor.post<{ rows: readonly object[] }>('/v1/certificates/ledger/searches', {
      phase: 'asked',
    });
    assert.equal(searched.status, 200, JSON.stringify(searched.body));
    assert.ok(searched.body.rows.length > 0, 'certificates were fetched for the case');
    const checked = await world.auditor.get<{ brokenAt: string | null }>('/v1/certificates/ledger/check');
    assert.deepEqual([checked.status, checked.body.brokenAt], [200, null]);
    const timeline = await world.window.get<object>(`/v1/cases/${caseNo}/timeline`);
    assert.equal(timeline.status, 200);
    assert.deepEqual(
      world.log.filter(({ level, message }) => level !== 'info' && /role|rewrite|ledger/.test(message)),
      [],
    );
  });

  test('what was recorded can be neither changed nor removed under it, nor what guards it', async (t) => {
    const roles = await ground(t);
    assert.equal((await migrated(t, roles)).code, 0);
    const { store } = await opened(t, roles.gatewayUrl);
    await store.write([ledgerEntry('kept', { at: Date.now() - 400 * DAY_MS })]);
    const client = await connected(t, roles.gatewayUrl);
    const before = (await client.query('select * from ledger')).rows;
    const tables = ['ledger', 'events', 'handed_out', 'case_parties'];
    for (const statement of [
      "update ledger set entry = '{}'",
      'update ledger set at = 0',
      'delete from ledger',
      "update ledger_anchor set hash = 'x'",
      'update ledger_anchor set kept_days = 0',
      'update ledger_anchor set id = 2',
      'delete from ledger_anchor',
      "insert into ledger_anchor (id, hash) values (2, 'x')",
      'update ledger_anchor set locked = 1, kept_days = 0',
      "update mandates set mandate = '{}'",
      'delete from mandates',
      "update register set certificate = '{}'",
      'delete from register',
      'delete from cases',
      'delete from envelopes',
      "update events set event = '{}'",
      "update handed_out set type = 'x'",
      ...tables.flatMap((table) => [
        `truncate ${table}`,
        `delete from ${table}`,
        `drop table ${table}`,
        `alter table ${table} disable trigger all`,
        `alter table ${table} owner to current_user`,
        `alter table ${table} add column x integer`,
        `create trigger mine before insert on ${table} for each row execute function suppress_redundant_updates_trigger()`,
        `create rule mine as on insert to ${table} do instead nothing`,
        `create index on ${table} ((1))`,
        `alter table ${table} enable row level security`,
        `grant all on ${table} to current_user`,
      ]),
      'drop trigger ledger_append_only on ledger',
      'drop function ledger_append_only() cascade',
      "create or replace function ledger_append_only() returns trigger language plpgsql as 'begin return old; end'",
      'drop function delete_ledger_rows(bigint)',
      "set session_replication_role = 'replica'",
      'create table mine (a integer)',
      'drop schema public cascade',
      "insert into kysely_migration (name, timestamp) values ('999', '')",
      'delete from kysely_migration',
      `set role ${roles.gatewayRole.replace(/gateway$/, 'owner')}`,
    ]) {
      const code = await client.query(statement).then(
        () => 'done',
        (error: { code?: string }) => error.code,
      );
      // 42501: insufficient_privilege. A grant that gives nothing is only warned of by the database.
      if (statement.startsWith('grant')) assert.ok(code === 'done' || code === '42501', `${statement}: ${code}`);
      else assert.equal(code, '42501', statement);
    }
    assert.deepEqual((await client.query('select * from ledger')).rows, before);
    await assert.rejects(client.query('delete from ledger'), { code: '42501' });
    assert.equal((await store.check()).brokenAt, null);
  });

  test('rows of the ledger go when the days that the owner wrote down are over, and not before', async (t) => {
    const roles = await ground(t);
    assert.equal((await migrated(t, roles, { settings: { certificates: { ledgerDays: 365 } } })).code, 0);
    const { store, warnings } = await opened(t, roles.gatewayUrl, 365);
    const at = (days: number) => Date.now() - days * DAY_MS;
    await store.write([
      ledgerEntry('d1', { at: at(500) }),
      ledgerEntry('d2', { at: at(400) }),
      ledgerEntry('d3', { at: at(300) }),
      ledgerEntry('d4', { at: at(1) }),
    ]);
    const client = await connected(t, roles.gatewayUrl);
    // Straight at it, with a table of one's own in the way, which is looked at first by every statement without a schema.
    await client.query('create temporary table ledger (seq bigint, at bigint, hash text)');
    await client.query('create temporary table ledger_anchor (id integer, hash text, kept_days integer)');
    for (const upTo of [3, 4, Number.MAX_SAFE_INTEGER])
      await assert.rejects(client.query('select delete_ledger_rows($1)', [upTo]), /append-only/);
    assert.deepEqual((await client.query('select delete_ledger_rows(0) as gone')).rows, [{ gone: '0' }]);
    await assert.rejects(store.deleteBefore(at(200)), /append-only/);
    assert.equal(await store.deleteBefore(at(366)), 2);
    assert.deepEqual(await store.check(), { rows: 2, brokenAt: null });
    await store.write([ledgerEntry('d5', { at: Date.now() })]);
    assert.deepEqual(await store.check(), { rows: 3, brokenAt: null });
    assert.deepEqual(warnings(), []);

    const other = await opened(t, roles.gatewayUrl, 200);
    assert.deepEqual(other.warnings(), [
      'the database keeps the access ledger for other days than are set: run npm run migrate',
    ]);
    await assert.rejects(other.store.deleteBefore(at(201)), /append-only/);
    assert.equal((await migrated(t, roles, { settings: { certificates: { ledgerDays: 200 } } })).code, 0);
    assert.equal(await other.store.deleteBefore(at(201)), 1);
  });

  test('one address works as before, and is warned of at each start; so are a superuser, and rights beyond what is needed', async (t) => {
    const roles = await ground(t);
    const WARNING = 'the database role could rewrite the access ledger: give the gateway a role of its own';
    const first = await opened(t, roles.ownerUrl, 200);
    assert.deepEqual(first.warnings(), [WARNING]);
    await first.store.write([ledgerEntry('d1', { at: Date.now() - 300 * DAY_MS })]);
    assert.equal(await first.store.deleteBefore(Date.now() - 250 * DAY_MS), 1);
    assert.equal((await migrated(t, roles)).code, 0);
    assert.deepEqual((await opened(t, roles.gatewayUrl)).warnings(), []);
    await roles.admin(`grant update on ledger to ${roles.gatewayRole}`);
    assert.deepEqual((await opened(t, roles.gatewayUrl)).warnings(), [WARNING]);
    // The next migration takes away again what was given beside it.
    assert.equal((await migrated(t, roles)).code, 0);
    assert.deepEqual((await opened(t, roles.gatewayUrl)).warnings(), []);
    await roles.admin(`alter role ${roles.gatewayRole} superuser`);
    assert.deepEqual((await opened(t, roles.gatewayUrl)).warnings(), [WARNING]);
    assert.match((await migrated(t, roles)).out, /could still rewrite the ledger \(superuser\)/);
  });

  test('a database that one role had goes over to two, as docs/deployment.md says', async (t) => {
    const roles = await ground(t);
    const [owner, gateway] = [roles.gatewayRole.replace(/gateway$/, 'owner'), roles.gatewayRole];
    await roles.admin(`alter database ${new URL(roles.ownerUrl).pathname.slice(1)} owner to ${gateway}`);
    const before = await opened(t, roles.gatewayUrl);
    await before.store.write([ledgerEntry('d1', { at: Date.now() })]);
    await roles.admin(`reassign owned by ${gateway} to ${owner}`);
    await roles.admin(`alter role ${gateway} nosuperuser nocreatedb nocreaterole`);
    const { code, out, told } = await migrated(t, roles);
    assert.equal(code, 0, told);
    assert.doesNotMatch(out, /warning/);
    const after = await opened(t, roles.gatewayUrl);
    assert.deepEqual(after.warnings(), []);
    // The node that was running goes on with the rights it has now.
    await before.store.write([ledgerEntry('d2', { at: Date.now() })]);
    assert.deepEqual(await after.store.check(), { rows: 2, brokenAt: null });
  });

  test('two that migrate at once do it once, and both give the rights', async (t) => {
    const roles = await ground(t);
    const both = await Promise.all([migrated(t, roles), migrated(t, roles), migrated(t, roles)]);
    for (const { code, told } of both) assert.equal(code, 0, told);
    await opened(t, roles.gatewayUrl);
  });

  test('a gateway whose role may not migrate says what to run: over nothing, over an older schema, without its rights', async (t) => {
    const roles = await ground(t);
    await refused(
      roles.gatewayUrl,
      /还没有任何结构.*npm run migrate.*has no schema yet.*may not change it: run npm run migrate/,
    );
    assert.equal((await migrated(t, roles)).code, 0);
    const owner = await connected(t, roles.ownerUrl);
    await owner.query("delete from kysely_migration where name = '017-roles'");
    await refused(roles.gatewayUrl, /的结构只到 016-begun-leases.*the store's schema is at 016-begun-leases/);
    await owner.query("insert into kysely_migration (name, timestamp) values ('017-roles', '')");
    await owner.query(`revoke insert on ledger from ${roles.gatewayRole}`);
    await refused(
      roles.gatewayUrl,
      /缺少权限（insert on ledger）.*lacks rights \(insert on ledger\): run npm run migrate/,
    );
    await owner.query(`revoke all on all tables in schema public from ${roles.gatewayRole}`);
    await refused(roles.gatewayUrl, /lacks rights \(select on kysely_migration\)/);
    assert.equal((await migrated(t, roles)).code, 0);
    await opened(t, roles.gatewayUrl);
  });

  test('a program that owns nothing of it, a role that is not there, and wrong options are told in a sentence, with an exit code', async (t) => {
    const roles = await ground(t);
    const absent = await migrated(t, roles, { args: ['--role', 'nobody-there'] });
    assert.deepEqual([absent.code, /there is no database role nobody-there/.test(absent.told)], [1, true], absent.told);
    assert.equal((await migrated(t, roles)).code, 0);
    const swapped = await migrated(t, { ownerUrl: roles.gatewayUrl, gatewayUrl: roles.ownerUrl });
    assert.deepEqual([swapped.code, /does not own the tables/.test(swapped.told)], [1, true], swapped.told);
    for (const [args, env, words] of [
      [['--rle'], {}, /Unknown option '--rle'/],
      [
        [],
        { MIGRATE_DATABASE_URL: 'mysql://me:geheim@db/x' },
        /^ {2}MIGRATE_DATABASE_URL: expected the address of a PostgreSQL/m,
      ],
      [[], { PORT: 'x' }, /PORT: expected an integer/],
    ] as const) {
      const wrong = await migrated(t, roles, { args: [...args], env });
      assert.equal(wrong.code, 2, wrong.told);
      assert.match(wrong.told, words);
      assert.doesNotMatch(wrong.told, /geheim|\n\s+at /);
    }
    const help = await migrated(t, roles, { args: ['--help'] });
    assert.equal(help.code, 0);
    for (const words of ['MIGRATE_DATABASE_URL', '--role', '退出码', 'Exit codes']) assert.ok(help.out.includes(words));
  });

  test('several nodes write one ledger under it, as a chain', async (t) => {
    const roles = await ground(t);
    assert.equal((await migrated(t, roles)).code, 0);
    const nodes: Store[] = [];
    for (let node = 0; node < 3; node += 1) nodes.push((await opened(t, roles.gatewayUrl)).store);
    await Promise.all(
      nodes.flatMap((store, node) =>
        Array.from({ length: 20 }, (_, at) => store.write([ledgerEntry(`n${node}-${at}`, { at: Date.now() })])),
      ),
    );
    assert.deepEqual(await nodes[0]?.check(), { rows: 60, brokenAt: null });
  });
});
