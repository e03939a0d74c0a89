import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sm2 } from 'sm-crypto-v2';
import { sm2Sign, sm2Verify } from './sm2.ts';

/** GB/T 32918.5-2017, annex A.2. */
const STANDARD = {
  text: 'message digest',
  privateKey: '3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8',
  publicKey:
    '0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020' +
    'ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13',
  signature:
    'f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3' +
    'b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa',
};

test('the example of the standard holds', () => {
  const { text, signature, publicKey } = STANDARD;
  assert.ok(sm2Verify(text, signature, publicKey));
  assert.ok(!sm2Verify(`${text} `, signature, publicKey));
});

test('what we sign holds, in the same form', () => {
  const { privateKey, publicKey } = STANDARD;
  const signature = sm2Sign('办件 331124261123000001', privateKey);
  assert.match(signature, /^[0-9a-f]{128}$/);
  assert.ok(sm2Verify('办件 331124261123000001', signature, publicKey));
  assert.ok(!sm2Verify('办件 331124261123000001', signature, sm2.generateKeyPairHex().publicKey));
});

test('what is no signature or no key is false, not an error', () => {
  const { text, signature, publicKey } = STANDARD;
  for (const wrong of ['', 'x', signature.slice(2), `${signature}00`, '0'.repeat(128), 'f'.repeat(128)]) {
    assert.equal(sm2Verify(text, wrong, publicKey), false, wrong);
  }
  for (const wrong of ['', '04', publicKey.slice(0, -2), `04${'0'.repeat(128)}`]) {
    assert.equal(sm2Verify(text, signature, wrong), false, wrong);
  }
});
