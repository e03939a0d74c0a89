import type { Connected } from '../../contracts/ports/adapter.ts';
import type { Bus, Subscription } from '../../contracts/ports/bus.ts';
import type { Certificate, CertificateQuery } from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Contracts } from '../../contracts/ports/contract.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';
import type { Routing } from '../../contracts/ports/routing.ts';
import type { Departments, Desk } from '../../contracts/ports/services.ts';
import type { Committed, Store } from '../../contracts/ports/store.ts';
import { Collector } from './collector.ts';
import { makeDepartments } from './departments.ts';
import { makeDesk } from './desk.ts';
import { makeDispatcher } from './dispatcher.ts';
import { Guard } from './guard.ts';
import type { LiveParty } from './party.ts';
import { Relay } from './relay.ts';

export interface DeliveryParts {
  readonly store: Store;
  readonly bus: Bus;
  readonly routing: Routing;
  readonly contracts: Contracts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly settings: {
    readonly leaseMs: number;
    readonly sweepMs: number;
    readonly stopMs: number;
    readonly askSweepMs: number;
  };
}

/** A party as the certificate service asks it: through the same guard as everything else. */
export interface CertificateSource {
  readonly types: readonly string[];
  ask(query: CertificateQuery, traceparent: string): Promise<readonly Certificate[]>;
}

export interface Delivery {
  /** From now on its lane is worked on. Replaces an earlier connection of the same party. */
  connect(connected: Connected): Promise<void>;
  disconnect(party: Party): Promise<void>;
  party(party: Party): LiveParty | undefined;
  sources(): ReadonlyMap<Party, CertificateSource>;
  readonly departments: Departments;
  readonly desk: Desk;
  /** To be called by the store after each commit that made work. */
  readonly committed: Committed;
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

  const collector = new Collector({
    store,
    routing,
    contracts,
    clock,
    log,
    party,
    parties,
    sweepMs: settings.askSweepMs,
  });
  const dispatch = makeDispatcher({
    store,
    routing,
    contracts,
    clock,
    log,
    metrics,
    party,
    rematch: (name) => collector.rematch(name),
  });
  const relay = new Relay({
    store,
    bus,
    clock,
    log,
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
    going.guard.close();
    await bounded(drained, LAST_WORDS_MS, clock);
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
      contracts,
      clock,
      log,
    }),
    desk: makeDesk(store, routing, (lane) => live.has(lane), log),
    committed: (lanes) => relay.wake(lanes),

    async connect({ facts, adapter }) {
      await disconnect(facts.party);
      const guard = new Guard({ facts, clock, log, metrics });
      const { certificates } = adapter;
      const source: CertificateSource | undefined =
        certificates === undefined
          ? undefined
          : {
              types: facts.certificates,
              ask: (query, traceparent) =>
                guard.call({ group: 'certificates', name: query.type, write: false, attempt: 1, traceparent }, (call) =>
                  certificates.call(adapter, query, call),
                ),
            };
      const subscription = await bus.subscribe(facts.party, dispatch, { concurrency: facts.terms.concurrency });
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
