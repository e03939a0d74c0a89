import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { Follower, stepOf } from '../support/follow.ts';
import { houseTransfer } from '../support/submissions.ts';
import { startWorld, until, type World } from '../support/world.ts';

interface Kept {
  readonly from: string;
  readonly about: { readonly key?: string };
  readonly outcome: string;
}

describe('what the registry says later, by its own push or when it is asked', () => {
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld();
    hall = new Follower(world);
  });
  after(() => world.stop());

  const local = (at: number): string => new Date(at + 8 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ');

  /** As the registry pushes it; `sign` as it would, unless given. */
  async function push(message: JsonObject | string, sign?: string) {
    const text = typeof message === 'string' ? message : JSON.stringify(message);
    const key = String((world.settings.parties['real-estate'] as JsonObject).pushKey);
    const response = await fetch(`${world.gateway.url}/v1/callbacks/real-estate`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json;charset=UTF-8',
        'x-bdc-sign': sign ?? createHmac('sm3', key).update(text).digest('hex'),
      },
      body: text,
    });
    return { status: response.status, body: (await response.json()) as { code: number; msg: string } };
  }

  function registered(key: string, number: string, at = Date.now()): JsonObject {
    return {
      xxbh: `${number}-已登簿`,
      slbh: key,
      bdcSlbh: number,
      zt: '已登簿',
      yy: '/',
      bzcl: [],
      bdcqzh: '浙(2026)松阳县不动产权第0009999号',
      zzbs: '1.2.156.3005.2.11100000MB03271699001.11331124QA0000057N.20260000000000000001.001.H',
      djsj: local(at),
      gxsj: local(at),
    };
  }

  const unmatched = async (): Promise<readonly Kept[]> =>
    (await world.operator.get<{ rows: Kept[] }>('/v1/envelopes?state=unmatched')).body.rows;

  test('trap 12: a receipt before our own commit: the push overtakes the reply to the submission', async () => {
    await hall.lever('real-estate', 'pushEarly', true);
    const cases = await Promise.all([1, 2, 3, 4].map(() => hall.submit(houseTransfer())));
    for (const caseNo of cases) {
      const { decision, steps } = await hall.ends(caseNo);
      assert.equal(decision?.outcome, 'approved');
      const { state, number } = stepOf({ steps }, '03');
      assert.deepEqual([state, number !== null], ['DONE', true]);
      assert.deepEqual(hall.filed('real-estate', caseNo), [`${caseNo}-03`]);
      hall.inOrder(caseNo);
    }
    await hall.lever('real-estate', 'pushEarly', false);
    assert.deepEqual(await unmatched(), []);
  });

  test('trap 12: twice: the second push is answered as taken, and changes nothing', async () => {
    const caseNo = await hall.submit(houseTransfer());
    const { steps } = await hall.ends(caseNo);
    const before = await hall.timeline(caseNo);
    const step = stepOf({ steps }, '03');
    const twice = registered(`${caseNo}-03`, String(step.number));
    assert.deepEqual(await push(twice), { status: 200, body: { code: 0, msg: '成功' } });
    assert.deepEqual(await push(twice), { status: 200, body: { code: 0, msg: '成功' } });
    assert.deepEqual((await hall.step(caseNo, '03')).result, step.result);
    const told = hall.notices(caseNo);
    assert.equal(told.filter(({ what }) => what === 'case.result@1').length, 1);
    assert.deepEqual(
      (await hall.timeline(caseNo)).filter(({ kind }) => kind === 'answered').length,
      before.filter(({ kind }) => kind === 'answered').length,
    );
  });

  test('trap 13: out of order: a refusal that comes after the end is noted, not followed', async () => {
    const caseNo = await hall.submit(houseTransfer());
    await hall.ends(caseNo);
    const refusal = {
      ...registered(`${caseNo}-03`, 'BDC1'),
      xxbh: `${caseNo}-late`,
      zt: '不予登记',
      yy: '权属存在争议',
    };
    assert.equal((await push(refusal)).body.code, 0);
    const view = await hall.look(caseNo);
    assert.deepEqual([view.decision?.outcome, stepOf(view, '03').state], ['approved', 'DONE']);
    const late = (await hall.timeline(caseNo)).filter(({ detail }) => detail.late === true);
    assert.deepEqual(
      late.map(({ kind, stepNo, detail }) => [kind, stepNo, detail.outcome]),
      [['answered', '03', 'refused']],
    );
  });

  test('trap 12: about a number nobody knows: kept, said to be kept, and shown to a person', async () => {
    const key = '331124200101000001-03';
    assert.equal((await push(registered(key, 'BDC20200101000001'))).body.code, 0);
    const kept = await unmatched();
    assert.deepEqual(
      kept.map(({ from, about, outcome }) => [from, about.key, outcome]),
      [['real-estate', key, 'done']],
    );
    assert.equal((await hall.department('real-estate')).lane.unmatched, 1);
  });

  test('wrongly signed: answered in their words, and nothing is kept', async () => {
    const caseNo = '331124200101000002';
    const { status, body } = await push(registered(`${caseNo}-03`, 'BDC2'), 'f'.repeat(64));
    assert.deepEqual([status, body.code], [200, 1]);
    assert.equal((await unmatched()).length, 1);
  });

  test('whoever is not believed is told of in the log with their address, and a flood of them does not fill it', async () => {
    const told = () =>
      world.log.filter(
        ({ message, fields }) => message === 'a request was not let in' && fields.act === 'takeCallback',
      );
    const before = told().length;
    const push = (query: number) =>
      fetch(`${world.gateway.url}/v1/callbacks/real-estate?n=${query}`, { method: 'POST', body: `{"n":${query}}` });
    const statuses = new Map<number, number>();
    for (let count = 0; count < 400; count += 1) {
      const { status } = await push(count);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
    assert.ok((statuses.get(429) ?? 0) > 0, JSON.stringify([...statuses]));
    const lines = told().slice(before);
    assert.ok(lines.length > 0 && lines.length < 40, `${lines.length} lines`);
    for (const { fields } of lines) assert.deepEqual([fields.address, fields.object], ['127.0.0.1', 'real-estate']);
  });

  test('bytes that mean nothing, even well signed: not taken, and nothing is kept', async () => {
    for (const text of ['{"slbh":"33', '[]', '"x"', '', '{}', '<html>', JSON.stringify({ zt: '已登簿' })]) {
      const { status, body } = await push(text);
      assert.deepEqual([status, body.code], [200, 1], text);
    }
    assert.equal((await unmatched()).length, 1);
  });

  test('a push that breaks its contract is not taken, and rings', async () => {
    await hall.lever('real-estate', 'push', false);
    await hall.lever('real-estate', 'decideAfterMs', 60_000);
    const caseNo = await hall.submit(houseTransfer());
    const { number } = await hall.reaches(caseNo, '03', 'WAITING_RECEIPT');
    const broken = { ...registered(`${caseNo}-03`, String(number)), bdcqzh: '' };
    assert.equal((await push(broken)).body.code, 1);
    assert.equal((await hall.step(caseNo, '03')).state, 'WAITING_RECEIPT');
    assert.equal((await push(registered(`${caseNo}-03`, String(number)))).body.code, 0);
    await hall.ends(caseNo);
    await hall.lever('real-estate', 'decideAfterMs', 50);
    hall.inOrder(caseNo);
  });

  test('trap 12: never: the push does not come, and the registry is asked', async () => {
    await hall.lever('real-estate', 'push', false);
    const caseNo = await hall.submit(houseTransfer());
    const { decision } = await hall.ends(caseNo);
    await hall.lever('real-estate', 'push', true);
    assert.equal(decision?.outcome, 'approved');
    assert.deepEqual(hall.filed('real-estate', caseNo), [`${caseNo}-03`]);
  });

  test('a push while the gateway is down: asked for after the restart', async () => {
    await hall.lever('real-estate', 'decideAfterMs', 200);
    const caseNo = await hall.submit(houseTransfer());
    await hall.reaches(caseNo, '03', 'WAITING_RECEIPT');
    await world.restart();
    await hall.lever('real-estate', 'decideAfterMs', 50);
    const { decision } = await hall.ends(caseNo);
    assert.equal(decision?.outcome, 'approved');
    hall.inOrder(caseNo);
  });

  test('a department that sends no callbacks has no such door', async () => {
    const response = await fetch(`${world.gateway.url}/v1/callbacks/tax`, { method: 'POST', body: 'x' });
    assert.equal(response.status, 404);
    const nobody = await fetch(`${world.gateway.url}/v1/callbacks/nobody`, { method: 'POST', body: 'x' });
    assert.equal(nobody.status, 404);
  });

  test('after all of it: nothing twice, only the broken push rang, nobody in the log', async () => {
    await until(async () => (await hall.department('window')).lane.waiting === 0 || undefined);
    hall.onceEach();
    hall.rang(/a pushed message was not taken/);
    hall.nobodyInTheLog();
  });
});
