import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, type TestContext, test } from 'node:test';
import { setTimeout as rest } from 'node:timers/promises';
import { type ConfirmChannel, connect } from 'amqplib';
import { wallClock } from '../../contracts/ports/clock.ts';
import type { Lease } from '../../contracts/ports/store.ts';
import { BrokerRefused } from '../../gateway/bus/connection.ts';
import { type RabbitParts, rabbitBus } from '../../gateway/bus/rabbitmq.ts';
import { LeaseBook } from '../support/lease-book.ts';
import { type LogLine, logInto } from '../support/party.ts';
import { TcpProxy } from '../support/proxy.ts';
import type { RabbitNode } from '../support/rabbit-node.ts';
import { envelope } from '../support/sample-case.ts';
import { rabbitNode } from '../support/services.ts';

const LANE = 'tea-office';
const lease = (n: number, until = Date.now() + 60_000): Lease => ({
  envelope: envelope('331124261123000001', `W${n}`, LANE),
  fence: n,
  until,
  attempts: 0,
  inDoubt: false,
  doubtedAt: null,
  firstSentAt: 3,
  statutoryBy: 9,
  ended: false,
});

async function until(what: string, seen: () => boolean | Promise<boolean>, ms = 60_000): Promise<void> {
  for (const end = Date.now() + ms; !(await seen()); await rest(10))
    if (Date.now() > end) throw new Error(`${what}: not seen`);
}

