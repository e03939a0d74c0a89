import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { readParties } from '../adapters/load.ts';
import { startSimulated } from '../adapters/simulated.ts';
import { loadSimulators } from '../adapters/simulators.ts';
import { shortSecrets } from '../config/app-secrets.ts';
import { calendar, deadline } from '../config/calendar.ts';
import { loadCertificateTypes } from '../config/certificates.ts';
import { demoApps, demoMistakes } from '../config/demo.ts';
import { CatalogueError, type LoadedCatalogue, loadItems } from '../config/items.ts';
import { HELP, loadSettings, SettingsError, wantsCheck, wantsHelp } from '../config/load.ts';
import { openTlsFiles } from '../config/open-tls-files.ts';
import { closeToOthers } from '../config/private-files.ts';
import type { Settings } from '../config/settings.ts';
import { compileStoredItem } from '../config/stored-item.ts';
import { databaseTlsFiles, openTransports } from '../config/transport.ts';
import { SchemaError } from '../contracts/compile.ts';
import { readContracts } from '../contracts/load.ts';
import type { Adapter, Connected, PartyMeans } from '../contracts/ports/adapter.ts';
import type { Bus } from '../contracts/ports/bus.ts';
import { type Stale, staleOf } from '../contracts/ports/certificate.ts';
import { type Clock, wallClock } from '../contracts/ports/clock.ts';
import { type BodyNormaliser, type Contracts, type PublishedContract, Unfit } from '../contracts/ports/contract.ts';
import type { Coordination } from '../contracts/ports/coordination.ts';
import type { Party } from '../contracts/ports/envelope.ts';
import type { CertificateTypes } from '../contracts/ports/item.ts';
import { type Logger, silent } from '../contracts/ports/logger.ts';
import type { OnceValues } from '../contracts/ports/once-values.ts';
import { EVERY_LANE, PUBLIC_EVENTS, type Store } from '../contracts/ports/store.ts';
import type { TlsFiles, WatchedTlsFiles } from '../contracts/tls-files.ts';
import { within } from '../contracts/within.ts';
import { BrokerRefused } from './bus/connection.ts';
import { EventRelay } from './bus/event-relay.ts';
import { inProcessBus } from './bus/in-process.ts';
import { rabbitBus } from './bus/rabbitmq.ts';
import { signedNews } from './bus/signed-news.ts';
import { makeDocuments } from './certificates/documents/hand-out.ts';
import { sealKeyOf } from './certificates/documents/seal-key.ts';
import { hashingHolders } from './certificates/holder-hash.ts';
import { makeCertificates } from './certificates/service.ts';
import { makeVerifications } from './certificates/verification.ts';
import { makeContracts } from './contracts/registry.ts';
import { type Delivery, makeDelivery } from './delivery/delivery.ts';
import { sessionBook } from './delivery/session-book.ts';
import { trustedProxies } from './http/address.ts';
import { type AppParts, makeAdminApp, makeApp } from './http/app.ts';
import { listen, NotListening } from './http/server.ts';
import { makeIntake } from './intake/intake.ts';
import { departmentLimits } from './intake/limits.ts';
import { OwedMaterials } from './intake/owed.ts';
import { makeLog } from './observe/log.ts';
import { makeMetrics } from './observe/metrics.ts';
import { CaseItems } from './routing/case-items.ts';
import { makePublicEvents } from './routing/public-events.ts';
import { makeRouting } from './routing/routing.ts';
import { ClockInStep } from './store/clock-in-step.ts';
import { openStore } from './store/open.ts';
import { NotOpened } from './store/unavailable.ts';

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
  /**
   * No new work; what is under way ends within `delivery.stopMs`; then everything is closed, in reverse. Never rejects: a part that cannot be closed is logged,
   * and keeps no other open. Called again, it waits for the same end.
   */
  stop(): Promise<void>;
}

