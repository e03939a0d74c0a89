import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { isLongEnough, shortSecrets } from './app-secrets.ts';

describe('the secret of an app', () => {
  test('is long enough with 128 bits, in hex, base64url, base64, or letters of any script', () => {
    for (let made = 0; made < 50; made += 1)
      for (const encoding of ['hex', 'base64url', 'base64'] as const)
        assert.ok(isLongEnough(randomBytes(16).toString(encoding)), encoding);
    for (const secret of [
      '0f'.repeat(16),
      'AbCdEfGhIjKlMnOpQrStUv',
      '一'.repeat(22),
      '一窗'.repeat(11),
      '🔑'.repeat(22),
    ])
      assert.ok(isLongEnough(secret), secret);
  });

  test('is too short below, also when it is filled up with what nobody sees', () => {
    for (const secret of [
      'a-secret-long-enough',
      '0f'.repeat(15),
      '0123456789012345678901',
      'g'.repeat(21),
      `short${' '.repeat(40)}`,
      `short${'\u200b'.repeat(40)}`,
      `short${'\t\u3000\u0000'.repeat(20)}`,
      '🔑'.repeat(16),
    ])
      assert.ok(!isLongEnough(secret), JSON.stringify(secret));
  });

  test('is told of by the name of its app and its field only', () => {
    const apps = [
      { key: 'one', secrets: ['g'.repeat(22), 'an-old-and-short-one'], role: 'window' },
      { key: 'two', secrets: ['short-but-in-use'], role: 'operator' },
      { key: 'three', secrets: ['g'.repeat(22)], role: 'auditor' },
    ] as const;
    assert.deepEqual(shortSecrets(apps), [
      { app: 'one', field: 'previousSecret' },
      { app: 'two', field: 'secret' },
    ]);
  });
});
