import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../contracts/ports/fault.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import { sharedSequences } from './shared-sequence.ts';

/** As the store does it; the store's own is held to it by the conformance suite. */
function counters() {
  const next = new Map<string, number>();
  return {
    async reserve(name: string, from: number, count: number) {
      const first = Math.max(next.get(name) ?? 0, from);
      next.set(name, first + count);
      return first;
    },
  };
}

const busy = (code: string) => (error: unknown) =>
  error instanceof Fault && error.kind === 'busy' && error.reason.code === code && error.until !== undefined;

for (const digits of [4, 5, 6, 12])
  test(`${digits} digits: many nodes and restarts give none twice, each node's grow`, async () => {
    const clock = new HandClock();
    const numbers = counters();
    const given: string[] = [];
    for (let run = 0; run < 3; run += 1) {
      const nodes = [1, 2, 3].map(() => sharedSequences('tea-office', clock, numbers));
      await Promise.all(
        nodes.map(async (next) => {
          let last = '';
          for (let n = 0; n < 250; n += 1) {
            const value = await next(digits);
            assert.match(value, new RegExp(`^\\d{${digits}}$`));
            assert.ok(value > last, `${value} after ${last}`);
            last = value;
            given.push(value);
          }
        }),
      );
    }
    assert.equal(new Set(given).size, 3 * 3 * 250);
  });

test('a database put back from a backup gives no number of the day again', async () => {
  const clock = new HandClock();
  const before = sharedSequences('tea-office', clock, counters());
  const given = new Set<string>();
  for (let n = 0; n < 50; n += 1) given.add(await before(6));
  clock.move(60_000);
  const after = sharedSequences('tea-office', clock, counters());
  for (let n = 0; n < 50; n += 1) assert.ok(!given.has(await after(6)));
});

test('a new day begins anew, and a day that is used up is told', async () => {
  const clock = new HandClock(Date.parse('2026-11-23T23:59:59.990+08:00'));
  const next = sharedSequences('tea-office', clock, counters());
  assert.equal(await next(6), '999999');
  await assert.rejects(async () => next(6), busy('sequenceUsedUp'));
  clock.move(10);
  // The block that the day before ended in reached this far.
  assert.equal(await next(6), '000099');
  assert.equal(await next(6), '000100');
});

test('a store that gives no numbers, or none in time, makes the call busy', async () => {
  const clock = new HandClock();
  const away = sharedSequences('tea-office', clock, { reserve: () => Promise.reject(new Error('away')) });
  await assert.rejects(async () => away(6), busy('sequenceUnknown'));
  const silent = sharedSequences('tea-office', clock, { reserve: () => new Promise(() => {}) });
  const waiting = assert.rejects(async () => silent(6), busy('sequenceUnknown'));
  clock.move(400);
  await waiting;
});
