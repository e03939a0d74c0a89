import { type Kysely, type RawBuilder, sql } from 'kysely';
import { KEPT_DAYS } from './ledger-columns.ts';
import type { Tables } from './tables.ts';

/**
 * Where roles are told apart: the one way in which a role that may only add to the ledger removes rows. It runs with the rights of the tables' owner, and keeps
 * what is younger than the days that the owner wrote down, whoever calls it with whatever number; the anchor follows, so that the chain can still be checked.
 *
 * @param schema that the tables are in: named in full, so that no table of the caller's own can stand in their place
 */
export function deletionFunction(schema: string): readonly RawBuilder<unknown>[] {
  const [ledger, anchor, name] = ['ledger', 'ledger_anchor', 'delete_ledger_rows'].map((one) => sql.id(schema, one));
  return [
    sql`create function ${name}(up_to bigint) returns bigint
        language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
        declare
          kept_after bigint;
          last_hash text;
          gone bigint;
        begin
          select (extract(epoch from clock_timestamp()) - greatest(a.kept_days, ${sql.lit(KEPT_DAYS)}) * 86400) * 1000
            into kept_after from ${anchor} a where a.id = 1 for update;
          if kept_after is null or exists (select 1 from ${ledger} l where l.seq <= up_to and l.at > kept_after) then
            raise exception 'this table is append-only';
          end if;
          select l.hash into last_hash from ${ledger} l where l.seq = up_to;
          if last_hash is null then
            return 0;
          end if;
          delete from ${ledger} where seq <= up_to;
          get diagnostics gone = row_count;
          update ${anchor} set hash = last_hash where id = 1;
          return gone;
        end $$`,
    sql`revoke all on function ${name}(bigint) from public`,
  ];
}

export const callDeletion = (upTo: number): RawBuilder<{ readonly gone: number }> =>
  sql<{ readonly gone: number }>`select delete_ledger_rows(${upTo}) as gone`;

/** How long the ledger is kept, as the tables' owner wrote it down. */
export async function keptDays(db: Kysely<Tables>): Promise<number> {
  const row = await db.selectFrom('ledger_anchor').select('kept_days').where('id', '=', 1).executeTakeFirst();
  return row?.kept_days ?? KEPT_DAYS;
}

/** By the tables' owner. */
export async function keepFor(db: Kysely<Tables>, days: number): Promise<void> {
  await db
    .updateTable('ledger_anchor')
    .set({ kept_days: days })
    .where('id', '=', 1)
    .where('kept_days', '<>', days)
    .execute();
}
