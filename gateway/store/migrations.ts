import { type ColumnDefinitionBuilder, Kysely, type Migration, Migrator, sql } from 'kysely';
import type { StoreDialect } from './dialect.ts';
import { columnsOf, KEPT_DAYS } from './ledger-columns.ts';
import { deletionFunction } from './ledger-deletion.ts';
import { lookupColumns } from './message-rows.ts';
import { standingOf } from './rights.ts';
import { partiesOf } from './rows.ts';
import type { Tables } from './tables.ts';
import { NotOpened } from './unavailable.ts';
import { UNDECIDED } from './undecided.ts';

/** Forward only, in the order of their names; one that was released is never changed again. */
export function migrations(dialect: StoreDialect): Record<string, Migration> {
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

    '002-certificates': {
      async up(db: Kysely<unknown>) {
        // One column a statement: SQLite takes no more.
        const cases = (name: string, type: 'text' | 'integer' | 'bigint', how = (c: ColumnDefinitionBuilder) => c) =>
          db.schema.alterTable('cases').addColumn(name, type, how).execute();
        await cases('owed', 'text', (c) => c.notNull().defaultTo('[]'));
        await cases('owed_due', integer);
        await cases('owed_asked', 'integer', (c) => c.notNull().defaultTo(0));
        await sql`create index cases_owed on cases (owed_due) where owed_due is not null`.execute(db);

        await db.schema
          .createTable('register')
          .addColumn('seq', countedKey, (c) => c.primaryKey())
          .addColumn('identifier', 'text', (c) => c.notNull())
          .addColumn('holder_hash', 'text', (c) => c.notNull())
          .addColumn('type', 'text', (c) => c.notNull())
          .addColumn('number', 'text')
          .addColumn('state', 'text', (c) => c.notNull())
          .addColumn('certificate', 'text', (c) => c.notNull())
          .addColumn('issued_at', integer, (c) => c.notNull())
          .addColumn('case_no', 'text', (c) => c.notNull())
          .addColumn('step_no', 'text', (c) => c.notNull())
          .addUniqueConstraint('register_certificate', ['identifier', 'holder_hash'])
          .execute();
        await db.schema.createIndex('register_holder').on('register').columns(['holder_hash', 'type', 'seq']).execute();
        await db.schema.createIndex('register_number').on('register').columns(['type', 'number']).execute();

        await db.schema
          .createTable('mandates')
          .addColumn('id', 'text', (c) => c.primaryKey())
          .addColumn('holder_hash', 'text', (c) => c.notNull())
          .addColumn('recorded_at', integer, (c) => c.notNull())
          .addColumn('mandate', 'text', (c) => c.notNull())
          .addColumn('revoked', 'text')
          .execute();

        await db.schema
          .createTable('use_codes')
          .addColumn('code_hash', 'text', (c) => c.primaryKey())
          .addColumn('app_key', 'text', (c) => c.notNull())
          .addColumn('expires_at', integer, (c) => c.notNull())
          .addColumn('used_at', integer)
          .addColumn('ticket', 'text', (c) => c.notNull())
          .execute();
        await db.schema.createIndex('use_codes_expiry').on('use_codes').column('expires_at').execute();

        await db.schema
          .createTable('handed_out')
          .addColumn('sm3', 'text', (c) => c.primaryKey())
          .addColumn('original_sm3', 'text', (c) => c.notNull())
          .addColumn('identifier', 'text')
          .addColumn('type', 'text', (c) => c.notNull())
          .addColumn('case_no', 'text')
          .addColumn('application_no', 'text')
          .addColumn('at', integer, (c) => c.notNull())
          .addColumn('annotated', 'integer', (c) => c.notNull())
          .execute();
      },
    },

    '003-shared': {
      async up(db: Kysely<unknown>) {
        await db.schema
          .createTable('allotments')
          .addColumn('party', 'text', (c) => c.notNull())
          .addColumn('period', 'text', (c) => c.notNull())
          .addColumn('taken', 'integer', (c) => c.notNull())
          .addColumn('latest', 'integer', (c) => c.notNull())
          .addColumn('ends_at', integer, (c) => c.notNull())
          .addPrimaryKeyConstraint('allotments_key', ['party', 'period'])
          .modifyEnd(keyedTable)
          .execute();
        await db.schema
          .createTable('claims')
          .addColumn('what', 'text', (c) => c.primaryKey())
          .addColumn('holder', 'text', (c) => c.notNull())
          .addColumn('ends_at', integer, (c) => c.notNull())
          .modifyEnd(keyedTable)
          .execute();
        await db.schema
          .createTable('kept')
          .addColumn('key', 'text', (c) => c.primaryKey())
          .addColumn('value', 'text', (c) => c.notNull())
          .addColumn('ends_at', integer, (c) => c.notNull())
          .modifyEnd(keyedTable)
          .execute();
        for (const table of ['allotments', 'claims', 'kept'])
          await db.schema.createIndex(`${table}_ends`).on(table).column('ends_at').execute();

        await db.schema
          .createTable('sequences')
          .addColumn('name', 'text', (c) => c.primaryKey())
          .addColumn('next', integer, (c) => c.notNull())
          .modifyEnd(keyedTable)
          .execute();
      },
    },

    '004-ledger': {
      async up(db: Kysely<unknown>) {
        for (const statement of dialect.changeable('ledger')) await statement.execute(db);
        const ledger = (name: string, type: 'text' | 'integer' | 'bigint', how = (c: ColumnDefinitionBuilder) => c) =>
          db.schema.alterTable('ledger').addColumn(name, type, how).execute();
        await ledger('at', integer, (c) => c.notNull().defaultTo(0));
        await ledger('phase', 'text', (c) => c.notNull().defaultTo(''));
        await ledger('officer_id', 'text', (c) => c.notNull().defaultTo(''));
        await ledger('application_no', 'text');
        await ledger('item_code', 'text', (c) => c.notNull().defaultTo(''));
        await ledger('type', 'text', (c) => c.notNull().defaultTo(''));
        await ledger('source', 'text');
        await ledger('state', 'text');
        await ledger('cached', 'integer', (c) => c.notNull().defaultTo(0));
        await fillColumns(db as Kysely<Tables>);

        await db.schema.dropIndex('ledger_holder').execute();
        await db.schema.dropIndex('ledger_case').execute();
        // Each in the order of reading, so that a page of any search is a walk along one of them.
        for (const [name, column] of [
          ['ledger_holder', 'holder_hash'],
          ['ledger_officer', 'officer_id'],
          ['ledger_item', 'item_code'],
          ['ledger_type', 'type'],
        ] as const)
          await db.schema.createIndex(name).on('ledger').columns([column, 'at', 'seq']).execute();
        for (const [name, column] of [
          ['ledger_case', 'case_no'],
          ['ledger_application', 'application_no'],
          ['ledger_source', 'source'],
          ['ledger_state', 'state'],
        ] as const)
          await sql`create index ${sql.ref(name)} on ledger (${sql.ref(column)}, at, seq)
                    where ${sql.ref(column)} is not null`.execute(db);
        await db.schema.createIndex('ledger_time').on('ledger').columns(['at', 'seq']).execute();
        // All that is counted stands in it: a year is counted without reading one entry.
        await sql`create index ledger_counted on ledger
                  (phase, at, seq, state, type, item_code, source, cached, application_no, case_no)`.execute(db);

        await db.schema
          .createTable('ledger_anchor')
          .addColumn('id', 'integer', (c) => c.primaryKey())
          .addColumn('hash', 'text', (c) => c.notNull())
          .execute();
        await sql`insert into ledger_anchor (id, hash) values (1, '')`.execute(db);
        for (const statement of dialect.appendOnly('ledger', KEPT_DAYS)) await statement.execute(db);
      },
    },

    '006-used-nonces': {
      async up(db: Kysely<unknown>) {
        // Where several nodes decide together, a nonce is told by its caller and itself alone.
        await db.schema
          .createTable('used_nonces')
          .addColumn('app_key', 'text', (c) => c.notNull())
          .addColumn('nonce', 'text', (c) => c.notNull())
          .addColumn('forget_at', integer, (c) => c.notNull())
          .addPrimaryKeyConstraint('used_nonces_key', ['app_key', 'nonce'])
          .modifyEnd(keyedTable)
          .execute();
        await db.schema.createIndex('used_nonces_end').on('used_nonces').column('forget_at').execute();
      },
    },

    '007-events': {
      async up(db: Kysely<unknown>) {
        await db.schema
          .createTable('public_events')
          .addColumn('seq', countedKey, (c) => c.primaryKey())
          .addColumn('event', 'text', (c) => c.notNull())
          .execute();
      },
    },

    '008-case-searches': {
      async up(db: Kysely<unknown>) {
        await db.schema
          .createTable('case_parties')
          .addColumn('party', 'text', (c) => c.notNull())
          .addColumn('accepted_at', integer, (c) => c.notNull())
          .addColumn('case_no', 'text', (c) => c.notNull())
          .addPrimaryKeyConstraint('case_parties_key', ['party', 'accepted_at', 'case_no'])
          .modifyEnd(keyedTable)
          .execute();
        await fillParties(db as Kysely<Tables>);
        await db.schema.alterTable('cases').dropColumn('parties').execute();
        // In the order of reading, as those of the ledger.
        for (const [name, column] of [
          ['cases_app', 'app_key'],
          ['cases_item', 'item_code'],
        ] as const)
          await db.schema.createIndex(name).on('cases').columns([column, 'accepted_at', 'seq']).execute();
        await db.schema.createIndex('cases_application_no').on('cases').column('application_no').execute();
      },
    },

    '009-handed-out-number': {
      async up(db: Kysely<unknown>) {
        // Both may be missing: of files handed out before, and by a node that is still of the version before.
        await db.schema.alterTable('handed_out').addColumn('number', 'text').execute();
        await db.schema.alterTable('handed_out').addColumn('valid_to', 'text').execute();
      },
    },

    // Only adds: the program before this one writes cases without a version, and reads what it read.
    '010-item-versions': {
      async up(db: Kysely<unknown>) {
        await db.schema
          .createTable('item_versions')
          .addColumn('code', 'text', (c) => c.notNull())
          .addColumn('version', 'text', (c) => c.notNull())
          .addColumn('definition', 'text', (c) => c.notNull())
          .addColumn('current_at', integer, (c) => c.notNull())
          .addPrimaryKeyConstraint('item_versions_key', ['code', 'version'])
          .execute();
        await db.schema
          .createIndex('item_versions_newest')
          .on('item_versions')
          .columns(['code', 'current_at'])
          .execute();
        await db.schema.alterTable('cases').addColumn('item_version', 'text').execute();
        await sql`create index cases_undecided on cases (item_code, item_version) where ${UNDECIDED}`.execute(db);
      },
    },

    '011-long-history': {
      async up(db: Kysely<unknown>) {
        // Indexes alone, so that nodes of the release before go on: each in the order of reading, so that no page of what is listed needs more than a page.
        await db.schema.createIndex('envelopes_lane').on('envelopes').columns(['lane', 'seq']).execute();
        for (const [name, table, columns, present] of [
          ['envelopes_state', 'envelopes', ['place', 'seq'], 'place'],
          ['envelopes_answer_lane', 'envelopes', ['lane', 'answer_due'], 'answer_due'],
          ['envelopes_latest_number', 'envelopes', ['lane', 'number', 'seq'], 'number'],
          ['messages_unmatched', 'messages', ['received_at', 'dedupe'], 'message'],
        ] as const)
          await sql`create index ${sql.ref(name)} on ${sql.table(table)} (${sql.join(columns.map((c) => sql.ref(c)))})
                    where ${sql.ref(present)} is not null`.execute(db);
        // It has the order in which a number's envelopes are looked for as well.
        await db.schema.dropIndex('envelopes_number').execute();
      },
    },

    // Columns that may be empty: programs of the release before write none of them, and go on beside this one.
    '012-doubt-and-outages': {
      async up(db: Kysely<unknown>) {
        const added = [
          ['cases', 'hold', 'text'],
          ['envelopes', 'doubted_at', integer],
          ['envelopes', 'first_sent_at', integer],
          ['lanes', 'away_since', integer],
          ['lanes', 'away_reason', 'text'],
        ] as const;
        for (const [table, column, type] of added) await db.schema.alterTable(table).addColumn(column, type).execute();
      },
    },

    // Columns that may be empty, and indexes: programs of the release before write none of the columns, and what they keep is filled in by those of this one.
    '013-messages': {
      async up(db: Kysely<unknown>) {
        for (const column of ['id', 'about_key', 'about_number', 'problem', 'ended'])
          await db.schema.alterTable('messages').addColumn(column, 'text').execute();
        await fillKeptMessages(db as Kysely<Tables>);
        for (const [name, columns, where] of [
          ['messages_id', ['id'], sql`id is not null`],
          ['messages_about_key', ['about_key'], sql`message is not null and about_key is not null`],
          ['messages_about_number', ['about_number'], sql`message is not null and about_number is not null`],
          ['messages_seen', ['received_at'], sql`message is null`],
        ] as const)
          await sql`create index ${sql.ref(name)} on messages (${sql.join(columns.map((c) => sql.ref(c)))})
                    where ${where}`.execute(db);
      },
    },

    '014-envelope-values': {
      async up(db: Kysely<unknown>) {
        await db.schema
          .createTable('envelope_values')
          .addColumn('envelope_id', 'text', (c) => c.notNull())
          .addColumn('name', 'text', (c) => c.notNull())
          .addColumn('value', 'text', (c) => c.notNull())
          .addColumn('at', integer, (c) => c.notNull())
          .addPrimaryKeyConstraint('envelope_values_key', ['envelope_id', 'name'])
          .modifyEnd(keyedTable)
          .execute();
        await db.schema.createIndex('envelope_values_age').on('envelope_values').column('at').execute();
      },
    },

    // A column that may be empty: so a program that does not write it is seen to have been at an envelope's doubt.
    '015-doubt-of-which-lease': {
      async up(db: Kysely<unknown>) {
        await db.schema.alterTable('envelopes').addColumn('doubted_fence', integer).execute();
      },
    },

    // A column that may be empty: a lease of a program that does not write it is one under which something may have been sent.
    '016-begun-leases': {
      async up(db: Kysely<unknown>) {
        await db.schema.alterTable('envelopes').addColumn('unbegun_fence', integer).execute();
      },
    },

    // Columns that programs of before need not know: they go on beside this one, and delete old rows of the ledger themselves as long as they own it.
    '017-roles': {
      async up(db: Kysely<unknown>) {
        const anchor = db.schema.alterTable('ledger_anchor');
        await anchor.addColumn('kept_days', 'integer', (c) => c.notNull().defaultTo(KEPT_DAYS)).execute();
        await anchor.addColumn('locked', 'integer').execute();
        if (!dialect.hasRoles) return;
        const { rows } = await sql<{ schema: string }>`select current_schema() as schema`.execute(db);
        for (const statement of deletionFunction(rows[0]?.schema ?? 'public')) await statement.execute(db);
      },
    },
  };
}

