import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { Adapter } from '../../contracts/ports/adapter.ts';
import type { JsonObject, Millis, Party } from '../../contracts/ports/envelope.ts';
import type { Store } from '../../contracts/ports/store.ts';
import { lacking } from '../support/engines.ts';
import { type CaseSeen, type DepartmentSeen, Follower } from '../support/follow.ts';
import { type LogLine, logInto } from '../support/party.ts';
import { secondNode } from '../support/second-node.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';
import { birth, deedTax } from '../support/submissions.ts';
import { startWorld, until } from '../support/world.ts';

const ENGINES = { store: 'PostgreSQL', bus: 'RabbitMQ' } as const;
const MINUTE = 60_000;
const hhmm = (at: Millis): string => new Date(at + 8 * 3_600_000).toISOString().slice(11, 16);

interface Called {
  readonly node: number;
  readonly at: Millis;
}

/** Two nodes on one database and one broker; what both call of one department, and how many at a time. */
async function twoNodes(
  t: TestContext,
  party: Party,
  terms: JsonObject,
  { takesMs = 0, together = 0 }: { readonly takesMs?: number; readonly together?: number } = {},
) {
  const clock = new ShiftedClock();
  const calls: Called[] = [];
  const asked: [number, number] = [0, 0];
  const lines: readonly LogLine[][] = [[], []];
  let underWay = 0;
  let most = 0;
  let leasing = 0;
  const meansOf = (node: 0 | 1) => ({
    clock,
    log: logInto(lines[node] ?? []),
    aroundStore: (store: Store): Store => ({
      ...store,
      async lease(request) {
        leasing += 1;
        try {
          return await store.lease(request);
        } finally {
          leasing -= 1;
        }
      },
    }),
    aroundAdapter(name: Party, adapter: Adapter): Adapter {
      if (name !== party) return adapter;
      const { inquire, query } = adapter;
      /** What happens while a call of this adapter is under way. */
      const during = async <T>(run: () => Promise<T>): Promise<T> => {
        underWay += 1;
        most = Math.max(most, underWay);
        try {
          await new Promise<void>((resolve) => void clock.after(takesMs, resolve));
          // Until as many were there as may be, however slowly they come; a generous time later it goes on without them.
          if (most < together) await until(() => most >= together || undefined, 10_000).catch(() => {});
          return await run();
        } finally {
          underWay -= 1;
        }
      };
      return {
        ...adapter,
        ...(query && {
          query(...given) {
            asked[node] += 1;
            return during(() => query.apply(adapter, given));
          },
        }),
        ...(inquire && {
          async inquire(...given) {
            calls.push({ node, at: clock.now() });
            return inquire.apply(adapter, given);
          },
        }),
        async deliver(envelope, call) {
          calls.push({ node, at: clock.now() });
          return during(() => adapter.deliver(envelope, call));
        },
      };
    },
  });
  const world = await startWorld({ engines: ENGINES, means: meansOf(0), termsOf: { [party]: terms } });
  const opened = [() => world.stop()];
  t.after(async () => {
    for (const close of opened.toReversed()) await close();
  });
  const second = await secondNode(world, meansOf(1));
  opened.push(() => second.stop());
  const hall = new Follower(world);
  return {
    world,
    hall,
    clock,
    calls,
    asked,
    lines,
    windows: [world.window, second.window] as const,
    most: () => most,
    /** Time passes for both, while no lease is being given: one that was asked for before would be over when it comes. */
    async pass(ms: () => number): Promise<void> {
      await until(() => leasing === 0 || undefined);
      clock.forward(ms());
    },
    /** Half of them at each node. */
    submit: (many: number, make: () => JsonObject): Promise<readonly string[]> =>
      Promise.all(
        Array.from({ length: many }, async (_, n) => {
          const at = n % 2 === 0 ? world.window : second.window;
          const { status, body } = await at.post<CaseSeen>('/v1/cases', make());
          assert.equal(status, 202, JSON.stringify(body));
          return body.caseNo;
        }),
      ),
    /** As each node sees the department. */
    seen: (): Promise<readonly DepartmentSeen[]> =>
      Promise.all(
        [world.operator, second.operator].map(
          async (operator) => (await operator.get<DepartmentSeen>(`/v1/departments/${party}`)).body,
        ),
      ),
  };
}

