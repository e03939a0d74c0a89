import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Store } from '../../contracts/ports/store.ts';
import { engine, REPLIES } from '../../test/support/engine.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const DONE = { outcome: 'done' as const, result: { leaf: 'green' } };

describe('an envelope on its way', () => {
  test('is delivered, the case goes on in the same commit, and one line says so', async (t) => {
    const { submit, clock, office, step, of, told } = await engine(t, { steps: 2 });
    office.answer = DONE;
    const caseNo = await submit('A1');
    await clock.until('the decision', async () => (await step(caseNo, '02'))?.state === 'DONE');
    assert.deepEqual(office.book, [`${caseNo}-01`, `${caseNo}-02`]);
    assert.deepEqual(
      of('info').map(({ message, fields }) => [message, fields.envelope, fields.number, fields.asked]),
      [
        ['delivered', `${caseNo}-01`, `TEA-${caseNo}-01`, false],
        ['delivered', `${caseNo}-02`, `TEA-${caseNo}-02`, false],
      ],
    );
    assert.deepEqual([...of('warn'), ...of('error')], []);
    assert.equal(told.filter((line) => line === 'delivered tea-office').length, 2);
  });

  test('to a party that is away is sent again with backoff, until it is there', async (t) => {
    const { submit, clock, office, step, of } = await engine(t);
    office.answer = DONE;
    office.mood = 'absent';
    office.moodFor = 2;
    const caseNo = await submit('A1');
    const waiting = await clock.until('waiting', async () => {
      const now = await step(caseNo);
      return now?.state === 'WAITING' && now;
    });
    assert.equal(waiting.reason?.code, 'connectRefused');
    assert.ok((waiting.resumesAt ?? 0) > clock.now());
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.deepEqual(office.asked, Array(3).fill(`deliver ${caseNo}-01`));
    assert.equal(of('warn', 'waits').length, 2);
    assert.equal(of('error').length, 0, 'a department that is away rings nobody');
  });

  test('GovStack: messages that fail delivery "should be dropped": here it waits as long as its case may, is then parked with an error, and goes on when released', async (t) => {
    const { submit, clock, office, step, envelopes, of, delivery } = await engine(t, {
      terms: {
        backoffMs: { first: 1_000, max: 6 * HOUR },
        breaker: { failures: 3, windowMs: 10_000, openMs: 6 * HOUR },
      },
    });
    office.answer = DONE;
    office.mood = 'absent';
    const caseNo = await submit('A1');
    await clock.pass(29 * DAY, HOUR);
    assert.equal((await step(caseNo))?.state, 'WAITING', 'an outage is not a person’s work');
    await clock.until('parked', async () => (await envelopes('parked')).length === 1, 2 * DAY, HOUR);
    const parked = await step(caseNo);
    assert.equal(parked?.state, 'PARKED');
    assert.match(parked.reason?.zh ?? '', /^等待期限已到，共尝试 \d+ 次仍未成功，请人工处理：connectRefused（原话）$/);
    assert.deepEqual(
      of('error').map(({ message }) => message),
      [
        'a party does not answer: what is for it waits, and goes on by itself when it does',
        'parked: a person must look at it',
      ],
    );
    const asked = office.asked.length;
    await clock.pass(120_000, 5_000);
    assert.equal(office.asked.length, asked, 'nobody sends what is parked');
    office.mood = 'well';
    await delivery.desk.release(`${caseNo}-01`, 'operator-1');
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
  });

  test('trap 9: timeout after the department stored the case: it is asked, and not filed again', async (t) => {
    const { submit, clock, office, step, of } = await engine(t);
    office.answer = DONE;
    office.mood = 'forgetful';
    office.moodFor = 1;
    const caseNo = await submit('A1');
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.deepEqual(office.asked, [`deliver ${caseNo}-01`, `inquire ${caseNo}-01`]);
    assert.deepEqual(office.book, [`${caseNo}-01`]);
    assert.equal(of('info', 'delivered')[0]?.fields.asked, true);
  });

  test('in doubt, and it never arrived: asked, and only then sent again', async (t) => {
    const { submit, clock, office, step } = await engine(t);
    office.answer = DONE;
    office.mood = 'deaf';
    office.moodFor = 1;
    const caseNo = await submit('A1');
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.deepEqual(office.asked, [`deliver ${caseNo}-01`, `inquire ${caseNo}-01`, `deliver ${caseNo}-01`]);
    assert.deepEqual(office.book, [`${caseNo}-01`]);
  });

  test('what nobody foresaw is in doubt, never safe to repeat', async (t) => {
    const { submit, clock, office, step } = await engine(t);
    office.answer = DONE;
    office.mood = 'buggy';
    office.moodFor = 1;
    const caseNo = await submit('A1');
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.equal(office.asked[1], `inquire ${caseNo}-01`);
  });

  test('a party that refuses our question, or is away when we ask, has not refused the envelope: the doubt stays', async (t) => {
    const { submit, clock, office, step } = await engine(t, {
      terms: { breaker: { failures: 99, windowMs: 10_000, openMs: 1_000 } },
    });
    office.answer = DONE;
    office.mood = 'forgetful';
    office.moodFor = 1;
    office.inquiry = 'refuses';
    const caseNo = await submit('A1');
    await clock.until('the first question', () => office.asked.includes(`inquire ${caseNo}-01`));
    office.inquiry = 'absent';
    await clock.until('more questions', () => office.asked.length >= 4);
    assert.equal((await step(caseNo))?.state, 'WAITING');
    office.inquiry = 'well';
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.equal(office.asked.filter((each) => each.startsWith('deliver')).length, 1);
  });

  test('“unknown” to a question is believed after settleMs, counted from when the doubt arose and not from the last question', async (t) => {
    const settleMs = 600_000;
    const { submit, clock, office, step, envelopes, of, store } = await engine(t, {
      terms: { backoffMs: { first: 1_000, max: 60_000 }, breaker: { failures: 99, windowMs: 10_000, openMs: 1_000 } },
      facts: { delivers: REPLIES.atOnce.delivers.map((one) => ({ ...one, settleMs })) },
    });
    office.answer = DONE;
    office.mood = 'deaf';
    office.moodFor = 1;
    const caseNo = await submit('A1');
    const began = clock.now();
    const deliveries = () => office.asked.filter((each) => each.startsWith('deliver')).length;
    await clock.until('the first question', () => office.asked.includes(`inquire ${caseNo}-01`));
    // It answers, and does not know the envelope: it is not away, and nothing is sent before the rest is over.
    await clock.pass(settleMs - 30_000, 5_000);
    assert.equal(deliveries(), 1);
    const [waiting] = await envelopes('waiting');
    assert.deepEqual([waiting?.inDoubt, waiting?.reason?.code], [true, 'notBelievedYet']);
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE', settleMs);
    assert.ok(clock.now() - began < settleMs + 90_000, `after ${clock.now() - began} ms`);
    assert.deepEqual([deliveries(), office.book], [2, [`${caseNo}-01`]]);
    assert.deepEqual(of('error'), [], 'a party that says "unknown" answers');
    assert.equal((await store.lanes()).find(({ lane }) => lane === 'tea-office')?.away ?? null, null);
  });

  test('an outage of days is told to the window once, and says since when: not again at each turn of silence, breaker and refused connections', async (t) => {
    const { submit, clock, office, step, store } = await engine(t, {
      terms: { backoffMs: { first: 1_000, max: 300_000 }, breaker: { failures: 3, windowMs: 600_000, openMs: 15_000 } },
    });
    office.mood = 'deaf';
    const caseNo = await submit('A1');
    const waiting = await clock.until('waiting', async () => {
      const now = await step(caseNo);
      return now?.state === 'WAITING' && now;
    });
    for (const mood of ['absent', 'deaf', 'busy', 'absent'] as const) {
      await clock.pass(DAY / 4, 60_000);
      office.mood = mood;
    }
    const now = await step(caseNo);
    assert.deepEqual([now?.state, now?.since], ['WAITING', waiting.since]);
    const { rows } = await store.timeline(caseNo, undefined, 1_000);
    assert.equal(rows.filter(({ kind }) => kind === 'waiting').length, 1);
    const notices = await store.envelopes({ party: 'window', limit: 100 });
    assert.equal(notices.rows.length, 1, 'the window is told that it waits, once');
  });

  test('where the same twice takes effect once, it is sent again without a question', async (t) => {
    const { submit, clock, office, step } = await engine(t, { terms: { idempotent: true }, able: { inquire: false } });
    office.answer = DONE;
    office.mood = 'forgetful';
    office.moodFor = 1;
    const caseNo = await submit('A1');
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.deepEqual(office.asked, Array(2).fill(`deliver ${caseNo}-01`));
  });

  test('in doubt, and they can be asked nothing: their own word is waited for as long as the case may, and nothing is sent again', async (t) => {
    const { submit, clock, office, envelopes } = await engine(t, {
      able: { inquire: false },
      terms: { backoffMs: { first: 1_000, max: 6 * HOUR } },
    });
    office.mood = 'forgetful';
    const caseNo = await submit('A1');
    await clock.pass(DAY, HOUR);
    const [waiting] = await envelopes('waiting');
    assert.deepEqual([waiting?.inDoubt, waiting?.fault, waiting?.attempts], [true, 'inDoubt', 1]);
    await clock.until('parked', async () => (await envelopes('parked')).length === 1, 31 * DAY, HOUR);
    assert.deepEqual(office.asked, [`deliver ${caseNo}-01`]);
    assert.match((await envelopes('parked'))[0]?.reason?.zh ?? '', /无法向该部门查询，请人工核实/);
  });

  test('a refusal decides the case, in their words, and is never sent again', async (t) => {
    const { submit, clock, office, store, of } = await engine(t);
    office.mood = 'refuses';
    const caseNo = await submit('A1');
    const decided = await clock.until('decided', async () => (await store.caseOf(caseNo))?.decision);
    assert.deepEqual([decided.outcome, decided.reason?.zh], ['refused', 'R07（原话）']);
    await clock.pass(60_000, 5_000);
    assert.equal(office.asked.length, 1);
    assert.deepEqual(of('error'), []);
  });

  test('a key that is not accepted stops the lane, and logs an error; it goes on when a person says so', async (t) => {
    const { submit, clock, office, step, of, delivery, envelopes } = await engine(t);
    office.answer = DONE;
    office.mood = 'shut';
    const first = await submit('A1');
    const paused = await clock.until('paused', async () => (await delivery.departments.get('tea-office'))?.paused);
    assert.deepEqual([paused.by, paused.reason], ['gateway', 'keyRefused（原话）']);
    await submit('A2');
    await clock.pass(60_000, 5_000);
    assert.equal(office.asked.length, 1);
    assert.equal(of('error').length, 1);
    assert.deepEqual(
      (await envelopes()).map(({ attempts }) => attempts),
      [1, 0],
    );
    office.mood = 'well';
    await delivery.desk.resume('tea-office', 'operator-1');
    await clock.until('done', async () => (await step(first))?.state === 'DONE' && office.book.length === 2);
  });

  test('a party that asks to come back later is left alone until then', async (t) => {
    const { submit, clock, office, step, envelopes, of } = await engine(t);
    office.answer = DONE;
    office.mood = 'busy';
    office.moodFor = 1;
    office.busyUntil = clock.now() + 30_000;
    const caseNo = await submit('A1');
    await clock.pass(29_000, 500);
    assert.equal(office.asked.length, 1);
    assert.equal((await step(caseNo))?.resumesAt, office.busyUntil);
    assert.equal((await envelopes())[0]?.attempts, 1);
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.deepEqual(of('warn'), []);
  });

  test('a result that breaks its contract is parked, never taken, and counts as their failure', async (t) => {
    const { submit, clock, office, step, envelopes, delivery } = await engine(t, {
      terms: { breaker: { failures: 1, windowMs: 10_000, openMs: 2_000 } },
    });
    office.answer = { outcome: 'done', result: { leaf: 7 } };
    const caseNo = await submit('A1');
    await clock.until('parked', async () => (await envelopes('parked')).length === 1);
    const { state, reason } = (await step(caseNo)) ?? {};
    assert.equal(state, 'PARKED');
    assert.match(reason?.zh ?? '', /不符合契约 tea-office.work.result@1：\/leaf/);
    assert.equal((await delivery.departments.get('tea-office'))?.breakers.deliver.state, 'open');
    office.answer = DONE;
    await clock.pass(3_000);
    await delivery.desk.release(`${caseNo}-01`, 'operator-1');
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.deepEqual(office.book, [`${caseNo}-01`], 'it was there already: asked, not filed again');
  });

  test('X-Road: infinite default timeout: a party that hangs, and heeds no abort, holds nobody for ever', async (t) => {
    const { submit, clock, office, step } = await engine(t);
    office.answer = DONE;
    office.mood = 'hung';
    office.moodFor = 1;
    const first = await submit('A1');
    const second = await submit('A2');
    await clock.until(
      'both',
      async () => (await step(first))?.state === 'DONE' && (await step(second))?.state === 'DONE',
    );
    assert.equal(office.asked.filter((each) => each === `deliver ${first}-01`).length, 2);
  });

  test('at most as many at a time as the party takes, and in the order of a case', async (t) => {
    const { submit, clock, office } = await engine(t, { steps: 2, terms: { concurrency: 3 } });
    office.answer = DONE;
    office.work = () => new Promise((resolve) => void clock.after(200, () => resolve()));
    for (let n = 0; n < 8; n += 1) await submit(`A${n}`);
    await clock.until('all', () => office.book.length === 16);
    assert.equal(office.most, 3);
    assert.equal(new Set(office.book).size, 16);
    for (const id of office.book.filter((each) => each.endsWith('-02')))
      assert.ok(office.book.indexOf(id.replace('-02', '-01')) < office.book.indexOf(id));
  });
});

