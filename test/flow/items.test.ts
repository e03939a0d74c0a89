import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { Follower, stepOf } from '../support/follow.ts';
import { birth, deedTax, flexibleEmployment, houseTransfer } from '../support/submissions.ts';
import { startWorld, until, type World } from '../support/world.ts';

describe('the four items, from the window to the window', () => {
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld();
    hall = new Follower(world);
  });
  after(() => world.stop());

  test('a house transfer: filing checked, tax paid, title registered, then water, electricity and gas', async () => {
    const caseNo = await hall.submit(houseTransfer());
    const { state, decision, steps } = await hall.ends(caseNo);
    assert.equal(state, 'DECIDED');
    assert.equal(decision?.outcome, 'approved');
    assert.deepEqual(
      steps.map(({ no, state }) => `${no} ${state}`),
      ['01 DONE', '02 DONE', '03 DONE', '04 DONE', '05 DONE', '06 DONE'],
    );
    assert.equal(stepOf({ steps }, '02').result?.taxAmount, '12500.00');
    assert.match(String(stepOf({ steps }, '03').result?.certNo), /不动产权第/);
    assert.deepEqual(hall.filed('utilities', caseNo).toSorted(), [`${caseNo}-04`, `${caseNo}-05`, `${caseNo}-06`]);
  });

  test('what one department says is what the next is told', async () => {
    const caseNo = await hall.submit(houseTransfer());
    const { steps } = await hall.ends(caseNo);
    assert.equal(hall.content('real-estate', `${caseNo}-03`).wspzh, stepOf({ steps }, '02').result?.taxPaidNo);
    assert.equal(hall.content('utilities', `${caseNo}-04`).bdcqzh, stepOf({ steps }, '03').result?.certNo);
  });

  test('a deed tax declaration', async () => {
    const { decision, steps } = await hall.ends(await hall.submit(deedTax()));
    assert.equal(decision?.outcome, 'approved');
    assert.equal(stepOf({ steps }, '01').result?.taxAmount, '12500.00');
  });

  test('a birth: registered, then insured and given a card under the number it got', async () => {
    const caseNo = await hall.submit(birth());
    const { decision, steps } = await hall.ends(caseNo);
    assert.equal(decision?.outcome, 'approved');
    const idNo = String(stepOf({ steps }, '01').result?.idNo);
    assert.match(idNo, /^331124\d{11}[\dX]$/);
    assert.equal(hall.content('medical-insurance', `${caseNo}-02`).certno, idNo);
    assert.equal(hall.content('social-security', `${caseNo}-03`).AAE135, idNo);
  });

  test('a flexible employment: pension and medical insurance side by side, then the payment', async () => {
    const caseNo = await hall.submit(flexibleEmployment());
    const { decision, steps } = await hall.ends(caseNo);
    assert.equal(decision?.outcome, 'approved');
    assert.deepEqual(
      steps.map(({ state }) => state),
      ['DONE', 'DONE', 'DONE'],
    );
    const [pension, medical, payment] = steps.map(({ no, party }) =>
      world.book(party).find(({ key }) => key === `${caseNo}-${no}`),
    );
    assert.ok(pension !== undefined && medical !== undefined && payment !== undefined);
    assert.ok(payment.at >= pension.at && payment.at >= medical.at);
  });

  test('the same submission again is the same case; another under its number is a conflict', async () => {
    const submission = deedTax();
    const caseNo = await hall.submit(submission);
    const again = await world.window.post<{ caseNo: string; seenBefore: boolean }>('/v1/cases', submission);
    assert.deepEqual([again.status, again.body.caseNo, again.body.seenBefore], [200, caseNo, true]);
    const other = { ...submission, form: { ...(submission.form as JsonObject), area: '90.00' } };
    assert.equal((await world.window.post('/v1/cases', other)).status, 409);
    await hall.ends(caseNo);
    assert.deepEqual(hall.filed('tax', caseNo), [`${caseNo}-01`]);
  });

  test('OpenFn: a reply envelope changed: the window is told each step in order, and the result last', async () => {
    const caseNo = await hall.submit(flexibleEmployment());
    await hall.ends(caseNo);
    hall.inOrder(caseNo);
    const notices = hall.notices(caseNo);
    assert.equal(notices.at(-1)?.what, 'case.result@1');
    assert.deepEqual(
      notices.map(({ content }) => (content as JsonObject).sequence),
      notices.map((_, at) => at + 1),
    );
  });

  test('after all of it: nothing twice, nothing rang, nobody in the log, one line for an envelope', async () => {
    hall.onceEach();
    hall.rang();
    hall.nobodyInTheLog();
    const delivered = world.log.filter(({ message }) => message === 'delivered').map(({ fields }) => fields.envelope);
    assert.equal(delivered.length, new Set(delivered).size);
    const rows = await hall.envelopes('state=parked');
    assert.deepEqual(rows, []);
  });

  test('metrics and the departments’ views say what is true', async () => {
    // The window has its last message a moment before the gateway has its receipt.
    for (const party of world.simulated.simulators.keys())
      await until(async () => (await hall.department(party)).lane.inFlight === 0 || undefined);
    const metrics = await (await fetch(`${world.gateway.url}/metrics`)).text();
    const count = (name: string, ...labels: string[]): number =>
      metrics
        .split('\n')
        .filter((line) => line.startsWith(name) && labels.every((label) => line.includes(label)))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
    assert.equal(count('onewindow_cases_accepted_total{'), 7);
    for (const party of world.simulated.simulators.keys()) {
      const filed = world.book(party).length;
      assert.equal(count('onewindow_delivery_seconds_count{', `party="${party}"`), filed, party);
      assert.equal(count('onewindow_lane_waiting{', `party="${party}"`), 0);
      const { lane, breakers, paused, lastSuccess } = await hall.department(party);
      assert.deepEqual(lane, { waiting: 0, inFlight: 0, parked: 0, oldestWaiting: null, unmatched: 0 });
      assert.deepEqual(
        Object.values(breakers).map(({ state }) => state),
        ['closed', 'closed', 'closed'],
      );
      assert.equal(paused, null);
      if (filed === 0) assert.equal(lastSuccess, null);
      else assert.ok(Math.abs(Date.parse(String(lastSuccess)) - Date.now()) < 600_000);
    }
    assert.equal(count('onewindow_faults_total{'), 0);
  });
});
