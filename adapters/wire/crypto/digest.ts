import { createHash, createHmac } from 'node:crypto';

/** Lower-case hex over the UTF-8 bytes of the text. */
const hash = (algorithm: string) => (text: string) => createHash(algorithm).update(text, 'utf8').digest('hex');
const hmac = (algorithm: string) => (text: string, key: string) =>
  createHmac(algorithm, key).update(text, 'utf8').digest('hex');

export const md5 = hash('md5');
export const sha256 = hash('sha256');
/** GB/T 32905. */
export const sm3 = hash('sm3');
export const hmacSha256 = hmac('sha256');
export const hmacSm3 = hmac('sm3');
