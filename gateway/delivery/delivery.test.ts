import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Certificate, CertificateQuery } from '../../contracts/ports/certificate.ts';
import { Fault, type FaultKind } from '../../contracts/ports/fault.ts';
import { engine, REPLIES, SETTINGS } from '../../test/support/engine.ts';
import { settle } from '../../test/support/virtual-clock.ts';

const DONE = { outcome: 'done' as const, result: { leaf: 'green' } };

describe('the relay', () => {
  test('OpenFn: lost runs: a bus that loses what it holds loses nothing: the store gives it again when the lease runs out', async (t) => {
    let lost = 0;
    const { submit, clock, office } = await engine(t, {
      aroundBus: (bus) => ({
        ...bus,
        publish: async (lane, lease) => {
          if (lost < 2) lost += 1;
          else await bus.publish(lane, lease);
        },
      }),
    });
    office.answer = DONE;
    for (const no of ['A1', 'A2', 'A3']) await submit(no);
    await clock.until('all', () => office.book.length === 3, 120_000);
    assert.equal(new Set(office.book).size, 3);
    assert.equal(office.asked.filter((each) => each.startsWith('inquire')).length, lost, 'a lost lease leaves doubt');
  });

  test('a bus that is away takes nothing: leases are given back undoubted, and it is not asked without a pause', async (t) => {
    let away = true;
    let tries = 0;
    const { submit, clock, office, envelopes } = await engine(t, {
      aroundBus: (bus) => ({
        ...bus,
        publish: async (lane, lease) => {
          tries += 1;
          if (away) throw new Error('no connection');
          await bus.publish(lane, lease);
        },
      }),
    });
    office.answer = DONE;
    for (const no of ['A1', 'A2']) await submit(no);
    await clock.pass(10_000);
    assert.equal((await envelopes('waiting')).length, 2);
    // Both at once, in each round.
    assert.ok(tries >= 10 && tries <= 28, `${tries} tries in ten seconds`);
    away = false;
    await clock.until('both', () => office.book.length === 2);
    assert.ok(
      office.asked.every((each) => each.startsWith('deliver')),
      office.asked.join(),
    );
  });

  test('all that a round leased is published at once: a bus that answers slowly is waited for once', async (t) => {
    let atOnce = 0;
    let most = 0;
    const { submit, clock, office } = await engine(t, {
      terms: { concurrency: 3 },
      aroundBus: (bus) => ({
        ...bus,
        publish: async (lane, lease) => {
          most = Math.max(most, ++atOnce);
          await new Promise<void>((resolve) => void clock.after(20, resolve));
          atOnce -= 1;
          await bus.publish(lane, lease);
        },
      }),
    });
    office.answer = DONE;
    for (const no of ['A1', 'A2', 'A3', 'A4']) await submit(no);
    await clock.until('all', () => office.book.length === 4);
    assert.ok(most > 1, `${most} at once`);
  });

  test('wake-ups that come together are one round, and an answer that is overdue makes nobody run', async (t) => {
    let rounds = 0;
    const { submit, clock, office, delivery } = await engine(t, {
      terms: { askAfterMs: [1_000] },
      facts: { delivers: [{ contract: 'tea-office.work@1', result: null, replies: 'later' }] },
      aroundStore: (store) => ({
        ...store,
        lease: (request) => {
          rounds += 1;
          return store.lease(request);
        },
        // Nobody asks for it: the answer stays overdue.
        awaiting: async () => [],
      }),
    });
    await submit('A1');
    await clock.until('delivered', () => office.book.length === 1);
    await clock.pass(2_000);
    rounds = 0;
    for (let n = 0; n < 100; n += 1) delivery.committed(['tea-office']);
    await settle();
    assert.ok(rounds <= 2, `${rounds} rounds for a hundred wake-ups`);
    await clock.pass(10_000);
    assert.ok(rounds <= 50, `${rounds} rounds in ten seconds`);
  });

  test('an idle node asks the store next to nothing: small reads, a dozen a minute', async (t) => {
    const asked: string[] = [];
    const { clock } = await engine(t, {
      facts: REPLIES.later,
      terms: { askAfterMs: [1_000] },
      aroundStore: (store) =>
        new Proxy(store, {
          get(target, name) {
            asked.push(String(name));
            return Reflect.get(target, name);
          },
        }),
    });
    await clock.pass(5_000, 100);
    asked.length = 0;
    await clock.pass(600_000, 1_000);
    assert.deepEqual([...new Set(asked)], ['due']);
    // The relay and the collector, each once a sweep.
    assert.ok(asked.length <= 600_000 / SETTINGS.sweepMs + 600_000 / SETTINGS.askSweepMs + 2, `${asked.length}`);
  });

  test('a store that is away is looked for again, and what was woken meanwhile goes on', async (t) => {
    let away = false;
    const { submit, clock, office, of } = await engine(t, {
      aroundStore: (store) => ({
        ...store,
        lease: (request) => (away ? Promise.reject(new Error('away')) : store.lease(request)),
      }),
    });
    office.answer = DONE;
    away = true;
    await submit('A1');
    await clock.pass(5_000);
    assert.ok(of('warn').length >= 3 && of('warn').length <= 8, `${of('warn').length} lines`);
    away = false;
    await clock.until('delivered', () => office.book.length === 1);
  });
});

