import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import { connect } from 'amqplib';
import type { Lease, LeaseName, Store } from '../../contracts/ports/store.ts';
import { COMBINATIONS, type Engines, lacking, nameOf } from '../support/engines.ts';
import { Follower } from '../support/follow.ts';
import { deedTax, houseTransfer } from '../support/submissions.ts';
import { startWorld, until } from '../support/world.ts';

const TAX = 'tax';
const MARK = 'forged-by-a-stranger';
const OURS = { contentType: 'application/json', type: 'onewindow.lease', headers: { 'x-onewindow-version': 3 } };

/** A message as a stranger writes it, where the broker lets him. */
interface Forged {
  readonly queue: string;
  readonly content: Buffer;
  readonly options?: object;
}

for (const engines of COMBINATIONS.filter(({ bus }) => bus === 'RabbitMQ'))
  describe(`a forged lease message was filed: ${nameOf(engines)}`, { skip: await lacking(engines) }, () => {
    test('whole messages as of the versions before: nothing is filed, nothing is called, and nothing of them is told', async (t) => {
      const at = await opened(t, engines);
      const lease = await at.filed();
      const { envelope, ...rest } = lease;
      const whole = (changes: object, more: object = {}) =>
        Buffer.from(JSON.stringify({ envelope: { ...envelope, ...changes }, ...rest, ...more }));
      const body = { ...envelope.body, taxpayer: { name: MARK, idNo: '331124199001010011' } };
      const until = Date.now() + 60_000;
      const contents = [
        whole({ body }, { until }),
        whole({ body, id: `${envelope.caseNo}-07` }, { until, fence: lease.fence + 1 }),
        whole({ body, id: '331124261123999999-01', caseNo: '331124261123999999' }, { until, inDoubt: true }),
      ];
      const forged = contents.flatMap((content) =>
        [1, 2, 3].map((version) => ({
          queue: at.queueOf(TAX),
          content,
          options: { ...OURS, headers: { 'x-onewindow-version': version } },
        })),
      );
      // The queue of the versions before, as nodes of those leave it behind: nobody reads it.
      const old = `${at.prefix}.lane.${TAX}`;
      await at.does(forged, 'unreadable', old, contents);
    });

    test('names that are made up, changed, repeated, of another lane, or more than names', async (t) => {
      const at = await opened(t, engines);
      const lease = await at.filed();
      const { id } = lease.envelope;
      const { fence } = lease;
      const name = { lane: TAX, id, fence };
      const [caseNo] = id.split('-');
      const text = (value: unknown, queue = at.queueOf(TAX)): Forged => ({
        queue,
        content: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
      });
      const nothingToBegin = [
        text({ ...name, id: '331124261123999999-01' }),
        text({ ...name, id: `${caseNo}-02` }),
        text({ ...name, id: `${caseNo}-W9` }),
        text({ ...name, fence: fence + 1 }),
        text({ ...name, fence: fence - 1 }),
        text({ ...name, fence: 2 ** 31 - 1 }),
        // As it was, again and again.
        text(name),
        text(name),
        // In the lane of another department, under that one's name.
        text({ ...name, lane: 'real-estate' }, at.queueOf('real-estate')),
      ];
      const unreadable = [
        text(name, at.queueOf('real-estate')),
        text({ ...name, lane: 'social-security' }),
        text({ ...name, body: { name: MARK } }),
        text({ id, lane: TAX, fence }),
        text(JSON.stringify(name, null, 1)),
        text(`{"lane":"tax","id":"${id}","fence":${fence},"fence":${fence}}`),
        text({ ...name, fence: String(fence) }),
        text({ ...name, fence: -1 }),
        text({ ...name, fence: 1.5 }),
        text({ ...name, fence: 2 ** 31 }),
        text({ ...name, id: `${id}' or '1'='1` }),
        text({ ...name, id: MARK }),
        text({ ...name, id: null }),
        text({ ...name, lane: { toString: MARK } }),
        text([name]),
        text('null'),
        text('""'),
        text(''),
        text('{"lane":"tax"'),
        text('['.repeat(100_000)),
        text({ ...name, id: `${id}${'0'.repeat(2_000_000)}` }),
        { queue: at.queueOf(TAX), content: Buffer.from([0xff, 0xfe, 0x00, 0x7b]) },
        { ...text(name), options: { ...OURS, type: 'something' } },
        { ...text(name), options: { ...OURS, contentType: 'text/plain' } },
        { ...text(name), options: { ...OURS, headers: {} } },
        { ...text(name), options: { ...OURS, headers: { 'x-onewindow-version': '3' } } },
      ];
      await at.does(nothingToBegin, 'nothingToBegin');
      await at.does(unreadable, 'unreadable');
    });

    test('the right name and fence, several times and before the true one: the department is called once', async (t) => {
      const at = await opened(t, engines);
      const letGo = at.hold();
      const caseNo = await at.hall.submit(deedTax());
      const name = await until(() => at.asked.find(({ id }) => id.startsWith(caseNo)), 60_000, 'its beginning');
      const copy = { queue: at.queueOf(TAX), content: Buffer.from(JSON.stringify(name)), options: OURS };
      await at.publish([copy, copy, copy]);
      await until(() => at.asked.filter(({ id }) => id === name.id).length >= 4 || undefined, 60_000, 'the copies');
      letGo();
      await at.hall.ends(caseNo);
      await at.counted('nothingToBegin', 3);
      assert.deepEqual(at.calls, [name.id]);
      assert.deepEqual(at.hall.filed(TAX, caseNo), [name.id]);
    });

    test('under the right name and fence, with another body, on the broker before the true one: what is filed is the true one', async (t) => {
      const at = await opened(t, engines);
      at.first(async (lease) => {
        const body = JSON.parse(JSON.stringify(lease.envelope.body).replaceAll('样例', MARK));
        const whole = Buffer.from(JSON.stringify({ ...lease, envelope: { ...lease.envelope, body } }));
        const name = { lane: TAX, id: lease.envelope.id, fence: lease.fence };
        await at.publish([
          ...[1, 2, 3].map((version) => ({
            queue: at.queueOf(TAX),
            content: whole,
            options: { ...OURS, headers: { 'x-onewindow-version': version } },
          })),
          { queue: at.queueOf(TAX), content: Buffer.from(JSON.stringify({ ...name, body })) },
          // A copy of the name begins the lease, and the true one comes too late: it is filed once, and as the store has it.
          { queue: at.queueOf(TAX), content: Buffer.from(JSON.stringify(name)) },
        ]);
      });
      const caseNo = await at.hall.submit(deedTax());
      await at.hall.ends(caseNo);
      await at.counted('unreadable', 4);
      await at.counted('nothingToBegin', 1);
      assert.deepEqual(at.calls, [`${caseNo}-01`]);
      assert.deepEqual(at.hall.filed(TAX, caseNo), [`${caseNo}-01`]);
      assert.ok(!JSON.stringify(at.world.book(TAX)).includes(MARK));
    });

    test('a flood of them keeps no case from its end, and is told some dozen times', async (t) => {
      const at = await opened(t, engines);
      const lease = await at.filed();
      const { id } = lease.envelope;
      const many = Array.from({ length: 600 }, (_, n) => ({
        queue: at.queueOf(TAX),
        content: Buffer.from(
          JSON.stringify({ lane: TAX, id: `${id.slice(0, 12)}${String(n).padStart(6, '0')}-01`, fence: 1 }),
        ),
        options: OURS,
      }));
      const [caseNo] = await Promise.all([at.hall.submit(houseTransfer()), at.publish(many)]);
      await at.hall.ends(caseNo);
      await at.counted('nothingToBegin', 600);
      const told = at.world.log.filter(({ message }) => message.startsWith('a message names a lease'));
      assert.ok(told.length > 0 && told.length <= 20, `${told.length} lines`);
    });
  });

