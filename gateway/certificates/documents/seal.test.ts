import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { sm2 } from 'sm-crypto-v2';
import { type Sealed, seal, verifySeal } from './seal.ts';

const KEYS = sm2.generateKeyPairHex();
const SEALED: Sealed = {
  sm3: createHash('sm3').update('a document').digest('hex'),
  identifier: '1.2.156.3005.2.11100000MB03271699001.11331124QA0000057N.20260000000000000001.001.H',
  handledUnder: '331124261123000001',
};

test('a seal holds, with and without an identifier', () => {
  for (const sealed of [SEALED, { ...SEALED, identifier: null }]) {
    assert.ok(verifySeal(KEYS.publicKey, sealed, seal(KEYS.privateKey, sealed)));
  }
});

test('it is an SM2 signature over the text that is published', () => {
  const text = `onewindow-document:1\n${SEALED.sm3}\n${SEALED.identifier}\n${SEALED.handledUnder}`;
  const options = { hash: true, userId: '1234567812345678' };
  assert.ok(sm2.doVerifySignature(text, seal(KEYS.privateKey, SEALED), KEYS.publicKey, options));
  assert.ok(verifySeal(KEYS.publicKey, SEALED, sm2.doSignature(text, KEYS.privateKey, options)));
});

test('it holds for nothing else', () => {
  const signature = seal(KEYS.privateKey, SEALED);
  const others: Sealed[] = [
    { ...SEALED, sm3: createHash('sm3').update('another document').digest('hex') },
    { ...SEALED, identifier: null },
    { ...SEALED, identifier: `${SEALED.identifier}1` },
    { ...SEALED, handledUnder: '331124261123000002' },
    { ...SEALED, handledUnder: '' },
  ];
  for (const other of others) assert.equal(verifySeal(KEYS.publicKey, other, signature), false);
  assert.equal(verifySeal(sm2.generateKeyPairHex().publicKey, SEALED, signature), false);
  assert.equal(
    verifySeal(KEYS.publicKey, SEALED, `${signature.slice(0, -1)}${signature.endsWith('0') ? '1' : '0'}`),
    false,
  );
  assert.equal(verifySeal(KEYS.publicKey, SEALED, ''), false);
});

test('parts that could be mistaken for one another are not sealed', () => {
  for (const wrong of [
    { sm3: 'abc' },
    { sm3: SEALED.sm3.toUpperCase() },
    { identifier: 'one\ntwo' },
    { handledUnder: 'one\rtwo' },
    { handledUnder: '' },
  ]) {
    const sealed = { ...SEALED, ...wrong };
    assert.throws(() => seal(KEYS.privateKey, sealed), RangeError);
    assert.equal(verifySeal(KEYS.publicKey, sealed, 'f'.repeat(128)), false);
  }
});
