import { type CompiledQuery, type Kysely, sql } from 'kysely';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Nonces } from '../../contracts/ports/store.ts';
import type { BetweenNodes, StoreDialect } from './dialect.ts';
import { gathered } from './gathered.ts';
import { compilable, names, prepared, textOf } from './prepared.ts';
import type { Tables } from './tables.ts';

const SWEEP_EVERY_MS = 60_000;
/** In one sweep: what came meanwhile, several times over. */
const MOST_SWEPT = 50_000;

const COLUMNS = ['app_key', 'nonce', 'forget_at'] as const;

interface Use {
  readonly app_key: string;
  readonly nonce: string;
  readonly forget_at: Millis;
  readonly [column: string]: unknown;
}

/** Of one statement that others stand in the way of. */
const MOST_TRIES = 3;

/** Nonces that several nodes check: the database decides, for all that arrived together in one statement. */
export function makeUsedNonces(
  db: Kysely<Tables>,
  { again }: Pick<StoreDialect, 'again'>,
  { rowsFrom }: Pick<BetweenNodes, 'rowsFrom'>,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Nonces {
  const use = prepared((p: { rows: string; now: Millis }) =>
    compilable(
      db,
      // Its commit is not waited for on disk, for this transaction alone: should the whole database crash, the uses of its last moments are forgotten.
      sql<Use>`insert into used_nonces (${names(COLUMNS)}) select ${names(COLUMNS)}
               from ${rowsFrom('used_nonces', p.rows)}, set_config('synchronous_commit', 'off', true)
               on conflict (app_key, nonce) do update set forget_at = excluded.forget_at where used_nonces.forget_at <= ${p.now}
               returning app_key, nonce`,
    ),
  );
  const sweep = prepared((p: { now: Millis }) =>
    db
      .deleteFrom('used_nonces')
      .where((row) =>
        row(
          row.refTuple('app_key', 'nonce'),
          'in',
          row
            .selectFrom('used_nonces')
            .select(['app_key', 'nonce'])
            .where('forget_at', '<', p.now)
            .limit(MOST_SWEPT)
            .forUpdate()
            .skipLocked()
            .$asTuple('app_key', 'nonce'),
        ),
      ),
  );
  const keyOf = ({ app_key, nonce }: Pick<Use, 'app_key' | 'nonce'>): string => `${app_key}\n${nonce}`;
  let sweptAt = clock.now();

  function swept(now: Millis): void {
    if (now - sweptAt <= SWEEP_EVERY_MS) return;
    sweptAt = now;
    db.executeQuery(sweep({ now })).catch((error: unknown) =>
      log.warn('used nonces could not be swept yet', { error }),
    );
  }

  async function written(query: CompiledQuery<Use>): Promise<readonly Use[]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return (await db.executeQuery(query)).rows;
      } catch (error) {
        if (attempt === MOST_TRIES || !again(error)) throw error;
      }
    }
  }

  const firstUses = gathered(async (uses: readonly Use[]) => {
    const now = clock.now();
    const distinct = [...new Map(uses.map((one) => [keyOf(one), one])).values()];
    // In one order, so that two nodes never wait for each other.
    const rows = distinct.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const first = new Set((await written(use({ rows: textOf(COLUMNS, rows), now }))).map(keyOf));
    swept(now);
    // Twice among those that arrived together: the first has it.
    return uses.map((one) => first.delete(keyOf(one)));
  });

  return {
    firstUse: (appKey, nonce, forgetAfter) => firstUses({ app_key: appKey, nonce, forget_at: forgetAfter }),
  };
}
