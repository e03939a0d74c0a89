import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Bus } from '../../contracts/ports/bus.ts';
import type { Coordination } from '../../contracts/ports/coordination.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { settle, VirtualClock } from '../../test/support/virtual-clock.ts';
import { inProcessBus } from '../bus/in-process.ts';
import { openStore } from '../store/open.ts';
import { Bulkhead } from './bulkhead.ts';
import { SharedSlots } from './shared-slots.ts';

const CALL_MS = 2_000;
/** Of a right that nobody gives back. */
const LASTS_MS = 2 * CALL_MS + 5_000;

type Carrier = Pick<Bus, 'announce' | 'hear'>;

/** Nodes that call one party of `slots` slots, over one store; `bus` is the news between them. */
async function party(t: TestContext, slots: number, bus: Carrier = inProcessBus(), clock = new VirtualClock(t)) {
  const store = await openStore({ file: ':memory:', clock, log: silent });
  t.after(() => store.close());
  let claims = 0;
  let inside = 0;
  let most = 0;
  const shared: Pick<Coordination, 'claim' | 'unclaim'> = {
    async claim(...what) {
      claims += 1;
      return store.claim(...what);
    },
    unclaim: store.unclaim,
  };

  function node(name: string, over: Pick<Coordination, 'claim' | 'unclaim'> = shared) {
    let calls = 0;
    const parts = { party: 'tea-office', slots, callMs: CALL_MS, clock, log: silent, shared: over, bus, node: name };
    const bulkhead = new Bulkhead({
      slots: (line) => new SharedSlots(parts, line),
      longestLine: 1_000,
      clock,
    });
    const enter = (waitMs = 60_000) => bulkhead.enter('query', waitMs);
    /** A call of `ms`; false when it had no slot in time. */
    async function call(ms: number, waitMs?: number): Promise<boolean> {
      const release = await enter(waitMs);
      if (release === undefined) return false;
      calls += 1;
      inside += 1;
      most = Math.max(most, inside);
      await new Promise<void>((resolve) => void clock.after(ms, resolve));
      inside -= 1;
      release();
      return true;
    }
    /** Always `width` calls of `ms`, one after the other, until the function given back is called. */
    function busy(width: number, ms: number): () => Promise<void> {
      let on = true;
      const lines = Array.from({ length: width }, async () => {
        while (on) await call(ms);
      });
      t.after(() => {
        on = false;
      });
      return async () => {
        on = false;
        await waited(clock, Promise.all(lines));
      };
    }
    return { bulkhead, enter, call, busy, calls: () => calls };
  }
  /** How many slots somebody else could have now. */
  async function free(): Promise<number> {
    const now = clock.now();
    const all = Array.from({ length: slots }, (_, n) => `slot:tea-office:${n}`);
    const got = await Promise.all(all.map((what) => store.claim(what, 'tester', now, now + 1)));
    await Promise.all(all.map((what) => store.unclaim(what, 'tester')));
    return got.filter(Boolean).length;
  }
  return { clock, store, shared, node, free, claims: () => claims, most: () => most };
}

/** What becomes of it while time passes. */
async function waited<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  let settled = false;
  const mark = () => (settled = true);
  void work.then(mark, mark);
  await clock.until('its end', () => settled, 60_000, 20);
  return work;
}

