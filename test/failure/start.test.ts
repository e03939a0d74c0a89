import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startSimulated } from '../../adapters/simulated.ts';
import { loadSettings } from '../../config/load.ts';
import type { Settings } from '../../config/settings.ts';
import type { Adapter } from '../../contracts/ports/adapter.ts';
import type { Bus } from '../../contracts/ports/bus.ts';
import { wallClock } from '../../contracts/ports/clock.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { Simulator } from '../../contracts/ports/simulator.ts';
import { type Gateway, type Means, start } from '../../gateway/main.ts';
import { openStore } from '../../gateway/store/open.ts';
import { begun, COMBINATIONS, EMBEDDED, type Engines, lacking, nameOf } from '../support/engines.ts';
import { until } from '../support/world.ts';

const SIMULATORS = fileURLToPath(new URL('../../console/simulators.ts', import.meta.url));

/** Nobody listens there; nothing is sent before there is work. */
const PARTIES = {
  window: { baseUrl: 'http://127.0.0.1:1', appKey: 'one-window', appSecret: 'window-secret' },
  tax: { baseUrl: 'http://127.0.0.1:1' },
  'social-security': { host: '127.0.0.1', port: 1, macKey: '0123456789ABCDEF' },
};

interface Place {
  readonly settings: Settings;
  /** What keeps this process alive goes back to what it was, and the data can be opened again at once. */
  nothingIsOpen(): Promise<void>;
}

/** A folder, and where the engines ask for them a database and a name on the broker; all of it is taken away again. */
async function place(t: TestContext, engines: Engines): Promise<Place> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'onewindow-start-'));
  const begunEngines = await begun(engines);
  t.after(async () => {
    await begunEngines.end(Object.keys(PARTIES));
    await rm(dataDir, { recursive: true, force: true });
  });
  const loaded = await loadSettings({ DATA_DIR: dataDir, PORT: '0' }, ['--demo']);
  const settings: Settings = { ...loaded, parties: PARTIES, ...begunEngines.over };
  const before = alive();
  return {
    settings,
    async nothingIsOpen() {
      // What a connection leaves behind when it has ended takes a turn or two.
      await until(
        () => alive().every(([kind, count]) => count <= (new Map(before).get(kind) ?? 0)),
        10_000,
        'the end of all',
      ).catch(() => assert.deepEqual(alive(), before));
      if (settings.databaseUrl !== undefined) return;
      const store = await openStore({ dataDir, clock: wallClock, log: silent });
      await store.close();
    },
  };
}

/** How many there are of each kind of what keeps this process alive. */
const alive = (): [string, number][] =>
  [...Map.groupBy(process.getActiveResourcesInfo(), (kind) => kind)].map(([kind, all]) => [kind, all.length]);

const failing = (what: string) => () => {
  throw new Error(`${what} fails`);
};

/** The steps of a start at which something else than settings can go wrong, in their order. */
const STEPS: readonly (readonly [string, () => Means])[] = [
  ['the store is wrapped', () => ({ aroundStore: failing('the wrapper') })],
  ['the bus is wrapped', () => ({ aroundBus: failing('the wrapper') })],
  ['the bus is listened to', () => ({ aroundBus: (bus: Bus) => ({ ...bus, hear: failing('listening') }) })],
  [
    'the last party connects',
    () => {
      let lanes = 0;
      return {
        aroundBus: (bus: Bus) => ({
          ...bus,
          subscribe: async (...given: Parameters<Bus['subscribe']>) => {
            lanes += 1;
            if (lanes === Object.keys(PARTIES).length) throw new Error('its lane fails');
            return bus.subscribe(...given);
          },
        }),
      };
    },
  ],
  [
    'everything runs already, and only that cannot be told',
    () => ({
      log: {
        ...silent,
        info(message: string) {
          if (message === 'ready') throw new Error('the log fails');
        },
      },
    }),
  ],
];

