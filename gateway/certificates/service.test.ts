import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type {
  Certificate,
  CertificateQuery,
  Holder,
  IssuedCertificate,
  Ledger,
  Stale,
  UseTicket,
} from '../../contracts/ports/certificate.ts';
import type { JsonObject, Party } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Catalogue, CertificateTypes, Facts, Item, WhenDown } from '../../contracts/ports/item.ts';
import type { RetrievalRequest } from '../../contracts/ports/retrieval.ts';
import { type Line, loggerInto, metricsInto } from '../../test/support/api.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import { settle } from '../../test/support/virtual-clock.ts';
import { until } from '../../test/support/world.ts';
import { openStore } from '../store/open.ts';
import { makeCertificates } from './service.ts';

const CARD = '11100000000013127D001';
const TITLE = '11100000MB03271699001';
const words = (text: string) => ({ zh: text, en: text });
const ZHANG: Holder = { name: '张样例', idType: '111', idNo: '331124199001010011' };
const WANG: Holder = { name: '王样例', idType: '111', idNo: '331124197203040017' };
const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

const certificate = (
  query: Pick<CertificateQuery, 'holder' | 'type'>,
  more: Partial<Certificate> = {},
): Certificate => ({
  type: query.type,
  identifier: null,
  number: 'NO-1',
  title: '证照',
  holder: query.holder,
  state: '01',
  issuer: '松阳县样例局',
  validFrom: null,
  validTo: null,
  fields: { name: query.holder.name, idNo: query.holder.idNo, address: '样例路1号' },
  ...more,
});

const types: CertificateTypes = {
  get: (code) =>
    [CARD, TITLE].includes(code)
      ? { code, title: words(code), invented: false, freshSeconds: 60, minutesSaved: 30, fields: {} }
      : undefined,
  list: () => [],
};

function item(sources: readonly Party[], whenDown?: WhenDown, itemCode = 'ITEM'): Item {
  const material = (code: string, type: string) => ({
    code,
    title: words(code),
    from: 'certificate' as const,
    required: true,
    certificate: {
      type,
      title: words(type),
      holders: async ({ form }: Facts) => form.people as JsonObject[],
      hints: async ({ form }: Facts) => (form.hints ?? {}) as JsonObject,
      sources,
      fields: ['name', 'idNo'],
      ...(whenDown === undefined ? {} : { whenDown }),
    },
  });
  return {
    code: itemCode,
    version: '0123456789abcdef',
    title: { zh: '样例事项', en: 'item' },
    area: words('area'),
    owner: { name: '松阳县样例局', uscc: '11331124QA0000057N' },
    form: 'form.sample@1',
    promised: { limit: 1, unit: 'wd' },
    statutory: { limit: 1, unit: 'wd' },
    basis: 'law',
    materials: [material('M1', CARD), material('M2', TITLE)],
    route: [],
    rules: [],
  };
}

type Ask = (query: CertificateQuery) => Promise<readonly Certificate[]>;

async function service(
  t: TestContext,
  asks: Record<Party, Ask>,
  more: { whenDown?: WhenDown; max?: number; ledger?: Pick<Ledger, 'write'>; other?: readonly Party[] } = {},
) {
  const clock = new HandClock();
  const lines: Line[] = [];
  const log = loggerInto(lines);
  const store = await openStore({ file: ':memory:', clock, log });
  const announced: Stale[] = [];
  const items = [item(Object.keys(asks), more.whenDown), item(more.other ?? [], undefined, 'OTHER')];
  const catalogue: Catalogue = { get: (code) => items.find((one) => one.code === code), list: () => items };
  const calls: string[] = [];
  const tickets: UseTicket[] = [];
  const certificates = makeCertificates({
    sources: () =>
      new Map(
        Object.entries(asks).map(([party, ask]) => [
          party,
          {
            types: undefined,
            ask: (query: CertificateQuery) => {
              calls.push(`${party} ${query.holder.name}`);
              return ask(query);
            },
          },
        ]),
      ),
    catalogue,
    types,
    cases: store,
    mandates: store,
    register: store,
    tickets: { issue: async (issued) => void tickets.push(...issued) },
    ledger: more.ledger ?? store,
    announce: async (stale) => {
      announced.push(stale);
      certificates.forget(stale);
    },
    clock,
    log,
    metrics: metricsInto([]),
    hashOf: (idNo) => `hash-of-${idNo}`,
    settings: { max: more.max ?? 100, negativeSeconds: 10, useCodeSeconds: 60 },
  });
  t.after(async () => {
    await certificates.close();
    await store.close();
  });
  const retrieve = (over: Partial<RetrievalRequest> = {}) =>
    certificates.retrieve({
      holders: [ZHANG],
      types: [CARD],
      purpose: { applicationNo: 'A1', itemCode: 'ITEM', clerk: { officerId: 'W07' }, basis: 'law' },
      hints: {},
      channel: 'window',
      appKey: 'window-1',
      traceparent: TRACE,
      timeLimitMs: 1_000,
      ...over,
    });
  return { certificates, retrieve, calls, clock, store, lines, announced, tickets };
}