/** An adapter lets go of its sockets at once; one that does not keeps nobody waiting. */
const ADAPTER_CLOSE_MS = 1_000;

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** Makes the parts, starts them in order. Throws with every mistake of what it was given; whichever step fails, what was opened before is closed again. */
export async function start(settings: Settings, means: Means = {}): Promise<Gateway> {
  const own = means.clock ?? wallClock;
  const inStep = settings.databaseUrl === undefined ? undefined : new ClockInStep(own);
  const clock = inStep ?? own;
  const log = means.log ?? makeLog({ level: settings.logLevel, clock });
  const { limits } = settings;
  // What is opened is closed in reverse: here when a step fails, else by `stop`.
  await using opened = new AsyncDisposableStack();
  const closeLater = (what: string, close: () => unknown): void =>
    opened.defer(async () => {
      try {
        await close();
      } catch (error) {
        log.error('a part could not be closed', { what, error });
      }
    });

  const wrong = await demoMistakes(settings);
  if (wrong.length > 0) throw new SettingsError(wrong);
  for (const { app, field } of shortSecrets(settings.apps.filter((app) => !demoApps.includes(app))))
    log.warn('a secret of an app is shorter than 32 hex digits or 22 other characters: the next version refuses it', {
      app,
      field,
    });

  const filesOpened = (files: TlsFiles | undefined, place: string): WatchedTlsFiles | undefined => {
    const made = openTlsFiles(files, { place, clock, log });
    if (made !== undefined) closeLater(`certificate files of ${place}`, () => made.close());
    return made;
  };
  const tlsFiles = filesOpened(filesOf(settings.tls), 'tls');
  const { databaseUrl, database, dataDir } = settings;
  const databaseTls = filesOpened(databaseTlsFiles(databaseUrl, database.tls), 'database.tls');
  const busTls = filesOpened(settings.bus.tls, 'bus.tls');
  for (const { setting, host } of await openTransports(settings))
    log.warn('a connection to another machine goes without TLS', {
      setting,
      host,
    });
  const hashOf = hashingHolders(settings.holderHashKey);
  // Settings are judged before anything is opened; the parties are called, and ask the store, only after that.
  const shared: Pick<Coordination, 'claim' | 'unclaim' | 'keep' | 'kept' | 'reserve'> & OnceValues = {
    claim: (...what) => store.claim(...what),
    unclaim: (...what) => store.unclaim(...what),
    keep: (...what) => store.keep(...what),
    kept: (...what) => store.kept(...what),
    reserve: (...what) => store.reserve(...what),
    once: (...what) => store.once(...what),
    onceValues: (...what) => store.onceValues(...what),
  };
  const sessions = sessionBook({ shared, clock, node: randomUUID(), key: settings.holderHashKey });
  /** Made, and not yet given to `delivery`, which closes those it has. */
  const unconnected = new Map<Party, Adapter>();
  const made = ({ facts, adapter }: Connected): Connected => {
    unconnected.set(facts.party, adapter);
    closeLater(`adapter of ${facts.party}`, async () => {
      const left = unconnected.get(facts.party);
      if (left !== undefined) await within(left.close(), ADAPTER_CLOSE_MS, 'its close', clock);
    });
    const wrapped = means.aroundAdapter?.(facts.party, adapter) ?? adapter;
    unconnected.set(facts.party, wrapped);
    return { facts, adapter: wrapped };
  };
  const partyMeans = { clock, log, sessions, numbers: shared, values: shared };
  const { connected, known, current, contracts, types } = await configured(settings, partyMeans, made);
  const factsOf = new Map(connected.map(({ facts }) => [facts.party, facts]));
  const limitsOfDepartments = await departmentLimits({
    catalogue: current,
    contracts: contracts.list(),
    taker(name, contract) {
      const facts = factsOf.get(name);
      const deliverable = facts?.delivers.find((each) => each.contract === contract);
      return facts === undefined || deliverable === undefined ? undefined : { title: facts.title, deliverable };
    },
  });

  // Where nobody can learn of anything, or wants to, nothing is written down for others.
  const tells = settings.amqpUrl !== undefined && settings.bus.events;
  const publicEvents = tells ? makePublicEvents({ clock, hashOf }) : undefined;
  // Other nodes may wake this one before it is all there.
  let delivery: Delivery | undefined;
  let events: EventRelay | undefined;
  await closeToOthers(dataDir, log);
  const found = await openStore({
    ...(databaseUrl === undefined ? { dataDir } : { databaseUrl, database }),
    tls: databaseTls,
    inStep,
    clock,
    log,
    publicly: publicEvents?.ofCase,
    ledgerDays: settings.certificates.ledgerDays,
    committed(lanes, stale, parked) {
      for (const { id: envelope, party, reason } of parked)
        log.error('parked: a person must look at it', { envelope, party, code: reason.code, reason: reason.en });
      delivery?.committed(lanes);
      if (lanes.includes(PUBLIC_EVENTS) || lanes.includes(EVERY_LANE)) events?.wake();
      for (const one of stale) void tellStale(one);
    },
  });
  let store = found;
  closeLater('store', () => store.close());
  // Under another key nobody's entries would be found again, and nodes would not understand each other: so it is tied to the data at the first start.
  if (!(await found.claim('holderHashKey', hashOf('holderHashKey'), 0, Number.MAX_SAFE_INTEGER)))
    throw new SettingsError([
      'holderHashKey: not the one that this data was begun with; set the same on every node, or restore holder-hash.key in DATA_DIR from the backup',
    ]);
  store = means.aroundStore?.(found) ?? found;
  const catalogue = new CaseItems({
    catalogue: current,
    store,
    compile: (stored) => compileStoredItem(stored, known),
    log,
  });
  await store.keepItemVersions(current.definitions, clock.now());
  await catalogue.prepare();
  const metrics = makeMetrics({
    clock,
    lanes: () => store.lanes(),
    items: () => new Set(catalogue.list().map(({ code }) => code)),
  });
  const news = store.news && signedNews({ carrier: store.news, key: settings.holderHashKey, clock, log });
  closeLater('news', () => news?.close());
  const broker =
    settings.amqpUrl === undefined
      ? undefined
      : await rabbitBus({
          url: settings.amqpUrl,
          tls: busTls,
          prefix: settings.bus.prefix,
          clock,
          log,
          begin: (name) => store.begin(name),
          news,
          ignored: (lane, why) => metrics.ignored(lane, why),
        });
  const inner = broker ?? inProcessBus({ beyond: news });
  let bus: Bus = inner;
  closeLater('bus', () => bus.close());
  bus = means.aroundBus?.(inner) ?? inner;
  events =
    broker &&
    new EventRelay({
      store,
      exchange: broker.events,
      source: `/onewindow/${settings.region}`,
      node: randomUUID(),
      clock,
      log,
      sweepMs: settings.delivery.sweepMs,
    });
  closeLater('events', () => events?.stop());
  /** Copies that other nodes hold are right again by themselves after their time; so a word that is lost is a warning. */
  const tellStale = (stale: Stale): Promise<void> =>
    bus
      .announce({ kind: 'certificateChanged', body: { ...stale } })
      .catch((error: unknown) => log.warn('other nodes could not be told of a changed certificate', { error }));
  const routing = makeRouting({
    catalogue,
    contracts,
    clock,
    window: settings.window.party,
    deliverable: (party, contract) => delivery?.party(party)?.facts.delivers.find((each) => each.contract === contract),
    hashOf,
    log,
  });
  delivery = makeDelivery({
    store,
    bus,
    leasesToBegin: broker !== undefined,
    routing,
    contracts,
    clock,
    log,
    metrics,
    async changed(by, change, push) {
      const name = { party: by, dedupe: push };
      if (await store.changeKnown(name)) return;
      await certificates.changed([change]);
      const event = publicEvents?.ofChange(by, change);
      await store.changeTold(name, event === undefined ? [] : [event]);
    },
    settings: settings.delivery,
  });
  const { departments, desk, progress, sources, party } = delivery;
  const carrying = delivery;
  const certificates = makeCertificates({
    sources,
    catalogue,
    types,
    cases: store,
    mandates: store,
    register: store,
    tickets: store,
    ledger: store,
    announce: tellStale,
    clock,
    log,
    metrics,
    hashOf,
    settings: settings.certificates,
  });
  closeLater('certificates', () => certificates.close());
  bus.hear(({ kind, body }) => {
    const stale = kind === 'certificateChanged' ? staleOf(body) : undefined;
    if (stale !== undefined) certificates.forget(stale);
  });
  const intake = makeIntake({
    catalogue,
    contracts,
    certificates,
    store,
    routing,
    deadline: (from, limit) => deadline(from, limit, calendar),
    connected: (name) => party(name) !== undefined,
    limits: limitsOfDepartments,
    clock,
    log,
    metrics,
    settings: { region: settings.region, certificateTimeMs: limits.certificateTimeMs },
  });

  const sealKey = sealKeyOf(settings.holderHashKey);
  const documents = makeDocuments({
    sources,
    tickets: store,
    mandates: store,
    files: store,
    ledger: store,
    catalogue,
    cases: store,
    hashOf,
    clock,
    log,
    settings: { ...settings.certificates, folder: path.join(settings.dataDir, 'documents') },
    sealKey,
  });
  closeLater('documents', () => documents.close());
  // Before certificates and documents, which wait for calls that are under way: these are ended by it.
  closeLater('delivery', () => carrying.stop());
  const verifications = makeVerifications({
    sources,
    register: store,
    files: store,
    ledger: store,
    sealKey: sealKey.publicKey,
    clock,
    log,
  });
  const owed = new OwedMaterials({
    store,
    certificates,
    routing,
    catalogue,
    clock,
    log,
    settings: { ...settings.certificates, certificateTimeMs: limits.certificateTimeMs },
  });

  closeLater('owed materials', () => owed.stop());

  let stopping = false;
  const trusted = trustedProxies(settings.http.trustedProxies);
  const parts: AppParts = {
    intake,
    departments,
    desk,
    progress,
    reads: store,
    catalogue,
    certificates,
    documents,
    verifications,
    sealKey: sealKey.publicKey,
    mandates: store,
    holderHash: hashOf,
    ledger: store,
    types,
    ledgerDays: settings.certificates.ledgerDays,
    contracts,
    nonces: store,
    apps: settings.apps,
    metrics,
    clock,
    log,
    trusted,
    limits: { ...limits, perMinute: settings.rate.perMinute },
    version,
    ready: async () => {
      await store.due();
      // Without the broker cases are taken all the same, and carried when it is back.
      return { ready: !stopping, parts: { store: true, ...(broker && { bus: broker.connected() }) } };
    },
  };

  for (const each of connected) {
    await delivery.connect(each);
    unconnected.delete(each.facts.party);
  }
  const { host, port, adminPort, http } = settings;
  const tls =
    tlsFiles && ({ files: tlsFiles, clientCertificate: settings.tls?.clientCertificate ?? 'required' } as const);
  const listener = { host, clock, log, limits: http, trusted, ...(tls && { tls }) };
  if (adminPort !== undefined) {
    const admin = await listen(makeAdminApp(parts), { ...listener, port: adminPort, setting: 'ADMIN_PORT' });
    closeLater('admin server', () => admin.stop(settings.delivery.stopMs));
    log.info('metrics are served', { url: admin.url });
  }
  const server = await listen(makeApp(parts, adminPort === undefined), { ...listener, port });
  closeLater('server', () => server.stop(settings.delivery.stopMs));
  delivery.start();
  events?.start();
  owed.start();
  log.info('ready', {
    url: server.url,
    version,
    parties: connected.map(({ facts }) => facts.party),
    items: catalogue.list().length,
  });

  const running = opened.move();
  let stopped: Promise<void> | undefined;
  return {
    url: server.url,
    port: server.port,
    stop() {
      stopping = true;
      stopped ??= running.disposeAsync().then(() => log.info('stopped'));
      return stopped;
    },
  };
}

