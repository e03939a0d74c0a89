import { sm2 } from 'sm-crypto-v2';

export { sm2Sign, sm2Verify } from '../../../contracts/sm2.ts';

/** C1C3C2. */
const MODE = 1;

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
