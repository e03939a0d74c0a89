import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as rest } from 'node:timers/promises';
import type { Bus } from '../../contracts/ports/bus.ts';
import type { Lease } from '../../contracts/ports/store.ts';
import { envelope } from '../support/sample-case.ts';

export const LANES = ['tea-office', 'rice-office'] as const;
const [LANE] = LANES;
const UNTIL = 1_795_397_415_123;
/** For the clock of a bus that drops what comes too late. */
export const BEFORE_ANY_LEASE_ENDS = UNTIL - 60_000;
const lease = (n: number, lane: string = LANE): Lease => ({
  envelope: { ...envelope('331124261123000001', `W${n}`, lane), body: { name: '王㙓', text: ']]> \u0000 𠮷' } },
  fence: n,
  until: UNTIL,
  attempts: 2,
  inDoubt: n % 2 === 1,
  doubtedAt: n % 2 === 1 ? 5 : null,
  firstSentAt: 3,
  statutoryBy: 9,
  ended: n % 4 === 1,
});
const nothing = async () => {};

async function until(what: string, seen: () => boolean): Promise<void> {
  for (const end = Date.now() + 60_000; !seen(); await rest(2))
    if (Date.now() > end) throw new Error(`${what}: not seen`);
}

/** Every promise of `contracts/ports/bus.ts`, over whatever implements it. `open` gives a bus that holds nothing. */
export function busSuite(
  name: string,
  open: () => Promise<Bus>,
  { skip = false }: { readonly skip?: string | false } = {},
): void {
  describe(`bus conformance: ${name}`, { skip }, () => {
    async function fresh(t: TestContext): Promise<Bus> {
      const bus = await open();
      t.after(() => bus.close());
      return bus;
    }

    test('what is published is handled, whole and unchanged', async (t) => {
      const bus = await fresh(t);
      const got: Lease[] = [];
      const subscription = await bus.subscribe(LANE, async (one) => void got.push(one), { concurrency: 1 });
      await bus.publish(LANE, lease(1));
      await until('it', () => got.length === 1);
      assert.deepEqual(got, [lease(1)]);
      await subscription.stop();
    });

    test('what is announced is heard by whoever listens, and by nobody who has stopped', async (t) => {
      const bus = await fresh(t);
      const [heard, stopped]: [string[], string[]] = [[], []];
      bus.hear(({ kind, body }) => void heard.push(`${kind} ${JSON.stringify(body)}`));
      const stop = bus.hear(({ kind }) => void stopped.push(kind));
      stop();
      await bus.announce({ kind: 'teaBrewed', body: { leaf: '乌龙', cups: 2 } });
      await until('it', () => heard.length === 1);
      assert.deepEqual(heard, ['teaBrewed {"leaf":"乌龙","cups":2}']);
      assert.deepEqual(stopped, []);
    });

    test('at most as many at a time as were asked for, and each is handled', async (t) => {
      const bus = await fresh(t);
      const [concurrency, rounds] = [3, 6];
      let most = 0;
      const handled = new Set<string>();
      /** Ends each handler that has come in, none of which ends by itself; when the test is over, all do. */
      const within: (() => void)[] = [];
      let over = false;
      const subscription = await bus.subscribe(
        LANE,
        async ({ envelope: { id } }) => {
          const { promise, resolve } = Promise.withResolvers<void>();
          most = Math.max(most, within.push(resolve));
          if (!over) await promise;
          handled.add(id);
        },
        { concurrency },
      );
      // Whatever comes on another lane after them has come after one too many would have.
      const beside: Lease[] = [];
      const other = await bus.subscribe('rice-office', async (one) => void beside.push(one), { concurrency: 1 });
      try {
        for (let n = 0; n < concurrency * rounds; n += 1) await bus.publish(LANE, lease(n));
        for (let round = 0; round < rounds; round += 1) {
          await until('as many as may', () => within.length >= concurrency);
          await bus.publish('rice-office', lease(100 + round, 'rice-office'));
          await until('what comes beside them', () => beside.length === round + 1);
          assert.equal(within.length, concurrency);
          for (const end of within.splice(0)) end();
        }
        await until('all', () => handled.size === concurrency * rounds);
        assert.equal(most, concurrency);
      } finally {
        over = true;
        for (const end of within) end();
      }
      await Promise.all([subscription.stop(), other.stop()]);
    });

    test('lanes are strangers to each other: one that is stuck keeps no other back', async (t) => {
      const bus = await fresh(t);
      let letGo: () => void = nothing;
      let stuck = 0;
      const got: string[] = [];
      const first = await bus.subscribe(
        LANE,
        () => {
          stuck += 1;
          return new Promise<void>((resolve) => {
            letGo = resolve;
          });
        },
        { concurrency: 1 },
      );
      const second = await bus.subscribe('rice-office', async (one) => void got.push(one.envelope.to), {
        concurrency: 1,
      });
      await bus.publish(LANE, lease(1));
      await bus.publish('rice-office', lease(2, 'rice-office'));
      await until('the other', () => got.length === 1);
      assert.deepEqual(got, ['rice-office']);
      await until('the stuck one', () => stuck === 1);
      letGo();
      await Promise.all([first.stop(), second.stop()]);
    });

    test('a stop waits for what is under way, calls nobody after it, and gives back what was not handled', async (t) => {
      const bus = await fresh(t);
      let letGo: () => void = nothing;
      let calls = 0;
      const subscription = await bus.subscribe(
        LANE,
        () => {
          calls += 1;
          return new Promise<void>((resolve) => {
            letGo = resolve;
          });
        },
        { concurrency: 1 },
      );
      for (const n of [1, 2, 3]) await bus.publish(LANE, lease(n));
      await until('one', () => calls === 1);
      const back: Lease[] = [];
      let stopped = false;
      const stopping = subscription
        .stop(async (one) => void back.push(one))
        .then(() => {
          stopped = true;
        });
      await until('the others', () => back.length === 2);
      assert.equal(stopped, false);
      letGo();
      await stopping;
      assert.deepEqual(back.map(({ fence }) => fence).sort(), [2, 3]);
      assert.equal(calls, 1);
    });

    test('one that cannot be given back keeps no other from it, and the stop ends', async (t) => {
      const bus = await fresh(t);
      let letGo: () => void = nothing;
      let calls = 0;
      const subscription = await bus.subscribe(
        LANE,
        () => {
          calls += 1;
          return new Promise<void>((resolve) => {
            letGo = resolve;
          });
        },
        { concurrency: 1 },
      );
      for (const n of [1, 2, 3]) await bus.publish(LANE, lease(n));
      await until('one', () => calls === 1);
      let back = 0;
      const stopping = subscription.stop(async () => {
        back += 1;
        throw new Error('the store is away');
      });
      await until('both', () => back === 2);
      letGo();
      await stopping;
    });

    test('a lane can be taken up again after a stop', async (t) => {
      const bus = await fresh(t);
      const first = await bus.subscribe(LANE, nothing, { concurrency: 1 });
      await first.stop();
      const got: number[] = [];
      const second = await bus.subscribe(LANE, async ({ fence }) => void got.push(fence), { concurrency: 1 });
      await bus.publish(LANE, lease(4));
      await until('it', () => got.length === 1);
      assert.deepEqual(got, [4]);
      await second.stop();
    });

    test('a closed bus says that it takes nothing, instead of losing it silently', async (t) => {
      const bus = await fresh(t);
      await bus.close();
      await assert.rejects(bus.publish(LANE, lease(1)));
    });
  });
}
