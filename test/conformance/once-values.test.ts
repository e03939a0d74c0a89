import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadParties } from '../../adapters/load.ts';
import type { Adapter, Call, PartyFolder } from '../../contracts/ports/adapter.ts';
import type { Envelope, JsonObject } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { OnceValues } from '../../contracts/ports/once-values.ts';
import type { Store } from '../../contracts/ports/store.ts';
import { openStore } from '../../gateway/store/open.ts';
import { FarSide } from '../support/far-side.ts';
import { HandClock } from '../support/hand-clock.ts';
import * as services from '../support/services.ts';

const parties = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'support', 'parties');
const mill: PartyFolder = (await loadParties(parties)).find(({ party }) => party === 'mill') ?? assert.fail();
const DATABASE = { poolSize: 4, connectTimeoutMs: 2_000, statementTimeoutMs: 5_000, lockTimeoutMs: 1_000 };
const engine = await services.postgres();

const BEFORE_MIDNIGHT = Date.parse('2026-11-23T23:59:50+08:00');
const call = (more: Partial<Call> = {}): Call => ({
  signal: AbortSignal.timeout(5_000),
  attempt: 1,
  log: silent,
  traceparent: '',
  ...more,
});
const envelope = (id: string, contract = 'mill.grind@1', more: Partial<Envelope> = {}): Envelope => ({
  id,
  caseNo: id.slice(0, 18),
  stepNo: '02',
  to: 'mill',
  contract,
  body: {},
  traceparent: '',
  createdAt: 0,
  ...more,
});
const faultOf = async (run: () => Promise<unknown>): Promise<Fault> => {
  try {
    await run();
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    return error;
  }
  return assert.fail('it should have failed');
};

/** A party on a real socket, and adapters for it as several nodes would make them. */
async function farSide(t: TestContext) {
  const far = new FarSide();
  const baseUrl = await far.open();
  const adapters: Adapter[] = [];
  t.after(async () => {
    for (const adapter of adapters) await adapter.close();
    await far.close();
  });
  const node = (clock: HandClock, values?: OnceValues): Adapter => {
    const { adapter } = mill.connect({ baseUrl }, { clock, log: silent, ...(values === undefined ? {} : { values }) });
    adapters.push(adapter);
    return adapter;
  };
  const sent = (at: string): readonly JsonObject[] =>
    far.on(at).map(({ body, headers }) => ({
      ...(JSON.parse(body) as JsonObject),
      header: String(headers['x-number'] ?? ''),
    }));
  /** In the clock's own time: a party that told another would be written to in that one. */
  const says = (at: string, saying: JsonObject): void =>
    far.says(at, { raw: JSON.stringify(saying), headers: { date: '-' } });
  return { far, node, sent, says };
}

interface Engine {
  readonly name: string;
  readonly skip: string | false;
  /** Opens the same data each time. */
  readonly data: (t: TestContext, clock: HandClock) => Promise<() => Promise<Store>>;
}

const engines: readonly Engine[] = [
  {
    name: 'embedded',
    skip: false,
    async data(t, clock) {
      const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-once-'));
      t.after(() => rm(folder, { recursive: true, force: true }));
      return () => openStore({ dataDir: folder, clock, log: silent });
    },
  },
  {
    name: 'PostgreSQL',
    skip: 'missing' in engine ? engine.missing : false,
    async data(t, clock) {
      if ('missing' in engine) return assert.fail(engine.missing);
      const { url, drop } = await services.freshDatabase(engine.url);
      t.after(drop);
      return () => openStore({ databaseUrl: url, database: DATABASE, clock, log: silent });
    },
  },
];

for (const { name, skip, data } of engines)
  describe(`a value that is fixed before the first send, over ${name}`, { skip }, () => {
    test('repeat "with the same day and sequence number": in every resend and inquiry, after midnight and over a restart', async (t) => {
      const clock = new HandClock(BEFORE_MIDNIGHT);
      const { far, node, sent, says } = await farSide(t);
      const open = await data(t, clock);
      far.says('/grind', 'hangUp');
      says('/look', { means: 'none' });
      const one = envelope('331124261123000001-02');

      let store = await open();
      assert.equal((await faultOf(() => node(clock, store).deliver(one, call()))).kind, 'inDoubt');
      const [first] = sent('/grind');
      assert.match(String(first?.number), /^20261123\d{6}$/);
      assert.equal(first?.header, first?.number, 'the same within a message');
      assert.equal(first?.at, BEFORE_MIDNIGHT);
      await store.close();

      clock.move(60_000);
      store = await open();
      t.after(() => store.close());
      const second = node(clock, store);
      assert.equal(await second.inquire?.(one, call()), 'neverArrived');
      says('/grind', { means: 'filed', number: 'M1' });
      await second.deliver(one, call({ attempt: 2 }));
      says('/look', { means: 'pending' });
      await second.collect?.([{ envelope: one, number: 'M1', deliveredAt: 0 }], async () => 'applied', call());
      for (const { number, at, header } of [...sent('/look'), ...sent('/grind')])
        assert.deepEqual([number, at, header], [first?.number, first?.at, first?.number]);
      assert.equal(sent('/look').length, 2);

      await second.deliver(envelope('331124261123000002-02'), call());
      const other = String(sent('/grind').at(-1)?.number);
      assert.match(other, /^20261124\d{6}$/, 'another envelope has its own');
    });

    test('nodes that send the same envelope at once send the same value', async (t) => {
      const clock = new HandClock(BEFORE_MIDNIGHT);
      const { node, sent, says } = await farSide(t);
      const open = await data(t, clock);
      const store = await open();
      t.after(() => store.close());
      says('/grind', { means: 'filed', number: 'M1' });
      const nodes = Array.from({ length: 6 }, () => node(clock, store));
      await Promise.all(nodes.map((each) => each.deliver(envelope('331124261123000003-02'), call())));
      assert.equal(sent('/grind').length, 6);
      assert.equal(new Set(sent('/grind').map(({ number }) => number)).size, 1);
    });
  });

