import type { JsonObject, Millis } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';

export interface SessionPolicy {
  readonly refreshAheadMs: number;
  readonly newKillsOld: boolean;
  /** Logs in, or renews what is given; resolves to what the mappings will see as `session`. */
  readonly fetch: (before: JsonObject | undefined) => Promise<JsonObject>;
  /** Their time, ms. */
  readonly now: () => Millis;
}

/**
 * One party's session: fetched once for all who wait for it, renewed ahead of its end, given up when the party says it is lost.
 * Where a new token ends the old one, calls in flight are let out before one is fetched, and none starts meanwhile.
 */
export class Session {
  readonly #policy: SessionPolicy;
  #current: JsonObject | undefined;
  /** The last one, also when it was lost: a renewal may need what it holds. */
  #before: JsonObject | undefined;
  #fetching: Promise<JsonObject> | undefined;
  #inFlight = 0;
  #allOut: (() => void) | undefined;

  constructor(policy: SessionPolicy) {
    this.#policy = policy;
  }

  /** Runs `call` with a session that holds. Rejects with what the log-in threw, or when `signal` ends the wait. */
  async use<T>(signal: AbortSignal, call: (session: JsonObject) => Promise<T>): Promise<T> {
    let session = this.#held();
    while (session === undefined) {
      const fetched = await orAborted(this.#fetching ?? this.#fetch(), signal);
      // Between the log-in and this turn another may have lost it and begun to fetch the next.
      if (this.#fetching === undefined) session = fetched;
    }
    // No turn passes between the look and the count, so that no log-in can begin in between.
    this.#inFlight += 1;
    try {
      return await call(session);
    } finally {
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#allOut?.();
    }
  }

  /** The party no longer knows this session. A newer one, which another call may have fetched meanwhile, stays. */
  lost(session: JsonObject): void {
    if (this.#current === session) this.#current = undefined;
  }

  /** The session, while it holds and no other is being fetched. */
  #held(): JsonObject | undefined {
    if (this.#fetching !== undefined || this.#current === undefined || ending(this.#current, this.#policy))
      return undefined;
    return this.#current;
  }

  #fetch(): Promise<JsonObject> {
    const fetching = this.#fetched().finally(() => {
      this.#fetching = undefined;
    });
    // Whoever waits hears of it; without anybody it is nobody's unhandled rejection.
    fetching.catch(() => {});
    this.#fetching = fetching;
    return fetching;
  }

  async #fetched(): Promise<JsonObject> {
    if (this.#policy.newKillsOld && this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#allOut = resolve;
      });
      this.#allOut = undefined;
    }
    const session = await this.#policy.fetch(this.#before);
    this.#current = session;
    this.#before = session;
    return session;
  }
}

/** It is time to renew it. */
export function ending(
  { until }: JsonObject,
  { refreshAheadMs, now }: Pick<SessionPolicy, 'refreshAheadMs' | 'now'>,
): boolean {
  return typeof until === 'number' && (until as Millis) - refreshAheadMs <= now();
}

/** The wait for somebody else's log-in ends with one's own deadline; nothing was sent then. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void =>
      reject(
        new Fault('unreachable', {
          reason: {
            code: 'sessionTimeout',
            zh: '等待登录对方系统超时',
            en: 'the log-in to their system took too long',
          },
        }),
      );
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
