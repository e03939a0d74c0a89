import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadParties } from '../adapters/load.ts';
import { ManifestError } from '../adapters/manifest/manifest.ts';
import { startSimulated } from '../adapters/simulated.ts';
import { loadSimulators } from '../adapters/simulators.ts';
import { calendar, deadline } from '../config/calendar.ts';
import { CatalogueError, loadItems } from '../config/items.ts';
import { HELP, loadSettings, SettingsError, wantsHelp } from '../config/load.ts';
import type { Settings } from '../config/settings.ts';
import { loadContracts } from '../contracts/load.ts';
import type { Adapter } from '../contracts/ports/adapter.ts';
import type { Bus } from '../contracts/ports/bus.ts';
import { type Clock, wallClock } from '../contracts/ports/clock.ts';
import { Unfit } from '../contracts/ports/contract.ts';
import type { Party } from '../contracts/ports/envelope.ts';
import type { Logger } from '../contracts/ports/logger.ts';
import type { Store } from '../contracts/ports/store.ts';
import { inProcessBus } from './bus/in-process.ts';
import { makeCertificates } from './certificates/service.ts';
import { makeContracts } from './contracts/registry.ts';
import { type Delivery, makeDelivery } from './delivery/delivery.ts';
import { makeApp } from './http/app.ts';
import { listen } from './http/server.ts';
import { makeIntake } from './intake/intake.ts';
import { makeLog } from './observe/log.ts';
import { makeMetrics } from './observe/metrics.ts';
import { makeRouting } from './routing/routing.ts';
import { openStore } from './store/open.ts';

/** What a caller of `start` may bring: a clock, a log, and wrappers around the ports (tests kill the process at their commit points). */
export interface Means {
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly aroundStore?: (store: Store) => Store;
  readonly aroundBus?: (bus: Bus) => Bus;
  readonly aroundAdapter?: (party: Party, adapter: Adapter) => Adapter;
}

export interface Gateway {
  readonly url: string;
  readonly port: number;
  /** No new work; what is under way ends within `delivery.stopMs`; then everything is closed, in reverse. */
  stop(): Promise<void>;
}

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Makes the parts, starts them in order. Throws with every mistake of what it was given, and leaves nothing open. */
export async function start(settings: Settings, means: Means = {}): Promise<Gateway> {
  const clock = means.clock ?? wallClock;
  const log = means.log ?? makeLog({ level: settings.logLevel, clock });
  const { folders, limits } = settings;

  const published = await loadContracts(folders.schemas);
  const parties = await loadParties(folders.adapters, new Set(published.map(({ name }) => name)));
  const contracts = makeContracts([...published, ...parties.flatMap((party) => party.contracts)]);
  const catalogue = await loadItems(folders.items, { parties: parties.map(({ party }) => party) });
  const connected = connect(parties, settings, { clock, log });

  const opened = await openStore({
    dataDir: settings.dataDir,
    clock,
    log,
    committed: (lanes) => delivery?.committed(lanes),
  });
  const store = means.aroundStore?.(opened) ?? opened;
  const inner = inProcessBus();
  const bus = means.aroundBus?.(inner) ?? inner;
  const metrics = makeMetrics({
    clock,
    lanes: () => store.lanes(),
    items: () => new Set(catalogue.list().map(({ code }) => code)),
  });

  const routing = makeRouting({
    catalogue,
    contracts,
    clock,
    window: settings.window.party,
    deliverable: (party, contract) => delivery?.party(party)?.facts.delivers.find((each) => each.contract === contract),
  });
  let delivery: Delivery | undefined;
  delivery = makeDelivery({ store, bus, routing, contracts, clock, log, metrics, settings: settings.delivery });
  const { departments, desk, sources, party } = delivery;
  const certificates = makeCertificates({
    sources,
    catalogue,
    ledger: store,
    clock,
    log,
    metrics,
    holderHashKey: settings.holderHashKey,
    settings: settings.certificates,
  });
  const intake = makeIntake({
    catalogue,
    contracts,
    certificates,
    store,
    routing,
    deadline: (from, limit) => deadline(from, limit, calendar),
    connected: (name) => party(name) !== undefined,
    clock,
    log,
    metrics,
    settings: { region: settings.region, certificateTimeMs: limits.certificateTimeMs },
  });

  let stopping = false;
  const app = makeApp({
    intake,
    departments,
    desk,
    reads: store,
    catalogue,
    certificates,
    ledger: { read: (filter) => store.read(filter), holderHash: certificates.hashOf },
    contracts,
    nonces: store,
    apps: settings.apps,
    metrics,
    clock,
    log,
    limits: { ...limits, perMinute: settings.rate.perMinute },
    version,
    ready: async () => {
      await store.nextDue(clock.now());
      return { ready: !stopping, parts: { store: true } };
    },
  });

  for (const { facts, adapter } of connected)
    await delivery.connect({ facts, adapter: means.aroundAdapter?.(facts.party, adapter) ?? adapter });
  const server = await listen(app, { host: settings.host, port: settings.port, clock }).catch(
    async (error: unknown) => {
      await delivery.stop();
      await certificates.close();
      await store.close();
      throw error;
    },
  );
  delivery.start();
  log.info('ready', {
    url: server.url,
    version,
    parties: connected.map(({ facts }) => facts.party),
    items: catalogue.list().length,
  });

  return {
    url: server.url,
    port: server.port,
    async stop() {
      stopping = true;
      await server.stop(settings.delivery.stopMs);
      await delivery.stop();
      await bus.close();
      await certificates.close();
      await store.close();
      log.info('stopped');
    },
  };
}

