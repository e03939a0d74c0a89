import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { type CaseSeen, Follower, type ProblemSeen, stepOf } from '../support/follow.ts';
import { birth, deedTax, flexibleEmployment, houseTransfer } from '../support/submissions.ts';
import { startWorld, type World } from '../support/world.ts';

describe('what may begin, what ends a case, and what the applicant may still do', () => {
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld();
    hall = new Follower(world);
  });
  after(() => world.stop());

  test('no tax, no registration: while the tax office is away the registry is not asked, and the window knows why', async () => {
    await hall.mood('tax', 'absent');
    const caseNo = await hall.submit(houseTransfer());
    const { reason, resumesAt } = await hall.reaches(caseNo, '02', 'WAITING');
    assert.ok(reason !== null && reason.zh !== '' && resumesAt !== null);
    const told = await hall.progress(caseNo, '02', 'WAITING');
    assert.equal((told.step as JsonObject).party, 'tax');
    assert.equal((await hall.step(caseNo, '03')).state, 'PENDING');
    assert.deepEqual(hall.filed('real-estate', caseNo), []);
    await hall.mood('tax', 'well');
    const { decision } = await hall.ends(caseNo);
    assert.equal(decision?.outcome, 'approved');
    assert.deepEqual(hall.filed('tax', caseNo), [`${caseNo}-02`]);
    hall.inOrder(caseNo);
  });

  test('tax not yet paid is no answer: the registry begins only after the voucher', async () => {
    await hall.lever('tax', 'decideAfterMs', 500);
    const caseNo = await hall.submit(houseTransfer());
    await hall.progress(caseNo, '02', 'WAITING_RECEIPT');
    await hall.lever('tax', 'decideAfterMs', 50);
    const { steps } = await hall.ends(caseNo);
    // Not by what is seen in the half second: by what the case remembers.
    const lines = (await hall.timeline(caseNo)).map(({ kind, stepNo }) => `${kind} ${stepNo}`);
    assert.ok(lines.indexOf('sent 02') < lines.indexOf('answered 02'), lines.join(', '));
    assert.ok(lines.indexOf('answered 02') < lines.indexOf('sent 03'), lines.join(', '));
    assert.equal(hall.content('real-estate', `${caseNo}-03`).wspzh, stepOf({ steps }, '02').result?.taxPaidNo);
  });

  test('trap 38: zero tax, and no payment event ever comes: exempt with amount 0 opens the gate', async () => {
    await hall.lever('tax', 'decide', 'exempt');
    const caseNo = await hall.submit(houseTransfer());
    const { decision, steps } = await hall.ends(caseNo);
    await hall.lever('tax', 'decide', 'paid');
    assert.equal(decision?.outcome, 'approved');
    assert.equal(stepOf({ steps }, '02').result?.taxAmount, '0.00');
    assert.deepEqual(hall.filed('real-estate', caseNo), [`${caseNo}-03`]);
  });

  test('a branch that does not block never undoes the matter: utilities refuse, the house is transferred all the same', async () => {
    await hall.mood('utilities', 'refuses');
    const caseNo = await hall.submit(houseTransfer());
    const { decision, steps } = await hall.ends(caseNo);
    await hall.mood('utilities', 'well');
    assert.equal(decision?.outcome, 'approved');
    assert.deepEqual(
      steps.map(({ state }) => state),
      ['DONE', 'DONE', 'DONE', 'REJECTED', 'REJECTED', 'REJECTED'],
    );
    const told = await hall.progress(caseNo, '04', 'REJECTED');
    assert.equal(((told.step as JsonObject).reason as JsonObject).zh, '该户存在欠费，暂不能过户');
    const results = hall.notices(caseNo).filter(({ what }) => what === 'case.result@1');
    assert.equal(results.length, 1);
    hall.inOrder(caseNo);
  });

  test('parallel branches: one department away keeps the other from nothing', async () => {
    await hall.mood('medical-insurance', 'absent');
    const caseNo = await hall.submit(birth());
    await hall.reaches(caseNo, '03', 'DONE');
    await hall.reaches(caseNo, '02', 'WAITING');
    await hall.mood('medical-insurance', 'well');
    const { steps } = await hall.ends(caseNo);
    assert.deepEqual(
      steps.map(({ state }) => state),
      ['DONE', 'DONE', 'DONE'],
    );
  });

  test('a department that blocks refuses: the window has its own words, and nobody after it is asked', async () => {
    await hall.mood('housing-construction', 'refuses');
    // The contract filing is theirs as well, so it is brought along.
    const submission = houseTransfer();
    const materials = [
      ...(submission.materials as JsonObject[]),
      { code: '5-06', name: '网签合同', seen: { officer: 'CK-07', at: '2026-11-01T09:30:00+08:00' } },
    ];
    const caseNo = await hall.submit({ ...submission, materials });
    const { decision, steps } = await hall.ends(caseNo);
    await hall.mood('housing-construction', 'well');
    assert.deepEqual(
      [decision?.outcome, decision?.by, decision?.reason?.zh, decision?.reason?.code],
      ['refused', 'housing-construction', '该合同已撤销备案', '31'],
    );
    assert.deepEqual(
      steps.map(({ state }) => state),
      ['REJECTED', 'SKIPPED', 'SKIPPED', 'SKIPPED', 'SKIPPED', 'SKIPPED'],
    );
    const result = await hall.told(caseNo, 'case.result@1');
    assert.equal((result.reason as JsonObject).zh, '该合同已撤销备案');
    for (const party of ['tax', 'real-estate', 'utilities']) assert.deepEqual(hall.filed(party, caseNo), []);
  });

  test('a refusal that comes later, by the registry’s push', async () => {
    await hall.lever('real-estate', 'decide', 'refuse');
    const caseNo = await hall.submit(houseTransfer());
    const { decision } = await hall.ends(caseNo);
    await hall.lever('real-estate', 'decide', 'register');
    assert.deepEqual(
      [decision?.outcome, decision?.by, decision?.reason?.zh],
      ['refused', 'real-estate', '权属存在争议'],
    );
    assert.deepEqual(hall.filed('utilities', caseNo), []);
  });

  test('a correction: asked by the tax office, told to the window, supplied, taken up under a key of its own', async () => {
    await hall.lever('tax', 'decide', 'correct');
    const submission = houseTransfer();
    const caseNo = await hall.submit(submission);
    await hall.reaches(caseNo, '02', 'CORRECTING');
    await hall.lever('tax', 'decide', 'paid');
    assert.equal((await hall.look(caseNo)).state, 'CORRECTING');
    const asked = await hall.told(caseNo, 'case.correction@1');
    assert.deepEqual(asked.asks, ['/form/contractNo']);
    assert.equal(((asked.step as JsonObject).reason as JsonObject).zh, '合同扫描件不清晰，请补正');
    assert.equal((await hall.step(caseNo, '03')).state, 'PENDING');

    const worse = await world.window.post<ProblemSeen>(`/v1/cases/${caseNo}/corrections`, { form: { price: '1' } });
    assert.equal(worse.status, 422);
    const form = { ...(submission.form as JsonObject), contractNo: 'SYFC2026110099' };
    const supplied = await world.window.post<CaseSeen>(`/v1/cases/${caseNo}/corrections`, { form });
    assert.equal(supplied.status, 200, JSON.stringify(supplied.body));
    const { decision, steps } = await hall.ends(caseNo);
    assert.equal(decision?.outcome, 'approved');
    assert.equal(stepOf({ steps }, '02').revision, 2);
    assert.deepEqual(hall.filed('tax', caseNo), [`${caseNo}-02`, `${caseNo}-02.2`]);
    assert.equal(hall.content('tax', `${caseNo}-02.2`).HTBH, 'SYFC2026110099');
    assert.deepEqual(hall.filed('real-estate', caseNo), [`${caseNo}-03`]);
    const again = await world.window.post<ProblemSeen>(`/v1/cases/${caseNo}/corrections`, { form });
    assert.deepEqual([again.status, again.body.code], [409, 'notCorrecting']);
    hall.inOrder(caseNo);
  });

  test('trap 13: what the tax office says late about the first revision changes nothing of the second', async () => {
    await hall.lever('tax', 'decide', 'correct');
    const submission = deedTax();
    const caseNo = await hall.submit(submission);
    await hall.reaches(caseNo, '01', 'CORRECTING');
    await hall.lever('tax', 'decide', 'paid');
    const form = { ...(submission.form as JsonObject), contractNo: 'SYFC2026110098' };
    await world.window.post(`/v1/cases/${caseNo}/corrections`, { form });
    const { steps } = await hall.ends(caseNo);
    assert.deepEqual([stepOf({ steps }, '01').state, stepOf({ steps }, '01').revision], ['DONE', 2]);
  });

  test('a withdrawal: nothing more is sent, late answers are noted, the window has one result', async () => {
    await hall.lever('tax', 'decideAfterMs', 700);
    const caseNo = await hall.submit(houseTransfer());
    await hall.reaches(caseNo, '02', 'WAITING_RECEIPT');
    const { status, body } = await world.window.post<CaseSeen>(`/v1/cases/${caseNo}/withdrawal`, {
      reason: '双方协商不再交易',
    });
    assert.deepEqual([status, body.state], [200, 'WITHDRAWN']);
    const { decision } = await hall.ends(caseNo);
    assert.equal(decision?.outcome, 'withdrawn');
    const twice = await world.window.post<ProblemSeen>(`/v1/cases/${caseNo}/withdrawal`, { reason: '再次撤回' });
    assert.deepEqual([twice.status, twice.body.code], [409, 'alreadyDecided']);
    await hall.lever('tax', 'decideAfterMs', 50);
    // The tax office decides in the meantime; another case from begin to end shows that time has passed for it.
    await hall.ends(await hall.submit(houseTransfer()));
    const view = await hall.look(caseNo);
    assert.deepEqual(
      [view.state, stepOf(view, '02').state, stepOf(view, '03').state],
      ['WITHDRAWN', 'SKIPPED', 'SKIPPED'],
    );
    assert.deepEqual(hall.filed('real-estate', caseNo), []);
    assert.equal(hall.notices(caseNo).filter(({ what }) => what === 'case.result@1').length, 1);
    hall.inOrder(caseNo);
  });

  test('withdrawn while it waits for a department that is away: taken back, and never sent when it is there again', async () => {
    await hall.mood('tax', 'absent');
    const caseNo = await hall.submit(deedTax());
    await hall.reaches(caseNo, '01', 'WAITING');
    assert.equal((await world.window.post(`/v1/cases/${caseNo}/withdrawal`, { reason: '改日再办' })).status, 200);
    await hall.mood('tax', 'well');
    await hall.ends(caseNo);
    await hall.ends(await hall.submit(deedTax()));
    assert.deepEqual(hall.filed('tax', caseNo), []);
    assert.deepEqual(
      (await hall.envelopes(`caseNo=${caseNo}&party=tax`)).map(({ state }) => state),
      ['cancelled'],
    );
  });

  test('precheck tells everything at once and stores nothing', async () => {
    const submission = houseTransfer({ form: { price: '12,5', familyHouseCount: '没有' } });
    const first = await world.window.post<{ acceptable: boolean; problems: { pointer: string; code: string }[] }>(
      '/v1/cases/precheck',
      { ...submission, materials: [] },
    );
    assert.equal(first.status, 200);
    assert.equal(first.body.acceptable, false);
    const places = first.body.problems.map(({ pointer }) => pointer);
    assert.ok(places.includes('/form/price') && places.includes('/form/familyHouseCount'), places.join(' '));

    // 张样例 says that he is married, and no source has it on record.
    const buyer = { name: '张样例', idType: '111', idNo: '331124199001010011', mobile: '13900000005' };
    const single = houseTransfer({ form: { buyers: [{ ...buyer, share: '100.00', maritalStatus: '已婚' }] } });
    const lacking = await world.window.post<typeof first.body>('/v1/cases/precheck', { ...single, materials: [] });
    assert.deepEqual(
      lacking.body.problems.map(({ code }) => code),
      ['certificateNone'],
    );
    const good = houseTransfer();
    const fine = await world.window.post<{ acceptable: boolean; materials: { code: string; state: string }[] }>(
      '/v1/cases/precheck',
      good,
    );
    assert.equal(fine.body.acceptable, true);
    assert.deepEqual(
      fine.body.materials.map(({ code, state }) => `${code} ${state}`),
      ['5-01 supplied', '5-02 fetched', '5-03 fetched', '5-04 fetched', '5-05 fetched', '5-06 fetched', '5-07 made'],
    );
    const list = await world.window.get<{ rows: unknown[] }>(`/v1/cases?applicationNo=${String(good.applicationNo)}`);
    assert.deepEqual(list.body.rows, []);
  });

  test('a submission with three mistakes is told of three, and nothing is begun', async () => {
    const submission = flexibleEmployment({ form: { base: '6,000', startMonth: '202613', insuranceTypes: [] } });
    const { status, body } = await world.window.post<ProblemSeen>('/v1/cases', submission);
    assert.equal(status, 422);
    assert.deepEqual([...new Set(body.problems?.map(({ pointer }) => pointer))].toSorted(), [
      '/form/base',
      '/form/insuranceTypes',
      '/form/startMonth',
    ]);
  });

  test('after all of it: nothing twice, nothing rang, nobody in the log', () => {
    hall.onceEach();
    hall.rang();
    hall.nobodyInTheLog();
  });
});
