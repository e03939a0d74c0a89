import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { type CaseSeen, Follower, type ProblemSeen } from '../support/follow.ts';
import { houseTransfer } from '../support/submissions.ts';
import { startWorld, until, type World } from '../support/world.ts';

const DIGEST = '66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0';
const EMPTY_FILE = '1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b';
const SEEN = { officer: 'CK-07', at: '2026-11-01T09:30:00+08:00' };
const SELLER = '331124197203040017';
const BUYER = '331124199512120052';
const NEWCOMER = { name: '李样例', idType: '111', idNo: '331124200102030041', mobile: '13900000009' };

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

type Whole = CaseSeen & {
  readonly certificates: readonly { readonly material: string | null; readonly type: string }[];
  readonly owed: readonly { readonly material: string }[];
};

describe('a material is only supplied when there is something', () => {
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld({
      // A source that is slow because the machine is busy is not away.
      terms: { deadlineMs: 8_000, connectMs: 8_000, breaker: { failures: 50, windowMs: 10_000, openMs: 100 } },
      over: { certificates: QUICK },
    });
    hall = new Follower(world);
  });
  after(() => world.stop());

  const submit = (body: JsonObject) => world.window.post<ProblemSeen & Whole>('/v1/cases', body);
  const precheck = async (body: JsonObject) =>
    (
      await world.window.post<{
        problems: readonly { pointer: string; code: string; zh: string; en: string }[];
        materials: readonly { code: string; state: string }[];
      }>('/v1/cases/precheck', body)
    ).body;
  const correct = (caseNo: string, body: JsonObject) =>
    world.window.post<ProblemSeen & Whole>(`/v1/cases/${caseNo}/corrections`, body);
  const look = async (caseNo: string) => (await world.window.get<Whole>(`/v1/cases/${caseNo}`)).body;
  const told = ({ problems = [] }: Pick<ProblemSeen, 'problems'>) =>
    problems.map(({ pointer, code }) => `${pointer} ${code}`).toSorted();
  const formOf = (body: JsonObject) => body.form as JsonObject;
  const title = (certNo: string, state: string) => hall.lever('real-estate', 'title', { certNo, state, idNo: SELLER });
  /** A sale that the tax office wants mended. */
  async function correcting(): Promise<{ caseNo: string; submission: JsonObject }> {
    await hall.lever('tax', 'decide', 'correct');
    const submission = houseTransfer();
    const caseNo = await hall.submit(submission);
    await hall.reaches(caseNo, '02', 'CORRECTING');
    await hall.lever('tax', 'decide', 'paid');
    return { caseNo, submission };
  }

  test('{"code": "5-03"} alone let a sold house be sold again: nothing handed in is nothing, and a "no" is not healed by a paper', async () => {
    const base = houseTransfer();
    await title(String(formOf(base).certNo), '04');
    const empty = { ...base, materials: [{ code: '5-03' }] };
    const both = ['/materials certificateInvalid', '/materials/0 materialEmpty'];
    assert.deepEqual(told(await precheck(empty)), both);
    const refused = await submit(empty);
    assert.deepEqual([refused.status, told(refused.body)], [422, both]);
    const why = refused.body.problems?.find(({ code }) => code === 'certificateInvalid');
    assert.match(String(why?.zh), /5-03.*注销/);
    assert.match(String(why?.en), /5-03.*cancelled/);
    assert.doesNotMatch(JSON.stringify(refused.body), /周样例|331124197203040017/);
    for (const content of [{ digest: DIGEST }, { file: `sha256:${DIGEST}` }, { seen: SEEN }]) {
      const handedIn = await submit({ ...base, materials: [{ code: '5-03', ...content }] });
      assert.deepEqual([handedIn.status, told(handedIn.body)], [422, ['/materials certificateInvalid']]);
    }
    for (const state of ['02', '03', '05', '06', '07', '99']) {
      await title(String(formOf(base).certNo), state);
      const { body } = await submit({ ...base, materials: [{ code: '5-03', digest: DIGEST }] });
      assert.deepEqual(told(body), ['/materials certificateInvalid'], state);
    }
    await title(String(formOf(base).certNo), '01');
    const sound = await submit({ ...base, materials: [{ code: '5-03', digest: DIGEST }] });
    assert.equal(sound.status, 202, JSON.stringify(sound.body));
    assert.ok((await look(sound.body.caseNo)).certificates.some(({ material }) => material === '5-03'));
    await hall.ends(sound.body.caseNo);
  });

  test('one of two holders: a "no" of one is a "no"', async () => {
    const cards = [{ code: '5-02', digest: DIGEST }];
    // Under another name, of whom there is no fresh copy yet.
    await hall.lever('public-security', 'certificate', { idNo: SELLER, state: '02' });
    const one = await submit({ ...houseTransfer({ otherName: '周样样' }), materials: cards });
    await hall.lever('public-security', 'certificate', { idNo: SELLER, state: '01' });
    assert.deepEqual([one.status, told(one.body)], [422, ['/materials certificateInvalid']]);
  });

  test('where its source is away something handed in stands in; an empty entry does not', async () => {
    await hall.mood('real-estate', 'absent');
    const without = await submit({ ...houseTransfer(), materials: [{ code: '5-03', name: '不动产权证书' }] });
    const states = await precheck({ ...houseTransfer(), materials: [{ code: '5-03' }] });
    const seen = await submit({ ...houseTransfer(), materials: [{ code: '5-03', seen: SEEN }] });
    await hall.mood('real-estate', 'well');
    assert.deepEqual(told(without.body), ['/materials certificateUnavailable', '/materials/0 materialEmpty']);
    assert.equal(states.materials.find(({ code }) => code === '5-03')?.state, 'unavailable');
    assert.equal(seen.status, 202, JSON.stringify(seen.body));
    await hall.ends(seen.body.caseNo);
  });

  test('every empty entry is told, whatever its material is, together with everything else', async () => {
    const base = houseTransfer({ form: { price: '0.00', buyers: formOf(houseTransfer()).sellers as JsonObject[] } });
    const materials = [
      { code: '5-04', digest: DIGEST },
      { code: '5-04' },
      { code: '5-01', source: 'form' },
      { code: '5-07', name: '契税完税凭证' },
      { code: '5-02', digest: EMPTY_FILE },
      { code: '9-99' },
      { code: '5-03', seen: { officer: 'CK-07', at: '2099-01-01T00:00:00+08:00' } },
      { code: '5-03', seen: { officer: 'CK-07', at: 'yesterday' } },
    ];
    const { buyers: _, ...form } = formOf(base);
    const right = { ...base, form: { ...form, buyers: formOf(houseTransfer()).buyers as JsonObject[] } };
    const empties = [1, 2, 3, 4, 5].map((at) => `/materials/${at} materialEmpty`);
    const others = ['/materials/5/code materialUnknown', '/materials/6/seen/at seenInFuture'];
    const shapeless = ['/materials/7/seen/at format.local-time'];
    const all = await submit({ ...right, materials });
    assert.deepEqual(told(all.body), ['/form/price pricePositive', ...empties, ...others, ...shapeless].toSorted());
    const ofShape = { ...right, materials: materials.slice(0, 7) };
    const withRules = ['/form/price pricePositive', ...empties, ...others].toSorted();
    assert.deepEqual(told((await submit(ofShape)).body), withRules);
    assert.deepEqual(told(await precheck(ofShape)), withRules);
    const [first] = (await precheck(ofShape)).problems.filter(({ code }) => code === 'materialEmpty');
    for (const words of [first?.zh, first?.en]) assert.match(String(words), /digest.*file.*seen/);
  });

  test('"1 things to mend": a problem alone is one thing', async () => {
    const { body } = await world.window.post<{ detail: string }>(
      '/v1/cases',
      houseTransfer({ form: { price: '0.00' } }),
    );
    assert.equal(body.detail, '1 thing to mend, all told at once');
  });

  test('seller equal to buyer is refused', async () => {
    const [seller] = formOf(houseTransfer()).sellers as JsonObject[];
    const buyers = [{ ...seller, share: '100.00', maritalStatus: '未婚' }];
    const { status, body } = await submit(houseTransfer({ form: { buyers: buyers as JsonObject[] } }));
    assert.deepEqual([status, told(body)], [422, ['/form/buyers sellerIsBuyer']]);
  });

  test('a correction: what is empty is told and brings nothing', async () => {
    const { caseNo, submission } = await correcting();
    const form = { ...formOf(submission), price: '0.00' };
    const empty = await correct(caseNo, { form, materials: [{ code: '5-04' }, { code: '9-99', digest: DIGEST }] });
    const all = ['/form/price pricePositive', '/materials/0 materialEmpty', '/materials/1/code materialUnknown'];
    assert.deepEqual([empty.status, told(empty.body)], [422, all]);
    const shapeless = { form: { ...form, price: 'much' }, materials: [{ code: '5-04' }] };
    const worse = await correct(caseNo, shapeless);
    assert.deepEqual(told(worse.body), ['/form/price format.decimal-money', '/materials/0 materialEmpty']);
    const fine = await correct(caseNo, { materials: [{ code: '5-04', digest: DIGEST }] });
    assert.equal(fine.status, 200, JSON.stringify(fine.body));
    assert.equal((await hall.ends(caseNo)).decision?.outcome, 'approved');
  });

  test('a correction to another house, or another buyer, meets the checks of a submission', async () => {
    const { caseNo, submission } = await correcting();
    const certNo = String(formOf(houseTransfer()).certNo);
    await title(certNo, '04');
    const other = { form: { ...formOf(submission), certNo } };
    assert.deepEqual(told((await correct(caseNo, other)).body), ['/materials certificateInvalid']);
    const healed = await correct(caseNo, { ...other, materials: [{ code: '5-03', digest: DIGEST }] });
    assert.deepEqual([healed.status, told(healed.body)], [422, ['/materials certificateInvalid']]);

    const buyers = [{ ...NEWCOMER, share: '100.00', maritalStatus: '未婚' }];
    const newBuyer = { form: { ...formOf(submission), buyers } };
    await hall.lever('public-security', 'certificate', { idNo: NEWCOMER.idNo, state: '02' });
    const suspended = await correct(caseNo, newBuyer);
    await hall.lever('public-security', 'certificate', { idNo: NEWCOMER.idNo, state: '01' });
    assert.deepEqual([...new Set(told(suspended.body))], ['/materials certificateInvalid']);
    const before = (await look(caseNo)).certificates.length;
    const fine = await correct(caseNo, newBuyer);
    assert.equal(fine.status, 200, JSON.stringify(fine.body));
    const fetched = (await look(caseNo)).certificates;
    assert.ok(fetched.length > before, 'his card, household register and contract filing');
    assert.equal((await hall.ends(caseNo)).decision?.outcome, 'approved');
    const { body: ledger } = await world.auditor.post<{ rows: readonly { caseNo: string | null; state: string }[] }>(
      '/v1/certificates/ledger/searches',
      { holder: { idNo: NEWCOMER.idNo }, limit: 200 },
    );
    assert.ok(ledger.rows.some((row) => row.caseNo === caseNo && row.state === 'found'));
  });

  test('what a case owes is not settled by an empty entry; by a paper it is, while its source is away', async () => {
    await hall.mood('public-security', 'absent');
    const cards = [{ code: '5-02', seen: SEEN }];
    const { status, body } = await submit({ ...houseTransfer({ name: '陈样样' }), materials: cards });
    assert.equal(status, 202, JSON.stringify(body));
    assert.deepEqual(
      body.owed.map(({ material }) => material),
      ['5-05'],
    );
    const { caseNo } = body;
    const empty = await correct(caseNo, { materials: [{ code: '5-05' }] });
    assert.deepEqual([empty.status, told(empty.body)], [422, ['/materials/0 materialEmpty']]);
    assert.equal((await look(caseNo)).owed.length, 1);
    const brought = await correct(caseNo, { materials: [{ code: '5-05', seen: SEEN }] });
    await hall.mood('public-security', 'well');
    assert.deepEqual([brought.status, brought.body.owed], [200, []]);
    assert.equal((await hall.ends(caseNo)).decision?.outcome, 'approved');
  });

  test('what a case owes, and its source says no of, is not settled by a paper', async () => {
    await hall.mood('public-security', 'absent');
    const sale = houseTransfer({ name: '陈样祥' });
    const { body } = await submit({ ...sale, materials: [{ code: '5-02', seen: SEEN }] });
    assert.deepEqual(
      body.owed.map(({ material }) => material),
      ['5-05'],
    );
    await hall.lever('public-security', 'certificate', { idNo: BUYER, state: '04' });
    await hall.mood('public-security', 'well');
    await until(async () => (await look(body.caseNo)).state === 'CORRECTING' || undefined);
    const paper = { materials: [{ code: '5-05', digest: DIGEST }] };
    const refused = await correct(body.caseNo, paper);
    assert.deepEqual([refused.status, told(refused.body)], [422, ['/materials certificateInvalid']]);
    await hall.lever('public-security', 'certificate', { idNo: BUYER, state: '01' });
    assert.equal((await hall.ends(body.caseNo)).decision?.outcome, 'approved');
  });
});
