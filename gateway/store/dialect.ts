import type { Dialect, RawBuilder } from 'kysely';

/** All that differs from one database to another. The store's logic stands above it, once. */
export interface StoreDialect {
  readonly kysely: Dialect;
  /** Column type of a key that the database counts up by itself. */
  readonly countedKey: RawBuilder<unknown>;
  /** Column type of a count or a `Millis`. */
  readonly integer: 'integer' | 'bigint';
  /** Ends a `create table` whose rows are small and only ever found by their primary key. */
  readonly keyedTable: RawBuilder<unknown>;
  /** Statements that make the database itself refuse every update and delete of a table. */
  appendOnly(table: string): readonly RawBuilder<unknown>[];
  /** Several transactions may run at once, so that rows read for writing must be locked. */
  readonly locksRows: boolean;
  /** Nobody else can have the database open: a lease found at the start was held by a process that is gone. */
  readonly alone: boolean;
  /** The database cannot be written now (disk full, gone): the caller may come again. */
  unavailable(error: unknown): boolean;
}