const filesOf = (tls: Settings['tls']): TlsFiles | undefined =>
  tls && { cert: tls.cert, key: tls.key, ca: tls.clientCa };

/** Mistakes of several kinds of files at once, one line each: file, place, what is wrong. */
class ConfigurationError extends Error {
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(`the configuration has mistakes:\n${mistakes.map((mistake) => `  ${mistake}`).join('\n')}`);
    this.name = 'ConfigurationError';
    this.mistakes = mistakes;
  }
}

interface Configured {
  readonly connected: readonly Connected[];
  readonly current: LoadedCatalogue;
  readonly contracts: Contracts & BodyNormaliser;
  readonly types: CertificateTypes;
  /** What items are held against. */
  readonly known: Parameters<typeof compileStoredItem>[1];
}

/**
 * Contracts, parties, certificate types, items, and what the settings say of the parties: read, and checked against each other, before anything is opened.
 *
 * @throws ConfigurationError with every mistake of all of them; SettingsError where only the settings have some
 */
async function configured(
  { folders, parties: settings, window }: Settings,
  means: PartyMeans,
  made: (connected: Connected) => Connected = (connected) => connected,
): Promise<Configured> {
  const mistakes: string[] = [];
  const published = await readContracts(folders.schemas);
  mistakes.push(...published.mistakes.map((mistake) => `${path.basename(folders.schemas)}/${mistake}`));
  const names = new Set([...published.contracts.map(({ name }) => name), ...published.broken]);
  const read = await readParties(folders.adapters, names, published.contracts);
  mistakes.push(...read.mistakes);
  // Where a file is no contract at all, whoever refers to it would only be told the same again.
  const contracts =
    published.broken.length > 0
      ? undefined
      : compiled([...published.contracts, ...read.parties.flatMap((party) => party.contracts)], mistakes);
  const types = await gathered(loadCertificateTypes(), mistakes);
  const offers = new Map(read.parties.flatMap(({ party, offers }) => (offers === undefined ? [] : [[party, offers]])));
  const known = { parties: read.names, offers, ...(contracts === undefined ? {} : { contracts }) };
  const current = await gathered(
    loadItems(folders.items, { ...known, ...(types === undefined ? {} : { types }) }),
    mistakes,
  );
  const { connected, wrong } = connect(read, settings, means, made);
  if (Object.keys(settings).length > 0 && !read.names.includes(window.party))
    wrong.push(`window.party: ${noParty(read.names)}`);
  if (mistakes.length > 0 || contracts === undefined || types === undefined || current === undefined)
    throw new ConfigurationError([...mistakes, ...wrong]);
  if (wrong.length > 0) throw new SettingsError(wrong);
  return { connected, current, contracts, types, known };
}

