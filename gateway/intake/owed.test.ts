import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { loadItems } from '../../config/items.ts';
import type { CaseRecord, Owed } from '../../contracts/ports/case.ts';
import type { Certificate } from '../../contracts/ports/certificate.ts';
import type { Contracts } from '../../contracts/ports/contract.ts';
import type { Facts, Item } from '../../contracts/ports/item.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { RetrievalRequest, Retrieved } from '../../contracts/ports/retrieval.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import { makeRouting } from '../routing/routing.ts';
import { openStore } from '../store/open.ts';
import { OwedMaterials } from './owed.ts';

const words = (text: string) => ({ zh: text, en: text });
const HOLDER = { name: '张样例', idType: '111', idNo: '331124199001010011' };
const TYPE = '11331124QA0000049U901';
const contracts = { has: () => true, problems: () => [] } as unknown as Contracts;

const certificate: Certificate = {
  type: TYPE,
  identifier: null,
  number: '1',
  title: '户口簿',
  holder: HOLDER,
  state: '01',
  issuer: '松阳县样例局',
  validFrom: null,
  validTo: null,
  fields: {},
};

/** Two steps in a row; the second needs what is owed. */
const item = {
  code: 'item',
  title: words('item'),
  basis: 'law',
  materials: [],
  rules: [],
  route: ['01', '02'].map((no, at) => ({
    no,
    title: words(no),
    party: `office-${no}`,
    contract: 'office.work@1',
    after: at === 0 ? [] : ['01'],
    blocking: true,
    map: async (facts: Facts) => ({ certificates: facts.certificates.map((one) => one.certificate.type) }),
  })),
} as unknown as Item;

async function owing(t: TestContext) {
  const clock = new HandClock();
  const store = await openStore({ file: ':memory:', clock, log: silent });
  t.after(() => store.close());
  const catalogue = { get: () => item, list: () => [item] };
  const routing = makeRouting({
    catalogue,
    contracts,
    clock,
    window: 'window',
    deliverable: (_party, contract) => ({ contract, result: null, replies: 'never' }),
    hashOf: (idNo) => idNo,
    log: silent,
  });
  const now = clock.now();
  const owed: Owed = {
    material: 'M1',
    title: words('户口簿'),
    type: TYPE,
    holder: HOLDER,
    steps: ['02'],
    since: now,
    due: { at: now + 10_000, provisional: false },
    reason: { code: 'fault', ...words('away') },
    told: false,
  };
  const { record } = await store.accept({
    applicationNo: 'A1',
    appKey: 'window-1',
    bodyHash: 'h',
    numberPrefix: '331124261123',
    async open(caseNo) {
      const opened: CaseRecord = {
        caseNo,
        appKey: 'window-1',
        queryCode: '000000',
        submission: {
          applicationNo: 'A1',
          itemCode: 'item',
          channel: 'window',
          applicant: {},
          form: {},
          materials: [],
        },
        itemVersion: null,
        certificates: [],
        owed: [owed],
        traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
        state: 'ACCEPTED',
        steps: item.route.map(({ no, title, party, contract, blocking }) => ({
          no,
          title,
          party,
          contract,
          blocking,
          state: 'PENDING',
          revision: 1,
          number: null,
          result: null,
          reason: null,
          since: now,
          heardAt: null,
          resumesAt: null,
        })),
        acceptedAt: now,
        promisedBy: { at: now, provisional: false },
        statutoryBy: { at: now, provisional: false },
        decision: null,
        held: null,
        messages: 0,
      };
      return { record: opened, change: await routing.opened(opened) };
    },
  });
  const said: { state: Retrieved['state']; code?: string } = { state: 'unavailable', code: 'fault' };
  const asked: RetrievalRequest[] = [];
  const materials = new OwedMaterials({
    store,
    routing,
    catalogue,
    clock,
    log: silent,
    certificates: {
      async retrieve(request) {
        asked.push(request);
        return (request.holders ?? []).map(
          (holder) =>
            ({
              type: TYPE,
              holder,
              state: said.state,
              ...(said.state === 'found' ? { certificate } : { reason: { code: said.code ?? '', ...words('') } }),
            }) as unknown as Retrieved,
        );
      },
    },
    settings: { owedSweepMs: 100, owedAfterMs: [1_000, 5_000], certificateTimeMs: 100 },
  });
  const { caseNo } = record;
  const look = async () => (await store.caseOf(caseNo)) as CaseRecord;
  const told = async () =>
    (await store.envelopes({ party: 'window', limit: 100 })).rows
      .map(({ envelope }) => envelope.contract)
      .filter((contract) => contract === 'case.correction@1').length;
  /** The first step is done, so that only what is owed keeps the second back. */
  const [lease] = await store.lease({ lanes: [{ lane: 'office-01', limit: 1 }], forMs: 1_000, now: clock.now() });
  if (lease === undefined) throw new Error('the first step was not sent');
  const receipt = { number: 'N1', duplicate: false };
  await store.delivered(lease, receipt, routing.delivered(lease.envelope, receipt), null);
  return { clock, store, routing, materials, said, asked, caseNo, look, told };
}

