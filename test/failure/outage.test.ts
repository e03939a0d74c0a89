import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TERMS } from '../../adapters/manifest/manifest.ts';
import { engine } from '../support/engine.ts';
import { settle } from '../support/virtual-clock.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const { connectMs: _, settleMs: __, ...SHIPPED } = DEFAULT_TERMS;

test('a week without a department, with the terms that are shipped: nothing is parked, nothing goes twice, one alarm, and all is decided within minutes of its return', async (t) => {
  const hall = await engine(t, { terms: SHIPPED, steps: 2 });
  const { clock, office, of } = hall;
  office.answer = { outcome: 'done', result: { leaf: 'green' } };
  const cases: string[] = [];
  const submit = async (): Promise<void> => {
    cases.push(await hall.submit(`A${cases.length}`));
  };

  // The last hour before: what it has filed, and what it has filed without an answer.
  await submit();
  await clock.pass(10_000, 1_000);
  office.mood = 'forgetful';
  office.moodFor = 2;
  await submit();
  await submit();
  await clock.pass(200, 100);
  assert.equal(office.book.length, 4, 'two steps of one case, and two first steps that it did not answer for');

  office.moodFor = Number.POSITIVE_INFINITY;
  /** A step of time, and whatever it began goes on to its end: a step that fell into an open transaction would be longer than one may take. */
  const pass = async (ms: number, step: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += step) {
      await clock.pass(step, step);
      for (let look = 0; look < 3; look += 1) {
        await hall.store.due();
        await settle();
      }
    }
  };

  // It is away, then it takes calls and never answers, then it is away again; the hall is open on five days.
  for (let day = 0; day < 7; day += 1) {
    office.mood = day === 3 ? 'deaf' : 'absent';
    office.inquiry = day === 3 ? 'well' : 'absent';
    for (let hour = 0; hour < 24; hour += 1) {
      if (day < 5 && hour % 4 === 0 && hour < 8) await submit();
      await pass(HOUR, 10 * MINUTE);
    }
  }
  const waiting = await hall.envelopes();
  const open = waiting.filter(({ state }) => state === 'waiting' || state === 'leased');
  assert.equal(cases.length, 13);
  assert.equal(open.length, 12, 'one first step of every case but the first');
  assert.deepEqual(await hall.envelopes('parked'), []);
  assert.equal(
    open.filter(({ inDoubt }) => inDoubt).length >= 2,
    true,
    'those that it did not answer for are still in doubt',
  );
  const state = (await hall.store.lanes()).find(({ lane }) => lane === 'tea-office');
  assert.ok(state?.away, 'that it is away is known');
  const calls = office.asked.length;
  assert.ok(calls < 7 * 24 * 60 * 4, `${calls} calls in a week: an outage is not a flood`);

  office.mood = 'well';
  office.inquiry = 'well';
  await pass(15 * MINUTE, 5_000);
  const ended = await Promise.all(cases.map((caseNo) => hall.store.caseOf(caseNo)));
  assert.deepEqual(
    ended.filter((one) => one?.decision?.outcome !== 'approved').map((one) => one?.caseNo),
    [],
    'all are decided within a quarter of an hour',
  );
  assert.equal(new Set(office.book).size, office.book.length, 'nothing went twice');
  assert.equal(office.book.length, 2 * cases.length, 'and nothing was left out');
  assert.deepEqual(
    of('error').map(({ message }) => message),
    ['a party does not answer: what is for it waits, and goes on by itself when it does'],
    'one alarm',
  );
  assert.equal(of('info', 'a party answers again').length, 1);
  assert.equal((await hall.store.lanes()).find(({ lane }) => lane === 'tea-office')?.away, null);
});
