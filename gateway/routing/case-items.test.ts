import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { compileStoredItem } from '../../config/stored-item.ts';
import type { CaseRecord } from '../../contracts/ports/case.ts';
import type { Item } from '../../contracts/ports/item.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import { newCase } from '../../test/support/sample-case.ts';
import { makeContracts } from '../contracts/registry.ts';
import { openStore } from '../store/open.ts';
import { CaseItems } from './case-items.ts';
import { makeRouting } from './routing.ts';

const CODE = '11331124QA0000065H433203000500101';
const words = (text: string) => ({ zh: text, en: text });
const contract = (name: string) => ({ name, title: words(name), schema: { $id: name, type: 'object' } });
const step = (no: string, party: string, after: string[]) => ({
  no,
  title: words(no),
  party,
  contract: `${party}.work@1`,
  after,
  blocking: true,
  map: `${no}.jsonata`,
});
const ITEM = {
  code: CODE,
  title: words('item'),
  area: words('area'),
  owner: { name: '松阳县税务局', uscc: '11331124QA0000065H' },
  form: 'form@1',
  promised: { limit: 1, unit: 'wd' },
  statutory: { limit: 1, unit: 'wd' },
  basis: 'law',
  materials: [],
  rules: [],
  route: [step('01', 'tea-office', []), step('02', 'dairy', ['01'])],
};
const MAPPINGS = { '01.jsonata': '{"of": form.of}', '02.jsonata': '{"of": steps."01".result.of}' };

interface Now {
  readonly parties?: readonly string[];
  readonly contracts?: readonly string[];
  readonly definition?: string;
}

/** A case that began under a version that is only in the store; `now` is what is left of what it names. */
async function begun(t: TestContext, now: Now = {}) {
  const { parties = ['tea-office', 'dairy'], definition = JSON.stringify({ item: ITEM, mappings: MAPPINGS }) } = now;
  const clock = new HandClock();
  const errors: string[] = [];
  const warnings: unknown[] = [];
  const log = {
    ...silent,
    error: (message: string, fields: object = {}) => void errors.push(`${message} ${JSON.stringify(fields)}`),
    warn: (_message: string, fields: object = {}) => void warnings.push(fields),
  };
  const contracts = makeContracts((now.contracts ?? ['tea-office.work@1', 'dairy.work@1']).map(contract));
  const store = await openStore({ file: ':memory:', clock, log: silent });
  t.after(() => store.close());
  await store.keepItemVersions([{ code: CODE, version: 'v1', definition }], clock.now());
  const sample = newCase({ applicationNo: 'A1', itemCode: CODE, parties: ['tea-office', 'dairy'], sends: [] });
  const { record } = await store.accept({
    ...sample,
    async open(caseNo) {
      const { record: opened, change } = await sample.open(caseNo);
      return { record: { ...opened, itemVersion: 'v1' }, change };
    },
  });
  const known = { parties, contracts };
  const none = { get: () => undefined, list: () => [] };
  const items = new CaseItems({
    catalogue: none,
    store,
    compile: (stored) => compileStoredItem(stored, known),
    log,
  });
  const routing = makeRouting({
    catalogue: items,
    contracts,
    clock,
    window: 'window',
    deliverable: (_party, name) => ({ contract: name, result: null, replies: 'later' }),
    hashOf: (idNo) => idNo,
    log,
  });
  /** The first department is done. */
  const answered = async (from: CaseRecord = record) => {
    const envelope = {
      id: `${record.caseNo}-01`,
      caseNo: record.caseNo,
      stepNo: '01',
      to: 'tea-office',
      contract: 'tea-office.work@1',
      body: {},
      traceparent: record.traceparent,
      createdAt: 1,
    };
    const answer = { outcome: 'done' as const, result: { of: 'milk' } };
    const message = { from: 'tea-office', about: { key: envelope.id }, dedupe: 'd', at: 2, answer };
    return routing.answered(envelope, message)(from);
  };
  return { store, record, items, answered, errors, warnings, clock };
}

test('a case whose item was taken out of the catalogue goes on under the version that it began with', async (t) => {
  const { answered, items, warnings, errors } = await begun(t);
  await items.prepare();
  assert.deepEqual(warnings, [{ item: CODE, version: 'v1', current: null, cases: 1 }]);
  const { outbox } = await answered();
  const sent = outbox.find(({ stepNo }) => stepNo === '02');
  assert.deepEqual([sent?.to, sent?.body, sent?.parked], ['dairy', { of: 'milk' }, undefined]);
  assert.deepEqual(errors, []);
});

