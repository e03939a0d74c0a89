import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { Call, Terms } from '../../contracts/ports/adapter.ts';
import type { Bus } from '../../contracts/ports/bus.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Coordination } from '../../contracts/ports/coordination.ts';
import { Fault, type FaultDetail, type FaultKind } from '../../contracts/ports/fault.ts';
import { silent as quiet } from '../../contracts/ports/logger.ts';
import { type LogLine, logInto, metricsInto, partyFacts, words } from '../../test/support/party.ts';
import { settle, VirtualClock } from '../../test/support/virtual-clock.ts';
import { inProcessBus } from '../bus/in-process.ts';
import { openStore } from '../store/open.ts';
import { Guard, type GuardedCall, type GuardParts } from './guard.ts';

const DELIVER: GuardedCall = { group: 'deliver', name: 'deliver', write: true, attempt: 1, traceparent: '00-1-1-01' };
const QUERY: GuardedCall = { ...DELIVER, group: 'query', name: 'estate', write: false };

const fault = (kind: FaultKind, detail: Partial<FaultDetail> = {}) =>
  new Fault(kind, { reason: { code: kind, ...words(kind) }, ...detail });
const fails = (kind: FaultKind, detail?: Partial<FaultDetail>) => async () => {
  throw fault(kind, detail);
};
const well = async () => 'well';
/** Never answers, and does not heed its abort. */
const hangs = () => new Promise<never>(() => {});
/** Never answers, and lets go when it is aborted. */
const silent = ({ signal }: Call) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(fault('inDoubt', { reason: { code: 'silent', ...words('x') } })));
  });

async function guarded(t: TestContext, terms: Partial<Terms> = {}) {
  const { clock, node } = await nodes(t, terms);
  return { clock, ...node('node-1') };
}

/** Guards of one party on several nodes, over one store; `bus` is the news between them. */
async function nodes(t: TestContext, terms: Partial<Terms> = {}, bus: Pick<Bus, 'announce' | 'hear'> = inProcessBus()) {
  const clock = new VirtualClock(t);
  const store = await openStore({ file: ':memory:', clock, log: quiet });
  t.after(() => store.close());
  const node = (name: string, shared: Coordination = store) => oneGuard(t, { clock, terms, shared, bus, node: name });
  return { clock, store, node };
}

function oneGuard(
  t: TestContext,
  { clock, terms, ...parts }: Pick<GuardParts, 'shared' | 'bus' | 'node'> & { clock: Clock; terms: Partial<Terms> },
) {
  const lines: LogLine[] = [];
  const told: string[] = [];
  const guard = new Guard({
    facts: partyFacts(terms),
    clock,
    log: logInto(lines),
    metrics: metricsInto(told),
    ...parts,
  });
  t.after(() => guard.close());
  /** What came of a call: `well`, or the fault. */
  const call = (run: (call: Call) => Promise<string>, what: GuardedCall = DELIVER): Promise<string | Fault> =>
    guard.call(what, run).catch((error: unknown) => {
      assert.ok(error instanceof Fault);
      return error;
    });
  /** The code of the fault, or `well`. */
  const code = async (run: (call: Call) => Promise<string>, what?: GuardedCall) => {
    const outcome = await call(run, what);
    return outcome instanceof Fault ? outcome.reason.code : outcome;
  };
  const state = () => guard.view().breakers.deliver.state;
  return { guard, lines, told, call, code, state };
}