/** A request that says nothing yet. */
const PLAIN = {
  hints: {},
  channel: 'window',
  appKey: 'window-1',
  traceparent: TRACE,
  timeLimitMs: 1_000,
};

const down: Ask = async () => {
  throw new Fault('unreachable', { reason: { code: 'connect', ...words('away') } });
};
const has: Ask = async (query) => [certificate(query)];
const hasNone: Ask = async () => [];

describe('ordered sources', () => {
  test('are tried until one answers; the first that has it ends it', async (t) => {
    const { retrieve, calls } = await service(t, { a: down, b: hasNone, c: has, d: has });
    const [found] = await retrieve();
    assert.deepEqual([found?.state, found?.source], ['found', 'c']);
    assert.deepEqual(
      found?.tried.map(({ source, outcome }) => `${source} ${outcome}`),
      ['a fault', 'b none', 'c found'],
    );
    assert.deepEqual(calls, ['a 张样例', 'b 张样例', 'c 张样例']);
  });

  test('none only when a source searched and found none, and no other was away', async (t) => {
    const one = await service(t, { a: hasNone, b: hasNone });
    assert.deepEqual((await one.retrieve())[0]?.reason?.code, 'noData');
    const two = await service(t, { a: hasNone, b: down });
    assert.equal((await two.retrieve())[0]?.state, 'unavailable');
  });

  test('a source that answers somebody else’s certificate: never handed out, unavailable, and it rings', async (t) => {
    const { retrieve, lines } = await service(t, { a: async (query) => [certificate({ ...query, holder: WANG })] });
    const [result] = await retrieve();
    assert.deepEqual(
      [result?.state, result?.reason?.code, result?.certificate],
      ['unavailable', 'holderMismatch', undefined],
    );
    assert.equal(lines.filter(({ level }) => level === 'error').length, 1);
    assert.doesNotMatch(JSON.stringify(lines), /王样例|331124197203040017|张样例/);
  });

  test('somebody is himself however a department writes him: widths, blanks, dots, a small x, fifteen digits', async (t) => {
    const written: readonly [ours: Holder, theirs: Holder][] = [
      [ZHANG, { ...ZHANG, name: ' 张 样例　', idNo: ' ３３１１２４１９９００１０１００１１ ' }],
      [ZHANG, { ...ZHANG, idNo: '331124900101001' }],
      [
        { name: '吴样例', idType: '111', idNo: '33112419680909009X' },
        { name: '吴样例', idType: '111', idNo: '33112419680909009x' },
      ],
      [
        { name: '阿依努尔·样例', idType: '111', idNo: ZHANG.idNo },
        { name: '阿依努尔•样例', idType: '111', idNo: ZHANG.idNo },
      ],
      ...['・', '‧', '･', '∙', '⋅', '．', '.', '﹒'].map((dot): [Holder, Holder] => [
        { name: '阿依努尔·样例', idType: '111', idNo: ZHANG.idNo },
        { name: `阿依努尔${dot}样例`, idType: '111', idNo: ZHANG.idNo },
      ]),
      [
        { name: 'Smith Ann', idType: '414', idNo: 'E12345678' },
        { name: 'ＳＭＩＴＨ　ＡＮＮ', idType: '414', idNo: 'e12345678' },
      ],
    ];
    for (const [ours, theirs] of written) {
      const { retrieve } = await service(t, { a: async (query) => [certificate({ ...query, holder: theirs })] });
      assert.equal((await retrieve({ holders: [ours] }))[0]?.state, 'found', theirs.name);
    }
    const other = { ...ZHANG, name: '张样' };
    const { retrieve } = await service(t, { a: async (query) => [certificate({ ...query, holder: other })] });
    assert.equal((await retrieve())[0]?.reason?.code, 'holderMismatch');
  });

  test('the holder’s own, but of another house than the one that was asked for, is no hit', async (t) => {
    const of = (certNo: string, query: CertificateQuery) =>
      certificate(query, { number: certNo, fields: { certNo, name: 'x' } });
    const { retrieve } = await service(t, {
      a: async (query) => [of('浙(2026)第1号', query), of('浙(2026)第2号', query)],
    });
    const [second] = await retrieve({ hints: { certNo: '浙（2026）第2号' } });
    assert.deepEqual([second?.state, second?.certificate?.number], ['found', '浙(2026)第2号']);
    const [third] = await retrieve({ hints: { certNo: '浙(2026)第3号' } });
    assert.deepEqual([third?.state, third?.reason?.code], ['none', 'noData']);
  });

  test('an owner who does not let us look: not permitted, and nothing is proven by it; it is no outage', async (t) => {
    const refuses: Ask = async () => {
      throw new Fault('refused', { reason: { code: '303', ...words('no right to this type') } });
    };
    const alone = await service(t, { a: refuses, b: hasNone });
    assert.deepEqual(
      (await alone.retrieve()).map(({ state, reason, tried }) => [state, reason?.code, tried[0]?.outcome]),
      [['notPermitted', 'refusedByOwner', 'refused']],
    );
    const further = await service(t, { a: refuses, b: has });
    assert.equal((await further.retrieve())[0]?.state, 'found');
    const away = await service(t, { a: refuses, b: down });
    assert.equal((await away.retrieve())[0]?.state, 'unavailable');
  });

  for (const code of ['decryption', 'signature']) {
    test(`an answer that fails its ${code} is unavailable, and rings`, async (t) => {
      const { retrieve, lines } = await service(t, {
        a: async () => {
          throw new Fault('malformed', { reason: { code, ...words('it does not open') } });
        },
      });
      assert.deepEqual(
        (await retrieve()).map(({ state, reason }) => [state, reason?.code]),
        [['unavailable', code]],
      );
      assert.equal(lines.filter(({ level }) => level === 'error').length, 1);
    });
  }

  test('are told case, item and reason, in two hundred characters at most', async (t) => {
    const causes: string[] = [];
    const { retrieve } = await service(t, {
      a: async (query) => {
        causes.push(query.cause);
        return [];
      },
    });
    const purpose = { itemCode: 'ITEM', clerk: { officerId: 'W07' }, basis: '契税法第十一条' };
    await retrieve({ purpose: { ...purpose, applicationNo: 'A1' } });
    await retrieve({ holders: [WANG], purpose: { ...purpose, applicationNo: 'A1', basis: '𠮷'.repeat(200) } });
    assert.equal(causes[0], 'A1 样例事项 契税法第十一条');
    assert.equal(Array.from(causes[1] ?? '').length, 200);
    assert.ok(causes[1]?.endsWith('𠮷'));
  });

  for (const state of ['02', '03', '04', '05', '06', '07', '99'] as const) {
    test(`a certificate in state ${state} is never a hit`, async (t) => {
      const { retrieve } = await service(t, { a: async (query) => [certificate(query, { state })] });
      assert.deepEqual(
        (await retrieve()).map(({ state: of, reason }) => [of, reason?.code]),
        [['none', 'notValid']],
      );
    });
  }

  test('suspended at the first source is suspended, whatever a library further down still believes', async (t) => {
    const { retrieve, calls } = await service(t, { a: async (query) => [certificate(query, { state: '02' })], b: has });
    assert.deepEqual(
      (await retrieve()).map(({ reason }) => reason?.code),
      ['notValid'],
    );
    assert.deepEqual(calls, ['a 张样例']);
  });

  test('one that ended yesterday is none, one that ends today is a hit', async (t) => {
    const day = (at: number) => new Date(at + 8 * 3_600_000).toISOString().slice(0, 10).replaceAll('-', '');
    const ended = await service(t, {
      a: async (query) => [certificate(query, { validTo: day(clock.now() - 86_400_000) })],
    });
    const { clock } = ended;
    assert.equal((await ended.retrieve())[0]?.state, 'none');
    const ends = await service(t, { a: async (query) => [certificate(query, { validTo: day(clock.now()) })] });
    assert.equal((await ends.retrieve())[0]?.state, 'found');
  });
});

