import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Answer } from '../../contracts/ports/envelope.ts';
import { type EngineOptions, engine, REPLIES } from '../../test/support/engine.ts';
import { settle } from '../../test/support/virtual-clock.ts';

const DONE: Answer = { outcome: 'done', result: { leaf: 'green' } };
const BROKEN: Answer = { outcome: 'done', result: { leaf: 7 } };
const ASKS: EngineOptions = { facts: REPLIES.later, terms: { askAfterMs: [10_000, 20_000] } };
const TRACE = '00-1-1-01';

const push = (envelope: string, answer: Answer) => ({
  method: 'POST',
  path: '/v1/callbacks/tea-office',
  query: {},
  headers: {},
  body: Buffer.from(JSON.stringify({ envelope, ...answer })),
});
const said = ({ status, body }: { status: number; body: Uint8Array }) => `${status} ${Buffer.from(body)}`;

describe('an answer that comes later', () => {
  test('is asked for on schedule, the last delay repeating, until it is there', async (t) => {
    const { submit, clock, office, step } = await engine(t, ASKS);
    const caseNo = await submit('A1');
    await clock.until('waiting', async () => (await step(caseNo))?.state === 'WAITING_RECEIPT');
    const begin = clock.now();
    const at: number[] = [];
    for (const count of [1, 2, 3]) {
      await clock.until(
        'asked',
        () => office.asked.filter((each) => each.startsWith('collect')).length === count,
        90_000,
      );
      at.push(clock.now() - begin);
    }
    const [first = 0, second = 0, third = 0] = at;
    assert.ok(first >= 9_900 && first <= 15_200, `${first}`);
    assert.ok(second - first >= 19_900 && second - first <= 25_200, `${second - first}`);
    assert.ok(third - second >= 19_900 && third - second <= 25_200, `${third - second}`);
    office.answer = DONE;
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
    const asked = office.asked.length;
    await clock.pass(120_000, 1_000);
    assert.equal(office.asked.length, asked, 'nobody asks for what is there');
  });

  test('of a party that is away: the others due are not asked further in this round, and nobody is rung', async (t) => {
    const { submit, clock, office, of } = await engine(t, ASKS);
    for (let n = 0; n < 10; n += 1) await submit(`A${n}`);
    await clock.until('delivered', () => office.book.length === 10);
    office.mood = 'absent';
    await clock.until('asked', () => office.asked.some((each) => each.startsWith('collect')));
    await settle();
    assert.equal(office.asked.filter((each) => each.startsWith('collect')).length, 2, 'as many as it takes at a time');
    await clock.pass(60_000, 1_000);
    assert.deepEqual(of('error'), []);
    office.mood = 'well';
    office.answer = DONE;
    await clock.until(
      'all',
      () => new Set(office.asked.filter((each) => each.startsWith('collect'))).size === 10,
      200_000,
    );
  });

  test('of a party whose lane a person stopped is not asked for', async (t) => {
    const { submit, clock, office, delivery } = await engine(t, ASKS);
    await submit('A1');
    await clock.until('delivered', () => office.book.length === 1);
    await delivery.desk.pause('tea-office', 'operator-1', '系统升级');
    await clock.pass(120_000, 1_000);
    assert.equal(office.asked.filter((each) => each.startsWith('collect')).length, 0);
    await delivery.desk.resume('tea-office', 'operator-1');
    await clock.until('asked', () => office.asked.some((each) => each.startsWith('collect')));
  });

  test('a key that is not accepted stops the lane once, and rings once', async (t) => {
    const { submit, clock, office, delivery, of } = await engine(t, ASKS);
    await submit('A1');
    await clock.until('delivered', () => office.book.length === 1);
    office.mood = 'shut';
    await clock.pass(180_000, 1_000);
    assert.equal((await delivery.departments.get('tea-office'))?.paused?.by, 'gateway');
    assert.equal(of('error').length, 1);
  });

  test('one that breaks its contract is not taken, and stands before a person until one comes that can be read', async (t) => {
    const { submit, clock, office, step, of, envelopes } = await engine(t, ASKS);
    office.answer = BROKEN;
    office.work = async () => {
      office.answer = undefined;
    };
    const caseNo = await submit('A1');
    await clock.until('waiting', async () => (await step(caseNo))?.state === 'WAITING_RECEIPT');
    office.answer = BROKEN;
    await clock.until('asked', () => of('error').length === 1);
    const failed = await step(caseNo);
    assert.deepEqual([failed?.state, failed?.reason?.code], ['PARKED', 'resultBroken']);
    const [parked] = await envelopes('parked');
    assert.deepEqual([parked?.envelope.id, parked?.number], [`${caseNo}-01`, `TEA-${caseNo}-01`]);
    office.answer = undefined;
    await clock.until('awaited again', async () => (await step(caseNo))?.state === 'WAITING_RECEIPT', 3_600_000, 1_000);
    assert.deepEqual(await envelopes('parked'), []);
    office.answer = DONE;
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE', 3_600_000, 1_000);
    assert.equal(of('error').length, 1, 'told once');
  });
});