describe('the four traps of opossum', () => {
  test('opossum: a full bulkhead counts as a failure and opens the breaker', async (t) => {
    const { clock, code, state } = await guarded(t, { concurrency: 1 });
    const first = code(hangs);
    const others = Array.from({ length: 40 }, () => code(well));
    await settle();
    const full = (await Promise.all(others.slice(20))).filter((each) => each === 'bulkheadFull');
    assert.ok(full.length > 3, 'more were sent away than the breaker allows failures');
    assert.equal(state(), 'closed');
    await clock.pass(2_000);
    assert.equal(await first, 'deadline');
    assert.equal(state(), 'closed');
  });

  test('opossum: its timeout frees the slot while the call still runs (capacity 1 reached five at once)', async (t) => {
    const { clock, code } = await guarded(t, {
      concurrency: 1,
      breaker: { failures: 99, windowMs: 10_000, openMs: 1_000 },
    });
    let atOnce = 0;
    let most = 0;
    const ends: (() => void)[] = [];
    const deaf = async () => {
      most = Math.max(most, ++atOnce);
      await new Promise<void>((resolve) => ends.push(resolve));
      atOnce -= 1;
      return 'well';
    };
    const withTime = async (call: Promise<string>) => {
      await clock.pass(1_500);
      return call;
    };
    const calls = Array.from({ length: 5 }, () => code(deaf));
    await clock.pass(1_500);
    assert.equal(await calls[0], 'deadline', 'its caller is not kept waiting');
    assert.deepEqual(await Promise.all([1, 2].map(() => withTime(code(deaf)))), ['bulkheadFull', 'bulkheadFull']);
    assert.equal(most, 1, 'while it goes on, nobody else is let in');
    ends.shift()?.();
    const next = code(deaf);
    await settle();
    assert.equal(ends.length, 1, 'once it has ended, the next goes in');
    await clock.pass(10_000);
    assert.equal(most, 1);
    assert.equal(await next, 'deadline');
  });

  test('opossum: one AbortController per breaker means one slow call aborts everybody’s', async (t) => {
    const { clock, call, code } = await guarded(t, { concurrency: 2 });
    const signals: AbortSignal[] = [];
    const slow = code(({ signal }) => {
      signals.push(signal);
      return hangs();
    });
    await clock.pass(900);
    let answer: (word: string) => void = () => {};
    const other = call(({ signal }) => {
      signals.push(signal);
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
    await clock.pass(500);
    assert.equal(await slow, 'deadline');
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true, false],
    );
    answer('well');
    assert.equal(await other, 'well');
  });

  test('opossum: with timeout false, a half-open trial that hangs blocks the party for ever', async (t) => {
    const { clock, code, state } = await guarded(t);
    for (let n = 0; n < 3; n += 1) await code(fails('unreachable'));
    assert.equal(state(), 'open');
    await clock.pass(2_000);
    assert.equal(state(), 'halfOpen');
    const trial = code(hangs);
    await clock.pass(1_300);
    assert.equal(await trial, 'deadline');
    assert.equal(state(), 'open');
    await clock.pass(2_000);
    assert.equal(await code(well), 'well');
    assert.equal(state(), 'closed');
  });
});

