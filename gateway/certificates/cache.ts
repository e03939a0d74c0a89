import NodeCache from 'node-cache';
import type { Certificate } from '../../contracts/ports/certificate.ts';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';

export interface Kept {
  readonly certificate: Certificate;
  readonly source: Party;
  readonly fetchedAt: Millis;
}

/** Certificates that were found, for a while; bounded: what does not fit is not kept, and nobody notices. Nothing else is ever kept. */
export class CertificateCache {
  readonly #cache: NodeCache;

  constructor({ max, seconds }: { readonly max: number; readonly seconds: number }) {
    this.#cache = new NodeCache({ maxKeys: max, stdTTL: seconds, checkperiod: 60, useClones: false });
  }

  get(key: string): Kept | undefined {
    return this.#cache.get<Kept>(key);
  }

  /** @param validForMs until the certificate itself ends; it is never kept beyond that */
  put(key: string, kept: Kept, validForMs: number): void {
    const seconds = Math.min(this.#cache.options.stdTTL ?? 0, Math.floor(validForMs / 1_000));
    if (seconds <= 0) return;
    try {
      this.#cache.set(key, kept, seconds);
    } catch {
      // Full. node-cache throws where we only forgo.
    }
  }

  forget(key: string): void {
    this.#cache.del(key);
  }

  close(): void {
    this.#cache.close();
    this.#cache.flushAll();
  }
}
