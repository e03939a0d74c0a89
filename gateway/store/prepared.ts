import type { Compilable, CompiledQuery, Kysely } from 'kysely';
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

/** Rows a statement: every power of two up to this is compiled at most once. */
const MOST_ROWS = 64;

type Row = { readonly [column: string]: unknown };

/** The few statements that insert these rows, many rows each. A row whose key `unlessTaken` is there already is left out. */
export function inserting<T extends keyof Tables & string>(
  db: Kysely<Tables>,
  table: T,
  columns: readonly (keyof Tables[T] & string)[],
  unlessTaken?: readonly (keyof Tables[T] & string)[],
): (rows: readonly Row[]) => readonly CompiledQuery<unknown>[] {
  const untyped = db as unknown as Kysely<Record<string, Row>>;
  const compiled = new Map<number, CompiledQuery<unknown>>();
  function statement(size: number): CompiledQuery<unknown> {
    let query = compiled.get(size);
    if (query === undefined) {
      const row = Object.fromEntries(columns.map((column) => [column, 0]));
      const insert = untyped.insertInto(table).values(Array.from({ length: size }, () => row));
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