describe('the breaker', () => {
  test('Camel: the breaker ignored timeouts; the bulkhead was never wired: each knob of the terms has its effect', async (t) => {
    const { clock, code, state } = await guarded(t, {
      concurrency: 3,
      deadlineMs: 500,
      breaker: { failures: 2, windowMs: 5_000, openMs: 4_000 },
    });
    // deadlineMs, and a timeout is a failure
    let over = false;
    const late = code(silent).finally(() => {
      over = true;
    });
    await clock.pass(400);
    assert.equal(over, false);
    await clock.pass(200);
    assert.equal(over, true);
    assert.equal(await late, 'silent');
    // windowMs: that failure is forgotten
    await clock.pass(6_000);
    await code(fails('unreachable'));
    assert.equal(state(), 'closed');
    // failures
    await code(fails('unreachable'));
    assert.equal(state(), 'open');
    // openMs
    await clock.pass(3_900);
    assert.equal(await code(well), 'breakerOpen');
    await clock.pass(100);
    assert.equal(await code(well), 'well');
    // concurrency
    let atOnce = 0;
    const ends: (() => void)[] = [];
    const calls = Array.from({ length: 5 }, () =>
      code(async () => {
        atOnce += 1;
        await new Promise<void>((resolve) => ends.push(resolve));
        return 'well';
      }),
    );
    await settle();
    assert.equal(atOnce, 3);
    while (atOnce < 5 || ends.length > 0) {
      ends.shift()?.();
      await settle();
    }
    await Promise.all(calls);
  });

  const counts: readonly [string, () => Promise<string>][] = [
    ['unreachable', fails('unreachable')],
    ['inDoubt', fails('inDoubt')],
    ['malformed, theirs', fails('malformed')],
    ['what nobody foresaw', () => Promise.reject(new TypeError('x is not a function'))],
  ];
  for (const [name, run] of counts)
    test(`counts: ${name}`, async (t) => {
      const { code, state } = await guarded(t);
      for (let n = 0; n < 3; n += 1) {
        assert.equal(state(), 'closed');
        await code(run);
      }
      assert.equal(state(), 'open');
    });

  const harmless: readonly [string, () => Promise<string>][] = [
    ['refused', fails('refused')],
    ['busy', fails('busy')],
    ['unauthorized', fails('unauthorized')],
    ['malformed, ours', fails('malformed', { ours: true })],
  ];
  for (const [name, run] of harmless)
    test(`does not count: ${name}`, async (t) => {
      const { code, state } = await guarded(t);
      for (let n = 0; n < 20; n += 1) await code(run);
      assert.equal(state(), 'closed');
    });

  test('a few failures among many that went well open nothing', async (t) => {
    const { code, state } = await guarded(t);
    for (let n = 0; n < 10; n += 1) await code(well);
    for (let n = 0; n < 5; n += 1) await code(fails('unreachable'));
    assert.equal(state(), 'closed');
  });

  test('a failure whose call began before the window is one failure, and opens nothing', async (t) => {
    const { clock, code, state } = await guarded(t, {
      deadlineMs: 60_000,
      breaker: { failures: 3, windowMs: 1_000, openMs: 1_000 },
    });
    let fail: (error: Fault) => void = () => {};
    const slow = code(
      () =>
        new Promise((_, reject) => {
          fail = reject;
        }),
    );
    await clock.pass(5_000);
    fail(fault('unreachable'));
    await slow;
    assert.equal(state(), 'closed');
  });

  test('half open, exactly one is let through; the others are told when to come back', async (t) => {
    const { clock, call, state } = await guarded(t, { concurrency: 8 });
    for (let n = 0; n < 3; n += 1) await call(fails('inDoubt'));
    await clock.pass(2_000);
    let went = 0;
    const calls = Array.from({ length: 8 }, () =>
      call(async () => {
        went += 1;
        await clock.pass(100);
        return 'well';
      }),
    );
    const outcomes = await Promise.all(calls);
    assert.equal(went, 1);
    const sentAway = outcomes.filter((each) => each instanceof Fault);
    assert.equal(sentAway.length, 7);
    assert.ok(sentAway.every(({ kind, until }) => kind === 'busy' && until !== undefined));
    assert.equal(state(), 'closed');
  });

  test('each group has its own: a question that fails stops no filing', async (t) => {
    const { guard, code } = await guarded(t);
    for (let n = 0; n < 3; n += 1) await code(fails('unreachable'), QUERY);
    assert.equal(guard.view().breakers.query.state, 'open');
    assert.equal(await code(well), 'well');
    assert.equal(guard.view().breakers.deliver.state, 'closed');
  });

  test('open, callers are sent away until it is over, and not all to the same moment', async (t) => {
    const { clock, call, guard } = await guarded(t);
    for (let n = 0; n < 3; n += 1) await call(fails('unreachable'));
    const opened = clock.now();
    const untils: number[] = [];
    for (const chance of [0, 0.5, 0.9]) {
      clock.chance = chance;
      const sentAway = await call(well);
      assert.ok(sentAway instanceof Fault && sentAway.kind === 'busy' && sentAway.until !== undefined);
      untils.push(sentAway.until - opened);
    }
    assert.deepEqual(untils, [2_000, 2_250, 2_450]);
    assert.deepEqual(guard.view().breakers.deliver, { state: 'open', until: opened + 2_000 });
  });

  test('a call that was waiting for its slot when the breaker opened does not go out', async (t) => {
    const { code } = await guarded(t, { concurrency: 1 });
    let fail: (error: Fault) => void = () => {};
    const first = code(
      () =>
        new Promise((_, reject) => {
          fail = reject;
        }),
    );
    const went: number[] = [];
    const waiting = [1, 2, 3, 4].map((n) =>
      code(async () => {
        went.push(n);
        throw fault('unreachable');
      }),
    );
    await settle();
    assert.deepEqual(went, []);
    fail(fault('unreachable'));
    await first;
    await Promise.all(waiting);
    assert.deepEqual(went, [1, 2]);
    assert.equal(await waiting[3], 'breakerOpen');
  });
});

