import type { CompiledQuery, Dialect, RawBuilder } from 'kysely';
import type { Party } from '../../contracts/ports/envelope.ts';

/** All that differs from one database to another. The store's logic stands above it, once. */
export interface StoreDialect {
  /** Rejects with `Unavailable` whatever the database cannot do at the moment. */
  readonly kysely: Dialect;
  /** For migrations, where connections differ in that: a statement may take its time. Closed after them. */
  readonly unhurried?: () => Dialect;
  /** Column type of a key that the database counts up by itself. */
  readonly countedKey: RawBuilder<unknown>;
  /** Column type of a count or a `Millis`. */
  readonly integer: 'integer' | 'bigint';
  /** Ends a search whose best way depends on what is looked for, so that it is planned for that each time. */
  readonly anew: RawBuilder<unknown>;
  /** Ends a `create table` whose rows are small and only ever found by their primary key. */
  readonly keyedTable: RawBuilder<unknown>;
  /**
   * Statements that make the database itself refuse every update of a table, and every delete; or, given `keptDays`, the delete of every row whose column `at`
   * (`Millis`) is younger than that by the database's own clock.
   */
  appendOnly(table: string, keptDays?: number): readonly RawBuilder<unknown>[];
  /** Statements that take `appendOnly` back: for a migration, inside its transaction. */
  changeable(table: string): readonly RawBuilder<unknown>[];
  /** Several transactions may run at once, so that rows read for writing must be locked. */
  readonly locksRows: boolean;
  /** Nobody else can have the database open: a lease found at the start was held by a process that is gone. */
  readonly alone: boolean;
  /** Two transactions stood in each other's way and this one was given up: run again, it goes through. */
  again(error: unknown): boolean;
  /** The database tells roles apart, so that whoever makes the tables need not be who uses them. */
  readonly hasRoles: boolean;
  /** Only where others may have the database open. */
  readonly between?: BetweenNodes;
}

/** What nodes tell each other through the database itself. */
export interface BetweenNodes {
  /**
   * The rows of a table that one text says, a JSON list of objects. Any number of them are then one statement with one parameter: worth it where each statement
   * is a way to a server and back, and not where it is a call.
   */
  rowsFrom(table: string, text: unknown): RawBuilder<unknown>;
  /** Run inside a transaction: heard by every other node once it is committed. */
  woken(lanes: readonly Party[]): CompiledQuery<unknown>;
  /** Run inside a transaction: the right to do something alone until it ends; not waited for. */
  alone(what: string): CompiledQuery<{ readonly got: boolean }>;
  /** Heard by every node, this one too. */
  announce(text: string): Promise<void>;
  /** Listens on a connection of its own, and connects again by itself when it is lost. */
  listen(heard: { readonly woken: (lanes: readonly Party[]) => void; readonly news: (text: string) => void }): void;
  /** How far the database's clock is ahead of this node's, ms: all nodes live in its time. */
  skew(): Promise<number>;
  close(): Promise<void>;
}
