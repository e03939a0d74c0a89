import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { backoff } from './backoff.ts';

const terms = { first: 1_000, max: 300_000 };
const mostAfter = (attempt: number) => backoff(terms, attempt, 0.999_999_999);

test('the wait doubles from the first up to the limit, and chance spreads it over all of that', () => {
  assert.deepEqual([1, 2, 3, 4].map(mostAfter), [1_000, 2_000, 4_000, 8_000]);
  assert.equal(mostAfter(20), 300_000);
  assert.equal(backoff(terms, 4, 0.5), 4_000);
  assert.equal(backoff(terms, 4, 0), 500);
});

test('it is never nothing, never beyond the limit, and whole milliseconds, whatever chance and count say', () => {
  const part = fc.integer({ min: 0, max: 999_999 }).map((n) => n / 1_000_000);
  const limits = fc.tuple(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: 1_000_000 }));
  fc.assert(
    fc.property(limits, fc.integer({ min: 1, max: 10_000 }), part, ([first, max], attempt, random) => {
      const ms = backoff({ first, max }, attempt, random);
      assert.ok(Number.isInteger(ms) && ms >= 1 && ms <= max, String(ms));
    }),
  );
});