/** Of cases that were accepted before their parties could be searched by. */
async function fillParties(db: Kysely<Tables>): Promise<void> {
  for (let after = 0; ; ) {
    const rows = await db
      .selectFrom('cases')
      .select(['seq', 'case_no', 'accepted_at', 'steps'])
      .where('seq', '>', after)
      .orderBy('seq')
      .limit(1_000)
      .execute();
    const parties = rows.flatMap(({ steps, ...row }) => partiesOf({ ...row, steps: JSON.parse(steps) }));
    for (let from = 0; from < parties.length; from += 1_000)
      await db
        .insertInto('case_parties')
        .values(parties.slice(from, from + 1_000))
        .execute();
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.seq;
  }
}

/** Of what was kept before it could be looked up by what it is about: at most a thousand of each party. */
async function fillKeptMessages(db: Kysely<Tables>): Promise<void> {
  for (;;) {
    const rows = await db
      .selectFrom('messages')
      .select(['party', 'dedupe', sql<string>`message`.as('message')])
      .where('message', 'is not', null)
      .where('id', 'is', null)
      .orderBy('received_at')
      .limit(1_000)
      .execute();
    for (const { party, dedupe, message } of rows)
      await db
        .updateTable('messages')
        .set(lookupColumns(JSON.parse(message)))
        .where('party', '=', party)
        .where('dedupe', '=', dedupe)
        .execute();
    if (rows.length === 0) return;
  }
}

