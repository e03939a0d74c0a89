import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { Adapter } from '../../contracts/ports/adapter.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import { lacking } from '../support/engines.ts';
import { type CaseSeen, Follower } from '../support/follow.ts';
import { type LogLine, logInto } from '../support/party.ts';
import { secondNode } from '../support/second-node.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';
import { birth, deedTax, flexibleEmployment, houseTransfer } from '../support/submissions.ts';
import { startWorld } from '../support/world.ts';

const ENGINES = { store: 'PostgreSQL', bus: 'RabbitMQ' } as const;
const MINUTE = 60_000;
const matters = (n: number) => [houseTransfer(), deedTax(), birth(), flexibleEmployment()][n % 4] ?? deedTax();

/** Two nodes whose clocks are so far from the true time; every delivery is under way for a while. */
async function twoNodes(t: TestContext, aheadMs: readonly [number, number]) {
  const lines: LogLine[] = [];
  const inquired: string[] = [];
  /** To departments that could have been asked. */
  const sentTwice: string[] = [];
  const aroundAdapter = (party: Party, adapter: Adapter): Adapter => {
    const { inquire } = adapter;
    return {
      ...adapter,
      ...(inquire && {
        inquire(envelope, call) {
          inquired.push(`${envelope.id} at ${party}`);
          return inquire.call(adapter, envelope, call);
        },
      }),
      async deliver(envelope, call) {
        await new Promise((resolve) => setTimeout(resolve, 150));
        const receipt = await adapter.deliver(envelope, call);
        if (receipt.duplicate && inquire !== undefined) sentTwice.push(`${envelope.id} to ${party}`);
        return receipt;
      },
    };
  };
  const clocks = aheadMs.map((ahead) => {
    const clock = new ShiftedClock();
    clock.forward(ahead);
    return clock;
  });
  const meansOf = (node: number) => ({ clock: clocks[node] ?? assert.fail(), log: logInto(lines), aroundAdapter });
  // A call that is slow for want of a processor is no doubt of its lease.
  const world = await startWorld({ engines: ENGINES, means: meansOf(0), terms: { deadlineMs: 10_000 } });
  const opened = [() => world.stop()];
  t.after(async () => {
    for (const close of opened.toReversed()) await close();
  });
  const second = await secondNode(world, meansOf(1));
  opened.push(() => second.stop());
  return {
    hall: new Follower(world),
    lines,
    inquired,
    sentTwice,
    clocks,
    windows: [world.window, second.window],
    submit: (many: number): Promise<readonly string[]> =>
      Promise.all(
        Array.from({ length: many }, async (_, n) => {
          const at = n % 2 === 0 ? world.window : second.window;
          const { status, body } = await at.post<CaseSeen>('/v1/cases', matters(n >> 1));
          assert.equal(status, 202, JSON.stringify(body));
          return body.caseNo;
        }),
      ),
  };
}

describe('clocks that differ by a minute harm nothing', { skip: await lacking(ENGINES) }, () => {
  test('one a minute ahead, one a minute behind: no lease is over before its time, and both tell the true time', async (t) => {
    const { hall, lines, inquired, sentTwice, windows, submit } = await twoNodes(t, [MINUTE, -MINUTE]);
    const cases = await submit(24);
    for (const caseNo of cases) {
      assert.equal((await hall.ends(caseNo, 60_000)).decision?.outcome, 'approved');
      hall.inOrder(caseNo);
    }
    hall.onceEach();
    assert.deepEqual([...inquired, ...sentTwice], []);
    for (const window of windows) {
      const before = Date.now();
      const { body } = await window.post<CaseSeen>('/v1/cases', deedTax());
      const { acceptedAt } = (await window.get<{ acceptedAt: string }>(`/v1/cases/${body.caseNo}`)).body;
      const [early, late] = [Date.parse(acceptedAt) - before, Date.parse(acceptedAt) - Date.now()];
      assert.ok(early > -1_000 && late < 1_000, `${early} ms after it was sent, ${late} ms after it was read`);
      await hall.ends(body.caseNo, 60_000);
    }
    assert.deepEqual(
      lines.filter(({ level, message }) => level === 'error' || /too late|overtaken|clock/.test(message)),
      [],
    );
  });

  test('set a minute ahead and a minute back in the middle: nobody takes for over what the other holds', async (t) => {
    const { hall, clocks, inquired, sentTwice, submit } = await twoNodes(t, [0, 0]);
    const first = await submit(12);
    clocks[0]?.set(MINUTE);
    clocks[1]?.set(-MINUTE);
    for (const caseNo of [...first, ...(await submit(12))]) {
      assert.equal((await hall.ends(caseNo, 60_000)).decision?.outcome, 'approved');
      hall.inOrder(caseNo);
    }
    hall.onceEach();
    assert.deepEqual([...inquired, ...sentTwice], []);
  });
});
