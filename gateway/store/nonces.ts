import type { Kysely } from 'kysely';
import type { Clock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { Nonces } from '../../contracts/ports/store.ts';
import type { StoreDialect } from './dialect.ts';
import type { Rider, Tx } from './group.ts';
import { inserting, prepared } from './prepared.ts';
import type { Tables } from './tables.ts';

/** About 100 MB. Reached only by more than 3,000 signed requests a second for five minutes. */
const MOST_REMEMBERED = 1_000_000;
const WRITE_WITHIN_MS = 200;
const SWEEP_EVERY_MS = 60_000;
/** With one commit; the rest with the next. */
const MOST_SWEPT = 5_000;
const KEY = ['forget_at', 'app_key', 'nonce'] as const;

/**
 * Nonces are checked in memory, and written behind: with the next commit, or after 200 ms when none comes. A kill loses at most
 * those of the last 200 ms. Whoever replays one of these within the clock window gets what the caller himself would get by
 * sending twice: a submission is the same case under its application number, and the rest reads.
 * Beyond the bound callers are told to come again (`Unfit` 503): forgetting one would let it be used twice.
 */
interface WrittenBehind extends Nonces, Rider {
  /** Reads back what was written before. */
  load(): Promise<void>;
  /** When something has to be written and no commit is under way, `flush` is called. */
  start(flush: () => void): void;
  stop(): void;
}

export function makeNonces(db: Kysely<Tables>, dialect: StoreDialect, clock: Clock): WrittenBehind {
  /** Key → when to forget it, roughly in that order. */
  const known = new Map<string, Millis>();
  const insert = inserting(db, dialect, { into: 'nonces', columns: KEY, unlessTaken: KEY });
  const sweep = prepared((p: { now: Millis }) =>
    db
      .deleteFrom('nonces')
      .where((row) =>
        row(
          row.refTuple('forget_at', 'app_key', 'nonce'),
          'in',
          row
            .selectFrom('nonces')
            .select(KEY)
            .where('forget_at', '<', p.now)
            .orderBy('forget_at')
            .limit(MOST_SWEPT)
            .$asTuple('forget_at', 'app_key', 'nonce'),
        ),
      ),
  );
  let unwritten: { forget_at: Millis; app_key: string; nonce: string }[] = [];
  let aboard = 0;
  let sweptAt = 0;
  let flush = () => {};
  let cancel: (() => void) | undefined;

  const keyOf = (appKey: string, nonce: string) => `${appKey}\n${nonce}`;

  function forget(now: Millis): void {
    for (const [key, until] of known) {
      if (until > now) return;
      known.delete(key);
    }
  }

  return {
    firstUse(appKey, nonce, forgetAfter) {
      const now = clock.now();
      forget(now);
      const key = keyOf(appKey, nonce);
      if ((known.get(key) ?? 0) > now) return Promise.resolve(false);
      if (known.size >= MOST_REMEMBERED) return Promise.reject(full());
      // Deleted first, so that a key used again long after takes its place at the end.
      known.delete(key);
      known.set(key, forgetAfter);
      unwritten.push({ forget_at: forgetAfter, app_key: appKey, nonce });
      cancel ??= clock.after(WRITE_WITHIN_MS, () => {
        cancel = undefined;
        if (unwritten.length > 0) flush();
      });
      return Promise.resolve(true);
    },

    async board(tx: Tx) {
      aboard = unwritten.length;
      if (aboard > 0) await tx.write(...insert(unwritten.slice(0, aboard)));
      const now = clock.now();
      if (now - sweptAt < SWEEP_EVERY_MS) return;
      if ((await tx.write(sweep({ now }))) < MOST_SWEPT) sweptAt = now;
    },

    arrived() {
      if (aboard > 0) unwritten = unwritten.slice(aboard);
      aboard = 0;
    },

    async load() {
      const rows = await db
        .selectFrom('nonces')
        .selectAll()
        .where('forget_at', '>', clock.now())
        .orderBy('forget_at')
        .execute();
      for (const { forget_at, app_key, nonce } of rows) known.set(keyOf(app_key, nonce), forget_at);
    },

    start(how) {
      flush = how;
    },

    stop() {
      cancel?.();
      cancel = undefined;
      flush = () => {};
    },
  };
}

function full(): Unfit {
  const words = { zh: '请求过多，请稍后再试', en: 'too many requests; come again' };
  return new Unfit(503, 'noncesFull', words, [], 30);
}
