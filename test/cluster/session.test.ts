import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as rest } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadParties } from '../../adapters/load.ts';
import type { Adapter } from '../../contracts/ports/adapter.ts';
import { wallClock } from '../../contracts/ports/clock.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { SessionBook } from '../../contracts/ports/session-book.ts';
import type { Store } from '../../contracts/ports/store.ts';
import { sessionBook } from '../../gateway/delivery/session-book.ts';
import { openStore } from '../../gateway/store/open.ts';
import { FarSide } from '../support/far-side.ts';

const PARTIES = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'support', 'parties');
/** As the dairy's manifest has it. */
const REFRESH_AHEAD_MS = 60_000;
const KEY = '0f'.repeat(32);

describe('a session over several nodes, where a new token ends the old one', async () => {
  const dairy = (await loadParties(PARTIES)).find(({ party }) => party === 'dairy') ?? assert.fail();
  const far = new FarSide();
  let url: string;
  let store: Store;
  let tokens = 0;
  let made = 0;
  before(async () => {
    url = await far.open();
    store = await openStore({ file: ':memory:', clock: wallClock, log: silent });
  });
  after(async () => {
    await far.close();
    await store.close();
  });

  /** The dairy from now on; each session is renewed `lifeMs` after it was given. */
  function dairyOpens(lifeMs = 3_600_000): void {
    far.forget();
    tokens += 1_000;
    const granted = () => {
      tokens += 1;
      const until = Date.now() + REFRESH_AHEAD_MS + lifeMs;
      return { token: `t${tokens}`, until, renewUntil: Date.now() + 7_200_000 };
    };
    far.says('/login', granted);
    far.says('/renew', granted);
    far.says('/milk', ({ headers }) => ({ code: headers['x-token'] === `t${tokens}` ? 'ok' : 'lost' }));
  }
  const nodeWith = (sessions: SessionBook): Adapter =>
    dairy.connect({ baseUrl: url, terms: { deadlineMs: 2_000 } }, { clock: wallClock, log: silent, sessions }).adapter;
  const node = (shared = store): Adapter => {
    made += 1;
    return nodeWith(sessionBook({ shared, clock: wallClock, node: `node-${made}`, key: KEY }));
  };
  /** What a call came to: `ok`, or the kind of its fault. */
  async function milk(adapter: Adapter): Promise<string> {
    const envelope = { caseNo: 'k', stepNo: '01', to: 'dairy', contract: 'dairy.milk@1', body: {}, traceparent: '' };
    try {
      const call = { signal: AbortSignal.timeout(5_000), attempt: 1, log: silent, traceparent: '' };
      await adapter.deliver({ ...envelope, id: 'k', createdAt: 0 }, call);
      return 'ok';
    } catch (error) {
      return error instanceof Fault ? error.kind : assert.fail(String(error));
    }
  }
  const logIns = () => far.on('/login').length + far.on('/renew').length;
  async function closed(...adapters: readonly Adapter[]): Promise<void> {
    await Promise.all(adapters.map((adapter) => adapter.close()));
  }

  test('under load from both, with renewals: log-ins are bounded by renewals, and no call is unauthorized', async () => {
    const lifeMs = 250;
    dairyOpens(lifeMs);
    const [one, two] = [node(), node()];
    const [begun, limit] = [performance.now(), performance.now() + 60_000];
    let calls = 0;
    const enough = () => (logIns() >= 4 && calls > 20) || performance.now() > limit;
    const outcomes = await Promise.all(
      [one, two, one, two, one, two].map(async (adapter) => {
        const own: string[] = [];
        while (!enough()) {
          own.push(await milk(adapter));
          calls += 1;
          await rest(2);
        }
        return own;
      }),
    );
    const all = outcomes.flat();
    assert.deepEqual([...new Set(all)], ['ok']);
    assert.ok(all.length > 20, `${all.length} calls`);
    const most = (performance.now() - begun) / lifeMs + 2;
    assert.ok(logIns() >= 4 && logIns() <= most, `${logIns()} log-ins in ${all.length} calls, and at most ${most}`);
    await closed(one, two);
  });

  test('one logs in for all, and a restart needs no log-in', async () => {
    dairyOpens();
    const nodes = [node(), node(), node()];
    // The sessions of the test before are dead: it is as if the dairy had restarted.
    assert.deepEqual(new Set(await Promise.all(nodes.map(milk))), new Set(['ok']));
    assert.equal(logIns(), 1);
    const again = node();
    assert.equal(await milk(again), 'ok');
    assert.equal(logIns(), 1);
    await closed(...nodes, again);
  });

  test('killed by another’s log-in, the newer one is taken, without a log-in of one’s own', async () => {
    dairyOpens();
    const [one, two] = [node(), node()];
    assert.deepEqual([await milk(one), await milk(two)], ['ok', 'ok']);
    tokens += 1;
    const before = logIns();
    assert.equal(await milk(one), 'ok');
    assert.equal(await milk(two), 'ok');
    assert.equal(logIns(), before + 1);
    await closed(one, two);
  });

  test('a node that dies with the right to log in holds nobody up for longer than that', async () => {
    dairyOpens();
    const survivor = node();
    const dead = sessionBook({ shared: store, clock: wallClock, node: 'dead', key: KEY });
    const claims: Parameters<SessionBook['claim']>[] = [];
    const watching = { ...dead, claim: async (...what: Parameters<SessionBook['claim']>) => claims.push(what) === 0 };
    const watched = nodeWith({ ...watching, kept: async () => undefined });
    const late = milk(watched);
    while (claims.length === 0) await rest(5);
    await closed(watched);
    assert.equal(await late, 'unreachable');
    const [of] = claims[0] ?? assert.fail();
    // Counted from before the right was given, so that nothing of its time is lost to a slow machine.
    const started = performance.now();
    assert.equal(await dead.claim(of, 400), true);
    assert.equal(await milk(survivor), 'ok');
    assert.ok(performance.now() - started >= 390, 'it waited for the one who had the right');
    await closed(survivor);
  });

  test('without the store each logs in for itself', async () => {
    dairyOpens();
    const away = () => Promise.reject(new Error('away'));
    const alone = node({ ...store, kept: away, claim: away, keep: away, unclaim: away });
    assert.equal(await milk(alone), 'ok');
    assert.equal(logIns(), 1);
    await closed(alone);
  });

  test('a key that is not accepted is not tried again and again', async () => {
    dairyOpens();
    const adapter = node();
    far.says('/milk', { code: 'lost' });
    assert.equal(await milk(adapter), 'unauthorized');
    assert.ok(far.on('/milk').length <= 3);
    assert.ok(logIns() <= 1, `${logIns()} log-ins`);
    await closed(adapter);
  });
});
