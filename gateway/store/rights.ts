import { type Kysely, sql, type Transaction } from 'kysely';
import type { Tables } from './tables.ts';

/** `update (column)`: of that column alone. */
type Right = 'insert' | 'update' | 'delete' | `update (${string})`;

/**
 * What a gateway does with each table besides reading it; a role of its own has no other rights. So that it can neither change nor remove what was recorded: of the
 * ledger, of a case's timeline, of what was handed out. Old rows of the ledger it removes through `delete_ledger_rows`.
 */
const RIGHTS = {
  cases: ['insert', 'update'],
  case_parties: ['insert'],
  envelopes: ['insert', 'update'],
  envelope_values: ['insert', 'update (at)', 'delete'],
  events: ['insert'],
  lanes: ['insert', 'update'],
  messages: ['insert', 'update', 'delete'],
  counters: ['insert'],
  ledger: ['insert'],
  // A row can be locked only by who may change something of it: this column means nothing.
  ledger_anchor: ['update (locked)'],
  register: ['insert', 'update (state)'],
  mandates: ['insert', 'update (revoked)'],
  use_codes: ['insert', 'update (used_at)', 'delete'],
  handed_out: ['insert'],
  item_versions: ['insert', 'update (current_at)'],
  // Written by the embedded store alone.
  nonces: ['delete'],
  used_nonces: ['insert', 'update (forget_at)', 'delete'],
  allotments: ['insert', 'update', 'delete'],
  claims: ['insert', 'update', 'delete'],
  kept: ['insert', 'update', 'delete'],
  sequences: ['insert', 'update'],
  public_events: ['insert', 'delete'],
} as const satisfies Record<keyof Tables, readonly Right[]>;

const TABLES = Object.keys(RIGHTS) as (keyof Tables)[];
/** Read at each start: how far the schema is. */
const MIGRATION = 'kysely_migration';
/** What nobody but the owner may change. */
const RECORDS = ['ledger', 'ledger_anchor', 'events', 'handed_out'] as const satisfies readonly (keyof Tables)[];
/** Any number that nobody else locks by. */
const RIGHTS_LOCK = 7_719_031_644_005;
const DELETION = 'delete_ledger_rows';

/** A role's standing in the schema that a connection works in. */
export interface Standing {
  readonly role: string;
  /** It may bring the schema up: it has the rights of the owner, or there is no schema yet and it may make one. */
  readonly mayMigrate: boolean;
  /** Why it could change or remove what was recorded. */
  readonly couldRewrite: 'superuser' | 'owner' | 'rights' | undefined;
  /** Rights that a gateway needs and it has not: `insert on cases`. */
  readonly missing: readonly string[];
}

/** What the connected role may do; of another one, given its name. */
export async function standingOf(db: Kysely<Tables>, name?: string): Promise<Standing> {
  const role = name === undefined ? sql`current_user::text` : sql`${name}::text`;
  const names = sql.join([...TABLES, MIGRATION].map((table) => sql.lit(table)));
  const { rows } = await sql<{
    role: string;
    superuser: boolean;
    may: boolean | null;
    is: boolean | null;
    creates: boolean | null;
  }>`
    select ${role} as role,
           (select rolsuper from pg_roles where rolname = ${role}) as superuser,
           bool_and(pg_has_role(${role}, relowner, 'USAGE')) as may,
           bool_or(pg_has_role(${role}, relowner, 'MEMBER')) as is,
           has_schema_privilege(${role}, current_schema(), 'CREATE') as creates
    from pg_class where relnamespace = current_schema()::regnamespace and relkind = 'r' and relname in (${names})`.execute(
    db,
  );
  const { role: found = '', superuser = false, may, is, creates } = rows[0] ?? {};
  const lacking = may === true ? [] : await missing(db, role);
  return {
    role: found,
    mayMigrate: may ?? creates ?? false,
    couldRewrite: superuser ? 'superuser' : is === true ? 'owner' : (await hasMore(db, role)) ? 'rights' : undefined,
    missing: lacking,
  };
}

