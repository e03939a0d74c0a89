import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { SqliteAdapter, type SqliteDatabase, SqliteDialect, type SqliteStatement, sql } from 'kysely';
import { makePrivateFile, makePrivateFolder } from '../../config/private-files.ts';
import type { StoreDialect } from './dialect.ts';
import { NotOpened, Unavailable } from './unavailable.ts';

/** How long a start waits for the process before it to let go of the file. */
const BUSY_MS = 1_000;
const KEPT_STATEMENTS = 256;
const DEEDS = ['update', 'delete'] as const;

/** Result codes of SQLite, https://sqlite.org/rescode.html; the low byte of the extended ones. */
const CODE = { busy: 5, locked: 6, readOnly: 8, ioError: 10, full: 13, cannotOpen: 14 } as const;
const UNAVAILABLE: ReadonlySet<number | undefined> = new Set([
  CODE.busy,
  CODE.readOnly,
  CODE.ioError,
  CODE.full,
  CODE.cannotOpen,
]);

/** SQLite has transactional DDL; Kysely leaves it unused by default, and a kill in a migration would leave half a schema. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

class NodeSqliteDialect extends SqliteDialect {
  override createAdapter(): SqliteAdapter {
    return new TransactionalAdapter();
  }
}

/**
 * The embedded database: one file, one process. The file is locked by the operating system for as long as it is open, so that a
 * second process is refused, and the lock of a process that was killed is gone with it.
 * @throws NotOpened when the file is in use
 */
export function sqlite(file: string): StoreDialect {
  if (file !== ':memory:') {
    makePrivateFolder(dirname(file));
    // Before SQLite would make it readable by all. The log beside it gets the rights that it has.
    makePrivateFile(file);
  }
  return {
    kysely: new NodeSqliteDialect({ database: shim(opened(file)) }),
    countedKey: sql`integer`,
    integer: 'integer',
    keyedTable: sql`without rowid`,
    anew: sql``,
    appendOnly(table, keptDays) {
      const young = sql`when old.at > (unixepoch() - ${sql.lit((keptDays ?? 0) * 86_400)}) * 1000`;
      return DEEDS.map(
        (deed) =>
          sql`create trigger ${sql.ref(`${table}_no_${deed}`)} before ${sql.raw(deed)} on ${sql.table(table)}
              ${deed === 'delete' && keptDays !== undefined ? young : sql``}
              begin select raise(abort, 'this table is append-only'); end`,
      );
    },
    changeable: (table) => DEEDS.map((deed) => sql`drop trigger ${sql.ref(`${table}_no_${deed}`)}`),
    locksRows: false,
    hasRoles: false,
    alone: true,
    again: () => false,
  };
}

function opened(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: BUSY_MS, enableForeignKeyConstraints: true });
  try {
    // Exclusive before WAL: the index of the log is then kept in our memory, and nobody else can join.
    db.exec('pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = full');
    db.exec('pragma journal_size_limit = 67108864; pragma cache_size = -32768; pragma temp_store = memory');
    db.exec('begin exclusive; commit');
    return db;
  } catch (error) {
    db.close();
    if (codeOf(error) !== CODE.busy && codeOf(error) !== CODE.locked) throw error;
    throw new NotOpened(
      `${file} 正被另一个进程使用，两个网关不能共用一个内置存储 / ${file} is in use by another process: two gateways cannot share one embedded store`,
    );
  }
}

function codeOf(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  return typeof code === 'number' ? code & 0xff : undefined;
}

/** `DatabaseSync` as Kysely wants it, keeping its prepared statements: preparing costs more than running. */
function shim(db: DatabaseSync): SqliteDatabase {
  const kept = new Map<string, SqliteStatement>();
  const noTransaction: SqliteStatement = {
    reader: false,
    all: () => [],
    run: () => ({ changes: 0, lastInsertRowid: 0 }),
    iterate: () => [].values(),
  };
  return {
    close: () => db.close(),
    prepare(text) {
      // After a full disk SQLite has rolled back by itself; rolling back again would hide the reason.
      if (text === 'rollback' && !db.isTransaction) return noTransaction;
      let statement = kept.get(text);
      if (statement === undefined) {
        statement = told(() => prepared(db.prepare(text)));
        if (kept.size >= KEPT_STATEMENTS) kept.delete(kept.keys().next().value as string);
        kept.set(text, statement);
      }
      return statement;
    },
  };
}

function prepared(statement: StatementSync): SqliteStatement {
  const given = (parameters: readonly unknown[]) => parameters as readonly SQLInputValue[];
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => told(() => statement.all(...given(parameters))),
    run: (parameters) => told(() => statement.run(...given(parameters))),
    iterate: (parameters) => statement.iterate(...given(parameters)) as IterableIterator<unknown>,
  };
}

function told<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw UNAVAILABLE.has(codeOf(error)) ? new Unavailable(error) : error;
  }
}
