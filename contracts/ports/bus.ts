import type { Party } from './envelope.ts';
import type { NewsCarrier } from './news.ts';
import type { Lease } from './store.ts';

/**
 * The bus carries, and may lose everything it holds: the relay publishes again from the store when a lease runs out.
 * So it keeps nothing on its own account, retries nothing, and delays nothing.
 */
export interface Bus extends NewsCarrier {
  /**
   * Resolves when the bus has taken it, and also when that is in doubt: the lease then runs out, unless it is handled. Rejects only when it certainly has not
   * been taken and never will be, so that the lease may be given back as one that nobody sent.
   */
  publish(lane: Party, lease: Lease): Promise<void>;
  /** At most `concurrency` calls of `handle` at a time. `handle` must not reject; it is called once per publish, unless the bus loses it or its `until` has passed. */
  subscribe(
    lane: Party,
    handle: (lease: Lease) => Promise<void>,
    options: { readonly concurrency: number },
  ): Promise<Subscription>;
  close(): Promise<void>;
}

export interface Subscription {
  /** No new calls after this resolves, and those under way have ended. What was published and not handled is given to `returned`. */
  stop(returned?: (lease: Lease) => Promise<void>): Promise<void>;
}
