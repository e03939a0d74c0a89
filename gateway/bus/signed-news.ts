import { createHmac, hkdfSync, randomUUID, timingSafeEqual } from 'node:crypto';
import { canonicalJson } from '../../contracts/canonical.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Json, JsonObject, Millis } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { News, NewsCarrier } from '../../contracts/ports/news.ts';
import { BoundedWarnings } from './bounded-warnings.ts';

/** News older, or newer, than this is not believed; by no more than that the clocks of nodes may differ. */
const WINDOW_MS = 60_000;
/** Signatures that are remembered so that none counts twice; more than nodes make in the window. */
const MOST_SEEN = 10_000;

interface Signature {
  readonly id: string;
  readonly at: Millis;
  readonly mac: string;
}

export interface SignedNewsParts {
  /** Carries to all nodes, and lets others speak as well. */
  readonly carrier: NewsCarrier;
  /** The deployment's own, 32 bytes in hex: the key of the signatures is derived from it. */
  readonly key: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * News that only nodes of this deployment can speak: whoever may connect to a database may notify all who listen there. Each is signed with its time, and counts
 * once; what is not signed, or is old, or comes again, is not heard. A node of the version before hears what is signed as ever, and is not heard.
 */
export function signedNews({ carrier, key, clock, log }: SignedNewsParts): NewsCarrier & { close(): void } {
  const secret = Buffer.from(hkdfSync('sm3', Buffer.from(key, 'hex'), '', 'onewindow news', 32));
  const warnings = new BoundedWarnings(clock, log);
  const listeners = new Set<(news: News) => void>();
  /** In the order in which they came. */
  const seen = new Map<string, Millis>();
  const macOf = (kind: string, body: JsonObject, id: string, at: Millis): string =>
    createHmac('sm3', secret)
      .update(canonicalJson([kind, body, id, at]))
      .digest('hex');

  /** @returns why it is not to be believed */
  function doubtOf(kind: string, body: JsonObject, signature: Json | undefined): string | undefined {
    if (!isSignature(signature)) return 'it is not signed';
    try {
      return doubted(kind, body, signature);
    } catch {
      // Nested deeper than anything of ours.
      return 'its signature is not right';
    }
  }

  function doubted(kind: string, body: JsonObject, { id, at, mac }: Signature): string | undefined {
    const expected = Buffer.from(macOf(kind, body, id, at));
    const given = Buffer.from(mac);
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return 'its signature is not right';
    const now = clock.now();
    if (Math.abs(now - at) > WINDOW_MS) return 'it is not of this minute';
    if (seen.has(id)) return 'it came before';
    for (const [old, since] of seen) {
      if (seen.size < MOST_SEEN && now - since <= 2 * WINDOW_MS) break;
      seen.delete(old);
    }
    seen.set(id, now);
    return undefined;
  }

  const stop = carrier.hear(({ kind, body: { signature, ...body } }) => {
    const why = doubtOf(kind, body, signature);
    if (why === undefined) for (const listener of listeners) listener({ kind, body });
    else warnings.warn('news that no node of ours has told now; nothing is done', { reason: why });
  });

  return {
    announce({ kind, body }) {
      const [id, at] = [randomUUID(), clock.now()];
      return carrier.announce({ kind, body: { ...body, signature: { id, at, mac: macOf(kind, body, id, at) } } });
    },
    hear(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close() {
      stop();
      listeners.clear();
    },
  };
}

function isSignature(value: Json | undefined): value is Json & Signature {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return false;
  const { id, at, mac } = value ?? {};
  return typeof id === 'string' && typeof at === 'number' && typeof mac === 'string';
}