describe('a person', () => {
  test('OpenHIM: retries that cannot be stopped: a person can stop a lane, an envelope, a case; it stays stopped over a restart', async (t) => {
    const { submit, clock, office, delivery, restart } = await engine(t, {
      terms: { breaker: { failures: 999, windowMs: 10_000, openMs: 1_000 } },
    });
    office.mood = 'absent';
    const cancelled = await submit('A1');
    const held = await submit('A2');
    const paused = await submit('A3');
    await clock.until('each was tried', () => new Set(office.asked).size === 3);
    const { desk } = delivery;
    await desk.cancel(`${cancelled}-01`, 'operator-1', '重复');
    await desk.hold(held, 'operator-1', '待核实');
    await desk.pause('tea-office', 'operator-1', '系统升级');
    await clock.pass(1_000);
    const before = office.asked.length;
    await clock.pass(600_000, 10_000);
    assert.equal(office.asked.length, before, 'stopped is stopped');

    const again = await restart();
    office.mood = 'well';
    office.answer = DONE;
    await clock.pass(60_000, 5_000);
    assert.deepEqual(
      office.asked.slice(before).filter((each) => each !== 'close'),
      [],
      'and over a restart',
    );
    await again.delivery.desk.resume('tea-office', 'operator-1');
    await clock.until('the one of the lane', () => office.book.length === 1);
    assert.deepEqual(office.book, [`${paused}-01`]);
    await clock.pass(60_000, 5_000);
    assert.deepEqual(office.book, [`${paused}-01`], 'the case is still held, the envelope still cancelled');
    await again.delivery.desk.unhold(held, 'operator-1');
    await clock.until('the one of the case', () => office.book.length === 2);
    assert.equal((await again.step(cancelled))?.state, 'REJECTED');
  });

  test('is told what cannot be done, and why', async (t) => {
    const { submit, clock, office, delivery } = await engine(t);
    office.answer = DONE;
    const caseNo = await submit('A1');
    await clock.until('delivered', () => office.book.length === 1);
    await settle();
    const { desk } = delivery;
    const wrong: readonly [() => Promise<unknown>, number, string][] = [
      [() => desk.release('no-01', 'operator-1'), 404, 'envelopeUnknown'],
      [() => desk.release(`${caseNo}-01`, 'operator-1'), 409, 'notParked'],
      [() => desk.cancel('no-01', 'operator-1', 'x'), 404, 'envelopeUnknown'],
      [() => desk.cancel(`${caseNo}-01`, 'operator-1', 'x'), 409, 'tooLate'],
      [() => desk.pause('nobody', 'operator-1', 'x'), 404, 'partyUnknown'],
      [() => desk.resume('nobody', 'operator-1'), 404, 'partyUnknown'],
      [() => desk.hold('no', 'operator-1', 'x'), 404, 'caseUnknown'],
      [() => desk.unhold('no', 'operator-1'), 404, 'caseUnknown'],
    ];
    for (const [act, status, code] of wrong) await assert.rejects(act, { name: 'Unfit', status, code });
  });
});

