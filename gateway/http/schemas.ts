import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';

/**
 * What the API sends and reads besides the published contracts: the components of the OpenAPI document. Each is named by its
 * `$id`, and refers to the others by theirs. What we send is closed, so that a field added or lost is seen by a test.
 */
const text: JsonObject = { type: 'string' };
const flag: JsonObject = { type: 'boolean' };
const count: JsonObject = { type: 'integer', minimum: 0 };
const time: JsonObject = { type: 'string', format: 'date-time', examples: ['2026-11-23T09:30:15.123+08:00'] };
/** 0.25 is a quarter; null: of nothing. */
const share: JsonObject = { type: ['number', 'null'], minimum: 0 };
const free: JsonObject = { type: 'object' };
const texts: JsonObject = { type: 'array', items: text };

const ref = (name: string): JsonObject => ({ $ref: name });
const list = (items: JsonObject): JsonObject => ({ type: 'array', items });
const orNull = (schema: JsonObject): JsonObject =>
  typeof schema.type === 'string' && schema.enum === undefined
    ? { ...schema, type: [schema.type, 'null'] }
    : { anyOf: [schema, { type: 'null' }] };
const sized = (min: number, max: number): JsonObject => ({ type: 'string', minLength: min, maxLength: max });

/** Every property is there, but those named in `optional`. */
function object(properties: { readonly [name: string]: Json }, optional: readonly string[] = []): JsonObject {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', additionalProperties: false, required, properties: { ...properties } };
}

const page = (rows: JsonObject): JsonObject => object({ rows: list(rows), next: orNull(text) });

const step: { readonly [name: string]: Json } = {
  no: text,
  title: ref('Words'),
  party: text,
  contract: text,
  blocking: flag,
  state: {
    enum: [
      'PENDING',
      'SENT',
      'WAITING',
      'ACKED',
      'WAITING_RECEIPT',
      'CORRECTING',
      'PARKED',
      'DONE',
      'REJECTED',
      'SKIPPED',
    ],
  },
  revision: count,
  number: orNull(text),
  result: orNull(free),
  reason: orNull(ref('Reason')),
  since: time,
  heardAt: orNull(time),
  resumesAt: orNull(time),
  by: orNull(text),
  late: orNull(
    object({
      outcome: { enum: ['filed', 'done', 'refused', 'correction', 'progress'] },
      number: orNull(text),
      at: time,
      result: orNull(free),
      reason: orNull(ref('Reason')),
    }),
  ),
};

const caseState: JsonObject = {
  enum: [
    'RECEIVED',
    'ACCEPTED',
    'NOT_ACCEPTED',
    'CORRECTING',
    'RETURNED',
    'HANDLING',
    'SUSPENDED',
    'DECIDED',
    'WITHDRAWN',
  ],
};
const provisional = object({ promisedBy: flag, statutoryBy: flag });

const caseRow: { readonly [name: string]: Json } = {
  caseNo: text,
  applicationNo: text,
  itemCode: text,
  itemTitle: orNull(ref('Words')),
  channel: text,
  applicant: ref('Person'),
  state: caseState,
  held: flag,
  hold: orNull(object({ by: text, reason: text, at: time })),
  acceptedAt: time,
  promisedBy: time,
  statutoryBy: time,
  decision: orNull(ref('Decision')),
  steps: list(object({ no: text, party: text, state: step.state as Json, reason: orNull(ref('Reason')) })),
};

const envelope: { readonly [name: string]: Json } = {
  id: text,
  caseNo: text,
  stepNo: orNull(text),
  to: text,
  contract: text,
  state: { enum: ['waiting', 'leased', 'delivered', 'refused', 'parked', 'cancelled'] },
  attempts: count,
  notBefore: time,
  inDoubt: flag,
  firstSentAt: orNull(time),
  fault: orNull({ enum: ['refused', 'malformed', 'unauthorized', 'busy', 'unreachable', 'inDoubt'] }),
  reason: orNull(ref('Reason')),
  number: orNull(text),
  createdAt: time,
  updatedAt: time,
};

const breaker = object({ state: { enum: ['closed', 'open', 'halfOpen'] }, until: orNull(time) });
const timeLimit = object({ limit: count, unit: { enum: ['wd', 'day'] } });
const materialFrom: JsonObject = { enum: ['form', 'upload', 'certificate', 'step'] };
const retrievalState: JsonObject = { enum: ['found', 'none', 'unavailable', 'notPermitted'] };

const itemRow: { readonly [name: string]: Json } = {
  code: text,
  title: ref('Words'),
  area: ref('Words'),
  owner: object({ name: text, uscc: text }),
  form: text,
  promised: timeLimit,
  statutory: timeLimit,
};

