import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, type TestContext, test } from 'node:test';
import { type Channel, connect } from 'amqplib';
import { wallClock } from '../../contracts/ports/clock.ts';
import { PUBLIC_EVENTS, type Store } from '../../contracts/ports/store.ts';
import { BoundQueue } from '../../test/support/bound-queue.ts';
import { type LogLine, logInto } from '../../test/support/party.ts';
import { TcpProxy } from '../../test/support/proxy.ts';
import { rabbitmq } from '../../test/support/services.ts';
import { until } from '../../test/support/world.ts';
import { openStore } from '../store/open.ts';
import { EventRelay, type EventRelayParts } from './event-relay.ts';
import { type RabbitBus, rabbitBus } from './rabbitmq.ts';

const broker = await rabbitmq();
const url = 'missing' in broker ? '' : broker.url;
const clock = wallClock;

describe('the relay of the events for others', { skip: 'missing' in broker ? broker.missing : false }, () => {
  /** A store, and names of its own on the broker. `relay` is a node's; all are stopped with the test. */
  async function open(t: TestContext) {
    const prefix = `test-${randomUUID().slice(0, 8)}`;
    const exchange = `${prefix}.events`;
    const lines: LogLine[] = [];
    const relays: EventRelay[] = [];
    const store = await openStore({
      file: ':memory:',
      clock,
      log: logInto(lines),
      committed(lanes) {
        if (lanes.includes(PUBLIC_EVENTS)) for (const relay of relays) relay.wake();
      },
    });
    const queues: BoundQueue[] = [];
    const buses: RabbitBus[] = [];
    t.after(async () => {
      for (const relay of relays) await relay.stop();
      for (const bus of buses) await bus.close();
      for (const queue of queues) await queue.close();
      await store.close();
      await raw(async (channel) => {
        await channel.deleteQueue(`${prefix}.others`);
        for (const each of ['news', 'events']) await channel.deleteExchange(`${prefix}.${each}`);
      });
    });
    let count = 0;
    return {
      store,
      lines,
      exchange,
      async bus(at = url): Promise<RabbitBus> {
        const bus = await rabbitBus({ url: at, prefix, clock, log: logInto(lines), begin: async () => undefined });
        buses.push(bus);
        return bus;
      },
      relay(bus: RabbitBus, over: Partial<EventRelayParts> = {}): EventRelay {
        const relay = new EventRelay({
          store,
          exchange: bus.events,
          source: '/onewindow/331124',
          node: randomUUID(),
          clock,
          log: logInto(lines),
          sweepMs: 300,
          ...over,
        });
        relays.push(relay);
        relay.start();
        return relay;
      },
      async bind(): Promise<BoundQueue> {
        const queue = await BoundQueue.open(url, { exchange, queue: `${prefix}.others`, keys: ['#'] });
        queues.push(queue);
        return queue;
      },
      /** The next `n` numbers, told together. */
      tell: (n: number) =>
        store.tell(
          Array.from({ length: n }, () => ({
            id: randomUUID(),
            kind: 'case.progressed' as const,
            subject: '331124261123000001',
            sequence: String(++count).padStart(10, '0'),
            time: '2026-11-23T09:00:00.000+08:00',
            traceparent: null,
            keys: ['case.progressed.tea-office'],
            data: { n: count },
          })),
        ),
      /** Waits until all that was told has come, each first in its turn; what waits then in the store. */
      async allCome(queue: BoundQueue, from = 1): Promise<void> {
        await until(() => queue.first.length >= count - from + 1 || undefined, 20_000, `${count} events`);
        assert.deepEqual(
          queue.first.map(({ data }) => data.n),
          Array.from({ length: count - from + 1 }, (_, i) => from + i),
        );
        await until(async () => (await store.unpublished(1)).length === 0 || undefined, 5_000, 'nothing left');
      },
    };
  }

  async function raw(work: (channel: Channel) => Promise<unknown>): Promise<void> {
    const connection = await connect(url);
    try {
      await work(await connection.createChannel());
    } finally {
      await connection.close();
    }
  }

  test('what was told comes in order, more than a batch of it, each once; also what was told before it started', async (t) => {
    const { bus, bind, relay, tell, allCome } = await open(t);
    const own = await bus();
    await until(async () => own.events.open || undefined);
    const queue = await bind();
    await tell(300);
    relay(own);
    await tell(50);
    await allCome(queue);
    assert.equal(queue.events.length, 350);
  });

  test('two relays over one store: each event is published by one of them; what one leaves the other takes up', async (t) => {
    const { bus, bind, relay, tell, allCome } = await open(t);
    const [one, two] = [await bus(), await bus()];
    const queue = await bind();
    // Long enough that no pause of this machine ends the right.
    const slowly = { sweepMs: 1_000 };
    const relays = [relay(one, slowly), relay(two, slowly)];
    for (let n = 0; n < 10; n += 1) await tell(20);
    await allCome(queue);
    assert.equal(queue.events.length, 200, 'none came twice');
    // Whichever of them publishes, it is one of these.
    for (const each of relays) {
      const telling = tell(200);
      await Promise.all([telling, each.stop()]);
      await tell(20);
      if (each === relays[0]) await allCome(queue);
    }
    relay(one, slowly);
    await allCome(queue);
    assert.equal(queue.events.length, 640, 'none came twice');
  });

  test('a node that died with the right to publish keeps the others from it no longer than it lasts', async (t) => {
    const { store, bus, bind, relay, tell, allCome } = await open(t);
    const own = await bus();
    const queue = await bind();
    const ends = clock.now() + 1_000;
    await store.claim('public events', 'dead', clock.now(), ends);
    relay(own);
    await tell(3);
    await allCome(queue);
    assert.ok(clock.now() >= ends, 'it waited for who had the right');
  });

  test('confirmed and not forgotten, they are published again under the same ids, and still in order', async (t) => {
    const { store, bus, bind, relay, tell, allCome } = await open(t);
    const own = await bus();
    const queue = await bind();
    let failures = 0;
    const published: Store['published'] = async (seqs) => {
      failures += 1;
      if (failures <= 2) throw new Error('the store is away');
      return store.published(seqs);
    };
    await tell(5);
    relay(own, { store: { ...store, published } });
    await until(() => failures > 0 || undefined);
    await tell(5);
    await allCome(queue);
    assert.ok(queue.events.length > 10, `${queue.events.length} came`);
  });

  test('an exchange that is deleted is declared again, and keeps nothing back', async (t) => {
    const { store, bus, bind, relay, tell, allCome, exchange, lines } = await open(t);
    const own = await bus();
    await (await bind()).close();
    relay(own);
    await raw((channel) => channel.deleteExchange(exchange));
    await tell(4);
    // Nobody is bound at the new one: these go nowhere, and keep nothing back.
    await until(async () => (await store.unpublished(1)).length === 0 || undefined);
    const queue = await bind();
    await tell(4);
    await allCome(queue, 5);
    assert.deepEqual(
      lines.filter(({ level }) => level === 'error'),
      [],
    );
    assert.equal(own.connected(), true, 'the connection of the leases lives');
  });

  test('a broker that is away is waited for; of too many the oldest are given up, and that rings', async (t) => {
    const { store, bus, bind, relay, tell, allCome, lines } = await open(t);
    const first = await bus();
    await until(() => first.events.open || undefined);
    const queue = await bind();
    const wire = await TcpProxy.to({ host: new URL(url).hostname, port: Number(new URL(url).port || 5672) });
    t.after(() => wire.close());
    await wire.refuse();
    const own = await bus(wire.url(url));
    await tell(5);
    relay(own, { most: 30 });
    await until(() => lines.some(({ message }) => message.startsWith('events for others wait')) || undefined);
    assert.equal((await store.unpublished(100)).length, 5);
    await tell(95);
    await until(() => lines.find(({ level }) => level === 'error'));
    assert.deepEqual(
      lines.filter(({ level }) => level === 'error').map(({ message, fields }) => [message, fields.events]),
      [['events for others were given up: too many wait for the broker', 70]],
    );
    await wire.accept();
    await allCome(queue, 71);
  });

  test('an idle relay asks the store once a sweep, and nothing else', async (t) => {
    const { store, bus, bind, relay, tell, allCome } = await open(t);
    const own = await bus();
    const queue = await bind();
    const asked: string[] = [];
    const counted = new Proxy(store, {
      get:
        (of, name) =>
        (...what: unknown[]) => {
          asked.push(String(name));
          return (of[name as keyof Store] as (...what: unknown[]) => unknown)(...what);
        },
    });
    relay(own, { store: counted, sweepMs: 200 });
    await tell(1);
    await allCome(queue);
    asked.length = 0;
    await until(() => asked.length >= 5 || undefined);
    assert.deepEqual([...new Set(asked)], ['unpublished']);
  });
});