describe('a call', () => {
  test('silence leaves doubt after a write, and none after a read', async (t) => {
    const { clock, call } = await guarded(t);
    const outcomes = Promise.all([call(hangs), call(hangs, QUERY)]);
    await clock.pass(1_300);
    const kinds = (await outcomes).map((each) => each instanceof Fault && each.kind);
    assert.deepEqual(kinds, ['inDoubt', 'unreachable']);
  });

  test('an adapter that lets go at its abort has the last word', async (t) => {
    const { clock, code } = await guarded(t);
    const outcome = code(
      ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () =>
            reject(new Fault('unreachable', { reason: { code: 'stillConnecting', ...words('x') } })),
          );
        }),
    );
    await clock.pass(1_300);
    assert.equal(await outcome, 'stillConnecting');
  });

  test('one that throws before its first await gives its slot back like any other', async (t) => {
    const { code } = await guarded(t, { concurrency: 1 });
    const throws = () => {
      throw new Error('at once');
    };
    assert.equal(await code(throws), 'unforeseen');
    assert.equal(await code(well), 'well');
  });

  test('one that would begin after its lease allows does not begin', async (t) => {
    const { clock, code } = await guarded(t, { concurrency: 1 });
    const first = code(async () => {
      await new Promise((resolve) => clock.after(600, () => resolve(undefined)));
      return 'well';
    });
    const waiting = code(well, { ...DELIVER, notAfter: clock.now() + 300 });
    await clock.pass(800);
    assert.equal(await first, 'well');
    assert.equal(await waiting, 'bulkheadFull');
    assert.equal(await code(well, { ...DELIVER, notAfter: clock.now() - 1 }), 'leaseOver');
  });

  test('each has one log line and one metric, written here', async (t) => {
    const { code, lines, told } = await guarded(t);
    told.length = 0;
    await code(well);
    await code(fails('refused'), QUERY);
    assert.deepEqual(
      lines.map(({ level, message, fields }) => [level, message, fields.group, fields.outcome, fields.code]),
      [
        ['debug', 'called', 'deliver', 'done', undefined],
        ['debug', 'called', 'query', 'refused', 'refused'],
      ],
    );
    assert.deepEqual(told, [
      'called tea-office deliver done',
      'fault tea-office refused',
      'called tea-office query refused',
    ]);
  });

  test('a flood of questions keeps no filing out, and the reverse', async (t) => {
    const { clock, call } = await guarded(t, { concurrency: 1 });
    const order: string[] = [];
    const asks = (what: GuardedCall) =>
      call(async () => {
        order.push(what.group);
        await new Promise((resolve) => clock.after(10, () => resolve(undefined)));
        return 'well';
      }, what);
    const flood = Array.from({ length: 40 }, () => asks(QUERY));
    const filing = asks(DELIVER);
    await clock.pass(600, 10);
    assert.equal(await filing, 'well');
    assert.ok(order.indexOf('deliver') <= 2, order.slice(0, 5).join());
    await Promise.all(flood);
  });
});

