import type { CompiledQuery, Kysely } from 'kysely';
import type { Clock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Committed } from '../../contracts/ports/store.ts';
import type { Tables } from './tables.ts';

/** Operations in one transaction: bounds how long the file is locked and how much is run again when one fails. */
const MOST_TOGETHER = 128;
/** Operations waiting for a transaction; beyond it callers are told to come again. */
const MOST_WAITING = 4_096;
/** For one transaction with everything that callers do inside it. */
const TIME_LIMIT_MS = 30_000;

/** One transaction, open. After its end it refuses to be used, so that what comes late cannot write into the next one. */
export class Tx {
  readonly #executor: Kysely<Tables>;
  /** Lanes that may have got work, for the wake-up after the commit. */
  readonly lanes = new Set<Party>();
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

  /** How many rows were written. */
  async write(...queries: readonly CompiledQuery<unknown>[]): Promise<number> {
    let written = 0;
    for (const query of queries) written += Number((await this.#run(query)).numAffectedRows ?? 0n);
    return written;
  }

  end(): void {
    this.#ended = true;
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

interface Waiting {
  readonly many: Many<unknown, unknown>;
  readonly input: unknown;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
}

type Work = (tx: Tx) => Promise<unknown>;

/** The operations that are alone of their kind: one after the other. */
const oneByOne: Many<Work, unknown> = async (tx, works) => {
  const outputs: unknown[] = [];
  for (const work of works) outputs.push(await work(tx));
  return outputs;
};

interface GroupParts {
  readonly db: Kysely<Tables>;
  readonly clock: Clock;
  readonly committed: Committed;
  readonly log: Logger;
  readonly rider: Rider;
  readonly unavailable: (error: unknown) => boolean;
}

/**
 * Group commit. What arrives in the same turn of the event loop, or while a commit is under way, runs in one transaction and
 * shares one fsync; each promise settles after that. When one of them throws, the transaction is rolled back and each is run
 * again alone: the faulty one is rejected and harms nobody. So an operation may be run twice, and must leave nothing outside.
 *
 * One transaction at a time. Rejects with `Unfit` 503 when too many wait, or when the database cannot be written.
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
      await this.#commit(batch);
    } catch (error) {
      // With a full disk each would fail alone as well, and only take its time.
      if (batch.length === 1 || this.#parts.unavailable(error)) {
        for (const one of batch) one.reject(this.#told(error));
      } else for (const alone of batch) await this.#commit([alone]).catch((reason) => alone.reject(this.#told(reason)));
    }
    this.#busy = false;
    if (this.#waiting.length > 0) this.#wake();
    else for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** Resolves the batch's promises only after the commit. */
  async #commit(batch: readonly Waiting[]): Promise<void> {
    const { db, rider, committed, log } = this.#parts;
    let lanes: ReadonlySet<Party> = new Set();
    const outputs = await db.transaction().execute(async (executor) => {
      const tx = new Tx(executor);
      try {
        lanes = tx.lanes;
        return await this.#timed(async () => {
          await rider.board(tx);
          return serve(tx, batch);
        });
      } finally {
        tx.end();
      }
    });
    rider.arrived();
    for (const [waiting, output] of outputs) waiting.resolve(output);
    if (lanes.size === 0) return;
    try {
      committed([...lanes]);
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

  #told(error: unknown): unknown {
    if (!this.#parts.unavailable(error)) return error;
    const words = { zh: '存储暂时不可写入，请稍后再试', en: 'the store cannot be written now; come again' };
    const told = new Unfit(503, 'storeUnavailable', words, [], 10);
    told.cause = error;
    return told;
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

function overloaded(): Unfit {
  const words = { zh: '系统繁忙，请稍后再试', en: 'too much is waiting to be stored; come again' };
  return new Unfit(503, 'storeBusy', words, [], 1);
}
