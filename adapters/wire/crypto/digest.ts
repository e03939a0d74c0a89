import { createHash, createHmac } from 'node:crypto';

/** Texts stand for their UTF-8 bytes; several are taken one behind the other. */
export type Digestible = string | Uint8Array | readonly (string | Uint8Array)[];

/** Lower-case hex. */
const hash = (algorithm: string) => (of: Digestible) => createHash(algorithm).update(bytesOf(of)).digest('hex');
const hmac = (algorithm: string) => (of: Digestible, key: string) =>
  createHmac(algorithm, key).update(bytesOf(of)).digest('hex');

function bytesOf(of: Digestible): Uint8Array {
  if (typeof of === 'string') return Buffer.from(of, 'utf8');
  if (of instanceof Uint8Array) return of;
  if (Array.isArray(of)) return Buffer.concat(of.map(bytesOf));
  throw new TypeError('a text or bytes are expected');
}

export const md5 = hash('md5');
export const sha256 = hash('sha256');
/** GB/T 32905. */
export const sm3 = hash('sm3');
export const hmacSha256 = hmac('sha256');
export const hmacSm3 = hmac('sm3');
