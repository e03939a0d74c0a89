import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Adapter, Call } from '../../contracts/ports/adapter.ts';
import { wallClock } from '../../contracts/ports/clock.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { FarSide, type Said } from '../../test/support/far-side.ts';
import { loadParties } from '../load.ts';
import { Session } from './session.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const never = new AbortController().signal;

/** Something to wait for, let go by hand. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

describe('a session', () => {
  function made({ newKillsOld = false, refreshAheadMs = 0, lifeMs = Number.POSITIVE_INFINITY } = {}) {
    const state = { now: 0, fetches: 0, fetch: async () => {} };
    const session = new Session({
      newKillsOld,
      refreshAheadMs,
      now: () => state.now,
      fetch: async () => {
        state.fetches += 1;
        const token = state.fetches;
        await state.fetch();
        return { token, ...(Number.isFinite(lifeMs) ? { until: state.now + lifeMs } : {}) };
      },
    });
    const used = (signal = never) => session.use(signal, async ({ token }) => token);
    return { session, state, used };
  }

  test('is fetched once for all who wait for it', async () => {
    const { state, used } = made();
    assert.deepEqual(await Promise.all(Array.from({ length: 8 }, () => used())), Array(8).fill(1));
    assert.equal(state.fetches, 1);
  });

  test('is renewed ahead of its end, and not before', async () => {
    const { state, used } = made({ lifeMs: 1_000, refreshAheadMs: 100 });
    await used();
    state.now = 899;
    assert.equal(await used(), 1);
    state.now = 900;
    assert.equal(await used(), 2);
  });

  test('that holds for less than it is renewed ahead is used all the same, one call a log-in', async () => {
    const { state, used } = made({ lifeMs: 50, refreshAheadMs: 100 });
    assert.deepEqual([await used(), await used(), state.fetches], [1, 2, 2]);
  });

  test('that was lost is fetched anew; a newer one is not lost with it', async () => {
    const { session, used } = made();
    let old: JsonObject = {};
    await session.use(never, async (current) => {
      old = current;
    });
    session.lost(old);
    assert.equal(await used(), 2);
    session.lost(old);
    assert.equal(await used(), 2);
  });

  test('a log-in that failed fails all who waited, and the next one tries again', async () => {
    const { state, used } = made();
    state.fetch = () => Promise.reject(new Error('no'));
    const ends = await Promise.allSettled([used(), used()]);
    assert.deepEqual(
      ends.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    assert.equal(state.fetches, 1);
    state.fetch = async () => {};
    assert.equal(await used(), 2);
  });

  test('the wait for it ends with the deadline of the call that waits, and nothing was sent', async () => {
    const { state, used } = made();
    const held = gate();
    state.fetch = () => held.opened;
    const own = new AbortController();
    const waiting = used(own.signal);
    const other = used();
    own.abort();
    await assert.rejects(
      waiting,
      (error) => error instanceof Fault && error.kind === 'unreachable' && !error.maybeArrived,
    );
    held.open();
    assert.equal(await other, 1);
    await assert.rejects(made().used(AbortSignal.abort()), Fault);
  });

  test('where the new one ends the old: calls in flight are let out before it is fetched, and none starts meanwhile', async () => {
    const { session, state } = made({ newKillsOld: true });
    const held = gate();
    const events: string[] = [];
    let first: JsonObject = {};
    const inFlight = session.use(never, async (current) => {
      first = current;
      events.push('one begins');
      await held.opened;
      events.push('one ends');
    });
    await turn();
    session.lost(first);
    state.fetch = async () => void events.push('fetched');
    const later = ['two', 'three'].map((name) =>
      session.use(never, async ({ token }) => void events.push(`${name} with ${token}`)),
    );
    await turn();
    assert.deepEqual(events, ['one begins']);
    held.open();
    await Promise.all([inFlight, ...later]);
    assert.deepEqual(events, ['one begins', 'one ends', 'fetched', 'two with 2', 'three with 2']);
  });

  test('who was given a session counts as in flight from that moment: the next log-in waits for him, begun in the very same turn', async () => {
    const { session, state, used } = made({ newKillsOld: true });
    let first: JsonObject = {};
    await session.use(never, async (current) => {
      first = current;
    });
    const held = gate();
    const given = session.use(never, () => held.opened);
    session.lost(first);
    const next = used();
    await turn();
    assert.equal(state.fetches, 1);
    held.open();
    await given;
    assert.equal(await next, 2);
  });

  test('where it does not, nobody waits for anybody', async () => {
    const { session, used } = made();
    const held = gate();
    let first: JsonObject = {};
    const inFlight = session.use(never, async (current) => {
      first = current;
      await held.opened;
    });
    await turn();
    session.lost(first);
    assert.equal(await used(), 2);
    held.open();
    await inFlight;
  });

  test('in whatever order they come, no call is under way while a session that ends the old one is fetched', async () => {
    const { session, state } = made({ newKillsOld: true });
    let under = 0;
    let fetching = false;
    state.fetch = async () => {
      fetching = true;
      assert.equal(under, 0);
      await turn();
      assert.equal(under, 0);
      fetching = false;
    };
    const one = async (nth: number): Promise<void> => {
      for (let hops = nth % 5; hops > 0; hops -= 1) await Promise.resolve();
      await session.use(never, async (current) => {
        assert.equal(fetching, false);
        under += 1;
        for (let hops = nth % 3; hops > 0; hops -= 1) await (nth % 2 === 0 ? Promise.resolve() : turn());
        under -= 1;
        if (nth % 4 === 0) session.lost(current);
      });
    };
    await Promise.all(Array.from({ length: 200 }, (_, nth) => one(nth)));
  });
});

describe('a session, over its wire', async () => {
  const parties = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'test', 'support', 'parties');
  const dairy = (await loadParties(parties)).find(({ party }) => party === 'dairy') ?? assert.fail();
  const far = new FarSide();
  let url: string;
  let adapter: Adapter;
  let tokens = 0;
  before(async () => {
    url = await far.open();
  });
  after(() => far.close());
  const connected = (deadlineMs = 30_000): Adapter =>
    dairy.connect({ baseUrl: url, terms: { deadlineMs } }, { clock: wallClock, log: silent }).adapter;
  beforeEach((_, done) => {
    far.forget();
    tokens = 0;
    far.says('/login', () => granted());
    far.says('/renew', () => granted());
    far.says('/milk', ({ headers }) => ({ code: headers['x-token'] === `t${tokens}` ? 'ok' : 'lost' }));
    adapter = connected();
    done();
  });
  /** Numbers as JSON numbers, as they come. */
  const granted = (lifeMs = 3_600_000): Said => {
    tokens += 1;
    return { token: `t${tokens}`, until: Date.now() + lifeMs, renewUntil: Date.now() + 7_200_000 };
  };
  const call = (ms = 60_000): Call => ({
    signal: AbortSignal.timeout(ms),
    attempt: 1,
    log: silent,
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  });
  const milk = (id = 'k') =>
    adapter.deliver(
      {
        id,
        caseNo: id,
        stepNo: '01',
        to: 'dairy',
        contract: 'dairy.milk@1',
        body: {},
        traceparent: '',
        createdAt: 0,
      },
      call(),
    );
  const faultOf = (run: Promise<unknown>): Promise<Fault> =>
    run.then(
      () => assert.fail('it should have failed'),
      (error: unknown) => (error instanceof Fault ? error : assert.fail(String(error))),
    );

  test('logs in once, and its log-in bears nobody’s trace', async () => {
    await Promise.all([milk('a'), milk('b'), milk('c')]);
    assert.equal(far.on('/login').length, 1);
    assert.equal(far.on('/login')[0]?.headers.traceparent, undefined);
    assert.equal(far.on('/milk').length, 3);
  });

  test('lost on the way: fetched once more, by renewal while that is allowed, and the call repeated once', async () => {
    await milk();
    tokens += 1;
    await milk();
    assert.deepEqual(
      far.asked.map(({ path: asked }) => asked),
      ['/login', '/milk', '/milk', '/renew', '/milk'],
    );
    assert.equal(far.on('/renew')[0]?.headers['x-old'], 't1');
  });

  test('a renewal that is refused becomes a log-in; one that is past its time is not tried', async () => {
    far.says('/renew', { code: 'wrong' });
    await milk();
    tokens += 1;
    await milk();
    assert.deepEqual([far.on('/renew').length, far.on('/login').length], [1, 2]);
    far.says('/login', () => ({ ...(granted() as JsonObject), renewUntil: 1 }));
    adapter = connected();
    await milk();
    tokens += 1;
    await milk();
    assert.deepEqual([far.on('/renew').length, far.on('/login').length], [1, 4]);
  });

  test('lost again after the fresh log-in: unauthorized, and the call went out twice and no more', async () => {
    far.says('/milk', { code: 'lost' });
    const fault = await faultOf(milk());
    assert.deepEqual([fault.kind, fault.maybeArrived, far.on('/milk').length], ['unauthorized', false, 2]);
  });

  test('a log-in refused, busy, away, silent, or without an end that is a time: each its own fault, and nothing was sent', async () => {
    for (const [says, kind] of [
      [{ code: 'wrong' }, 'unauthorized'],
      [{ code: 'busy' }, 'busy'],
      ['hangUp', 'unreachable'],
      ['silence', 'unreachable'],
      [{ what: 'ever' }, 'malformed'],
      [{ token: 't', until: 'tomorrow', renewUntil: 0 }, 'malformed'],
    ] as const) {
      far.says('/login', says);
      // Silence ends with the deadline alone; everything else has an answer, however slowly it comes.
      adapter = connected(says === 'silence' ? 300 : undefined);
      const fault = await faultOf(milk());
      await adapter.close();
      assert.deepEqual([fault.kind, fault.maybeArrived], [kind, false], fault.message);
    }
    assert.equal(far.on('/milk').length, 0);
  });

  test('a log-in that is refused by a right clock is not tried twice: keys that are tried too often are locked', async () => {
    far.says('/login', { code: 'wrong' });
    await faultOf(milk());
    assert.equal(far.on('/login').length, 1);
  });

  test('renewed ahead of its end, which comes as a number in their JSON', async () => {
    far.says('/login', () => granted(30_000));
    await milk();
    await milk();
    assert.deepEqual([far.on('/login').length, far.on('/renew').length], [1, 1]);
  });

  test('a clock that is off: after the refusal we sign in their time, once', async () => {
    const theirs = () => new Date(Date.now() + 600_000).toUTCString();
    let refused = 0;
    far.says('/login', () => {
      refused += 1;
      const raw = JSON.stringify(refused === 1 ? { code: 'wrong' } : granted());
      return { raw, headers: { date: theirs() } };
    });
    await milk();
    assert.equal(refused, 2);
  });

  test('closing ends a log-in that hangs', async () => {
    far.says('/login', 'silence');
    const waiting = faultOf(milk());
    while (far.on('/login').length === 0) await turn();
    const started = performance.now();
    await adapter.close();
    assert.equal((await waiting).kind, 'unreachable');
    assert.ok(performance.now() - started < 20_000, 'long before its deadline');
  });
});
