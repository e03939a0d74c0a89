import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { Follower, type ProblemSeen } from '../support/follow.ts';
import { houseTransfer } from '../support/submissions.ts';
import { startWorld, until, type World } from '../support/world.ts';

interface MessageSeen {
  readonly id: string;
  readonly from: string;
  readonly about: { readonly key: string };
  readonly outcome: string;
  readonly problem: { readonly code: string; readonly zh: string; readonly en: string };
}

interface EndSeen extends ProblemSeen {
  readonly id: string;
  readonly state: string;
  readonly envelope: string | null;
}

describe('what a person does with a message that matches nothing', () => {
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld({ termsOf: { 'real-estate': { askAfterMs: [3_600_000] } } });
    hall = new Follower(world);
    await hall.lever('real-estate', 'push', false);
  });
  after(() => world.stop());

  let mistyped = 0;
  /** The registry's own push, rightly signed, under a key that nobody knows: somebody there has mistyped it. */
  async function pushMistyped(more: JsonObject = {}): Promise<{ key: string; again: () => Promise<number> }> {
    mistyped += 1;
    const key = `3311242001010000${String(mistyped).padStart(2, '0')}-03`;
    const at = new Date(Date.now() + 8 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ');
    const text = JSON.stringify({
      xxbh: `${key}-已登簿`,
      slbh: key,
      bdcSlbh: 'BDC-mistyped',
      zt: '已登簿',
      yy: '/',
      bzcl: [],
      bdcqzh: '浙(2026)松阳县不动产权第0009999号',
      zzbs: '1.2.156.3005.2.11100000MB03271699001.11331124QA0000057N.20260000000000000001.001.H',
      djsj: at,
      gxsj: at,
      ...more,
    });
    const pushKey = String((world.settings.parties['real-estate'] as JsonObject).pushKey);
    const again = async () => {
      const response = await fetch(`${world.gateway.url}/v1/callbacks/real-estate`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json;charset=UTF-8',
          'x-bdc-sign': createHmac('sm3', pushKey).update(text).digest('hex'),
        },
        body: text,
      });
      return ((await response.json()) as { code: number }).code;
    };
    assert.equal(await again(), 0, 'it is answered as taken');
    return { key, again };
  }

  const listed = async (): Promise<readonly MessageSeen[]> =>
    (await world.operator.get<{ rows: MessageSeen[] }>('/v1/messages?state=unmatched')).body.rows;
  const messageOf = async (key: string): Promise<MessageSeen> =>
    (await listed()).find(({ about }) => about.key === key) ?? assert.fail(`${key} is not listed`);
  const attach = (id: string, envelope: string) =>
    world.operator.post<EndSeen>(`/v1/messages/${id}/attach`, { envelope, reason: '与登记中心电话核对' });
  const discard = (id: string) =>
    world.operator.post<EndSeen>(`/v1/messages/${id}/discard`, { reason: '登记中心误发' });

  test('it stands there with its reason, in both languages, the same after a restart', async () => {
    const { key } = await pushMistyped();
    const seen = await messageOf(key);
    assert.deepEqual([seen.from, seen.outcome, seen.problem.code], ['real-estate', 'done', 'matchesNothing']);
    assert.ok(seen.problem.zh.length > 0 && seen.problem.en.length > 0);
    assert.equal((await hall.department('real-estate')).lane.unmatched, 1);
    await world.restart();
    assert.deepEqual(await messageOf(key), seen);
    assert.equal((await discard(seen.id)).status, 200);
  });

  test('attached to its envelope the case goes on as if it had been matched; the timeline says by whom and why', async () => {
    const caseNo = await hall.submit(houseTransfer());
    const { number } = await hall.reaches(caseNo, '03', 'WAITING_RECEIPT');
    const { key, again } = await pushMistyped();
    const { id } = await messageOf(key);
    const attached = await attach(id, `${caseNo}-03`);
    assert.deepEqual(
      [attached.status, attached.body],
      [200, { id, state: 'attached', envelope: `${caseNo}-03` }],
      JSON.stringify(attached.body),
    );
    const { decision } = await hall.ends(caseNo);
    assert.equal(decision?.outcome, 'approved');
    assert.equal((await hall.step(caseNo, '03')).number, number, 'the number that the registry gave');
    const [line, ...more] = (await hall.timeline(caseNo)).filter(({ kind }) => kind === 'attached');
    assert.deepEqual(
      [line?.stepNo, line?.detail.by, line?.detail.envelope, more.length],
      ['03', 'operator-demo', `${caseNo}-03`, 0],
    );
    assert.ok((await listed()).every((one) => one.id !== id));

    // Again, by the person and by the registry: nothing changes.
    const ofAnswers = async () =>
      (await hall.timeline(caseNo)).filter(({ kind }) => kind === 'attached' || kind === 'answered');
    const before = await ofAnswers();
    assert.equal((await attach(id, `${caseNo}-03`)).status, 200);
    assert.equal(await again(), 0);
    assert.deepEqual(await ofAnswers(), before);
    const other = await attach(id, `${caseNo}-02`);
    assert.deepEqual([other.status, other.body.code], [409, 'messageEnded']);
    assert.equal((await discard(id)).body.code, 'messageEnded');
    hall.inOrder(caseNo);
  });

  test('what it cannot be attached to is told by the field, and nothing changes', async () => {
    const caseNo = await hall.submit(houseTransfer());
    await hall.reaches(caseNo, '03', 'WAITING_RECEIPT');
    const { key } = await pushMistyped();
    const { id } = await messageOf(key);
    const { key: brokenKey } = await pushMistyped({ bdcqzh: '' });
    const { id: broken } = await messageOf(brokenKey);
    for (const [message, envelope, code] of [
      [id, `${caseNo}-02`, 'envelopeOfOther'],
      [id, '331124200101000099-03', 'envelopeUnknown'],
      [broken, `${caseNo}-03`, 'resultBroken'],
    ] as const) {
      const { status, body } = await attach(message, envelope);
      assert.deepEqual(
        [status, body.code, body.problems?.map((one) => [one.pointer, one.code])],
        [422, 'unfit', [['/envelope', code]]],
      );
    }
    const unfit = await world.operator.post<ProblemSeen>(`/v1/messages/${id}/attach`, { envelope: 3, why: 'x' });
    assert.deepEqual(unfit.body.problems?.map(({ pointer }) => pointer).toSorted(), ['', '/envelope', '/reason']);
    assert.equal((await attach('0'.repeat(32), `${caseNo}-03`)).body.code, 'messageUnknown');
    assert.equal((await hall.step(caseNo, '03')).state, 'WAITING_RECEIPT');
    assert.deepEqual((await listed()).map(({ about }) => about.key).toSorted(), [key, brokenKey]);
    assert.equal((await attach(id, `${caseNo}-03`)).status, 200);
    assert.equal((await discard(broken)).status, 200);
    await hall.ends(caseNo);
  });

  test('discarded it is gone from the queue, and the same again is answered as taken and not kept', async () => {
    const { key, again } = await pushMistyped();
    const { id } = await messageOf(key);
    const { status, body } = await discard(id);
    assert.deepEqual([status, body], [200, { id, state: 'discarded', envelope: null }]);
    assert.equal((await discard(id)).status, 200);
    assert.equal(await again(), 0);
    assert.deepEqual(await listed(), []);
    const caseNo = await hall.submit(houseTransfer());
    await hall.reaches(caseNo, '03', 'WAITING_RECEIPT');
    assert.equal((await attach(id, `${caseNo}-03`)).body.code, 'messageEnded');
    assert.ok(
      world.log.some(
        ({ message, fields }) => message === 'a message was discarded by a person' && fields.by === 'operator-demo',
      ),
    );
  });

  test('attached to what a person has cancelled here: kept with the step, in doubt, and nothing moves', async () => {
    await world.operator.post('/v1/departments/real-estate/pause', { reason: '登记系统割接' });
    const caseNo = await hall.submit(houseTransfer());
    await hall.reaches(caseNo, '03', 'WAITING');
    await until(async () => (await hall.envelopes(`party=real-estate&caseNo=${caseNo}`))[0]);
    const cancelled = await world.operator.post(`/v1/envelopes/${caseNo}-03/cancel`, { reason: '申请人撤回' });
    assert.equal(cancelled.status, 200);
    const { decision } = await hall.ends(caseNo);
    const { key } = await pushMistyped();
    assert.equal((await attach((await messageOf(key)).id, `${caseNo}-03`)).status, 200);
    const after = await hall.look(caseNo);
    const step = after.steps.find(({ no }) => no === '03') as unknown as JsonObject;
    assert.deepEqual([after.decision, step.state], [decision, 'REJECTED']);
    assert.equal((step.late as JsonObject).outcome, 'done');
    assert.equal((await hall.envelopes(`party=real-estate&caseNo=${caseNo}`))[0]?.inDoubt, true);
  });

  test('after all of it: nothing twice, only what was withdrawn here and is there rang, nobody in the log', () => {
    hall.onceEach();
    hall.rang(/^a party has what was withdrawn or cancelled here: a person must look at it$/);
    hall.nobodyInTheLog();
  });
});