describe('what a department allows holds over all nodes together', { skip: await lacking(ENGINES) }, () => {
  test('so many filings at a time, though each node may have them all; and both work', async (t) => {
    const { hall, calls, most, submit } = await twoNodes(
      t,
      'tax',
      { concurrency: 3, deadlineMs: 30_000 },
      { takesMs: 30, together: 3 },
    );
    const cases = await submit(40, deedTax);
    for (const caseNo of cases) await hall.reaches(caseNo, '01', 'DONE', 60_000);
    hall.onceEach();
    const byNode = [0, 1].map((node) => calls.filter((call) => call.node === node).length);
    t.diagnostic(`${byNode.join(' and ')} filings, ${most()} at a time`);
    assert.equal(most(), 3);
    assert.ok(
      byNode.every((each) => each > 0),
      byNode.join(' '),
    );
  });

  test('so many calls at a time of every kind: questions at both nodes beside filings, and neither node keeps the other out', async (t) => {
    const { hall, calls, asked, windows, most, submit } = await twoNodes(
      t,
      'tax',
      { concurrency: 2, deadlineMs: 30_000 },
      { takesMs: 20, together: 2 },
    );
    let answered = 0;
    const enough = Date.now() + 4_000;
    const asking = windows.flatMap((window) =>
      Array.from({ length: 6 }, async () => {
        while (Date.now() < enough) {
          const { status } = await window.post('/v1/departments/tax/queries/taxpayer', {
            taxpayerNo: '91331124MA2E000116',
          });
          assert.equal(status, 200);
          answered += 1;
        }
      }),
    );
    const cases = await submit(20, deedTax);
    for (const caseNo of cases) await hall.reaches(caseNo, '01', 'DONE', 60_000);
    await Promise.all(asking);
    hall.onceEach();
    t.diagnostic(`${asked.join(' and ')} questions, ${calls.length} filings, ${most()} at a time`);
    assert.equal(most(), 2);
    assert.equal(asked[0] + asked[1], answered);
    const [less, more] = asked.toSorted((a, b) => a - b);
    assert.ok((less ?? 0) * 4 > (more ?? 0), asked.join(' '));
  });

  test('so many calls a minute: the rest waits for the next one, and is not refused', async (t) => {
    const quota = { calls: 6, per: 'minute' };
    const { hall, clock, calls, submit, seen, pass } = await twoNodes(t, 'medical-insurance', { quota });
    const toTheNext = (): number => MINUTE - (clock.now() % MINUTE);
    // From the beginning of a minute on, so that the first calls are all in one.
    await pass(() => toTheNext() + 500);
    const cases = await submit(14, birth);
    const waits = async (): Promise<number> => {
      const steps = await Promise.all(cases.map((caseNo) => hall.step(caseNo, '02')));
      return steps.filter(({ state }) => state !== 'DONE').length;
    };
    const usedUp = async (): Promise<boolean> =>
      (await seen()).every(({ quota: one, lane }) => one?.used === 6 && lane.inFlight === 0);
    await until(async () => (await usedUp()) || undefined, 30_000, 'all six are used');
    assert.equal(await waits(), 8);
    assert.equal(
      (await hall.envelopes('party=medical-insurance&state=waiting')).every(({ attempts }) => attempts === 0),
      true,
    );
    for (let minutes = 2; (await waits()) > 0; minutes += 1) {
      assert.ok(minutes <= 4, 'the rest does not come in the minutes after');
      // Those that wait come back spread over ten seconds.
      await pass(() => toTheNext() + 11_000);
      await until(async () => (await usedUp()) || (await waits()) === 0 || undefined, 30_000, `minute ${minutes}`);
    }
    const byMinute = [...Map.groupBy(calls, ({ at }) => Math.floor(at / MINUTE)).values()].map(({ length }) => length);
    t.diagnostic(`${byMinute.join(', ')} calls a minute`);
    assert.equal(byMinute[0], 6);
    assert.ok(
      byMinute.every((each) => each <= 6),
      byMinute.join(' '),
    );
    hall.onceEach();
  });

  test('closed hours: nobody calls before it opens, and then all goes', async (t) => {
    /** On the minute, one to two minutes from now. */
    const opens = (Math.floor(Date.now() / MINUTE) + 2) * MINUTE;
    const closed = [`${hhmm(opens - 60 * MINUTE)}-${hhmm(opens)}`];
    const { hall, clock, calls, submit, seen, pass } = await twoNodes(t, 'tax', { closed });
    const cases = await submit(8, deedTax);
    for (const caseNo of cases)
      assert.equal((await hall.reaches(caseNo, '01', 'WAITING', 30_000)).reason?.code, 'closedHours');
    assert.deepEqual(calls, []);
    for (const { breakers, closed: hours } of await seen())
      assert.deepEqual([breakers.deliver.state, hours.now], ['closed', true]);
    // They come back spread over a minute.
    await pass(() => opens - clock.now() + MINUTE);
    for (const caseNo of cases) await hall.reaches(caseNo, '01', 'DONE', 30_000);
    assert.equal(calls.length, cases.length);
    assert.ok(calls.every(({ at }) => at >= opens));
  });

  test('its breaker: what one node finds out spares the other, one of them tries at a time, and both go on', async (t) => {
    const openMs = 1_000;
    const breaker = { failures: 3, windowMs: 10_000, openMs };
    const { hall, clock, calls, lines, submit, seen } = await twoNodes(t, 'tax', {
      breaker,
      concurrency: 4,
      backoffMs: { first: 20, max: 40 },
    });
    const openedAt = (node: number) => lines[node]?.filter(({ message }) => message === 'breaker open') ?? [];
    await hall.mood('tax', 'absent');
    const cases = await submit(20, deedTax);
    await until(() => (openedAt(0).length > 0 && openedAt(1).length > 0) || undefined, 30_000, 'both open');
    const [from, before] = [clock.now(), calls.length];
    await until(() => calls.length >= before + 3 || undefined, 30_000, 'three trials');
    const trials = calls.slice(before).map(({ at }) => at - from);
    t.diagnostic(`${before} calls until both knew, then trials after ${trials.join(', ')} ms`);
    const heard = [0, 1].flatMap(openedAt).filter(({ fields }) => fields.hearsay === true);
    assert.ok(heard.length > 0, 'each found out for itself');
    // Each of two nodes would try once in every `openMs`.
    for (const [at, trial] of trials.entries())
      if (at > 0) assert.ok(trial - (trials[at - 1] ?? 0) > openMs * 0.7, trials.join(' '));
    await hall.mood('tax', 'well');
    for (const caseNo of cases) await hall.reaches(caseNo, '01', 'DONE', 60_000);
    await until(
      async () => (await seen()).every(({ breakers }) => breakers.deliver.state === 'closed') || undefined,
      10_000,
      'both closed',
    );
    hall.onceEach();
  });
});
