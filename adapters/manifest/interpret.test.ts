import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Adapter, Call, Connected, PartyFolder } from '../../contracts/ports/adapter.ts';
import type { CertificateQuery } from '../../contracts/ports/certificate.ts';
import { wallClock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Envelope, Json, JsonObject, Message } from '../../contracts/ports/envelope.ts';
import { Fault, type FaultKind } from '../../contracts/ports/fault.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { AwaitedAnswer } from '../../contracts/ports/store.ts';
import { FarSide, type Saying } from '../../test/support/far-side.ts';
import { type LogLine, logInto } from '../../test/support/party.ts';
import { loadParties } from '../load.ts';
import { encodeText } from '../wire/text/encoding.ts';

const parties = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'test', 'support', 'parties');
const folders = await loadParties(parties);
const folder = (party: string): PartyFolder => folders.find((each) => each.party === party) ?? assert.fail(party);
const means = { clock: wallClock, log: silent };
const PUSH_KEY = 'push-key-of-the-test';
const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

const call = (ms = 2_000): Call => ({ signal: AbortSignal.timeout(ms), attempt: 1, log: silent, traceparent: TRACE });
const envelope = (contract = 'bakery.loaf@1', body: JsonObject = { no: '7' }): Envelope => ({
  id: '331124261123000001-02',
  caseNo: '331124261123000001',
  stepNo: '02',
  to: 'bakery',
  contract,
  body,
  traceparent: TRACE,
  createdAt: 0,
});
const faultOf = async (run: () => Promise<unknown>): Promise<Fault> => {
  try {
    await run();
  } catch (error) {
    assert.ok(error instanceof Fault, `only faults are thrown on purpose, this was ${String(error)}`);
    return error;
  }
  return assert.fail('it should have failed');
};
/** Kind, whether the message at fault is ours, and whether a write may have arrived: what decides what happens next. */
const told = ({ kind, ours, maybeArrived }: Fault) => [kind, ours, maybeArrived];