describe('materials that a case owes', () => {
  test('keep back the step that needs them, and no other', async (t) => {
    const { look } = await owing(t);
    const { steps } = await look();
    assert.deepEqual(
      steps.map(({ state, reason }) => [state, reason?.code ?? null]),
      [
        ['DONE', null],
        ['PENDING', 'materialOwed'],
      ],
    );
  });

  test('are asked for on schedule, by the case, and by nobody else at the same time', async (t) => {
    const { clock, materials, asked, caseNo } = await owing(t);
    await Promise.all([materials.sweep(), materials.sweep()]);
    assert.equal(asked.length, 1);
    assert.equal(asked[0]?.purpose.caseNo, caseNo);
    clock.move(999);
    await materials.sweep();
    assert.equal(asked.length, 1);
    clock.move(1);
    await materials.sweep();
    assert.equal(asked.length, 2);
  });

  test('come by themselves: the step begins with them, nobody types anything again', async (t) => {
    const { materials, said, look, store } = await owing(t);
    said.state = 'found';
    await materials.sweep();
    const { owed, certificates, steps } = await look();
    assert.deepEqual([owed.length, certificates.length, steps[1]?.state], [0, 1, 'SENT']);
    const { rows } = await store.envelopes({ party: 'office-02', limit: 10 });
    assert.deepEqual(rows[0]?.envelope.body, { certificates: [TYPE] });
    assert.deepEqual(await store.owing({ limit: 10, now: Number.MAX_SAFE_INTEGER, scheduleMs: [1] }), []);
  });

  test('when their time is over the clerk is told, once; what comes after that still counts', async (t) => {
    const { clock, materials, said, look, told } = await owing(t);
    await materials.sweep();
    assert.equal(await told(), 0);
    clock.move(10_000);
    await materials.sweep();
    assert.deepEqual([await told(), (await look()).state, (await look()).owed[0]?.told], [1, 'CORRECTING', true]);
    clock.move(10_000);
    await materials.sweep();
    assert.equal(await told(), 1);
    said.state = 'found';
    clock.move(10_000);
    await materials.sweep();
    const { state, steps } = await look();
    assert.deepEqual([state, steps[1]?.state], ['HANDLING', 'SENT']);
  });

  test('where every source has searched and none holds it, the clerk is told at once', async (t) => {
    const { materials, said, told, look } = await owing(t);
    Object.assign(said, { state: 'none', code: 'noData' });
    await materials.sweep();
    assert.deepEqual([await told(), (await look()).state], [1, 'CORRECTING']);
  });

  test('brought by the applicant: owed no more', async (t) => {
    const { clock, store, routing, materials, caseNo, look } = await owing(t);
    clock.move(10_000);
    await materials.sweep();
    const { submission } = await look();
    const brought = { ...submission, materials: [{ code: 'M1', name: '户口簿', digest: 'ab'.repeat(32) }] };
    await store.changed(caseNo, routing.supplied(brought, await look()));
    const { state, owed, steps } = await look();
    assert.deepEqual([state, owed.length, steps[1]?.state], ['HANDLING', 0, 'SENT']);
    await assert.rejects(store.changed(caseNo, routing.supplied(brought, await look())), { status: 409 });
  });

  test('of a case that is withdrawn are nobody’s any more', async (t) => {
    const { clock, store, routing, materials, caseNo, look, asked } = await owing(t);
    await store.changed(caseNo, routing.withdrawn('window-1', '不办了'));
    clock.move(100_000);
    await materials.sweep();
    assert.deepEqual([(await look()).owed, asked.length], [[], 0]);
  });
});

test('the shipped items say what may happen for steps that exist', async () => {
  const catalogue = await loadItems(new URL('../../config/items', import.meta.url).pathname);
  const later = catalogue
    .list()
    .flatMap(({ materials }) => materials.flatMap(({ certificate }) => certificate?.whenDown ?? []));
  assert.ok(later.some(({ do: what }) => what === 'later') && later.some(({ do: what }) => what === 'asOf'));
});
