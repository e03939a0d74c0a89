import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { Kysely, Migrator, sql } from 'kysely';
import { wallClock } from '../../contracts/ports/clock.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { StoreDialect } from '../../gateway/store/dialect.ts';
import { migrations } from '../../gateway/store/migrations.ts';
import { postgres } from '../../gateway/store/postgres.ts';
import { sqlite } from '../../gateway/store/sqlite.ts';
import * as services from '../support/services.ts';
import before from './released/before.json' with { type: 'json' };

const engine = await services.postgres();

/** What a program that knows only the schema before relies on. */
interface Schema {
  /** By table and column: its type, and what it wants of a program that does not know it. */
  readonly columns: ReadonlyMap<string, { readonly type: string; readonly mustBeGiven: boolean }>;
  /** Unique indexes, constraints, triggers: what may refuse a row, with its table. */
  readonly rules: ReadonlyMap<string, string>;
}

const engines = [
  {
    name: 'embedded',
    skip: false,
    async dialect(t: TestContext): Promise<StoreDialect> {
      const folder = await mkdtemp(join(tmpdir(), 'onewindow-expand-'));
      t.after(() => rm(folder, { recursive: true, force: true }));
      return sqlite(join(folder, 'onewindow.db'));
    },
    rules: sql<{ name: string; on: string }>`
      select m.name || ' ' || coalesce(m.sql, '') as name, m.tbl_name as "on" from sqlite_master m
      where m.type = 'trigger' or m.type = 'index' and exists (
        select 1 from pragma_index_list(m.tbl_name) i where i.name = m.name and i."unique" = 1)`,
  },
  {
    name: 'PostgreSQL',
    skip: 'missing' in engine ? engine.missing : false,
    async dialect(t: TestContext): Promise<StoreDialect> {
      const { url, drop } = await services.freshDatabase('missing' in engine ? '' : engine.url);
      t.after(drop);
      const options = { poolSize: 2, connectTimeoutMs: 5_000, statementTimeoutMs: 30_000, lockTimeoutMs: 5_000 };
      return postgres(url, options, { clock: wallClock, log: silent });
    },
    rules: sql<{ name: string; on: string }>`
      select i.indexrelid::regclass::text || ' ' || pg_get_indexdef(i.indexrelid) as name, i.indrelid::regclass::text as "on"
        from pg_index i join pg_class c on c.oid = i.indrelid
        where i.indisunique and c.relnamespace = 'public'::regnamespace
      union all select conname || ' ' || pg_get_constraintdef(oid), conrelid::regclass::text from pg_constraint
        where connamespace = 'public'::regnamespace and contype not in ('n', 'p', 'u')
      union all select tgname || ' ' || pg_get_triggerdef(oid), tgrelid::regclass::text from pg_trigger where not tgisinternal`,
  },
];

for (const { name, skip, dialect: open, rules } of engines)
  describe(`expand, then contract a version later: ${name}`, { skip }, () => {
    /** A database at one migration after another. */
    async function steps(t: TestContext) {
      const dialect = await open(t);
      const db = new Kysely<unknown>({ dialect: dialect.kysely });
      const all = migrations(dialect);
      const migrator = new Migrator({ db, provider: { getMigrations: async () => all } });
      // Before the folder or the database is taken away.
      const close = () => db.destroy();
      return {
        names: Object.keys(all).sort(),
        close,
        async at(migration: string): Promise<Schema> {
          assert.equal((await migrator.migrateTo(migration)).error, undefined, migration);
          const columns = (await db.introspection.getTables()).flatMap((table) =>
            table.columns.map(
              ({ name: column, dataType, isNullable, hasDefaultValue, isAutoIncrementing }) =>
                [
                  `${table.name}.${column}`,
                  { type: dataType, mustBeGiven: !(isNullable || hasDefaultValue || isAutoIncrementing) },
                ] as const,
            ),
          );
          const { rows } = await rules.execute(db);
          return { columns: new Map(columns), rules: new Map(rows.map((row) => [row.name, row.on])) };
        },
      };
    }

    test(`every migration after ${before.migration} leaves what the version before reads and writes as it was`, async (t) => {
      const { names, at, close } = await steps(t);
      try {
        const later = names.filter((one) => one > before.migration);
        assert.ok(names.includes(before.migration) && later.length > 0, names.join());
        const broken: string[] = [];
        let was = await at(before.migration);
        for (const migration of later) {
          const is = await at(migration);
          broken.push(...breaks(was, is).map((what) => `${migration}: ${what}`));
          was = is;
        }
        assert.deepEqual(
          broken,
          [],
          'nodes of the version before run while this one migrates: add now, and take away in the version after this one (docs/operations.md, Upgrading)',
        );
      } finally {
        await close();
      }
    });

    test('008, which asked for a stop, is found out', async (t) => {
      const { at, close } = await steps(t);
      try {
        assert.deepEqual(breaks(await at('007-events'), await at('008-case-searches')), ['cases.parties is gone']);
      } finally {
        await close();
      }
    });
  });

test('a column that is renamed, of another type, or must be given, and a rule over rows that were free, are found out', () => {
  const columns = (...all: [string, string, boolean][]) =>
    new Map(all.map(([name, type, mustBeGiven]) => [name, { type, mustBeGiven }]));
  const was = { columns: columns(['tea.a', 'text', true], ['tea.b', 'text', false]), rules: new Map() };
  const is = {
    columns: columns(['tea.a', 'bigint', true], ['tea.c', 'text', true], ['rice.d', 'text', true]),
    rules: new Map([
      ['tea_key create unique index', 'tea'],
      ['rice_key create unique index', 'rice'],
    ]),
  };
  assert.deepEqual(breaks(was, is), [
    'tea.a is bigint, and was text',
    'tea.b is gone',
    'tea.c must be given, and the version before does not know it',
    'tea has a new rule: tea_key create unique index',
  ]);
});

/** In what a program that knows the schema before would fail after. */
function breaks(was: Schema, is: Schema): readonly string[] {
  const tables = new Set([...was.columns.keys()].map((name) => name.slice(0, name.indexOf('.'))));
  return [
    ...[...was.columns].flatMap(([name, { type, mustBeGiven }]) => {
      const now = is.columns.get(name);
      if (now === undefined) return [`${name} is gone`];
      if (now.type !== type) return [`${name} is ${now.type}, and was ${type}`];
      return now.mustBeGiven && !mustBeGiven ? [`${name} must be given, and needed not be`] : [];
    }),
    ...[...is.columns]
      .filter(([name, { mustBeGiven }]) => mustBeGiven && !was.columns.has(name))
      .filter(([name]) => tables.has(name.slice(0, name.indexOf('.'))))
      .map(([name]) => `${name} must be given, and the version before does not know it`),
    ...[...is.rules]
      .filter(([rule, table]) => tables.has(table) && !was.rules.has(rule))
      .map(([rule, table]) => `${table} has a new rule: ${rule}`),
  ];
}
