import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HandClock } from '../../test/support/hand-clock.ts';
import { Bulkhead } from './bulkhead.ts';
import { ownSlots } from './slots.ts';

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

function bulkhead(slots: number, longestLine = 100) {
  const clock = new HandClock();
  return { clock, bulkhead: new Bulkhead({ slots: () => ownSlots(slots), longestLine, clock }) };
}

describe('the slots of a party', () => {
  test('as many are inside as there are slots; the next enters when one leaves, and leaving twice counts once', async () => {
    const { bulkhead: slots } = bulkhead(2);
    const first = await slots.enter('a', 1_000);
    await slots.enter('a', 1_000);
    let inside = 2;
    void slots.enter('a', 1_000).then(() => inside++);
    void slots.enter('a', 1_000).then(() => inside++);
    await settled();
    assert.equal(inside, 2);
    first?.();
    first?.();
    await settled();
    assert.equal(inside, 3);
  });

  test('a flood of one kind keeps no other out: free slots go to each line in turn', async () => {
    const { bulkhead: slots } = bulkhead(1);
    const order: string[] = [];
    const enter = async (kind: string) => {
      const leave = await slots.enter(kind, 60_000);
      order.push(kind);
      await settled();
      leave?.();
    };
    const all = [...Array(20).fill('query'), 'deliver', 'deliver', 'certificates'].map(enter);
    await Promise.all(all);
    assert.deepEqual(order.slice(0, 6), ['query', 'query', 'deliver', 'certificates', 'query', 'deliver']);
    assert.equal(order.length, 23);
  });

  test('who waits longer than it may goes away, and takes no slot when one comes free', async () => {
    const { bulkhead: slots, clock } = bulkhead(1);
    const leave = await slots.enter('a', 1_000);
    const tired = slots.enter('a', 500);
    const patient = slots.enter('a', 5_000);
    clock.move(500);
    assert.equal(await tired, undefined);
    leave?.();
    assert.equal(typeof (await patient), 'function');
  });

  test('a line that is too long takes no more, and a closed door sends away all who wait', async () => {
    const { bulkhead: slots } = bulkhead(1, 1);
    await slots.enter('a', 1_000);
    const waiting = slots.enter('a', 1_000);
    assert.equal(await slots.enter('a', 1_000), undefined);
    slots.close();
    assert.equal(await waiting, undefined);
  });

  test('whoever has entered leaves no timer behind', async () => {
    const stopped: number[] = [];
    const clock = new HandClock();
    const counting = {
      now: () => clock.now(),
      random: () => 0,
      after: () => () => void stopped.push(1),
    };
    const slots = new Bulkhead({ slots: () => ownSlots(1), longestLine: 9, clock: counting });
    const leave = await slots.enter('a', 1_000);
    const next = slots.enter('a', 1_000);
    leave?.();
    await next;
    assert.equal(stopped.length, 1);
  });
});
