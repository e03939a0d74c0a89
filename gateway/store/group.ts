import { CompiledQuery, type Kysely } from 'kysely';
import type { Parked } from '../../contracts/ports/case.ts';
import type { Stale } from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Committed } from '../../contracts/ports/store.ts';
import type { Tables } from './tables.ts';
import { Unavailable } from './unavailable.ts';

/** Operations in one transaction: bounds how long the file is locked and how much is run again when one fails. */
const MOST_TOGETHER = 128;
/** Operations waiting for a transaction; beyond it callers are told to come again. */
export const MOST_WAITING = 4_096;
/** Of one transaction that others stand in the way of: longer than a node may stand still in one. */
const MOST_TRIES = 12;
/** For one transaction with everything that callers do inside it. */
const TIME_LIMIT_MS = 30_000;

interface Asked {
  readonly input: unknown;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** One transaction, open. After its end it refuses to be used, so that what comes late cannot write into the next one. */
export class Tx {
  readonly #executor: Kysely<Tables>;
  /** What was asked in this turn, by who answers it. */
  readonly #asked = new Map<Many<unknown, unknown>, Asked[]>();
  /** Lanes that may have got work, for the wake-up after the commit. */
  readonly lanes = new Set<Party>();
  /** Certificates that are not what copies of them say, once this is committed. */
  readonly stale: Stale[] = [];
  /** Envelopes that were stored parked, for whoever tells a person, once this is committed. */
  readonly parked: Parked[] = [];
  #ended = false;

  constructor(executor: Kysely<Tables>) {
    this.#executor = executor;
  }

