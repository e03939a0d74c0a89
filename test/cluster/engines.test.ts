import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { Client } from '../../console/client.ts';
import { start } from '../../gateway/main.ts';
import { COMBINATIONS, type Engines, lacking, nameOf } from '../support/engines.ts';
import { type CaseSeen, Follower } from '../support/follow.ts';
import { type SecondNode, secondNode } from '../support/second-node.ts';
import { birth, deedTax, flexibleEmployment, houseTransfer } from '../support/submissions.ts';
import { freePort, startWorld, until, type World } from '../support/world.ts';

/** What a test has opened, closed in reverse. */
const opened = new WeakMap<World, (() => Promise<void>)[]>();

async function worldOn(t: TestContext, engines: Engines): Promise<World> {
  const world = await startWorld({ engines });
  opened.set(world, [() => world.stop()]);
  t.after(async () => {
    for (const close of opened.get(world)?.toReversed() ?? []) await close();
  });
  return world;
}

async function anotherNode(world: World): Promise<SecondNode> {
  const second = await secondNode(world);
  opened.get(world)?.push(() => second.stop());
  return second;
}

const matters = (n: number) => [houseTransfer(), deedTax(), birth(), flexibleEmployment()][n % 4] ?? deedTax();

async function allThrough(world: World, caseNos: readonly string[]): Promise<void> {
  const hall = new Follower(world);
  for (const caseNo of caseNos) assert.equal((await hall.ends(caseNo, 30_000)).decision?.outcome, 'approved');
  for (const party of world.simulated.simulators.keys()) {
    const keys = world.book(party).map(({ key }) => key);
    assert.equal(new Set(keys).size, keys.length, `${party} has something twice`);
  }
}

for (const engines of COMBINATIONS) {
  test(`${nameOf(engines)}: every item from the window to the window, each filed once; also after a restart`, async (t) => {
    const skip = await lacking(engines);
    if (skip !== false) return t.skip(skip);
    const world = await worldOn(t, engines);
    const hall = new Follower(world);
    const first = await Promise.all(Array.from({ length: 8 }, (_, n) => hall.submit(matters(n))));
    await world.restart();
    const second = await Promise.all(Array.from({ length: 4 }, (_, n) => hall.submit(matters(n))));
    await allThrough(world, [...first, ...second]);
    hall.nobodyInTheLog();
  });
}

for (const engines of COMBINATIONS.filter(({ store }) => store === 'PostgreSQL')) {
  const skip = await lacking(engines);
  describe(`two nodes on ${nameOf(engines)}`, { skip }, () => {
    test('take cases and work on them together; each is filed once', async (t) => {
      const world = await worldOn(t, engines);
      const { window } = await anotherNode(world);
      const taken = await Promise.all(
        Array.from({ length: 24 }, async (_, n) => {
          const at = n % 2 === 0 ? world.window : window;
          const { status, body } = await at.post<CaseSeen>('/v1/cases', matters(n));
          assert.equal(status, 202, JSON.stringify(body));
          return body.caseNo;
        }),
      );
      assert.equal(new Set(taken).size, 24, 'no number is given twice');
      await allThrough(world, taken);
    });

    test('the same application to both at once is one case; a nonce that was used on one is refused by the other', async (t) => {
      const world = await worldOn(t, engines);
      const { url, window } = await anotherNode(world);
      const submission = deedTax();
      const both = await Promise.all([world.window, window].map((at) => at.post<CaseSeen>('/v1/cases', submission)));
      assert.deepEqual(both.map(({ status }) => status).sort(), [200, 202]);
      assert.equal(new Set(both.map(({ body }) => body.caseNo)).size, 1);
      const target = '/v1/cases';
      const headers = window.headers('GET', target, new Uint8Array());
      const ask = async (node: string) => (await fetch(`${node}${target}`, { headers })).status;
      assert.deepEqual([await ask(world.gateway.url), await ask(url)], [200, 401]);
    });

    test('a title that changes is forgotten by both; another key than the data was begun with does not start', async (t) => {
      const world = await worldOn(t, engines);
      const { window } = await anotherNode(world);
      const hall = new Follower(world);
      const holder = { name: '周样例', idType: '111', idNo: '331124197203040017' };
      const certNo = '浙(2026)松阳县不动产权第7654321号';
      const retrieve = async (at: Client) =>
        (
          await at.post<{ results: readonly { state: string; freshness: string | null }[] }>(
            '/v1/certificates/retrievals',
            {
              holder,
              types: ['11100000MB03271699001'],
              purpose: {
                applicationNo: 'YC-N1',
                itemCode: '11331124QA0000057N433071500400501',
                clerk: { officerId: 'CK-07' },
                basis: '不动产登记暂行条例第十六条',
              },
              hints: { certNo },
            },
          )
        ).body.results[0];
      await retrieve(window);
      assert.equal((await retrieve(window))?.freshness, 'cached');
      await hall.lever('real-estate', 'title', { certNo, state: '02', idNo: holder.idNo });
      await until(async () => ((await retrieve(window))?.state === 'none' ? true : undefined));
      const other = { ...world.settings, port: await freePort(), holderHashKey: 'f'.repeat(64) };
      await assert.rejects(start(other), /holderHashKey: not the one/);
    });
  });
}
