import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { before, describe, test } from 'node:test';
import { schemaCompiler } from '../../contracts/compile.ts';
import { loadContracts } from '../../contracts/load.ts';
import type { CaseRecord, EnvelopeView, Step } from '../../contracts/ports/case.ts';
import type { Certificate, LedgerEntry } from '../../contracts/ports/certificate.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Item } from '../../contracts/ports/item.ts';
import type { Retrieved } from '../../contracts/ports/retrieval.ts';
import type { DepartmentView } from '../../contracts/ports/services.ts';
import { problemDetails } from './problems.ts';
import { schemaDocuments } from './schemas.ts';
import {
  acceptedView,
  caseRow,
  caseView,
  departmentView,
  envelopeRow,
  envelopeView,
  eventView,
  itemView,
  keptView,
  ledgerView,
  mandateView,
  materialsView,
  messageEndView,
  retrievalView,
  verificationView,
} from './views.ts';

/** 2026-11-23 09:00:00.000 +08:00. */
const AT = Date.UTC(2026, 10, 23, 1);
const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const words = (zh: string, en: string) => ({ zh, en });
const holder = { name: '张样例', idType: '111', idNo: '331124199001010011' };
const busy = { code: 'E-17', ...words('系统维护', 'maintenance') };

/** Something inside that no view may let out. */
const inner = { internal: 'must not leave' };

const certificate: Certificate = {
  type: '11100000000013127D001',
  identifier: null,
  number: '331124199001010011',
  title: '居民身份证',
  holder,
  state: '01',
  issuer: '松阳县样例局',
  validFrom: '20200101',
  validTo: '20400101',
  metadata: { issuerCode: '11331124QA0000049U', issuedOn: '20191231', areaCode: '331124', version: '001' },
  fields: { address: '松阳县西屏街道样例路1号' },
};

const step = (no: string, more: Partial<Step>): Step => ({
  no,
  title: words('核验', 'Check'),
  party: 'tea-office',
  contract: 'tea-office.work@1',
  blocking: true,
  state: 'PENDING',
  revision: 1,
  number: null,
  result: null,
  reason: null,
  since: AT,
  heardAt: null,
  resumesAt: null,
  ...inner,
  ...more,
});

const record = {
  caseNo: '331124261123000001',
  itemVersion: null,
  appKey: 'window-1',
  queryCode: '123456',
  submission: {
    applicationNo: 'YC-1',
    itemCode: '11331124QA0000057N433071500400501',
    channel: 'window',
    applicant: { ...holder, mobile: '13900000005' },
    form: { price: '1250000.00' },
    materials: [],
  },
  certificates: [{ material: '5-02', holder, certificate }],
  owed: [
    {
      material: '5-05',
      title: words('户口簿', 'Household register'),
      type: '11331124QA0000049U901',
      holder,
      steps: ['02'],
      since: AT,
      due: { at: AT + 86_400_000, provisional: false },
      reason: busy,
      told: false,
    },
  ],
  traceparent: TRACE,
  state: 'DECIDED',
  steps: [
    step('01', {
      state: 'DONE',
      number: 'N-1',
      result: { idNo: '331124202611200028', checkNo: 'C-1' },
      heardAt: AT + 1_500,
    }),
    step('02', { party: 'other-office', state: 'WAITING', reason: { ...busy, ...inner }, resumesAt: AT + 60_000 }),
  ],
  acceptedAt: AT,
  promisedBy: { at: AT + 86_400_000, provisional: false },
  statutoryBy: { at: AT + 30 * 86_400_000, provisional: true },
  decision: { outcome: 'refused', by: 'other-office', reason: busy, at: AT + 5_000 },
  held: null,
  messages: 3,
  ...inner,
} as CaseRecord;

const item: Item = {
  code: '11331124QA0000057N433071500400501',
  version: '0123456789abcdef',
  title: words('二手房转移登记', 'Transfer of a second-hand house'),
  area: words('不动产登记', 'Real-estate registration'),
  owner: { name: '松阳县自然资源局', uscc: '11331124QA0000057N' },
  form: 'form.house-transfer@1',
  promised: { limit: 1, unit: 'wd' },
  statutory: { limit: 30, unit: 'wd' },
  basis: '不动产登记暂行条例第十六条',
  materials: [
    {
      code: '5-02',
      title: words('居民身份证', 'Identity card'),
      from: 'certificate',
      required: true,
      certificate: {
        type: '11100000000013127D001',
        title: words('居民身份证', 'Identity card'),
        holders: async () => [],
        sources: ['tea-office'],
        fields: ['name', 'idNo'],
        whenDown: { do: 'later', steps: ['01'], within: { limit: 3, unit: 'wd' } },
      },
    },
    {
      code: '5-04',
      title: words('结婚证', 'Marriage certificate'),
      from: 'upload',
      required: false,
      when: async () => true,
    },
  ],
  route: [
    {
      no: '01',
      title: words('核验', 'Check'),
      party: 'tea-office',
      contract: 'tea-office.work@1',
      after: [],
      blocking: true,
      map: async () => ({}),
    },
  ],
  rules: [],
};

