import assert from 'node:assert/strict';
import { test } from 'node:test';
import { routeMistakes } from './route.ts';

const step = (no: string, after: string[] = [], blocking = true) => ({ no, after, blocking });
const told = (...route: ReturnType<typeof step>[]) =>
  routeMistakes(route).map(({ pointer, words }) => `${pointer}: ${words}`);

test('a route in order has no mistake', () => {
  assert.deepEqual(
    told(step('01'), step('02', ['01']), step('03', ['01'], false), step('05', ['02', '03'], false)),
    [],
  );
});

test('a step that waits for one that does not exist', () => {
  assert.deepEqual(told(step('01'), step('02', ['01', '07'])), ['/route/1/after/1: there is no step 07']);
});

test('numbers that repeat or go back', () => {
  assert.deepEqual(told(step('02'), step('01'), step('01')), [
    '/route/1/no: step 01 stands after step 02',
    '/route/2/no: step 01 stands after step 01',
  ]);
});

test('steps that wait for each other, and only those', () => {
  assert.deepEqual(
    told(step('01', ['03']), step('02', ['01']), step('03', ['02']), step('04', ['03']), step('05', ['05'])),
    [
      '/route/0/after: step 01 waits for itself',
      '/route/1/after: step 02 waits for itself',
      '/route/2/after: step 03 waits for itself',
      '/route/4/after: step 05 waits for itself',
    ],
  );
});

test('a blocking step behind one that may fail', () => {
  assert.deepEqual(told(step('01', [], false), step('02', ['01'])), [
    '/route/1/after/0: a blocking step may not wait for step 01, which is not blocking',
  ]);
});
