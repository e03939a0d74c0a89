import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readParties } from '../adapters/load.ts';
import { readContracts } from '../contracts/load.ts';
import type { JsonObject } from '../contracts/ports/envelope.ts';
import { makeContracts } from '../gateway/contracts/registry.ts';
import { loadCertificateTypes } from './certificates.ts';
import type { Known } from './item-names.ts';
import { CatalogueError, loadItems } from './items.ts';

const ITEMS = path.join(import.meta.dirname, 'items');

// biome-ignore lint/suspicious/noExplicitAny: an item as a person would edit it
type Edited = any;

describe('the catalogue is whole before it serves', () => {
  let known: Known;
  let place: string;
  before(async () => {
    const root = path.dirname(import.meta.dirname);
    const { contracts } = await readContracts(path.join(root, 'contracts', 'schemas'));
    const names = new Set(contracts.map(({ name }) => name));
    const read = await readParties(path.join(root, 'adapters'), names, contracts);
    assert.deepEqual(read.mistakes, []);
    known = {
      contracts: makeContracts([...contracts, ...read.parties.flatMap((party) => party.contracts)]),
      parties: read.names,
      offers: new Map(read.parties.flatMap(({ party, offers }) => (offers === undefined ? [] : [[party, offers]]))),
      types: await loadCertificateTypes(),
    };
    place = await mkdtemp(path.join(tmpdir(), 'onewindow-catalogue-'));
  });
  after(() => rm(place, { recursive: true, force: true }));

  /** The mistakes of the shipped catalogue after a change of one of its items. */
  async function mistakes(
    name: string,
    change: (item: Edited, edit: (file: string, by: (text: string) => string) => Promise<void>) => unknown,
  ): Promise<readonly string[]> {
    const folder = await mkdtemp(path.join(place, 'items-'));
    await cp(ITEMS, folder, { recursive: true });
    const file = path.join(folder, name, 'item.json');
    const item = JSON.parse(await readFile(file, 'utf8')) as JsonObject;
    await change(item, async (own, by) => {
      const text = await readFile(path.join(folder, name, own), 'utf8');
      const changed = by(text);
      assert.notEqual(changed, text, 'the change changes something');
      await writeFile(path.join(folder, name, own), changed);
    });
    await writeFile(file, JSON.stringify(item));
    try {
      await loadItems(folder, known);
      return [];
    } catch (error) {
      assert.ok(error instanceof CatalogueError, String(error));
      return error.mistakes;
    }
  }

  test('the shipped items are, each with a sample case of its own', async () => {
    assert.deepEqual(await mistakes('birth', () => {}), []);
  });

  const FAULTS: readonly (readonly [string, string, Parameters<typeof mistakes>[1], RegExp])[] = [
    [
      'a form contract that is not published',
      'deed-tax',
      (item) => (item.form = 'form.deed-tax@9'),
      /^deed-tax\/item\.json \/form: the contract form\.deed-tax@9 is not published$/,
    ],
    [
      'a route contract that is not published',
      'deed-tax',
      (item) => (item.route[0].contract = 'tax.nothing@1'),
      /^deed-tax\/item\.json \/route\/0\/contract: the contract tax\.nothing@1 is not published$/,
    ],
    [
      'a contract that the party does not take',
      'deed-tax',
      (item) => (item.route[0].contract = 'utilities.transfer@1'),
      /\/route\/0\/contract: tax does not take utilities\.transfer@1; it takes tax\.house-deed@1, /,
    ],
    [
      'a source that does not answer for the type',
      'birth',
      (item) => item.materials[2].certificate.sources.push('tax'),
      /\/materials\/2\/certificate\/sources\/1: tax is no source of 11331124QA0000049U901/,
    ],
    [
      'a mapping that reads a field that the form does not have',
      'house-transfer',
      (_, edit) => edit('02-house-deed.jsonata', (text) => text.replace('form.houseAddress', 'form.houseAdress')),
      /^house-transfer\/02-house-deed\.jsonata line 5: form\.house-transfer@1 has no houseAdress here$/,
    ],
    [
      'the same inside a list, and inside a condition that no sample meets',
      'house-transfer',
      (_, edit) =>
        edit('02-house-deed.jsonata', (text) =>
          text.replace('maritalStatus}', '(share = "0" ? maritalState : maritalStatus)}'),
        ),
      /02-house-deed\.jsonata line 11: form\.house-transfer@1 has no maritalState here$/,
    ],
    [
      'an optional field of a part that is optional',
      'house-transfer',
      (item) => (item.materials[3].when = 'form.mortgage.banc = "1"'),
      /\/materials\/3\/when: form\.house-transfer@1 has no banc here$/,
    ],
    [
      'a step that does not exist',
      'birth',
      (_, edit) => edit('03-card.jsonata', (text) => text.replace('"01"', '"09"')),
      /^birth\/03-card\.jsonata line 2: there is no step 09$/,
    ],
    [
      'a step that does not come before',
      'birth',
      (_, edit) => edit('03-card.jsonata', (text) => text.replace('"01"', '"02"')),
      /^birth\/03-card\.jsonata line 2: step 02 does not come before step 03$/,
    ],
    [
      'a step in a rule, where none has begun',
      'birth',
      (item) => (item.rules[0].holds = 'steps."01".state = "DONE"'),
      /\/rules\/0\/holds: step 01 has not begun when this is asked$/,
    ],
    [
      'a field that the result of the earlier step does not have',
      'house-transfer',
      (_, edit) => edit('03-transfer.jsonata', (text) => text.replace('$tax.taxPaidNo', '$tax.paidNo')),
      /^house-transfer\/03-transfer\.jsonata line 13: tax\.house-deed\.result@1 has no paidNo here$/,
    ],
    [
      'the same in a certificate that a step issues',
      'house-transfer',
      (_, edit) => edit('03-issued.jsonata', (text) => text.replace('result.certNo', 'result.certNumber')),
      /^house-transfer\/03-issued\.jsonata line 4: real-estate\.transfer\.result@1 has no certNumber here$/,
    ],
    [
      'a holder expression, hints, and the number of what ends',
      'house-transfer',
      (item) => {
        item.materials[1].certificate.holders = 'form.buyer';
        item.route[2].ends[0].number = 'form.certNumber';
      },
      /\/route\/2\/ends\/0\/number: form\.house-transfer@1 has no certNumber here$/,
    ],
    [
      'a function that does not exist',
      'house-transfer',
      (item) => (item.rules[4].holds = '$hundreths(form.price) > 0'),
      /\/rules\/4\/holds: there is no function \$hundreths$/,
    ],
    [
      'a rule whose pointer leads nowhere',
      'house-transfer',
      (item) => (item.rules[0].pointer = '/form/seller'),
      /\/rules\/0\/pointer: \/form\/seller leads nowhere: form\.house-transfer@1 has no seller here$/,
    ],
    [
      'a mapping whose output breaks the contract on the sample case',
      'flexible-employment',
      (_, edit) => edit('02-medical-insurance.jsonata', (text) => text.replace('"310"', '"999"')),
      /^flexible-employment\/item\.json \/route\/1\/map: breaks medical-insurance\.enrol@1 on the sample case: \/insuranceType: .* \(samples\/case\.json\)$/,
    ],
    [
      'an expression that fails on the sample case',
      'deed-tax',
      (item) => (item.rules[3].holds = '$number(form.houseAddress) > 0'),
      /\/rules\/3\/holds: fails on the sample case: .*D3030/,
    ],
    [
      'a rule that does not hold for it',
      'deed-tax',
      (item) => (item.rules[3].holds = 'false'),
      /\/rules\/3\/holds: does not hold for the sample case \(samples\/case\.json\)$/,
    ],
    [
      'a field of an issued certificate that its type does not have',
      'deed-tax',
      (_, edit) => edit('01-issued.jsonata', (text) => text.replace('"paidOn"', '"paidDay"')),
      /\/route\/0\/issues\/0\/map: this type has no field paidDay; it has /,
    ],
    [
      'a step that waits for itself, and a step that a material is owed to and that is not there',
      'house-transfer',
      (item) => {
        item.route[1].after = ['02'];
        item.materials[4].certificate.whenDown.steps = ['12'];
      },
      /\/materials\/4\/certificate\/whenDown\/steps\/0: there is no step 12$/,
    ],
    [
      'a sample that is no case of the item',
      'birth',
      (_, edit) => edit('samples/case.json', (text) => text.replace('331124199512120052', '331124199512120053')),
      /^birth\/samples\/case\.json \/submission\/.*: .*\((case\.submit|form\.birth)@1\)$/,
    ],
    [
      'a sample without the result of a step that ran',
      'birth',
      (_, edit) =>
        edit('samples/case.json', (text) =>
          text.replace('"01": {', '"02": {').replace(/"02": \{[^}]*\},\s*"02"/, '"02"'),
        ),
      /^birth\/samples\/case\.json \/results/,
    ],
  ];
  for (const [fault, name, change, expected] of FAULTS) {
    test(`is told: ${fault}`, async () => {
      const told = await mistakes(name, change);
      assert.ok(
        told.some((mistake) => expected.test(mistake)),
        `${expected} in\n${told.join('\n')}`,
      );
      assert.ok(
        told.every((mistake) => mistake.startsWith(`${name}/`)),
        told.join('\n'),
      );
    });
  }

  test('an item without any sample case is told', async () => {
    const folder = await mkdtemp(path.join(place, 'items-'));
    await cp(ITEMS, folder, { recursive: true });
    await rm(path.join(folder, 'birth', 'samples'), { recursive: true });
    await assert.rejects(loadItems(folder, known), (error: CatalogueError) => {
      assert.deepEqual(error.mistakes, [
        'birth/samples: holds no sample case (<name>.json) that the item can be tried on',
      ]);
      return true;
    });
  });

  test('names that are there are not told: variables, grouping, functions over lists, what functions give', async () => {
    const told = await mistakes('house-transfer', (item) => {
      item.rules[0].holds = `(
        $all := $append(form.sellers, form.buyers);
        $named := function($person) { $person.name & $person.maritalStatus };
        $count($map($all, function($one) { $one.name })) > 0
          and $count($all[share != "0"]^(>share).$named($)) > 0
          and $count($owner(form.buyers[0]).share) = 1
          and $sum($$.form.sellers.$hundredths(share)) = 10000
          and $exists(form.buyers{idNo: name})
          and $count($distinct($all.$lookup($, "idNo"))) > 0
          and $not($exists(form.mortgage.bank))
          and $count(form.*) > 0
      )`;
    });
    assert.deepEqual(told, []);
  });

  test('the same definition is the same version, whatever the order of its keys; another mapping is another', async () => {
    const folder = await mkdtemp(path.join(place, 'items-'));
    await cp(ITEMS, folder, { recursive: true });
    const versions = async () => (await loadItems(folder)).definitions.map(({ version }) => version);
    const first = await versions();
    assert.ok(first.every((version) => /^[0-9a-f]{16}$/.test(version)));
    const file = path.join(folder, 'birth', 'item.json');
    const item = Object.entries(JSON.parse(await readFile(file, 'utf8')) as JsonObject);
    await writeFile(file, JSON.stringify(Object.fromEntries(item.reverse())));
    assert.deepEqual(await versions(), first);
    await writeFile(path.join(folder, 'birth', '03-card.jsonata'), '{}');
    assert.deepEqual(
      (await versions()).map((version, at) => version === first[at]),
      [false, true, true, true],
    );
  });
});
