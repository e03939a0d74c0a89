import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Terms } from '../../contracts/ports/adapter.ts';
import type { Coordination } from '../../contracts/ports/coordination.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import { openStore } from '../store/open.ts';
import { Quota } from './quota.ts';

type QuotaTerms = NonNullable<Terms['quota']>;

async function nodes(t: TestContext, terms: QuotaTerms, start: string) {
  const clock = new HandClock(Date.parse(start));
  const store = await openStore({ file: ':memory:', clock, log: silent });
  t.after(() => store.close());
  const node = (shared: Pick<Coordination, 'allot' | 'allotted'> = store) =>
    new Quota({ party: 'tea-office', terms, clock, shared });
  return { clock, store, node };
}

/** A call, as the guard makes it: false when the quota is used up. */
async function called(quota: Quota): Promise<boolean> {
  while (quota.until === null) {
    if (quota.take()) return true;
    await quota.stocked();
  }
  return false;
}

/** How many calls a node got through before the quota was used up. */
async function calledOut(quota: Quota, most = Number.POSITIVE_INFINITY): Promise<number> {
  let calls = 0;
  while (calls < most && (await called(quota))) calls += 1;
  return calls;
}

test('calls of a minute are used up until the next minute begins', async (t) => {
  const { clock, node } = await nodes(t, { calls: 2, per: 'minute' }, '2026-11-23T09:30:20+08:00');
  const quota = node();
  await called(quota);
  assert.equal(quota.until, null);
  await called(quota);
  assert.equal(quota.used, 2);
  assert.equal(quota.until, Date.parse('2026-11-23T09:31:00+08:00'));
  clock.move(40_000);
  assert.equal(quota.until, null);
  assert.equal(quota.used, 0);
});

test('a day is a local one: its calls come back at midnight, +08:00', async (t) => {
  const { clock, node } = await nodes(t, { calls: 1, per: 'day' }, '2026-11-23T23:59:00+08:00');
  const quota = node();
  await called(quota);
  assert.equal(quota.until, Date.parse('2026-11-24T00:00:00+08:00'));
  clock.move(60_000);
  assert.equal(quota.until, null);
  assert.equal(await called(quota), true);
});

for (const calls of [7, 150, 1_000])
  test(`four nodes at once never make more than ${calls} calls, and leave none lying`, async (t) => {
    const { store, node } = await nodes(t, { calls, per: 'day' }, '2026-11-23T09:30:00+08:00');
    const through = await Promise.all([1, 2, 3, 4].map(() => calledOut(node())));
    assert.equal(
      through.reduce((sum, each) => sum + each, 0),
      calls,
    );
    assert.ok(
      through.every((each) => each > 0),
      through.join(),
    );
    assert.equal(await store.allotted('tea-office', '2026-11-23'), calls);
    assert.equal(await called(node()), false, 'nor after a restart');
  });

test('a restart forgets nothing, and loses at most the unused rest of the blocks', async (t) => {
  const { node } = await nodes(t, { calls: 1_000, per: 'day' }, '2026-11-23T09:30:00+08:00');
  const before = node();
  assert.equal(await calledOut(before, 103), 103);
  assert.equal(before.used, 103);
  const after = node();
  await after.count();
  assert.ok(after.used >= 103 && after.used <= 120, String(after.used));
  const left = await calledOut(after);
  assert.ok(left >= 880 && left <= 897, String(left));
});

test('a quota too small for blocks is taken call by call: none of it lies unused on another node', async (t) => {
  const { node } = await nodes(t, { calls: 3, per: 'minute' }, '2026-11-23T09:30:00+08:00');
  assert.equal(await called(node()), true);
  assert.equal(await calledOut(node()), 2);
});

test('the next block is asked for ahead: after the first, no call waits', async (t) => {
  const { store, node } = await nodes(t, { calls: 10_000, per: 'day' }, '2026-11-23T09:30:00+08:00');
  let asked = 0;
  const quota = node({
    allotted: store.allotted,
    allot: (...what) => {
      asked += 1;
      return store.allot(...what);
    },
  });
  await quota.stocked();
  for (let n = 0; n < 500; n += 1) {
    assert.equal(quota.take(), true, `call ${n} waited`);
    await new Promise(setImmediate);
  }
  assert.ok(asked >= 5 && asked <= 7, `${asked} blocks of 100`);
});

test('a store that cannot be written makes the call busy, never free; and so does one that does not answer', async (t) => {
  const { clock, store, node } = await nodes(t, { calls: 10, per: 'day' }, '2026-11-23T09:30:00+08:00');
  const busy = (error: unknown) =>
    error instanceof Fault &&
    error.kind === 'busy' &&
    error.reason.code === 'quotaUnknown' &&
    error.until !== undefined;
  let answers: () => Promise<number> = () => Promise.reject(new Error('disk full'));
  const quota = node({ allotted: store.allotted, allot: () => answers() });
  await assert.rejects(quota.stocked(), busy);
  assert.equal(quota.take(), false);
  let answer: (got: number) => void = () => {};
  answers = () =>
    new Promise((resolve) => {
      answer = resolve;
    });
  const silentStore = assert.rejects(quota.stocked(), busy);
  clock.move(2_000);
  await silentStore;
  assert.equal(quota.take(), false);
  answer(1);
  await quota.stocked();
  assert.equal(quota.take(), true, 'an answer that came late is used all the same');
});

test('a block of a day that is over is not used in the next', async (t) => {
  const { clock, store, node } = await nodes(t, { calls: 500, per: 'day' }, '2026-11-23T23:59:59+08:00');
  const quota = node();
  const late = quota.stocked();
  clock.move(1_500);
  await late;
  assert.equal(quota.take(), false);
  await quota.stocked();
  assert.equal(quota.take(), true);
  assert.equal(await store.allotted('tea-office', '2026-11-24'), 5);
});
