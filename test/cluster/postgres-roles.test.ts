import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { wallClock } from '../../contracts/ports/clock.ts';
import { migrateStore } from '../../gateway/store/migrate-store.ts';
import { openStore } from '../../gateway/store/open.ts';
import { type LogLine, logInto } from '../support/party.ts';
import { postgresNode } from '../support/services.ts';

const SCRIPT = fileURLToPath(new URL('../../config/postgres-roles.sh', import.meta.url));
const DATABASE = { poolSize: 2, connectTimeoutMs: 5_000, statementTimeoutMs: 20_000, lockTimeoutMs: 5_000 };

const node = await postgresNode();

test('the roles that docker-compose.yml has made on an empty server are two that a deployment runs on, and no superusers', {
  skip: 'missing' in node ? node.missing : false,
}, async (t) => {
  if ('missing' in node) return;
  t.after(() => node.discard());
  const { hostname, port, username } = new URL(node.url);
  // A quote, as a password may have one.
  const passwords = { ONEWINDOW_OWNER_PASSWORD: "own'er", ONEWINDOW_PASSWORD: 'gate' };
  await promisify(execFile)('sh', [SCRIPT], {
    env: { ...process.env, PGHOST: hostname, PGPORT: port, POSTGRES_USER: username, ...passwords },
    timeout: 60_000,
  });
  const url = (user: string) => `postgres://${user}@${hostname}:${port}/onewindow`;
  const lines: LogLine[] = [];
  const means = { clock: wallClock, log: logInto(lines), progress: { begins: () => {}, ended: () => {} } };
  const { granted } = await migrateStore(
    { databaseUrl: url('onewindow_owner'), database: DATABASE, ledgerDays: 1_095 },
    'onewindow',
    means,
  );
  assert.deepEqual([granted?.couldRewrite, granted?.missing, granted?.mayCreate], [undefined, [], false]);
  const store = await openStore({ databaseUrl: url('onewindow'), database: DATABASE, ledgerDays: 1_095, ...means });
  await store.close();
  assert.deepEqual(lines, []);
  const admin = new pg.Client({ connectionString: node.url });
  await admin.connect();
  const { rows } = await admin.query(
    "select rolname, rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls as more from pg_roles where rolname like 'onewindow%' order by 1",
  );
  await admin.end();
  assert.deepEqual(rows, [
    { rolname: 'onewindow', more: false },
    { rolname: 'onewindow_owner', more: false },
  ]);
});
