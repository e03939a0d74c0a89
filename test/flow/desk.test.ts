import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Follower, type ProblemSeen, stepOf } from '../support/follow.ts';
import { birth, deedTax, flexibleEmployment, houseTransfer } from '../support/submissions.ts';
import { startWorld, until, type World } from '../support/world.ts';

describe('what a person can stop, let go and cancel', () => {
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld({
      terms: { attempts: 3, backoffMs: { first: 30, max: 100 } },
      termsOf: { tax: { deadlineMs: 700, breaker: { failures: 50, windowMs: 10_000, openMs: 500 } } },
    });
    hall = new Follower(world);
  });
  after(() => world.stop());

  const act = (path: string, body: object = {}) => world.operator.post<ProblemSeen>(path, body);

  test('an outage is not a person’s work: it waits, however often it was tried, and goes on by itself', async () => {
    await hall.mood('tax', 'absent');
    const caseNo = await hall.submit(houseTransfer());
    const tried = () => hall.envelopes(`party=tax&caseNo=${caseNo}`);
    // The terms say three attempts, which end nothing any more; each party was warned about once, when it was started.
    const warned = world.log.filter(({ message }) => message.startsWith('terms.attempts'));
    assert.deepEqual(
      warned.map(({ level, fields }) => [level, fields.party, fields.places]).sort(),
      Object.keys(world.settings.parties)
        .map((party) => ['warn', party, [`parties.${party}.terms.attempts`]])
        .sort(),
    );
    await until(async () => ((await tried())[0]?.attempts ?? 0) > 5 || undefined, 8_000, 'six attempts');
    const [waiting] = await tried();
    assert.ok(['waiting', 'leased'].includes(waiting?.state ?? ''));
    assert.deepEqual([waiting?.fault, waiting?.inDoubt], ['unreachable', false]);
    assert.equal((await hall.step(caseNo, '02')).state, 'WAITING');
    await hall.progress(caseNo, '02', 'WAITING');
    assert.equal((await hall.department('tax')).lane.parked, 0);
    await hall.mood('tax', 'well');
    const { decision } = await hall.ends(caseNo);
    assert.equal(decision?.outcome, 'approved');
    assert.deepEqual(hall.filed('tax', caseNo), [`${caseNo}-02`]);
    assert.equal((await act(`/v1/envelopes/${caseNo}-02/release`)).body.code, 'notParked');
    assert.equal((await act('/v1/envelopes/nothing/release')).status, 404);
    hall.inOrder(caseNo);
  });

  test('trap 9: timeout after the department stored the case: in doubt as long as it cannot be asked, then asked, and not filed again', async () => {
    await hall.mood('tax', 'forgetful');
    const caseNo = await hall.submit(deedTax());
    await until(() => hall.filed('tax', caseNo)[0], 60_000, 'filed');
    await hall.mood('tax', 'deaf');
    const [doubtful] = await until(
      async () => {
        const envelopes = await hall.envelopes(`party=tax&caseNo=${caseNo}`);
        return (envelopes[0]?.attempts ?? 0) > 2 ? envelopes : undefined;
      },
      8_000,
      'questions that came to nothing',
    );
    assert.ok(['waiting', 'leased'].includes(doubtful?.state ?? ''));
    assert.deepEqual([doubtful?.fault, doubtful?.inDoubt], ['inDoubt', true]);
    await hall.mood('tax', 'well');
    await hall.ends(caseNo);
    assert.deepEqual(hall.filed('tax', caseNo), [`${caseNo}-01`]);
  });

  test('an answer that means nothing: parked at once, cancelled by a person, and the window is told', async () => {
    await hall.mood('social-security', 'garbled');
    const caseNo = await hall.submit(flexibleEmployment());
    await hall.reaches(caseNo, '01', 'PARKED');
    await hall.mood('social-security', 'well');
    const cancelled = await act(`/v1/envelopes/${caseNo}-01/cancel`, { reason: '线下已办' });
    assert.equal(cancelled.status, 200, JSON.stringify(cancelled.body));
    const { decision } = await hall.ends(caseNo);
    assert.deepEqual(
      [decision?.outcome, decision?.by, decision?.reason?.zh],
      ['refused', 'gateway', '人工撤销：线下已办'],
      'no department has said no',
    );
    assert.equal((await act(`/v1/envelopes/${caseNo}-01/cancel`, { reason: '再次' })).body.code, 'tooLate');
    assert.deepEqual(hall.filed('social-security', caseNo), []);
  });

  test('OpenHIM: retries that cannot be stopped: a stopped lane sends nothing, also after a restart', async () => {
    await hall.mood('tax', 'absent');
    const waiting = await hall.submit(houseTransfer());
    await hall.reaches(waiting, '02', ['WAITING', 'PARKED']);
    assert.equal((await act('/v1/departments/tax/pause', { reason: '税务系统割接' })).status, 200);
    // What was under way when it was stopped has ended.
    await until(async () => (await hall.department('tax')).lane.inFlight === 0 || undefined);
    await hall.mood('tax', 'well');
    const fresh = await hall.submit(deedTax());
    const { reason } = await hall.reaches(fresh, '01', 'WAITING');
    assert.deepEqual([reason?.code, reason?.zh], ['lanePaused', '该部门的发送已暂停：税务系统割接']);
    await world.restart();
    const { paused } = await hall.department('tax');
    assert.deepEqual([paused?.by, paused?.reason], ['operator-demo', '税务系统割接']);
    // Somebody else's case goes all its way in the meantime: the time in which the lane could have gone on by itself.
    await hall.ends(await hall.submit(birth()));
    assert.deepEqual([...hall.filed('tax', waiting), ...hall.filed('tax', fresh)], []);
    assert.equal((await act('/v1/departments/tax/resume')).status, 200);
    if ((await hall.step(waiting, '02')).state === 'PARKED') await act(`/v1/envelopes/${waiting}-02/release`);
    await hall.ends(waiting);
    await hall.ends(fresh);
    assert.equal((await hall.department('tax')).paused, null);
    hall.inOrder(waiting);
  });

  test('OpenHIM: retries that cannot be stopped: a stopped case sends nothing, also after a restart', async () => {
    await hall.lever('tax', 'decideAfterMs', 400);
    const stopped = await hall.submit(houseTransfer());
    await hall.reaches(stopped, '02', 'WAITING_RECEIPT');
    assert.equal((await act(`/v1/cases/${stopped}/pause`, { reason: '待核实产权' })).status, 200);
    await world.restart();
    await hall.lever('tax', 'decideAfterMs', 50);
    assert.equal((await hall.look(stopped)).held, true);
    // The tax office has answered, and the registry is next: but nothing of this case is sent.
    const { reason } = await hall.reaches(stopped, '03', 'WAITING');
    assert.deepEqual([reason?.code, reason?.zh], ['caseHeld', '办件已人工暂停：待核实产权']);
    await hall.ends(await hall.submit(houseTransfer()));
    assert.deepEqual(hall.filed('real-estate', stopped), []);
    assert.equal((await act(`/v1/cases/${stopped}/resume`)).status, 200);
    const { decision } = await hall.ends(stopped);
    assert.equal(decision?.outcome, 'approved');
    assert.equal((await act('/v1/cases/331124200101000009/pause', { reason: '没有' })).status, 404);
    hall.inOrder(stopped);
  });

  test('OpenHIM: retries that cannot be stopped: a cancelled envelope is not sent when the department is back', async () => {
    await act('/v1/departments/medical-insurance/pause', { reason: '医保停机' });
    const caseNo = await hall.submit(birth());
    await hall.reaches(caseNo, '03', 'DONE');
    assert.equal((await act(`/v1/envelopes/${caseNo}-02/cancel`, { reason: '申请人自行参保' })).status, 200);
    await act('/v1/departments/medical-insurance/resume');
    const { steps } = await hall.ends(caseNo);
    assert.equal(stepOf({ steps }, '02').state, 'REJECTED');
    await hall.ends(await hall.submit(birth()));
    assert.deepEqual(hall.filed('medical-insurance', caseNo), []);
  });

  test('our key is not accepted: the lane stops and rings, nothing is lost, and a person lets it go on', async () => {
    const { parties } = world.settings;
    // Their desk has changed our key without a word.
    const utilities = { ...parties.utilities, apiKey: 'withdrawn' };
    await world.restart({ ...world.settings, parties: { ...parties, utilities } });
    const caseNo = await hall.submit(houseTransfer());
    await until(
      async () => (await hall.department('utilities')).paused?.by === 'gateway' || undefined,
      60_000,
      'a stopped lane',
    );
    await hall.reaches(caseNo, '03', 'DONE');
    const before = await hall.look(caseNo);
    // Its blocking steps are done, so the matter itself is decided; the notices wait.
    assert.equal(before.decision?.outcome, 'approved');
    await world.restart();
    assert.equal((await hall.department('utilities')).paused?.by, 'gateway');
    assert.deepEqual(hall.filed('utilities', caseNo), []);
    assert.equal((await act('/v1/departments/utilities/resume')).status, 200);
    const { steps } = await hall.ends(caseNo);
    assert.deepEqual(
      ['04', '05', '06'].map((no) => stepOf({ steps }, no).state),
      ['DONE', 'DONE', 'DONE'],
    );
  });

  test('only an operator does any of this', async () => {
    const tried = await world.window.post<ProblemSeen>('/v1/departments/tax/pause', { reason: '试试' });
    assert.equal(tried.status, 403);
    assert.equal((await act('/v1/departments/nobody/pause', { reason: '没有' })).status, 404);
  });

  test('after all of it: nothing twice, nobody in the log, and what rang was meant to', () => {
    hall.onceEach();
    hall.rang(/^parked: a person must look at it$/, /^lane stopped: our key, seal or session is not accepted$/);
    hall.nobodyInTheLog();
  });
});
