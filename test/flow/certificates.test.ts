import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { type CaseSeen, Follower, type ProblemSeen } from '../support/follow.ts';
import { houseTransfer } from '../support/submissions.ts';
import { startWorld, until, type World } from '../support/world.ts';

const ID_CARD = '11100000000013127D001';
const HOUSEHOLD = '11331124QA0000049U901';
const TITLE = '11100000MB03271699001';
const CONTRACT_FILING = '11331124QA00000B6R901';
const TAX_RECEIPT = '11331124QA0000065H901';
const BUSINESS_LICENCE = '11100000MB0143028R001';
const HOUSE = '11331124QA0000057N433071500400501';
const BASIS = '不动产登记暂行条例第十六条';
const CLERK = { officerId: 'CK-07', deptUscc: '11331124QA0000057N', windowId: 'W07' };

const SELLER = { name: '周样例', idType: '111', idNo: '331124197203040017' };
const BUYER = { name: '陈样例', idType: '111', idNo: '331124199512120052' };
const STRANGER = { name: '李样例', idType: '111', idNo: '331124200102030041' };

interface Result {
  readonly type: string;
  readonly material: string | null;
  readonly holder: { readonly idNo: string };
  readonly state: string;
  readonly source: string | null;
  readonly freshness: string | null;
  readonly reason?: { readonly code: string };
  readonly tried: readonly { readonly source: string; readonly outcome: string }[];
  readonly certificate?: { readonly fields: JsonObject; readonly number: string | null };
  readonly ledgerId: string;
}
interface Retrieval extends ProblemSeen {
  readonly complete: boolean;
  readonly results: readonly Result[];
}
interface Entry {
  readonly id: string;
  readonly phase: string;
  readonly type: string;
  readonly state: string | null;
  readonly reason: string | null;
  readonly fields: readonly string[];
  readonly caseNo: string | null;
}
interface Issued {
  readonly type: string;
  readonly identifier: string | null;
  readonly stepNo: string | null;
}
type Whole = CaseSeen & {
  readonly certificates: readonly Issued[];
  readonly owed: readonly { readonly material: string; readonly steps: readonly string[]; readonly told: boolean }[];
};

/** Sources are tried anew at once, and what is owed is looked for all the time. */
const QUICK = {
  max: 1_000,
  negativeSeconds: 0,
  useCodeSeconds: 60,
  documentBytes: 1_048_576,
  annotateBytes: 1_048_576,
  owedSweepMs: 30,
  owedAfterMs: [60],
  ledgerDays: 1_095,
};

