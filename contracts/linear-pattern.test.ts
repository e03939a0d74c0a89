import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compileSchema, SchemaError } from './compile.ts';
import { linearPattern, PatternError } from './linear-pattern.ts';
import { compileMapping, MappingError } from './mapping.ts';

describe('regular expressions that come from files run in linear time', () => {
  test('they mean what they mean in JavaScript', () => {
    const sources = [
      ...[
        '^[A-Z0-9]{8,30}$',
        '^\\d{6}$',
        'a|b',
        '^$',
        '',
        '[^\\p{Cc}\\p{Cs}]{1,8}',
        '\\p{Script=Han}+',
        '^\\p{sc=Han}\\p{Lu}?$',
      ],
      ...[
        '\\s',
        '^\\S+$',
        '[\\s_]',
        '[^\\s]',
        '[\\S]',
        '.',
        '^.+$',
        'a.c',
        '[.]',
        '\\.',
        '[a\\]b]',
        '[[a]',
        '[^a-c]',
        '\\/',
        '/',
      ],
      ...[
        '\\u4e2d',
        '\\u{1F600}',
        '\\x41',
        '\\0',
        '\\cJ',
        '\\-'.slice(1),
        '[\\-a]',
        '(?<year>\\d{4})',
        '(?:ab)+c',
        'a*?b',
        '\\bab\\b',
        '\\w+\\W',
      ],
    ];
    const unit = fc.constantFrom(
      'a',
      'b',
      'c',
      'A',
      'B',
      '0',
      '1',
      '9',
      ' ',
      '\t',
      '\n',
      '\v',
      '\r',
      '\u00a0',
      '\u3000',
      '\u2028',
      '\ufeff',
      '中',
      '😀',
      '.',
      '/',
      ']',
      '[',
      '-',
      '_',
      '\0',
      '@',
    );
    for (const source of sources) {
      const [native, linear] = [new RegExp(source, 'u'), linearPattern(source)];
      fc.assert(
        fc.property(fc.array(unit, { maxLength: 8 }), (units) => {
          const text = units.join('');
          const expected = native.exec(text);
          const found = linear.exec(text);
          assert.equal(linear.test(text), native.test(text), `${source} on ${JSON.stringify(text)}`);
          assert.deepEqual(
            found?.parts,
            expected === null ? undefined : [...expected],
            `${source} on ${JSON.stringify(text)}`,
          );
          assert.equal(found?.index, expected?.index);
        }),
        { seed: 7, numRuns: 300 },
      );
    }
  });

  test('one that cannot be run so is refused, and says why in both languages', () => {
    for (const source of [
      '(?=a)b',
      '(?!a)b',
      '(?<=a)b',
      '(?<!a)b',
      '(a)\\1',
      '(a)(a)(a)(a)(a)(a)(a)(a)\\8',
      '(?<x>a)\\k<x>',
      'a{1001}',
      '(',
      '[',
      'a{2,1}',
      '\\A',
      '(?:a{500}){500}',
      'a'.repeat(1_001),
    ])
      assert.throws(
        () => linearPattern(source),
        (error) => error instanceof PatternError && error.zh !== '' && error.en !== '' && /[一-龥]/.test(error.message),
        source,
      );
  });

  test('what would run for ever is over at once', () => {
    for (const source of ['^(a+)+$', '^(a|a)*$', '^(.*a){20}$', '(x+x+)+y', '^([a-zA-Z]+)*$']) {
      const began = performance.now();
      linearPattern(source).test(`${'a'.repeat(50_000)}!`);
      linearPattern(source).test('x'.repeat(50_000));
      assert.ok(performance.now() - began < 2_000, source);
    }
  });

  test('a schema of anybody: its patterns run so, by the text and by the name of a field', () => {
    const check = compileSchema({
      type: 'object',
      properties: { a: { type: 'string', pattern: '^(a+)+$' }, b: { type: 'string', pattern: '^(b+)+$' } },
      patternProperties: { '^(x+)+$': { type: 'string' } },
      additionalProperties: false,
    });
    const long = 'a'.repeat(100_000);
    assert.deepEqual(check({ a: long, b: 'bb', xx: '' }), []);
    assert.deepEqual(
      check({ a: `${long}!`, b: 'bb' }).map(({ pointer, code }) => [pointer, code]),
      [['/a', 'pattern']],
    );
    assert.equal(check({ b: long }).length, 1);
    assert.equal(check({ [`${'x'.repeat(100_000)}!`]: '' }).length, 1);
  });

  test('a schema with patterns that cannot be run so is refused with the place of each', () => {
    const schema = {
      $id: 'park.permit@1',
      type: 'object',
      properties: {
        pattern: { type: 'string', pattern: '^(?!0)\\d+$' },
        list: { type: 'array', items: { type: 'string', pattern: '(a)\\1' } },
      },
      patternProperties: { '(?<=x)y': { const: { pattern: '(?=not a pattern)' } } },
    };
    assert.throws(
      () => compileSchema(schema),
      (error) =>
        error instanceof SchemaError &&
        /^park\.permit@1: /.test(error.message) &&
        ['/properties/pattern/pattern:', '/properties/list/items/pattern:', '/patternProperties:'].every((place) =>
          error.message.includes(place),
        ) &&
        !error.message.includes('not a pattern'),
    );
    assert.throws(() => compileSchema({ $ref: 'b@1' }, { schemas: [{ ...schema, $id: 'b@1' }] }), SchemaError);
  });

  test('a mapping may match, replace, split and look for what an expression says', async () => {
    const run = (source: string) => compileMapping('m', source)({ t: 'ab12 cd345', n: '张 三' });
    assert.equal(await run('$replace(t, /\\d+/, "#")'), 'ab# cd#');
    assert.equal(await run('$replace(t, /([a-z])([a-z])/, "$2$1")'), 'ba12 dc345');
    assert.deepEqual(await run('$split(n, /\\s/)'), ['张', '三']);
    assert.deepEqual(await run('$match(t, /(\\d)\\d/).groups'), ['1', '3']);
    assert.equal(await run('$contains(t, /CD/i)'), true);
    assert.equal(await run('t[$contains(/^x/)]'), undefined);
    assert.equal(await run('$replace("a.b", /./, "-")'), '---');
  });

  test('a mapping with an expression that cannot be run so is refused when it is read', () => {
    for (const source of [
      '$match(t, /(?=a)/)',
      '{"a": [$replace(t, /(a)\\1/, "")]}',
      '$f := /(?<!x)y/; $split(t, $f)',
      't[/(?!a)/]',
    ])
      assert.throws(
        () => compileMapping('tax/manifest.yaml /calls/a/send/map', source.includes(';') ? `(${source})` : source),
        (error) =>
          error instanceof MappingError &&
          /^tax\/manifest\.yaml \/calls\/a\/send\/map: .*look-around/.test(error.message),
        source,
      );
  });

  test('many matches of a hostile text end', async () => {
    const map = compileMapping('m', '$replace(t, /a.*b|a/, "")');
    const began = performance.now();
    await map({ t: 'a'.repeat(200_000) }).catch((error: unknown) => assert.ok(error instanceof MappingError));
    assert.ok(performance.now() - began < 10_000);
  });
});