describe('a manifest, interpreted', () => {
  const far = new FarSide();
  let live: Connected;
  let adapter: Adapter;
  before(async () => {
    live = folder('bakery').connect({ baseUrl: await far.open(), pushKey: PUSH_KEY }, means);
    ({ adapter } = live);
  });
  after(async () => {
    await adapter.close();
    await far.close();
  });
  beforeEach(() => {
    far.forget();
    far.says('/taste', { means: 'filed', words: 'good' });
    far.says('/bake', { means: 'filed', number: 'L1', slices: '12' });
  });
  const deliver = (body?: JsonObject, contract?: string, more: Partial<Call> = {}) =>
    adapter.deliver(envelope(contract, body), { ...call(), ...more });
  const inquire = (contract?: string) => adapter.inquire?.(envelope(contract), call());

  describe('deliver', () => {
    test('a sequence, in order: what earlier calls read stands in `replies`, what the last one read in `reply`', async () => {
      assert.deepEqual(await deliver(), {
        number: 'L1',
        duplicate: false,
        answer: { outcome: 'done', result: { slices: '12', tasted: 'good' } },
      });
      assert.deepEqual(
        far.asked.map(({ path: asked }) => asked),
        ['/taste', '/bake'],
      );
      assert.deepEqual(JSON.parse(far.asked[1]?.body ?? ''), { key: envelope().id, no: '7', flavour: 'plain' });
    });

    test('the trace goes out as a header', async () => {
      await deliver();
      assert.deepEqual(
        far.asked.map(({ headers }) => headers.traceparent),
        [TRACE, TRACE],
      );
    });

    const ends: readonly (readonly [string, Saying, FaultKind, boolean])[] = [
      ['refused', { means: 'refused', code: 'R7', words: 'no flour' }, 'refused', false],
      ['busy', { means: 'busy' }, 'busy', false],
      ['unauthorized', { means: 'unauthorized' }, 'unauthorized', false],
      ['a login page, from one who has no session', page('<html>', 'text/html'), 'unauthorized', false],
      ['said to be malformed', { means: 'malformed' }, 'malformed', true],
      ['no rule knows it', { means: 'what?' }, 'malformed', true],
      ['searched, and holds none: no answer to a delivery', { means: 'none' }, 'malformed', true],
      ['still working, without having taken it', { means: 'progress' }, 'malformed', true],
      ['torn', page('{"means":"fil', 'application/json'), 'malformed', true],
      ['no encoding at all', page(Uint8Array.from([0x7b, 0xff, 0xff])), 'malformed', true],
      ['a failure of their server', page('oops', 'text/plain', 500), 'inDoubt', true],
      ['a failure of their server, with a page', page('{"error":1}', 'application/json', 502), 'inDoubt', true],
      ['a page that is not there', page('gone', 'text/plain', 404), 'malformed', true],
      ['hung up', 'hangUp', 'inDoubt', true],
      ['silence', 'silence', 'inDoubt', true],
    ];
    for (const [what, says, kind, maybeArrived] of ends) {
      test(`the write: ${what}: ${kind}${maybeArrived ? ', and it may have arrived' : ''}`, async () => {
        far.says('/bake', says);
        const fault = await faultOf(() => adapter.deliver(envelope(), call(300)));
        assert.deepEqual(told(fault), [kind, false, maybeArrived]);
      });
      test(`the check before the write: ${what}: never in doubt, and nothing was written`, async () => {
        far.says('/taste', says);
        const fault = await faultOf(() => adapter.deliver(envelope(), call(300)));
        assert.deepEqual(
          [fault.kind, fault.maybeArrived],
          [kind === 'inDoubt' ? 'unreachable' : kind, false],
          fault.message,
        );
        assert.equal(far.on('/bake').length, 0);
      });
    }

    test('a check that is still pending is no receipt, whoever answers when: come back later', async () => {
      far.says('/taste', { means: 'pending' });
      for (const contract of ['bakery.loaf@1', 'bakery.cake@1']) {
        const fault = await faultOf(() => deliver({}, contract));
        assert.deepEqual([fault.kind, fault.maybeArrived], ['busy', false], contract);
      }
      assert.equal(far.on('/bake').length, 0);
    });

    test('a rule may know a reply from outside although it cannot be read; but success is never taken on trust', async () => {
      far.says('/bake', page('{"number":"C1"}', 'application/json', 202));
      assert.deepEqual(await deliver({}, 'bakery.cake@1'), { number: 'C1', duplicate: false });
      far.says('/bake', page('{"number":"C', 'application/json', 202));
      assert.deepEqual(told(await faultOf(() => deliver({}, 'bakery.cake@1'))), ['malformed', false, true]);
    });

    test('one who answers at once and has not decided: come back later, and then ask first', async () => {
      far.says('/bake', { means: 'pending', number: 'L1' });
      assert.deepEqual(told(await faultOf(() => deliver())), ['busy', false, true]);
    });

    test('one who answers later has not decided: that is what was expected', async () => {
      far.says('/bake', { means: 'pending', number: 'C1' });
      assert.deepEqual(await deliver({}, 'bakery.cake@1'), { number: 'C1', duplicate: false });
    });

    test('a refusal is told in their own code and words', async () => {
      far.says('/bake', { means: 'refused', code: 'R7', words: '面粉不足' });
      assert.deepEqual((await faultOf(() => deliver())).reason, { code: 'R7', zh: '面粉不足', en: 'Bakery: 面粉不足' });
    });

    test('of their words, what names a person is left out', async () => {
      far.says('/bake', {
        means: 'refused',
        code: 'R7',
        words: '张样例（331124199001010011，13800000001）已领取，合同WQ2026112300017',
      });
      const body = { no: '7', buyers: [{ name: '张样例', idNo: '331124199001010011', mobile: '13800000001' }] };
      const { zh, en } = (await faultOf(() => deliver(body))).reason;
      assert.equal(zh, '***（***，***）已领取，合同WQ2026112300017');
      assert.equal(en, `Bakery: ${zh}`);
    });

    test('busy: as long as they say, else as the rule says', async () => {
      const before = Date.now();
      far.says('/bake', { means: 'busy' });
      const { until = 0 } = await faultOf(() => deliver());
      // Their rule says 7 s, counted from some moment of the call.
      assert.ok(until >= before + 7_000 && until <= Date.now() + 7_000);
      far.says('/bake', { raw: '', status: 429, headers: { 'retry-after': '120' } });
      const told = await faultOf(() => deliver());
      assert.ok((told.until ?? 0) >= before + 120_000 && (told.until ?? 0) <= Date.now() + 120_000);
    });

    test('a correction is a receipt with what is to be mended', async () => {
      far.says('/bake', {
        means: 'correction',
        number: 'L1',
        code: 'B1',
        words: 'blurred',
        asks: ['/form/a', '/form/b'],
      });
      assert.deepEqual((await deliver()).answer, {
        outcome: 'correction',
        reason: { code: 'B1', zh: 'blurred', en: 'Bakery: blurred' },
        asks: ['/form/a', '/form/b'],
      });
    });

    test('they took it, and their answer lacks what was agreed: it may have arrived, and that is no fault of ours', async () => {
      // A time that is none, and a code without a translation.
      for (const wrong of [{ at: '2026' }, { grain: '77' }]) {
        far.says('/bake', { means: 'filed', number: 'L1', slices: '12', ...wrong });
        const fault = await faultOf(() => deliver());
        assert.deepEqual(told(fault), ['malformed', false, true], fault.message);
      }
    });

    test('what we cannot make is ours, was not sent, and says so', async () => {
      for (const body of [
        { no: '7', grain: 'oats' },
        { no: '7', grain: 'wheat', note: '张样例' },
      ]) {
        far.forget();
        const fault = await faultOf(() => deliver(body));
        assert.deepEqual(told(fault), ['malformed', true, false], fault.message);
        assert.equal(far.asked.length, 0);
        assert.ok(!fault.message.includes('张样例'));
      }
    });

    test('what cannot be read is told by its outside, never by its content', async () => {
      far.says('/bake', page('<notice><name>张样例</name></notice>', 'text/xml'));
      const { reason } = await faultOf(() => deliver());
      for (const said of [reason.zh, reason.en]) {
        assert.match(said, /json/i);
        assert.match(said, /HTTP 200, text\/xml, <notice>, 39 bytes, sha256 [0-9a-f]{12}…$/);
        assert.ok(!said.includes('张样例'));
      }
    });

    test('what this party does not take is ours, and not sent', async () => {
      const fault = await faultOf(() => deliver({}, 'bakery.pie@1'));
      assert.deepEqual(told(fault), ['malformed', true, false]);
      assert.equal(far.asked.length, 0);
    });
  });

  describe('a duplicate of what was sent before', () => {
    const again = (contract?: string) => deliver(undefined, contract, { attempt: 2 });
    beforeEach(() => far.says('/bake', { means: 'duplicate', words: '已存在' }));

    test('is success: what they answered then is asked for', async () => {
      far.says('/look', { means: 'filed', number: 'L1', slices: '12' });
      assert.deepEqual(await again(), {
        number: 'L1',
        duplicate: true,
        answer: { outcome: 'done', result: { slices: '12' } },
      });
    });

    test('they refused it then: the refusal is its answer', async () => {
      far.says('/look', { means: 'refused', code: 'R7', words: 'no flour' });
      const { answer } = await again();
      assert.equal(answer?.outcome, 'refused');
    });

    test('and then they do not know our key: a person has to look, for no answer would ever come', async () => {
      far.says('/look', { means: 'none' });
      for (const contract of ['bakery.loaf@1', 'bakery.cake@1']) {
        const fault = await faultOf(() => again(contract));
        assert.deepEqual(told(fault), ['malformed', false, true]);
        assert.match(fault.reason.zh, /已存在/);
      }
    });

    test('and then they cannot be asked: it has arrived, and whoever comes next asks first', async () => {
      for (const says of ['hangUp', page('', 'text/plain', 500), { means: 'busy' }, { means: 'what?' }] as const) {
        far.says('/look', says);
        const fault = await faultOf(() => again());
        assert.equal(fault.maybeArrived, true, fault.message);
        assert.notEqual(fault.kind, 'unreachable');
      }
    });
  });

  describe('inquire', () => {
    test('they have it, they have refused it, they never had it', async () => {
      far.says('/look', { means: 'filed', number: 'L1', slices: '12' });
      assert.deepEqual(await inquire(), {
        number: 'L1',
        duplicate: false,
        answer: { outcome: 'done', result: { slices: '12' } },
      });
      far.says('/look', { means: 'refused', code: 'R7', words: 'no flour', number: 'L1' });
      const known = await inquire();
      assert.ok(known !== undefined && known !== 'neverArrived');
      assert.deepEqual([known.number, known.answer?.outcome], ['L1', 'refused']);
      far.says('/look', { means: 'none' });
      assert.equal(await inquire(), 'neverArrived');
    });

    test('they have it and have not decided: a receipt where the answer comes later, else come back', async () => {
      far.says('/look', { means: 'pending', number: 'C1' });
      assert.deepEqual(await inquire('bakery.cake@1'), { number: 'C1', duplicate: false });
      assert.equal((await faultOf(async () => inquire())).kind, 'busy');
    });

    test('a question without an answer is never in doubt', async () => {
      for (const says of ['silence', 'hangUp', page('', 'text/plain', 500)] as const) {
        far.says('/look', says);
        assert.equal(
          (await faultOf(async () => adapter.inquire?.(envelope(), call(200)))).kind,
          'unreachable',
          String(says),
        );
      }
    });
  });

  describe('collect', () => {
    const awaited = (id: string): AwaitedAnswer => ({
      envelope: { ...envelope('bakery.cake@1'), id },
      number: 'C1',
      deliveredAt: 0,
    });
    async function collected(ids: readonly string[]): Promise<readonly Message[]> {
      const messages: Message[] = [];
      await adapter.collect?.(
        ids.map(awaited),
        async (message) => {
          messages.push(message);
          return 'applied';
        },
        call(),
      );
      return messages;
    }

    test('nothing yet is nothing; an answer is named for ever, and bears their time', async () => {
      for (const says of ['pending', 'none']) {
        far.says('/look', { means: says });
        assert.deepEqual(await collected(['a']), []);
      }
      far.says('/look', { means: 'filed', slices: '8', at: '20261123' });
      const [first] = await collected(['a']);
      const [again] = await collected(['a']);
      assert.deepEqual(first, again);
      assert.deepEqual(
        [first?.from, first?.about, first?.at, first?.answer],
        ['bakery', { key: 'a' }, Date.UTC(2026, 10, 22, 16), { outcome: 'done', result: { slices: '8' } }],
      );
      const [other] = await collected(['b']);
      assert.notEqual(other?.dedupe, first?.dedupe);
    });

    test('one answer that cannot be read, or is not taken, keeps no other back, and is told', async () => {
      far.says('/look', ({ body }) =>
        (JSON.parse(body) as JsonObject).key === 'a'
          ? { means: 'what?' }
          : { means: 'filed', slices: '8', at: '20261123' },
      );
      const messages: Message[] = [];
      const fault = await faultOf(async () =>
        adapter.collect?.(
          ['a', 'b'].map(awaited),
          async (message) => {
            messages.push(message);
            return 'applied';
          },
          call(),
        ),
      );
      assert.deepEqual(told(fault), ['malformed', false, false]);
      assert.deepEqual(
        messages.map(({ about }) => about),
        [{ key: 'b' }],
      );
    });
  });

  describe('callback', () => {
    async function pushed(text: string, options: { sign?: string; accept?: () => Promise<'applied'> } = {}) {
      const kept: Message[] = [];
      const { sign = createHmac('sm3', PUSH_KEY).update(text).digest('hex'), accept } = options;
      const reply = await adapter.callback?.(
        {
          method: 'POST',
          path: '/v1/callbacks/bakery',
          query: {},
          headers: { 'x-sign': sign, 'content-type': 'application/json' },
          body: Buffer.from(text),
        },
        {
          async accept(message) {
            await accept?.();
            kept.push(message);
            return 'applied';
          },
          changed: async () => assert.fail('no certificate changed'),
        },
        call(),
      );
      return { status: reply?.status, said: Buffer.from(reply?.body ?? '').toString(), kept };
    }
    const message = (more: JsonObject) => JSON.stringify({ key: 'k-01', means: 'filed', slices: '8', ...more });
    const TAKEN = { status: 200, said: '{"code":"S"}' };
    const NOT_TAKEN = { status: 400, said: '{"code":"F"}', kept: [] };

    test('is answered as taken only after it is kept', async () => {
      const { kept, ...reply } = await pushed(message({}));
      assert.deepEqual(reply, TAKEN);
      assert.deepEqual(
        kept.map(({ about, answer }) => [about, answer]),
        [[{ key: 'k-01' }, { outcome: 'done', result: { slices: '8' } }]],
      );
      const notKept = await pushed(message({}), {
        accept: () => Promise.reject(new Fault('busy', { reason: { code: 'notKept', zh: '-', en: '-' } })),
      });
      assert.deepEqual(notKept, NOT_TAKEN);
    });

    test('the same bytes are the same message, others are another', async () => {
      const [first, again, other] = await Promise.all([
        pushed(message({})),
        pushed(message({})),
        pushed(message({ slices: '9' })),
      ]);
      assert.equal(first.kept[0]?.dedupe, again.kept[0]?.dedupe);
      assert.notEqual(first.kept[0]?.dedupe, other.kept[0]?.dedupe);
    });

    test('not verified, not readable, not known, about nothing: answered in their words, and nothing is kept', async () => {
      assert.deepEqual(await pushed(message({}), { sign: '00' }), NOT_TAKEN);
      for (const text of [
        '',
        '{"key":',
        '[]',
        'null',
        '"text"',
        message({ means: 'what?' }),
        message({ key: null }),
        message({ key: '' }),
        message({ key: { a: '1' } }),
        message({ means: 'duplicate' }),
      ]) {
        assert.deepEqual(await pushed(text), NOT_TAKEN, text);
      }
    });

    test('still pending: heard, and nothing to keep', async () => {
      assert.deepEqual(await pushed(message({ means: 'pending' })), { ...TAKEN, kept: [] });
    });

    test('what is no fault of theirs is not told as one', async () => {
      await assert.rejects(
        pushed(message({}), { accept: () => Promise.reject(new RangeError('a bug of ours')) }),
        RangeError,
      );
    });
  });

  describe('questions and certificates', () => {
    const query = (): CertificateQuery => ({
      type: '11100000000013127D001',
      holder: { name: '张样例', idType: '111', idNo: '331124199001010011' },
      purpose: { itemCode: 'i', clerk: { officerId: 'o' }, basis: 'b' },
      cause: 'A1 an item b',
      hints: {},
    });
    const certificates = () => adapter.certificates?.(query(), call());
    const row = { name: '张样例', idNo: '331124199001010011' };

    test('a question: an answer, nothing of that kind, and what cannot be asked', async () => {
      far.says('/menu', { means: 'filed', loaves: '3' });
      assert.deepEqual(await adapter.query?.('menu', { no: '1' }, call()), { loaves: '3' });
      for (const [says, kind] of [
        [{ means: 'none' }, 'refused'],
        [{ means: 'refused', code: '1', words: 'no' }, 'refused'],
        [{ means: 'pending' }, 'busy'],
        [{ means: 'duplicate' }, 'malformed'],
        // `$fault` in `open` ends the operation, and is no reply that cannot be read.
        [{ means: 'shut' }, 'unauthorized'],
        ['hangUp', 'unreachable'],
        [page('', 'text/plain', 503), 'unreachable'],
      ] as const) {
        far.says('/menu', says);
        const fault = await faultOf(async () => adapter.query?.('menu', { no: '1' }, call()));
        assert.deepEqual([fault.kind, fault.maybeArrived], [kind, false]);
      }
      assert.equal((await faultOf(async () => adapter.query?.('wine', {}, call()))).reason.code, 'notOffered');
    });

    test('certificates: several, and one, which JSONata takes out of its list', async () => {
      for (const rows of [[row, row], [row]]) {
        far.says('/licence', { means: 'filed', rows });
        const found = (await certificates()) ?? [];
        assert.equal(found.length, rows.length);
        assert.deepEqual(found[0]?.holder, { name: '张样例', idType: '111', idNo: '331124199001010011' });
      }
    });

    test('none is an empty list; found, and then nothing there, is no empty list', async () => {
      far.says('/licence', { means: 'none' });
      assert.deepEqual(await certificates(), []);
      far.says('/licence', { means: 'filed' });
      assert.equal((await faultOf(async () => certificates())).kind, 'malformed');
    });

    test('without a holder it must not be used', async () => {
      far.says('/licence', { means: 'filed', rows: [{ name: '张样例' }] });
      assert.equal((await faultOf(async () => certificates())).kind, 'malformed');
    });
  });

  test('a probe: whoever answers is there, whatever they say to it', async () => {
    for (const says of ['filed', 'none', 'refused', 'pending']) {
      far.says('/ping', { means: says });
      await adapter.probe(call());
    }
    assert.equal(far.on('/ping')[0]?.method, 'GET');
    far.says('/ping', { means: 'busy' });
    assert.equal((await faultOf(() => adapter.probe(call()))).kind, 'busy');
  });

  test('a read repeats nothing that was answered, and a write that was sent goes out once', async () => {
    far.says('/bake', 'hangUp');
    await faultOf(() => deliver());
    assert.equal(far.on('/bake').length, 1);
    assert.equal(far.on('/taste').length, 1);
  });
});