describe('speed and calm', () => {
  test('two hundred equal questions at once make one call', async (t) => {
    let answer = () => {};
    const asked = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const { retrieve, calls, store } = await service(t, { a: (query) => asked.then(() => [certificate(query)]) });
    const questions = Array.from({ length: 200 }, () => retrieve());
    // Each is on record before it asks: when all are, and what that set off has gone on as far as it can, all have asked.
    const holderHash = `hash-of-${ZHANG.idNo}`;
    while ((await store.read({ holderHash, limit: 500 })).length < 200) await new Promise(setImmediate);
    await settle();
    answer();
    const results = await Promise.all(questions);
    assert.equal(calls.length, 1);
    assert.ok(results.every(([one]) => one?.state === 'found'));
  });

  test('a copy is fresh for as long as its type says, and never past the certificate’s own end', async (t) => {
    const { retrieve, calls, clock } = await service(t, { a: has });
    assert.equal((await retrieve())[0]?.freshness, 'live');
    clock.move(59_000);
    assert.equal((await retrieve())[0]?.freshness, 'cached');
    clock.move(2_000);
    assert.equal((await retrieve())[0]?.freshness, 'live');
    assert.equal(calls.length, 2);
  });

  test('nothing is kept of a failure; that there is none is believed for a moment', async (t) => {
    let answers: Ask = down;
    const { retrieve, calls } = await service(t, { a: (query) => answers(query) });
    assert.equal((await retrieve())[0]?.state, 'unavailable');
    answers = hasNone;
    assert.equal((await retrieve())[0]?.state, 'none');
    answers = has;
    assert.equal((await retrieve())[0]?.state, 'none', 'from the short negative cache');
    assert.equal(calls.length, 2);
  });

  test('that one item’s sources hold none is not believed of another item, which has others', async (t) => {
    const { retrieve, calls } = await service(t, { a: hasNone, b: has }, { other: ['a'] });
    const purpose = { applicationNo: 'A1', clerk: { officerId: 'W07' }, basis: 'law' };
    assert.equal((await retrieve({ purpose: { ...purpose, itemCode: 'OTHER' } }))[0]?.state, 'none');
    assert.equal((await retrieve({ purpose: { ...purpose, itemCode: 'ITEM' } }))[0]?.state, 'found');
    assert.deepEqual(calls, ['a 张样例', 'a 张样例', 'b 张样例']);
  });

  test('a change is announced without a name or number, and every copy of that holder and type is forgotten', async (t) => {
    const { certificates, retrieve, calls, announced } = await service(t, { a: has });
    await retrieve({ hints: { certNo: '1' } });
    await retrieve({ hints: { certNo: '2' } });
    await retrieve({ holders: [WANG] });
    await certificates.changed([{ type: CARD, holder: ZHANG }]);
    assert.deepEqual(announced, [{ type: CARD, holderHash: `hash-of-${ZHANG.idNo}` }]);
    await retrieve({ hints: { certNo: '1' } });
    assert.equal((await retrieve({ holders: [WANG] }))[0]?.freshness, 'cached');
    assert.equal(calls.length, 4);
  });

  test('what was asked before a change and comes after it is not kept', async (t) => {
    let answer = () => {};
    const slow = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let first = true;
    const { certificates, retrieve, calls } = await service(t, {
      a: async (query) => {
        if (first) {
          first = false;
          await slow;
        }
        return [certificate(query)];
      },
    });
    const early = retrieve();
    await until(() => calls.length === 1 || undefined);
    certificates.forget({ type: CARD, holderHash: `hash-of-${ZHANG.idNo}` });
    assert.equal((await retrieve())[0]?.freshness, 'live', 'a new call, not the one under way');
    answer();
    assert.equal((await early)[0]?.state, 'found');
    assert.equal(calls.length, 2);
    certificates.forget({ identifier: 'of another' });
    assert.equal((await retrieve())[0]?.freshness, 'cached');
  });

  test('by identifier too', async (t) => {
    const identifier = '1.2.156.3005.2.11100000000013127D001.11331124QA0000049U.20260000000000000001.001.N';
    const { certificates, retrieve, calls } = await service(t, {
      a: async (query) => [certificate(query, { identifier })],
    });
    await retrieve();
    await certificates.changed([{ identifier }]);
    await retrieve();
    assert.equal(calls.length, 2);
  });

  test('when a new copy does not fit, the oldest goes', async (t) => {
    const { retrieve, calls } = await service(t, { a: has }, { max: 2 });
    const people = ['甲', '乙', '丙'].map((name) => ({ ...ZHANG, name }));
    for (const one of people) await retrieve({ holders: [one] });
    assert.equal((await retrieve({ holders: [people[2] as Holder] }))[0]?.freshness, 'cached');
    assert.equal((await retrieve({ holders: [people[0] as Holder] }))[0]?.freshness, 'live');
    assert.equal(calls.length, 4);
  });
});

