import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { compileExpression } from '../../config/expression.ts';
import { loadItems } from '../../config/items.ts';
import { loadContracts } from '../../contracts/load.ts';
import type { Measured, TextLimit } from '../../contracts/ports/adapter.ts';
import type { Problem, PublishedContract } from '../../contracts/ports/contract.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Facts, Item, RouteStep } from '../../contracts/ports/item.ts';
import { houseTransfer } from '../../test/support/submissions.ts';
import { departmentLimits } from './limits.ts';

const root = path.join(import.meta.dirname, '..', '..');
const ours = await loadContracts(path.join(root, 'contracts', 'schemas'));
const estate = await loadContracts(path.join(root, 'adapters', 'real-estate', 'schemas'));
const utilities = await loadContracts(path.join(root, 'adapters', 'utilities', 'schemas'));
const catalogue = await loadItems(path.join(root, 'config', 'items'));
const house = catalogue.list().find(({ form }) => form === 'form.house-transfer@1') ?? assert.fail();

/** A record of `maxBytes`, in which every character takes one. */
const limit = (pointer: string, maxBytes: number): TextLimit => ({
  pointer,
  encoding: 'ONE',
  maxBytes,
  bytesPerHan: 1,
  measure: (text): Measured => ({ bytes: Array.from(text).length, notHeld: [] }),
});
const facts = (form: JsonObject, steps: Facts['steps'] = {}): Facts => ({
  case: { caseNo: '', applicationNo: '1', itemCode: '1', channel: 'window', acceptedAt: 0 },
  applicant: { name: '申请人样例' },
  agent: null,
  form,
  materials: [],
  certificates: [],
  steps,
});
const short = (problems: readonly Problem[]) => problems.map(({ pointer, code }) => `${pointer} ${code}`);

function departments(
  item: Item,
  limits: { readonly [contract: string]: readonly TextLimit[] },
  more: PublishedContract[] = [],
) {
  return departmentLimits({
    catalogue: { get: () => item, list: () => [item] },
    contracts: [...ours, ...estate, ...utilities, ...more],
    taker: (party, contract) => ({
      title: { zh: party, en: party },
      deliverable: { contract, replies: 'later', result: null, limits: limits[contract] ?? [] },
    }),
  });
}