describe('the knobs of the terms that are the adapter’s own', () => {
  test('connectMs: a connection that does not come to stand is given up, and nothing has arrived', async () => {
    // Takes the connection, and never answers the handshake.
    const sockets = new Set<Socket>();
    const mute = createServer((socket) => sockets.add(socket.on('error', () => {})));
    mute.listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const baseUrl = `https://127.0.0.1:${(mute.address() as AddressInfo).port}`;
    const { adapter } = folder('bakery').connect({ baseUrl, pushKey: 'k', terms: { connectMs: 80 } }, means);
    // Long before the call itself would be given up, in a minute.
    const started = performance.now();
    const fault = await faultOf(() => adapter.deliver(envelope('bakery.cake@1'), call(60_000)));
    assert.deepEqual(told(fault), ['unreachable', false, false]);
    assert.ok(performance.now() - started < 30_000);
    await adapter.close();
    for (const socket of sockets) socket.destroy();
    mute.close();
  });

  test('concurrency: bounds the connections of a party', async () => {
    const far = new FarSide();
    const baseUrl = await far.open();
    const { adapter } = folder('bakery').connect({ baseUrl, pushKey: 'k', terms: { concurrency: 1 } }, means);
    let [now, most] = [0, 0];
    far.says('/menu', async () => {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setTimeout(resolve, 20));
      now -= 1;
      return { means: 'filed', loaves: '3' };
    });
    await Promise.all(Array.from({ length: 20 }, async () => adapter.query?.('menu', {}, call())));
    assert.equal(far.on('/menu').length, 20);
    assert.ok(most >= 1 && most <= 4, `${most} at once`);
    await adapter.close();
    await far.close();
  });
});