describe('before the wire', () => {
  test('trap 11: a closed party is not called, its breaker does not move, and callers come back spread out after it opens', async (t) => {
    const { clock, call, guard } = await guarded(t, { closed: ['09:00-10:00'] });
    const opens = Date.parse('2026-11-23T10:00:00+08:00');
    let called = 0;
    const counting = async () => {
      called += 1;
      return 'well';
    };
    const untils = [];
    for (const chance of [0, 0.25, 0.75]) {
      clock.chance = chance;
      const told = await call(counting);
      assert.ok(told instanceof Fault && told.kind === 'busy' && told.reason.code === 'closedHours');
      assert.match(told.reason.zh, /10:00/);
      untils.push((told.until ?? 0) - opens);
    }
    assert.deepEqual(untils, [0, 15_000, 45_000]);
    assert.equal(called, 0);
    assert.deepEqual(guard.view().closed, { hours: ['09:00-10:00'], now: true, opensAt: opens });
    assert.equal(guard.view().breakers.deliver.state, 'closed');
    await clock.pass(opens - clock.now(), 60_000);
    assert.equal(await call(counting), 'well');
  });

  test('a used-up quota is told before the wire, with the time when there is one again', async (t) => {
    const { clock, call, code, guard } = await guarded(t, { quota: { calls: 2, per: 'minute' } });
    assert.equal(await code(well), 'well');
    assert.equal(await code(fails('refused'), QUERY), 'refused');
    clock.chance = 0;
    const told = await call(well);
    assert.ok(told instanceof Fault && told.kind === 'busy' && told.reason.code === 'quotaUsedUp');
    assert.equal(told.until, Date.parse('2026-11-23T09:31:00+08:00'));
    assert.deepEqual(guard.view().quota, { calls: 2, per: 'minute', used: 2 });
    await clock.pass(60_000, 1_000);
    assert.equal(await code(well), 'well');
  });

  test('what does not reach the wire uses no quota', async (t) => {
    const { code, guard } = await guarded(t, { quota: { calls: 10, per: 'day' } });
    for (let n = 0; n < 20; n += 1) await code(fails('unreachable'));
    assert.equal(guard.view().breakers.deliver.state, 'open');
    assert.equal(guard.view().quota?.used, 3);
  });
});

test('closed for good: those under way are aborted, those waiting and those to come are sent away', async (t) => {
  const { clock, guard, code } = await guarded(t, { concurrency: 1 });
  let signal: AbortSignal | undefined;
  const underWay = code((call) => {
    signal = call.signal;
    return hangs();
  });
  const waiting = code(well);
  await settle();
  guard.close();
  assert.equal(signal?.aborted, true);
  assert.equal(await waiting, 'bulkheadFull');
  assert.equal(await code(well), 'disconnected');
  await clock.pass(300);
  assert.equal(await underWay, 'disconnected');
});