const dayOrTime: JsonObject = {
  type: 'string',
  anyOf: [{ format: 'date' }, { format: 'local-time' }],
  'x-expects': {
    zh: '日期 YYYY-MM-DD，或带 +08:00 的时间',
    en: 'a day YYYY-MM-DD, or a time with the offset +08:00',
  },
  examples: ['2026-11-23', '2026-11-23T09:30:00+08:00'],
};
const ledgerPhase: JsonObject = { enum: ['asked', 'answered', 'late', 'document', 'verified'] };
/** Without an `idType` it is a resident. */
const ledgerHolder: JsonObject = {
  ...object({ idType: { enum: ['111', '001'] }, idNo: { type: 'string', maxLength: 18, 'x-sensitive': true } }, [
    'idType',
  ]),
  if: { required: ['idType'], properties: { idType: { const: '001' } } },
  // biome-ignore lint/suspicious/noThenProperty: JSON Schema's own word; nobody awaits a schema.
  then: { properties: { idNo: { type: 'string', format: 'uscc' } } },
  else: { properties: { idNo: { type: 'string', format: 'citizen-id' } } },
};
const ledgerFilter: { readonly [name: string]: Json } = {
  holder: ledgerHolder,
  officerId: sized(1, 64),
  caseNo: { type: 'string', format: 'case-no' },
  applicationNo: sized(1, 64),
  type: { type: 'string', format: 'certificate-type' },
  itemCode: { type: 'string', format: 'item-code' },
  state: retrievalState,
  source: sized(1, 64),
  phase: ledgerPhase,
  from: dayOrTime,
  until: dayOrTime,
};
const ledgerPaging: { readonly [name: string]: Json } = {
  after: sized(1, 128),
  limit: { type: 'integer', minimum: 1, maximum: 200 },
};
const figures: { readonly [name: string]: Json } = {
  matters: count,
  calls: count,
  fetched: count,
  hitRate: share,
  cachedRate: share,
  minutesSaved: count,
};

const atLeastOne = (names: readonly string[]): JsonObject => ({
  anyOf: names.map((name) => ({ required: [name] })),
  'x-expects': { zh: `至少其一：${names.join('、')}`, en: `at least one of ${names.join(', ')}` },
});

