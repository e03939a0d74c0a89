import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Json, JsonObject } from '../contracts/ports/envelope.ts';
import type { Facts, Item } from '../contracts/ports/item.ts';
import { CatalogueError, loadItems } from './items.ts';

const ITEMS = fileURLToPath(new URL('./items', import.meta.url));

describe('the catalogue as it is shipped', () => {
  test('has the four items, their codes and times', async () => {
    const catalogue = await loadItems(ITEMS);
    const told = catalogue
      .list()
      .map(({ code, promised, statutory }) => `${code} ${promised.limit} ${statutory.limit}`);
    assert.deepEqual(told.sort(), [
      '11331124QA0000049U433070900200101 0 3',
      '11331124QA0000057N433071500400501 1 30',
      '11331124QA0000065H433203000500101 0 10',
      '11331124QA00000817433201400100401 1 10',
    ]);
    assert.equal(catalogue.get('11331124QA0000057N433071500400501')?.form, 'form.house-transfer@1');
    assert.equal(catalogue.get('nothing'), undefined);
  });

  test('names every party it needs, so that a missing one is told', async () => {
    await assert.rejects(loadItems(ITEMS, { parties: ['tax', 'real-estate', 'public-security'] }), (error) => {
      assert.ok(error instanceof CatalogueError);
      assert.ok(
        error.mistakes.includes('house-transfer/item.json /route/0/party: there is no party housing-construction'),
      );
      assert.ok(error.mistakes.some((mistake) => mistake.startsWith('birth/item.json /route/1/party')));
      return true;
    });
  });
});