/** Those that the operations page gives the gateway's user, for another prefix: configure, write, read. */
async function permissions(prefix: string): Promise<readonly string[]> {
  const page = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  const [, given = assert.fail('no permissions on the page')] =
    /rabbitmqctl set_permissions -p \/ onewindow \\\n((?: +'[^'\n]+'(?: \\)?\n){3})/.exec(page) ?? [];
  return [...given.matchAll(/'([^']+)'/g)].map(([, pattern = '']) => pattern.replaceAll('onewindow', prefix));
}

const started = await rabbitNode();
if ('missing' in started) test('a broker that fails', { skip: started.missing }, () => {});
else failures(started);

function failures(broker: RabbitNode): void {
  let count = 0;
  after(() => broker.discard());
  /** What the store of all nodes of a gateway has, by prefix. */
  const books = new Map<string, LeaseBook>();

  /** A bus with names of its own, closed with the test. */
  async function open(t: TestContext, parts: Partial<RabbitParts> = {}) {
    const lines: LogLine[] = [];
    count += 1;
    const prefix = `t${count}`;
    const all = { url: broker.url, prefix, clock: wallClock, log: logInto(lines), publishMs: 1_000, ...parts };
    const book = books.get(all.prefix) ?? new LeaseBook();
    books.set(all.prefix, book);
    const bus = book.over(await rabbitBus({ begin: book.begin, ...all }));
    t.after(() => bus.close());
    return { bus, book, lines, prefix: all.prefix, queue: `${all.prefix}.leases.${LANE}` };
  }

  /** Subscribes; what is handled, by number. */
  async function handled(bus: Awaited<ReturnType<typeof rabbitBus>>, concurrency = 4) {
    const got: number[] = [];
    const subscription = await bus.subscribe(LANE, async ({ fence }) => void got.push(fence), { concurrency });
    return { got, subscription };
  }

  async function proxied(t: TestContext, query = ''): Promise<{ wire: TcpProxy; url: string }> {
    const wire = await TcpProxy.to({ host: '127.0.0.1', port: broker.port });
    t.after(() => wire.close());
    return { wire, url: `${wire.url(broker.url)}${query}` };
  }

  /** Beside the bus: what an operator, or a stranger, does to a queue. */
  async function raw<T>(work: (channel: ConfirmChannel) => Promise<T>): Promise<T> {
    const connection = await connect(broker.url);
    try {
      return await work(await connection.createConfirmChannel());
    } finally {
      await connection.close();
    }
  }

  const held = async (queue: string): Promise<number> =>
    (await raw((channel) => channel.checkQueue(queue))).messageCount;

  test('a queue that is deleted is built again, and consumed', async (t) => {
    const { bus, queue, lines } = await open(t);
    const { got } = await handled(bus);
    await bus.publish(LANE, lease(1));
    await until('the first', () => got.length === 1);
    await broker.ctl('delete_queue', queue);
    await until('the end of the consumer', () => lines.some(({ fields }) => fields.reason === 'its queue was deleted'));
    await bus.publish(LANE, lease(2));
    await until('the second', () => got.length === 2);
    assert.deepEqual(got, [1, 2]);
  });

  test('a queue is a quorum queue that is bounded, and a message in it is kept on disk', async (t) => {
    const { bus, queue } = await open(t, { limit: 7 });
    await bus.publish(LANE, lease(1));
    const listed = await broker.ctl('list_queues', 'name', 'type', 'durable', 'arguments');
    const [line] = listed.split('\n').filter((each) => each.startsWith(`${queue}\t`));
    assert.match(
      line ?? '',
      /\tquorum\ttrue\t.*"x-max-length",7.*"x-max-length-bytes",1120.*"x-overflow","reject-publish"/,
    );
    const message = await raw((channel) => channel.get(queue));
    assert.ok(message !== false);
    assert.equal(message.properties.deliveryMode, 2);
    assert.ok(Number(message.properties.expiration) <= 60_000);
  });

  test('connections closed by an operator come back by themselves, with all that lived on them', async (t) => {
    const first = await open(t);
    const { bus } = first;
    const { got } = await handled(bus);
    const other = await open(t, { prefix: first.prefix });
    await broker.ctl('close_all_connections', 'by hand');
    await until('the end', () => !bus.connected());
    await until('the return', () => bus.connected() && other.bus.connected());
    await bus.publish(LANE, lease(1));
    await until('it', () => got.length === 1);
    await other.bus.publish(LANE, lease(2));
    await until('what the other gives', () => got.length === 2);
  });

  test('what was under way when the wire was cut ends, and nobody begins it a second time', async (t) => {
    const { wire, url } = await proxied(t);
    const { bus, prefix, queue, lines } = await open(t, { url });
    const other = await open(t, { prefix });
    let letGo = () => {};
    const began: number[] = [];
    await bus.subscribe(
      LANE,
      ({ fence }) => {
        began.push(fence);
        return new Promise((resolve) => {
          letGo = resolve;
        });
      },
      { concurrency: 1 },
    );
    await bus.publish(LANE, lease(1));
    await until('it', () => began.length === 1);
    const { got } = await handled(other.bus);
    await wire.refuse();
    await until('it is given out again', () =>
      other.lines.some(({ message }) => message.startsWith('a lease came a second time')),
    );
    await wire.accept();
    await until('the return', () => bus.connected());
    // One under way, though on a connection that is gone: the next waits.
    await bus.publish(LANE, lease(2));
    await other.bus.publish(LANE, lease(3));
    await until('the other has one or both', () => got.length >= 1);
    letGo();
    await until('each', () => began.length + got.length === 3);
    letGo();
    assert.deepEqual([...began, ...got].sort(), [1, 2, 3]);
    await until('nothing is left', async () => (await held(queue)) === 0);
    assert.equal(lines.filter(({ level }) => level === 'error').length, 0);
  });

  test('at most as many at a time also over a lost connection', async (t) => {
    const { wire, url } = await proxied(t);
    const { bus } = await open(t, { url });
    let most = 0;
    let ended = 0;
    /** Ends each handler that has come in, none of which ends by itself. */
    const within = new Set<() => void>();
    const beside: number[] = [];
    await bus.subscribe(
      LANE,
      async () => {
        const { promise, resolve } = Promise.withResolvers<void>();
        within.add(resolve);
        most = Math.max(most, within.size);
        await promise;
        within.delete(resolve);
        ended += 1;
      },
      { concurrency: 2 },
    );
    await bus.subscribe('rice-office', async ({ fence }) => void beside.push(fence), { concurrency: 1 });
    t.after(() => {
      for (const end of within) end();
    });
    await Promise.all([1, 2].map((n) => bus.publish(LANE, lease(n))));
    await until('two', () => within.size === 2);
    wire.cut();
    await until('the end', () => !bus.connected());
    await until('the return', () => bus.connected());
    await Promise.all([3, 4].map((n) => bus.publish(LANE, lease(n))));
    // What comes on another lane after them has come after one too many would have.
    await bus.publish('rice-office', lease(5));
    await until('what comes beside them', () => beside.length === 1);
    assert.equal(within.size, 2);
    await until('all', () => {
      for (const end of within) end();
      return ended === 4;
    });
    assert.equal(most, 2);
  });

  test('a virtual host that is wiped is furnished again', async (t) => {
    const furnish = async () => {
      await broker.ctl('add_vhost', 'wiped');
      await broker.ctl('set_permissions', '-p', 'wiped', 'guest', '.*', '.*', '.*');
    };
    await furnish();
    const { bus, lines } = await open(t, { url: `${broker.url}/wiped` });
    const { got } = await handled(bus);
    await bus.publish(LANE, lease(1));
    await until('the first', () => got.length === 1);
    await broker.ctl('delete_vhost', 'wiped');
    await until('the end', () => !bus.connected());
    await assert.rejects(bus.publish(LANE, lease(2)), /was not to be had within 1000 ms \(no connection\)/);
    await furnish();
    await until('the return', () => bus.connected());
    await bus.publish(LANE, lease(3));
    await until('the third', () => got.length === 2);
    assert.deepEqual(got, [1, 3]);
    assert.ok(lines.some(({ fields }) => /no such virtual host yet/.test(String(fields.reason))));
  });

  test('a broker short of memory: what is not sent is refused in time, what was is not sent twice, and consuming goes on', async (t) => {
    const { bus, lines } = await open(t);
    const { got } = await handled(bus);
    await bus.publish(LANE, lease(1));
    await broker.ctl('set_vm_memory_high_watermark', 'absolute', '1');
    // The first shows it: it is on the wire, and the broker reads it when it has memory again. So it is not refused.
    await bus.publish(LANE, lease(2));
    await until('the word of it', () => lines.some(({ message }) => message.startsWith('the broker takes nothing')));
    const begun = Date.now();
    await assert.rejects(bus.publish(LANE, lease(3)), /was not to be had within 1000 ms \(it is blocked\)/);
    assert.ok(Date.now() - begun < 20_000);
    assert.equal(bus.connected(), false);
    await broker.ctl('set_vm_memory_high_watermark', '0.4');
    await until('the second', () => got.includes(2));
    await bus.publish(LANE, lease(4));
    await until('the fourth', () => got.includes(4));
    assert.deepEqual(got, [1, 2, 4]);
  });

  test('a queue that is full refuses, and takes again when there is room', async (t) => {
    const { bus } = await open(t, { limit: 2 });
    let taken = 0;
    // The broker may take a few more than the bound before it says so.
    const filling = async () => {
      for (; taken < 50; taken += 1) await bus.publish(LANE, lease(taken));
    };
    await assert.rejects(filling(), /the broker does not take it .*full/);
    const { got } = await handled(bus);
    await until('room', () => got.length === taken);
    await bus.publish(LANE, lease(99));
    await until('the last', () => got.includes(99));
  });

  test('a lease that comes too late is not handled: the broker drops it, and what it does not drop the store does not give', async (t) => {
    const { bus, book, queue, lines } = await open(t);
    await bus.publish(LANE, lease(1, Date.now() + 50));
    await until('the broker drops it', async () => (await held(queue)) === 0);
    // As by a broker that keeps what it should have dropped.
    const over = lease(2, Date.now() - 1);
    book.keep(LANE, over);
    await bus.publish(LANE, lease(3));
    const kept = await raw((channel) => channel.get(queue, { noAck: true }));
    assert.ok(kept !== false);
    const { contentType, type, headers } = kept.properties;
    const late = Buffer.from(JSON.stringify({ lane: LANE, id: over.envelope.id, fence: over.fence }));
    await raw(async (channel) => {
      for (const content of [late, kept.content]) channel.sendToQueue(queue, content, { contentType, type, headers });
      await channel.waitForConfirms();
    });
    const { got } = await handled(bus);
    await until('the third', () => got.length === 1);
    assert.deepEqual(got, [3]);
    assert.equal(lines.filter(({ level }) => level === 'error').length, 0);
  });

  test('what was in the hand of a node that had not begun it is handled by whoever gets it next', async (t) => {
    const { wire, url } = await proxied(t);
    const { bus, book, prefix } = await open(t, { url });
    const first = await handled(bus, 1);
    // The store keeps the first node waiting for its answer.
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>();
    t.after(() => letGo());
    book.before = () => held;
    await bus.publish(LANE, lease(1));
    await until('the question', () => book.asked.length === 1);
    const other = await open(t, { prefix });
    book.before = async () => {};
    const second = await handled(other.bus, 1);
    await wire.refuse();
    await until('it', () => second.got.length === 1);
    letGo();
    await wire.accept();
    await until('the return', () => bus.connected());
    await Promise.all([2, 3].map((n) => bus.publish(LANE, lease(n))));
    await until('the others', () => first.got.length + second.got.length === 3);
    assert.deepEqual([...first.got, ...second.got].sort(), [1, 2, 3]);
    assert.ok(!first.got.includes(1));
  });

  test('a store that is away when a lease is to be begun: it is not handled, and the lane goes on', async (t) => {
    const { bus, book, queue, lines } = await open(t);
    book.before = async ({ fence }) => {
      if (fence === 1) throw new Error('the store is away');
    };
    const { got } = await handled(bus, 1);
    for (const n of [1, 2]) await bus.publish(LANE, lease(n));
    await until('the second', () => got.length === 1);
    assert.deepEqual(got, [2]);
    await until('nothing is left', async () => (await held(queue)) === 0);
    assert.ok(lines.some(({ level, message }) => level === 'warn' && message.startsWith('a lease could not be begun')));
    assert.ok(!lines.some(({ level }) => level === 'error'));
  });

  test('two nodes share a lane, each lease is handled once, and one that leaves leaves the rest to the other', async (t) => {
    const one = await open(t);
    const two = await open(t, { prefix: one.prefix });
    const first = await handled(one.bus, 2);
    const second = await handled(two.bus, 2);
    const numbers = Array.from({ length: 100 }, (_, n) => n);
    await Promise.all(numbers.map((n) => (n % 2 ? one : two).bus.publish(LANE, lease(n))));
    await until('all', () => first.got.length + second.got.length === 100);
    assert.ok(first.got.length > 10 && second.got.length > 10, `${first.got.length}, ${second.got.length}`);
    const back: number[] = [];
    await first.subscription.stop(async ({ fence }) => void back.push(fence));
    await Promise.all(numbers.map((n) => one.bus.publish(LANE, lease(100 + n))));
    await until('the rest', () => first.got.length + second.got.length === 200);
    assert.deepEqual(
      [...first.got, ...second.got].sort((a, b) => a - b),
      Array.from({ length: 200 }, (_, n) => n),
    );
    assert.deepEqual(back, []);
  });

  test('a wrong password is told plainly, and nothing is started', async () => {
    const url = broker.url.replace('guest:guest', 'guest:geheim');
    const parts = { url, prefix: 'refused', clock: wallClock, log: logInto([]), begin: async () => undefined };
    await assert.rejects(rabbitBus(parts), (error: Error) => {
      assert.ok(error instanceof BrokerRefused);
      assert.match(error.message, /AMQP_URL: .*用户名或密码不正确.*wrong user or password/);
      assert.doesNotMatch(error.message, /geheim/);
      return true;
    });
    await assert.rejects(rabbitBus({ ...parts, url: 'amqp://a:geheim@[' }), (error: Error) => {
      assert.doesNotMatch(`${error.message} ${JSON.stringify(error)}`, /geheim/);
      return error instanceof BrokerRefused;
    });
  });

  test('the permissions that the operations page gives are enough for the gateway, and for nothing else', async (t) => {
    await broker.ctl('add_user', 'narrow', 'narrow');
    await broker.ctl('set_permissions', 'narrow', ...(await permissions('narrow')));
    const url = broker.url.replace('guest:guest', 'narrow:narrow');
    const { bus } = await open(t, { url, prefix: 'narrow' });
    const { got, subscription } = await handled(bus);
    await bus.publish(LANE, lease(1));
    await until('it', () => got.length === 1);
    await until('the exchange', () => bus.events.open);
    await bus.events.publish([{ id: 'e1', kind: 'case.accepted', keys: [], content: Buffer.from('{}') }]);
    await subscription.stop(async () => {});
    assert.equal(bus.connected(), true);

    const connection = await connect(url);
    t.after(() => connection.close());
    const refused = async (work: (channel: ConfirmChannel) => Promise<unknown>): Promise<string> => {
      const channel = await connection.createConfirmChannel();
      const { promise, resolve } = Promise.withResolvers<string>();
      channel.on('error', (error: Error) => resolve(error.message));
      work(channel).then(
        () => resolve('done'),
        () => {},
      );
      return promise;
    };
    await raw((channel) => channel.assertQueue('tax.events'));
    for (const work of [
      (channel: ConfirmChannel) => channel.assertQueue('narrow.mine'),
      (channel: ConfirmChannel) => channel.assertExchange('narrow.news', 'fanout'),
      (channel: ConfirmChannel) => channel.get('tax.events'),
      (channel: ConfirmChannel) => channel.bindQueue(`narrow.leases.${LANE}`, 'narrow.events', '#'),
      (channel: ConfirmChannel) => channel.deleteQueue('tax.events'),
    ])
      assert.match(await refused(work), /ACCESS_REFUSED/, work.toString());
  });

  test('the configuration that the compose file gives the broker lets the gateway in, with hardly more permissions', async (t) => {
    const shipped = await readFile(new URL('../../config/rabbitmq.conf', import.meta.url), 'utf8');
    const node = await rabbitNode(shipped, 'onewindow');
    if ('missing' in node) return t.skip(node.missing);
    t.after(() => node.discard());
    assert.match(await node.ctl('list_users'), /^onewindow\t\[\]$/m);
    const given = JSON.parse(await node.ctl('list_user_permissions', 'onewindow', '--formatter', 'json'));
    const [configure, write] = await permissions('onewindow');
    assert.deepEqual(given, [{ vhost: '/', configure, write, read: write }]);
    const { bus } = await open(t, { url: node.url, prefix: 'onewindow' });
    const { got } = await handled(bus);
    await bus.publish(LANE, lease(1));
    await until('it', () => got.length === 1);
  });

  test('a broker that is away at the start is a warning, and found when it comes', async (t) => {
    const { wire, url } = await proxied(t);
    await wire.refuse();
    const { bus, lines } = await open(t, { url });
    const { got } = await handled(bus);
    assert.equal(bus.connected(), false);
    assert.ok(lines.some(({ level }) => level === 'warn'));
    assert.equal(lines.filter(({ level }) => level === 'error').length, 0);
    await wire.accept();
    await until('the connection', () => bus.connected());
    await bus.publish(LANE, lease(1));
    await until('it', () => got.length === 1);
    await assert.rejects(bus.publish('Tea Office', lease(2)), /is not the name of a lane/);
    await assert.rejects(
      bus.subscribe('amq.tea', async () => {}, { concurrency: 1 }),
      /is not the name of a lane/,
    );
  });

  test('a deaf wire: a publish is in doubt in bounded time, the heartbeats find it out, and a close waits for nobody', async (t) => {
    const { wire, url } = await proxied(t, '?heartbeat=1');
    const { bus, lines } = await open(t, { url });
    const { got } = await handled(bus);
    await bus.publish(LANE, lease(1));
    wire.pause();
    const begun = Date.now();
    await bus.publish(LANE, lease(2));
    assert.ok(Date.now() - begun < 20_000);
    assert.ok(lines.some(({ message }) => message.startsWith('the broker did not confirm a message in time')));
    await until('the end', () => !bus.connected());
    await assert.rejects(bus.publish(LANE, lease(3)), /no connection/);
    wire.cut();
    wire.resume();
    await until('the return', () => bus.connected(), 40_000);
    await bus.publish(LANE, lease(4));
    await until('the fourth', () => got.includes(4));
    assert.ok(!got.includes(3));
    wire.pause();
    const closing = Date.now();
    await bus.close();
    assert.ok(Date.now() - closing < 30_000);
  });

  test('many publishes are under way at once: a slow wire is waited for a few times, not once for each', async (t) => {
    const { wire, url } = await proxied(t);
    const { bus } = await open(t, { url, publishMs: 10_000 });
    await bus.publish(LANE, lease(0));
    wire.slow(20);
    const clocked = async (work: () => Promise<unknown>): Promise<number> => {
      const begun = performance.now();
      await work();
      return performance.now() - begun;
    };
    // What one takes on this machine: there and back it is slowed twice.
    const one =
      (await clocked(async () => {
        for (let n = 0; n < 5; n += 1) await bus.publish(LANE, lease(n + 1_000));
      })) / 5;
    const took = await clocked(() =>
      Promise.all(Array.from({ length: 300 }, (_, n) => bus.publish(LANE, lease(n + 1)))),
    );
    wire.slow(0);
    assert.ok(took < (300 * one) / 3, `${Math.round(took)} ms, and ${Math.round(one)} ms for one`);
  });

  test('a broker killed and started again in the middle of many: the bus goes on by itself, and nothing is handled twice', async (t) => {
    const { bus, queue, lines } = await open(t);
    const got: number[] = [];
    await bus.subscribe(
      LANE,
      async ({ fence }) => {
        got.push(fence);
        await rest(5);
      },
      { concurrency: 4 },
    );
    const refused: number[] = [];
    let published = 0;
    const publishFour = async (): Promise<void> => {
      const four = [0, 1, 2, 3].map((n) => published + n);
      await Promise.all(four.map((each) => bus.publish(LANE, lease(each)).catch(() => refused.push(each))));
      published += 4;
    };
    const publishing = (async () => {
      while (published < 400) await publishFour();
    })();
    await until('the middle', () => published > 150);
    await broker.kill();
    await until('the end', () => !bus.connected());
    await broker.start();
    await publishing;
    // A queue that came back without a leader is made anew, and what it was given until then is lost: so more is published until some of it comes.
    const goesOn = async (): Promise<boolean> => {
      if (got.some((each) => each >= 400)) return true;
      await publishFour();
      return false;
    };
    await until('the return', goesOn, 60_000);
    await until('the queue is empty', async () => (await held(queue)) === 0);
    const lost = published - got.length - refused.length;
    console.log(
      `broker killed: ${published} published, ${got.length} handled, ${refused.length} refused, ${lost} lost to it`,
    );
    assert.equal(new Set(got).size, got.length, 'none twice');
    assert.ok(!refused.some((each) => got.includes(each)), 'what was refused never came');
    assert.equal(lines.filter(({ level }) => level === 'error').length, 0);
  });
}
