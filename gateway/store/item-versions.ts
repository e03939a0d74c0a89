import { sql } from 'kysely';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { ItemVersion } from '../../contracts/ports/item.ts';
import type { ItemVersions } from '../../contracts/ports/store.ts';
import type { StoreParts } from './parts.ts';
import { compilable, prepared } from './prepared.ts';
import { UNDECIDED } from './undecided.ts';

/** The definitions that cases began with. A few rows, written at a start and read when an older one is needed. */
export function makeItemVersions({ db, group }: StoreParts): ItemVersions {
  const keep = prepared((p: ItemVersion & { now: Millis }) =>
    db
      .insertInto('item_versions')
      .values({ code: p.code, version: p.version, definition: p.definition, current_at: p.now })
      .onConflict((taken) =>
        taken.columns(['code', 'version']).doUpdateSet((row) => ({ current_at: row.ref('excluded.current_at') })),
      ),
  );
  const one = prepared((p: { code: string; version: string }) =>
    db
      .selectFrom('item_versions')
      .select(['code', 'version', 'definition'])
      .where('code', '=', p.code)
      .where('version', '=', p.version),
  );
  const newest = prepared((p: { code: string }) =>
    db
      .selectFrom('item_versions')
      .select(['code', 'version', 'definition'])
      .where('code', '=', p.code)
      .orderBy('current_at', 'desc')
      .limit(1),
  );
  const undecided = prepared(() =>
    compilable(
      db,
      sql<{ code: string; version: string | null; cases: number }>`
        select item_code as code, item_version as version, count(*) as cases from cases
        where ${UNDECIDED} group by item_code, item_version order by item_code, item_version`,
    ),
  );

  return {
    keepItemVersions: (current, now) =>
      group.run(async (tx) => {
        // In one order, so that two nodes that start at once never wait for each other.
        const inOrder = [...current].sort((a, b) => (a.code < b.code ? -1 : 1));
        await tx.write(...inOrder.map((version) => keep({ ...version, now })));
      }),

    async itemVersion(code, version) {
      const { rows } = await db.executeQuery(version === null ? newest({ code }) : one({ code, version }));
      return rows[0] && { ...rows[0] };
    },

    async undecidedCases() {
      const { rows } = await db.executeQuery(undecided({}));
      return rows.map((row) => ({ ...row }));
    },
  };
}
