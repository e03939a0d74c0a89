import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as rest } from 'node:timers/promises';
import pg from 'pg';
import type { Settings } from '../../config/settings.ts';
import { freePort } from '../../console/free-port.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { start } from '../../gateway/main.ts';
import { type CaseSeen, Follower } from '../support/follow.ts';
import { TcpProxy } from '../support/proxy.ts';
import { freshDatabase, postgres } from '../support/services.ts';
import { deedTax } from '../support/submissions.ts';
import { startWorld, until, type World } from '../support/world.ts';

const engine = await postgres();
const skip = 'missing' in engine ? engine.missing : false;
const server = 'missing' in engine ? '' : engine.url;

/** A gateway whose database stands behind a wire that the test can spoil. */
async function worldBehind(t: TestContext, over: Partial<Settings> = {}): Promise<{ world: World; wire: TcpProxy }> {
  const own = await freshDatabase(server);
  const { hostname, port } = new URL(own.url);
  const wire = await TcpProxy.to({ host: hostname, port: Number(port || 5432) });
  const world = await startWorld({ over: { databaseUrl: wire.url(own.url), ...over } });
  t.after(async () => {
    await wire.accept();
    await world.stop();
    await wire.close();
    await own.drop();
  });
  return { world, wire };
}

test('a database that is away: everybody is told 503 and when to come again, nobody is rung, and it goes on by itself', {
  skip,
}, async (t) => {
  const { world, wire } = await worldBehind(t);
  const hall = new Follower(world);
  const before = await hall.submit(deedTax());
  await hall.ends(before, 30_000);
  await wire.refuse();
  for (const answer of [
    await world.window.post('/v1/cases', deedTax()),
    await world.window.get(`/v1/cases/${before}`),
    await world.operator.get('/v1/departments'),
  ]) {
    assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '10'], JSON.stringify(answer.body));
  }
  assert.equal((await fetch(`${world.gateway.url}/readyz`)).status, 503);
  assert.equal((await fetch(`${world.gateway.url}/livez`)).status, 200);
  await wire.accept();
  const after = await until(async () => {
    const { status, body } = await world.window.post<CaseSeen>('/v1/cases', deedTax());
    return status === 202 ? body.caseNo : undefined;
  });
  assert.equal((await hall.ends(after, 30_000)).decision?.outcome, 'approved');
  assert.deepEqual(
    world.log.filter(({ level }) => level === 'error'),
    [],
  );
});

/** Of both nodes together; 0.7 where it was measured. */
const MOST_A_SECOND = 2;
const SECONDS = 20;

test('two nodes that have nothing to do ask the database next to nothing, and open no connections for it', {
  skip,
}, async (t) => {
  const own = await freshDatabase(server);
  const dataDir = await mkdtemp(path.join(tmpdir(), 'onewindow-second-'));
  const world = await startWorld({ over: { databaseUrl: own.url } });
  const second = await start({ ...world.settings, dataDir, port: await freePort() }, { log: silent });
  const watch = new pg.Client({ connectionString: server });
  await watch.connect();
  t.after(async () => {
    await watch.end();
    await second.stop();
    await world.stop();
    await own.drop();
    await rm(dataDir, { recursive: true, force: true });
  });
  const counted = async () => {
    const { rows } = await watch.query<{ commits: number; sessions: number }>(
      `select (xact_commit + xact_rollback)::int as commits, sessions::int as sessions from pg_stat_database where datname = $1`,
      [new URL(own.url).pathname.slice(1)],
    );
    return rows[0] ?? assert.fail('no statistics');
  };
  await rest(5_000);
  const first = await counted();
  let before = first;
  let statements = 0;
  // A connection tells some ten seconds later what it did: the start is counted in the first while, and in no other.
  for (let i = 0; i < 3; i++) {
    await rest(SECONDS * 1_000);
    const after = await counted();
    statements = after.commits - before.commits;
    t.diagnostic(`${statements} in ${SECONDS} s by two nodes, ${after.sessions - before.sessions} connections`);
    before = after;
    if (statements > 0 && statements <= MOST_A_SECOND * SECONDS) break;
  }
  assert.ok(statements > 0 && statements <= MOST_A_SECOND * SECONDS, `${statements} in ${SECONDS} s`);
  // Two sweeps at the same moment may each want one; they are kept.
  assert.ok(before.sessions - first.sessions <= 4, `${before.sessions - first.sessions} connections`);
});
