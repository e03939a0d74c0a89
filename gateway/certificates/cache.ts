import NodeCache from 'node-cache';
import type { Certificate } from '../../contracts/ports/certificate.ts';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';

/** A certificate that was found, or that every source searched and found none. */
export type Copy =
  | { readonly certificate: Certificate; readonly source: Party; readonly fetchedAt: Millis }
  | { readonly certificate: null };

interface Kept {
  readonly copy: Copy;
  /** By which it is forgotten. */
  readonly tags: readonly string[];
}

/**
 * Copies of certificates, for a while. Keys and tags come hashed; nothing personal stands in them. Bounded: the oldest goes when a new one does not fit.
 * What could not be asked is never kept.
 */
export class CertificateCache {
  readonly #cache: NodeCache;
  readonly #max: number;
  /** In the order they came. */
  readonly #keys = new Set<string>();
  readonly #tagged = new Map<string, Set<string>>();

  constructor({ max }: { readonly max: number }) {
    this.#max = max;
    this.#cache = new NodeCache({ checkperiod: 60, useClones: false });
    // Told of what is deleted and of what ran out alike.
    this.#cache.on('del', (key: string, { tags }: Kept) => {
      this.#keys.delete(key);
      for (const tag of tags) {
        const keys = this.#tagged.get(tag);
        keys?.delete(key);
        if (keys?.size === 0) this.#tagged.delete(tag);
      }
    });
  }

  get(key: string): Copy | undefined {
    return this.#cache.get<Kept>(key)?.copy;
  }

  /** @param seconds how long it is kept; less than one: not at all */
  put(key: string, copy: Copy, tags: readonly string[], seconds: number): void {
    this.#cache.del(key);
    if (seconds < 1) return;
    for (const oldest of this.#keys) {
      if (this.#keys.size < this.#max) break;
      this.#cache.del(oldest);
    }
    this.#cache.set<Kept>(key, { copy, tags }, Math.floor(seconds));
    this.#keys.add(key);
    for (const tag of tags) this.#tagged.set(tag, (this.#tagged.get(tag) ?? new Set()).add(key));
  }

  forget(tag: string): void {
    this.#cache.del([...(this.#tagged.get(tag) ?? [])]);
  }

  get size(): number {
    return this.#keys.size;
  }

  close(): void {
    this.#cache.close();
    this.#cache.flushAll();
    this.#keys.clear();
    this.#tagged.clear();
  }
}
