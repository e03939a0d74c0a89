import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import type { PartyFacts, Terms } from '../../contracts/ports/adapter.ts';
import type { Bus } from '../../contracts/ports/bus.ts';
import type { Catalogue, Item, RouteStep } from '../../contracts/ports/item.ts';
import type { Store } from '../../contracts/ports/store.ts';
import { inProcessBus } from '../../gateway/bus/in-process.ts';
import { makeContracts } from '../../gateway/contracts/registry.ts';
import { type Delivery, makeDelivery } from '../../gateway/delivery/delivery.ts';
import { makeRouting } from '../../gateway/routing/routing.ts';
import { openStore } from '../../gateway/store/open.ts';
import { type LogLine, logInto, metricsInto, partyFacts, words } from './party.ts';
import { newCase } from './sample-case.ts';
import { TEA_CONTRACTS, TeaOffice } from './tea-office.ts';
import { settle, VirtualClock } from './virtual-clock.ts';

export const SETTINGS = {
  leaseMs: 10_000,
  sweepMs: 10_000,
  stopMs: 3_000,
  askSweepMs: 10_000,
  alarmAfterMs: 300_000,
  messageDays: 30,
};

export interface EngineOptions {
  readonly terms?: Partial<Terms>;
  readonly facts?: Partial<PartyFacts>;
  readonly able?: Parameters<TeaOffice['adapter']>[0];
  readonly steps?: number;
  readonly aroundStore?: (store: Store) => Store;
  readonly aroundBus?: (bus: Bus) => Bus;
  readonly settings?: Partial<typeof SETTINGS>;
}

const RESULT = { contract: 'tea-office.work@1', result: 'tea-office.work.result@1' };
export const REPLIES = {
  atOnce: { delivers: [{ ...RESULT, replies: 'atOnce' as const }] },
  later: { delivers: [{ ...RESULT, replies: 'later' as const }] },
  never: { delivers: [{ contract: 'tea-office.work@1', result: null, replies: 'never' as const }] },
};

const QUERIES = ['garden', 'empty'].map((name) => ({
  name,
  title: words(name),
  request: 'tea-office.garden@1',
  reply: 'tea-office.garden.reply@1',
}));

function item(steps: number): Item {
  const route = Array.from({ length: steps }, (_, i): RouteStep => {
    const no = String(i + 1).padStart(2, '0');
    return {
      no,
      title: words(no),
      party: 'tea-office',
      contract: 'tea-office.work@1',
      after: i === 0 ? [] : [String(i).padStart(2, '0')],
      blocking: true,
      map: async () => ({ no }),
    };
  });
  return {
    code: 'item',
    version: '0123456789abcdef',
    title: words('item'),
    area: words('area'),
    owner: { name: 'owner', uscc: '11331124QA00000149' },
    form: 'form@1',
    promised: { limit: 1, unit: 'wd' },
    statutory: { limit: 1, unit: 'wd' },
    basis: 'law',
    materials: [],
    rules: [],
    route,
  };
}

export type Engine = Awaited<ReturnType<typeof engine>>;

/** The delivery engine over the real store, bus, contracts and route, with one office at the other end, in a time of its own. */
export async function engine(t: TestContext, options: EngineOptions = {}) {
  const { steps = 1, aroundStore = (store) => store, aroundBus = (bus) => bus } = options;
  const clock = new VirtualClock(t);
  const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-delivery-'));
  const lines: LogLine[] = [];
  const told: string[] = [];
  const office = new TeaOffice();
  const contracts = makeContracts(TEA_CONTRACTS);
  const only = item(steps);
  /** What the items are: a test may take one away. */
  const items = new Map([[only.code, only]]);
  const catalogue: Catalogue = { get: (code) => items.get(code), list: () => [...items.values()] };
  const facts = partyFacts(options.terms, {
    ...REPLIES.atOnce,
    queries: QUERIES,
    documents: [],
    verifies: false,
    takesCallbacks: true,
    ...options.facts,
  });

  /** One process's worth: started, and stopped again with the test. */
  async function run(settings = { ...SETTINGS, ...options.settings }) {
    const woken: ((lanes: readonly string[]) => void)[] = [];
    const inner = await openStore({
      dataDir: folder,
      clock,
      log: logInto(lines),
      committed: (lanes) => {
        for (const wake of woken) wake(lanes);
      },
    });
    const store = aroundStore(inner);
    const routing = makeRouting({
      catalogue,
      contracts,
      clock,
      window: 'window',
      deliverable: (party, contract) =>
        deliveries[0]?.party(party)?.facts.delivers.find((each) => each.contract === contract),
      hashOf: (idNo) => idNo,
      log: logInto(lines),
    });
    const deliveries: Delivery[] = [];
    /** A node: several may share the store. */
    const node = async (over: Store = store): Promise<Delivery> => {
      const inner = inProcessBus();
      const delivery = makeDelivery({
        store: over,
        bus: aroundBus(inner),
        routing,
        contracts,
        clock,
        log: logInto(lines),
        metrics: metricsInto(told),
        changed: async () => {},
        settings,
      });
      deliveries.push(delivery);
      woken.push((lanes) => delivery.committed(lanes));
      await delivery.connect({ facts, adapter: office.adapter(options.able) });
      delivery.start();
      return delivery;
    };
    const delivery = await node();
    let over = false;
    const stop = async (): Promise<void> => {
      if (over) return;
      over = true;
      const stopping = Promise.all(deliveries.map((each) => each.stop())).then(() => inner.close());
      let stopped = false;
      void stopping.then(() => {
        stopped = true;
      });
      await clock.until('the stop', () => stopped);
    };
    return {
      store,
      routing,
      delivery,
      node,
      stop,
      async submit(applicationNo: string): Promise<string> {
        const sample = newCase({ applicationNo, parties: Array(steps).fill('tea-office'), acceptedAt: clock.now() });
        const accepting = store.accept({
          ...sample,
          async open(caseNo) {
            const { record } = await sample.open(caseNo);
            return { record, change: await routing.opened(record) };
          },
        });
        await settle();
        return (await accepting).record.caseNo;
      },
      envelopes: async (state?: 'waiting' | 'leased' | 'delivered' | 'refused' | 'parked' | 'cancelled') =>
        (await store.envelopes({ party: 'tea-office', limit: 100, ...(state === undefined ? {} : { state }) })).rows,
      step: async (caseNo: string, no = '01') => (await store.caseOf(caseNo))?.steps.find((each) => each.no === no),
    };
  }

  const first = await run();
  const runs = [first];
  t.after(async () => {
    for (const each of runs) await each.stop();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    ...first,
    clock,
    office,
    contracts,
    items,
    lines,
    told,
    of: (level: LogLine['level'], message?: string) =>
      lines.filter((line) => line.level === level && (message === undefined || line.message === message)),
    /** Stops this process, and starts another over the same data. */
    async restart() {
      await runs.at(-1)?.stop();
      const next = await run();
      runs.push(next);
      return next;
    },
  };
}
