import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';
import { type ConsumeMessage, connect } from 'amqplib';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { type Engines, lacking } from '../support/engines.ts';
import { Follower } from '../support/follow.ts';
import type { RabbitNode } from '../support/rabbit-node.ts';
import { secondNode } from '../support/second-node.ts';
import { rabbitNode } from '../support/services.ts';
import { birth, deedTax, flexibleEmployment, houseTransfer } from '../support/submissions.ts';
import { startWorld, until } from '../support/world.ts';

const LEASE = /^\{"lane":"[a-z][a-z0-9-]{1,30}","id":"\d{18}-(?:\d{2}|W)[0-9.]*","fence":\d+\}$/;

const started = await rabbitNode();
if ('missing' in started) test('what stands on the broker', { skip: started.missing }, () => {});
else {
  after(() => started.discard());
  describe('personal data stood on the broker', () => {
    for (const store of ['SQLite', 'PostgreSQL'] as const)
      test(`every message of a day, by the broker's own trace, with ${store}: names of leases, and events without persons`, async (t) => {
        const engines = { store, bus: 'in-process bus' } as const;
        const skip = await lacking(engines);
        if (skip !== false) return t.skip(skip);
        await seen(t, started, engines);
      });
  });
}

async function seen(t: TestContext, broker: RabbitNode, engines: Engines): Promise<void> {
  await broker.ctl('trace_on');
  const connection = await connect(broker.url);
  t.after(() => connection.close());
  const channel = await connection.createChannel();
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, 'amq.rabbitmq.trace', 'publish.#');
  const traced: ConsumeMessage[] = [];
  await channel.consume(queue, (message) => message !== null && void traced.push(message), { noAck: true });

  const prefix = `seen-${engines.store.toLowerCase()}`;
  const world = await startWorld({ engines, over: { amqpUrl: broker.url, bus: { prefix, events: true } } });
  // A node that shares the database: they have things to tell each other.
  const second = engines.store === 'PostgreSQL' ? await secondNode(world) : undefined;
  t.after(async () => {
    await second?.stop();
    await world.stop();
  });
  const hall = new Follower(world);
  // Each department once so that what waits and what is in doubt goes over the broker too.
  await hall.mood('tax', 'forgetful');
  await hall.mood('social-security', 'absent');
  const cases = await Promise.all(
    [houseTransfer(), birth(), flexibleEmployment(), deedTax()].map((one) => hall.submit(one)),
  );
  await until(() => traced.length > 4 || undefined, 60_000, 'messages');
  for (const party of ['tax', 'social-security']) await hall.mood(party, 'well');
  await Promise.all(cases.map((one) => hall.ends(one)));
  const events = () => traced.filter(({ fields }) => fields.routingKey === `publish.${prefix}.events`);
  const kinds = () => new Set(events().map(({ content }) => (JSON.parse(content.toString()) as JsonObject).type));
  await until(() => kinds().size >= 3 || undefined, 60_000, 'events of each kind');

  const leases = traced.filter((one) => routingKeyOf(one).startsWith(`${prefix}.leases.`));
  assert.ok(leases.length >= 12, `${leases.length} leases`);
  assert.deepEqual(
    leases.map(({ content }) => content.toString()).filter((text) => !LEASE.test(text)),
    [],
  );
  // Nothing else: what nodes tell each other is told elsewhere.
  assert.deepEqual(traced.filter((one) => !leases.includes(one) && !events().includes(one)).map(routingKeyOf), []);
  for (const { content, properties } of traced) {
    const all = `${content.toString('utf8')} ${JSON.stringify(properties)}`;
    hall.nobodyIn(all, `a message: ${content.toString('utf8')}`);
  }
}

/** The tracer puts what was sent into headers of its own message. */
function routingKeyOf({ properties }: ConsumeMessage): string {
  const [key = ''] = (properties.headers?.routing_keys ?? []) as string[];
  return key;
}
