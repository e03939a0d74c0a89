import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClockInStep } from './clock-in-step.ts';

/** A node's own clock, which somebody may set, and its steady count. */
function node(wall: number, count: number) {
  const at = { wall, count };
  const clock = new ClockInStep({
    now: () => at.wall,
    steady: () => at.count,
    after: () => () => {},
    random: () => 0,
  });
  return {
    clock,
    pass(ms: number): void {
      at.wall += ms;
      at.count += ms;
    },
    set(ms: number): void {
      at.wall += ms;
    },
  };
}

test('it tells the time of the database, whatever the own clock says and is set to', () => {
  const { clock, pass, set } = node(1_000_000, 7.25);
  assert.equal(clock.now(), 1_000_000);
  clock.shift(-60_000);
  pass(500.5);
  assert.equal(clock.now(), 940_500);
  set(60_000);
  pass(100);
  assert.equal(clock.now(), 940_600);
});

test('that the own clock was set is noticed, and over with the next word of the database', () => {
  const { clock, pass, set } = node(1_000_000, 7);
  pass(3_600_000);
  assert.equal(clock.wandered, false);
  set(-60_000);
  assert.equal(clock.wandered, true);
  clock.shift(0);
  assert.equal(clock.wandered, false);
  assert.equal(clock.now(), 4_600_000);
});

test('a clock that knows no steady count is followed as it is', () => {
  let now = 5;
  const clock = new ClockInStep({ now: () => now, after: () => () => {}, random: () => 0 });
  clock.shift(10);
  now = 25;
  assert.deepEqual([clock.now(), clock.wandered], [35, false]);
});
