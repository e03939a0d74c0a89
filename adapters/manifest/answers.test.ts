import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Json } from '../../contracts/ports/envelope.ts';
import { type Condition, classify, type Rule } from './answers.ts';

const seen = (reply: Json | undefined, outside: { status?: number; contentType?: string; root?: string } = {}) => ({
  status: 200,
  contentType: '',
  root: undefined,
  ...outside,
  reply,
});
const holds = (condition: Condition, ...from: Parameters<typeof seen>): boolean =>
  classify([{ as: 'filed', all: [condition] }], seen(...from)) !== undefined;

describe('answer rules', () => {
  test('the first that matches counts; `all` and `any` together; none is none', () => {
    const rules: readonly Rule[] = [
      { as: 'busy', any: [{ status: [429] }, { path: 'code', in: ['5'] }] },
      { as: 'duplicate', all: [{ path: 'code', in: ['1'] }], any: [{ path: 'words', contains: ['已存在', '重复'] }] },
      { as: 'refused', all: [{ path: 'code', in: ['1'] }] },
    ];
    const means = (...from: Parameters<typeof seen>) => classify(rules, seen(...from))?.as;
    assert.equal(means({ code: '1', words: '编号重复' }), 'duplicate');
    assert.equal(means({ code: '1', words: '不符' }), 'refused');
    assert.equal(means({ code: '5' }), 'busy');
    assert.equal(means({ code: '1', words: '重复' }, { status: 429 }), 'busy');
    assert.equal(means({ code: '2', words: '重复' }), undefined);
  });

  test('values are trimmed texts: 0, "0", " 0" and an element with attributes are equal; a path goes through lists', () => {
    for (const code of ['0', ' 0', 0, ['1', ['0']], { '#text': ' 0 ', '@unit': 'x' }])
      assert.ok(holds({ path: 'head.code', in: ['0'] }, { head: { code } }), JSON.stringify(code));
    assert.ok(holds({ path: 'rows.a', in: ['2'] }, { rows: [{ a: '1' }, { a: '2' }] }));
    assert.ok(!holds({ path: 'head.code', in: ['0'] }, { head: { code: '00' } }));
  });

  test('what is not there is not "another value"', () => {
    assert.ok(holds({ path: 'code', notIn: ['0'] }, { code: '1' }));
    for (const reply of [{}, { code: null }, { code: [] }, 'text', null])
      assert.ok(!holds({ path: 'code', notIn: ['0'] }, reply), JSON.stringify(reply));
    assert.ok(!holds({ path: 'code', notIn: ['0'] }, { code: ['1', '0'] }));
  });

  test('present: an object counts, an empty text and null do not', () => {
    for (const [value, there] of [
      ['x', true],
      [{}, true],
      ['  ', false],
      [null, false],
      [[], false],
    ] as const) {
      assert.equal(holds({ path: 'a', present: true }, { a: value as Json }), there, JSON.stringify(value));
      assert.equal(holds({ path: 'a', present: false }, { a: value as Json }), !there, JSON.stringify(value));
    }
  });

  test('the outside matches although the body could not be read; a path never does', () => {
    assert.ok(holds({ contentType: 'text/html' }, undefined, { contentType: 'Text/HTML; charset=GBK' }));
    assert.ok(holds({ contentType: 'Text/HTML' }, undefined, { contentType: 'text/html' }));
    assert.ok(holds({ root: 'html' }, undefined, { root: 'HTML' }));
    for (const condition of [
      { path: 'a', present: false },
      { path: 'a', notIn: ['1'] },
    ])
      assert.ok(!holds(condition, undefined));
  });
});
