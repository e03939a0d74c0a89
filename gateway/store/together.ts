import { type Compilable, type CompiledQuery, type Expression, type Kysely, type SqlBool, sql } from 'kysely';
import type { StoreDialect } from './dialect.ts';
import type { Many } from './group.ts';
import { compilable, inserting, prepared, textOf } from './prepared.ts';
import type { Tables } from './tables.ts';

/**
 * The statements of operations that run side by side (`Tx.together`). Where a statement is a way to a server and back, what many ask in the same turn is one
 * statement; where it is a call, it stays one for each, which is then the cheaper way.
 */

type Row = { readonly [column: string]: unknown };
type Table = keyof Tables & string;
/** Holds of the rows whose column has one of the keys that are asked for. */
type Asked = (column: string) => Expression<SqlBool>;

/** The rows of a key. `query` says which column it is, and in which order they come; of many keys they are told apart by `keyOf`. */
export function reading<R>(
  { between }: Pick<StoreDialect, 'between'>,
  query: (asked: Asked) => Compilable<R>,
  keyOf: (row: R) => string,
): Many<string, readonly R[]> {
  if (between === undefined) {
    const one = prepared((p: { key: string }) => query((column) => sql<SqlBool>`${sql.ref(column)} = ${p.key}`));
    return (tx, keys) => Promise.all(keys.map((key) => tx.rows(one({ key }))));
  }
  const many = prepared((p: { keys: readonly string[] }) =>
    query((column) => sql<SqlBool>`${sql.ref(column)} = any(${p.keys})`),
  );
  return async (tx, keys) => {
    const found = Map.groupBy(await tx.rows(many({ keys: [...new Set(keys)] })), keyOf);
    return keys.map((key) => found.get(key) ?? []);
  };
}

/** Gives rows other values, each its own; `key` finds one. */
export function changing<C extends string>(
  db: Kysely<Tables>,
  dialect: StoreDialect,
  { table, key, columns }: { readonly table: Table; readonly key: string; readonly columns: readonly C[] },
): Many<{ readonly [column in C]: unknown } & Row, void> {
  return each(
    dialect,
    [key, ...columns],
    () =>
      prepared((p: Row) =>
        compilable(
          db,
          sql`update ${sql.table(table)} set ${sql.join(columns.map((column) => sql`${sql.ref(column)} = ${p[column]}`))}
            where ${sql.ref(key)} = ${p[key]}`,
        ),
      ),
    ({ rowsFrom }) =>
      prepared((p: { rows: string }) =>
        compilable(
          db,
          sql`update ${sql.table(table)} as old
              set ${sql.join(columns.map((column) => sql`${sql.ref(column)} = new.${sql.ref(column)}`))}
              from ${rowsFrom(table, p.rows)} as new where old.${sql.ref(key)} = new.${sql.ref(key)}`,
        ),
      ),
  );
}

/** A statement for one row, and one for many, which reads them out of a text (`rowsFrom`). Of a change there is nothing to tell each who asked. */
export function each<I extends Row>(
  { between }: StoreDialect,
  columns: readonly string[],
  one: () => (row: I) => CompiledQuery<unknown>,
  many: (between: NonNullable<StoreDialect['between']>) => (p: { rows: string }) => CompiledQuery<unknown>,
): Many<I, void> {
  if (between === undefined) {
    const each = one();
    return async (tx, rows) => {
      await tx.write(...rows.map(each));
      return [];
    };
  }
  const all = many(between);
  return async (tx, rows) => {
    await tx.write(all({ rows: textOf(columns, rows) }));
    return [];
  };
}

/** Adds rows, any number for each that asks. */
export function adding<T extends Table>(
  db: Kysely<Tables>,
  dialect: StoreDialect,
  what: Parameters<typeof inserting<T>>[2],
): Many<readonly Row[], void> {
  const insert = inserting(db, dialect, what);
  return async (tx, lists) => {
    await tx.write(...insert(lists.flat()));
    return [];
  };
}
