import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, type TestContext, test } from 'node:test';
import { type Channel, connect } from 'amqplib';
import { wallClock } from '../../contracts/ports/clock.ts';
import { PUBLIC_EVENTS } from '../../contracts/ports/store.ts';
import { EventRelay } from '../../gateway/bus/event-relay.ts';
import { rabbitBus } from '../../gateway/bus/rabbitmq.ts';
import { openStore } from '../../gateway/store/open.ts';
import { BoundQueue, kindOf } from '../support/bound-queue.ts';
import { Follower } from '../support/follow.ts';
import { type LogLine, logInto } from '../support/party.ts';
import type { RabbitNode } from '../support/rabbit-node.ts';
import { rabbitNode } from '../support/services.ts';
import { deedTax } from '../support/submissions.ts';
import { startWorld, until } from '../support/world.ts';

const DELIVERY = {
  leaseMs: 2_000,
  sweepMs: 500,
  stopMs: 5_000,
  askSweepMs: 300,
  alarmAfterMs: 300_000,
  messageDays: 30,
};

const started = await rabbitNode();
if ('missing' in started) test('events for others, and a broker that fails', { skip: started.missing }, () => {});
else failures(started);

function failures(broker: RabbitNode): void {
  let count = 0;
  after(() => broker.discard());

  /** A store, a bus and a relay, with names of their own. */
  async function open(t: TestContext, confirmMs = 10_000) {
    count += 1;
    const prefix = `e${count}`;
    const lines: LogLine[] = [];
    const [clock, log] = [wallClock, logInto(lines)];
    const bus = await rabbitBus({ url: broker.url, prefix, clock, log, confirmMs, begin: async () => undefined });
    let relay: EventRelay | undefined;
    const store = await openStore({
      file: ':memory:',
      clock,
      log,
      committed: (lanes) => lanes.includes(PUBLIC_EVENTS) && relay?.wake(),
    });
    const exchange = bus.events;
    relay = new EventRelay({ store, exchange, source: '/onewindow/331124', node: 'a', clock, log, sweepMs: 500 });
    relay.start();
    await until(() => bus.events.open || undefined);
    t.after(async () => {
      await relay?.stop();
      await bus.close();
      await store.close();
    });
    let told = 0;
    return {
      lines,
      exchange: `${prefix}.events`,
      waiting: async () => (await store.unpublished(1)).length,
      tell: (n: number, key = 'case.progressed.tax') =>
        store.tell(
          Array.from({ length: n }, () => ({
            id: randomUUID(),
            kind: 'case.progressed' as const,
            subject: '331124261123000001',
            sequence: String(++told).padStart(10, '0'),
            time: '2026-11-23T09:00:00.000+08:00',
            traceparent: null,
            keys: [key],
            data: { n: told },
          })),
        ),
    };
  }

  const numbers = (queue: BoundQueue) => queue.first.map(({ data }) => Number(data.n));
  const upTo = (n: number, from = 1) => Array.from({ length: n - from + 1 }, (_, i) => from + i);
  const came = (queue: BoundQueue, n: number, ms = 20_000) =>
    until(() => numbers(queue).length >= n || undefined, ms, `${n} events`);
  const bound = (exchange: string, queue: string, args = {}, keys = ['#']) =>
    BoundQueue.open(broker.url, { exchange, queue, keys }, args);

  test('a broker that is killed in the middle of many loses none of them, and brings none before those before it', async (t) => {
    const { exchange, tell, waiting, lines } = await open(t);
    const early = await bound(exchange, 'killed');
    const telling = (async () => {
      for (let n = 0; n < 40; n += 1) await tell(50);
    })();
    await until(() => early.events.length > 300 || undefined);
    await broker.kill();
    await telling;
    await broker.start();
    const late = await bound(exchange, 'killed');
    await until(async () => (await waiting()) === 0 || undefined, 60_000, 'nothing left');
    await until(() => late.events.at(-1)?.data.n === 2_000 || undefined, 20_000, 'the last');
    // What was consumed before the kill may come again; what comes for the first time comes in its order.
    const all = [...new Set([...numbers(early), ...numbers(late)])];
    assert.deepEqual(all, upTo(2_000));
    const again = early.events.length + late.events.length - all.length;
    console.log(`broker killed: 2000 events, 0 lost, ${again} came twice`);
    assert.deepEqual(
      lines.filter(({ level }) => level === 'error'),
      [],
    );
    await early.close();
    await late.close();
  });

  test('cases go through while the broker is away; when it is back, others hear of all of it', async (t) => {
    const world = await startWorld({
      engines: { store: 'SQLite', bus: 'in-process bus' },
      over: { amqpUrl: broker.url, bus: { prefix: 'away', events: true }, delivery: DELIVERY },
    });
    t.after(() => world.stop());
    const hall = new Follower(world);
    const early = await bound('away.events', 'away');
    const before = await hall.submit(deedTax());
    await hall.ends(before);
    await until(() => early.of(before).some((event) => kindOf(event) === 'case.decided') || undefined);
    await broker.stop();
    const meanwhile = await Promise.all(Array.from({ length: 6 }, () => hall.submit(deedTax())));
    const withdrawn = await hall.submit(deedTax());
    const { status } = await world.window.post(`/v1/cases/${withdrawn}/withdrawal`, { reason: '申请人要求' });
    assert.equal(status, 200);
    await broker.start();
    const late = await bound('away.events', 'away');
    for (const caseNo of [...meanwhile, withdrawn]) {
      const view = await hall.ends(caseNo, 60_000);
      const events = await until(() => {
        const of = late.of(caseNo);
        return of.some((event) => kindOf(event) === 'case.decided') ? of : undefined;
      }, 20_000);
      assert.equal(kindOf(events[0] ?? assert.fail()), 'case.accepted');
      const decided = events.find((event) => kindOf(event) === 'case.decided');
      assert.equal(decided?.data.outcome, view.decision?.outcome);
      const sequences = events.map(({ sequence }) => sequence);
      assert.deepEqual([...sequences].sort(), sequences);
    }
    hall.rang();
    await early.close();
    await late.close();
  });

  test('a queue that refuses, and one that keeps silent, keep nobody else from theirs', async (t) => {
    const confirmMs = 6_000;
    const { exchange, tell, waiting, lines } = await open(t, confirmMs);
    const sound = await bound(exchange, 'sound');
    const full = await connect(broker.url);
    const channel = await full.createChannel();
    const refusing = { durable: true, arguments: { 'x-max-length': 3, 'x-overflow': 'reject-publish' } };
    await channel.assertQueue('refusing', refusing);
    await channel.bindQueue('refusing', exchange, '#');
    await tell(20);
    await came(sound, 20);
    await until(async () => (await waiting()) === 0 || undefined);
    const warnings = () => lines.filter(({ message }) => message.startsWith('a queue of others does not take'));
    assert.equal(warnings().length, 1);
    await tell(5);
    await came(sound, 25);
    assert.equal(warnings().length, 1, 'told once');
    await channel.deleteQueue('refusing');
    await tell(1);
    await came(sound, 26);

    const silent = await bound(exchange, 'silent');
    const suspend = (what: 'suspend' | 'resume') =>
      broker.ctl(
        'eval',
        `{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"silent">>)), sys:${what}(amqqueue:get_pid(Q)).`,
      );
    await suspend('suspend');
    await tell(10);
    await came(sound, 36);
    await until(async () => (await waiting()) === 0 || undefined);
    assert.equal(warnings().length, 2);
    // It is known now: the next ones do not wait as long for it.
    const begun = performance.now();
    await tell(1);
    await until(async () => (await waiting()) === 0 || undefined);
    assert.ok(performance.now() - begun < confirmMs);
    await suspend('resume');
    await came(silent, 11);
    assert.deepEqual(numbers(silent), upTo(37, 27));
    assert.deepEqual(numbers(sound), upTo(37));
    assert.equal(sound.events.length, 37, 'none was sent again');
    await sound.close();
    await silent.close();
    await full.close();
  });

  test('the permissions that the events page gives a department are enough for its own, and for nothing else', async (t) => {
    const { exchange, tell } = await open(t);
    const prefix = exchange.slice(0, -'.events'.length);
    const own = '^tax\\..*';
    await broker.ctl('add_user', 'tax', 'tax');
    await broker.ctl('set_permissions', 'tax', own, own, `^(tax\\..*|${prefix}\\.events)$`);
    const keys = '^case\\.(accepted|progressed|decided)\\.tax$';
    await broker.ctl('set_topic_permissions', 'tax', exchange, '^$', keys);
    const limits = '{"max-length": 5, "expires": 600000}';
    await broker.ctl('set_operator_policy', '--apply-to', 'queues', 'tax', own, limits);
    const url = broker.url.replace('guest:guest', 'tax:tax');
    const connection = await connect(url);
    t.after(() => connection.close());

    const attempt = async (work: (channel: Channel) => Promise<unknown>): Promise<string> => {
      const channel = await connection.createChannel();
      const ended = new Promise<string>((resolve) => {
        channel.on('error', (error: Error) => resolve(error.message));
      });
      try {
        await work(channel);
        // What needs no answer is refused a moment later; a question after it is not answered then.
        await channel.checkQueue('tax.events');
      } catch {
        return ended;
      }
      await channel.close();
      return 'done';
    };
    const declare = (channel: Channel) => channel.assertQueue('tax.events', { durable: true });
    assert.equal(await attempt(declare), 'done');
    for (const key of ['case.progressed.tax', 'case.accepted.tax', 'case.decided.tax'])
      assert.equal(await attempt((channel) => channel.bindQueue('tax.events', exchange, key)), 'done');
    for (const key of ['#', '*.*.tax', 'case.progressed.*', 'case.progressed.social-security', 'case.accepted'])
      assert.match(await attempt((channel) => channel.bindQueue('tax.events', exchange, key)), /ACCESS_REFUSED/, key);
    const guest = await connect(broker.url);
    t.after(() => guest.close());
    await (await guest.createChannel()).assertQueue(`${prefix}.leases.tax`);
    for (const work of [
      (channel: Channel) => channel.get(`${prefix}.leases.tax`, { noAck: true }),
      (channel: Channel) => channel.assertQueue(`${prefix}.mine`),
      async (channel: Channel) => channel.sendToQueue(`${prefix}.leases.tax`, Buffer.from('{}')),
      (channel: Channel) => channel.deleteExchange(exchange),
      async (channel: Channel) => channel.publish(exchange, 'case.progressed.tax', Buffer.from('{}')),
      async (channel: Channel) => channel.sendToQueue('tax.events', Buffer.from('{}')),
    ])
      assert.match(await attempt(work), /ACCESS_REFUSED/, work.toString());

    await tell(3, 'case.progressed.social-security');
    await tell(9);
    const held = async () => (await (await connection.createChannel()).checkQueue('tax.events')).messageCount;
    await until(async () => (await held()) === 5 || undefined);
    const channel = await connection.createChannel();
    const oldest = await channel.get('tax.events', { noAck: true });
    assert.ok(oldest !== false);
    assert.deepEqual(
      [oldest.fields.routingKey, JSON.parse(oldest.content.toString()).data],
      ['case.progressed.tax', { n: 8 }],
    );
  });
}
