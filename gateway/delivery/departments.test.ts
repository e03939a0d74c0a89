import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Json } from '../../contracts/ports/envelope.ts';
import { engine, REPLIES } from '../../test/support/engine.ts';
import type { TeaOffice } from '../../test/support/tea-office.ts';
import { settle } from '../../test/support/virtual-clock.ts';

const TRACE = '00-1-1-01';

test('a department’s view says what is true of it', async (t) => {
  const { delivery, submit, clock, office, store } = await engine(t, {
    terms: { quota: { calls: 5, per: 'day' }, closed: ['12:00-13:00'], concurrency: 1 },
  });
  office.answer = { outcome: 'done', result: { leaf: 'green' } };
  await submit('A1');
  await clock.until('delivered', async () => (await store.lanes()).some(({ lastDelivered }) => lastDelivered !== null));
  const [view] = await delivery.departments.list();
  assert.deepEqual(view, {
    party: 'tea-office',
    title: { zh: 'tea office', en: 'tea office' },
    owner: 'tea office',
    version: '1.0.0',
    breakers: {
      deliver: { state: 'closed', until: null },
      query: { state: 'closed', until: null },
      certificates: { state: 'closed', until: null },
    },
    closed: { hours: ['12:00-13:00'], now: false, opensAt: null },
    quota: { calls: 5, per: 'day', used: 1 },
    lane: { waiting: 0, inFlight: 0, parked: 0, oldestWaiting: null, unmatched: 0 },
    paused: null,
    away: null,
    lastSuccess: view?.lastSuccess,
    delivers: ['tea-office.work@1'],
    queries: ['garden', 'empty'],
    certificates: [],
  });
  assert.equal(typeof view.lastSuccess, 'number');
  assert.equal(await delivery.departments.get('nobody'), undefined);
});

describe('a direct question', () => {
  test('is answered through the guard, checked both ways', async (t) => {
    const { delivery, told } = await engine(t);
    assert.deepEqual(await delivery.departments.query('tea-office', 'garden', { no: '7' }, TRACE), { tea: '7' });
    assert.ok(told.includes('called tea-office query done'));
  });

  const wrong: readonly [string, Json, string, number, string][] = [
    ['an unknown department', { no: '7' }, 'nobody/garden', 404, 'partyUnknown'],
    ['an unknown question', { no: '7' }, 'tea-office/cellar', 404, 'queryUnknown'],
    ['one that breaks its contract', { number: 7 }, 'tea-office/garden', 422, 'unfit'],
    ['a reply that breaks its contract', { no: '7' }, 'tea-office/empty', 502, 'replyBroken'],
  ];
  for (const [name, body, target, status, code] of wrong)
    test(`${name}: ${status}`, async (t) => {
      const { delivery, of } = await engine(t);
      const [party = '', query = ''] = target.split('/');
      await assert.rejects(delivery.departments.query(party, query, body, TRACE), (error: unknown) => {
        assert.ok(error instanceof Unfit);
        assert.deepEqual([error.status, error.code], [status, code]);
        if (status === 422) assert.equal(error.problems.length, 2, 'every problem at once');
        return true;
      });
      assert.equal(of('error').length, status === 502 ? 1 : 0);
    });

  const moods: readonly [TeaOffice['mood'], number, string, boolean][] = [
    ['refuses', 422, 'refusedByDepartment', false],
    ['garbled', 502, 'replyBroken', true],
    ['shut', 502, 'notAcceptedByDepartment', true],
    ['busy', 503, 'departmentBusy', false],
    ['absent', 503, 'departmentUnreachable', false],
    ['hung', 504, 'departmentSilent', false],
    ['buggy', 504, 'departmentSilent', false],
  ];
  for (const [mood, status, code, rings] of moods)
    test(`to a department that is ${mood}: ${status}`, async (t) => {
      const { delivery, office, clock, of } = await engine(t, { facts: REPLIES.later });
      office.mood = mood;
      office.busyUntil = clock.now() + 30_000;
      let error: unknown;
      const asking = delivery.departments.query('tea-office', 'garden', { no: '7' }, TRACE).catch((reason: unknown) => {
        error = reason;
      });
      await settle();
      if (mood === 'hung') await clock.pass(1_300);
      await asking;
      assert.ok(error instanceof Unfit);
      assert.deepEqual([error.status, error.code], [status, code]);
      assert.equal(error.retryAfter !== undefined, status >= 503);
      if (mood === 'busy') assert.equal(error.retryAfter, 30);
      assert.equal(of('error').length, rings ? 1 : 0);
    });
});