describe('a source that is away, and one that is slow', () => {
  const asOf: WhenDown = { do: 'asOf', hours: 2 };

  test('an older copy stands in where the item takes one, with its date and marked; not for ever', async (t) => {
    let answers: Ask = has;
    const { retrieve, clock } = await service(t, { a: (query) => answers(query) }, { whenDown: asOf });
    const at = clock.now();
    await retrieve();
    answers = down;
    clock.move(3_600_000);
    const [result] = await retrieve();
    assert.deepEqual(
      [result?.state, result?.freshness, result?.fetchedAt, result?.warnings],
      ['found', 'asOf', at, ['asOf']],
    );
    clock.move(3_700_000);
    assert.equal((await retrieve())[0]?.state, 'unavailable');
  });

  test('partial results at the limit; what comes late is in the ledger only', async (t) => {
    let answer = () => {};
    const slow = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const { retrieve, clock, store, calls } = await service(t, {
      a: async (query) => {
        if (query.holder.name === WANG.name) await slow;
        return [certificate(query)];
      },
    });
    const asked = retrieve({ holders: [ZHANG, WANG], timeLimitMs: 500 });
    await until(() => calls.length === 2 || undefined);
    // The first has its answer: nothing of it waits for a timer.
    await settle();
    clock.move(501);
    const results = await asked;
    assert.deepEqual(
      results.map(({ state, reason }) => reason?.code ?? state),
      ['found', 'timeout'],
    );
    answer();
    const rows = await until(async () => {
      const all = await store.read({ holderHash: `hash-of-${WANG.idNo}`, limit: 10 });
      return all.length === 3 ? all : undefined;
    });
    assert.deepEqual(
      rows.map(({ phase, state, reason }) => [phase, state, reason]),
      [
        ['asked', null, null],
        ['answered', 'unavailable', 'timeout'],
        ['late', 'found', null],
      ],
    );
  });

  test('time is counted from the beginning: what took it all is not followed by a call', async (t) => {
    let answer = () => {};
    const slow = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let writes = 0;
    const write = () => {
      writes += 1;
      return slow;
    };
    const { retrieve, clock, calls } = await service(t, { a: has }, { ledger: { write } });
    const asked = retrieve({ timeLimitMs: 500 });
    await until(() => writes === 1 || undefined);
    clock.move(501);
    answer();
    assert.deepEqual(
      (await asked).map(({ state, reason }) => [state, reason?.code]),
      [['unavailable', 'timeout']],
    );
    assert.deepEqual(calls, []);
  });

  test('of what came late nothing left, and the ledger says so', async (t) => {
    let answer = () => {};
    const slow = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const { retrieve, clock, store, calls } = await service(t, {
      a: async (query) => {
        await slow;
        return [certificate(query)];
      },
    });
    const asked = retrieve({ timeLimitMs: 500 });
    await until(() => calls.length === 1 || undefined);
    clock.move(501);
    await asked;
    answer();
    const late = await until(async () => (await store.read({ phase: 'late', limit: 10 }))[0]);
    assert.deepEqual([late.state, late.fields], ['found', []]);
    const { total } = await store.count({ from: 0, until: clock.now() + 1, by: 'type' });
    assert.deepEqual([total.calls, total.fetched], [1, []]);
  });

  test('no ledger, no call: what cannot be written down is not looked at', async (t) => {
    const write = () => Promise.reject(new Error('disk full'));
    const { retrieve, calls, lines } = await service(t, { a: has }, { ledger: { write } });
    assert.deepEqual(
      (await retrieve()).map(({ state, reason }) => [state, reason?.code]),
      [['unavailable', 'ledgerDown']],
    );
    assert.deepEqual([calls.length, lines.filter(({ level }) => level === 'error').length], [0, 1]);
  });
});