describe('over several nodes', () => {
  const opened = async (node: { code: (run: () => Promise<string>) => Promise<string> }) => {
    for (let n = 0; n < 3; n += 1) await node.code(fails('unreachable'));
  };

  test('one node’s discovery spares the others, and its trial lets all of them in again', async (t) => {
    const { clock, node } = await nodes(t);
    const [one, two, three] = [node('one'), node('two'), node('three')];
    await opened(one);
    for (const each of [one, two, three]) {
      assert.equal(each.state(), 'open');
      assert.equal(await each.code(well), 'breakerOpen');
    }
    assert.equal(two.guard.view().breakers.query.state, 'closed', 'the other groups go on');
    await clock.pass(2_000);
    assert.deepEqual([one.state(), two.state()], ['halfOpen', 'halfOpen']);
    assert.equal(await two.code(well), 'well');
    assert.deepEqual([one.state(), two.state(), three.state()], ['closed', 'closed', 'closed']);
    assert.equal(await one.code(well), 'well');
  });

  test('of all nodes one tries; while it fails, the others do not call at all', async (t) => {
    const { clock, node } = await nodes(t, { concurrency: 4 });
    const all = [node('one'), node('two'), node('three')] as const;
    await opened(all[0]);
    let tried = 0;
    for (let round = 1; round <= 5; round += 1) {
      await clock.pass(2_100);
      const calls = all.flatMap(({ code }) => [
        code(async () => {
          tried += 1;
          throw fault('unreachable');
        }),
        code(well),
      ]);
      await Promise.all(calls);
      assert.ok(tried <= round, `${tried} calls in ${round} rounds`);
      assert.ok(all.every(({ state }) => state() !== 'closed'));
    }
    assert.ok(tried >= 4, `${tried} calls in 5 rounds`);
  });

  test('who does not get the trial stays away, also when the one who got it says nothing more', async (t) => {
    const { clock, store, node } = await nodes(t);
    const one = node('one');
    await opened(one);
    await clock.pass(2_000);
    assert.equal(await store.claim('trial:tea-office:deliver', 'gone', clock.now(), clock.now() + 2_000), true);
    assert.equal(await one.code(well), 'breakerOpen');
    assert.equal(one.state(), 'open');
    await clock.pass(2_000);
    assert.equal(await one.code(well), 'well');
    assert.equal(one.state(), 'closed');
  });

  test('announcements that are all lost: each finds out by itself, and all is right again after a rest', async (t) => {
    const deaf = { announce: async () => {}, hear: () => () => {} };
    const { clock, node } = await nodes(t, {}, deaf);
    const [one, two] = [node('one'), node('two')];
    await opened(one);
    assert.equal(two.state(), 'closed');
    await opened(two);
    await clock.pass(2_000);
    assert.equal(await one.code(well), 'well');
    assert.equal(await two.code(well), 'well');
    assert.deepEqual([one.state(), two.state()], ['closed', 'closed']);
  });

  test('news that is old, of another party or of no shape opens nothing, and a bus that is away stops nobody', async (t) => {
    const bus = inProcessBus();
    const { clock, node } = await nodes(t, {}, { announce: () => Promise.reject(new Error('away')), hear: bus.hear });
    const one = node('one');
    const said = { party: 'tea-office', node: 'two', group: 'deliver', until: clock.now() + 2_000 };
    const bodies = [
      { ...said, until: clock.now() - 60_000 },
      { ...said, party: 'coffee-office' },
      { ...said, node: 'one' },
      { ...said, group: 'kettle' },
      { ...said, group: 'toString' },
      { ...said, group: '__proto__' },
      { ...said, group: ['deliver'] },
      { ...said, until: 'soon' },
      {},
    ];
    for (const body of bodies) await bus.announce({ kind: 'breakerOpened', body });
    assert.equal(one.state(), 'closed');
    await opened(one);
    assert.equal(one.state(), 'open');
    await bus.announce({ kind: 'breakerClosed', body: said });
    assert.equal(one.state(), 'closed');
  });

  test('heard is not said again: two nodes do not keep each other’s breakers open', async (t) => {
    const bus = inProcessBus();
    const news: string[] = [];
    bus.hear(({ kind, body }) => void news.push(`${kind} ${body.node}`));
    const { clock, node } = await nodes(t, {}, bus);
    const [one] = [node('one'), node('two'), node('three')];
    await opened(one);
    await clock.pass(2_000);
    await one.code(well);
    assert.deepEqual(news, ['breakerOpened one', 'breakerClosed one']);
  });

  test('a store that is away lets nobody try, and a call that cannot be counted is not made', async (t) => {
    const away = () => Promise.reject(new Error('disk full'));
    const { clock, store, node } = await nodes(t, { quota: { calls: 10, per: 'day' } });
    let broken = false;
    const one = node('one', {
      ...store,
      claim: (...what) => (broken ? away() : store.claim(...what)),
      allot: (...what) => (broken ? away() : store.allot(...what)),
    });
    await opened(one);
    await clock.pass(2_000);
    broken = true;
    let went = 0;
    const counting = async () => {
      went += 1;
      return 'well';
    };
    assert.equal(await one.code(counting), 'breakerOpen');
    assert.equal(await one.code(counting, QUERY), 'quotaUnknown');
    assert.equal(went, 0);
    broken = false;
    await clock.pass(2_000);
    assert.equal(await one.code(counting), 'well');
  });

  test('four guards over one store make no more calls than the quota has', async (t) => {
    const { node } = await nodes(t, { concurrency: 4, quota: { calls: 30, per: 'day' } });
    let went = 0;
    const counting = async () => {
      went += 1;
      return 'well';
    };
    const all = [node('one'), node('two'), node('three'), node('four')];
    const codes = (
      await Promise.all(all.flatMap(({ code }) => Array.from({ length: 15 }, () => code(counting))))
    ).flat();
    assert.equal(went, 30);
    assert.equal(codes.filter((code) => code === 'quotaUsedUp').length, 30);
    await all[0]?.guard.counted();
    assert.equal(all[0]?.guard.view().quota?.used, 30);
  });
});