describe('certificates: lawful in every single call', () => {
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld({
      terms: { breaker: { failures: 3, windowMs: 10_000, openMs: 100 } },
      over: { certificates: QUICK },
    });
    hall = new Follower(world);
  });
  after(() => world.stop());

  const retrieve = async (body: JsonObject) => world.window.post<Retrieval>('/v1/certificates/retrievals', body);
  const purpose = (over: JsonObject = {}): JsonObject => ({
    applicationNo: `YC-${randomUUID()}`,
    itemCode: HOUSE,
    clerk: CLERK,
    basis: BASIS,
    ...over,
  });
  const ledger = async (search: JsonObject): Promise<readonly Entry[]> =>
    (await world.auditor.post<{ rows: readonly Entry[] }>('/v1/certificates/ledger/searches', search)).body.rows;
  const outcomes = ({ results }: Retrieval) => results.map(({ state, reason }) => reason?.code ?? state);
  const look = async (caseNo: string) => (await world.window.get<Whole>(`/v1/cases/${caseNo}`)).body;
  async function sold(submission = houseTransfer()): Promise<Whole> {
    const { status, body } = await world.window.post<CaseSeen>('/v1/cases', submission);
    assert.equal(status, 202, JSON.stringify(body));
    return until(async () => {
      const seen = await look(body.caseNo);
      return seen.state === 'DECIDED' ? seen : undefined;
    });
  }

  test('a clerk sees before the applicant speaks which materials come by themselves, and from where', async () => {
    const { status, body } = await world.window.get<{
      materials: readonly {
        code: string;
        from: string;
        certificate: null | {
          type: string;
          sources: readonly { source: string; state: string }[];
          fields: readonly string[];
        };
      }[];
    }>(`/v1/items/${HOUSE}/materials`);
    assert.equal(status, 200);
    const card = body.materials.find(({ code }) => code === '5-02');
    assert.equal(card?.from, 'certificate');
    assert.deepEqual(card?.certificate?.sources[0]?.state, 'ready');
    assert.deepEqual(card?.certificate?.fields, ['name', 'idNo']);
  });

  test('by the item, before there is a case: the form says who the parties are, and each certificate stands under its holder', async () => {
    const { form } = houseTransfer() as { form: JsonObject };
    const { status, body } = await retrieve({ itemCode: HOUSE, form, purpose: purpose() });
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(body.complete, true, JSON.stringify(body.results));
    const cards = body.results.filter(({ type }) => type === ID_CARD).map(({ holder }) => holder.idNo);
    assert.deepEqual(cards.sort(), [SELLER.idNo, '331124197405060024', BUYER.idNo].sort());
    assert.ok(body.results.every(({ state, material }) => state === 'found' && material !== null));
    assert.ok(body.results.some(({ type, holder }) => type === HOUSEHOLD && holder.idNo === BUYER.idNo));
    assert.ok(!body.results.some(({ type, holder }) => type === HOUSEHOLD && holder.idNo === SELLER.idNo));
  });

  test('only the fields that the material names leave, and the ledger says which', async () => {
    const { body } = await retrieve({ holder: BUYER, types: [ID_CARD], purpose: purpose() });
    const [card] = body.results;
    assert.deepEqual(Object.keys(card?.certificate?.fields ?? {}).sort(), ['idNo', 'name']);
    const rows = await ledger({ holder: { idNo: BUYER.idNo }, limit: 200 });
    const answered = rows.findLast(({ phase, type }) => phase === 'answered' && type === ID_CARD);
    assert.deepEqual([...(answered?.fields ?? [])].sort(), ['idNo', 'name']);
  });

  test('nosy: somebody who is no party of the case is not permitted, whatever the purpose says, and that is written down', async () => {
    const { caseNo } = await sold();
    const { status, body } = await retrieve({
      holder: STRANGER,
      types: [ID_CARD, HOUSEHOLD],
      purpose: purpose({ caseNo }),
    });
    assert.equal(status, 200);
    assert.deepEqual(outcomes(body), ['notAParty', 'notAParty']);
    const rows = await ledger({ holder: { idNo: STRANGER.idNo } });
    assert.deepEqual(
      rows.map(({ state, reason, caseNo: of }) => [state, reason, of]),
      [
        ['notPermitted', 'notAParty', caseNo],
        ['notPermitted', 'notAParty', caseNo],
      ],
    );
    assert.equal(world.book('public-security').length, 0, 'reading is no filing');
  });

  test('a party of the case, but a certificate the matter does not need of him; a case that is not there; another item', async () => {
    const { caseNo } = await sold();
    const seller = await retrieve({ holder: SELLER, types: [HOUSEHOLD], purpose: purpose({ caseNo }) });
    assert.deepEqual(outcomes(seller.body), ['notForHolder']);
    const nowhere = await retrieve({
      holder: SELLER,
      types: [ID_CARD],
      purpose: purpose({ caseNo: '331124261123999999' }),
    });
    assert.deepEqual(outcomes(nowhere.body), ['caseUnknown']);
    const birth = purpose({ caseNo, itemCode: '11331124QA0000049U433070900200101' });
    const other = await retrieve({ holder: SELLER, types: [ID_CARD], purpose: birth });
    assert.deepEqual(outcomes(other.body), ['otherItem']);
    const types = await retrieve({
      holder: SELLER,
      types: [BUSINESS_LICENCE, `${'9'.repeat(18)}999`],
      purpose: purpose({ caseNo }),
    });
    assert.deepEqual(outcomes(types.body), ['notInItem', 'typeUnknown']);
    const duty = await retrieve({ holder: SELLER, types: [ID_CARD], purpose: purpose({ use: 'duty' }) });
    assert.deepEqual(outcomes(duty.body), ['dutyNeedsCase']);
  });

  test('a case that was withdrawn is no reason to look any more', async () => {
    // Whoever waits for the tax office cannot be decided before he is withdrawn.
    await hall.mood('tax', 'absent');
    const { body: open } = await world.window.post<CaseSeen>('/v1/cases', houseTransfer());
    const card = async () =>
      outcomes((await retrieve({ holder: SELLER, types: [ID_CARD], purpose: purpose({ caseNo: open.caseNo }) })).body);
    assert.deepEqual(await card(), ['found']);
    const withdrawn = await world.window.post(`/v1/cases/${open.caseNo}/withdrawal`, { reason: '申请人撤回' });
    await hall.mood('tax', 'well');
    assert.equal(withdrawn.status, 200);
    assert.deepEqual(await card(), ['caseWithdrawn']);
  });

  test('the seller and the buyer in one question, by the case alone', async () => {
    const { caseNo } = await sold();
    const { body } = await retrieve({ holders: [SELLER, BUYER], types: [ID_CARD], purpose: purpose({ caseNo }) });
    assert.deepEqual(
      body.results.map(({ holder, state, material }) => [holder.idNo, state, material]),
      [
        [SELLER.idNo, 'found', '5-02'],
        [BUYER.idNo, 'found', '5-02'],
      ],
    );
    const all = await retrieve({ itemCode: HOUSE, purpose: purpose({ caseNo }) });
    assert.ok(all.body.results.length >= 6);
  });

  test('without a purpose: every lack told at once, and the refusal is in the ledger all the same', async () => {
    const { status, body } = await retrieve({ holder: STRANGER, types: [ID_CARD] });
    assert.equal(status, 422);
    assert.deepEqual(
      body.problems?.map(({ pointer }) => pointer),
      ['/purpose'],
    );
    assert.ok((await ledger({ holder: { idNo: STRANGER.idNo } })).some(({ reason }) => reason === 'noPurpose'));
  });

  test('X-Road: denied calls were not logged: asked by the item, each certificate of it is refused, and stands in the ledger', async () => {
    const holder = { name: '赵样例', idType: '111', idNo: '331124198808080040' };
    const refused = async () =>
      (await ledger({ holder: { idNo: holder.idNo }, state: 'notPermitted' })).map(({ reason }) => reason);
    const nowhere = await retrieve({ holder, itemCode: HOUSE, purpose: purpose({ caseNo: '331124261123999999' }) });
    assert.equal(nowhere.status, 200);
    assert.deepEqual(outcomes(nowhere.body), Array(5).fill('caseUnknown'));
    assert.deepEqual(await refused(), Array(5).fill('caseUnknown'));
    const { basis: _, ...without } = purpose();
    assert.equal((await retrieve({ holder, itemCode: HOUSE, purpose: without })).status, 422);
    assert.equal((await retrieve({ holder, itemCode: HOUSE })).status, 422);
    assert.deepEqual((await refused()).slice(5), Array(10).fill('noPurpose'));
    const officer = { officerId: CLERK.officerId, holder: { idNo: holder.idNo } };
    assert.equal((await ledger(officer)).length, 10, 'whose clerk asked, as far as it was said');
    const nobody = await retrieve({ itemCode: HOUSE, purpose: purpose({ caseNo: '331124261123999999' }) });
    assert.deepEqual([nobody.status, nobody.body.problems?.[0]?.code], [422, 'caseUnknown']);
    const whole = await ledger({ caseNo: '331124261123999999', limit: 200 });
    assert.equal(whole.filter(({ type }) => type === '').length, 1);
  });

  test('bad input: a wrong check digit, nobody named, holder and holders, another item than the purpose says, too many at once', async () => {
    const wrong = await retrieve({
      holder: { ...BUYER, idNo: '331124199512120053' },
      types: [ID_CARD],
      purpose: purpose(),
    });
    assert.deepEqual([wrong.status, wrong.body.problems?.[0]?.pointer], [422, '/holder/idNo']);
    const nobody = await retrieve({ types: [ID_CARD], purpose: purpose() });
    assert.deepEqual([nobody.status, nobody.body.problems?.[0]?.code], [422, 'holderMissing']);
    const both = await retrieve({ holder: BUYER, holders: [BUYER], types: [ID_CARD], purpose: purpose() });
    assert.equal(both.status, 422);
    const other = await retrieve({ holder: BUYER, itemCode: '11331124QA0000049U433070900200101', purpose: purpose() });
    assert.deepEqual([other.status, other.body.problems?.[0]?.code], [422, 'otherItem']);
    const form = await retrieve({ itemCode: HOUSE, form: { price: 'much' }, purpose: purpose() });
    assert.equal(form.status, 422);
    assert.ok(form.body.problems?.some(({ pointer }) => pointer === '/form/price'));
    for (const { body } of [wrong, nobody, both, other, form])
      assert.doesNotMatch(JSON.stringify(body), /33112419|陈样例/, 'no personal value in a problem');
  });

  describe('a mandate', () => {
    const consent = (over: JsonObject = {}): JsonObject => ({
      holder: STRANGER,
      agent: BUYER,
      itemCode: HOUSE,
      types: [ID_CARD],
      evidence: 'SY-SQ-2026-000123',
      clerk: CLERK,
      until: '2099-01-01T00:00:00+08:00',
      ...over,
    });
    const within = (days: number) =>
      `${new Date(Date.now() + days * 86_400_000 + 8 * 3_600_000).toISOString().slice(0, 19)}+08:00`;
    const record = (over: JsonObject = {}) =>
      world.window.post<ProblemSeen & { mandateId: string; holder: string }>(
        '/v1/certificates/mandates',
        consent({ until: within(30), ...over }),
      );
    const by = (mandateId: string | undefined, over: JsonObject = {}) =>
      retrieve({
        holder: STRANGER,
        types: [ID_CARD],
        purpose: purpose({ use: 'mandate', ...(mandateId === undefined ? {} : { mandateId }) }),
        ...over,
      });

    test('is recorded, used, and revoked; from then on it is refused', async () => {
      const { status, body } = await record();
      assert.equal(status, 201, JSON.stringify(body));
      assert.doesNotMatch(JSON.stringify(body), /331124200102030041|李样例/);
      assert.deepEqual(outcomes((await by(body.mandateId)).body), ['found']);
      const revoked = await world.window.post(`/v1/certificates/mandates/${body.mandateId}/revocation`, {
        reason: '本人撤回',
      });
      assert.equal(revoked.status, 200);
      assert.deepEqual(outcomes((await by(body.mandateId)).body), ['mandateRevoked']);
      const again = await world.window.post(`/v1/certificates/mandates/${body.mandateId}/revocation`, {
        reason: '再次',
      });
      assert.equal(again.status, 409);
    });

    test('is for one holder, one item and the types it names, from its first moment to its last', async () => {
      const { mandateId } = (await record()).body;
      assert.deepEqual(outcomes((await by(mandateId, { types: [HOUSEHOLD] })).body), ['mandateNotFor']);
      assert.deepEqual(outcomes((await by(mandateId, { holder: SELLER })).body), ['mandateNotFor']);
      assert.deepEqual(outcomes((await by(undefined)).body), ['mandateMissing']);
      assert.deepEqual(outcomes((await by(randomUUID())).body), ['mandateUnknown']);
      const later = (await record({ from: within(10) })).body.mandateId;
      assert.deepEqual(outcomes((await by(later)).body), ['mandateExpired']);
    });

    test('that ends in the past, lasts for years, or names what the item does not, is not recorded', async () => {
      const bad = await record({ until: '2020-01-01T00:00:00+08:00', types: [BUSINESS_LICENCE] });
      assert.deepEqual(
        [bad.status, bad.body.problems?.map(({ pointer, code }) => `${pointer} ${code}`)],
        [422, ['/types/0 notInItem', '/until mandateTerm']],
      );
      assert.equal((await record({ until: '2099-01-01T00:00:00+08:00' })).status, 422);
      assert.equal((await world.auditor.post('/v1/certificates/mandates', consent())).status, 403);
    });
  });

  test('what a case issues is there for the next step and the next case, and what it ended is no hit any more', async () => {
    const decided = await sold();
    const issued = decided.certificates.filter(({ stepNo }) => stepNo !== null);
    assert.deepEqual(
      issued.map(({ type, stepNo }) => [type, stepNo]),
      [
        [TAX_RECEIPT, '02'],
        [TITLE, '03'],
      ],
    );
    const title = issued[1]?.identifier;
    const verified = await world.window.post<{ verdict: string; state: string; source: string }>(
      '/v1/certificates/verifications',
      { identifier: title ?? '', clerk: CLERK, basis: BASIS },
    );
    assert.deepEqual([verified.status, verified.body.verdict, verified.body.source], [200, 'valid', 'register']);
    const told = world.book('window').find(({ key }) => key.startsWith(decided.caseNo) && JSON.stringify(key) !== '');
    assert.ok(told !== undefined);
    // The buyer sells on: his title was registered by the case before, and ends with this one.
    const again = houseTransfer({ otherName: BUYER.name });
    const form = again.form as JsonObject;
    const number = (await look(decided.caseNo)).steps.find(({ no }) => no === '03')?.result?.certNo as string;
    const resold = {
      ...again,
      form: {
        ...form,
        certNo: number,
        sellers: [{ ...BUYER, mobile: '13900000003', share: '100.00' }],
        buyers: [{ ...STRANGER, mobile: '13900000009', share: '100.00', maritalStatus: '未婚' }],
      },
      applicant: { ...STRANGER, mobile: '13900000009' },
    };
    const second = await sold(resold as JsonObject);
    const old = await world.window.post<{ verdict: string; state: string }>('/v1/certificates/verifications', {
      identifier: title ?? '',
      clerk: CLERK,
      basis: BASIS,
    });
    assert.deepEqual([old.body.verdict, old.body.state], ['invalid', '04']);
    assert.equal(second.certificates.filter(({ stepNo }) => stepNo === '03').length, 1);
  });

  test('a title that a case issued and its keeper has suspended since is neither a hit nor valid, not even while he is away', async () => {
    const { caseNo, certificates } = await sold();
    const identifier = certificates.find(({ stepNo }) => stepNo === '03')?.identifier ?? '';
    const certNo = (await look(caseNo)).steps.find(({ no }) => no === '03')?.result?.certNo as string;
    const verdict = async () =>
      (
        await world.window.post<{ verdict: string; source: string | null; state: string | null; asOf: string | null }>(
          '/v1/certificates/verifications',
          { identifier, clerk: CLERK, basis: BASIS },
        )
      ).body;
    const held = async () =>
      (await retrieve({ holder: BUYER, types: [TITLE], purpose: purpose(), hints: { certNo } })).body.results[0];
    await hall.mood('real-estate', 'absent');
    assert.deepEqual([(await held())?.state, (await held())?.source], ['found', 'register']);
    const away = await verdict();
    assert.deepEqual([away.verdict, away.source, away.state], ['unavailable', 'register', '01']);
    assert.match(String(away.asOf), /^\d{4}-\d\d-\d\dT[\d:.]+\+08:00$/);
    await hall.mood('real-estate', 'well');
    await hall.lever('real-estate', 'title', { certNo, state: '02', idNo: BUYER.idNo });
    const suspended = await verdict();
    assert.deepEqual([suspended.verdict, suspended.source, suspended.state], ['invalid', 'real-estate', '02']);
    assert.equal((await held())?.reason?.code, 'notValid');
    await hall.mood('real-estate', 'absent');
    assert.equal((await held())?.state, 'unavailable');
    const { verdict: said, source } = await verdict();
    await hall.mood('real-estate', 'well');
    assert.deepEqual([said, source === 'register'], ['unavailable', false]);
  });

  test('a title of the same owner, but of another house, is no hit', async () => {
    await sold();
    await hall.mood('real-estate', 'absent');
    const hints = { certNo: '浙(2026)松阳县不动产权第0000000号' };
    const { body } = await retrieve({ holder: BUYER, types: [TITLE], purpose: purpose(), hints });
    await hall.mood('real-estate', 'well');
    assert.equal(body.results[0]?.state, 'unavailable');
  });

  test('verification: a number nobody knows, an identifier of no shape, a digest that was never handed out', async () => {
    const verify = async (claim: JsonObject) =>
      (
        await world.window.post<{ verdict: string; reason: { code: string } }>('/v1/certificates/verifications', {
          clerk: CLERK,
          basis: BASIS,
          ...claim,
        })
      ).body;
    assert.equal((await verify({ identifier: '1.2.156.3005.2.not.an.identifier' })).reason.code, 'badShape');
    assert.equal((await verify({ sm3: 'ab'.repeat(32) })).verdict, 'unknown');
    const { status } = await world.window.post('/v1/certificates/verifications', { clerk: CLERK, basis: BASIS });
    assert.equal(status, 422);
  });

  describe('while a source is down', () => {
    test('the case is accepted and owes the material; the precheck says so; it comes by itself, and only its step waited', async () => {
      const base = houseTransfer({ name: '陈样样' });
      const { form } = base as { form: JsonObject };
      await retrieve({ types: [ID_CARD], form, purpose: purpose() });
      await hall.mood('public-security', 'absent');
      const precheck = await world.window.post<{
        acceptable: boolean;
        materials: readonly { code: string; state: string }[];
      }>('/v1/cases/precheck', base);
      assert.equal(precheck.body.acceptable, true, JSON.stringify(precheck.body));
      assert.equal(precheck.body.materials.find(({ code }) => code === '5-05')?.state, 'owed');
      const { status, body } = await world.window.post<Whole>('/v1/cases', base);
      assert.equal(status, 202, JSON.stringify(body));
      assert.deepEqual(
        body.owed.map(({ material, steps }) => [material, steps]),
        [['5-05', ['02']]],
      );
      const waiting = await until(async () => {
        const seen = await look(body.caseNo);
        const [first, second] = seen.steps;
        return first?.state === 'DONE' && second?.reason?.code === 'materialOwed' ? seen : undefined;
      });
      assert.equal(waiting.steps[1]?.state, 'PENDING');
      assert.equal(
        world.book('tax').some(({ key }) => key.startsWith(body.caseNo)),
        false,
      );
      await hall.mood('public-security', 'well');
      const decided = await until(async () => {
        const seen = await look(body.caseNo);
        return seen.state === 'DECIDED' ? seen : undefined;
      });
      assert.deepEqual(decided.owed, []);
      assert.ok(decided.certificates.some(({ type }) => type === HOUSEHOLD));
      const { body: timeline } = await world.window.get<{ rows: readonly { kind: string }[] }>(
        `/v1/cases/${body.caseNo}/timeline`,
      );
      assert.ok(
        timeline.rows.some(({ kind }) => kind === 'owed') && timeline.rows.some(({ kind }) => kind === 'provided'),
      );
    });

    test('a copy that is still fresh is as good as the source', async () => {
      const { form } = houseTransfer() as { form: JsonObject };
      await retrieve({ types: [CONTRACT_FILING], form, purpose: purpose() });
      await hall.mood('housing-construction', 'absent');
      const { body } = await retrieve({ types: [CONTRACT_FILING], form, purpose: purpose() });
      assert.deepEqual(
        body.results.map(({ state, freshness }) => [state, freshness]),
        [['found', 'cached']],
      );
      await hall.mood('housing-construction', 'well');
    });
  });
});