describe('what our own cases made', () => {
  const made = (state: Certificate['state'] = '01'): IssuedCertificate => ({
    certificate: certificate({ holder: ZHANG, type: CARD }, { identifier: 'ID-1', number: 'N-1', state }),
    holderHash: `hash-of-${ZHANG.idNo}`,
    issuedAt: 1,
    caseNo: '331124261123000001',
    stepNo: '03',
  });
  /** The register as a source of the item, behind its keeper. */
  async function registered(t: TestContext, keeper: Ask) {
    const all = await service(t, { keeper, register: hasNone });
    const { store } = all;
    const issued = [made()];
    Object.assign(store, {
      issuedTo: async () => issued,
      spokenOf: async () => void issued.splice(0),
    });
    return all;
  }

  test('stands in while its keeper is away, and is no word against a keeper who holds none', async (t) => {
    const away = await registered(t, down);
    assert.deepEqual(
      (await away.retrieve()).map(({ state, source }) => [state, source]),
      [['found', 'register']],
    );
    const without = await registered(t, hasNone);
    assert.deepEqual(
      (await without.retrieve()).map(({ state, reason }) => [state, reason?.code]),
      [['none', 'noData']],
    );
  });

  test('is not believed any more once its keeper has spoken of it', async (t) => {
    const { certificates, retrieve } = await registered(t, down);
    await certificates.changed([{ type: CARD, holder: ZHANG }]);
    assert.equal((await retrieve())[0]?.state, 'unavailable');
  });
});