const department: DepartmentView = {
  party: 'tea-office',
  title: words('样例局', 'Sample office'),
  owner: '松阳县样例局',
  version: '1.2.0',
  breakers: {
    deliver: { state: 'open', until: AT + 30_000 },
    query: { state: 'closed', until: null },
    certificates: { state: 'halfOpen', until: null },
  },
  lane: { waiting: 2, inFlight: 1, parked: 1, oldestWaiting: AT, unmatched: 3 },
  paused: { by: 'operator-1', reason: '检修', at: AT },
  away: { since: AT, reason: busy },
  closed: { hours: ['22:00-06:00'], now: true, opensAt: AT + 3_600_000 },
  quota: { calls: 1_000, per: 'day', used: 17 },
  lastSuccess: AT,
  delivers: ['tea-office.work@1'],
  queries: ['blend'],
  certificates: ['11100000000013127D001'],
};

const envelope: EnvelopeView = {
  envelope: {
    id: '331124261123000001-01',
    caseNo: '331124261123000001',
    stepNo: '01',
    to: 'tea-office',
    contract: 'tea-office.work@1',
    body: { contractNo: 'SYFC2026110001', buyers: [{ ...holder, mobile: '13900000005', share: '100.00' }] },
    traceparent: TRACE,
    createdAt: AT,
  },
  state: 'parked',
  attempts: 3,
  notBefore: AT,
  inDoubt: true,
  firstSentAt: AT,
  fault: 'malformed',
  reason: busy,
  number: null,
  updatedAt: AT + 2_000,
};

const found: Retrieved = {
  type: certificate.type,
  material: '5-02',
  title: words('居民身份证', 'Identity card'),
  holder,
  state: 'found',
  source: 'tea-office',
  tried: [{ source: 'tea-office', outcome: 'found', ms: 42 }],
  fetchedAt: AT,
  cached: false,
  freshness: 'live',
  warnings: [],
  certificate,
  file: { useCode: 'c'.repeat(32), mediaType: 'application/pdf', digest: null, expiresAt: AT + 300_000 },
  ledgerId: 'L1',
};
const unavailable: Retrieved = {
  type: certificate.type,
  material: null,
  title: words('居民身份证', 'Identity card'),
  holder,
  state: 'unavailable',
  reason: { code: 'timeout', ...words('来源未按时答复', 'the source did not answer in time') },
  source: null,
  tried: [{ source: 'tea-office', outcome: 'timeout', ms: 8_000 }],
  fetchedAt: null,
  cached: false,
  freshness: null,
  warnings: [],
  ledgerId: 'L2',
};

const file = {
  useCode: 'A'.repeat(32),
  mediaType: 'application/pdf',
  digest: `sm3:${'ab'.repeat(32)}`,
  expiresAt: AT + 300_000,
  ...inner,
} as const;

const mandate = {
  id: 'M1',
  appKey: 'window-1',
  holderMasked: '张* 331124********0011',
  holderHash: 'f'.repeat(64),
  agentMasked: '李* 331124********0023',
  itemCode: item.code,
  types: [certificate.type],
  evidence: 'SY-SQ-2026-000123',
  officerId: 'SY-W07-012',
  from: AT,
  until: AT + 86_400_000,
  revoked: null,
  ...inner,
};

const verification = {
  verdict: 'invalid',
  state: '02',
  type: certificate.type,
  identifier: certificate.identifier,
  source: 'tea-office',
  reason: { code: 'invalid', ...words('不可使用', 'not to be used') },
  asOf: AT,
  warnings: ['vendorCheck'],
  ledgerId: 'L3',
  ...inner,
} as const;

const entry: LedgerEntry & { readonly hash: string } = {
  id: 'L1',
  at: AT,
  phase: 'answered',
  of: 'L0',
  appKey: 'window-1',
  deptUscc: null,
  windowId: 'W07',
  use: 'duty' as const,
  mandateId: null,
  material: '5-02',
  requestId: null,
  cached: false,
  digest: null,
  officerId: 'SY-W07-012',
  caseNo: null,
  applicationNo: 'YC-1',
  itemCode: item.code,
  type: certificate.type,
  holderMasked: '张* 331124********0011',
  holderHash: 'f'.repeat(64),
  basis: '不动产登记暂行条例第十六条',
  channel: 'window',
  source: 'tea-office',
  state: 'found',
  reason: null,
  identifier: null,
  fields: ['address'],
  hash: 'e'.repeat(64),
};

