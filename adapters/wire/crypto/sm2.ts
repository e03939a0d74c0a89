import { sm2 } from 'sm-crypto-v2';

/** GB/T 32918 default user id. node:crypto signs ECDSA with an SM2 key, which no SM2 library accepts; hence the library. */
const USER_ID = '1234567812345678';
/** C1C3C2. */
const MODE = 1;

/** @param privateKey 64 hex @returns 128 hex */
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

/** @returns hex with the leading `04` that the other side's libraries expect */
export function sm2Encrypt(text: string, publicKey: string): string {
  return `04${sm2.doEncrypt(text, publicKey, MODE)}`;
}

/** @throws Error when nothing comes out: with the wrong key or mode the library returns an empty text and no error */
export function sm2Decrypt(hex: string, privateKey: string): string {
  let text = '';
  try {
    text = sm2.doDecrypt(hex.toLowerCase().startsWith('04') ? hex.slice(2) : hex, privateKey, MODE, {
      output: 'string',
    });
  } catch (error) {
    throw new Error('SM2 decryption failed', { cause: error });
  }
  if (text === '') throw new Error('SM2 decryption yielded nothing: the key or the mode is not theirs');
  return text;
}