const COMPONENTS = {
  Words: object({ zh: text, en: text }),
  Reason: object({ code: text, zh: text, en: text }),
  Problem: object({ pointer: text, code: text, zh: text, en: text }),
  Person: object({ name: text, idType: text, idNo: text, uscc: text }, ['name', 'idType', 'idNo', 'uscc']),
  Decision: object({
    outcome: { enum: ['approved', 'refused', 'withdrawn'] },
    by: orNull(text),
    reason: orNull(ref('Reason')),
    at: time,
  }),
  Step: object(step),
  Case: object(
    {
      ...caseRow,
      provisional,
      certificates: list(
        object({
          material: orNull(text),
          stepNo: orNull(text),
          type: text,
          title: text,
          state: text,
          identifier: orNull(text),
          holder: ref('Person'),
        }),
      ),
      owed: list(object({ material: text, title: ref('Words'), dueBy: time, steps: texts, told: flag })),
      steps: list(ref('Step')),
      queryCode: text,
    },
    ['queryCode'],
  ),
  CaseRow: object(caseRow),
  CasePage: page(ref('CaseRow')),
  Event: object({
    at: time,
    kind: text,
    party: orNull(text),
    stepNo: orNull(text),
    reason: orNull(ref('Reason')),
    detail: free,
  }),
  Timeline: page(ref('Event')),
  Precheck: object({
    acceptable: flag,
    problems: list(ref('Problem')),
    materials: list(
      object({
        code: text,
        title: ref('Words'),
        from: materialFrom,
        state: { enum: ['fetched', 'supplied', 'made', 'missing', 'unavailable', 'owed', 'notNeeded'] },
        asOf: orNull(time),
      }),
    ),
  }),
  Held: object({ caseNo: text, held: flag }),
  /** Read, not sent. */
  ReasonGiven: object({ reason: sized(1, 500) }),

  Department: object({
    party: text,
    title: ref('Words'),
    owner: text,
    version: text,
    breakers: object({ deliver: breaker, query: breaker, certificates: breaker }),
    lane: object({ waiting: count, inFlight: count, parked: count, oldestWaiting: orNull(time), unmatched: count }),
    paused: orNull(object({ by: text, reason: text, at: time })),
    away: orNull(object({ since: time, reason: ref('Reason') })),
    closed: object({ hours: texts, now: flag, opensAt: orNull(time) }),
    quota: orNull(object({ calls: count, per: text, used: count })),
    lastSuccess: orNull(time),
    delivers: texts,
    queries: texts,
    certificates: texts,
  }),
  Departments: object({ rows: list(ref('Department')) }),

  EnvelopeRow: object(envelope),
  Envelope: object({ ...envelope, body: free, traceparent: text, warnings: list(ref('Reason')) }),
  KeptMessage: object({
    id: text,
    from: text,
    about: object({ key: text, number: text }, ['key', 'number']),
    outcome: { enum: ['done', 'refused', 'correction', 'progress'] },
    reason: orNull(ref('Reason')),
    at: time,
    receivedAt: time,
    problem: ref('Reason'),
  }),
  MessagePage: page(ref('KeptMessage')),
  MessageEnd: object({ id: text, state: { enum: ['attached', 'discarded'] }, envelope: orNull(text) }),
  EnvelopePage: page({ anyOf: [ref('EnvelopeRow'), ref('KeptMessage')] }),

  ItemRow: object(itemRow),
  Items: object({ rows: list(ref('ItemRow')) }),
  Item: object({
    ...itemRow,
    basis: text,
    materials: list(
      object({
        code: text,
        title: ref('Words'),
        from: materialFrom,
        required: flag,
        conditional: flag,
        certificate: orNull(
          object({ type: text, title: ref('Words'), sources: texts, fields: texts, whenDown: ref('WhenDown') }),
        ),
      }),
    ),
    route: list(
      object({
        no: text,
        title: ref('Words'),
        party: text,
        contract: text,
        after: texts,
        blocking: flag,
        conditional: flag,
      }),
    ),
  }),
  WhenDown: object({ do: { enum: ['required', 'asOf', 'later'] }, hours: count, steps: texts, within: timeLimit }, [
    'hours',
    'steps',
    'within',
  ]),
  Materials: object({
    itemCode: text,
    title: ref('Words'),
    materials: list(
      object({
        code: text,
        title: ref('Words'),
        from: materialFrom,
        required: flag,
        conditional: flag,
        certificate: orNull(
          object({
            type: text,
            title: ref('Words'),
            sources: list(
              object({
                source: text,
                title: ref('Words'),
                state: { enum: ['ready', 'closed', 'away', 'notConnected'] },
              }),
            ),
            fields: texts,
            whenDown: ref('WhenDown'),
          }),
        ),
      }),
    ),
  }),
  Verification: object({
    verdict: { enum: ['valid', 'invalid', 'unknown', 'unavailable'] },
    state: orNull(text),
    type: orNull(text),
    identifier: orNull(text),
    source: orNull(text),
    reason: orNull(ref('Reason')),
    asOf: orNull(time),
    warnings: texts,
    ledgerId: text,
  }),
  SealKey: object({ algorithm: text, userId: text, publicKey: text }),
  Mandate: object({
    mandateId: text,
    holder: text,
    agent: text,
    itemCode: text,
    types: texts,
    evidence: text,
    officerId: text,
    from: time,
    until: time,
    revoked: orNull(object({ at: time, by: text, reason: text })),
  }),
  ContractRow: object({ name: text, title: ref('Words') }),
  Contracts: object({ rows: list(ref('ContractRow')) }),

  /** Read, not sent. */
  LedgerFilter: object(ledgerFilter, Object.keys(ledgerFilter)),
  /** Read, not sent. */
  LedgerSearch: {
    ...object({ ...ledgerFilter, ...ledgerPaging }, Object.keys({ ...ledgerFilter, ...ledgerPaging })),
    ...atLeastOne(Object.keys(ledgerFilter)),
  },
  LedgerEntry: object({
    id: text,
    at: time,
    phase: ledgerPhase,
    of: orNull(text),
    appKey: text,
    officerId: text,
    deptUscc: orNull(text),
    windowId: orNull(text),
    caseNo: orNull(text),
    applicationNo: orNull(text),
    itemCode: text,
    material: orNull(text),
    type: text,
    holder: text,
    use: { enum: ['present', 'mandate', 'duty'] },
    mandateId: orNull(text),
    basis: text,
    channel: text,
    requestId: orNull(text),
    source: orNull(text),
    state: orNull(retrievalState),
    reason: orNull(text),
    cached: flag,
    identifier: orNull(text),
    digest: orNull(text),
    fields: texts,
    hash: text,
  }),
  LedgerPage: page(ref('LedgerEntry')),
  LedgerCheck: object({ rows: count, intact: flag, brokenAt: orNull(text) }),
  /** Read, not sent. */
  LedgerDeletion: object({ before: { type: 'string', format: 'date' } }),
  LedgerDeleted: object({ before: text, rows: count }),
  Statistics: object({
    from: text,
    until: text,
    by: { enum: ['item', 'type', 'source', 'month'] },
    total: object(figures),
    rows: list(object({ key: orNull(text), title: ref('Words'), ...figures })),
  }),

  Alive: object({ state: { enum: ['alive'] }, version: text }),
  Readiness: object({ ready: flag, parts: { type: 'object', additionalProperties: flag } }),
} satisfies { readonly [name: string]: JsonObject };

export type SchemaName = keyof typeof COMPONENTS;

export const SCHEMAS: { readonly [name in SchemaName]: JsonObject } = COMPONENTS;

/** The same, each with its name as `$id`, as `compileSchema` wants them. */
export const schemaDocuments: readonly JsonObject[] = Object.entries(COMPONENTS).map(([name, schema]) => ({
  $id: name,
  ...schema,
}));