describe('an item', () => {
  let folder: string;
  let whole: JsonObject;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'items-'));
    whole = JSON.parse(await readFile(path.join(ITEMS, 'deed-tax', 'item.json'), 'utf8'));
  });
  after(() => rm(folder, { recursive: true }));

  /** One folder with the deed-tax item, its item.json changed by `change`. */
  async function catalogue(name: string, change: (item: JsonObject) => Json | string): Promise<string> {
    const place = path.join(folder, name);
    await mkdir(place);
    await cp(path.join(ITEMS, 'deed-tax'), path.join(place, 'one'), { recursive: true });
    const changed = change(structuredClone(whole));
    const text = typeof changed === 'string' ? changed : JSON.stringify(changed);
    await writeFile(path.join(place, 'one', 'item.json'), text);
    return place;
  }
  async function mistakes(place: string): Promise<readonly string[]> {
    return loadItems(place).then(
      () => assert.fail('loaded'),
      (error: unknown) => {
        assert.ok(error instanceof CatalogueError, String(error));
        return error.mistakes;
      },
    );
  }

  test('tells all its mistakes at once, each with its place', async () => {
    const place = await catalogue('many', (item) => ({
      ...item,
      materials: [
        { code: '5-02', title: { zh: '甲', en: 'a' }, from: 'certificate', required: true },
        { code: '5-02', title: { zh: '甲', en: 'a' }, from: 'upload', required: true, when: 'form.(' },
      ],
      rules: [{ pointer: '/form', code: 'never', words: { zh: '甲', en: 'a' }, holds: '$now() > 1' }],
      route: [
        {
          no: '01',
          title: { zh: '甲', en: 'a' },
          party: 'tax',
          contract: 'tax.house-deed@1',
          after: ['02'],
          blocking: true,
          map: 'gone.jsonata',
        },
        {
          no: '02',
          title: { zh: '甲', en: 'a' },
          party: 'tax',
          contract: 'tax.house-deed@1',
          after: ['01', '09'],
          blocking: true,
          map: '../../secret.jsonata',
        },
      ],
    }));
    const told = await mistakes(place);
    for (const expected of [
      /^one\/item\.json \/materials\/0: says no certificate$/,
      /^one\/item\.json \/materials\/1\/code: material 5-02 stands twice$/,
      /^one\/item\.json \/materials\/1\/when: not a mapping/,
      /^one\/item\.json \/rules\/0\/holds: \$now is not allowed/,
      /^one\/item\.json \/route\/0\/after: step 01 waits for itself$/,
      /^one\/item\.json \/route\/1\/after: step 02 waits for itself$/,
      /^one\/item\.json \/route\/1\/after\/1: there is no step 09$/,
      /^one\/item\.json \/route\/0\/map: there is no file gone\.jsonata beside item\.json$/,
      /^one\/item\.json \/route\/1\/map: there is no file \.\.\/\.\.\/secret\.jsonata beside item\.json$/,
    ]) {
      assert.ok(
        told.some((mistake) => expected.test(mistake)),
        `${expected} in\n${told.join('\n')}`,
      );
    }
    assert.equal(told.length, 9, told.join('\n'));
  });

  test('tells what is not of its shape', async () => {
    const place = await catalogue('shape', ({ title: _, ...item }) => ({
      ...item,
      promised: { limit: '1', unit: 'weeks' },
      nonsense: 1,
    }));
    const told = (await mistakes(place)).map((mistake) => mistake.split(':')[0]).sort();
    assert.deepEqual(told, [
      'one/item.json /nonsense',
      'one/item.json /promised/limit',
      'one/item.json /promised/unit',
      'one/item.json /title',
    ]);
  });

  test('tells a wrong check digit, and a code that is not its owner’s', async () => {
    const wrong = await catalogue('check', (item) => ({ ...item, code: '11331124QA0000065J433203000500101' }));
    assert.match((await mistakes(wrong)).join('\n'), /^one\/item\.json \/code: /);
    const foreign = await catalogue('owner', (item) => ({ ...item, code: '11331124QA0000057N433203000500101' }));
    assert.deepEqual(await mistakes(foreign), [
      'one/item.json /code: does not begin with the credit code of its owner',
    ]);
  });

  test('tells a file that is not JSON, one that is not there, and a code used twice', async () => {
    assert.match((await mistakes(await catalogue('text', () => '{"code": '))).join(), /^one\/item\.json: not JSON/);
    const two = await catalogue('two', (item) => item);
    await cp(path.join(two, 'one'), path.join(two, 'second'), { recursive: true });
    await mkdir(path.join(two, 'third'));
    assert.deepEqual([...(await mistakes(two))].sort(), [
      'second/item.json /code: another item has this code too',
      'third/item.json: cannot be read',
    ]);
    await mkdir(path.join(folder, 'empty'));
    assert.match((await mistakes(path.join(folder, 'empty'))).join(), /holds no item$/);
    assert.match((await mistakes(path.join(folder, 'absent'))).join(), /cannot be read \(ENOENT\)$/);
  });

  const facts = (form: JsonObject): Facts => ({
    case: { caseNo: '', applicationNo: 'a', itemCode: 'b', channel: 'window', acceptedAt: 0 },
    applicant: {},
    agent: null,
    form,
    materials: [],
    certificates: [],
    steps: {},
  });

  test('takes only true for true', async () => {
    const place = await catalogue('truth', (item) => ({
      ...item,
      rules: ['form.x', 'true', '"true"', '1', 'form.list', '[true]', 'null'].map((holds) => ({
        pointer: '',
        code: 'rule',
        words: { zh: '甲', en: 'a' },
        holds,
      })),
    }));
    const [item] = (await loadItems(place)).list();
    const values = await Promise.all((item as Item).rules.map(({ holds }) => holds(facts({ list: [true, true] }))));
    assert.deepEqual(values, [false, true, false, false, false, false, false]);
  });

  test('makes a list of holders, each once, and no more of them than who they are', async () => {
    const place = await catalogue('holders', (item) => ({
      ...item,
      materials: (item.materials as JsonObject[]).map((material) => ({
        ...material,
        ...(material.from === 'certificate'
          ? { certificate: { ...(material.certificate as JsonObject), holders: 'form.people', hints: 'form.hints' } }
          : {}),
      })),
    }));
    const [item] = (await loadItems(place)).list();
    const certificate = item?.materials[0]?.certificate;
    assert.ok(certificate?.hints);
    const one = { name: '张样例', idNo: '331124199001010011', mobile: '13900000005' };
    const asked = { name: '张样例', idType: '111', idNo: '331124199001010011' };
    assert.deepEqual(await certificate.holders(facts({ people: one })), [asked]);
    assert.deepEqual(await certificate.holders(facts({ people: [one, { ...one, share: '1' }, 'x', { name: 'y' }] })), [
      asked,
    ]);
    assert.deepEqual(await certificate.holders(facts({})), []);
    assert.deepEqual(await certificate.hints(facts({})), {});
    await assert.rejects(certificate.hints(facts({ hints: '331124199001010011' })), (error: Error) => {
      assert.match(error.message, /did not give an object/);
      assert.doesNotMatch(error.message, /331124199001010011/);
      return true;
    });
  });
});