const event = {
  at: AT,
  kind: 'waiting',
  party: 'tea-office',
  stepNo: '01',
  reason: busy,
  detail: { attempt: 2, fault: 'busy', until: AT },
  ...inner,
} as const;
const kept = {
  id: '9c7e0b7a44d25f8836ce91a07db2f4e5',
  from: 'tea-office',
  about: { number: 'N-9' },
  dedupe: 'm-1',
  at: AT,
  answer: { outcome: 'correction', reason: busy, asks: ['/form/price'] },
  receivedAt: AT + 10,
  problem: null,
  ...inner,
} as const;
const unusable = {
  ...kept,
  answer: { outcome: 'done', result: { name: '张样例' } },
  problem: { ...busy, ...inner },
} as const;
const unfit = new Unfit(
  422,
  'unfit',
  words('有 1 处需要更正', '1 thing to mend'),
  [{ pointer: '/form/price', code: 'format.decimal-money', ...words('应为金额', 'expected an amount'), ...inner }],
  60,
);

const organisation: CaseRecord = {
  ...record,
  submission: {
    ...record.submission,
    applicant: { name: '松阳县样例茶叶有限公司', uscc: '91331124MA2A00000P', mobile: '13900000005' },
  },
};

/** Every outward message: its sample, and the schema by which it is published. */
const MESSAGES: { readonly [sample: string]: readonly [schema: string, view: unknown] } = {
  'case-accepted': ['case.accepted@1', acceptedView(record, false)],
  'case-own': ['Case', caseView(record, item, 'plain')],
  'case-masked': ['Case', caseView(record, item, 'masked')],
  'case-of-a-department': ['Case', caseView(record, item, 'masked', 'tea-office')],
  'case-row': ['CaseRow', caseRow(record, undefined, 'masked')],
  'case-row-of-an-organisation': ['CaseRow', caseRow(organisation, item, 'masked')],
  event: ['Event', eventView(event)],
  department: ['Department', departmentView(department)],
  'department-at-rest': [
    'Department',
    departmentView({ ...department, paused: null, away: null, quota: null, lastSuccess: null }),
  ],
  'envelope-row': ['EnvelopeRow', envelopeRow(envelope)],
  envelope: ['Envelope', envelopeView(envelope)],
  'kept-message': ['KeptMessage', keptView(kept)],
  'kept-message-unusable': ['KeptMessage', keptView(unusable)],
  'message-attached': ['MessageEnd', messageEndView(kept.id, 'attached', '331124261123000001-02')],
  'message-discarded': ['MessageEnd', messageEndView(kept.id, 'discarded', null)],
  item: ['Item', itemView(item)],
  'certificates-retrieved': ['certificate.retrieved@1', retrievalView([found, unavailable], 8_000, 'R1')],
  'certificates-with-file': ['certificate.retrieved@1', retrievalView([{ ...found, file }], 80, undefined)],
  materials: ['Materials', materialsView(item, (source) => ({ title: words(source, source), state: 'ready' }))],
  mandate: ['Mandate', mandateView(mandate)],
  'mandate-revoked': ['Mandate', mandateView({ ...mandate, revoked: { at: AT + 1, by: 'window-1', reason: '撤回' } })],
  verification: ['Verification', verificationView(verification)],
  'ledger-entry': ['LedgerEntry', ledgerView(entry)],
  problem: ['problem@1', problemDetails(unfit, TRACE)],
};

const samples = new URL('samples/', import.meta.url);

describe('OpenFn: a reply envelope changed in a release and broke a country’s index', () => {
  let compile: ReturnType<typeof schemaCompiler>;
  before(async () => {
    const contracts = await loadContracts(new URL('../../contracts/schemas', import.meta.url).pathname);
    compile = schemaCompiler({
      schemas: [...schemaDocuments, ...contracts.map(({ schema }) => schema)],
      names: 'shown',
    });
  });

  for (const [name, [schema, view]] of Object.entries(MESSAGES)) {
    test(`${name} leaves as it was released`, async () => {
      const released = JSON.parse(await readFile(new URL(`${name}.json`, samples), 'utf8'));
      assert.deepEqual(
        JSON.parse(JSON.stringify(view)),
        released,
        `an outward message changed. Callers read samples/${name}.json: a field may be added there and in schemas.ts, none may be taken away or mean something else under /v1`,
      );
    });

    test(`${name} is what its schema says, and nothing from inside goes along`, () => {
      assert.deepEqual(compile({ $ref: schema })(JSON.parse(JSON.stringify(view))), []);
      assert.doesNotMatch(JSON.stringify(view), /must not leave|f{64}/);
    });
  }

  test('every sample is somebody’s', async () => {
    assert.deepEqual(
      (await readdir(samples)).sort(),
      Object.keys(MESSAGES)
        .map((name) => `${name}.json`)
        .sort(),
    );
  });

  test('where people are masked, no name, number, telephone or address is left', () => {
    for (const name of [
      'case-masked',
      'case-of-a-department',
      'case-row',
      'envelope',
      'kept-message',
      'kept-message-unusable',
      'ledger-entry',
    ]) {
      const text = JSON.stringify(MESSAGES[name]?.[1]);
      assert.doesNotMatch(text, /张样例|331124199001010011|331124202611200028|13900000005|样例路|123456/, name);
    }
  });
});
