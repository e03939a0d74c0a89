import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Coordination } from '../../contracts/ports/coordination.ts';
import type { KeptSession, SessionBook, SessionOf } from '../../contracts/ports/session-book.ts';

/** SM4 has keys and blocks of 16 bytes, HMAC-SM3 one of 32. */
const BYTES = { key: 16, iv: 16, mac: 32 };

export interface SessionBookParts {
  readonly shared: Pick<Coordination, 'claim' | 'unclaim' | 'keep' | 'kept'>;
  readonly clock: Clock;
  readonly node: string;
  /** The deployment's own, 32 bytes in hex: the keys of the seal are derived from it, so that no node needs another secret. */
  readonly key: string;
}

/**
 * Sessions in the store, sealed: SM4-CBC, then HMAC-SM3 over the place it is kept under, the iv and the cipher. So who reads the database holds no session,
 * and who writes it cannot put one party's session in another's place. What cannot be opened (another deployment's key) counts as not there.
 */
export function sessionBook({ shared, clock, node, key }: SessionBookParts): SessionBook {
  const secret = Buffer.from(hkdfSync('sm3', Buffer.from(key, 'hex'), '', 'onewindow sessions', BYTES.key + BYTES.mac));
  const [cipherKey, macKey] = [secret.subarray(0, BYTES.key), secret.subarray(BYTES.key)];
  const mac = (...parts: readonly (string | Buffer)[]): Buffer => {
    const hmac = createHmac('sm3', macKey);
    for (const part of parts) hmac.update(part);
    return hmac.digest();
  };
  const placeOf = ({ party, account }: SessionOf): string =>
    `session:${party}:${mac('account', account).toString('hex').slice(0, 16)}`;

  function sealed(place: string, text: string): string {
    const iv = randomBytes(BYTES.iv);
    const cipher = createCipheriv('sm4-cbc', cipherKey, iv);
    const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([iv, body, mac(place, iv, body)]).toString('base64');
  }

  function opened(place: string, value: string): string | undefined {
    const bytes = Buffer.from(value, 'base64');
    if (bytes.length <= BYTES.iv + BYTES.mac) return undefined;
    const iv = bytes.subarray(0, BYTES.iv);
    const body = bytes.subarray(BYTES.iv, -BYTES.mac);
    if (!timingSafeEqual(bytes.subarray(-BYTES.mac), mac(place, iv, body))) return undefined;
    const decipher = createDecipheriv('sm4-cbc', cipherKey, iv);
    return Buffer.concat([decipher.update(body), decipher.final()]).toString('utf8');
  }

  return {
    claim(of, forMs) {
      const now = clock.now();
      return shared.claim(placeOf(of), node, now, now + forMs);
    },
    unclaim: (of) => shared.unclaim(placeOf(of), node),
    keep(of, kept, until) {
      const place = placeOf(of);
      return shared.keep(place, sealed(place, JSON.stringify(kept)), until);
    },
    async kept(of) {
      const place = placeOf(of);
      const found = await shared.kept(place, clock.now());
      const text = found === undefined ? undefined : opened(place, found.value);
      return text === undefined ? undefined : (JSON.parse(text) as KeptSession);
    },
  };
}