describe('a push', () => {
  test('is answered in their words once it is kept; the same twice is one', async (t) => {
    const { submit, clock, step, delivery } = await engine(t, { facts: REPLIES.later });
    const caseNo = await submit('A1');
    await clock.until('waiting', async () => (await step(caseNo))?.state === 'WAITING_RECEIPT');
    const { departments } = delivery;
    const calls = ['200 applied', '200 seenBefore'];
    for (const expected of calls) {
      const reply = departments.callback('tea-office', push(`${caseNo}-01`, DONE), TRACE);
      await settle();
      assert.equal(said(await reply), expected);
    }
    assert.equal((await step(caseNo))?.state, 'DONE');
  });

  test('trap 12: a receipt before our own commit is kept, and fits as soon as ours is written down', async (t) => {
    const { submit, clock, office, step, delivery } = await engine(t, { facts: REPLIES.later });
    let before = '';
    office.work = async () => {
      const [, id = ''] = office.asked.at(-1)?.split(' ') ?? [];
      const { accept } = callbackByNumber(delivery);
      before = await accept(`TEA-${id}`);
    };
    const caseNo = await submit('A1');
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE', 1_000);
    assert.equal(before, 'unmatched');
  });

  test('kept before its receipt, and broken: it is not taken when it is tried again, and rings once', async (t) => {
    const { submit, clock, office, step, delivery, store, of } = await engine(t, { facts: REPLIES.later });
    office.work = async () => {
      const [, id = ''] = office.asked.at(-1)?.split(' ') ?? [];
      await callbackByNumber(delivery, BROKEN).accept(`TEA-${id}`);
    };
    const caseNo = await submit('A1');
    await clock.until('waiting', async () => (await step(caseNo))?.state === 'WAITING_RECEIPT');
    await clock.pass(11_000, 500);
    assert.equal((await step(caseNo))?.state, 'WAITING_RECEIPT');
    assert.equal((await store.unmatched({ limit: 10 })).rows.length, 1, 'a person finds it there');
    await clock.pass(30 * 60_000, 5_000);
    assert.equal(of('error').length, 1, 'and is rung once');
    const [kept] = (await store.unmatched({ limit: 10 })).rows;
    assert.equal(kept?.problem?.code, 'resultBroken', 'and why it could not be used stands with it');
  });

  test('kept before its receipt, and its case cannot go on: why stands with it, and it rings once', async (t) => {
    const unpublished = { contract: 'tea-office.work@1', result: 'nobody.published@1', replies: 'later' as const };
    const { submit, clock, office, step, delivery, store, of } = await engine(t, {
      facts: { delivers: [unpublished] },
    });
    office.work = async () => {
      const [, id = ''] = office.asked.at(-1)?.split(' ') ?? [];
      await callbackByNumber(delivery).accept(`TEA-${id}`);
    };
    const caseNo = await submit('A1');
    await clock.until('waiting', async () => (await step(caseNo))?.state === 'WAITING_RECEIPT');
    await clock.pass(60_000, 500);
    const [kept] = (await store.unmatched({ limit: 10 })).rows;
    assert.equal(kept?.problem?.code, 'caseCannotGoOn');
    assert.equal(of('error').length, 1);
  });

  test('a thousand messages that match nothing: a delivery looks up what is about its envelope, and nothing else', async (t) => {
    // One more is kept of a party at most, and that is the one below.
    const STRAYS = 999;
    const looked: unknown[] = [];
    const tried: string[] = [];
    let pages = 0;
    const { submit, clock, office, step, delivery, store } = await engine(t, {
      facts: REPLIES.later,
      aroundStore: (inner) => ({
        ...inner,
        rematch: (about, advance) => {
          looked.push(about);
          return inner.rematch(about, (envelope, message) => {
            tried.push(message.dedupe);
            return advance(envelope, message);
          });
        },
        async retryKept(after, advance) {
          pages += 1;
          const page = await inner.retryKept(after, advance);
          assert.ok(page.left.length + page.applied <= 100, 'a page at a time');
          return page;
        },
      }),
    });
    for (let n = 0; n < STRAYS; n += 1)
      await store.collected(
        { from: 'tea-office', about: { number: `none-${n}` }, dedupe: `none-${n}`, at: 5, answer: DONE },
        () => () => Promise.reject(new Error('nobody asked for it')),
      );
    // From the oldest on, and on from there: all of them in ten sweeps.
    await clock.pass(120_000, 1_000);
    assert.ok(pages >= 10 && pages <= 13, `${pages} pages in twelve sweeps`);
    office.work = async () => {
      const [, id = ''] = office.asked.at(-1)?.split(' ') ?? [];
      await callbackByNumber(delivery).accept(`TEA-${id}`);
    };
    const caseNo = await submit('A1');
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE', 5_000);
    assert.deepEqual(looked, [{ party: 'tea-office', key: `${caseNo}-01`, number: `TEA-${caseNo}-01` }]);
    assert.deepEqual(tried, [`TEA-${caseNo}-01`]);
    assert.equal((await store.lanes()).find(({ lane }) => lane === 'tea-office')?.unmatched, STRAYS);
  });

  test('kept before a person settles its envelope as filed: it fits as soon as the number is known', async (t) => {
    const { submit, clock, office, step, delivery, envelopes } = await engine(t, { facts: REPLIES.later });
    office.mood = 'garbled';
    const caseNo = await submit('A1');
    await clock.until('parked', async () => (await step(caseNo))?.state === 'PARKED');
    assert.equal(await callbackByNumber(delivery).accept('BY-HAND'), 'unmatched');
    assert.equal((await envelopes('parked'))[0]?.inDoubt, true);
    office.mood = 'deaf';
    const settling = delivery.desk.settle(`${caseNo}-01`, 'operator-1', {
      outcome: 'filed',
      number: 'BY-HAND',
      reason: '电话核实',
    });
    let over = false;
    void settling.finally(() => {
      over = true;
    });
    await clock.until('settled', () => over);
    await settling;
    assert.equal((await step(caseNo))?.state, 'DONE');
  });

  test('one that matches nothing ends after its time, with one warning for all, and is counted', async (t) => {
    const HOUR_MS = 3_600_000;
    const { delivery, clock, store, of, told } = await engine(t, {
      settings: { messageDays: 1, askSweepMs: HOUR_MS, sweepMs: HOUR_MS },
    });
    for (const number of ['no-1', 'no-2', 'no-3']) await callbackByNumber(delivery).accept(number);
    await clock.pass(24 * HOUR_MS, 10 * 60_000);
    assert.equal((await store.unmatched({ limit: 10 })).rows.length, 3);
    await clock.pass(2 * HOUR_MS, 10 * 60_000);
    assert.deepEqual((await store.unmatched({ limit: 10 })).rows, []);
    const warned = of('warn');
    assert.deepEqual(
      warned.map(({ message, fields }) => [message, fields]),
      [['messages that matched no envelope have ended: their time is over', { days: 1, parties: { 'tea-office': 3 } }]],
    );
    assert.ok(told.includes('messagesEnded tea-office 3'), told.join('\n'));
    assert.equal(await callbackByNumber(delivery).accept('no-1'), 'unmatched', 'the same again is a new one');
  });

  test('one that breaks its contract is refused in their words, and rings', async (t) => {
    const { submit, clock, step, delivery, of } = await engine(t, { facts: REPLIES.later });
    const caseNo = await submit('A1');
    await clock.until('waiting', async () => (await step(caseNo))?.state === 'WAITING_RECEIPT');
    const reply = delivery.departments.callback('tea-office', push(`${caseNo}-01`, BROKEN), TRACE);
    await settle();
    assert.equal(said(await reply), '400 not taken: resultBroken');
    assert.equal(of('error').length, 1);
    assert.equal((await step(caseNo))?.state, 'WAITING_RECEIPT');
  });

  test('when our store does not take it, the party is told to send it again; it rings, unless the store is away', async (t) => {
    let why: Error = new Unfit(503, 'storeUnavailable', { zh: '暂时不可用', en: 'away' });
    const { delivery, of } = await engine(t, {
      aroundStore: (store) => ({ ...store, collected: () => Promise.reject(why) }),
    });
    const pushed = () => delivery.departments.callback('tea-office', push('no-01', DONE), TRACE);
    assert.equal(said(await pushed()), '400 not taken: notKept');
    assert.deepEqual([of('error').length, of('warn').length], [0, 1]);
    why = new Error('a bug');
    assert.equal(said(await pushed()), '400 not taken: notKept');
    assert.equal(of('error')[0]?.message, 'a message could not be kept; the party is told so');
  });

  test('one that matches nothing rings once, after a while', async (t) => {
    const { delivery, clock, of } = await engine(t);
    const reply = delivery.departments.callback('tea-office', push('331124000000000000-01', DONE), TRACE);
    await settle();
    assert.equal(said(await reply), '200 unmatched');
    await clock.pass(9 * 60_000, 5_000);
    assert.deepEqual(of('error'), []);
    await clock.pass(30 * 60_000, 5_000);
    assert.equal(of('error').length, 1);
  });

  test('that hangs, is too long, or trips over our own code is answered all the same', async (t) => {
    const { delivery, clock, of } = await engine(t);
    const { departments } = delivery;
    const hanging = departments.callback('tea-office', push('hang', DONE), TRACE);
    const outcome = assert.rejects(hanging, { name: 'Unfit', status: 503, code: 'notTaken' });
    await clock.pass(10_300);
    await outcome;
    await assert.rejects(departments.callback('tea-office', push('bug', DONE), TRACE), {
      status: 503,
      code: 'notTaken',
    });
    assert.equal(of('error').length, 1);
    const long = { ...push('x', DONE), body: new Uint8Array(1_048_577) };
    await assert.rejects(departments.callback('tea-office', long, TRACE), { status: 413 });
    await assert.rejects(departments.callback('nobody', push('x', DONE), TRACE), { status: 404, code: 'partyUnknown' });
  });
});

/** An answer that names the number under which they filed it, as it would come in before our own receipt is written down. */
function callbackByNumber(delivery: Awaited<ReturnType<typeof engine>>['delivery'], answer: Answer = DONE) {
  return {
    async accept(number: string): Promise<string> {
      let kept = '';
      const live = delivery.party('tea-office');
      assert.ok(live !== undefined);
      const adapter = live.adapter as { callback: NonNullable<typeof live.adapter.callback> };
      const usual = adapter.callback;
      adapter.callback = async (_request, inbox) => {
        kept = await inbox.accept({ from: 'somebody-else', about: { number }, dedupe: number, at: 5, answer });
        return { status: 200, headers: {}, body: new Uint8Array() };
      };
      await delivery.departments.callback('tea-office', push('x', answer), TRACE);
      adapter.callback = usual;
      return kept;
    },
  };
}
