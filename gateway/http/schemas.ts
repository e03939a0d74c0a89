import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';

/**
 * What the API sends and reads besides the published contracts: the components of the OpenAPI document. Each is named by its
 * `$id`, and refers to the others by theirs. What we send is closed, so that a field added or lost is seen by a test.
 */
const text: JsonObject = { type: 'string' };
const flag: JsonObject = { type: 'boolean' };
const count: JsonObject = { type: 'integer', minimum: 0 };
const time: JsonObject = { type: 'string', format: 'date-time', examples: ['2026-11-23T09:30:15.123+08:00'] };
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
          material: text,
          type: text,
          title: text,
          state: text,
          identifier: orNull(text),
          holder: ref('Person'),
        }),
      ),
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
        state: { enum: ['fetched', 'supplied', 'made', 'missing', 'unavailable', 'notNeeded'] },
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
    closed: object({ hours: texts, now: flag, opensAt: orNull(time) }),
    quota: orNull(object({ calls: count, per: text, used: count })),
    lastSuccess: orNull(time),
    delivers: texts,
    queries: texts,
    certificates: texts,
  }),
  Departments: object({ rows: list(ref('Department')) }),

  EnvelopeRow: object(envelope),
  Envelope: object({ ...envelope, body: free, traceparent: text }),
  KeptMessage: object({
    from: text,
    about: object({ key: text, number: text }, ['key', 'number']),
    outcome: { enum: ['done', 'refused', 'correction', 'progress'] },
    reason: orNull(ref('Reason')),
    at: time,
    receivedAt: time,
  }),
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
        certificate: orNull(object({ type: text, title: ref('Words'), sources: texts })),
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
  ContractRow: object({ name: text, title: ref('Words') }),
  Contracts: object({ rows: list(ref('ContractRow')) }),

  /** Read, not sent. */
  LedgerSearch: {
    ...object(
      {
        holder: object({ idType: { enum: ['111', '001'] }, idNo: sized(1, 18) }, ['idType']),
        caseNo: { type: 'string', format: 'case-no' },
        after: sized(1, 128),
        limit: { type: 'integer', minimum: 1, maximum: 200 },
      },
      ['holder', 'caseNo', 'after', 'limit'],
    ),
    anyOf: [{ required: ['holder'] }, { required: ['caseNo'] }],
    'x-expects': { zh: ' holder 与 caseNo 至少其一', en: 'holder or caseNo' },
  },
  LedgerEntry: object({
    id: text,
    at: time,
    phase: { enum: ['asked', 'answered'] },
    of: orNull(text),
    appKey: text,
    officerId: text,
    caseNo: orNull(text),
    applicationNo: orNull(text),
    itemCode: text,
    type: text,
    holder: text,
    basis: text,
    channel: text,
    source: orNull(text),
    state: orNull(retrievalState),
    reason: orNull(text),
    identifier: orNull(text),
    fields: texts,
    hash: text,
  }),
  LedgerPage: page(ref('LedgerEntry')),

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