describe('a value that is fixed before the first send', () => {
  /** What it is asked, in order. */
  function watched(more: Partial<OnceValues> = {}): OnceValues & { readonly asked: string[] } {
    const kept = new Map<string, JsonObject>();
    const asked: string[] = [];
    return {
      asked,
      async once(id, name, value) {
        asked.push(`once ${name}`);
        const own = kept.get(id) ?? {};
        own[name] ??= value;
        kept.set(id, own);
        return own[name] ?? null;
      },
      async onceValues(id) {
        asked.push('onceValues');
        return { ...kept.get(id) };
      },
      ...more,
    };
  }

  test('the store is asked at the first use in an operation, and never by a mapping without it', async (t) => {
    const clock = new HandClock(BEFORE_MIDNIGHT);
    const { node, says } = await farSide(t);
    says('/grind', { means: 'filed', number: 'M1' });
    says('/store', { means: 'filed', number: 'M1' });
    says('/ping', { means: 'filed' });
    const values = watched();
    const adapter = node(clock, values);
    await adapter.deliver(envelope('331124261123000001-02'), call());
    assert.deepEqual(values.asked.splice(0).sort(), ['once at', 'once number', 'onceValues']);
    await adapter.deliver(envelope('331124261123000001-02'), call());
    assert.deepEqual(values.asked.splice(0), ['onceValues'], 'what is kept is not made again');
    await adapter.deliver(envelope('331124261123000002-02', 'mill.store@1'), call());
    await adapter.probe(call());
    assert.deepEqual(values.asked, []);
  });

  for (const [what, more] of [
    ['is away', { onceValues: () => Promise.reject(new Error('away')) }],
    ['does not keep it', { once: () => Promise.reject(new Error('away')) }],
    ['says nothing', { once: () => new Promise<never>(() => {}) }],
  ] as const)
    test(`a store that ${what} makes the delivery busy, and nothing is sent`, async (t) => {
      const clock = new HandClock(BEFORE_MIDNIGHT);
      const { far, node } = await farSide(t);
      const adapter = node(clock, watched(more));
      const delivering = faultOf(() => adapter.deliver(envelope('331124261123000001-02'), call()));
      const waits = setInterval(() => clock.move(400), 20);
      const fault = await delivering.finally(() => clearInterval(waits));
      assert.deepEqual([fault.kind, fault.reason.code, fault.maybeArrived], ['busy', 'onceUnknown', false]);
      assert.ok((fault.until ?? 0) > BEFORE_MIDNIGHT);
      assert.equal(far.asked.length, 0);
    });

  test('an adapter that is alone keeps it in memory', async (t) => {
    const clock = new HandClock(BEFORE_MIDNIGHT);
    const { node, sent, says } = await farSide(t);
    says('/grind', { means: 'filed', number: 'M1' });
    const adapter = node(clock);
    for (let n = 0; n < 2; n += 1) {
      await adapter.deliver(envelope('331124261123000001-02'), call());
      clock.move(60_000);
    }
    assert.equal(new Set(sent('/grind').map(({ number }) => number)).size, 1);
  });

  test('`envelope.firstSentAt` is the time of the first send: as the store knows it, and now where it goes out for the first time', async (t) => {
    const clock = new HandClock(BEFORE_MIDNIGHT);
    const { far, node, sent, says } = await farSide(t);
    says('/store', { means: 'filed', number: 'M1' });
    says('/grind', { means: 'filed', number: 'M1' });
    says('/look', { means: 'none' });
    const adapter = node(clock);
    await adapter.deliver(envelope('331124261123000001-02', 'mill.grind@1'), call());
    assert.equal(sent('/grind')[0]?.firstSentAt, BEFORE_MIDNIGHT);
    clock.move(60_000);
    const firstSentAt = BEFORE_MIDNIGHT - 5;
    const again = envelope('331124261123000002-02', 'mill.grind@1', { firstSentAt });
    await adapter.deliver(again, call());
    await adapter.inquire?.(again, call());
    await adapter.collect?.([{ envelope: again, number: 'M1', deliveredAt: 0 }], async () => 'applied', call());
    assert.deepEqual(
      [...sent('/grind').slice(1), ...sent('/look')].map((each) => each.firstSentAt),
      [firstSentAt, firstSentAt, firstSentAt],
    );
    await adapter.deliver(envelope('331124261123000003-02', 'mill.store@1', { firstSentAt }), call());
    assert.equal(far.on('/store')[0]?.headers['x-first'], String(firstSentAt), 'also where it is sealed');
  });
});