describe('what a department cannot hold, told by the fields of the form', () => {
  const form = houseTransfer().form as { [key: string]: JsonObject[] };
  const long = '样'.repeat(11);
  const sellers = [
    { ...form.sellers?.[0], name: long },
    { ...form.sellers?.[1], name: long },
  ] as JsonObject[];

  test('in a list each member by its own place, and where a mapping takes the first alone, that one alone', async () => {
    const both = await departments(house, { 'real-estate.transfer@1': [limit('/sellers/*/name', 10)] });
    assert.deepEqual(short(await both.problems(house, facts({ ...form, sellers }), [])), [
      '/form/sellers/0/name tooLongForDepartment',
      '/form/sellers/1/name tooLongForDepartment',
    ]);
    const first = await departments(house, { 'utilities.transfer@1': [limit('/oldOwner/name', 10)] });
    assert.deepEqual(short(await first.problems(house, facts({ ...form, sellers }), [])), [
      '/form/sellers/0/name tooLongForDepartment',
    ]);
    const ofOne = await departments(house, { 'real-estate.transfer@1': [limit('/sellers/1/name', 10)] });
    assert.deepEqual(short(await ofOne.problems(house, facts({ ...form, sellers }), [])), [
      '/form/sellers/1/name tooLongForDepartment',
    ]);
  });

  test('of a case on its way only the steps that are still to come', async () => {
    const limits = await departments(house, { 'real-estate.transfer@1': [limit('/sellers/*/name', 10)] });
    const rest = (no: string): Item => ({ ...house, route: house.route.filter((step) => step.no > no) });
    const found = async (no: string) => short(await limits.problems(rest(no), facts({ ...form, sellers }), []));
    assert.equal((await found('02')).length, 2);
    assert.deepEqual(await found('03'), []);
  });

  test('nothing more is said of what is wrong already, but for what nobody sees in it', async () => {
    const limits = await departments(house, { 'real-estate.transfer@1': [limit('/sellers/*/name', 10)] });
    const wrong = (pointer: string, code: string): Problem[] => [{ pointer, code, zh: '', en: '' }];
    const told = async (name: string, problems: Problem[]) =>
      short(await limits.problems(house, facts({ ...form, sellers: [{ ...sellers[0], name }] }), problems));
    assert.deepEqual(await told(long, wrong('/form/sellers/0/name', 'maxLength')), []);
    assert.deepEqual(await told(long, wrong('/form', 'required')), []);
    assert.equal((await told(long, wrong('/form', 'unknownField'))).length, 1);
    assert.equal((await told(long, wrong('/form/sellers/0/idNo', 'required'))).length, 1);
    assert.deepEqual(await told(`${'样'.repeat(10)}\u200b`, wrong('/form/sellers/0/name', 'characterNotAllowed')), []);
    assert.equal((await told(`${long}\u200b`, wrong('/form/sellers/0/name', 'characterNotAllowed'))).length, 1);
  });

  describe('by an item of its own', () => {
    const contract: PublishedContract = {
      name: 'hall.note@1',
      title: { zh: '样例', en: 'Sample' },
      schema: {
        $id: 'hall.note@1',
        type: 'object',
        properties: {
          text: { type: 'string', maxLength: 200 },
          street: { type: 'string', pattern: '^[^!]*$', 'x-expects': { zh: '没有叹号', en: 'no exclamation mark' } },
        },
      },
    };
    const step = (map: string, when?: string): RouteStep => ({
      no: '01',
      title: { zh: '样例', en: 'Sample' },
      party: 'hall',
      contract: 'hall.note@1',
      after: [],
      blocking: true,
      map: compileExpression.body('map', map),
      ...(when === undefined ? {} : { when: compileExpression.holds('when', when) }),
    });
    const told = async (map: string, over: JsonObject, when?: string, steps: Facts['steps'] = {}) => {
      const item: Item = { ...house, route: [step(map, when)] };
      const limits = await departments(item, { 'hall.note@1': [limit('/text', 5)] }, [contract]);
      return short(await limits.problems(item, facts({ ...form, ...over } as JsonObject, steps), []));
    };
    const address = { houseAddress: '松阳县西屏街道' };

    test('a text that is sent as it is, and one that the mapping changes, joins or leaves out', async () => {
      assert.deepEqual(await told('{"text": form.houseAddress}', address), ['/form/houseAddress tooLongForDepartment']);
      assert.deepEqual(await told('{"text": $substring(form.houseAddress, 0, 3)}', address), []);
      assert.deepEqual(await told('{"text": "1" & form.houseAddress}', address), []);
      assert.deepEqual(await told('{"text": "x"}', address), []);
    });

    test('a choice of the form: told of the field that this form sends', async () => {
      const map = '{"text": form.deliveryMode = "ems" ? form.houseAddress : form.contractNo}';
      assert.deepEqual(await told(map, { ...address, deliveryMode: 'ems' }), [
        '/form/houseAddress tooLongForDepartment',
      ]);
      assert.deepEqual(await told(map, { ...address, deliveryMode: 'window' }), [
        '/form/contractNo tooLongForDepartment',
      ]);
    });

    test('a choice by what an amount comes to: told only where this form sends the text', async () => {
      const map = '{"text": $number(form.price) > 1000000 ? form.houseAddress : "x"}';
      assert.deepEqual(await told(map, { ...address, price: '999999.00' }), []);
    });

    test('what hangs on an earlier step is not told before it', async () => {
      assert.deepEqual(await told('{"text": steps."01".state ? "x" : form.houseAddress}', address), []);
      assert.deepEqual(await told('{"text": form.houseAddress}', address, 'steps."02".state != "DONE"'), []);
      assert.deepEqual(await told('{"text": form.houseAddress}', address, 'form.price != "1250000.00"'), []);
      assert.deepEqual(await told('{"text": form.houseAddress}', address, 'form.price = "1250000.00"'), [
        '/form/houseAddress tooLongForDepartment',
      ]);
    });

    test('what the contract asks and the form does not, in the words of the contract', async () => {
      const item: Item = { ...house, route: [step('{"street": form.houseAddress}')] };
      const limits = await departments(item, {}, [contract]);
      const [problem, ...more] = await limits.problems(item, facts({ ...form, houseAddress: '样例路!' }), []);
      assert.deepEqual(more, []);
      assert.deepEqual(problem, {
        pointer: '/form/houseAddress',
        code: 'notTakenByDepartment',
        zh: 'hall的系统不接受此处内容：应为没有叹号',
        en: 'the system of hall does not take this: expected no exclamation mark',
      });
    });

    test('also of the applicant, who is no part of the form', async () => {
      const item: Item = { ...house, route: [step('{"text": applicant.name}')] };
      const limits = await departments(item, { 'hall.note@1': [limit('/text', 4)] }, [contract]);
      assert.deepEqual(short(await limits.problems(item, facts(form), [])), ['/applicant/name tooLongForDepartment']);
    });
  });
});
