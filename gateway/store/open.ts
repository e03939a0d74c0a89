import { join } from 'node:path';
import { Kysely } from 'kysely';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Committed, Store } from '../../contracts/ports/store.ts';
import { makeCaseBook } from './casebook.ts';
import { makeCases } from './cases.ts';
import { makeCollected } from './collected.ts';
import { makeDesk } from './desk.ts';
import type { StoreDialect } from './dialect.ts';
import { Group } from './group.ts';
import { makeLease } from './lease.ts';
import { makeLedger } from './ledger.ts';
import { migrate } from './migrations.ts';
import { makeNonces } from './nonces.ts';
import { makeOutcomes } from './outcome.ts';
import type { StoreParts } from './parts.ts';
import { makeReads } from './reads.ts';
import { sqlite } from './sqlite.ts';
import type { Tables } from './tables.ts';

interface StoreOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Called after each commit that may have made work; must not throw and must not wait. */
  readonly committed?: Committed;
}

/** `dataDir`: the folder, in which the file is `onewindow.db`; made when it is not there. */
type EmbeddedOptions = StoreOptions & ({ readonly dataDir: string } | { readonly file: string });

/**
 * The embedded store: a SQLite file of this process alone, every commit on disk before its promise resolves.
 * Throws a plain sentence when another process has the file open, or a newer program has written it.
 */
export async function openStore(options: EmbeddedOptions): Promise<Store> {
  const file = 'file' in options ? options.file : join(options.dataDir, 'onewindow.db');
  return storeOver(sqlite(file), options);
}

/** The store over any database there is a dialect for. */
export async function storeOver(dialect: StoreDialect, { clock, log, committed }: StoreOptions): Promise<Store> {
  const db = new Kysely<Tables>({ dialect: dialect.kysely });
  const nonces = makeNonces(db, clock);
  try {
    await migrate(db, dialect);
    if (dialect.alone) await lapseLeases(db, clock);
    await nonces.load();
  } catch (error) {
    await db.destroy();
    throw error;
  }
  const group = new Group({
    db,
    clock,
    log,
    committed: committed ?? (() => {}),
    rider: nonces,
    unavailable: dialect.unavailable,
  });
  const flush = () => group.run(() => Promise.resolve());
  nonces.start(() => {
    flush().catch((error: unknown) => log.warn('nonces could not be written yet', { error }));
  });
  const parts: StoreParts = { db, dialect, group, book: makeCaseBook({ db, dialect, clock }), clock, log };

  return {
    ...makeCases(parts),
    ...makeCollected(parts),
    ...makeLease(parts),
    ...makeOutcomes(parts),
    ...makeDesk(parts),
    ...makeReads(parts),
    ...makeLedger(parts),
    firstUse: nonces.firstUse,
    async close() {
      nonces.stop();
      await flush().catch((error: unknown) => log.warn('the last nonces could not be written', { error }));
      await group.close();
      await db.destroy();
    },
  };
}

/**
 * Recovery takes only leases that ran out; where the database is ours alone, those of the process before this one have, whatever their time says. What was
 * under way then is in doubt, and is looked at now instead of when the clock comes to it.
 */
async function lapseLeases(db: Kysely<Tables>, clock: Clock): Promise<void> {
  await db.updateTable('envelopes').set({ wakes_at: clock.now() }).where('place', '=', 'leased').execute();
}
