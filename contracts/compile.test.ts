import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type CompileOptions, compileSchema } from './compile.ts';
import type { Json, JsonObject } from './ports/envelope.ts';

const check = (schema: Json, value: unknown, options?: CompileOptions) =>
  compileSchema(schema, options)(value).map(({ pointer, code }) => `${pointer} ${code}`);
const object = (properties: JsonObject, more: JsonObject = {}): JsonObject => ({
  type: 'object',
  properties,
  additionalProperties: false,
  ...more,
});

describe('what is told', () => {
  test('all problems at once, in the order of the value, what is missing after what is there', () => {
    const schema = object(
      { a: { type: 'string' }, b: { type: 'integer', minimum: 3 }, c: { type: 'string' } },
      { required: ['c', 'a'] },
    );
    assert.deepEqual(check(schema, { b: 1, a: 5 }), ['/b minimum', '/a type', '/c required']);
  });

  test('pointers are escaped as RFC 6901 has it', () => {
    assert.deepEqual(check(object({ 'a/b~c': { type: 'array', items: { type: 'string' } } }), { 'a/b~c': ['x', 1] }), [
      '/a~1b~0c/1 type',
    ]);
  });

  test('a choice that fails is one problem, in the words of the schema', () => {
    const schema = object(
      { father: { type: 'string' }, mother: { type: 'string' } },
      {
        anyOf: [{ required: ['father'] }, { required: ['mother'] }],
        'x-expects': { zh: '父亲或母亲', en: 'father or mother' },
      },
    );
    assert.deepEqual(compileSchema(schema)({}), [
      { pointer: '', code: 'anyOf', zh: '应为父亲或母亲', en: 'expected father or mother' },
    ]);
  });

  test('what a condition asks for is told by itself', () => {
    const schema = object(
      { mode: { type: 'string' }, address: { type: 'string' } },
      { if: { properties: { mode: { const: 'window' } } }, else: { required: ['address'] } },
    );
    assert.deepEqual(check(schema, { mode: 'ems' }), ['/address required']);
  });

  test('a number where a text belongs is one problem, also in a choice of texts', () => {
    const [problem, ...more] = compileSchema(object({ sex: { type: 'string', enum: ['1', '2'] } }))({ sex: 1 });
    assert.deepEqual(more, []);
    assert.equal(problem?.en, 'expected a text (numbers of any kind are texts in quotes)');
    assert.equal(problem?.zh, '应为文本（编号、金额也须加引号）');
  });

  test('every keyword of the draft has a sentence of its own', () => {
    const cases: readonly (readonly [JsonObject, Json])[] = [
      [{ type: 'string', minLength: 2 }, 'a'],
      [{ type: 'string', minLength: 1 }, ''],
      [{ type: 'string', maxLength: 2 }, 'abc'],
      [{ type: 'string', pattern: '^a$' }, 'b'],
      [{ type: 'string', format: 'uscc' }, 'b'],
      [{ type: 'string', format: 'date' }, 'b'],
      [{ type: 'string', format: 'ipv4' }, 'b'],
      [{ type: 'integer', minimum: 2 }, 1],
      [{ type: 'integer', maximum: 2 }, 3],
      [{ type: 'integer', exclusiveMinimum: 2 }, 2],
      [{ type: 'integer', exclusiveMaximum: 2 }, 2],
      [{ type: 'integer', multipleOf: 2 }, 3],
      [{ type: 'array', minItems: 1 }, []],
      [{ type: 'array', maxItems: 1 }, [1, 2]],
      [{ type: 'array', uniqueItems: true }, [1, 1]],
      [{ type: 'array', contains: { const: 1 } }, []],
      [{ type: 'object', minProperties: 1 }, {}],
      [
        { type: 'object', maxProperties: 1 },
        { a: 1, b: 2 },
      ],
      [{ type: 'object', propertyNames: { pattern: '^a$' } }, { b: 1 }],
      [{ type: 'object', dependentRequired: { a: ['b'] } }, { a: 1 }],
      [{ type: 'object', properties: { a: false } }, { a: 1 }],
      [{ const: 1 }, 2],
      [{ enum: [1] }, 2],
      [{ not: { const: 1 } }, 1],
      [{ oneOf: [{ const: 1 }, { const: 2 }] }, 3],
    ];
    for (const [schema, value] of cases) {
      const problems = compileSchema(schema)(value);
      assert.equal(problems.length, 1, JSON.stringify(schema));
      assert.match(problems[0]?.zh ?? '', /\p{Script=Han}/u);
      assert.doesNotMatch(problems[0]?.en ?? '', /does not meet|undefined/);
      assert.doesNotMatch(problems[0]?.zh ?? '', /不符合要求 |undefined/);
    }
  });
});

