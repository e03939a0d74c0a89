import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { JsonObject } from '../contracts/ports/envelope.ts';
import type { Catalogue, Item } from '../contracts/ports/item.ts';
import { factsOf } from '../test/support/facts.ts';
import { birth, deedTax, flexibleEmployment, houseTransfer, type Variation } from '../test/support/submissions.ts';
import { loadItems } from './items.ts';

const AT = Date.parse('2026-11-23T10:00:00+08:00');
type Make = (vary?: Variation) => JsonObject;

describe('the four items', () => {
  let catalogue: Catalogue;
  before(async () => {
    catalogue = await loadItems(fileURLToPath(new URL('./items', import.meta.url)));
  });

  const itemOf = (submission: JsonObject): Item => {
    const item = catalogue.get(String(submission.itemCode));
    assert.ok(item);
    return item;
  };
  const sample = (make: Make, form: JsonObject = {}) => make({ at: AT, applicationNo: 'YC-1', form });
  const formOf = (make: Make) => make({ at: AT }).form as JsonObject;

  /** Codes of the rules that do not hold. */
  async function broken(make: Make, form: JsonObject = {}, at = AT): Promise<readonly string[]> {
    const submission = sample(make, form);
    const { rules } = itemOf(submission);
    const held = await Promise.all(rules.map(({ holds }) => holds(factsOf(submission, {}, at))));
    return rules.filter((_, index) => !held[index]).map(({ pointer, code }) => `${pointer} ${code}`);
  }
  /** The material codes that are asked for. */
  async function asked(make: Make, form: JsonObject = {}): Promise<string> {
    const submission = sample(make, form);
    const { materials } = itemOf(submission);
    const needed = await Promise.all(materials.map(async ({ when }) => (when ? when(factsOf(submission)) : true)));
    return materials
      .filter((_, index) => needed[index])
      .map(({ code }) => code)
      .join(' ');
  }
  async function holders(make: Make, code: string, form: JsonObject = {}): Promise<string> {
    const submission = sample(make, form);
    const certificate = itemOf(submission).materials.find((material) => material.code === code)?.certificate;
    const found = (await certificate?.holders(factsOf(submission))) as { idNo: string; idType: string }[];
    return found.map(({ idType, idNo }) => `${idType}:${idNo.slice(-4)}`).join(' ');
  }
  /** The steps whose `when` holds. */
  async function run(make: Make, form: JsonObject = {}): Promise<string> {
    const submission = sample(make, form);
    const { route } = itemOf(submission);
    const held = await Promise.all(route.map(async ({ when }) => (when ? when(factsOf(submission)) : true)));
    return route
      .filter((_, index) => held[index])
      .map(({ no }) => no)
      .join(' ');
  }
  async function body(make: Make, no: string, results = {}, form: JsonObject = {}): Promise<JsonObject> {
    const submission = sample(make, form);
    const step = itemOf(submission).route.find((one) => one.no === no);
    assert.ok(step);
    return step.map(factsOf(submission, results, AT));
  }

  test('hold all their rules for the samples', async () => {
    for (const make of [houseTransfer, deedTax, birth, flexibleEmployment]) assert.deepEqual(await broken(make), []);
  });

  describe('house transfer', () => {
    const seller = () => (formOf(houseTransfer).sellers as JsonObject[])[0];
    const sharing = (...shares: string[]) => ({
      sellers: shares.map((share, at) => ({ ...seller(), idNo: `seller ${at}`, share })),
    });

    test('adds shares up exactly', async () => {
      assert.deepEqual(await broken(houseTransfer, sharing('33.33', '33.33', '33.34')), []);
      assert.deepEqual(await broken(houseTransfer, sharing('0.1', '0.2', '99.7')), []);
      assert.deepEqual(await broken(houseTransfer, sharing('100')), []);
      for (const shares of [['33.33', '33.33', '33.33'], ['50.00', '50.01'], ['99.99'], ['50', 'x']]) {
        assert.deepEqual(await broken(houseTransfer, sharing(...shares)), ['/form/sellers sharesSum'], shares.join());
      }
    });

    test('wants each person once on a side, and a price', async () => {
      const twice = {
        sellers: [
          { ...seller(), share: '50.00' },
          { ...seller(), share: '50.00' },
        ],
      };
      assert.deepEqual(await broken(houseTransfer, twice), ['/form/sellers personTwice']);
      assert.deepEqual(await broken(houseTransfer, { price: '0.00' }), ['/form/price pricePositive']);
    });

    test('the same person as seller and buyer is refused, however the number is written', async () => {
      const { sellers, buyers } = formOf(houseTransfer) as { sellers: JsonObject[]; buyers: JsonObject[] };
      const selling = (over: JsonObject) => ({ sellers: [{ ...sellers[0], ...over, share: '100.00' }] });
      const buying = (over: JsonObject) => ({ buyers: [{ ...buyers[0], ...over }] });
      const refused = ['/form/buyers sellerIsBuyer'];
      const [first, second] = sellers;
      for (const one of [first, second]) {
        const { name = '', idNo = '' } = one ?? {};
        assert.deepEqual(await broken(houseTransfer, buying({ name, idNo })), refused);
      }
      for (const [here, there] of [
        [{ idNo: '33112419900101002X' }, { idNo: '33112419900101002x' }],
        [{ idNo: '331124199001010011' }, { idNo: '331124900101001' }],
        [{ idNo: '331124199001010011' }, { idType: '414', idNo: '331124199001010011' }],
        [
          { idType: '414', idNo: 'E12345678' },
          { idType: '414', idNo: 'e12345678' },
        ],
        [
          { idType: '516', idNo: 'H1234567(8)' },
          { idType: '516', idNo: 'H12345678' },
        ],
      ] as const) {
        assert.deepEqual(await broken(houseTransfer, { ...selling(here), ...buying(there) }), refused, there.idNo);
      }
      // Of one number, but of two countries' documents.
      const strangers = {
        ...selling({ idType: '414', idNo: 'H12345678' }),
        ...buying({ idType: '516', idNo: 'H12345678' }),
      };
      assert.deepEqual(await broken(houseTransfer, strangers), []);
      const twice = [first, first].map((one, at) => ({
        ...one,
        idNo: at === 0 ? '33112419900101002X' : '33112419900101002x',
        share: '50.00',
      }));
      assert.deepEqual(await broken(houseTransfer, { sellers: twice as JsonObject[] }), ['/form/sellers personTwice']);
    });

    test('other items with two sides: seller and taxpayer, father and mother', async () => {
      const { sellers } = formOf(deedTax) as { sellers: JsonObject[] };
      const taxpayers = [{ ...sellers[0], share: '100.00', maritalStatus: '未婚' }];
      assert.deepEqual(await broken(deedTax, { taxpayers }), ['/form/taxpayers sellerIsTaxpayer']);
      const { father } = formOf(birth) as { father: JsonObject };
      assert.deepEqual(await broken(birth, { mother: father }), ['/form/mother parentsSame']);
    });

    test('asks for the marriage certificate of a married buyer only', async () => {
      assert.equal(await asked(houseTransfer), '5-01 5-02 5-03 5-04 5-05 5-06 5-07');
      const buyers = (formOf(houseTransfer).buyers as JsonObject[]).map((one) => ({ ...one, maritalStatus: '离异' }));
      assert.equal(await asked(houseTransfer, { buyers }), '5-01 5-02 5-03 5-05 5-06 5-07');
    });

    test('knows whose certificates are fetched', async () => {
      assert.equal(await holders(houseTransfer, '5-02'), '111:0017 111:0024 111:0052');
      assert.equal(await holders(houseTransfer, '5-03'), '111:0017 111:0024');
      assert.equal(await holders(houseTransfer, '5-05'), '111:0052');
    });

    test('registers only with the proof of the tax step, zero tax included', async () => {
      const paid = await body(houseTransfer, '03', { '02': { taxPaidNo: 'T1', taxAmount: '0.00' } });
      assert.equal(paid.taxPaidNo, 'T1');
      assert.equal(paid.taxAmount, '0.00');
      const unpaid = await body(houseTransfer, '03', { '02': null });
      assert.ok(!('taxPaidNo' in unpaid) && !('taxAmount' in unpaid));
    });

    test('does not wait for the utilities, which get the new certificate number', async () => {
      const { route } = itemOf(sample(houseTransfer));
      assert.deepEqual(
        route.map(({ no, blocking, after }) => `${no} ${blocking} ${after}`),
        ['01 true ', '02 true 01', '03 true 02', '04 false 03', '05 false 03', '06 false 03'],
      );
      const services = [];
      for (const no of ['04', '05', '06']) {
        const told = await body(houseTransfer, no, { '03': { certNo: '浙(2026)松阳县不动产权第0009999号' } });
        services.push(`${told.service} ${told.certNo}`);
      }
      const certNo = '浙(2026)松阳县不动产权第0009999号';
      assert.deepEqual(services, [`water ${certNo}`, `electricity ${certNo}`, `gas ${certNo}`]);
    });

    test('keeps a list of one a list, and leaves out what nobody gave', async () => {
      const { buyers } = await body(houseTransfer, '02');
      assert.deepEqual(buyers, [
        {
          name: '陈样例',
          idType: '111',
          idNo: '331124199512120052',
          mobile: '13900000003',
          share: '100.00',
          maritalStatus: '已婚',
        },
      ]);
    });

    test('writes numbers and shares as departments do', async () => {
      const buyers = [
        { name: '陈𠮷', idNo: '33112419680909009x', share: '66.6' },
        { name: '王㙓', idType: '414', idNo: 'e00x', share: '33.4' },
      ];
      const checked = await body(houseTransfer, '01', {}, { buyers });
      assert.deepEqual(checked.buyers, [
        { name: '陈𠮷', idType: '111', idNo: '33112419680909009X', share: '66.60' },
        { name: '王㙓', idType: '414', idNo: 'e00x', share: '33.40' },
      ]);
      const cents = await body(houseTransfer, '01', {}, { buyers: [{ ...buyers[0], share: '0.05' }] });
      assert.equal((cents.buyers as JsonObject[])[0]?.share, '0.05');
    });
  });

  describe('birth', () => {
    const { mother } = formOf(birth);
    const only =
      (form: JsonObject): Make =>
      (vary) => {
        const submission = birth(vary);
        const { father: _, mother: __, ...rest } = submission.form as JsonObject;
        return { ...submission, form: { ...rest, ...form } };
      };

    test('wants the parent to settle with, and a birth that was', async () => {
      assert.deepEqual(await broken(only({ mother: mother ?? null })), ['/form/settleWith settleWithMissing']);
      assert.deepEqual(await broken(only({ mother: mother ?? null, settleWith: 'mother' })), []);
      const child = { ...(formOf(birth).child as JsonObject), birth: '2026-11-23T10:00:01+08:00' };
      assert.deepEqual(await broken(birth, { child }), ['/form/child/birth birthInFuture']);
    });

    test('fetches the register of the parent whom the child settles with', async () => {
      assert.equal(await holders(birth, '4-02'), '111:0052 111:0040');
      assert.equal(await holders(birth, '4-03'), '111:0052');
      assert.equal(await holders(birth, '4-03', { settleWith: 'mother' }), '111:0040');
      assert.equal(await holders(only({ mother: mother ?? null, settleWith: 'mother' }), '4-02'), '111:0040');
    });

    test('runs the branches that were asked for, and waits for none of them', async () => {
      assert.equal(await run(birth), '01 02 03');
      assert.equal(await run(birth, { followUps: ['社保卡'] }), '01 03');
      assert.equal(await run(birth, { followUps: [] }), '01');
      assert.deepEqual(
        itemOf(sample(birth)).route.map(({ blocking }) => blocking),
        [true, false, false],
      );
    });

    test('gives the branches the number that the first step made', async () => {
      const results = { '01': { idNo: '331124202611200028' } };
      assert.deepEqual((await body(birth, '02', results)).person, {
        name: '陈小样',
        idType: '111',
        idNo: '331124202611200028',
      });
      assert.equal((await body(birth, '02', results)).hukouArea, '331124');
      const card = await body(birth, '03', results, { settleWith: 'mother' });
      assert.equal((card.person as JsonObject).idNo, '331124202611200028');
      assert.equal((card.guardian as JsonObject).idNo, '331124198808080040');
    });

    test('tells the police of one parent when there is one', async () => {
      const told = await body(only({ mother: mother ?? null, settleWith: 'mother' }), '01');
      assert.ok(!('father' in told));
      assert.equal((told.mother as JsonObject).idNo, '331124198808080040');
    });
  });

  describe('flexible employment', () => {
    const born = (date: string): JsonObject => ({
      applicant: { ...(formOf(flexibleEmployment).applicant as JsonObject), idNo: `331124${date}0011` },
    });

    test('is for those from 16 to 60', async () => {
      for (const date of ['20101123', '19651124', '19900101'])
        assert.deepEqual(await broken(flexibleEmployment, born(date)), [], date);
      for (const date of ['20101124', '19651123']) {
        assert.deepEqual(await broken(flexibleEmployment, born(date)), ['/form/applicant/idNo ageOutOfRange'], date);
      }
      const passport = { applicant: { name: '张样例', idType: '414', idNo: 'E00000000' } };
      assert.deepEqual(await broken(flexibleEmployment, passport), []);
    });

    test('begins no sooner than the month of filing, in local time', async () => {
      const lastEvening = Date.parse('2026-11-30T23:59:00+08:00');
      assert.deepEqual(await broken(flexibleEmployment, { startMonth: '202611' }, lastEvening), []);
      assert.deepEqual(await broken(flexibleEmployment, { startMonth: '202611' }, lastEvening + 60_000), [
        '/form/startMonth startMonthPast',
      ]);
      assert.deepEqual(await broken(flexibleEmployment, { startMonth: '202701' }), []);
    });

    test('has a base inside the limits, both included', async () => {
      for (const base of ['4986.00', '24930']) assert.deepEqual(await broken(flexibleEmployment, { base }), [], base);
      for (const base of ['4985.99', '24930.01']) {
        assert.deepEqual(await broken(flexibleEmployment, { base }), ['/form/base baseOutOfRange'], base);
      }
    });

    test('enrols in what was chosen, and pays under the number that came of it', async () => {
      assert.equal(await run(flexibleEmployment), '01 02 03');
      const medical = { insuranceTypes: ['310'] };
      assert.equal(await run(flexibleEmployment, medical), '02 03');
      assert.equal(await run(flexibleEmployment, { insuranceTypes: ['110'] }), '01 03');
      const both = await body(flexibleEmployment, '03', { '01': { personNo: 'P1' }, '02': { personNo: 'P2' } });
      assert.equal(both.personNo, 'P1');
      assert.deepEqual(both.insurances, [
        { insuranceType: '110', base: '6000.00' },
        { insuranceType: '310', base: '6000.00' },
      ]);
      const one = await body(flexibleEmployment, '03', { '02': { personNo: 'P2' } }, medical);
      assert.equal(one.personNo, 'P2');
      assert.deepEqual(one.insurances, [{ insuranceType: '310', base: '6000.00' }]);
    });
  });
});
