import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Unfit } from '../../contracts/ports/contract.ts';
import { oneOf, paging, readQuery, term, time } from './parameters.ts';

const words = { zh: '', en: '' };
const PARAMETERS = { ...paging, state: oneOf(words, ['A', 'B']), name: term(words), since: time(words) };

function problemsOf(search: string): readonly string[] {
  try {
    readQuery(PARAMETERS, search);
  } catch (error) {
    assert.ok(error instanceof Unfit && error.status === 400);
    return error.problems.map(({ pointer, code }) => `${pointer} ${code}`);
  }
  return [];
}

describe('query parameters', () => {
  test('are read, each as what it is', () => {
    assert.deepEqual(readQuery(PARAMETERS, 'limit=200&state=B&name=%E5%BC%A0+1&since=2026-11-23&cursor=abc'), {
      limit: 200,
      state: 'B',
      name: '张 1',
      since: Date.UTC(2026, 10, 22, 16),
      cursor: 'abc',
    });
    assert.deepEqual(readQuery(PARAMETERS, ''), {});
  });

  test('times carry their offset', () => {
    assert.equal(time(words).read('2026-11-23T09:30:00+08:00'), Date.UTC(2026, 10, 23, 1, 30));
    assert.equal(time(words).read('2026-11-23T01:30Z'), Date.UTC(2026, 10, 23, 1, 30));
    for (const wrong of ['2026-13-01', '2026-11-23T09:30', 'now', '1795395600000', ''])
      assert.equal(time(words).read(wrong), undefined);
  });

  test('that are unknown, twice or unfit are told all at once, without their values', () => {
    assert.deepEqual(
      problemsOf('limit=0&limit=5&state=C&x=331124199001010011&name=&since=2026-02-30x&__proto__=1&constructor=2'),
      [
        '?limit parameterUnfit',
        '?limit parameterTwice',
        '?state parameterUnfit',
        '? parameterUnknown',
        '?name parameterUnfit',
        '?since parameterUnfit',
        '? parameterUnknown',
        '? parameterUnknown',
      ],
    );
    for (const limit of ['201', '-1', '1.5', '1e2', '99999999999', 'ten'])
      assert.deepEqual(problemsOf(`limit=${limit}`), ['?limit parameterUnfit']);
  });
});