describe('refusals', () => {
  const rows = async (store: Ledger) =>
    (await store.read({ state: 'notPermitted', limit: 50 })).map(({ phase, type, reason, officerId, holderHash }) => [
      phase,
      type,
      reason,
      officerId,
      holderHash,
    ]);
  const hash = `hash-of-${ZHANG.idNo}`;
  const purpose = { itemCode: 'ITEM', clerk: { officerId: 'W07' }, basis: 'law' };
  const byItem = ({ types: _, ...request }: Partial<RetrievalRequest>) => request;

  test('by the item, of a case that is not there: one answer and one row for every certificate of the item', async (t) => {
    const { certificates, store, calls } = await service(t, { a: has });
    const request = byItem({ holders: [ZHANG], purpose: { ...purpose, caseNo: '331124261123999999' } });
    const results = await certificates.retrieve({ ...PLAIN, ...request } as RetrievalRequest);
    assert.deepEqual(
      results.map(({ type, state, reason }) => [type, state, reason?.code]),
      [
        [CARD, 'notPermitted', 'caseUnknown'],
        [TITLE, 'notPermitted', 'caseUnknown'],
      ],
    );
    assert.deepEqual(await rows(store), [
      ['asked', CARD, 'caseUnknown', 'W07', hash],
      ['asked', TITLE, 'caseUnknown', 'W07', hash],
    ]);
    assert.deepEqual(calls, []);
  });

  test('of a case that is not there, and nobody named: refused, and on record', async (t) => {
    const { certificates, store } = await service(t, { a: has });
    const request = { ...PLAIN, purpose: { ...purpose, caseNo: '331124261123999999' } };
    await assert.rejects(certificates.retrieve(request), { status: 422 });
    assert.deepEqual(await rows(store), [['asked', '', 'caseUnknown', 'W07', '']]);
  });

  test('without a purpose, by types or by the item: who it was and of whom, as far as it was said', async (t) => {
    const { certificates, store } = await service(t, { a: has });
    await certificates.refused({ ...PLAIN, holders: [ZHANG], types: [CARD], purpose: {} });
    await certificates.refused({
      ...PLAIN,
      holders: [ZHANG],
      purpose: { itemCode: 'ITEM', clerk: { officerId: 'W08' } },
    });
    await certificates.refused({ ...PLAIN, purpose: {} });
    assert.deepEqual(await rows(store), [
      ['asked', CARD, 'noPurpose', '', hash],
      ['asked', CARD, 'noPurpose', 'W08', hash],
      ['asked', TITLE, 'noPurpose', 'W08', hash],
      ['asked', '', 'noPurpose', '', ''],
    ]);
  });

  test('of a short number the ledger shows its end only', async (t) => {
    const { retrieve, store } = await service(t, { a: has });
    await retrieve({ holders: [{ name: '欧阳样例', idType: '414', idNo: 'E12345678' }], types: ['T'] });
    assert.deepEqual(
      (await store.read({ limit: 1 })).map(({ holderMasked }) => holderMasked),
      ['欧阳* ****78'],
    );
  });
});

