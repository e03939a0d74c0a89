import { randomUUID } from 'node:crypto';
import type { Adapter, Connected, PartyFacts } from '../../contracts/ports/adapter.ts';
import type { Bus, Subscription } from '../../contracts/ports/bus.ts';
import type {
  Certificate,
  CertificateChange,
  CertificateClaim,
  CertificateDocument,
  CertificateQuery,
  Verdict,
} from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { BodyNormaliser, Contracts } from '../../contracts/ports/contract.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';
import type { Routing } from '../../contracts/ports/routing.ts';
import type { CaseProgress, Departments, Desk } from '../../contracts/ports/services.ts';
import type { Store } from '../../contracts/ports/store.ts';
import { Collector } from './collector.ts';
import { makeDepartments } from './departments.ts';
import { makeDesk } from './desk.ts';
import { makeDispatcher } from './dispatcher.ts';
import { Guard } from './guard.ts';
import { Outages } from './outages.ts';
import type { LiveParty } from './party.ts';
import { Relay } from './relay.ts';
import { makeCaseProgress } from './waiting.ts';

export interface DeliveryParts {
  readonly store: Store;
  readonly bus: Bus;
  /** The bus hands out what the store lets it begin, and nothing else. */
  readonly leasesToBegin?: boolean;
  readonly routing: Routing;
  readonly contracts: Contracts & BodyNormaliser;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Where what a party says of changed certificates goes. */
  readonly changed: (party: Party, change: CertificateChange, name: string) => Promise<void>;
  readonly settings: {
    readonly leaseMs: number;
    readonly sweepMs: number;
    readonly stopMs: number;
    readonly askSweepMs: number;
    readonly alarmAfterMs: number;
    readonly messageDays: number;
  };
}

/** A party as the certificate service asks it: through the same guard as everything else. */
export interface CertificateSource {
  readonly types: readonly string[];
  readonly documents: readonly string[];
  ask(query: CertificateQuery, traceparent: string): Promise<readonly Certificate[]>;
  /** One call from the first byte to the last: `into` has taken them all when it resolves. */
  document<T>(
    certificate: Certificate,
    query: CertificateQuery,
    into: (document: CertificateDocument, signal: AbortSignal) => Promise<T>,
    traceparent: string,
  ): Promise<T>;
  verify?(claim: CertificateClaim, traceparent: string): Promise<Verdict>;
}

export interface Delivery {
  /** From now on its lane is worked on. Replaces an earlier connection of the same party. When it rejects, the adapter is still the caller's to close. */
  connect(connected: Connected): Promise<void>;
  disconnect(party: Party): Promise<void>;
  party(party: Party): LiveParty | undefined;
  sources(): ReadonlyMap<Party, CertificateSource>;
  readonly departments: Departments;
  readonly progress: CaseProgress;
  readonly desk: Desk;
  /** To be called by the store after each commit that made work. */
  readonly committed: (lanes: readonly Party[]) => void;
  start(): void;
  /** No new work; what is under way ends, or is left to its lease after `stopMs`. */
  stop(): Promise<void>;
}

/** Beside an inquiry and a delivery: to wait for a slot, and to write down what became of them. */
const LEASE_SPARE_MS = 10_000;
/** For calls that were aborted by a stop to be written down, and for an adapter to close its sockets. */
const LAST_WORDS_MS = 1_000;

