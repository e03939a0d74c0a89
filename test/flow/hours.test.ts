import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { Follower, type ProblemSeen } from '../support/follow.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';
import { birth, deedTax, flexibleEmployment } from '../support/submissions.ts';
import { startWorld, type World } from '../support/world.ts';

const MINUTE = 60_000;
const hhmm = (at: number): string => new Date(at + 8 * 3_600_000).toISOString().slice(11, 16);

describe('closed hours and quotas', () => {
  const clock = new ShiftedClock();
  /** On the minute, one to two minutes from now. */
  const opens = (Math.floor(Date.now() / MINUTE) + 2) * MINUTE;
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld({
      means: { clock },
      termsOf: {
        tax: { closed: [`${hhmm(opens - 60 * MINUTE)}-${hhmm(opens)}`] },
        'medical-insurance': { quota: { calls: 3, per: 'minute' } },
      },
    });
    hall = new Follower(world);
  });
  after(() => world.stop());

  test('trap 11: nightly outage: the case waits with the time it goes on, the window is told, the breaker does not flap', async () => {
    const caseNo = await hall.submit(deedTax());
    const { reason, resumesAt } = await hall.reaches(caseNo, '01', 'WAITING');
    assert.equal(reason?.code, 'closedHours');
    assert.ok(reason?.zh.includes(hhmm(opens)), reason?.zh);
    const at = Date.parse(String(resumesAt));
    assert.ok(at >= opens && at <= opens + 2 * MINUTE, `${resumesAt}`);
    const told = await hall.progress(caseNo, '01', 'WAITING');
    assert.equal((told.step as JsonObject).resumesAt, resumesAt);

    const { breakers, closed, lane } = await hall.department('tax');
    assert.deepEqual([breakers.deliver.state, closed.now, lane.waiting], ['closed', true, 1]);
    assert.equal(Date.parse(String(closed.opensAt)), opens);
    const [waiting] = await hall.envelopes('party=tax');
    assert.equal(waiting?.attempts, 0);
    const asked = await world.window.post<ProblemSeen>('/v1/departments/tax/queries/taxpayer', {
      taxpayerNo: '91331124MA2E000116',
    });
    assert.equal(asked.status, 503, JSON.stringify(asked.body));
    assert.ok(Number(asked.headers.get('retry-after')) > 0);
    assert.deepEqual(hall.filed('tax', caseNo), []);
  });

  test('a quota that is used up: what is over waits for the next minute, and is not refused', async () => {
    const cases = await Promise.all([1, 2, 3, 4].map(() => hall.submit(birth())));
    for (const caseNo of cases) await hall.reaches(caseNo, '03', 'DONE');
    const steps = await Promise.all(cases.map((caseNo) => hall.reaches(caseNo, '02', ['DONE', 'WAITING'])));
    const waiting = steps.filter(({ state }) => state === 'WAITING');
    assert.ok(waiting.length >= 1);
    assert.ok(waiting.every(({ reason }) => reason?.code === 'quotaUsedUp'));
    const { quota, breakers } = await hall.department('medical-insurance');
    assert.deepEqual([quota?.calls, breakers.deliver.state], [3, 'closed']);
    assert.ok(Number(quota?.used) <= 3);
    assert.ok(world.book('medical-insurance').length <= 3);
  });

  test('a lane that is closed keeps nobody else back', async () => {
    const caseNo = await hall.submit(flexibleEmployment({ form: { insuranceTypes: ['110'] } }));
    await hall.reaches(caseNo, '01', 'DONE');
    await hall.reaches(caseNo, '03', 'WAITING');
  });

  test('when the time has come everything goes on by itself', async () => {
    // Within the five minutes that a signature may be old.
    clock.forward(opens + 90_000 - Date.now());
    const { rows } = (await world.window.get<{ rows: { caseNo: string }[] }>('/v1/cases?limit=50')).body;
    assert.equal(rows.length, 6);
    for (const { caseNo } of rows) {
      // The clock jumps, and timers do not: what is due is found by the next sweep, which may be ten seconds away.
      const { decision } = await hall.ends(caseNo, 120_000);
      assert.equal(decision?.outcome, 'approved');
      hall.inOrder(caseNo);
    }
    hall.onceEach();
    // To the departments, whose clocks were not set forward, ours is wrong now.
    hall.rang(/^their clock differs from ours$/);
    hall.nobodyInTheLog();
  });
});
