import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as rest } from 'node:timers/promises';
import pg from 'pg';
import { wallClock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import { type Logger, silent } from '../../contracts/ports/logger.ts';
import type { Lease, Store } from '../../contracts/ports/store.ts';
import { Relay } from '../../gateway/delivery/relay.ts';
import { openStore } from '../../gateway/store/open.ts';
import type { PostgresOptions } from '../../gateway/store/postgres.ts';
import { type LogLine, logInto } from '../support/party.ts';
import { TcpProxy } from '../support/proxy.ts';
import { change, envelope, event, HOLD, newCase, nothing, watchedChange } from '../support/sample-case.ts';
import { freshDatabase, postgres } from '../support/services.ts';
import { wholePath } from '../support/statements.ts';
import { until } from '../support/world.ts';
import { type Storage, storeSuite } from './store-suite.ts';

const DATABASE = { poolSize: 4, connectTimeoutMs: 2_000, statementTimeoutMs: 20_000, lockTimeoutMs: 5_000 };
const MINUTE = 60_000;
const engine = await postgres();

if ('missing' in engine) test('the store on PostgreSQL', { skip: engine.missing }, () => {});
else {
  const { url: server } = engine;

  storeSuite('PostgreSQL', async (): Promise<Storage> => {
    const { url, drop } = await freshDatabase(server);
    return {
      open: (means) => openStore({ databaseUrl: url, database: DATABASE, log: silent, ...means }),
      shared: true,
      discard: drop,
    };
  });

  /** A database, and what a test opens on it; all gone with the test, in reverse. */
  async function ground(t: TestContext) {
    const { url, drop } = await freshDatabase(server);
    const opened: (() => Promise<unknown>)[] = [drop];
    t.after(async () => {
      for (const close of opened.toReversed()) await close();
    });
    return {
      url,
      async node({
        through = url,
        committed = () => {},
        log = silent,
        ...over
      }: Partial<PostgresOptions> & {
        readonly through?: string;
        readonly committed?: (lanes: readonly Party[]) => void;
        readonly log?: Logger;
      } = {}): Promise<Store> {
        const database = { ...DATABASE, ...over };
        const store = await openStore({ databaseUrl: through, database, clock: wallClock, log, committed });
        opened.push(() => store.close());
        return store;
      },
      /** Somebody else. */
      async other(): Promise<pg.Client> {
        const client = new pg.Client({ connectionString: url });
        await client.connect();
        opened.push(() => client.end());
        return client;
      },
      async wire(): Promise<TcpProxy> {
        const { hostname, port } = new URL(url);
        const wire = await TcpProxy.to({ host: hostname, port: Number(port || 5432) });
        opened.push(() => wire.close());
        return wire;
      },
    };
  }
  const some = (store: Store, n: number, parties: readonly Party[] = ['tea-office']) =>
    Promise.all(
      Array.from({ length: n }, async (_, i) => {
        const { record } = await store.accept(newCase({ applicationNo: `A${i}`, acceptedAt: Date.now(), parties }));
        return record.caseNo;
      }),
    );
  const leased = (store: Store, limit: number, forMs = MINUTE, lane = 'tea-office') =>
    store.lease({ lanes: [{ lane, limit }], forMs, now: Date.now() });
  const ids = (leases: readonly Lease[]) => leases.map(({ envelope }) => envelope.id);
  const comeAgain = (error: unknown): boolean =>
    error instanceof Unfit && error.status === 503 && (error.retryAfter ?? 0) > 0;
  /** The database has somebody waiting for a lock. */
  const waiting = (watch: pg.Client, text: string) =>
    until(
      async () => {
        const { rows } = await watch.query(
          `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like $1`,
          [`%${text}%`],
        );
        return rows.length > 0 ? true : undefined;
      },
      10_000,
      `a wait for a lock in: ${text}`,
    );

  describe('several nodes on one database', () => {
    test('what somebody else holds is passed over, and the rest is given at once: leases, answers, what is owed', async (t) => {
      const at = await ground(t);
      const [store, other] = [await at.node(), await at.other()];
      const cases = await some(store, 4);
      await other.query(`begin; select 1 from envelopes where case_no in ('${cases[0]}', '${cases[2]}') for update`);
      const mine = await leased(store, 10);
      assert.deepEqual(ids(mine), [`${cases[1]}-01`, `${cases[3]}-01`]);
      await other.query('rollback');

      for (const lease of [...mine, ...(await leased(store, 10))])
        await store.delivered(lease, { number: null, duplicate: false }, nothing, Date.now());
      await other.query(`begin; select 1 from envelopes where case_no = '${cases[0]}' for update`);
      const ask = { party: 'tea-office', limit: 9, now: Date.now(), scheduleMs: [MINUTE] };
      assert.equal((await store.awaiting(ask)).length, 3);
      await other.query('rollback');
      assert.deepEqual(
        (await store.awaiting(ask)).map(({ envelope }) => envelope.caseNo),
        [cases[0]],
      );

      await other.query('update cases set owed_due = 1');
      await other.query(`begin; select 1 from cases where case_no = '${cases[0]}' for update`);
      const owing = { limit: 9, now: Date.now(), scheduleMs: [MINUTE] };
      assert.equal((await store.owing(owing)).length, 3);
      await other.query('rollback');
      assert.equal((await store.owing(owing)).length, 1);
    });

    test('many rounds of two at once: none is given twice, and never more than the lane allows', async (t) => {
      const at = await ground(t);
      const nodes = [await at.node(), await at.node()] as const;
      const cases = await some(nodes[0], 60);
      const given: string[] = [];
      await until(async () => {
        const rounds = await Promise.all(nodes.map((node) => leased(node, 5)));
        assert.ok(rounds.flat().length <= 5, `${rounds.flat().length} at once`);
        given.push(...ids(rounds.flat()));
        await Promise.all(
          rounds.flatMap((leases, i) =>
            leases.map((lease) => nodes[i]?.delivered(lease, { number: null, duplicate: false }, nothing, null)),
          ),
        );
        return given.length === cases.length ? true : undefined;
      }, 30_000);
      assert.equal(new Set(given).size, cases.length);
    });

    test('a lease that another node gives while a case is arranged stays a lease', async (t) => {
      const at = await ground(t);
      const [store, other, watch] = [await at.node(), await at.other(), await at.other()];
      const [caseNo] = (await some(store, 1)) as [string];
      // What `lease` does on another node, between its statement and its commit.
      await other.query(
        `begin; update envelopes set place = 'leased', fence = fence + 1, wakes_at = ${Date.now() + MINUTE} where case_no = '${caseNo}'`,
      );
      const holding = store.held(caseNo, HOLD, nothing);
      await waiting(watch, 'envelopes');
      await other.query('commit');
      assert.equal(await holding, true);
      assert.equal((await store.envelope(`${caseNo}-01`))?.state, 'leased');
    });

    test('a case that another node holds is waited for, tried again, and then its caller told to come again; others go on', async (t) => {
      const at = await ground(t);
      const [store, other] = [await at.node({ lockTimeoutMs: 100 }), await at.other()];
      const [held, free] = (await some(store, 2)) as [string, string];
      const noted = async () => change({ events: [event('told')] });
      await other.query(`begin; select 1 from cases where case_no = '${held}' for update`);
      const [stuck, ...rest_] = await Promise.allSettled([
        store.changed(held, noted),
        store.changed(free, noted),
        store.accept(newCase({ applicationNo: 'meanwhile' })),
      ]);
      assert.ok(stuck.status === 'rejected' && comeAgain(stuck.reason), JSON.stringify(stuck));
      for (const one of rest_) assert.equal(one.status, 'fulfilled');

      const again = store.changed(held, noted);
      const watch = await at.other();
      const tries = new Set<string>();
      await until(
        async () => {
          const { rows } = await watch.query<{ begun: string }>(
            `select query_start::text as begun from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%cases%'`,
          );
          for (const { begun } of rows) tries.add(begun);
          return tries.size >= 2 || undefined;
        },
        60_000,
        'a second try',
      );
      await other.query('commit');
      await again;
      const told = (await store.timeline(held, undefined, 9)).rows.filter(({ kind }) => kind === 'told');
      assert.equal(told.length, 1, 'that of the second, once');
    });

    test('a table that somebody locks: reads and nonces end with their time, and their callers are told to come again', async (t) => {
      const at = await ground(t);
      const [store, other] = [await at.node({ lockTimeoutMs: 100 }), await at.other()];
      const [caseNo] = (await some(store, 1)) as [string];
      await other.query('begin; lock table cases, used_nonces in access exclusive mode');
      await assert.rejects(store.caseOf(caseNo), comeAgain);
      await assert.rejects(store.firstUse('hall', 'nonce-of-this-one', Date.now() + MINUTE), comeAgain);
      await other.query('commit');
      assert.equal((await store.caseOf(caseNo))?.caseNo, caseNo);
      assert.equal(await store.firstUse('hall', 'nonce-of-this-one', Date.now() + MINUTE), true);
    });

    test('a statement that takes too long is ended by the database', async (t) => {
      const at = await ground(t);
      const options = { lockTimeoutMs: 20_000, statementTimeoutMs: 1_000 };
      const [store, other] = [await at.node(options), await at.other()];
      const [caseNo] = (await some(store, 1)) as [string];
      await other.query('begin; lock table cases in access exclusive mode');
      await assert.rejects(store.caseOf(caseNo), comeAgain);
      await assert.rejects(store.changed(caseNo, nothing), comeAgain);
      await other.query('commit');
      await store.changed(caseNo, nothing);
    });

    test('a node that falls silent in a transaction holds its case no longer than a statement may take', async (t) => {
      const at = await ground(t);
      const wire = await at.wire();
      const silentOne = await at.node({ statementTimeoutMs: 1_000, through: wire.url(at.url) });
      const other = await at.node({ lockTimeoutMs: 4_000 });
      const [caseNo] = (await some(other, 1)) as [string];
      let fell = (): void => {};
      const silentNow = new Promise<void>((resolve) => {
        fell = resolve;
      });
      const silence = silentOne.changed(caseNo, async () =>
        watchedChange(change({ events: [event('told')] }), () => {
          wire.pause();
          fell();
        }),
      );
      const refused = assert.rejects(silence, comeAgain);
      await silentNow;
      await other.changed(caseNo, async () => change({ events: [event('answered')] }));
      wire.resume();
      await refused;
      await silentOne.changed(caseNo, nothing);
      const kinds = (await other.timeline(caseNo, undefined, 9)).rows.map(({ kind }) => kind);
      assert.deepEqual(kinds, ['accepted', 'sent', 'answered'], 'its late word is not written');
    });

    test('a node that falls silent while it computes a change keeps nobody waiting, and computes it again on what the case is by then', async (t) => {
      const at = await ground(t);
      const [slow, other] = [await at.node(), await at.node()];
      const [caseNo] = (await some(other, 1)) as [string];
      let goOn = (): void => {};
      const said = new Promise<void>((resolve) => {
        goOn = resolve;
      });
      const seen: number[] = [];
      const late = slow.changed(caseNo, async ({ messages }) => {
        seen.push(messages);
        await said;
        return change({ events: [event('told')], outbox: [envelope(caseNo, `W${messages + 1}`, 'hall')] });
      });
      await other.changed(caseNo, async () =>
        change({ events: [event('answered')], outbox: [envelope(caseNo, 'W1', 'hall')] }),
      );
      goOn();
      assert.equal((await late)?.messages, 2);
      assert.deepEqual(seen, [0, 1]);
      const kinds = (await other.timeline(caseNo, undefined, 9)).rows.map(({ kind }) => kind);
      assert.deepEqual(kinds, ['accepted', 'sent', 'answered', 'told']);
    });

    test('a node that was paused in a transaction speaks before it hears that this has ended: it is told to come again', async (t) => {
      const at = await ground(t);
      const store = await at.node({ statementTimeoutMs: 1_000 });
      const [caseNo] = (await some(store, 1)) as [string];
      const word = store.changed(caseNo, async () =>
        watchedChange(change({ events: [event('told')] }), () => {
          // As by SIGSTOP: nothing is read in between.
          for (const end = Date.now() + 1_500; Date.now() < end; );
        }),
      );
      await assert.rejects(word, comeAgain);
      const kinds = (await store.timeline(caseNo, undefined, 9)).rows.map(({ kind }) => kind);
      assert.deepEqual(kinds, ['accepted', 'sent']);
    });

    test('a database that goes while a kept message is tried again: nobody is rung, and it is kept', async (t) => {
      const at = await ground(t);
      const wire = await at.wire();
      const lines: LogLine[] = [];
      const store = await at.node({ through: wire.url(at.url), log: logInto(lines) });
      const [caseNo] = (await some(store, 1)) as [string];
      const about = { key: `${caseNo}-02` };
      const word = {
        from: 'tea-office',
        about,
        dedupe: 'early',
        at: 5,
        answer: { outcome: 'done', result: {} },
      } as const;
      assert.equal(await store.collected(word, () => nothing), 'unmatched');
      await store.changed(caseNo, async () => change({ outbox: [envelope(caseNo, '02', 'tea-office')] }));
      const away = store.retryKept(
        null,
        () => async (record) => watchedChange(await nothing(record), () => wire.cut()),
      );
      await assert.rejects(away, comeAgain);
      const retried = await until(() => store.retryKept(null, () => nothing).catch(() => undefined));
      assert.equal(retried.applied, 1);
      assert.deepEqual(
        lines.filter(({ level }) => level === 'error'),
        [],
      );
    });

    test('more callers than connections: they wait their turn, and when it does not come they are told so', async (t) => {
      const at = await ground(t);
      const store = await at.node({ poolSize: 2, connectTimeoutMs: 1_000 });
      const other = await at.other();
      const cases = await some(store, 20);
      const all = await Promise.all([
        ...Array.from({ length: 200 }, (_, i) => store.caseOf(cases[i % 20] ?? '')),
        ...cases.map((caseNo) => store.changed(caseNo, nothing)),
      ]);
      assert.ok(all.every((one) => one !== undefined));

      await other.query('begin; lock table cases in access exclusive mode');
      const held = cases.map((caseNo) => store.caseOf(caseNo));
      const settled = Promise.allSettled([...held, store.accept(newCase({ applicationNo: 'too late' }))]);
      await rest(2_000);
      await other.query('commit');
      const turnedAway = (await settled).filter((one) => one.status === 'rejected');
      assert.ok(turnedAway.length > 0);
      for (const one of turnedAway) assert.ok(comeAgain(one.reason), String(one.reason));
      const { seenBefore } = await store.accept(newCase({ applicationNo: 'A0' }));
      assert.equal(seenBefore, true);
      assert.equal((await store.accept(newCase({ applicationNo: 'too late' }))).record.state, 'ACCEPTED');
    });

    test('a table that gets a column while nodes of the release before work on it keeps none of them from working', async (t) => {
      const at = await ground(t);
      const [store, next] = [await at.node({ poolSize: 2 }), await at.other()];
      // Often enough that every statement is prepared on every connection.
      for (let round = 0; round < 3; round++) {
        const cases = await some(store, 4, [`office-${round}`]);
        await Promise.all(cases.map((caseNo) => store.caseOf(caseNo)));
      }
      const [asked] = await some(store, 1);
      await leased(store, 1, MINUTE, 'nobody');
      for (const table of ['cases', 'envelopes', 'ledger', 'claims'])
        await next.query(`alter table ${table} add column of_the_next_release text`);
      await Promise.all([
        store.caseOf(asked ?? ''),
        store.changed(asked ?? '', nothing),
        store.byApplication('window-demo', 'A0'),
      ]);
      await next.query('delete from envelopes; delete from events; delete from cases');
      await wholePath(store);
    });

    test('a wire that swallows everything: callers are told in the end, and it goes on when the wire is back', async (t) => {
      const at = await ground(t);
      const wire = await at.wire();
      const store = await at.node({ through: wire.url(at.url), statementTimeoutMs: 1_000, connectTimeoutMs: 1_000 });
      const [caseNo] = (await some(store, 1)) as [string];
      wire.pause();
      await Promise.all([
        assert.rejects(store.caseOf(caseNo), comeAgain),
        assert.rejects(store.changed(caseNo, nothing), comeAgain),
      ]);
      wire.resume();
      await until(async () => ((await store.caseOf(caseNo).catch(() => undefined)) === undefined ? undefined : true));
      await store.changed(caseNo, nothing);
    });
  });

  describe('a commit on one node wakes another', () => {
    test('the lanes that got work are told to the others, with the commit and not before; a listener that was cut off hears again', async (t) => {
      const at = await ground(t);
      const wire = await at.wire();
      const heard: Party[] = [];
      const one = await at.node();
      await at.node({ through: wire.url(at.url), committed: (lanes) => void heard.push(...lanes) });
      const hears = (lane: Party) => until(() => heard.includes(lane) || undefined, 10_000, `news of ${lane}`);
      // Until it listens, nothing is heard of what was before.
      await until(async () => {
        await one.resumed('first', 'operator');
        return heard.includes('first') || undefined;
      });
      await assert.rejects(
        one.accept({ ...newCase({ applicationNo: 'B' }), open: () => Promise.reject(new Error('no route')) }),
      );
      await one.resumed('second', 'operator');
      await hears('second');
      assert.ok(!heard.includes('tea-office'));

      wire.cut();
      await hears('*');
      await one.resumed('third', 'operator');
      await hears('third');
    });

    test("a relay that sweeps once an hour sends another node's case at once", async (t) => {
      const at = await ground(t);
      const published: string[] = [];
      let relay: Relay | undefined;
      const two = await at.node({ committed: (lanes) => relay?.wake(lanes) });
      relay = new Relay({
        store: two,
        bus: { publish: async (_lane, lease) => void published.push(lease.envelope.id) },
        clock: wallClock,
        log: silent,
        lanes: () => [{ lane: 'tea-office', limit: 8, leaseMs: MINUTE }],
        toBegin: false,
        sweepMs: 60 * MINUTE,
      });
      relay.start();
      const one = await at.node();
      // Both are known to listen and to have nothing to do: from here on only a word from the other can wake it.
      await until(async () => {
        await one.resumed('tea-office', 'operator');
        return rest(50, true);
      });
      const begun = performance.now();
      const [caseNo] = (await some(one, 1)) as [string];
      await until(() => published.includes(`${caseNo}-01`) || undefined, 10_000, 'the wake-up');
      t.diagnostic(`woken after ${Math.round(performance.now() - begun)} ms`);
      await relay.stop();
    });
  });

  describe('a database that cannot be opened is told in one plain sentence, and never its password', () => {
    const wrong = (change: (url: URL) => void): string => {
      const url = new URL(server);
      url.password = 'very-secret';
      change(url);
      return url.href;
    };
    for (const [what, url, words] of [
      [
        'nobody there',
        wrong((at) => {
          at.port = '1';
        }),
        /127\.0\.0\.1:1 上的数据库 postgres 无法打开：该处无人监听 \/ database postgres at 127\.0\.0\.1:1 cannot be opened: nobody listens there$/,
      ],
      [
        'no such database',
        wrong((at) => {
          at.pathname = '/no_such_database';
        }),
        /没有这个数据库 \/ database no_such_database.*there is no such database$/,
      ],
      ['a password with # in it', 'postgres://onewindow:12#very-secret@127.0.0.1/onewindow', /地址无法识别/],
      ['a password with / in it', 'postgres://onewindow:12/very-secret@127.0.0.1/onewindow', /地址无法识别/],
    ] as const) {
      test(what, async () => {
        await assert.rejects(
          openStore({ databaseUrl: url, database: DATABASE, log: silent, clock: wallClock }),
          (error: Error) => {
            assert.equal(error.name, 'NotOpened');
            assert.match(error.message, words);
            assert.doesNotMatch(error.message, /:12/);
            assert.doesNotMatch(`${error.stack}${String(error.cause)}`, /very-secret/);
            return true;
          },
        );
      });
    }
  });
}