type Role = ReturnType<typeof sql>;

async function missing(db: Kysely<Tables>, role: Role): Promise<readonly string[]> {
  const needed = TABLES.flatMap((table) => ['select', ...RIGHTS[table]].map((right) => ({ table, ...partsOf(right) })));
  const list = sql.join(
    [...needed, { table: MIGRATION, right: 'select', column: undefined }].map(
      ({ table, right, column }) => sql`(${sql.lit(table)}, ${sql.lit(right)}, ${sql.lit(column ?? null)})`,
    ),
  );
  const { rows } = await sql<{ what: string }>`
    select n.r || coalesce(' (' || n.c || ')', '') || ' on ' || n.t as what
    from (values ${list}) as n (t, r, c)
    join pg_class k on k.relnamespace = current_schema()::regnamespace and k.relname = n.t
    where not case when n.c is null then has_table_privilege(${role}, k.oid, n.r)
                   else has_column_privilege(${role}, k.oid, n.c, n.r) end
    union all
    select 'execute on ' || p.proname from pg_proc p
    where p.pronamespace = current_schema()::regnamespace and p.proname = ${sql.lit(DELETION)}
      and not has_function_privilege(${role}, p.oid, 'EXECUTE')
    order by 1`.execute(db);
  return rows.map(({ what }) => what);
}

/** Whether it has rights on what was recorded that no gateway needs. */
async function hasMore(db: Kysely<Tables>, role: Role): Promise<boolean> {
  const { rows } = await sql<{ more: boolean | null }>`
    select bool_or(has_table_privilege(${role}, oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER')
                   or (relname <> 'ledger_anchor' and has_any_column_privilege(${role}, oid, 'UPDATE'))
                   or (relname = 'ledger_anchor' and has_column_privilege(${role}, oid, 'hash', 'UPDATE'))) as more
    from pg_class where relnamespace = current_schema()::regnamespace and relkind = 'r'
      and relname in (${sql.join(RECORDS.map((table) => sql.lit(table)))})`.execute(db);
  return rows[0]?.more === true;
}

function partsOf(right: string): { readonly right: string; readonly column: string | undefined } {
  const [word = '', column] = right.split(/[ ()]+/);
  return { right: word, column: column === '' ? undefined : column };
}

/** By whoever owns the tables: gives a role what a gateway needs, and takes from it, and from everybody, whatever else there was. */
export async function grantRights(tx: Transaction<Tables>, role: string): Promise<void> {
  // Two at once would stand in each other's way in the catalogue.
  await sql`select pg_advisory_xact_lock(${sql.lit(RIGHTS_LOCK)}::bigint)`.execute(tx);
  const to = sql.id(role);
  const all = sql.join([...TABLES, MIGRATION].map((table) => sql.id(table)));
  await sql`revoke all on table ${all} from public, ${to}`.execute(tx);
  await sql`grant select on table ${all} to ${to}`.execute(tx);
  for (const table of TABLES)
    for (const right of RIGHTS[table]) {
      const { right: word, column } = partsOf(right);
      const of = column === undefined ? sql`` : sql` (${sql.id(column)})`;
      await sql`grant ${sql.raw(word)}${of} on table ${sql.id(table)} to ${to}`.execute(tx);
    }
  await sql`revoke all on function ${sql.id(DELETION)}(bigint) from public, ${to}`.execute(tx);
  await sql`grant execute on function ${sql.id(DELETION)}(bigint) to ${to}`.execute(tx);
  // Everybody may use the schema `public`, and its owner alone could give that.
  const { rows } = await sql<{
    schema: string;
    may: boolean;
  }>`select current_schema() as schema, has_schema_privilege(${role}::text, current_schema(), 'USAGE') as may`.execute(
    tx,
  );
  const [schema] = rows;
  if (schema?.may === false) await sql`grant usage on schema ${sql.id(schema.schema)} to ${to}`.execute(tx);
}
