import { type Compilable, type CompiledQuery, type Kysely, type RawBuilder, sql } from 'kysely';
import type { BetweenNodes, StoreDialect } from './dialect.ts';
import type { Tables } from './tables.ts';

/** Stands for a value while a query is being built. */
class Mark {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/**
 * A query built once and run with other values each time; building one costs more than running it.
 *
 *   const byId = prepared((p: { id: string }) => db.selectFrom('envelopes').selectAll().where('id', '=', p.id));
 *   await tx.rows(byId({ id }));
 */
export function prepared<P extends object, R>(build: (p: P) => Compilable<R>): (values: P) => CompiledQuery<R> {
  const marks = new Proxy({}, { get: (_, name) => new Mark(String(name)) }) as P;
  const compiled = build(marks).compile();
  const slots = compiled.parameters;
  return (values) => ({
    ...compiled,
    parameters: slots.map((slot) => (slot instanceof Mark ? values[slot.name as keyof P] : slot)),
  });
}

type Row = { readonly [column: string]: unknown };

interface Inserted<T extends keyof Tables & string> {
  readonly into: T;
  readonly columns: readonly (keyof Tables[T] & string)[];
  /** A row whose key is there already is left out. */
  readonly unlessTaken?: readonly (keyof Tables[T] & string)[];
}

/** The few statements that insert these rows, many rows each. */
export function inserting<T extends keyof Tables & string>(
  db: Kysely<Tables>,
  { between }: Pick<StoreDialect, 'between'>,
  what: Inserted<T>,
): (rows: readonly Row[]) => readonly CompiledQuery<unknown>[] {
  return between === undefined ? inValues(db, what) : outOfText(db, between, what);
}

function outOfText<T extends keyof Tables & string>(
  db: Kysely<Tables>,
  { rowsFrom }: BetweenNodes,
  { into, columns, unlessTaken }: Inserted<T>,
): (rows: readonly Row[]) => readonly CompiledQuery<unknown>[] {
  const list = names(columns);
  const conflict = unlessTaken === undefined ? sql`` : sql` on conflict (${names(unlessTaken)}) do nothing`;
  const insert = prepared((p: { rows: string }) =>
    compilable(
      db,
      sql`insert into ${sql.table(into)} (${list}) select ${list} from ${rowsFrom(into, p.rows)}${conflict}`,
    ),
  );
  return (rows) => (rows.length === 0 ? [] : [insert({ rows: textOf(columns, rows) })]);
}

/** Rows a statement: every power of two up to this is compiled at most once. */
const MOST_ROWS = 64;

function inValues<T extends keyof Tables & string>(
  db: Kysely<Tables>,
  { into, columns, unlessTaken }: Inserted<T>,
): (rows: readonly Row[]) => readonly CompiledQuery<unknown>[] {
  const untyped = db as unknown as Kysely<Record<string, Row>>;
  const compiled = new Map<number, CompiledQuery<unknown>>();
  function statement(size: number): CompiledQuery<unknown> {
    let query = compiled.get(size);
    if (query === undefined) {
      const row = Object.fromEntries(columns.map((column) => [column, 0]));
      const insert = untyped.insertInto(into).values(Array.from({ length: size }, () => row));
      query = (
        unlessTaken === undefined ? insert : insert.onConflict((key) => key.columns([...unlessTaken]).doNothing())
      ).compile();
      compiled.set(size, query);
    }
    return query;
  }
  return (rows) => {
    const statements: CompiledQuery<unknown>[] = [];
    for (let from = 0; from < rows.length; ) {
      let size = MOST_ROWS;
      while (size > rows.length - from) size /= 2;
      const parameters: unknown[] = [];
      for (const row of rows.slice(from, from + size)) for (const column of columns) parameters.push(row[column]);
      statements.push({ ...statement(size), parameters });
      from += size;
    }
    return statements;
  };
}

export const names = (columns: readonly string[]): RawBuilder<unknown> =>
  sql.join(columns.map((column) => sql.ref(column)));

export const compilable = <R>(db: Kysely<Tables>, query: RawBuilder<R>): Compilable<R> => ({
  compile: () => query.compile(db),
});

/** Rows as a dialect's `rowsFrom` reads them. Half of a surrogate pair is no text to a database. */
export const textOf = (columns: readonly string[], rows: readonly Row[]): string =>
  JSON.stringify(
    rows.map((row) =>
      Object.fromEntries(
        columns.map((column) => {
          const value = row[column];
          return [column, typeof value === 'string' ? value.toWellFormed() : value];
        }),
      ),
    ),
  );
