import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Fault } from '../../../contracts/ports/fault.ts';
import { decodeText, type Encoding, encodeText } from './encoding.ts';
import { buildFixed, type FixedLayout, openFixed } from './fixed.ts';
import { buildForm, openForm } from './form.ts';
import { openJson } from './json.ts';

/** What a reader may do with anybody's bytes: read them, or say that they are malformed. */
function read<T>(run: () => T): T | string {
  try {
    return run();
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    assert.equal(error.kind, 'malformed');
    return error.reason.code;
  }
}

const ENCODINGS: readonly (Encoding | 'auto')[] = ['auto', 'utf-8', 'gbk', 'gb18030'];
const parts = (...of: readonly string[]) =>
  fc.array(fc.constantFrom(...of), { maxLength: 30 }).map((all) => all.join(''));

describe('readers of what others send', () => {
  test('any bytes have a text, or are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(...ENCODINGS), (bytes, encoding) => {
        read(() => decodeText(bytes, encoding));
      }),
      { seed: 11, numRuns: 2_000 },
    );
  });

  test('JSON: every number as it was written, everything else as JSON has it', () => {
    assert.deepEqual(openJson('{"a":-0.10e+5,"b":["1\\"2\\\\",3,{"c4":[]}],"d":12345678901234567890,"__proto__":5}'), {
      a: '-0.10e+5',
      b: ['1"2\\', '3', { c4: [] }],
      d: '12345678901234567890',
      ...JSON.parse('{"__proto__":"5"}'),
    });
    const texts = (value: unknown): unknown =>
      JSON.parse(JSON.stringify(value), (_, one, context?: { source?: string }) =>
        typeof one === 'number' ? (context?.source ?? String(one)) : one,
      );
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        assert.deepEqual(openJson(JSON.stringify(value)), texts(value));
      }),
      { seed: 11, numRuns: 1_000 },
    );
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), parts('{', '}', '[', ']', '"', '\\', ',', ':', '1', '-', 'e', '.', ' ', 'true')),
        (text) => {
          read(() => openJson(text));
        },
      ),
      { seed: 11, numRuns: 3_000 },
    );
  });

  test('a form: written and read again the same, in the bytes of its encoding; torn, it is refused', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', ' ', '+', '%', '&', '=', '张', '三', '·', '-', '*', '~', '1'),
    });
    fc.assert(
      fc.property(fc.dictionary(text, text), fc.constantFrom('utf-8' as const, 'gbk' as const), (fields, encoding) => {
        delete fields[''];
        assert.deepEqual(openForm(buildForm(fields, encoding), encoding), { ...fields });
      }),
      { seed: 11, numRuns: 1_000 },
    );
    fc.assert(
      fc.property(
        parts('a', '=', '&', '%', '%D5', '%C5', '%zz', '+', '中', '\0'),
        fc.constantFrom(...ENCODINGS),
        (form, encoding) => {
          read(() => openForm(form, encoding));
        },
      ),
      { seed: 11, numRuns: 3_000 },
    );
    assert.deepEqual(openForm('%D5%C5=%C8%FD&a', 'gbk'), { 张: '三', a: '' });
    assert.equal(
      read(() => openForm('a&'.repeat(10_001), 'auto')),
      'form',
    );
  });

  test('a record of fixed fields: written and read again the same; short, long or torn, it is refused', () => {
    const layout: FixedLayout = [
      { name: 'a', bytes: 4 },
      { name: 'b', bytes: 12, align: 'right', pad: '0' },
      { name: 'c', bytes: 6, optional: true },
    ];
    fc.assert(
      fc.property(fc.constantFrom('张', 'x', '', '张三'), fc.nat(999_999), fc.constantFrom('三', 'yy'), (a, b, c) => {
        const values = { a, b: String(b), c };
        assert.deepEqual(openFixed(layout, buildFixed(layout, values, 'gbk'), 'gbk'), values);
      }),
      { seed: 11, numRuns: 300 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(...ENCODINGS), (bytes, encoding) => {
        read(() => openFixed(layout, bytes, encoding));
      }),
      { seed: 11, numRuns: 2_000 },
    );
    assert.equal(
      read(() => openFixed(layout, encodeText('张三张三张三', 'gbk').subarray(0, 11), 'gbk')),
      'recordShort',
    );
  });
});
