import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HandClock } from '../../test/support/hand-clock.ts';
import { Quota } from './quota.ts';

test('calls of a minute are used up until the next minute begins', () => {
  const clock = new HandClock(Date.parse('2026-11-23T09:30:20+08:00'));
  const quota = new Quota({ calls: 2, per: 'minute' }, clock);
  quota.take();
  assert.equal(quota.until, null);
  quota.take();
  assert.equal(quota.used, 2);
  assert.equal(quota.until, Date.parse('2026-11-23T09:31:00+08:00'));
  clock.move(40_000);
  assert.equal(quota.until, null);
  assert.equal(quota.used, 0);
});

test('a day is a local one: its calls come back at midnight, +08:00', () => {
  const clock = new HandClock(Date.parse('2026-11-23T23:59:00+08:00'));
  const quota = new Quota({ calls: 1, per: 'day' }, clock);
  quota.take();
  assert.equal(quota.until, Date.parse('2026-11-24T00:00:00+08:00'));
  clock.move(60_000);
  assert.equal(quota.until, null);
});