async function opened(t: TestContext, engines: Engines) {
  const leases: Lease[] = [];
  const asked: LeaseName[] = [];
  const calls: string[] = [];
  let held: Promise<void> | undefined;
  let before: ((lease: Lease) => Promise<void>) | undefined;
  const watched = (store: Store): Store => ({
    ...store,
    async lease(request) {
      const given = await store.lease(request);
      leases.push(...given);
      for (const lease of given)
        if (lease.envelope.to === TAX && before !== undefined) {
          const work = before;
          before = undefined;
          await work(lease);
        }
      return given;
    },
    async begin(name) {
      asked.push(name);
      await held;
      return store.begin(name);
    },
  });
  const world = await startWorld({
    engines,
    means: {
      aroundStore: watched,
      aroundAdapter: (party, adapter) => ({
        ...adapter,
        deliver(envelope, call) {
          if (party === TAX) calls.push(envelope.id);
          return adapter.deliver(envelope, call);
        },
      }),
    },
  });
  t.after(() => world.stop());
  const { amqpUrl = '', bus } = world.settings;
  const { prefix } = bus;
  const hall = new Follower(world);
  const broker = await connect(amqpUrl);
  t.after(() => broker.close());
  const channel = await broker.createConfirmChannel();

  const count = async (reason: string): Promise<number> => {
    const text = await (await fetch(`${world.gateway.url}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith('onewindow_bus_ignored_total{'));
    return lines
      .filter((line) => line.includes(`reason="${reason}"`))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  };
  async function publish(messages: readonly Forged[]): Promise<void> {
    await Promise.all(
      messages.map(({ queue, content, options = OURS }) =>
        // A queue that is young refuses until it has a leader.
        until(
          () =>
            new Promise<true | undefined>((resolve) => {
              channel.sendToQueue(queue, content, options, (refused) => resolve(refused === null ? true : undefined));
            }),
          30_000,
          `${queue} takes it`,
        ),
      ),
    );
  }
  const counted = (reason: string, n: number) =>
    until(async () => (await count(reason)) === n || undefined, 60_000, `${n} ${reason}`);

  return {
    world,
    hall,
    prefix,
    asked,
    calls,
    publish,
    counted,
    queueOf: (lane: string) => `${prefix}.leases.${lane}`,

    /** Done with the next lease of the tax office, before it is published. */
    first(work: (lease: Lease) => Promise<void>): void {
      before = work;
    },

    /** Nothing is begun until the function given back is called. */
    hold(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      held = promise;
      t.after(() => resolve());
      return () => {
        held = undefined;
        resolve();
      };
    },

    /** A case whose first step the tax office has; the lease under which it went there. */
    async filed(): Promise<Lease> {
      const caseNo = await hall.submit(deedTax());
      await hall.ends(caseNo);
      return leases.find(({ envelope }) => envelope.caseNo === caseNo && envelope.to === TAX) ?? assert.fail(caseNo);
    },

    /** Publishes these, sees each ignored, and that a case after them goes through, and nothing else came to anybody. */
    async does(
      messages: readonly Forged[],
      reason: string,
      old?: string,
      contents: readonly Buffer[] = [],
    ): Promise<void> {
      const before = [await count(reason), calls.length, world.book(TAX).length] as const;
      if (old !== undefined) {
        await channel.assertQueue(old, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
        const version = { ...OURS, headers: { 'x-onewindow-version': 1 } };
        await publish(contents.map((content) => ({ queue: old, content, options: version })));
      }
      await publish(messages);
      await counted(reason, before[0] + messages.length);
      const caseNo = await hall.submit(deedTax());
      await hall.ends(caseNo);
      assert.deepEqual(calls.slice(before[1]), [`${caseNo}-01`]);
      assert.equal(world.book(TAX).length, before[2] + 1);
      if (old !== undefined) {
        assert.equal((await channel.checkQueue(old)).messageCount, contents.length, 'nobody reads it');
        await channel.deleteQueue(old);
      }
      const log = inspect(world.log, { depth: 12, maxArrayLength: null, maxStringLength: null });
      assert.ok(!log.includes(MARK), 'told in the log');
      assert.ok(world.log.some(({ level, message }) => level === 'warn' && message.endsWith('nothing is done')));
      assert.deepEqual(
        world.log.filter(({ level }) => level === 'error'),
        [],
      );
    },
  };
}
