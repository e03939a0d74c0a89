import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Unfit } from '../../contracts/ports/contract.ts';
import { brokenAt, readJson } from './body.ts';

const TYPE = 'application/json';

function refused(bytes: Uint8Array, type: string | undefined = TYPE): Unfit {
  try {
    readJson(bytes, type);
  } catch (error) {
    assert.ok(error instanceof Unfit, String(error));
    return error;
  }
  assert.fail('it was read');
}

describe('a JSON body', () => {
  test('is read whatever its spaces, byte order mark or letters', () => {
    assert.deepEqual(readJson(Buffer.from('\ufeff {"姓名":"𠮷"} \n'), 'application/json; charset=UTF-8'), {
      姓名: '𠮷',
    });
    assert.deepEqual(readJson(Buffer.from('[]'), 'application/problem+json'), []);
  });

  test('of another type is refused, and so is another charset', () => {
    for (const type of [
      undefined,
      '',
      'text/plain',
      'application/xml',
      'application/jsonx',
      'multipart/form-data; x=json',
    ]) {
      assert.equal(refused(Buffer.from('{}'), type ?? '').status, 415);
    }
    assert.equal(refused(Buffer.from('{}'), 'application/json; charset=GBK').code, 'charset');
  });

  test('that is missing, or GBK, says so', () => {
    assert.equal(refused(new Uint8Array(0)).code, 'bodyMissing');
    const gbk = Buffer.from([0x7b, 0x22, 0xd5, 0xc5, 0x22, 0x3a, 0x31, 0x7d]);
    assert.equal(refused(gbk).code, 'notUtf8');
    assert.equal(refused(gbk).status, 400);
  });

  test('that breaks says where, and never what stands there', () => {
    const unfit = refused(Buffer.from('{\n  "name": 张样例,\n  "idNo": "331124199001010011"\n}'));
    assert.equal(unfit.code, 'json');
    assert.match(unfit.words.zh, /第 2 行第 11 列/);
    assert.match(unfit.words.en, /line 2, column 11/);
    assert.doesNotMatch(JSON.stringify([unfit.words, unfit.problems]), /张样例|331124/);
  });

  test('ten thousand levels deep is refused before it is read', () => {
    assert.equal(refused(Buffer.from('['.repeat(10_000))).code, 'jsonTooDeep');
    assert.equal(refused(Buffer.from(`${'{"a":'.repeat(65)}1${'}'.repeat(65)}`)).code, 'jsonTooDeep');
    assert.ok(readJson(Buffer.from(`${'['.repeat(64)}${']'.repeat(64)}`), TYPE));
    assert.equal(readJson(Buffer.from(`"${'[{\\"'.repeat(1_000)}"`), TYPE), '[{"'.repeat(1_000));
  });

  test('with half a surrogate pair or a NUL is refused, wherever it hides', () => {
    for (const text of ['{"a":["\\ud800"]}', '{"\\udc00x":1}', '["a\\u0000b"]']) {
      assert.equal(refused(Buffer.from(text)).code, 'character');
    }
    const bytes = Buffer.from('{"form":{"buyers":[{"name":"张\\ud842样"},{"秘":{"name":"\\u0000"}}]}}');
    assert.throws(
      () => readJson(bytes, TYPE, new Set(['form', 'buyers', 'name'])),
      (error) => {
        assert.ok(error instanceof Unfit);
        assert.deepEqual(
          error.problems.map(({ pointer }) => pointer),
          ['/form/buyers/0/name', '/form/buyers/1'],
        );
        assert.match(error.problems[0]?.zh ?? '', /第 2 个字符 U\+D842/);
        assert.match(error.problems[1]?.en ?? '', /character 1 is U\+0000/);
        return true;
      },
    );
    assert.deepEqual(readJson(Buffer.from('["\\ud842\\udfb7","\\\\u0000"]'), TYPE), ['𠮷', '\\u0000']);
  });

  test('with a key twice, or __proto__, changes nothing but itself', () => {
    const body = readJson(
      Buffer.from('{"a":1,"a":2,"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":1}}}'),
      TYPE,
    );
    assert.equal((body as { a: number }).a, 2);
    assert.equal(Object.getPrototypeOf(body), Object.prototype);
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  });

  test('is never anything but read or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          readJson(bytes, TYPE);
        } catch (error) {
          assert.ok(error instanceof Unfit, String(error));
        }
      }),
    );
  });
});

describe('where a JSON text breaks', () => {
  test('is its end for a text that does not break', () => {
    fc.assert(fc.property(fc.json(), (text) => assert.equal(brokenAt(text), text.length)));
  });

  test('is never behind the place that the parser itself names', () => {
    const broken = fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '}', '"', ':', '01', 'x', '\\', '\n'))
      .map(([text, at, piece]) => text.slice(0, at % text.length) + piece + text.slice((at % text.length) + 1));
    fc.assert(
      fc.property(broken, (text) => {
        try {
          JSON.parse(text);
        } catch (error) {
          const named = /at position (\d+)/.exec((error as Error).message)?.[1];
          const at = brokenAt(text);
          assert.ok(at >= 0 && at <= text.length);
          if (named !== undefined) assert.ok(at <= Number(named), `${at} > ${named} in ${JSON.stringify(text)}`);
        }
      }),
    );
  });
});