describe('a party that speaks in frames', () => {
  const body = (code: string, words: string, number = '') =>
    Buffer.concat([
      Buffer.from(code.padEnd(4)),
      padded(encodeText(words, 'gbk'), 20),
      ...(number === '' ? [] : [Buffer.from(number.padEnd(8))]),
    ]);
  const padded = (bytes: Uint8Array, to: number) => Buffer.concat([bytes, Buffer.alloc(to - bytes.length, ' ')]);
  const framed = (record: Uint8Array) => Buffer.concat([Buffer.from(String(record.length + 4).padStart(4)), record]);
  const asked: Buffer[] = [];
  let says: Buffer | 'silence' | 'hangUp';
  let server: Server;
  let adapter: Adapter;
  before(async () => {
    server = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (chunk) => {
        asked.push(chunk);
        if (says === 'hangUp') socket.destroy();
        else if (says !== 'silence') socket.end(says);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    ({ adapter } = folder('ferry').connect({ host: '127.0.0.1', port }, means));
  });
  after(async () => {
    await adapter.close();
    server.close();
  });
  beforeEach(() => {
    asked.length = 0;
  });
  const cross = (name = '张样例', ms = 2_000) => adapter.deliver(envelope('ferry.crossing@1', { name }), call(ms));

  test('a record in bytes of GBK, with a length that counts itself; sequence numbers go on', async () => {
    says = framed(body('0000', '已登记', 'F0000007'));
    assert.deepEqual(await cross(), { number: 'F0000007', duplicate: false });
    await cross();
    const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = asked;
    assert.equal(first.length, 4 + 4 + 12 + 24 + 10);
    assert.equal(first.toString('latin1', 0, 8), '  541001');
    assert.deepEqual(first.subarray(44), padded(encodeText('张样例', 'gbk'), 10));
    assert.ok(second.toString('latin1', 8, 20) > first.toString('latin1', 8, 20));
  });

  test('a name that does not fit, in bytes or in GBK, is ours, and no byte of it goes out', async () => {
    for (const [name, code] of [
      ['张样例张样例', 'fieldTooLong'],
      ['王㙓', 'unencodable'],
    ] as const) {
      const fault = await faultOf(() => cross(name));
      assert.deepEqual([...told(fault), fault.reason.code], ['malformed', true, false, code]);
    }
    assert.equal(asked.length, 0);
  });

  test('its own ends: refused, torn, unknown, silence, hung up; and a question about it', async () => {
    for (const [answer, kind, maybeArrived] of [
      [framed(body('9901', '已停航')), 'refused', false],
      [framed(body('7777', '?')), 'malformed', true],
      [framed(body('0000', '已登记', 'F0000007').subarray(0, 20)), 'malformed', true],
      [Buffer.from('ABCDxxxx'), 'malformed', true],
      ['silence', 'inDoubt', true],
      ['hangUp', 'inDoubt', true],
    ] as const) {
      says = answer;
      const fault = await faultOf(() => cross('张样例', 200));
      assert.deepEqual(told(fault), [kind, false, maybeArrived], fault.message);
    }
    says = framed(body('0404', '无此记录'));
    assert.equal(await adapter.inquire?.(envelope('ferry.crossing@1'), call()), 'neverArrived');
    says = 'hangUp';
    assert.equal(
      (await faultOf(async () => adapter.inquire?.(envelope('ferry.crossing@1'), call()))).kind,
      'unreachable',
    );
  });
});

describe('the settings of a deployment', () => {
  const GOOD = { baseUrl: 'http://127.0.0.1:1', pushKey: 'k' };
  const connect = (settings: Json) => folder('bakery').connect(settings, means);
  function unfit(settings: Json): readonly string[] {
    try {
      connect(settings);
    } catch (error) {
      assert.ok(error instanceof Unfit, String(error));
      for (const { zh, en } of error.problems) assert.ok(!`${zh}${en}`.includes('hunter2'));
      return error.problems.map(({ pointer }) => pointer).sort();
    }
    return assert.fail('they should have been refused');
  }

  test('every mistake at once, with its place, and no value shown', () => {
    assert.deepEqual(
      unfit({ baseUrl: 7, colour: 'hunter2', terms: { deadlineMs: '5s', concurrency: 0, closed: ['8-18'] } }),
      ['/baseUrl', '/colour', '/pushKey', '/terms/closed/0', '/terms/concurrency', '/terms/deadlineMs'],
    );
    for (const settings of [null, [], 'hunter2', 7]) assert.ok(unfit(settings).length > 0);
    assert.deepEqual(unfit({ ...GOOD, terms: 'hunter2' }), ['/terms']);
  });

  test('a deployment overrides terms one by one, and its settings are not changed', () => {
    const given = { ...GOOD, terms: { deadlineMs: 900, quota: { calls: 3, per: 'day' } } };
    const before = structuredClone(given);
    const { terms } = connect(given).facts;
    assert.deepEqual(
      [terms.deadlineMs, terms.quota, terms.concurrency, terms.askAfterMs, terms.idempotent],
      [900, { calls: 3, per: 'day' }, 2, [1000], false],
    );
    assert.ok(!('connectMs' in terms));
    assert.deepEqual(given, before);
  });

  test('terms.attempts is still accepted and ends nothing: who names it is warned once, with the place and what to do', async (t) => {
    const copied = await mkdtemp(path.join(tmpdir(), 'onewindow-attempts-'));
    t.after(() => rm(copied, { recursive: true, force: true }));
    await cp(path.join(parties, 'bakery'), path.join(copied, 'bakery'), { recursive: true });
    const file = path.join(copied, 'bakery', 'manifest.yaml');
    const before = await readFile(file, 'utf8');
    await writeFile(file, before.replace(/^terms:\n/m, 'terms:\n  attempts: 3\n'));
    const [named] = await loadParties(copied);
    assert.ok(named !== undefined && !/^ {2}attempts:/m.test(before), 'the folder names none by itself');
    const own = 'parties.bakery.terms.attempts';
    for (const [from, terms, places] of [
      [folder('bakery'), {}, []],
      [folder('bakery'), { attempts: 9 }, [own]],
      [named, {}, ['bakery/manifest.yaml /terms/attempts']],
      [named, { attempts: 9 }, ['bakery/manifest.yaml /terms/attempts', own]],
    ] as const) {
      const lines: LogLine[] = [];
      const { adapter, facts } = from.connect(
        { ...GOOD, terms },
        { ...means, log: logInto(lines, { party: 'bakery' }) },
      );
      await adapter.close();
      assert.ok(!('attempts' in facts.terms));
      const warned = lines.filter(({ level }) => level === 'warn');
      assert.equal(warned.length, places.length > 0 ? 1 : 0, JSON.stringify(lines));
      for (const { message, fields } of warned) {
        assert.equal(message, 'terms.attempts ends nothing any more: take it out');
        assert.deepEqual(fields, { party: 'bakery', places });
      }
    }
    // What was no number of attempts before is none now.
    assert.deepEqual(unfit({ ...GOOD, terms: { attempts: 0 } }), ['/terms/attempts']);
  });

  test('what the adapter cannot do, a deployment cannot declare', () => {
    const dairy = { baseUrl: 'http://127.0.0.1:1', terms: { idempotent: false } };
    assert.throws(
      () => folder('dairy').connect(dairy, means),
      (error) => error instanceof Unfit && error.problems[0]?.pointer === '/terms/idempotent',
    );
    assert.throws(
      () => connect({ ...GOOD, terms: { backoffMs: { first: 10, max: 5 } } }),
      (error) => error instanceof Unfit && error.problems[0]?.pointer === '/terms/backoffMs/max',
    );
  });

  test('facts say what the manifest offers, and the adapter has those abilities and no others', async () => {
    const bakery = connect(GOOD);
    assert.deepEqual(
      bakery.facts.delivers.map(({ contract, result, replies }) => [contract, result, replies]),
      [
        ['bakery.loaf@1', 'bakery.loaf.result@1', 'atOnce'],
        ['bakery.cake@1', 'bakery.loaf.result@1', 'later'],
      ],
    );
    assert.deepEqual(
      [bakery.facts.queries[0]?.name, bakery.facts.certificates, bakery.facts.takesCallbacks],
      ['menu', ['11100000000013127D001'], true],
    );
    const dairy = folder('dairy').connect({ baseUrl: 'http://127.0.0.1:1' }, means);
    const { inquire, collect, callback, query, certificates } = dairy.adapter;
    assert.deepEqual(
      [inquire, collect, callback, query, certificates],
      [undefined, undefined, undefined, undefined, undefined],
    );
    await Promise.all([bakery.adapter.close(), dairy.adapter.close()]);
  });
});

function page(raw: string | Uint8Array, contentType = 'application/json', status = 200): Saying {
  return { raw, status, headers: { 'content-type': contentType } };
}