describe('what is not told', () => {
  const schema = object({
    holder: object({ name: { type: 'string' } }),
    hints: { type: 'object', additionalProperties: { type: 'string', maxLength: 3 } },
  });
  const value = { holder: { name: 'n', 张样例: 1, '331124199001010011': 2 }, hints: { '331124199001010011': 'abcd' } };

  test('names that the schema does not know: how many, and which would be allowed', () => {
    assert.deepEqual(compileSchema(schema)(value), [
      {
        pointer: '/holder',
        code: 'unknownField',
        zh: '有 2 个未定义的字段；允许的字段：name',
        en: '2 unknown fields; allowed are: name',
      },
      { pointer: '/hints', code: 'maxLength', zh: '最多 3 个字符', en: 'expected at most 3 characters' },
    ]);
  });

  test('what engineers wrote is told by the very field', () => {
    assert.deepEqual(check(schema, { holder: { nmae: 'n' }, hints: { a: 'abcd' } }, { names: 'shown' }), [
      '/holder/nmae unknownField',
      '/hints/a maxLength',
    ]);
  });

  test('a number as a name is no place in a list', () => {
    assert.deepEqual(check(schema, { hints: { 13900: 'abcd' } }), ['/hints maxLength']);
  });
});

describe('bounds', () => {
  const rows = { type: 'array', items: object({ a: { type: 'string' } }, { required: ['a'] }) };

  test('many problems are cut, and it is said how many there were', () => {
    const problems = compileSchema(rows)(Array.from({ length: 500 }, () => ({})));
    assert.equal(problems.length, 100);
    assert.deepEqual(problems.at(-1), {
      pointer: '',
      code: 'moreProblems',
      zh: '另有 401 处问题未列出',
      en: 'and 401 more problems',
    });
  });

  test('a body of very many parts hears of its first problem only', () => {
    const huge = Array.from({ length: 300_000 }, () => ({}));
    assert.deepEqual(check(rows, huge), ['/0/a required', ' moreProblems']);
  });

  test('a right body of very many parts is right', () => {
    assert.deepEqual(
      check(
        rows,
        Array.from({ length: 10_000 }, () => ({ a: 'x' })),
      ),
      [],
    );
  });

  test('a body of 100,000 levels is told so', () => {
    assert.deepEqual(check({ type: 'array' }, JSON.parse('['.repeat(100_000) + ']'.repeat(100_000))), [' tooDeep']);
  });
});

test('defaults are written where they are asked for, and nowhere else', () => {
  const schema = object({ port: { type: 'integer', default: 8080 } });
  const settings = {};
  assert.deepEqual(check(schema, settings, { defaults: true }), []);
  assert.deepEqual(settings, { port: 8080 });
  const message = {};
  compileSchema(schema)(message);
  assert.deepEqual(message, {});
});

test('definitions of other schemas are found by their $id, and what they allow is told', () => {
  const shared = { $id: 'shared@1', $defs: { Person: { type: 'object', properties: { name: { type: 'string' } } } } };
  const schema = {
    type: 'object',
    allOf: [{ $ref: 'shared@1#/$defs/Person' }],
    properties: { share: { type: 'string' } },
    unevaluatedProperties: false,
  };
  assert.match(
    compileSchema(schema, { schemas: [shared] })({ x: 1 })[0]?.en ?? '',
    /^1 unknown field; allowed are: name, share$/,
  );
});

test('a schema that cannot be used is told to its author', () => {
  assert.throws(() => compileSchema({ $id: 'a@1', $ref: 'b@1' }), {
    name: 'SchemaError',
    message: 'a@1: refers to b@1, which is not among the schemas it was given',
  });
  assert.throws(() => compileSchema({ title: 'A', type: 'object', required: 'x' }), /^SchemaError: A: .*required/);
  assert.throws(() => compileSchema({ type: 'string', format: 'citizenid' }), /citizenid/);
  assert.throws(() => compileSchema({ type: 'string', 'x-sensitve': true }), /x-sensitve/);
  assert.throws(() => compileSchema('object'), /a schema is an object/);
});