/** Of what was written before there were columns to search by. */
async function fillColumns(db: Kysely<Tables>): Promise<void> {
  for (let after = 0; ; ) {
    const rows = await db
      .selectFrom('ledger')
      .select(['seq', 'entry'])
      .where('seq', '>', after)
      .orderBy('seq')
      .limit(1_000)
      .execute();
    for (const { seq, entry } of rows)
      await db
        .updateTable('ledger')
        .set(columnsOf(JSON.parse(entry)))
        .where('seq', '=', seq)
        .execute();
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.seq;
  }
}

/** Told of each migration as it goes. They are one transaction, where there are several: nothing is kept of one that fails. */
export interface MigrationProgress {
  begins(name: string): void;
  ended(name: string): void;
}

/**
 * Brings the schema up to this program's; of several that begin at once one does it, and the others wait.
 *
 * @returns the names of those that were to be done, the oldest first
 * @throws NotOpened when a newer program has been at it: going back would lose what it wrote; or when it is older and the connected role may not change it
 */
export async function migrate(
  own: Kysely<Tables>,
  dialect: StoreDialect,
  progress?: MigrationProgress,
): Promise<readonly string[]> {
  const known = migrations(dialect);
  const done = await applied(own);
  const foreign = done.filter((name) => !(name in known));
  if (foreign.length > 0) throw newer(foreign.join(', '), Object.keys(known).sort().at(-1));
  const needed = Object.keys(known)
    .filter((name) => !done.includes(name))
    .sort();
  if (needed.length === 0) return [];
  if (dialect.hasRoles) {
    const { role, mayMigrate } = await standingOf(own);
    if (!mayMigrate) throw older(role, done.at(-1), needed.at(-1) ?? '');
  }
  const db = dialect.unhurried === undefined ? own : new Kysely<Tables>({ dialect: dialect.unhurried() });
  try {
    const all = progress === undefined ? known : followed(known, progress);
    const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(all) } });
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
    return needed;
  } finally {
    if (db !== own) await db.destroy();
  }
}