/** All contracts; undefined, and the mistakes noted, when some cannot be used. */
function compiled(
  published: readonly PublishedContract[],
  mistakes: string[],
): (Contracts & BodyNormaliser) | undefined {
  try {
    return makeContracts(published);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    mistakes.push(...error.message.split('\n'));
    return undefined;
  }
}

/** What is loaded; undefined, and the mistakes noted, when it has some. */
async function gathered<T>(loading: Promise<T>, mistakes: string[]): Promise<T | undefined> {
  try {
    return await loading;
  } catch (error) {
    if (!(error instanceof CatalogueError)) throw error;
    mistakes.push(...error.mistakes);
    return undefined;
  }
}

const noParty = (names: readonly Party[]): string => `there is no such party; there are ${names.join(', ')}`;

/** The parties that the settings name, each checked by its own manifest, and given to `made` at once; every mistake of all of them together. */
function connect(
  { parties, names }: Pick<Awaited<ReturnType<typeof readParties>>, 'parties' | 'names'>,
  settings: Settings['parties'],
  means: PartyMeans,
  made: (connected: Connected) => Connected,
): { readonly connected: Configured['connected']; readonly wrong: string[] } {
  const wrong: string[] = [];
  const connected = Object.entries(settings).flatMap(([name, own]) => {
    const folder = parties.find(({ party }) => party === name);
    if (folder === undefined) {
      // What is wrong with one that cannot be read is told of its manifest.
      if (!names.includes(name)) wrong.push(`parties.${name}: ${noParty(names)}`);
      return [];
    }
    try {
      return [made(folder.connect(own, { ...means, log: means.log.with({ party: name }) }))];
    } catch (error) {
      if (!(error instanceof Unfit)) throw error;
      for (const { pointer, en } of error.problems) wrong.push(`parties.${name}${pointer.replaceAll('/', '.')}: ${en}`);
      return [];
    }
  });
  return { connected, wrong };
}