describe('a stop', () => {
  test('lets the calls under way end, gives back what was not begun, and begins nothing more', async (t) => {
    const { submit, clock, office, stop, restart } = await engine(t, { terms: { concurrency: 1 } });
    office.answer = DONE;
    let finish: () => void = () => {};
    office.work = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    const first = await submit('A1');
    await submit('A2');
    await clock.until('under way', () => office.asked.length === 1);
    const stopped = stop();
    await settle();
    finish();
    await stopped;
    assert.deepEqual(office.book, [`${first}-01`]);
    assert.equal(office.asked.at(-1), 'close');
    office.work = async () => {};
    const again = await restart();
    assert.equal((await again.step(first))?.state, 'DONE', 'its last word was written down');
    await clock.until('the second', () => office.book.length === 2);
    assert.ok(!office.asked.some((each) => each.startsWith('inquire')), 'and nothing is in doubt');
  });

  test('is over within its bound though a party hangs; what was under way is in doubt, and asked about', async (t) => {
    const { submit, clock, office, stop, restart, of } = await engine(t, { terms: { deadlineMs: 60_000 } });
    office.answer = DONE;
    office.mood = 'hung';
    office.moodFor = 1;
    const caseNo = await submit('A1');
    await clock.until('under way', () => office.asked.length === 1);
    const began = clock.now();
    await stop();
    assert.ok(clock.now() - began <= SETTINGS.stopMs + 2_500, `${clock.now() - began} ms`);
    assert.equal(of('warn', 'waits')[0]?.fields.code, 'disconnected', 'the abort was written down');
    const again = await restart();
    await clock.until('done', async () => (await again.step(caseNo))?.state === 'DONE');
    assert.equal(office.asked.filter((each) => each !== 'close')[1], `inquire ${caseNo}-01`);
    assert.deepEqual(office.book, [`${caseNo}-01`]);
  });

  test('forgets no terms while last calls end: a step that needs no answer is done', async (t) => {
    const { submit, clock, office, stop, restart } = await engine(t, {
      facts: { delivers: [{ contract: 'tea-office.work@1', result: null, replies: 'never' }] },
    });
    let finish: () => void = () => {};
    office.work = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    const caseNo = await submit('A1');
    await clock.until('under way', () => office.asked.length === 1);
    const stopped = stop();
    await settle();
    finish();
    await stopped;
    const again = await restart();
    assert.equal((await again.step(caseNo))?.state, 'DONE');
  });
});

