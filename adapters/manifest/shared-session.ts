import type { Clock } from '../../contracts/ports/clock.ts';
import type { JsonObject, Millis } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { KeptSession, SessionBook, SessionOf } from '../../contracts/ports/session-book.ts';

export interface SharedSessionParts {
  readonly book: SessionBook;
  readonly of: SessionOf;
  readonly clock: Clock;
  readonly log: Logger;
  /** A log-in ends within it, one way or the other. */
  readonly logInMs: number;
  /** Whether a session is to be renewed by now. */
  readonly ending: (session: JsonObject) => boolean;
  /** Until when it holds by our clock; undefined when it does not say. */
  readonly until: (session: JsonObject) => Millis | undefined;
  readonly logIn: (before: JsonObject | undefined) => Promise<JsonObject>;
  readonly closing: AbortSignal;
}

/** A session that does not say when it ends is kept this long; whoever finds it lost before logs in. */
const KEPT_MS = 86_400_000;
/** For a claim, beyond the log-in: to keep what came of it. */
const SPARE_MS = 1_000;
/** Between two looks for what another node fetches. */
const LOOK_MS = { first: 20, most: 200 };

/**
 * One node logs in for all: who needs a session takes the one that is kept when it is newer than his own, or else the right to log in, or else waits for
 * him who has it. Without the store each node logs in for itself, as it would alone.
 */
export class SharedSession {
  readonly #parts: SharedSessionParts;
  /** Of the last session this node had. Sessions of equal or lower number are known to it, and of no more use. */
  #no = 0;
  readonly #own = new WeakSet<JsonObject>();

  constructor(parts: SharedSessionParts) {
    this.#parts = parts;
  }

  /** This node logged in for it. One that was not may have been lost long before it was kept for us, so that its loss says nothing about our key. */
  isOwn(session: JsonObject): boolean {
    return this.#own.has(session);
  }

  async fetch(before: JsonObject | undefined): Promise<JsonObject> {
    const { book, of, clock, log, logInMs } = this.#parts;
    const latest = clock.now() + logInMs + SPARE_MS;
    for (let rest = LOOK_MS.first; ; rest = Math.min(2 * rest, LOOK_MS.most)) {
      try {
        const kept = this.#newer(await book.kept(of));
        if (kept !== undefined) return kept;
        if (await book.claim(of, logInMs + SPARE_MS)) break;
      } catch (error) {
        log.warn('sessions cannot be shared now, logging in alone', { error });
        return this.#logIn(before, 0);
      }
      if (clock.now() >= latest) throw waitedInVain();
      await this.#rest(rest);
    }
    try {
      // Between the look and the claim another may have finished.
      const last = await book.kept(of).catch(() => undefined);
      return this.#newer(last) ?? (await this.#logIn(last?.session ?? before, last?.no ?? 0));
    } finally {
      book.unclaim(of).catch((error: unknown) => log.debug('a right to log in runs out', { error }));
    }
  }

  #newer(kept: KeptSession | undefined): JsonObject | undefined {
    if (kept === undefined || kept.no <= this.#no || this.#parts.ending(kept.session)) return undefined;
    this.#no = kept.no;
    return kept.session;
  }

  async #logIn(before: JsonObject | undefined, no: number): Promise<JsonObject> {
    const { book, of, clock, log, until, logIn } = this.#parts;
    const session = await logIn(before);
    this.#own.add(session);
    // By the time too: after the last one has ended nobody may remember its number.
    this.#no = Math.max(this.#no + 1, no + 1, clock.now());
    await book
      .keep(of, { no: this.#no, session }, until(session) ?? clock.now() + KEPT_MS)
      .catch((error: unknown) => log.warn('a session could not be kept for the other nodes', { error }));
    return session;
  }

  #rest(ms: number): Promise<void> {
    const { clock, closing } = this.#parts;
    return new Promise((resolve, reject) => {
      const gone = () => {
        stop();
        reject(waitedInVain());
      };
      const stop = clock.after(ms, () => {
        closing.removeEventListener('abort', gone);
        resolve();
      });
      if (closing.aborted) gone();
      else closing.addEventListener('abort', gone, { once: true });
    });
  }
}

function waitedInVain(): Fault {
  return new Fault('unreachable', {
    reason: {
      code: 'sessionTimeout',
      zh: '等待其他节点登录对方系统超时',
      en: 'another node’s log-in to their system took too long',
    },
  });
}
