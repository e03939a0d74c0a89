import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { type CaseSeen, type EnvelopeSeen, Follower, type ProblemSeen } from '../support/follow.ts';
import { deedTax, houseTransfer } from '../support/submissions.ts';
import { startWorld, until, type World } from '../support/world.ts';

interface Settled extends EnvelopeSeen, ProblemSeen {
  readonly warnings: readonly { readonly code: string }[];
}

describe('what nobody knows is kept until somebody finds out', () => {
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld({
      terms: { deadlineMs: 400, backoffMs: { first: 30, max: 100 } },
      termsOf: { tax: { breaker: { failures: 500, windowMs: 10_000, openMs: 100 } } },
    });
    hall = new Follower(world);
  });
  after(() => world.stop());
  beforeEach(async () => {
    await hall.mood('tax', 'well');
    await hall.lever('tax', 'decide', 'paid');
  });

  const act = (path: string, body: object = {}) => world.operator.post<Settled>(path, body);
  const settle = (id: string, body: object) => act(`/v1/envelopes/${id}/settle`, body);
  const look = async (id: string) => (await world.operator.get<Settled>(`/v1/envelopes/${id}`)).body;

  /** A deed tax in doubt: the tax office has it (or has it not), and neither answered nor answers a question. */
  async function inDoubt(mood: 'forgetful' | 'deaf'): Promise<{ caseNo: string; id: string }> {
    await hall.mood('tax', mood);
    const caseNo = await hall.submit(deedTax());
    const id = `${caseNo}-01`;
    if (mood === 'forgetful') await until(() => hall.filed('tax', caseNo)[0], 5_000, 'filed');
    await hall.mood('tax', 'deaf');
    await until(async () => ((await look(id)).inDoubt ? true : undefined), 5_000, 'doubt');
    return { caseNo, id };
  }
  /** Between two tries: what is under way cannot be settled. */
  async function settled(id: string, body: object) {
    return until(
      async () => {
        const answer = await settle(id, body);
        return answer.status === 409 && answer.body.code === 'notInDoubt' ? undefined : answer;
      },
      10_000,
      'a settling',
    );
  }
  const numberOf = (id: string): string => world.book('tax').find(({ key }) => key === id)?.number ?? '';

  test('filed, as the department said on the telephone: it is not sent again, and its answer is asked for', async () => {
    const { caseNo, id } = await inDoubt('forgetful');
    const { status, body } = await settled(id, { outcome: 'filed', number: numberOf(id), reason: '税务局电话确认' });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual([body.state, body.inDoubt, body.number], ['delivered', false, numberOf(id)]);
    const { detail } = (await hall.timeline(caseNo)).find(({ kind }) => kind === 'settled') ?? assert.fail();
    assert.deepEqual([detail.by, detail.outcome, detail.asked], ['operator-demo', 'filed', null]);
    await hall.mood('tax', 'well');
    assert.equal((await hall.ends(caseNo)).decision?.outcome, 'approved');
    assert.deepEqual(hall.filed('tax', caseNo), [id]);
  });

  test('not there, and the department cannot be asked: a person’s word counts, and it is sent again', async () => {
    const { caseNo, id } = await inDoubt('deaf');
    const { status, body } = await settled(id, { outcome: 'notThere', reason: '税务局查无此件' });
    assert.equal(status, 200, JSON.stringify(body));
    await hall.mood('tax', 'well');
    assert.equal((await hall.ends(caseNo)).decision?.outcome, 'approved');
    assert.deepEqual(hall.filed('tax', caseNo), [id]);
  });

  test('said to be not there, and the department has it: it is asked first, and what it says counts', async () => {
    const { caseNo, id } = await inDoubt('forgetful');
    assert.equal((await act('/v1/departments/tax/pause', { reason: '核实期间' })).status, 200);
    await until(async () => (await hall.department('tax')).lane.inFlight === 0 || undefined);
    const waiting = await hall.step(caseNo, '01');
    assert.deepEqual([waiting.state, waiting.reason?.code], ['WAITING', 'lanePaused']);
    await hall.mood('tax', 'well');
    const { status, body } = await settled(id, { outcome: 'notThere', reason: '以为没有' });
    assert.deepEqual([status, body.code], [409, 'partyHasIt']);
    const { state, inDoubt: doubt, number } = await look(id);
    assert.deepEqual([state, doubt, number], ['delivered', false, numberOf(id)]);
    await act('/v1/departments/tax/resume');
    assert.equal((await hall.ends(caseNo)).decision?.outcome, 'approved');
    assert.deepEqual(hall.filed('tax', caseNo), [id]);
  });

  test('cancelled in doubt: the gateway’s word and not the department’s, with a warning; taken back when the department has it', async () => {
    const { caseNo, id } = await inDoubt('forgetful');
    const cancelled = await until(async () => {
      const answer = await act(`/v1/envelopes/${id}/cancel`, { reason: '联系不上' });
      return answer.status === 200 ? answer.body : undefined;
    });
    assert.deepEqual(
      [cancelled.state, cancelled.inDoubt, cancelled.warnings.map(({ code }) => code)],
      ['cancelled', true, ['cancelledInDoubt']],
    );
    const refused = await hall.ends(caseNo);
    assert.deepEqual([refused.decision?.outcome, refused.decision?.by], ['refused', 'gateway']);
    const told = await hall.told(caseNo, 'case.result@1');
    assert.deepEqual([told.outcome, told.by], ['refused', 'gateway']);

    const { status, body } = await settle(id, { outcome: 'filed', number: numberOf(id), reason: '税务局确认已收' });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual([body.state, body.inDoubt], ['delivered', false]);
    await hall.mood('tax', 'well');
    assert.equal((await hall.ends(caseNo)).decision?.outcome, 'approved');
    await hall.told(caseNo, 'case.result@1', 8_000, ({ outcome }) => outcome === 'approved');
    assert.deepEqual(hall.filed('tax', caseNo), [id]);
    hall.inOrder(caseNo);
  });

  test('withdrawn in doubt: it is asked about and never sent again, and that the department has it is told', async () => {
    const { caseNo, id } = await inDoubt('forgetful');
    const withdrawn = await world.window.post<CaseSeen>(`/v1/cases/${caseNo}/withdrawal`, { reason: '不办了' });
    assert.equal(withdrawn.status, 200, JSON.stringify(withdrawn.body));
    assert.equal((await look(id)).inDoubt, true);
    await hall.mood('tax', 'well');
    await until(async () => ((await look(id)).state === 'delivered' ? true : undefined), 8_000, 'an answer');
    const step = (await hall.step(caseNo, '01')) as unknown as JsonObject;
    assert.equal(step.state, 'SKIPPED');
    assert.deepEqual((step.late as JsonObject).number, numberOf(id));
    assert.deepEqual(hall.filed('tax', caseNo), [id]);
    assert.equal((await hall.look(caseNo)).state, 'WITHDRAWN');
  });

  test('withdrawn in doubt, and the department does not have it: nothing is sent', async () => {
    const { caseNo, id } = await inDoubt('deaf');
    await world.window.post(`/v1/cases/${caseNo}/withdrawal`, { reason: '不办了' });
    await hall.mood('tax', 'well');
    await until(async () => ((await look(id)).state === 'cancelled' ? true : undefined), 8_000, 'an answer');
    assert.equal((await look(id)).inDoubt, false);
    assert.deepEqual(hall.filed('tax', caseNo), []);
  });

  test('two corrections at the same moment: one is taken whole, the other is told that nothing is asked any more', async () => {
    await hall.lever('tax', 'decide', 'correct');
    const caseNo = await hall.submit(houseTransfer());
    await hall.reaches(caseNo, '02', 'CORRECTING');
    await hall.lever('tax', 'decide', 'paid');
    const form = houseTransfer().form as JsonObject;
    const addresses = ['西屏街道样例路1号', '西屏街道样例路2号', '西屏街道样例路3号'];
    const answers = await Promise.all(
      addresses.map((houseAddress) =>
        world.window.post<CaseSeen & ProblemSeen>(`/v1/cases/${caseNo}/corrections`, {
          form: { ...form, houseAddress },
        }),
      ),
    );
    assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 409, 409]);
    assert.deepEqual(
      answers.flatMap(({ status, body }) => (status === 409 ? [body.code] : [])),
      ['notCorrecting', 'notCorrecting'],
    );
    const taken = addresses[answers.findIndex(({ status }) => status === 200)];
    await hall.ends(caseNo);
    const filed = hall.content('tax', `${caseNo}-02.2`);
    assert.ok(JSON.stringify(filed).includes(taken ?? '?'), 'what was answered 200 is what was filed');
    assert.equal(hall.filed('tax', caseNo).length, 2);
  });

  test('only what is in doubt, only by an operator, and only in so many words', async () => {
    const caseNo = await hall.submit(deedTax());
    await hall.ends(caseNo);
    const id = `${caseNo}-01`;
    const right = { outcome: 'notThere', reason: '核实' };
    assert.deepEqual((await settle(id, right)).body.code, 'notInDoubt');
    assert.equal((await settle('nothing', right)).status, 404);
    assert.equal((await world.window.post(`/v1/envelopes/${id}/settle`, right)).status, 403);
    const wrong = await settle(id, { outcome: 'perhaps' });
    assert.equal(wrong.status, 422);
    assert.deepEqual(wrong.body.problems?.map(({ pointer }) => pointer).toSorted(), ['/outcome', '/reason']);
    const numbered = await settle(id, { ...right, number: '1' });
    assert.deepEqual([numbered.status, numbered.body.problems?.[0]?.pointer], [422, '/number']);
  });

  test('after all of it: nothing twice, and each error in the log was meant', () => {
    hall.onceEach();
    hall.rang(/^a party has what was withdrawn or cancelled here: a person must look at it$/);
    hall.nobodyInTheLog();
  });
});
