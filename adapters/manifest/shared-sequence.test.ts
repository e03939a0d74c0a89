import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../contracts/ports/fault.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import { sharedSequences } from './shared-sequence.ts';
import { sequences } from './times.ts';

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

/** When the milliseconds since 1970 (of the county's clock) have twelve digits less one: 2033-05-18. */
const WRAP = 2_000_000_000_000 - 8 * 3_600_000;
const YEAR = 365.25 * 86_400_000;

test('the 12-digit sequence that ended in 2033 goes on: over that day, a restart in it and a century, none twice and none smaller', async () => {
  const clock = new HandClock(Date.UTC(2026, 10, 23, 1));
  const numbers = counters();
  const makers = {
    shared: () => sharedSequences('tea-office', clock, numbers),
    alone: () => sequences(clock),
  };
  const times = [
    Date.UTC(2027, 11, 31, 15, 59, 59),
    Date.UTC(2027, 11, 31, 16),
    Date.UTC(2027, 11, 31, 16, 0, 1),
    WRAP - 50,
    WRAP,
    WRAP + 60_000,
    ...Array.from({ length: 100 }, (_, years) => Date.UTC(2034, 0, 1) + years * YEAR),
  ];
  for (const [name, make] of Object.entries(makers)) {
    clock.move(Date.UTC(2026, 10, 23, 1) - clock.now());
    let next = make();
    let last = '';
    for (const at of [clock.now(), ...times]) {
      clock.move(at - clock.now());
      if (at === WRAP + 60_000) next = make();
      for (let n = 0; n < 250; n += 1) {
        const value = await next(12);
        assert.match(value, /^\d{12}$/);
        assert.ok(value > last, `${name}, ${new Date(at).toISOString()}: ${value} after ${last}`);
        last = value;
      }
    }
  }
});

test('until 2028 the 12-digit numbers are what they were, so that a newer program gives none that an older one gave', async () => {
  const clock = new HandClock(1_795_397_415_123);
  const expected = String((1_795_397_415_123 + 8 * 3_600_000) % 10 ** 12);
  assert.equal(await sharedSequences('tea-office', clock, counters())(12), expected);
  assert.equal(sequences(clock)(12), expected);
});

test('when its digits are used up after more than a century, it goes round and does not stop', async () => {
  const clock = new HandClock(Date.UTC(2135, 6, 1));
  const next = sharedSequences('tea-office', clock, counters());
  const given = new Set<string>();
  for (let day = 0; day < 400; day += 1) {
    clock.move(86_400_000);
    given.add(await next(12));
  }
  assert.equal(given.size, 400);
});

for (const digits of [6, 8, 11])
  test(`${digits} digits at midnight: a message begun before it gets a number of its own day, or waits; never the new day's under the old date`, async () => {
    const midnight = Date.parse('2026-11-24T00:00:00+08:00');
    for (const make of [
      (clock: HandClock) => sharedSequences('tea-office', clock, counters()),
      (clock: HandClock) => sequences(clock),
    ]) {
      const clock = new HandClock(Date.parse('2026-11-23T00:00:00+08:00'));
      const next = make(clock);
      const given = new Set<string>();
      const give = async (at: number): Promise<void> => {
        const number = `${at < midnight ? '1123' : '1124'}${await next(digits, at)}`;
        assert.ok(!given.has(number), `${number} a second time`);
        given.add(number);
      };
      for (let n = 0; n < 30; n += 1) await give(clock.now());
      clock.move(midnight - 30_000 - clock.now());
      for (let n = 0; n < 30; n += 1) await give(clock.now());
      const before = clock.now();
      clock.move(40_000);
      for (let n = 0; n < 30; n += 1) await give(clock.now());
      await assert.rejects(async () => next(digits, before), busy('sequenceUsedUp'));
      await give(clock.now());
    }
  });

test('a day that is used up is waited for until it ends, not asked again each second', async () => {
  const clock = new HandClock(Date.parse('2026-11-23T15:00:00+08:00'));
  const numbers = counters();
  await numbers.reserve('tea-office:6', 10 ** 6 * Math.floor((clock.now() + 8 * 3_600_000) / 86_400_000 + 1), 1);
  const next = sharedSequences('tea-office', clock, numbers);
  await assert.rejects(
    async () => next(6),
    (error: unknown) => error instanceof Fault && error.until === Date.parse('2026-11-24T00:00:00+08:00'),
  );
});

test('digits that no number has are a mistake of the mapping, and ask the store for nothing', async () => {
  let asked = 0;
  const numbers = {
    async reserve() {
      asked += 1;
      return 0;
    },
  };
  const next = sharedSequences('tea-office', new HandClock(), numbers);
  for (const digits of [0, -1, 1.5, 16, Number.NaN])
    await assert.rejects(
      async () => next(digits),
      (error: unknown) => error instanceof Fault && error.ours && error.reason.code === 'sequenceDigits',
    );
  assert.equal(asked, 0);
});
