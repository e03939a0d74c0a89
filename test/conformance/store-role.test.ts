import { test } from 'node:test';
import { wallClock } from '../../contracts/ports/clock.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { migrateStore } from '../../gateway/store/migrate-store.ts';
import { openStore } from '../../gateway/store/open.ts';
import { twoRoles } from '../support/roles.ts';
import { postgres } from '../support/services.ts';
import { type Storage, storeSuite } from './store-suite.ts';

const DATABASE = { poolSize: 4, connectTimeoutMs: 2_000, statementTimeoutMs: 20_000, lockTimeoutMs: 5_000 };
const engine = await postgres();

if ('missing' in engine) test('the store under a role of its own', { skip: engine.missing }, () => {});
else {
  const { url: server } = engine;
  // Whatever a gateway does with its store it can do without owning it.
  storeSuite('PostgreSQL, under a role that owns nothing', async (): Promise<Storage> => {
    const { ownerUrl, gatewayUrl, gatewayRole, drop } = await twoRoles(server);
    const progress = { begins: () => {}, ended: () => {} };
    await migrateStore({ databaseUrl: ownerUrl, database: DATABASE, ledgerDays: 180 }, gatewayRole, {
      clock: wallClock,
      log: silent,
      progress,
    });
    return {
      open: (means) => openStore({ databaseUrl: gatewayUrl, database: DATABASE, log: silent, ...means }),
      shared: true,
      discard: drop,
    };
  });
}