function followed(all: Record<string, Migration>, progress: MigrationProgress): Record<string, Migration> {
  return Object.fromEntries(
    Object.entries(all).map(([name, migration]): [string, Migration] => [
      name,
      {
        async up(db) {
          progress.begins(name);
          await migration.up(db);
          progress.ended(name);
        },
      },
    ]),
  );
}

function older(role: string, at: string | undefined, needed: string): NotOpened {
  const [zh, en] =
    at === undefined
      ? ['存储中还没有任何结构', 'the store has no schema yet']
      : [`存储的结构只到 ${at}`, `the store's schema is at ${at}`];
  return new NotOpened(
    `${zh}，本程序需要 ${needed}，而数据库角色 ${role} 无权修改结构：请以属主的地址运行 npm run migrate，见 docs/deployment.zh.md / ` +
      `${en}, this program needs ${needed}, and the database role ${role} may not change it: run npm run migrate with its owner's address, see docs/deployment.md`,
  );
}

function newer(foreign: string, last = ''): NotOpened {
  return new NotOpened(
    `存储的结构（${foreign}）比本程序新，本程序只认到 ${last}：请重新启动较新的程序，或恢复升级前的备份 / ` +
      `the store's schema (${foreign}) is newer than this program, which knows it up to ${last}: ` +
      'start the newer program again, or restore the backup made before it',
  );
}

async function applied(db: Kysely<Tables>): Promise<readonly string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some(({ name }) => name === 'kysely_migration')) return [];
  try {
    const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
    return rows.map(({ name }) => name);
  } catch (error) {
    // https://www.postgresql.org/docs/current/errcodes-appendix.html: insufficient_privilege
    if ((error as { code?: unknown }).code !== '42501') throw error;
    throw withoutRights((await standingOf(db)).role, ['select on kysely_migration']);
  }
}

/** The schema is there, and the connected role may not use it. */
export function withoutRights(role: string, missing: readonly string[]): NotOpened {
  return new NotOpened(
    `数据库角色 ${role} 缺少权限（${missing.join('、')}）：请以属主的地址运行 npm run migrate，见 docs/deployment.zh.md / ` +
      `the database role ${role} lacks rights (${missing.join(', ')}): run npm run migrate with the owner's address, see docs/deployment.md`,
  );
}
