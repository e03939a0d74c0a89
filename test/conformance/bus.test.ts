import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import { connect } from 'amqplib';
import { wallClock } from '../../contracts/ports/clock.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { inProcessBus } from '../../gateway/bus/in-process.ts';
import { rabbitBus } from '../../gateway/bus/rabbitmq.ts';
import { LeaseBook } from '../support/lease-book.ts';
import { envelope } from '../support/sample-case.ts';
import { rabbitmq } from '../support/services.ts';
import { BEFORE_ANY_LEASE_ENDS, busSuite, LANES } from './bus-suite.ts';

busSuite('in process', async () => inProcessBus());

const broker = await rabbitmq();
if ('missing' in broker) test('the bus on RabbitMQ', { skip: broker.missing }, () => {});
else {
  const { url } = broker;
  const clock = { ...wallClock, now: () => BEFORE_ANY_LEASE_ENDS };
  /** Names of this run's own: others may be using the same broker. */
  const prefixes: string[] = [];
  busSuite('RabbitMQ', async () => {
    const prefix = `test-${randomUUID().slice(0, 8)}`;
    prefixes.push(prefix);
    const book = new LeaseBook(clock);
    return book.over(await rabbitBus({ url, prefix, clock, log: silent, begin: book.begin }));
  });
  after(async () => {
    const connection = await connect(url);
    const channel = await connection.createChannel();
    for (const prefix of prefixes) {
      for (const lane of LANES) await channel.deleteQueue(`${prefix}.leases.${lane}`);
      await channel.deleteExchange(`${prefix}.events`);
    }
    await connection.close();
  });
}

test('the bus in process holds a bounded number for each lane, and says so beyond it', async () => {
  const bus = inProcessBus({ limit: 2 });
  const lease = (n: number) => ({
    envelope: envelope('331124261123000001', `W${n}`, 'tea-office'),
    fence: n,
    until: 0,
    attempts: 0,
    inDoubt: false,
    doubtedAt: null,
    firstSentAt: 3,
    statutoryBy: 9,
    ended: false,
  });
  await bus.publish('tea-office', lease(1));
  await bus.publish('tea-office', lease(2));
  await assert.rejects(bus.publish('tea-office', lease(3)), /holds 2 leases already/);
  await bus.publish('rice-office', lease(4));
  await bus.close();
});

test('a lane has one subscriber', async () => {
  const bus = inProcessBus();
  await bus.subscribe('tea-office', async () => {}, { concurrency: 1 });
  await assert.rejects(
    bus.subscribe('tea-office', async () => {}, { concurrency: 1 }),
    /a subscriber already/,
  );
  await bus.close();
});
