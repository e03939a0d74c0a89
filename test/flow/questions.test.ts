import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { Follower, type ProblemSeen } from '../support/follow.ts';
import { birth, houseTransfer } from '../support/submissions.ts';
import { startWorld, type World } from '../support/world.ts';

const ID_CARD = '11100000000013127D001';
const HOUSEHOLD = '11331124QA0000049U901';
const TITLE = '11100000MB03271699001';
const CONTRACT_FILING = '11331124QA00000B6R901';
const BIRTH = '11331124QA0000049U433070900200101';
const HOUSE = '11331124QA0000057N433071500400501';
const HOLDER = { name: '张样例', idType: '111', idNo: '331124199001010011' };
const BASIS = '不动产登记暂行条例第十六条';

interface Results {
  readonly complete: boolean;
  readonly results: readonly {
    readonly type: string;
    readonly state: string;
    readonly reason?: { readonly code: string };
    readonly cached: boolean;
    readonly ledgerId: string;
    readonly certificate?: { readonly state: string; readonly holder: JsonObject };
  }[];
}
interface Ledger {
  readonly rows: readonly {
    readonly id: string;
    readonly phase: string;
    readonly of: string | null;
    readonly state: string | null;
    readonly reason: string | null;
    readonly holder: string;
    readonly type: string;
    readonly hash: string;
  }[];
}