describe('what cannot be written down', () => {
  const failing = (method: 'delivered' | 'postponed', times: number) => {
    let left = times;
    return (store: Store): Store => ({
      ...store,
      [method]: async (...args: never[]) => {
        if (left-- > 0) throw new Error('the database is away');
        return (store[method] as (...same: never[]) => unknown)(...args);
      },
    });
  };

  const UNAVAILABLE = new Unfit(503, 'storeUnavailable', { zh: '暂时不可用', en: 'away' });

  test('OpenHIM: retry hand-off loses items: a store that is away for a moment is told again', async (t) => {
    const { submit, clock, office, step, of } = await engine(t, { aroundStore: failing('delivered', 3) });
    office.answer = DONE;
    const caseNo = await submit('A1');
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.deepEqual(office.asked, [`deliver ${caseNo}-01`]);
    assert.equal(of('warn').length, 3);
  });

  test('a store that is away for long: the lease runs out, and whoever is next asks before it sends', async (t) => {
    let away = false;
    const { submit, clock, office, step, of } = await engine(t, {
      aroundStore: (store) => ({
        ...store,
        delivered: async (...args) => (away ? Promise.reject(new Error('away')) : store.delivered(...args)),
        parked: async (...args) => (away ? Promise.reject(new Error('away')) : store.parked(...args)),
      }),
    });
    office.answer = DONE;
    away = true;
    const caseNo = await submit('A1');
    await clock.until('given up', () => of('error').length === 1);
    away = false;
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.deepEqual(office.asked, [`deliver ${caseNo}-01`, `inquire ${caseNo}-01`]);
    assert.deepEqual(office.book, [`${caseNo}-01`]);
  });

  test('a store that says that it is away is told again for as long as the lease lasts: nothing is asked twice, nobody is rung', async (t) => {
    let away = false;
    const { submit, clock, office, step, of, envelopes } = await engine(t, {
      aroundStore: (store) => ({
        ...store,
        delivered: async (...args) => (away ? Promise.reject(UNAVAILABLE) : store.delivered(...args)),
      }),
    });
    office.answer = DONE;
    away = true;
    const caseNo = await submit('A1');
    await clock.until('filed', () => office.book.length === 1);
    await clock.pass(8_000, 100);
    // Nobody would have taken it but a person: the store takes everything else.
    assert.deepEqual(await envelopes('parked'), []);
    away = false;
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.deepEqual(office.asked, [`deliver ${caseNo}-01`]);
    away = true;
    const next = await submit('A2');
    await clock.pass(30_000, 100);
    away = false;
    await clock.until('done too', async () => (await step(next))?.state === 'DONE');
    assert.equal(office.asked.filter((each) => each === `deliver ${next}-01`).length, 1);
    assert.deepEqual(of('error'), []);
  });

  test('a case that cannot be advanced is put before a person, not tried for ever', async (t) => {
    const { submit, clock, office, step, envelopes, items, delivery } = await engine(t);
    office.answer = DONE;
    const [only] = items.values();
    office.work = async () => items.clear();
    const caseNo = await submit('A1');
    await clock.until('parked', async () => (await envelopes('parked')).length === 1);
    assert.match((await step(caseNo))?.reason?.zh ?? '', /办件无法继续，请人工处理/);
    assert.ok(only !== undefined);
    items.set(only.code, only);
    await delivery.desk.release(`${caseNo}-01`, 'operator-1');
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.deepEqual(office.book, [`${caseNo}-01`]);
  });

  test('OpenHIM: a crash marks live work as failed: only a lease that ran out is taken over, and the late word of the first is ignored', async (t) => {
    const late: (() => void)[] = [];
    let slow = true;
    const { submit, clock, office, step, of, node, store } = await engine(t, {
      aroundStore: (inner) => ({
        ...inner,
        delivered: async (...args) => {
          if (slow) {
            slow = false;
            await new Promise<void>((resolve) => late.push(resolve));
          }
          return inner.delivered(...args);
        },
      }),
    });
    office.answer = DONE;
    const caseNo = await submit('A1');
    await clock.until('filed', () => late.length === 1);
    await node(store);
    await clock.pass(11_000, 100);
    assert.deepEqual(office.asked, [`deliver ${caseNo}-01`], 'its lease is alive, though another has started');
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.deepEqual(office.asked, [`deliver ${caseNo}-01`, `inquire ${caseNo}-01`]);
    late[0]?.();
    await clock.pass(100);
    assert.equal(of('warn').filter(({ message }) => message.startsWith('overtaken')).length, 1);
    assert.equal(of('info', 'delivered').length, 1);
    assert.deepEqual(office.book, [`${caseNo}-01`]);
  });

  test('a lease with too little time left for a call is given back, and nothing is sent under it', async (t) => {
    const stale: string[] = [];
    const { submit, clock, office, step, store } = await engine(t, {
      aroundBus: (bus) => ({
        ...bus,
        publish: (lane, lease) => {
          if (stale.length > 0) return bus.publish(lane, lease);
          stale.push(lease.envelope.id);
          return bus.publish(lane, { ...lease, until: Date.now() + 2_500 });
        },
      }),
      facts: REPLIES.atOnce,
    });
    office.answer = DONE;
    const caseNo = await submit('A1');
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    assert.deepEqual(stale, [`${caseNo}-01`]);
    assert.deepEqual(office.asked, [`deliver ${caseNo}-01`], 'once, and in no doubt');
    const { rows } = await store.timeline(caseNo, undefined, 50);
    assert.ok(!rows.some(({ kind }) => kind === 'waiting'), 'and nobody is told of it');
  });
});