describe('the slots of a party over several nodes', () => {
  test('never more calls than slots over all of them, each node has its share, and all come through', async (t) => {
    const { clock, node, most } = await party(t, 3);
    const nodes = [node('one'), node('two'), node('three')];
    const calls = nodes.flatMap(({ call }) => Array.from({ length: 40 }, () => call(100)));
    let done = 0;
    for (const each of calls) void each.then((went) => (done += went ? 1 : 0));
    await clock.pass(2_000, 20);
    assert.ok(
      nodes.every((one) => one.calls() > 5),
      nodes.map((one) => one.calls()).join(' '),
    );
    await clock.until('all', () => done === calls.length, 20_000, 20);
    assert.equal(most(), 3);
  });

  test('what a node does not need any more is free for the others in a moment', async (t) => {
    const { clock, node, free } = await party(t, 4);
    const one = node('one');
    void one.call(100);
    void one.call(100);
    await settle();
    assert.equal(await free(), 2);
    await clock.pass(150);
    assert.equal(await free(), 2, 'kept for the next call');
    await clock.pass(1_000);
    assert.equal(await free(), 4);
  });

  test('and at once when another says that it waits', async (t) => {
    const { clock, node } = await party(t, 1);
    const [one, two] = [node('one'), node('two')];
    assert.equal(await waited(clock, one.call(20)), true);
    const begun = clock.now();
    assert.equal(await waited(clock, two.call(20)), true);
    assert.ok(clock.now() - begun < 200, `${clock.now() - begun} ms`);
  });

  test('a node that always has callers hands on as soon as it hears that others wait', async (t) => {
    const { clock, node, most } = await party(t, 1);
    const [one, two] = [node('one'), node('two')];
    const stop = one.busy(5, 50);
    await clock.pass(2_000, 20);
    const begun = clock.now();
    const went = two.call(50, 5_000);
    let after: Millis | undefined;
    void went.then(() => (after = clock.now() - begun));
    await clock.until('the other', () => after !== undefined, 5_000, 20);
    assert.equal(await went, true);
    assert.ok((after ?? 0) < 1_000, `${after} ms`);
    const before = one.calls();
    await clock.pass(1_000, 20);
    assert.ok(one.calls() > before, 'and goes on itself');
    assert.equal(most(), 1);
    await stop();
  });

  test('it does so too when it hears nothing, only later', async (t) => {
    const { clock, node, most } = await party(t, 1, { announce: async () => {}, hear: () => () => {} });
    const [one, two] = [node('one'), node('two')];
    const stop = one.busy(5, 50);
    await clock.pass(1_000, 20);
    let went = false;
    void two.call(50, 60_000).then((had) => (went = had));
    await clock.until('the other', () => went, 12_000, 20);
    assert.equal(most(), 1);
    await stop();
  });

  test('a busy node asks the store now and then, not at each call', async (t) => {
    const { clock, node, claims } = await party(t, 2);
    const one = node('one');
    const stop = one.busy(4, 20);
    await clock.pass(5_000, 20);
    await stop();
    assert.ok(one.calls() > 300, `${one.calls()} calls`);
    assert.ok(claims() <= 8, `${claims()} claims`);
  });

  test('a node that is gone holds its slots for two calls’ time, and no longer', async (t) => {
    const { clock, node } = await party(t, 1);
    assert.ok((await node('gone').enter()) !== undefined);
    const { call } = node('one');
    assert.equal(await waited(clock, call(10, LASTS_MS - 1_000)), false);
    assert.equal(await waited(clock, call(10, 3_000)), true);
  });

  test('a line that is longer than a right goes on over its end', async (t) => {
    const { clock, node } = await party(t, 1);
    const { call } = node('one');
    const begun = clock.now();
    await waited(clock, Promise.all(Array.from({ length: 15 }, () => call(1_500, 60_000))));
    assert.ok(clock.now() - begun < 15 * 1_500 + 2_000, `${clock.now() - begun} ms`);
  });

  test('no call begins on a right that ends before the call may', async (t) => {
    const { clock, node, store, shared } = await party(t, 1);
    const until = new Map<string, Millis>();
    const { enter } = node('one', {
      ...shared,
      async claim(what, holder, now, end) {
        const had = await store.claim(what, holder, now, end);
        if (had) until.set(what, end);
        return had;
      },
    });
    for (let n = 0; n < 40; n += 1) {
      const entered = enter();
      const release = await waited(clock, entered);
      assert.ok(release !== undefined);
      assert.ok((until.get('slot:tea-office:0') ?? 0) - clock.now() >= CALL_MS);
      await clock.pass(700, 100);
      release();
      if (n % 5 === 0) await clock.pass(200, 100);
    }
  });

  test('a store that cannot say: whoever waits is told so at once, and it goes on when it can', async (t) => {
    const { clock, node, shared } = await party(t, 2);
    let away = true;
    const { call } = node('one', {
      ...shared,
      claim: (...what) => (away ? Promise.reject(new Error('disk full')) : shared.claim(...what)),
    });
    const fails = (error: unknown) =>
      error instanceof Fault && error.kind === 'busy' && error.reason.code === 'slotsUnknown';
    await Promise.all([1, 2, 3].map(() => assert.rejects(call(10), fails)));
    away = false;
    assert.equal(await waited(clock, call(10)), true);
  });

  test('closed: whoever waits goes away, what is free is given back at once, and the rest when its call has ended', async (t) => {
    const { clock, node, free } = await party(t, 2);
    const one = node('one');
    const [first, second] = await Promise.all([one.enter(), one.enter()]);
    const waiting = one.enter();
    let closed = false;
    void one.bulkhead.close().then(() => (closed = true));
    assert.equal(await waiting, undefined);
    second?.();
    await settle();
    assert.equal(await free(), 1);
    assert.equal(closed, false);
    first?.();
    await settle();
    assert.equal(await free(), 2);
    assert.equal(closed, true);
    assert.equal(await waited(clock, one.enter(10)), undefined);
    assert.equal(await free(), 2);
  });

  test('whatever comes when: no more than the slots at a time, and everybody who waits long enough gets in', async (t) => {
    const plan = fc.record({
      slots: fc.integer({ min: 1, max: 4 }),
      calls: fc.array(
        fc.record({
          node: fc.integer({ min: 0, max: 2 }),
          at: fc.integer({ min: 0, max: 3_000 }),
          ms: fc.integer({ min: 1, max: CALL_MS - 1 }),
        }),
        { minLength: 1, maxLength: 25 },
      ),
    });
    const clock = new VirtualClock(t);
    await fc.assert(
      fc.asyncProperty(plan, async ({ slots, calls }) => {
        const { node, most } = await party(t, slots, inProcessBus(), clock);
        const nodes = [node('one'), node('two'), node('three')];
        const ends = calls.map(async ({ node: which, at, ms }) => {
          await new Promise<void>((resolve) => void clock.after(at, resolve));
          return nodes[which]?.call(ms, 120_000);
        });
        let done = 0;
        for (const end of ends) void end.then((went) => (done += went ? 1 : 0));
        await clock.until('all', () => done === calls.length, 120_000, 50);
        assert.ok(most() <= slots);
        await Promise.all(nodes.map(({ bulkhead }) => bulkhead.close()));
      }),
      { numRuns: 15 },
    );
  });
});
