import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as rest } from 'node:timers/promises';
import { type Begun, begun, lacking } from '../support/engines.ts';
import type { CaseSeen } from '../support/follow.ts';
import { deedTax } from '../support/submissions.ts';
import { until } from '../support/world.ts';
import { Books, type Damage } from './books.ts';
import { Cluster } from './cluster.ts';
import type { KillPoint } from './killable.ts';

const ENGINES = { store: 'PostgreSQL', bus: 'RabbitMQ' } as const;
/** A lease is thirteen seconds of these terms, and the one after it may be needed too. */
const HEAL_MS = 60_000;

/** Where the node stands still, and how its word is met when it wakes. */
const POINTS: readonly {
  readonly what: string;
  readonly point: Omit<KillPoint, 'nth'>;
  readonly word: RegExp | null;
}[] = [
  {
    what: 'before it puts a lease on the bus',
    point: { port: 'bus', method: 'publish', when: 'before' },
    word: null,
  },
  {
    what: 'before it sends',
    point: { port: 'adapter', method: 'deliver', when: 'before', party: 'tax' },
    word: /overtaken/,
  },
  {
    what: 'after it has sent, before that is written down',
    point: { port: 'adapter', method: 'deliver', when: 'after', party: 'tax' },
    word: /overtaken/,
  },
  {
    what: 'in the transaction that writes it down',
    point: { port: 'store', method: 'delivered', when: 'within' },
    // The transaction was ended meanwhile, and its lease is over: it may not even ask to be heard.
    word: /overtaken|could not be written down; its lease runs out/,
  },
];

describe('a node paused past its lease changes nothing when it wakes, and sends nothing twice', {
  skip: await lacking(ENGINES),
}, () => {
  let engines: Begun;
  let cluster: Cluster;
  before(async () => {
    engines = await begun(ENGINES);
    const { databaseUrl = '', amqpUrl = '', ...over } = engines.over;
    const seat = { databaseUrl, amqpUrl: `${amqpUrl}?heartbeat=2` };
    cluster = await Cluster.open([seat, seat], { over });
  });
  after(async () => {
    await cluster.close();
    await engines.end(cluster.simulated.simulators.keys());
  });

  for (const { what, point, word } of POINTS) {
    test(`paused ${what}`, { timeout: 150_000 }, async (t) => {
      const [paused, window, operator] = [cluster.node(0), cluster.window(1), cluster.operator(1)];
      const cases: string[] = [];
      const submit = async (at = window): Promise<void> => {
        const { status, body } = await at.post<CaseSeen>('/v1/cases', deedTax());
        assert.equal(status, 202, JSON.stringify(body));
        cases.push(body.caseNo);
      };
      const ended = () =>
        until(
          async () => {
            const seen = await Promise.all(cases.map((caseNo) => window.get<CaseSeen>(`/v1/cases/${caseNo}`)));
            if (!seen.every(({ body }) => body.steps.every(({ state }) => state === 'DONE'))) return undefined;
            const { body } = await operator.get<{ rows: readonly { lane: { waiting: number; inFlight: number } }[] }>(
              '/v1/departments',
            );
            return body.rows.every(({ lane }) => lane.waiting + lane.inFlight === 0) || undefined;
          },
          HEAL_MS,
          'the end of all',
        );
      /** Everything that anybody can see of them. */
      const everything = async () =>
        Promise.all(
          cases.map(async (caseNo) => [
            (await window.get(`/v1/cases/${caseNo}`)).body,
            (await window.get(`/v1/cases/${caseNo}/timeline?limit=100`)).body,
            (await operator.get(`/v1/envelopes?caseNo=${caseNo}&limit=100`)).body,
          ]),
        );

      paused.lines.length = 0;
      await paused.arm({ ...point, nth: 1, signal: 'SIGSTOP' });
      await until(
        async () => {
          if (paused.paused) return true;
          await submit();
          await rest(100);
          return undefined;
        },
        20_000,
        'the pause',
      );
      const began = Date.now();
      await ended();
      t.diagnostic(`${cases.length} cases ended without it after ${((Date.now() - began) / 1_000).toFixed(1)} s`);
      const before = await everything();

      paused.goOn();
      // With a case of its own from the window to the window, it has also come to what it was about to do.
      await until(async () => (await fetch(`${paused.url}/readyz`)).ok || undefined, 20_000, 'its return');
      if (word !== null)
        await until(() => paused.lines.some((line) => word.test(line)) || undefined, 20_000, `${word} in its log`);
      const own = cases.length;
      await submit(cluster.window(0));
      await ended();
      assert.deepEqual((await everything()).slice(0, own), before);

      const books = new Books(cluster.simulated.simulators);
      const damage: Damage = { lost: [], doubled: [], outOfOrder: [], stuck: [] };
      for (const caseNo of cases) books.compare((await window.get<CaseSeen>(`/v1/cases/${caseNo}`)).body, damage);
      assert.deepEqual(damage, { lost: [], doubled: [], outOfOrder: [], stuck: [] });
      const twice = cluster.nodes.flatMap(({ heard }) =>
        heard.filter((one) => one.said === 'sentTwice' && one.askable),
      );
      assert.deepEqual(twice, []);
      const rang = cluster.nodes.flatMap(({ lines }) => lines.filter((line) => line.includes('"level":"error"')));
      assert.deepEqual(rang, []);
    });
  }
});
