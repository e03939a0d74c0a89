import { type Kysely, type Migration, Migrator, sql } from 'kysely';
import type { StoreDialect } from './dialect.ts';
import type { Tables } from './tables.ts';

/** Forward only, in the order of their names; one that was released is never changed again. */
function migrations(dialect: StoreDialect): Record<string, Migration> {
  const { countedKey, integer, keyedTable } = dialect;
  return {
    '001-first': {
      async up(db: Kysely<unknown>) {
        await db.schema
          .createTable('cases')
          .addColumn('seq', countedKey, (c) => c.primaryKey())
          .addColumn('case_no', 'text', (c) => c.notNull().unique())
          .addColumn('app_key', 'text', (c) => c.notNull())
          .addColumn('application_no', 'text', (c) => c.notNull())
          .addColumn('body_hash', 'text', (c) => c.notNull())
          .addColumn('query_code', 'text', (c) => c.notNull())
          .addColumn('item_code', 'text', (c) => c.notNull())
          .addColumn('parties', 'text', (c) => c.notNull())
          .addColumn('state', 'text', (c) => c.notNull())
          .addColumn('held', 'integer', (c) => c.notNull())
          .addColumn('messages', 'integer', (c) => c.notNull())
          .addColumn('events', 'integer', (c) => c.notNull())
          .addColumn('accepted_at', integer, (c) => c.notNull())
          .addColumn('traceparent', 'text', (c) => c.notNull())
          .addColumn('submission', 'text', (c) => c.notNull())
          .addColumn('certificates', 'text', (c) => c.notNull())
          .addColumn('steps', 'text', (c) => c.notNull())
          .addColumn('deadlines', 'text', (c) => c.notNull())
          .addColumn('decision', 'text')
          .addUniqueConstraint('cases_application', ['app_key', 'application_no'])
          .execute();
        await db.schema.createIndex('cases_accepted').on('cases').columns(['accepted_at', 'seq']).execute();
        await db.schema.createIndex('cases_state').on('cases').columns(['state', 'accepted_at', 'seq']).execute();

        await db.schema
          .createTable('envelopes')
          .addColumn('seq', countedKey, (c) => c.primaryKey())
          .addColumn('id', 'text', (c) => c.notNull().unique())
          .addColumn('case_no', 'text', (c) => c.notNull().references('cases.case_no'))
          .addColumn('step_no', 'text')
          .addColumn('lane', 'text', (c) => c.notNull())
          .addColumn('contract', 'text', (c) => c.notNull())
          .addColumn('body', 'text', (c) => c.notNull())
          .addColumn('traceparent', 'text', (c) => c.notNull())
          .addColumn('created_at', integer, (c) => c.notNull())
          .addColumn('place', 'text')
          .addColumn('attempts', 'integer', (c) => c.notNull())
          .addColumn('not_before', integer, (c) => c.notNull())
          .addColumn('fence', 'integer', (c) => c.notNull())
          .addColumn('wakes_at', integer)
          .addColumn('in_doubt', 'integer', (c) => c.notNull())
          .addColumn('fault', 'text')
          .addColumn('reason', 'text')
          .addColumn('number', 'text')
          .addColumn('delivered_at', integer)
          .addColumn('answer_due', integer)
          .addColumn('asked', 'integer', (c) => c.notNull())
          .addColumn('updated_at', integer, (c) => c.notNull())
          .execute();
        await db.schema.createIndex('envelopes_case').on('envelopes').columns(['case_no', 'seq']).execute();
        // Partial: what is delivered and quiet stands in none of them.
        for (const [name, columns, present] of [
          ['envelopes_place', ['place', 'lane', 'seq'], 'place'],
          ['envelopes_wakes', ['wakes_at'], 'wakes_at'],
          ['envelopes_answer', ['answer_due', 'lane'], 'answer_due'],
          ['envelopes_number', ['lane', 'number'], 'number'],
        ] as const) {
          await sql`create index ${sql.ref(name)} on envelopes (${sql.join(columns.map((c) => sql.ref(c)))})
                    where ${sql.ref(present)} is not null`.execute(db);
        }

        await db.schema
          .createTable('events')
          .addColumn('case_no', 'text', (c) => c.notNull())
          .addColumn('no', 'integer', (c) => c.notNull())
          .addColumn('event', 'text', (c) => c.notNull())
          .addPrimaryKeyConstraint('events_key', ['case_no', 'no'])
          .modifyEnd(keyedTable)
          .execute();

        await db.schema
          .createTable('lanes')
          .addColumn('lane', 'text', (c) => c.primaryKey())
          .addColumn('paused_by', 'text')
          .addColumn('paused_reason', 'text')
          .addColumn('paused_at', integer)
          .addColumn('last_delivered_at', integer)
          .execute();

        await db.schema
          .createTable('messages')
          .addColumn('party', 'text', (c) => c.notNull())
          .addColumn('dedupe', 'text', (c) => c.notNull())
          .addColumn('received_at', integer, (c) => c.notNull())
          .addColumn('message', 'text')
          .addPrimaryKeyConstraint('messages_key', ['party', 'dedupe'])
          .modifyEnd(keyedTable)
          .execute();
        await sql`create index messages_kept on messages (party, received_at) where message is not null`.execute(db);

        await db.schema
          .createTable('counters')
          .addColumn('prefix', 'text', (c) => c.primaryKey())
          .addColumn('last', 'integer', (c) => c.notNull())
          .modifyEnd(keyedTable)
          .execute();

        await db.schema
          .createTable('ledger')
          .addColumn('seq', countedKey, (c) => c.primaryKey())
          .addColumn('id', 'text', (c) => c.notNull().unique())
          .addColumn('case_no', 'text')
          .addColumn('holder_hash', 'text', (c) => c.notNull())
          .addColumn('entry', 'text', (c) => c.notNull())
          .addColumn('hash', 'text', (c) => c.notNull())
          .execute();
        await db.schema.createIndex('ledger_holder').on('ledger').columns(['holder_hash', 'seq']).execute();
        await sql`create index ledger_case on ledger (case_no, seq) where case_no is not null`.execute(db);
        for (const statement of dialect.appendOnly('ledger')) await statement.execute(db);

        await db.schema
          .createTable('nonces')
          .addColumn('forget_at', integer, (c) => c.notNull())
          .addColumn('app_key', 'text', (c) => c.notNull())
          .addColumn('nonce', 'text', (c) => c.notNull())
          .addPrimaryKeyConstraint('nonces_key', ['forget_at', 'app_key', 'nonce'])
          .modifyEnd(keyedTable)
          .execute();
      },
    },
  };
}

/** Brings the schema up to this program's. Throws when a newer program has been at it: going back would lose what it wrote. */
export async function migrate(db: Kysely<Tables>, dialect: StoreDialect): Promise<void> {
  const known = migrations(dialect);
  const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(known) } });
  const foreign = (await applied(db)).filter((name) => !(name in known));
  if (foreign.length > 0) {
    throw new Error(
      `the store's schema (${foreign.join(', ')}) is newer than this program, which knows it up to ${Object.keys(known).sort().at(-1)}: ` +
        'start the newer program again, or restore the backup made before it',
    );
  }
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) throw error;
}

async function applied(db: Kysely<Tables>): Promise<readonly string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some(({ name }) => name === 'kysely_migration')) return [];
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  return rows.map(({ name }) => name);
}
