import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import { findSigningSecret, type Signable, sign } from './signature.ts';

const REQUEST: Signable = {
  method: 'POST',
  target: '/v1/cases?x=%E5%BC%A0',
  body: Buffer.from('{"a":1}'),
  timestamp: '1795395600000',
  nonce: '0123456789abcdef',
};
const SECRET = 'window-demo-secret';

describe('the signature', () => {
  // Both made with `openssl dgst -hmac` over the five lines.
  test('is what others compute, under SHA-256 and under SM3', () => {
    assert.equal(sign(REQUEST, SECRET), '6fc08d69a3fad3f54f8a34a9c4faa01c3014bc8a3fb92f9fdb0bf02fd91374a5');
    assert.equal(sign(REQUEST, SECRET, 'HMAC-SM3'), '5a77270d5247a3855b60791f98df037b3d47323cb63daaf38321635cb0474ca4');
  });

  test('covers every part of the request, and the method of signing', () => {
    const right = sign(REQUEST, SECRET);
    assert.equal(findSigningSecret(REQUEST, [SECRET], 'HMAC-SHA256', right), 0);
    assert.equal(findSigningSecret(REQUEST, [SECRET], 'HMAC-SM3', right), undefined);
    assert.equal(findSigningSecret(REQUEST, [`${SECRET} `], 'HMAC-SHA256', right), undefined);
    const others: readonly Partial<Signable>[] = [
      { method: 'GET' },
      { target: '/v1/cases' },
      { body: Buffer.from('{"a": 1}') },
      { timestamp: '1795395600001' },
      { nonce: '0123456789abcdeg' },
    ];
    for (const other of others)
      assert.equal(findSigningSecret({ ...REQUEST, ...other }, [SECRET], 'HMAC-SHA256', right), undefined);
  });

  test('may be made with either of two secrets while one is rotated, and which one it was is known', () => {
    const secrets = ['the-secret-of-now', SECRET];
    for (const method of ['HMAC-SHA256', 'HMAC-SM3'] as const) {
      secrets.forEach((secret, no) => {
        assert.equal(findSigningSecret(REQUEST, secrets, method, sign(REQUEST, secret, method)), no);
      });
      assert.equal(findSigningSecret(REQUEST, secrets, method, sign(REQUEST, 'a third one', method)), undefined);
    }
    assert.equal(findSigningSecret(REQUEST, [], 'HMAC-SHA256', sign(REQUEST, '')), undefined);
  });

  test('that is too short, too long or of other letters is refused, not an error', () => {
    for (const wrong of ['', 'a', sign(REQUEST, SECRET).toUpperCase(), `${sign(REQUEST, SECRET)}0`, '签'.repeat(64)]) {
      assert.equal(findSigningSecret(REQUEST, [SECRET], 'HMAC-SHA256', wrong), undefined);
    }
  });

  test('that the page of the docs makes is the same', async () => {
    const context = createContext({ crypto, TextEncoder, Uint8Array });
    runInContext(await readFile(new URL('docs/page.js', import.meta.url), 'utf8'), context);
    const signature = runInContext('signature', context) as (what: object, secret: string) => Promise<string>;
    assert.equal(await signature({ ...REQUEST, body: '{"a":1}' }, SECRET), sign(REQUEST, SECRET));
  });
});
