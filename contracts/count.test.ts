import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileSchema } from './compile.ts';
import { countOf } from './count.ts';

test('"1 things to mend": a count and its noun agree', () => {
  assert.deepEqual(
    [0, 1, 2, 11, 21, 101].map((count) => countOf(count, 'thing')),
    ['0 things', '1 thing', '2 things', '11 things', '21 things', '101 things'],
  );
  assert.deepEqual([countOf(1, 'entry', 'entries'), countOf(2, 'entry', 'entries')], ['1 entry', '2 entries']);
});

test('a bound of one in a schema is told of one character, not of "1 characters"', () => {
  const check = compileSchema({
    type: 'object',
    properties: { letter: { type: 'string', maxLength: 1 }, rest: { type: 'object', minProperties: 1 } },
  });
  assert.deepEqual(
    check({ letter: 'ab', rest: {} }).map(({ en }) => en),
    ['expected at most 1 character', 'expected at least 1 field'],
  );
});