  async rows<R>(query: CompiledQuery<R>): Promise<R[]> {
    return (await this.#run(query)).rows;
  }

  async first<R>(query: CompiledQuery<R>): Promise<R | undefined> {
    return (await this.#run(query)).rows[0];
  }

  /** In order, and without waiting for one before the next is sent; how many rows were written. */
  async write(...queries: readonly CompiledQuery<unknown>[]): Promise<number> {
    const results = await Promise.all(queries.map((query) => this.#run(query)));
    return results.reduce((sum, { numAffectedRows = 0n }) => sum + Number(numAffectedRows), 0);
  }

  /** Operations that run side by side ask the same of different rows: `many` is given all that was asked of it in one turn. In no order among each other. */
  together<I, O>(many: Many<I, O>, input: I): Promise<O> {
    return new Promise<O>((resolve, reject) => {
      if (this.#asked.size === 0) setImmediate(() => this.#answer());
      const key = many as Many<unknown, unknown>;
      const asked = this.#asked.get(key) ?? [];
      this.#asked.set(key, asked);
      asked.push({ input, resolve: resolve as Asked['resolve'], reject });
    });
  }

  end(): void {
    this.#ended = true;
  }

  #answer(): void {
    const asked = [...this.#asked];
    this.#asked.clear();
    for (const [many, all] of asked) {
      many(
        this,
        all.map(({ input }) => input),
      ).then(
        (outputs) => {
          for (const [i, { resolve }] of all.entries()) resolve(outputs[i]);
        },
        (error: unknown) => {
          for (const { reject } of all) reject(error);
        },
      );
    }
  }

  #run<R>(query: CompiledQuery<R>) {
    if (this.#ended) throw new Error('this transaction has ended');
    return this.#executor.executeQuery(query);
  }
}

/** Serves all the inputs that arrived together in one go; one output for each, in order. */
export type Many<I, O> = (tx: Tx, inputs: readonly I[]) => Promise<readonly O[]>;

/** Goes along with whatever transaction leaves next. */
export interface Rider {
  board(tx: Tx): Promise<void>;
  /** What was boarded is on disk. */
  arrived(): void;
}

interface Waiting extends Asked {
  readonly many: Many<unknown, unknown>;
}

type Work = (tx: Tx) => Promise<unknown>;

/** The operations that are alone of their kind: one after the other. */
const oneByOne: Many<Work, unknown> = async (tx, works) => {
  const outputs: unknown[] = [];
  for (const work of works) outputs.push(await work(tx));
  return outputs;
};

interface OfCase {
  readonly caseNo: string;
  readonly work: Work;
}

/**
 * Different cases side by side, so that what all of them ask is sent together; those of one case one after the other. By number, so that two nodes lock the
 * same cases in the same order.
 */
const byCase: Many<OfCase, unknown> = async (tx, works) => {
  const outputs = new Map<OfCase, unknown>();
  const cases = [...Map.groupBy(works, ({ caseNo }) => caseNo)].sort(([a], [b]) => (a < b ? -1 : 1));
  await Promise.all(
    cases.map(async ([, alike]) => {
      for (const one of alike) outputs.set(one, await one.work(tx));
    }),
  );
  return works.map((one) => outputs.get(one));
};

interface GroupParts {
  readonly db: Kysely<Tables>;
  readonly clock: Clock;
  readonly committed: Committed;
  readonly log: Logger;
  readonly rider: Rider;
  readonly again: (error: unknown) => boolean;
  /** Tells the other nodes, with the commit. */
  readonly woken: ((lanes: readonly Party[]) => CompiledQuery<unknown>) | undefined;
}

/**
 * Group commit. What arrives in the same turn of the event loop, or while a commit is under way, runs in one transaction and
 * shares one fsync; each promise settles after that. When one of them throws, the transaction is rolled back and each is run
 * again alone: the faulty one is rejected and harms nobody. So an operation may be run twice, and must leave nothing outside.
 *
 * One transaction at a time. Rejects with `Unfit` 503 when too many wait, or when the database cannot be used.
 */
export class Group {
  readonly #parts: GroupParts;
  #waiting: Waiting[] = [];
  #busy = false;
  #closed = false;
  #idle: (() => void)[] = [];

  constructor(parts: GroupParts) {
    this.#parts = parts;
  }

  run<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.together(oneByOne as Many<(tx: Tx) => Promise<T>, T>, work);
  }

  /** Of one case alone: reads and writes nothing of any other. */
  runFor<T>(caseNo: string, work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.together(byCase as Many<{ readonly caseNo: string; readonly work: (tx: Tx) => Promise<T> }, T>, {
      caseNo,
      work,
    });
  }

  together<I, O>(many: Many<I, O>, input: I): Promise<O> {
    if (this.#closed) return Promise.reject(new Error('the store is closed'));
    if (this.#waiting.length >= MOST_WAITING) return Promise.reject(overloaded());
    return new Promise<O>((resolve, reject) => {
      this.#waiting.push({ many, input, resolve, reject } as unknown as Waiting);
      this.#wake();
    });
  }

  /** Finishes what waits, and takes nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#busy || this.#waiting.length > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Not a microtask: the other sockets that are readable in this turn are read first, and so come along. */
  #wake(): void {
    if (this.#busy) return;
    this.#busy = true;
    setImmediate(() => void this.#depart());
  }

  async #depart(): Promise<void> {
    const batch = this.#waiting.splice(0, MOST_TOGETHER);
    try {
      await this.#tried(batch);
    } catch (error) {
      // With a full disk each would fail alone as well, and only take its time.
      if (batch.length === 1 || (error instanceof Unavailable && !this.#parts.again(error))) {
        for (const one of batch) one.reject(this.#told(error));
      } else for (const alone of batch) await this.#tried([alone]).catch((reason) => alone.reject(this.#told(reason)));
    }
    this.#busy = false;
    if (this.#waiting.length > 0) this.#wake();
    else for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Once more, a little later, when another node's transaction stood in its way. */
  async #tried(batch: readonly Waiting[]): Promise<void> {
    const { clock, again } = this.#parts;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#commit(batch);
      } catch (error) {
        // Many together take many locks, in the order they came: alone each takes few.
        if (batch.length > 1 || attempt === MOST_TRIES || !again(error)) throw error;
        await new Promise<void>((resolve) => void clock.after(Math.ceil(clock.random() * 20 * attempt), resolve));
      }
    }
  }

  /** Resolves the batch's promises only after the commit. */
  async #commit(batch: readonly Waiting[]): Promise<void> {
    const { db, rider, committed, log, woken } = this.#parts;
    let lanes: ReadonlySet<Party> = new Set();
    let stale: readonly Stale[] = [];
    let parked: readonly Parked[] = [];
    const outputs = await db.connection().execute((executor) =>
      transaction(
        executor,
        async () => {
          const tx = new Tx(executor);
          try {
            ({ lanes, stale, parked } = tx);
            return await this.#timed(async () => {
              await rider.board(tx);
              return await serve(tx, batch);
            });
          } finally {
            tx.end();
          }
        },
        () => (woken === undefined || lanes.size === 0 ? [] : [woken([...lanes])]),
      ),
    );
    rider.arrived();
    for (const [waiting, output] of outputs) waiting.resolve(output);
    if (lanes.size === 0 && stale.length === 0) return;
    try {
      committed([...lanes], stale, parked);
    } catch (error) {
      log.error('the wake-up after a commit failed', { error });
    }
  }

  async #timed<T>(work: () => Promise<T>): Promise<T> {
    let stop = () => {};
    const late = new Promise<never>((_, reject) => {
      stop = this.#parts.clock.after(TIME_LIMIT_MS, () =>
        reject(new Error(`a transaction took longer than ${TIME_LIMIT_MS} ms and was rolled back`)),
      );
    });
    try {
      return await Promise.race([work(), late]);
    } finally {
      stop();
    }
  }

  /** Who was in somebody's way at every try is told to come again, like everybody whom the database keeps waiting. */
  #told(error: unknown): unknown {
    return this.#parts.again(error) && !(error instanceof Unavailable) ? new Unavailable(error) : error;
  }
}

const [BEGIN, COMMIT, ROLLBACK] = ['begin', 'commit', 'rollback'].map((text) => CompiledQuery.raw(text)) as [
  CompiledQuery,
  CompiledQuery,
  CompiledQuery,
];

/** On a connection of its own. Its end goes out with `last`, not a way of its own to the database; its beginning is waited for, or what follows might stand alone. */
async function transaction<T>(
  connection: Kysely<Tables>,
  work: () => Promise<T>,
  last: () => readonly CompiledQuery<unknown>[],
): Promise<T> {
  await connection.executeQuery(BEGIN);
  try {
    const output = await work();
    // What comes after a statement that failed is refused, and a commit then is a rollback.
    await Promise.all([...last(), COMMIT].map((query) => connection.executeQuery(query)));
    return output;
  } catch (error) {
    await connection.executeQuery(ROLLBACK).catch(() => {});
    throw error;
  }
}

/** Inputs of one kind are served together, the kinds in the order of their first. */
async function serve(tx: Tx, batch: readonly Waiting[]): Promise<ReadonlyMap<Waiting, unknown>> {
  const outputs = new Map<Waiting, unknown>();
  for (const [many, alike] of Map.groupBy(batch, (waiting) => waiting.many)) {
    const results = await many(
      tx,
      alike.map(({ input }) => input),
    );
    alike.forEach((waiting, i) => {
      outputs.set(waiting, results[i]);
    });
  }
  return outputs;
}

export function overloaded(): Unfit {
  const words = { zh: '系统繁忙，请稍后再试', en: 'too much is waiting to be stored; come again' };
  return new Unfit(503, 'storeBusy', words, [], 1);
}