export function makeDelivery(parts: DeliveryParts): Delivery {
  const { store, bus, routing, contracts, clock, log, metrics, settings } = parts;
  const live = new Map<
    Party,
    LiveParty & { readonly subscription: Subscription; readonly source: CertificateSource | undefined }
  >();
  /** Still known while their last calls end: what becomes of those is read from their terms. */
  const leaving = new Set<Party>();
  const party = (name: Party): LiveParty | undefined => live.get(name);
  const parties = (): readonly LiveParty[] => [...live.values()];
  const node = randomUUID();

  const outages = new Outages({ store, clock, log, alarmAfterMs: settings.alarmAfterMs });
  const collector = new Collector({
    store,
    routing,
    contracts,
    clock,
    log,
    metrics,
    party,
    parties,
    outages,
    sweepMs: settings.askSweepMs,
    messageDays: settings.messageDays,
  });
  const dispatch = makeDispatcher({
    store,
    routing,
    contracts,
    clock,
    log,
    metrics,
    party,
    outages,
    rematch: (envelope, number) => collector.rematch(envelope, number),
    expect: (at) => collector.expect(at),
  });
  const relay = new Relay({
    store,
    bus,
    clock,
    log,
    toBegin: parts.leasesToBegin ?? false,
    sweepMs: settings.sweepMs,
    lanes: () =>
      parties()
        .filter(({ facts }) => !leaving.has(facts.party))
        .map(({ facts: { party: lane, terms } }) => ({
          lane,
          limit: terms.concurrency,
          leaseMs: Math.max(settings.leaseMs, 2 * terms.deadlineMs + LEASE_SPARE_MS),
        })),
  });

  async function disconnect(name: Party): Promise<void> {
    const going = live.get(name);
    if (going === undefined || leaving.has(name)) return;
    leaving.add(name);
    const drained = going.subscription.stop((lease) => store.returned(lease).then(() => {}));
    await bounded(drained, settings.stopMs, clock);
    // What has not ended by now is aborted, and may still say what became of it.
    const closed = going.guard.close();
    await bounded(Promise.all([drained, closed]), LAST_WORDS_MS, clock);
    await bounded(going.adapter.close(), LAST_WORDS_MS, clock);
    live.delete(name);
    leaving.delete(name);
  }

  return {
    party,
    departments: makeDepartments({
      parties,
      party,
      store,
      accept: (name) => collector.accept(name),
      changed: async (name, change, push) => {
        await parts.changed(name, change, push);
        collector.nameKept();
      },
      contracts,
      clock,
      log,
    }),
    progress: makeCaseProgress(store, (lane) => live.has(lane)),
    desk: makeDesk({
      store,
      routing,
      party,
      contracts,
      expect: (at) => collector.expect(at),
      rematch: (envelope, number) => collector.rematch(envelope, number),
      clock,
      log,
    }),
    committed: (lanes) => relay.wake(lanes),

    async connect({ facts, adapter }) {
      await disconnect(facts.party);
      const guard = new Guard({ facts, clock, log, metrics, shared: store, bus, node });
      const source = certificateSource(facts, adapter, guard);
      const { concurrency } = facts.terms;
      const subscription = await bus.subscribe(facts.party, dispatch, { concurrency }).catch(async (error: unknown) => {
        await guard.close();
        throw error;
      });
      live.set(facts.party, { facts, adapter, guard, subscription, source });
      relay.wake([facts.party]);
    },

    disconnect,

    sources: () =>
      new Map([...live].flatMap(([name, { source }]) => (source === undefined ? [] : [[name, source] as const]))),

    start() {
      relay.start();
      collector.start();
    },

    async stop() {
      await Promise.all([
        bounded(relay.stop(), settings.stopMs, clock),
        bounded(collector.stop(), settings.stopMs, clock),
      ]);
      await Promise.all([...live.keys()].map(disconnect));
    },
  };
}

/** Undefined for a party that keeps no certificates. */
function certificateSource(facts: PartyFacts, adapter: Adapter, guard: Guard): CertificateSource | undefined {
  const { certificates, document, verify } = adapter;
  if (certificates === undefined) return undefined;
  const asking = (name: string, traceparent: string) =>
    ({ group: 'certificates', name, write: false, attempt: 1, traceparent }) as const;
  return {
    types: facts.certificates,
    documents: facts.documents,
    ask: (query, traceparent) =>
      guard.call(asking(query.type, traceparent), (call) => certificates.call(adapter, query, call)),
    document: (certificate, query, into, traceparent) =>
      guard.call(asking(`document ${query.type}`, traceparent), async (call) => {
        if (document === undefined) throw noDocument();
        return into(await document.call(adapter, certificate, query, call), call.signal);
      }),
    ...(verify === undefined
      ? {}
      : {
          verify: (claim, traceparent) =>
            guard.call(asking('verify', traceparent), (call) => verify.call(adapter, claim, call)),
        }),
  };
}

const noDocument = (): Fault =>
  new Fault('refused', {
    reason: { code: 'noDocument', zh: '该来源不提供证照文件', en: 'this source hands out no files' },
  });

/** What is not done by then is left: its lease runs out, and it is looked at again. */
function bounded(work: Promise<unknown>, ms: number, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const stop = clock.after(ms, resolve);
    work
      .catch(() => {})
      .finally(() => {
        stop();
        resolve();
      });
  });
}
