import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Kysely, sql } from 'kysely';
import type { Message } from '../../contracts/ports/envelope.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { Lease, Store } from '../../contracts/ports/store.ts';
import type { StoreDialect } from '../../gateway/store/dialect.ts';
import { storeOver } from '../../gateway/store/open.ts';
import { postgres } from '../../gateway/store/postgres.ts';
import { sqlite } from '../../gateway/store/sqlite.ts';
import { HandClock } from '../support/hand-clock.ts';
import { change, event, newCase, nothing, stepIn } from '../support/sample-case.ts';
import * as services from '../support/services.ts';
import { listening } from '../support/statements.ts';

const DATABASE = { poolSize: 4, connectTimeoutMs: 2_000, statementTimeoutMs: 20_000, lockTimeoutMs: 5_000 };
const server = await services.postgres();
const LANE = 'tea-office';
const DONE = { outcome: 'done', result: { ok: 'yes' } } as const;

async function embedded(t: TestContext, _clock: HandClock): Promise<() => Promise<StoreDialect>> {
  const folder = await mkdtemp(join(tmpdir(), 'onewindow-messages-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return async () => sqlite(join(folder, 'onewindow.db'));
}

async function shared(t: TestContext, clock: HandClock): Promise<() => Promise<StoreDialect>> {
  const { url, drop } = await services.freshDatabase('missing' in server ? '' : server.url);
  t.after(drop);
  return () => postgres(url, DATABASE, { clock, log: silent });
}

const finish = () => async (record: Parameters<typeof stepIn>[0]) =>
  change({ steps: [stepIn(record, '01', 'DONE')], events: [event('answered')] });
const word = (about: Message['about'], dedupe: string): Message => ({ from: LANE, about, dedupe, at: 5, answer: DONE });

async function leaseOf(store: Store, clock: HandClock, applicationNo: string): Promise<Lease> {
  await store.accept(newCase({ applicationNo, acceptedAt: clock.now() }));
  const [lease] = await store.lease({ lanes: [{ lane: LANE, limit: 9 }], forMs: 60_000, now: clock.now() });
  return lease ?? assert.fail('nothing was leased');
}

for (const { name, skip, ground } of [
  { name: 'embedded', skip: false as string | false, ground: embedded },
  { name: 'PostgreSQL', skip: 'missing' in server ? server.missing : false, ground: shared },
]) {
  test(`1,000 messages that match nothing cost a delivery one statement, which reads none of them: ${name}`, {
    skip,
  }, async (t) => {
    const clock = new HandClock();
    const dialect = await ground(t, clock);
    const statements: string[] = [];
    let rows = 0;
    const store = await storeOver(
      listening(
        await dialect(),
        (query) => {
          // When a lane last delivered is written beside, after the delivery.
          if (!query.sql.startsWith('insert into "lanes"')) statements.push(query.sql);
        },
        () => {},
        (read) => {
          rows += read;
        },
      ),
      { clock, log: silent },
    );
    try {
      for (let n = 0; n < 1_000; n += 1)
        await store.collected(word(n % 2 === 0 ? { number: `none-${n}` } : { key: `none-${n}` }, `none-${n}`), finish);
      const lease = await leaseOf(store, clock, 'A1');
      await store.delivered(lease, { number: 'N1', duplicate: false }, nothing, null);
      statements.length = 0;
      rows = 0;
      const about = { party: LANE, key: lease.envelope.id, number: 'N1' };
      assert.equal(await store.rematch(about, finish), 0);
      assert.deepEqual([statements.length, rows], [1, 0], statements.join('\n'));
      assert.equal((await store.lanes()).find(({ lane }) => lane === LANE)?.unmatched, 1_000);
    } finally {
      await store.close();
    }
  });

  test(`what a node of the release before has kept is found, listed, attached and discarded like everything: ${name}`, {
    skip,
  }, async (t) => {
    const clock = new HandClock();
    const dialect = await ground(t, clock);
    const store = await storeOver(await dialect(), { clock, log: silent });
    const words = ['early', 'mistyped', 'useless'].map((number) => word({ number }, number));
    for (const one of words) assert.equal(await store.collected(one, finish), 'unmatched');
    const [lease, other] = [await leaseOf(store, clock, 'A1'), await leaseOf(store, clock, 'A2')];
    await store.close();
    const db = new Kysely<unknown>({ dialect: (await dialect()).kysely });
    // It writes none of the columns that this release has added.
    await sql`update messages set id = null, about_key = null, about_number = null`.execute(db);
    await db.destroy();

    const now = await storeOver(await dialect(), { clock, log: silent });
    try {
      const [early, mistyped, useless] = (await now.unmatched({ limit: 9 })).rows;
      assert.deepEqual(
        [early, mistyped, useless].map((one) => one?.dedupe),
        ['early', 'mistyped', 'useless'],
      );
      await now.delivered(lease, { number: 'early', duplicate: false }, nothing, null);
      assert.equal(await now.rematch({ party: LANE, key: lease.envelope.id, number: 'early' }, finish), 1);
      const to = { envelopeId: other.envelope.id, by: 'operator-demo', reason: 'r' };
      assert.equal(await now.attached(mistyped?.id ?? '', to, finish), 'attached');
      assert.equal(await now.discarded(useless?.id ?? '', 'operator-demo', 'r'), 'discarded');
      assert.deepEqual((await now.unmatched({ limit: 9 })).rows, []);
    } finally {
      await now.close();
    }
  });

  test(`what a node of the release before has kept is found by the sweep, whether anybody lists it or not: ${name}`, {
    skip,
  }, async (t) => {
    const clock = new HandClock();
    const dialect = await ground(t, clock);
    const store = await storeOver(await dialect(), { clock, log: silent });
    assert.equal(await store.collected(word({ number: 'early' }, 'early'), finish), 'unmatched');
    const lease = await leaseOf(store, clock, 'A1');
    await store.delivered(lease, { number: 'early', duplicate: false }, nothing, null);
    await store.close();
    const db = new Kysely<unknown>({ dialect: (await dialect()).kysely });
    await sql`update messages set id = null, about_key = null, about_number = null`.execute(db);
    await db.destroy();
    const now = await storeOver(await dialect(), { clock, log: silent });
    try {
      assert.equal((await now.retryKept(null, finish)).applied, 1);
      assert.equal((await now.caseOf(lease.envelope.caseNo))?.steps[0]?.state, 'DONE');
    } finally {
      await now.close();
    }
  });
}
