import { createCipheriv, createDecipheriv } from 'node:crypto';

/** GB/T 32907, PKCS#7; CBC with an iv, ECB without. Keys and ivs are 32 hex digits, texts UTF-8, ciphers hex. */
const mode = (iv?: string): [string, Buffer | null] =>
  iv === undefined ? ['sm4-ecb', null] : ['sm4-cbc', Buffer.from(iv, 'hex')];

export function sm4Encrypt(text: string, key: string, iv?: string): string {
  const [algorithm, vector] = mode(iv);
  const cipher = createCipheriv(algorithm, Buffer.from(key, 'hex'), vector);
  return cipher.update(text, 'utf8', 'hex') + cipher.final('hex');
}

/** @throws Error when the key is wrong or the bytes are torn */
export function sm4Decrypt(hex: string, key: string, iv?: string): string {
  const [algorithm, vector] = mode(iv);
  const decipher = createDecipheriv(algorithm, Buffer.from(key, 'hex'), vector);
  const bytes = Buffer.concat([decipher.update(Buffer.from(hex, 'hex')), decipher.final()]);
  return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
}