/** `npm start -- --check`: everything that a start would read, and nothing that it would open. */
async function check(settings: Settings): Promise<string> {
  const { connected, current } = await configured(settings, { clock: wallClock, log: silent });
  await Promise.all(connected.map(({ adapter }) => adapter.close()));
  for (const [place, files] of [
    ['tls', filesOf(settings.tls)],
    ['database.tls', databaseTlsFiles(settings.databaseUrl, settings.database.tls)],
    ['bus.tls', settings.bus.tls],
  ] as const)
    openTlsFiles(files, { place, clock: wallClock, log: silent })?.close();
  const [items, parties] = [current.list().length, connected.length];
  return `事项 ${items} 个、已配置部门 ${parties} 个，配置无误 / ${items} items, ${parties} parties: all is well`;
}

/** `npm start`: settings from the environment; SIGTERM and SIGINT stop it gracefully, a second one at once. */
async function main(): Promise<void> {
  const argv = process.argv.slice(2);
  if (wantsHelp(argv)) {
    console.log(HELP);
    return;
  }
  const loaded = await loadSettings(process.env, argv);
  if (wantsCheck(argv)) {
    console.log(await check(loaded));
    return;
  }
  await using opened = new AsyncDisposableStack();
  // The demo brings its own departments where the settings name none.
  const simulated =
    loaded.demo && Object.keys(loaded.parties).length === 0
      ? opened.adopt(
          await startSimulated(await loadSimulators(), { gateway: `http://127.0.0.1:${loaded.port}` }),
          (departments) => departments.stop(),
        )
      : undefined;
  const gateway = await start(simulated === undefined ? loaded : { ...loaded, parties: simulated.parties });
  opened.defer(() => gateway.stop());
  const running = opened.move();
  let asked = 0;
  const stop = (): void => {
    asked += 1;
    if (asked > 1) process.exit(1);
    void running.disposeAsync().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main().catch((error: unknown) => {
    // What a person wrote is mended by a person: the sentences, not a stack.
    const written = [SettingsError, CatalogueError, ConfigurationError, BrokerRefused, NotOpened, NotListening].some(
      (kind) => error instanceof kind,
    );
    console.error(written ? (error as Error).message : error);
    process.exitCode = 1;
  });
}