for (const [what, now, reason] of [
  ['its party is gone', { parties: ['tea-office'] }, 'step 02: there is no party dairy any more'],
  ['its contract vanished', { contracts: ['tea-office.work@1'] }, 'step 02: contract dairy.work@1 is not published'],
  [
    'its expression does not compile any more',
    { definition: JSON.stringify({ item: ITEM, mappings: { ...MAPPINGS, '02.jsonata': '{"of": $eval("1")}' } }) },
    `the expression /route/1/map of item ${CODE} can no longer be used`,
  ],
  [
    'its mapping is lost',
    { definition: JSON.stringify({ item: ITEM, mappings: { '01.jsonata': '{}' } }) },
    `the expression /route/1/map of item ${CODE} can no longer be used`,
  ],
  ['its definition cannot be read', { definition: '{"item": {}}' }, `version v1 of item ${CODE} can no longer be read`],
] as const) {
  test(`a case whose earlier version cannot be used, since ${what}, is put before a person, and an error is logged once`, async (t) => {
    const { answered, errors } = await begun(t, now);
    const change = await answered();
    const parked = change.outbox.find(({ stepNo }) => stepNo === '02');
    assert.deepEqual([parked?.parked?.kind, parked?.parked?.reason.en], ['malformed', reason]);
    const next = change.steps?.find(({ no }) => no === '02');
    assert.deepEqual([next?.state, next?.reason?.en], ['PARKED', reason]);
    assert.ok(/[\u4e00-\u9fff]/.test(next?.reason?.zh ?? ''));
    assert.equal(change.steps?.find(({ no }) => no === '01')?.state, 'DONE', 'what the department said is kept');
    await answered();
    const cannot = errors.filter((line) => line.startsWith('running cases'));
    assert.equal(cannot.length, 1, errors.join('\n'));
    assert.ok(cannot[0]?.includes(reason), cannot[0]);
  });
}

test('a case of before there were versions follows the newest that is stored; one that is stored nowhere is put before a person', async (t) => {
  const { answered, record, store, clock } = await begun(t);
  const newer = { item: ITEM, mappings: { ...MAPPINGS, '02.jsonata': '{"of": "newer"}' } };
  await store.keepItemVersions([{ code: CODE, version: 'v2', definition: JSON.stringify(newer) }], clock.now() + 1);
  const { outbox } = await answered({ ...record, itemVersion: null });
  assert.deepEqual(outbox.find(({ stepNo }) => stepNo === '02')?.body, { of: 'newer' });
  const gone = await answered({ ...record, itemVersion: 'v9' });
  assert.equal(
    gone.outbox.find(({ stepNo }) => stepNo === '02')?.parked?.reason.en,
    `item ${CODE} (version v9) is neither in the catalogue nor in the store`,
  );
});

test('a step that waits for a material, or for another step, is not put before a person too early', async (t) => {
  const { answered, record } = await begun(t, { definition: '{}' });
  const owed = {
    material: 'M1',
    title: words('M1'),
    type: 'T',
    holder: { name: '样例', idType: '111', idNo: '1' },
    steps: ['02'],
  };
  const more = {
    since: 1,
    due: { at: 9, provisional: false },
    reason: { code: 'away', ...words('away') },
    told: false,
  };
  const change = await answered({ ...record, owed: [{ ...owed, ...more }] });
  assert.deepEqual(
    change.outbox.filter(({ stepNo }) => stepNo !== null),
    [],
  );
});

test('a step that the current item does not have is put before a person, and does not wait for ever', async (t) => {
  const { record, clock } = await begun(t);
  const { item } = compileStoredItem(
    {
      code: CODE,
      version: 'v3',
      definition: JSON.stringify({ item: { ...ITEM, route: ITEM.route.slice(0, 1) }, mappings: MAPPINGS }),
    },
    {},
  );
  const current: Item = item;
  const routing = makeRouting({
    catalogue: { get: () => current, list: () => [current] },
    contracts: makeContracts([contract('tea-office.work@1')]),
    clock,
    window: 'window',
    deliverable: () => undefined,
    hashOf: (idNo) => idNo,
    log: silent,
  });
  const { outbox } = await routing.opened({
    ...record,
    steps: record.steps.map((each) => ({ ...each, state: 'PENDING' })),
  });
  const parked = outbox.find(({ stepNo }) => stepNo === '02');
  assert.equal(parked?.parked?.reason.code, 'stepGone');
});
