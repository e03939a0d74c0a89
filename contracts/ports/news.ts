import type { Json, JsonObject } from './envelope.ts';

/** A kind that its listeners know (`certificateChanged`, `breakerOpened` …), and what they need of it; never a personal value in clear. */
export interface News {
  readonly kind: string;
  readonly body: JsonObject;
}

/** What brings news to every node. */
export interface NewsCarrier {
  /**
   * Tells every node, this one included. May be lost, and comes in no order: whatever must not be lost stands in the store, and whoever listens is right
   * again by itself after a while. Never rejects for want of a listener.
   */
  announce(news: News): Promise<void>;
  /** From now on; the function given back ends it. `listener` must not throw and must not wait. */
  hear(listener: (news: News) => void): () => void;
}

/** What came off a wire that others may write on; undefined when it is no news. */
export function newsOf(text: string): News | undefined {
  try {
    const { kind, body } = JSON.parse(text) as { [key: string]: Json };
    if (typeof kind !== 'string' || body === null || typeof body !== 'object' || Array.isArray(body)) return undefined;
    return { kind, body: body as JsonObject };
  } catch {
    return undefined;
  }
}
