import { join } from 'node:path';
import { Kysely, sql } from 'kysely';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import { keepFor } from './ledger-deletion.ts';
import { type MigrationProgress, migrate } from './migrations.ts';
import { type DatabaseTls, type PostgresOptions, postgres } from './postgres.ts';
import { grantRights, type Standing, standingOf } from './rights.ts';
import { sqlite } from './sqlite.ts';
import type { Tables } from './tables.ts';
import { NotOpened } from './unavailable.ts';

type Place =
  | { readonly dataDir: string }
  | { readonly databaseUrl: string; readonly database: PostgresOptions; readonly ledgerDays: number };

export interface MigratedStore {
  /** What was done now, the oldest first. */
  readonly migrations: readonly string[];
  /** As whom; undefined for the embedded store. */
  readonly owner?: string;
  /** Of `role`, once it has its rights. */
  readonly granted?: Standing & { readonly mayCreate: boolean };
}

/**
 * What has to be done as the owner of the tables: brings the schema up, writes down how long the ledger is kept, and gives `role` what a gateway needs and nothing
 * else.
 *
 * @throws NotOpened when the store cannot be opened, `role` does not exist, or the connected role owns nothing of it; any other error of the database: then nothing
 * has been changed
 */
export async function migrateStore(
  place: Place,
  role: string | undefined,
  {
    progress,
    ...means
  }: {
    readonly clock: Clock;
    readonly log: Logger;
    readonly progress: MigrationProgress;
    readonly tls?: DatabaseTls | undefined;
  },
): Promise<MigratedStore> {
  const dialect =
    'dataDir' in place
      ? sqlite(join(place.dataDir, 'onewindow.db'))
      : await postgres(place.databaseUrl, place.database, means);
  const db = new Kysely<Tables>({ dialect: dialect.kysely });
  try {
    if (role !== undefined) await mustExist(db, role);
    const done = await migrate(db, dialect, progress);
    if ('dataDir' in place) return { migrations: done };
    const own = await standingOf(db);
    if (!own.mayMigrate)
      throw new NotOpened(
        `数据库角色 ${own.role} 不是各表的属主，无权设置保存期与权限 / the database role ${own.role} does not own the tables, and may set neither how long the ledger is kept nor rights`,
      );
    await keepFor(db, place.ledgerDays);
    if (role === undefined) return { migrations: done, owner: own.role };
    if (role === own.role)
      throw new NotOpened(
        `角色 ${role} 就是属主，网关须用另一个角色 / ${role} is the owner itself: the gateway needs another role`,
      );
    await db.transaction().execute((tx) => grantRights(tx, role));
    const granted = { ...(await standingOf(db, role)), mayCreate: await mayCreate(db, role) };
    return { migrations: done, owner: own.role, granted };
  } finally {
    await dialect.between?.close();
    await db.destroy();
  }
}

async function mustExist(db: Kysely<Tables>, role: string): Promise<void> {
  const { rows } = await sql`select 1 from pg_roles where rolname = ${role}`.execute(db);
  if (rows.length === 0)
    throw new NotOpened(
      `数据库中没有角色 ${role}，请先创建（create role … login） / there is no database role ${role}: create it first (create role … login)`,
    );
}

/** Before PostgreSQL 15 everybody might make tables in the schema `public`, and would own them. */
async function mayCreate(db: Kysely<Tables>, role: string): Promise<boolean> {
  const { rows } = await sql<{
    may: boolean;
  }>`select has_schema_privilege(${role}::text, current_schema(), 'CREATE') as may`.execute(db);
  return rows[0]?.may === true;
}
