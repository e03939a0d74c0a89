import { createHmac } from 'node:crypto';
import { sm2PublicKey } from '../../../contracts/sm2.ts';

/** The key that seals the documents handed out; `publicKey` is for whoever checks a seal. SM2, hex: 64 and 130 (with its leading `04`). */
export interface SealKey {
  readonly privateKey: string;
  readonly publicKey: string;
}

/**
 * Derived from the deployment's one secret, so that every node has the same without being told. An HMAC of 256 bits is a private key of the curve but for one in
 * 2^32, and then for the next count.
 */
export function sealKeyOf(secret: string): SealKey {
  for (let count = 0; ; count += 1) {
    const privateKey = createHmac('sm3', secret).update(`onewindow seal key ${count}`).digest('hex');
    // The order of the curve begins with fffffffeffffffff: below it for certain.
    if (privateKey < 'fffffffe') return { privateKey, publicKey: sm2PublicKey(privateKey) };
  }
}