for (const engines of [EMBEDDED, COMBINATIONS.at(-1) as Engines]) {
  describe(`a start that fails leaves nothing open: ${nameOf(engines)}`, { skip: await lacking(engines) }, () => {
    for (const [name, means] of STEPS) {
      test(name, async (t) => {
        const { settings, nothingIsOpen } = await place(t, engines);
        const made: string[] = [];
        const closed: string[] = [];
        const aroundAdapter = (party: string, adapter: Adapter): Adapter => {
          made.push(party);
          return {
            ...adapter,
            async close() {
              closed.push(party);
              await adapter.close();
            },
          };
        };
        await assert.rejects(start(settings, { log: silent, ...means(), aroundAdapter }), /fails$/);
        assert.deepEqual(closed.toSorted(), made.toSorted(), 'every adapter is closed, and once');
        assert.equal(made.length, Object.keys(PARTIES).length);
        await nothingIsOpen();
      });
    }

    test('an adapter cannot be wrapped: those before it are closed', async (t) => {
      const { settings, nothingIsOpen } = await place(t, engines);
      const closed: string[] = [];
      const aroundAdapter = (party: string, adapter: Adapter): Adapter => {
        if (party === 'social-security') throw new Error('the adapter fails');
        return { ...adapter, close: async () => void closed.push(party) };
      };
      await assert.rejects(start(settings, { log: silent, aroundAdapter }), /fails$/);
      assert.deepEqual(closed.toSorted(), ['tax', 'window']);
      await nothingIsOpen();
    });

    test('the port is taken', async (t) => {
      const taken = createServer();
      t.after(() => taken.close());
      await once(taken.listen(0, '127.0.0.1'), 'listening');
      const { settings, nothingIsOpen } = await place(t, engines);
      const { port } = taken.address() as AddressInfo;
      await assert.rejects(start({ ...settings, port }, { log: silent }), { name: 'NotListening' });
      await nothingIsOpen();
    });

    test('the data was begun with another key', async (t) => {
      const { settings, nothingIsOpen } = await place(t, engines);
      const first = await start(settings, { log: silent });
      await first.stop();
      const other = { ...settings, holderHashKey: randomBytes(32).toString('hex') };
      await assert.rejects(start(other, { log: silent }), /holderHashKey/);
      await nothingIsOpen();
    });

    test('settings of a party are wrong: nothing was opened', async (t) => {
      const { settings, nothingIsOpen } = await place(t, engines);
      const parties = { ...PARTIES, tax: { ...PARTIES.tax, baseUrl: 5 } };
      await assert.rejects(start({ ...settings, parties }, { log: silent }), { name: 'SettingsError' });
      await nothingIsOpen();
    });

    test('what is closed after a failure and cannot be closed hides neither the reason nor keeps the rest open', async (t) => {
      const { settings, nothingIsOpen } = await place(t, engines);
      const told: string[] = [];
      const means: Means = {
        log: { ...silent, error: (message, fields) => void told.push(`${message}: ${fields?.what}`) },
        aroundBus: (bus) => ({
          ...bus,
          hear: failing('listening'),
          async close() {
            await bus.close();
            throw new Error('the goodbye was not heard');
          },
        }),
      };
      await assert.rejects(start(settings, means), /listening fails$/);
      assert.deepEqual(told, ['a part could not be closed: bus']);
      await nothingIsOpen();
    });

    test('a stop closes everything, whatever part of it fails, and once', async (t) => {
      const { settings, nothingIsOpen } = await place(t, engines);
      const told: string[] = [];
      let closes = 0;
      const means: Means = {
        log: { ...silent, error: (message, fields) => void told.push(`${message}: ${fields?.what}`) },
        aroundBus: (bus) => ({
          ...bus,
          async close() {
            closes += 1;
            await bus.close();
            throw new Error('the goodbye was not heard');
          },
        }),
      };
      const gateway = await start(settings, means);
      await Promise.all([gateway.stop(), gateway.stop()]);
      await gateway.stop();
      assert.equal(closes, 1);
      assert.deepEqual(told, ['a part could not be closed: bus']);
      await nothingIsOpen();
    });
  });
}

test('a second start on the same data is refused, leaves nothing open, and harms the first in nothing', async (t) => {
  const { settings, nothingIsOpen } = await place(t, EMBEDDED);
  const first: Gateway = await start(settings, { log: silent });
  await assert.rejects(start(settings, { log: silent }), { name: 'NotOpened' });
  assert.equal((await fetch(`${first.url}/readyz`)).status, 200);
  await first.stop();
  await nothingIsOpen();
});

test('a broker whose address is none: the store is closed', async (t) => {
  const { settings, nothingIsOpen } = await place(t, EMBEDDED);
  for (const amqpUrl of ['no address', 'amqp://user:pass word@[:5672'])
    await assert.rejects(start({ ...settings, amqpUrl }, { log: silent }), { name: 'BrokerRefused' });
  await nothingIsOpen();
});

const BROKER: Engines = { store: 'SQLite', bus: 'RabbitMQ' };
test('a broker that does not let us in: the store is closed, and no connection is left or made anew', {
  skip: await lacking(BROKER),
}, async (t) => {
  const { settings, nothingIsOpen } = await place(t, BROKER);
  const url = new URL(settings.amqpUrl ?? '');
  url.password = randomUUID();
  await assert.rejects(start({ ...settings, amqpUrl: url.href }, { log: silent }), { name: 'BrokerRefused' });
  await nothingIsOpen();
});

test('a database that is not there: nothing is left open', async (t) => {
  const { settings, nothingIsOpen } = await place(t, EMBEDDED);
  const databaseUrl = 'postgres://nobody@127.0.0.1:1/none';
  await assert.rejects(start({ ...settings, databaseUrl }, { log: silent }), { name: 'NotOpened' });
  await nothingIsOpen();
});

test('the simulators alone, with their port taken: they say so in one sentence, and end', async (t) => {
  const taken = createServer();
  t.after(() => taken.close());
  await once(taken.listen(0, '127.0.0.1'), 'listening');
  const { port } = taken.address() as AddressInfo;
  const child = spawn(process.execPath, [SIMULATORS, '--port', String(port)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 60_000,
  });
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  assert.equal(code, 1);
  assert.match(said, /^--port: 端口 \d+ 已被占用 \/ port \d+ is in use\n$/);
});

test('simulated departments of which one does not start: the others are stopped', async () => {
  const listening = () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPServerWrap').length;
  const before = listening();
  const stopped: string[] = [];
  const office = (party: string, fails: boolean) => (): Simulator => {
    const server = createServer();
    return {
      party,
      filed: () => [],
      async start() {
        await once(server.listen(0, '127.0.0.1'), 'listening');
        if (fails) throw new Error('the office does not open');
        return { settings: {} };
      },
      mood: async () => {},
      async stop() {
        stopped.push(party);
        if (server.listening) await once(server.close(), 'close');
        if (party === 'rice-office') throw new Error('its door is stuck');
      },
    };
  };
  const makers = new Map([
    ['tea-office', office('tea-office', false)],
    ['rice-office', office('rice-office', false)],
    ['shut-office', office('shut-office', true)],
  ]);
  await assert.rejects(startSimulated(makers), /the office does not open/);
  assert.deepEqual(stopped, ['shut-office', 'rice-office', 'tea-office']);
  await until(() => listening() <= before, 10_000, 'the end of their sockets');
});
