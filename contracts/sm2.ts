import { sm2 } from 'sm-crypto-v2';

/** GB/T 32918 default user id. node:crypto signs ECDSA with an SM2 key, which no SM2 library accepts; hence the library. */
const USER_ID = '1234567812345678';

/** @param privateKey 64 hex @returns 128 hex, r and s as they are: no DER */
export function sm2Sign(text: string, privateKey: string): string {
  return sm2.doSignature(text, privateKey, { hash: true, userId: USER_ID });
}

/** False for whatever is no signature at all, too. */
export function sm2Verify(text: string, signature: string, publicKey: string): boolean {
  try {
    return sm2.doVerifySignature(text, signature, publicKey, { hash: true, userId: USER_ID });
  } catch {
    return false;
  }
}

/** @param privateKey 64 hex @returns 130 hex, with its leading `04` */
export function sm2PublicKey(privateKey: string): string {
  return sm2.getPublicKeyFromPrivateKey(privateKey);
}