describe('certificates fetched instead of asked for, and direct questions', () => {
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld({ terms: { breaker: { failures: 3, windowMs: 10_000, openMs: 300 } } });
    hall = new Follower(world);
  });
  after(() => world.stop());

  let numbered = 0;
  function retrieve(types: readonly string[], over: JsonObject = {}) {
    numbered += 1;
    return world.window.post<Results & ProblemSeen>('/v1/certificates/retrievals', {
      requestId: `R${numbered}`,
      holder: HOLDER,
      types,
      purpose: { applicationNo: `YC-C${numbered}`, itemCode: HOUSE, clerk: { officerId: 'CK-07' }, basis: BASIS },
      ...over,
    });
  }
  const ledger = async (search: JsonObject): Promise<Ledger['rows']> =>
    (await world.auditor.post<Ledger>('/v1/certificates/ledger/searches', search)).body.rows;

  test('several certificates in one question, each with its own outcome', async () => {
    const { status, body } = await retrieve([ID_CARD, HOUSEHOLD, TITLE, CONTRACT_FILING], {
      hints: { certNo: '浙(2026)松阳县不动产权第0001234号', contractNo: 'SYNONE0000001' },
    });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual(
      body.results.map(({ type, state }) => [type, state]),
      [
        [ID_CARD, 'found'],
        [HOUSEHOLD, 'found'],
        [TITLE, 'found'],
        [CONTRACT_FILING, 'none'],
      ],
    );
    assert.equal(body.complete, true);
    assert.equal(body.results[0]?.certificate?.holder.idNo, HOLDER.idNo);
  });

  test('the same again comes out of the cache, and is in the ledger again', async () => {
    await retrieve([ID_CARD]);
    const { body } = await retrieve([ID_CARD]);
    assert.deepEqual([body.results[0]?.state, body.results[0]?.cached], ['found', true]);
    const rows = await ledger({ holder: { idNo: HOLDER.idNo } });
    assert.ok(rows.filter(({ of }) => of === body.results[0]?.ledgerId || of !== null).length >= 2);
  });

  test('no purpose, no certificate', async () => {
    const { status, body } = await world.window.post<ProblemSeen>('/v1/certificates/retrievals', {
      holder: HOLDER,
      types: [ID_CARD],
    });
    assert.equal(status, 422);
    assert.ok(body.problems?.some(({ pointer }) => pointer.startsWith('/purpose')));
  });

  test('X-Road: denied calls were not logged: a type the item does not ask for is not permitted, and that is in the ledger', async () => {
    const idNo = '331124198808080040';
    const { status, body } = await retrieve([TITLE], {
      holder: { name: '林样例', idType: '111', idNo },
      purpose: { applicationNo: 'YC-CX', itemCode: BIRTH, clerk: { officerId: 'CK-07' }, basis: BASIS },
    });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual([body.results[0]?.state, body.results[0]?.reason?.code], ['notPermitted', 'notInItem']);
    const rows = await ledger({ holder: { idNo } });
    assert.ok(rows.some(({ state, reason }) => state === 'notPermitted' && reason === 'notInItem'));
  });

  test('the ledger: asked before it was answered, masked, chained; only an auditor reads it', async () => {
    const rows = await ledger({ holder: { idNo: HOLDER.idNo }, limit: 100 });
    const asked = new Map(rows.filter(({ phase }) => phase === 'asked').map((row, at) => [row.id, at]));
    const answered = rows.filter(({ phase }) => phase === 'answered');
    assert.ok(answered.length >= 5);
    for (const { of } of answered) assert.ok(asked.has(String(of)));
    assert.ok(rows.every(({ holder }) => !holder.includes(HOLDER.idNo) && !holder.includes(HOLDER.name)));
    assert.equal(new Set(rows.map(({ hash }) => hash)).size, rows.length);
    const nosy = await world.window.post('/v1/certificates/ledger/searches', { holder: { idNo: HOLDER.idNo } });
    assert.equal(nosy.status, 403);
  });

  test('trap 18: a certificate in state 02 is no hit', async () => {
    const idNo = '331124199512120052';
    await hall.lever('public-security', 'certificate', { idNo, state: '02' });
    const { body } = await retrieve([ID_CARD], { holder: { name: '陈样例', idType: '111', idNo } });
    assert.deepEqual([body.results[0]?.state, body.results[0]?.certificate], ['none', undefined]);
    const submitted = await world.window.post<ProblemSeen>('/v1/cases', houseTransfer());
    assert.equal(submitted.status, 422);
    assert.deepEqual([...new Set(submitted.body.problems?.map(({ code }) => code))], ['certificateInvalid']);
    await hall.lever('public-security', 'certificate', { idNo, state: '01' });
  });

  test('a source that is down: unavailable, not none; a case that needs it waits outside, and is told so', async () => {
    await hall.mood('real-estate', 'absent');
    const { body } = await retrieve([TITLE, HOUSEHOLD], { hints: { certNo: '浙(2026)松阳县不动产权第0007777号' } });
    assert.deepEqual(
      body.results.map(({ state }) => state),
      ['unavailable', 'found'],
    );
    assert.equal(body.complete, false);
    const submission = houseTransfer();
    const refused = await world.window.post<ProblemSeen>('/v1/cases', submission);
    assert.equal(refused.status, 422);
    assert.deepEqual([...new Set(refused.body.problems?.map(({ code }) => code))], ['certificateUnavailable']);
    assert.equal(refused.headers.get('retry-after'), '60');
    await hall.mood('real-estate', 'well');
    // The breaker lets a trial through after its rest; then the same submission is accepted under the same number.
    for (;;) {
      const { status, body: accepted } = await world.window.post<ProblemSeen & { caseNo: string }>(
        '/v1/cases',
        submission,
      );
      if (status === 202) {
        // Through, before the departments fall into other moods.
        await hall.ends(accepted.caseNo);
        break;
      }
      assert.equal(status, 422);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });

  const QUESTIONS: readonly (readonly [string, string, JsonObject, JsonObject])[] = [
    [
      'public-security',
      'identity-check',
      { name: '张样例', idNo: HOLDER.idNo, officerId: 'CK-07', businessNumber: 'YC-Q1' },
      { match: 'yes' },
    ],
    ['real-estate', 'estate', { estateUnitNo: '331124001002GB00123F00010001', reason: '转移登记' }, { seized: 'no' }],
    ['medical-insurance', 'person', { name: '张样例', idType: '111', idNo: HOLDER.idNo }, {}],
    ['social-security', 'account', { name: '张样例', idNo: HOLDER.idNo }, {}],
    ['housing-construction', 'contract', { contractNo: 'SYFC2026110001' }, {}],
    ['tax', 'taxpayer', { taxpayerNo: '91331124MA2E000116' }, {}],
  ];

  for (const [party, query, body, expected] of QUESTIONS) {
    test(`a question to ${party}: answered, unfit, busy, away, and garbled`, async () => {
      const ask = (given: JsonObject) =>
        world.window.post<JsonObject & ProblemSeen>(`/v1/departments/${party}/queries/${query}`, given);
      const fine = await ask(body);
      assert.equal(fine.status, 200, JSON.stringify(fine.body));
      for (const [field, value] of Object.entries(expected)) assert.equal(fine.body[field], value);

      const unfit = await ask({});
      assert.equal(unfit.status, 422);
      assert.equal(unfit.body.problems?.length, Object.keys(body).length);

      await hall.mood(party, 'garbled');
      assert.equal((await ask(body)).status, 502);
      await hall.mood(party, 'absent');
      const away = await ask(body);
      assert.equal(away.status, 503, JSON.stringify(away.body));
      assert.ok(Number(away.headers.get('retry-after')) >= 1);
      await hall.mood(party, 'well');
    });
  }

  test('unknown department, unknown question', async () => {
    assert.equal((await world.window.post('/v1/departments/nobody/queries/x', {})).status, 404);
    const { status, body } = await world.window.post<ProblemSeen>('/v1/departments/tax/queries/x', {});
    assert.deepEqual([status, body.code], [404, 'queryUnknown']);
  });

  test('a slow question keeps no filing back: breakers are apart', async () => {
    await hall.mood('social-security', 'absent');
    for (let i = 0; i < 4; i += 1)
      await world.window.post('/v1/departments/social-security/queries/account', { name: '张样例', idNo: HOLDER.idNo });
    const { breakers } = await hall.department('social-security');
    assert.deepEqual([breakers.query.state !== 'closed', breakers.deliver.state], [true, 'closed']);
    await hall.mood('social-security', 'well');
    await hall.ends(await hall.submit(birth()));
  });

  test('after all of it: what rang was meant to, nobody in the log', () => {
    hall.rang(/a question could not be answered/);
    hall.nobodyInTheLog();
  });
});