describe('parties while it runs', () => {
  test('one that leaves is sent nothing more, and what waits for it waits until it is there again', async (t) => {
    const { submit, clock, office, delivery, step } = await engine(t);
    office.answer = DONE;
    const facts = delivery.party('tea-office')?.facts;
    assert.ok(facts !== undefined);
    await delivery.disconnect('tea-office');
    assert.equal(await delivery.departments.get('tea-office'), undefined);
    const caseNo = await submit('A1');
    await clock.pass(30_000, 1_000);
    assert.deepEqual(office.asked, ['close']);
    await delivery.connect({ facts, adapter: office.adapter() });
    await clock.until('done', async () => (await step(caseNo))?.state === 'DONE');
  });

  test('one that is connected anew takes the place of the old, which is closed', async (t) => {
    const { submit, clock, office, delivery } = await engine(t);
    office.answer = DONE;
    const facts = delivery.party('tea-office')?.facts;
    assert.ok(facts !== undefined);
    await delivery.connect({ facts: { ...facts, version: '2.0.0' }, adapter: office.adapter() });
    assert.deepEqual(office.asked, ['close']);
    assert.equal((await delivery.departments.get('tea-office'))?.version, '2.0.0');
    await submit('A1');
    await clock.until('delivered', () => office.book.length === 1);
  });

  test('certificates are asked for through the same guard', async (t) => {
    const { office, delivery, told } = await engine(t);
    const facts = delivery.party('tea-office')?.facts;
    assert.ok(facts !== undefined);
    assert.equal(delivery.sources().size, 0);
    await delivery.connect({
      facts: { ...facts, certificates: ['T1'] },
      adapter: { ...office.adapter(), certificates: async () => [] },
    });
    const source = delivery.sources().get('tea-office');
    assert.deepEqual(source?.types, ['T1']);
    assert.deepEqual(await source?.ask(QUERY, '00-1-1-01'), []);
    assert.ok(told.includes('called tea-office certificates done'));
  });

  test('a file is one call from its first byte to its last: the deadline covers both, and so does the slot', async (t) => {
    const { office, delivery, clock, told } = await engine(t, { terms: { deadlineMs: 5_000, concurrency: 1 } });
    const facts = delivery.party('tea-office')?.facts;
    assert.ok(facts !== undefined);
    let stalls = false;
    async function* leaves(signal: AbortSignal): AsyncGenerator<Uint8Array> {
      yield Buffer.from('green ');
      if (stalls)
        await new Promise((_, reject) =>
          signal.addEventListener('abort', () => reject(fault('unreachable', 'silence')), { once: true }),
        );
      yield Buffer.from('leaves');
    }
    await delivery.connect({
      facts: { ...facts, certificates: ['T1'], documents: ['T1'] },
      adapter: {
        ...office.adapter(),
        certificates: async () => [],
        document: async (_certificate, _query, { signal }) => ({
          mediaType: 'application/pdf',
          bytes: leaves(signal),
        }),
      },
    });
    const source = delivery.sources().get('tea-office') ?? assert.fail('no source');
    assert.deepEqual(source.documents, ['T1']);
    assert.equal(source.verify, undefined);
    const fetched = () =>
      source.document(
        CERTIFICATE,
        QUERY,
        async ({ bytes }) => {
          const chunks: Uint8Array[] = [];
          for await (const chunk of bytes) chunks.push(chunk);
          return Buffer.concat(chunks).toString();
        },
        '00-1-1-01',
      );
    assert.equal(await fetched(), 'green leaves');
    assert.ok(told.includes('called tea-office certificates done'));
    stalls = true;
    const outcomes: string[] = [];
    const first = fetched().catch((error: Fault) => outcomes.push(error.kind));
    await clock.pass(2_000);
    const second = source.ask(QUERY, '00-1-1-01').then(() => outcomes.push('asked'));
    await clock.pass(2_000);
    assert.deepEqual(outcomes, [], 'its slot is taken until the last byte');
    await clock.pass(2_000);
    await Promise.all([first, second]);
    assert.deepEqual(outcomes, ['unreachable', 'asked']);
  });

  test('verification goes through the same guard; who hands out no files says so', async (t) => {
    const { office, delivery, told } = await engine(t);
    const facts = delivery.party('tea-office')?.facts;
    assert.ok(facts !== undefined);
    await delivery.connect({
      facts: { ...facts, certificates: ['T1'], verifies: true },
      adapter: {
        ...office.adapter(),
        certificates: async () => [],
        verify: async (claim) => ({ verdict: 'identifier' in claim ? 'valid' : 'unknown', state: null }),
      },
    });
    const source = delivery.sources().get('tea-office') ?? assert.fail('no source');
    assert.deepEqual(await source.verify?.({ identifier: 'I1' }, '00-1-1-01'), { verdict: 'valid', state: null });
    assert.ok(told.includes('called tea-office certificates done'));
    await assert.rejects(
      source.document(CERTIFICATE, QUERY, async () => assert.fail('there is none'), '00-1-1-01'),
      (error) => error instanceof Fault && error.kind === 'refused' && error.reason.code === 'noDocument',
    );
  });
});

const QUERY: CertificateQuery = {
  holder: { name: '张样例', idType: '111', idNo: '331124199001010011' },
  type: 'T1',
  purpose: { itemCode: 'item', clerk: { officerId: 'c1' }, basis: 'law' },
  cause: 'A1 an item law',
  hints: {},
};
const CERTIFICATE: Certificate = {
  type: 'T1',
  identifier: null,
  number: 'N1',
  title: '证',
  holder: QUERY.holder,
  state: '01',
  issuer: '茶叶局',
  validFrom: null,
  validTo: null,
  fields: {},
  file: { mediaType: 'application/pdf', reference: 'R1', digest: null },
};
const fault = (kind: FaultKind, code: string) => new Fault(kind, { reason: { code, zh: code, en: code } });