/** The parties that the settings name, each checked by its own manifest; every mistake of all of them at once. */
function connect(
  folders: Awaited<ReturnType<typeof loadParties>>,
  { parties }: Settings,
  means: { readonly clock: Clock; readonly log: Logger },
) {
  const mistakes: string[] = [];
  const connected = Object.entries(parties).flatMap(([name, settings]) => {
    const folder = folders.find(({ party }) => party === name);
    if (folder === undefined) {
      mistakes.push(
        `parties.${name}: there is no such party; there are ${folders.map(({ party }) => party).join(', ')}`,
      );
      return [];
    }
    try {
      return [folder.connect(settings, { clock: means.clock, log: means.log.with({ party: name }) })];
    } catch (error) {
      if (!(error instanceof Unfit)) throw error;
      for (const { pointer, en } of error.problems)
        mistakes.push(`parties.${name}${pointer.replaceAll('/', '.')}: ${en}`);
      return [];
    }
  });
  if (mistakes.length > 0) throw new SettingsError(mistakes);
  return connected;
}

/** `npm start`: settings from the environment; SIGTERM and SIGINT stop it gracefully, a second one at once. */
async function main(): Promise<void> {
  const argv = process.argv.slice(2);
  if (wantsHelp(argv)) {
    console.log(HELP);
    return;
  }
  const loaded = await loadSettings(process.env, argv);
  // The demo brings its own departments where the settings name none.
  const simulated =
    loaded.demo && Object.keys(loaded.parties).length === 0
      ? await startSimulated(await loadSimulators(), { gateway: `http://127.0.0.1:${loaded.port}` })
      : undefined;
  const gateway = await start(simulated === undefined ? loaded : { ...loaded, parties: simulated.parties });
  let asked = 0;
  const stop = (): void => {
    asked += 1;
    if (asked > 1) process.exit(1);
    void gateway
      .stop()
      .then(() => simulated?.stop())
      .then(() => process.exit(0));
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main().catch((error: unknown) => {
    // What a person wrote is mended by a person: the sentences, not a stack.
    const written = [SettingsError, CatalogueError, ManifestError].some((kind) => error instanceof kind);
    console.error(written ? (error as Error).message : error);
    process.exitCode = 1;
  });
}
