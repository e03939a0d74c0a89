import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inProcessBus } from '../../gateway/bus/in-process.ts';
import { envelope } from '../support/sample-case.ts';
import { busSuite } from './bus-suite.ts';

busSuite('in process', async () => inProcessBus());

test('the bus in process holds a bounded number for each lane, and says so beyond it', async () => {
  const bus = inProcessBus({ limit: 2 });
  const lease = (n: number) => ({
    envelope: envelope('331124261123000001', `W${n}`, 'tea-office'),
    fence: n,
    until: 0,
    attempts: 0,
    inDoubt: false,
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
