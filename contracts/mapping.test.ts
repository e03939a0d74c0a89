import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compileMapping, MappingError } from './mapping.ts';

describe('the bounds of a mapping', () => {
  test('many at once share the time, and none of them runs out of it for the others’ sake', async () => {
    const sum = compileMapping('sum', '$sum([1..2000].($ * 2))');
    const sums = await Promise.all(Array.from({ length: 100 }, () => sum({})));
    assert.deepEqual([...new Set(sums)], [4_002_000]);
  });

  test('one that does not end is ended', async () => {
    const endless = compileMapping('endless', '($turn := function($n) { $turn($n + 1) }; $turn(0))');
    await assert.rejects(endless({}), (error) => error instanceof MappingError && error.message.includes('D1012'));
  });
});