test('a use code’s ticket keeps what the file is fetched by, and no business field', async (t) => {
  const file = { mediaType: 'application/pdf', reference: 'R1', digest: null } as const;
  const { retrieve, tickets } = await service(t, { a: async (query) => [certificate(query, { file })] });
  await retrieve({ wantsFile: true });
  const kept = tickets[0]?.ticket as unknown as { certificate: Certificate };
  assert.deepEqual([kept.certificate.file, kept.certificate.fields], [file, {}]);
});

test('no hint of the caller leads to another certificate than the matter needs', async (t) => {
  const asked: JsonObject[] = [];
  const { retrieve } = await service(t, {
    a: async (query) => {
      asked.push(query.hints);
      return [];
    },
  });
  const facts: Facts = {
    case: { caseNo: '', applicationNo: 'A1', itemCode: 'ITEM', channel: 'window', acceptedAt: 0 },
    applicant: {},
    agent: null,
    form: { people: [{ ...ZHANG }], hints: { certNo: 'of the matter' } },
    materials: [],
    certificates: [],
    steps: {},
  };
  await retrieve({ facts, hints: { certNo: 'another', more: 'x' } });
  assert.deepEqual(asked, [{ certNo: 'of the matter', more: 'x' }]);
});

test('by the matter’s own facts: everybody whose certificates it needs, and only those', async (t) => {
  const { retrieve, calls } = await service(t, { a: has });
  const facts: Facts = {
    case: { caseNo: '', applicationNo: 'A1', itemCode: 'ITEM', channel: 'window', acceptedAt: 0 },
    applicant: {},
    agent: null,
    form: { people: [{ ...ZHANG }, { ...WANG }], witness: { name: '李样例', idNo: '331124198506150023' } },
    materials: [],
    certificates: [],
    steps: {},
  };
  const request = { facts };
  const all = await retrieve({ ...request, holders: [ZHANG, WANG], types: [CARD, TITLE] });
  assert.ok(all.every(({ state }) => state === 'found'));
  assert.equal(calls.length, 4);
  const others = await retrieve({
    ...request,
    holders: [{ name: '李样例', idType: '111', idNo: '331124198506150023' }],
  });
  assert.deepEqual(
    others.map(({ reason }) => reason?.code),
    ['notForHolder'],
  );
  const strangers = await retrieve({
    ...request,
    holders: [{ name: '赵样例', idType: '111', idNo: '331124198808080040' }],
  });
  assert.deepEqual(
    strangers.map(({ reason }) => reason?.code),
    ['notAParty'],
  );
  // The same number under another name is somebody else.
  const renamed = await retrieve({ ...request, holders: [{ ...ZHANG, name: '王样例' }] });
  assert.deepEqual(
    renamed.map(({ reason }) => reason?.code),
    ['notAParty'],
  );
  assert.deepEqual(Object.keys(all[0]?.certificate?.fields ?? {}), ['name', 'idNo']);
});
