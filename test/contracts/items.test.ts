import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadItems } from '../../config/items.ts';
import { type Check, schemaCompiler } from '../../contracts/compile.ts';
import type { ContractName, JsonObject } from '../../contracts/ports/envelope.ts';
import type { Catalogue } from '../../contracts/ports/item.ts';
import { factsOf } from '../support/facts.ts';
import { birth, deedTax, flexibleEmployment, houseTransfer } from '../support/submissions.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What each department answers in the samples; checked against its result contract, so that a mapping reads no field that is not there. */
const RESULTS: { readonly [contract: ContractName]: JsonObject } = {
  'housing-construction.contract-check@1': { checkNo: 'ZJ202611230001', filedOn: '2026-11-20', fundsSupervised: 'yes' },
  'tax.house-deed@1': { taxAmount: '12500.00', taxPaidNo: '333112426112300001', paidAt: '2026-11-23 10:15:30' },
  'tax.insurance-payment@1': { paymentNo: '333112426112300002' },
  'real-estate.transfer@1': {
    registrationNo: '20261123-000001',
    certNo: '浙(2026)松阳县不动产权第0005678号',
    certificateIdentifier: '1.2.156.3005.2.11100000MB03271699001.11331124QA0000057N.20260000000000000001.001.H',
    registeredAt: '2026-11-23 11:00:00',
  },
  'public-security.birth@1': { idNo: '331124202611200028', householdNo: '331124001000001' },
  'medical-insurance.enrol@1': { personNo: '33112400000000000001' },
  'social-security.enrol@1': { personNo: '0000012345' },
  'social-security.card@1': { cardNo: 'A12345678' },
};

/** Every contract there is, ours and the departments'. */
async function everyContract(): Promise<(name: ContractName) => Check> {
  const adapters = await readdir(path.join(root, 'adapters'), { withFileTypes: true });
  const folders = [
    path.join(root, 'contracts', 'schemas'),
    ...adapters.filter((entry) => entry.isDirectory()).map(({ name }) => path.join(root, 'adapters', name, 'schemas')),
  ];
  const schemas = new Map<string, JsonObject>();
  for (const folder of folders) {
    const files = await readdir(folder).catch(() => []);
    for (const file of files.filter((name) => name.endsWith('.json'))) {
      schemas.set(file.slice(0, -'.json'.length), JSON.parse(await readFile(path.join(folder, file), 'utf8')));
    }
  }
  const compile = schemaCompiler({ schemas: [...schemas.values()], names: 'shown' });
  return (name) => {
    const schema = schemas.get(name);
    assert.ok(schema, `there is no contract ${name}`);
    return compile(schema);
  };
}

describe('the items meet the contracts', () => {
  let catalogue: Catalogue;
  let contract: Awaited<ReturnType<typeof everyContract>>;
  before(async () => {
    catalogue = await loadItems(path.join(root, 'config', 'items'));
    contract = await everyContract();
  });
  const fits = (name: ContractName, value: unknown, what: string) =>
    assert.deepEqual(contract(name)(value), [], `${what} under ${name}`);

  for (const [what, make] of Object.entries({ houseTransfer, deedTax, birth, flexibleEmployment })) {
    test(`${what}: the sample is one, and every step's mapping makes its department's contract`, async () => {
      const submission = make();
      fits('case.submit@1', submission, 'the sample');
      const item = catalogue.get(String(submission.itemCode));
      assert.ok(item);
      fits(item.form, submission.form, 'the form');
      const results: Record<string, JsonObject | null> = {};
      for (const step of item.route) {
        fits(step.contract, await step.map(factsOf(submission, results)), `step ${step.no}`);
        const result = RESULTS[step.contract];
        if (result !== undefined) fits(step.contract.replace('@', '.result@'), result, `the answer to step ${step.no}`);
        results[step.no] = result ?? null;
      }
    });
  }

  test('the hard gate: without the tax paid or exempt, registration breaks its contract and is not sent', async () => {
    const submission = houseTransfer();
    const step = catalogue.get(String(submission.itemCode))?.route.find(({ no }) => no === '03');
    assert.ok(step);
    const problems = contract(step.contract)(await step.map(factsOf(submission, { '01': null, '02': null })));
    assert.deepEqual(problems.map(({ pointer, code }) => `${pointer} ${code}`).sort(), [
      '/taxAmount required',
      '/taxPaidNo required',
    ]);
  });

  test('one parent, one insurance, several owners: the mappings still make the contracts', async () => {
    const { father: _, ...oneParent } = birth().form as JsonObject;
    const born: JsonObject = { ...birth(), form: { ...oneParent, settleWith: 'mother' } };
    const medical = flexibleEmployment({ form: { insuranceTypes: ['310'] } });
    const [buyer] = (houseTransfer().form as { buyers: JsonObject[] }).buyers;
    const couple = [
      { ...buyer, share: '33.34' },
      { ...buyer, idNo: '331124198808080040', name: '陈𠮷', share: '66.66' },
    ];
    const bought = houseTransfer({ form: { buyers: couple } });
    for (const [submission, results] of [
      [born, { '01': RESULTS['public-security.birth@1'] }],
      [medical, { '02': RESULTS['medical-insurance.enrol@1'] }],
      [bought, { '02': RESULTS['tax.house-deed@1'], '03': RESULTS['real-estate.transfer@1'] }],
    ] as const) {
      const item = catalogue.get(String(submission.itemCode));
      assert.ok(item);
      fits(item.form, submission.form, 'the form');
      const facts = factsOf(submission, results as { [no: string]: JsonObject });
      for (const step of item.route) {
        if (step.when && !(await step.when(facts))) continue;
        fits(step.contract, await step.map(facts), `${item.title.en}, step ${step.no}`);
      }
    }
  });
});
