import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import supertest from 'supertest';
import { calendar, deadline } from '../../config/calendar.ts';
import { loadCertificateTypes } from '../../config/certificates.ts';
import { loadItems } from '../../config/items.ts';
import type { App } from '../../config/settings.ts';
import { loadContracts } from '../../contracts/load.ts';
import type { RawReply, RawRequest } from '../../contracts/ports/adapter.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject, Party } from '../../contracts/ports/envelope.ts';
import type { LogFields, Logger } from '../../contracts/ports/logger.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';
import type { Departments, DepartmentView, Desk } from '../../contracts/ports/services.ts';
import type { Store } from '../../contracts/ports/store.ts';
import { type DocumentSource, makeDocuments } from '../../gateway/certificates/documents/hand-out.ts';
import { sealKeyOf } from '../../gateway/certificates/documents/seal-key.ts';
import type { Source } from '../../gateway/certificates/search.ts';
import { makeCertificates } from '../../gateway/certificates/service.ts';
import { makeVerifications } from '../../gateway/certificates/verification.ts';
import { makeContracts } from '../../gateway/contracts/registry.ts';
import { makeCaseProgress } from '../../gateway/delivery/waiting.ts';
import { type AppParts, makeApp } from '../../gateway/http/app.ts';
import { type SignatureMethod, signedHeaders } from '../../gateway/http/signature.ts';
import { makeIntake } from '../../gateway/intake/intake.ts';
import { makeRouting } from '../../gateway/routing/routing.ts';
import { openStore } from '../../gateway/store/open.ts';
import { HandClock } from './hand-clock.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The office in these tests. It is in no catalogue: what concerns it is made by the test itself. */
export const OFFICE = 'tea-office';

export const APPS: readonly App[] = [
  { key: 'window-1', secrets: ['window-1-secret-of-the-test'], role: 'window', channels: ['window', 'web'] },
  { key: 'window-2', secrets: ['window-2-secret-of-the-test'], role: 'window' },
  { key: 'office-1', secrets: ['office-1-secret-of-the-test'], role: 'department', party: OFFICE },
  { key: 'operator-1', secrets: ['operator-1-secret-of-the-test'], role: 'operator' },
  { key: 'auditor-1', secrets: ['auditor-1-secret-of-the-test'], role: 'auditor' },
];

export const LIMITS: AppParts['limits'] = {
  bodyBytes: 65_536,
  callbackBytes: 16_384,
  bodiesBytes: 1_048_576,
  perMinute: 0,
  certificateTimeMs: 8_000,
};

export interface Sent {
  readonly as?: string;
  readonly secret?: string;
  /** JSON, or the very bytes. */
  readonly body?: Json | Uint8Array;
  readonly type?: string;
  readonly method?: SignatureMethod;
  readonly timestamp?: string;
  readonly nonce?: string;
  /** Sent in place of what was signed. */
  readonly instead?: Uint8Array;
  /** Laid over the signed headers; undefined takes one away. */
  readonly headers?: { readonly [name: string]: string | undefined };
}

export interface Line {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

export type Api = Awaited<ReturnType<typeof startApi>>;

/** The real app over the real store, contracts, items, intake and route; only what lies beyond the departments' wires is played. */
export async function startApi(vary: Partial<AppParts> = {}) {
  const clock = new HandClock();
  const lines: Line[] = [];
  const log = loggerInto(lines);
  const requests: string[] = [];
  const store = await openStore({ file: ':memory:', clock, log });
  const contracts = makeContracts(await everyContract());
  const types = await loadCertificateTypes();
  const catalogue = await loadItems(path.join(root, 'config', 'items'), { types });
  const hashOf = (idNo: string) => `hash-of-${idNo}`;
  const sealKey = sealKeyOf('f'.repeat(64));
  const routing = makeRouting({
    catalogue,
    contracts,
    clock,
    window: 'window',
    deliverable: (_party, contract) => ({ contract, result: null, replies: 'later' }),
    hashOf,
    log,
  });
  const metrics = metricsInto(requests);
  const named = catalogue
    .list()
    .flatMap(({ materials }) => materials.flatMap(({ certificate }) => certificate?.sources ?? []));
  const certificates = makeCertificates({
    sources: () => new Map(named.map((party) => [party, everyCertificate])),
    catalogue,
    types,
    cases: store,
    mandates: store,
    register: store,
    tickets: store,
    ledger: store,
    announce: async () => {},
    clock,
    log,
    metrics,
    hashOf,
    settings: { max: 100, negativeSeconds: 1, useCodeSeconds: 60 },
  });
  const parts: AppParts = {
    intake: makeIntake({
      catalogue,
      contracts,
      certificates,
      store,
      routing,
      deadline: (from, limit) => deadline(from, limit, calendar),
      connected: () => true,
      clock,
      log,
      metrics,
      settings: { region: '331124', certificateTimeMs: 1_000 },
    }),
    departments: oneOffice(store),
    desk: deskOver(store, clock),
    progress: makeCaseProgress(store, () => true),
    reads: store,
    certificates,
    documents: makeDocuments({
      sources: () => new Map([[OFFICE, officeDocuments]]),
      tickets: store,
      mandates: store,
      files: store,
      ledger: store,
      catalogue,
      hashOf,
      clock,
      log,
      settings: {
        folder: path.join(tmpdir(), `onewindow-api-${process.pid}`),
        documentBytes: 65_536,
        annotateBytes: 65_536,
      },
      sealKey,
    }),
    verifications: makeVerifications({
      sources: () => new Map(),
      register: store,
      files: store,
      ledger: store,
      sealKey: sealKey.publicKey,
      clock,
      log,
    }),
    sealKey: sealKey.publicKey,
    mandates: store,
    holderHash: hashOf,
    ledger: store,
    types,
    ledgerDays: 1_095,
    contracts,
    catalogue,
    nonces: store,
    apps: APPS,
    metrics,
    clock,
    log,
    trusted: () => false,
    limits: {
      bodyBytes: 65_536,
      callbackBytes: 16_384,
      bodiesBytes: 1_048_576,
      perMinute: 0,
      certificateTimeMs: 8_000,
    },
    ready: async () => ({ ready: true, parts: { store: true } }),
    version: '0.0.0-test',
    ...vary,
  };
  const app = makeApp(parts);

  function headers(method: 'GET' | 'POST', target: string, sent: Sent = {}): { [name: string]: string } {
    const { as = 'window-1', body, type = 'application/json' } = sent;
    const signable = {
      method,
      target,
      body: bytesOf(body),
      timestamp: sent.timestamp ?? String(clock.now()),
      nonce: sent.nonce ?? randomBytes(16).toString('hex'),
    };
    const secret = sent.secret ?? APPS.find(({ key }) => key === as)?.secrets[0] ?? 'none';
    const all = {
      ...(body === undefined ? {} : { 'Content-Type': type }),
      ...signedHeaders(signable, { key: as, secret }, sent.method),
      ...sent.headers,
    };
    return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined));
  }

  /** One signed request, its path sent as it is written here. */
  function call(method: 'GET' | 'POST', target: string, sent: Sent = {}): supertest.Test {
    const request = supertest(app)
      [method === 'GET' ? 'get' : 'post'](target)
      .set(headers(method, target, sent));
    const bytes = sent.instead ?? (sent.body === undefined ? undefined : bytesOf(sent.body));
    // Bytes as they are: superagent would otherwise write JSON of its own.
    return bytes === undefined ? request : request.serialize((raw: unknown) => raw as string).send(Buffer.from(bytes));
  }

  return {
    app,
    clock,
    store,
    contracts,
    catalogue,
    parts,
    lines,
    /** `METHOD route status` of every request that ended. */
    requests,
    headers,
    call,
    close: () => store.close(),
  };
}

function bytesOf(body: Sent['body']): Uint8Array {
  if (body === undefined) return new Uint8Array();
  return body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body));
}

export async function everyContract() {
  const adapters = await readdir(path.join(root, 'adapters'), { withFileTypes: true });
  const folders = adapters
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => path.join(root, 'adapters', name, 'schemas'));
  const read = await Promise.all([path.join(root, 'contracts', 'schemas'), ...folders].map(loadContracts));
  return read.flat();
}

export function loggerInto(lines: Line[], more: LogFields = {}): Logger {
  const at =
    (level: Line['level']) =>
    (message: string, fields: LogFields = {}) =>
      void lines.push({ level, message, fields: { ...more, ...fields } });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (fields) => loggerInto(lines, { ...more, ...fields }),
  };
}

export function metricsInto(requests: string[]): Metrics {
  const nothing = () => {};
  return {
    accepted: nothing,
    delivered: nothing,
    fault: nothing,
    called: nothing,
    breaker: nothing,
    certificate: nothing,
    ignored: nothing,
    messagesEnded: nothing,
    refused: (status) => void requests.push(`refused ${status}`),
    http: (method, route, status) => void requests.push(`${method} ${route} ${status}`),
    render: async () => ({ contentType: 'text/plain; version=0.0.4', text: '# HELP up\n' }),
  };
}

/** Hands out a file that no reader would take. */
const officeDocuments: DocumentSource = {
  documents: [],
  document: async (_certificate, _query, into) =>
    into(
      { mediaType: 'application/pdf', bytes: Readable.from([Buffer.from('no PDF at all')]) },
      new AbortController().signal,
    ),
};

/** A source that has whatever it is asked for. */
const everyCertificate: Source = {
  types: undefined,
  ask: async ({ holder, type }) => [
    {
      type,
      identifier: null,
      number: 'NO-1',
      title: '证照',
      holder,
      state: '01',
      issuer: '松阳县样例局',
      validFrom: null,
      validTo: null,
      fields: {},
    },
  ],
};

export function officeView(party: Party): DepartmentView {
  const closed = { state: 'closed', until: null } as const;
  return {
    party,
    title: { zh: '样例局', en: 'Sample office' },
    owner: '松阳县样例局',
    version: '1.0.0',
    breakers: { deliver: closed, query: { state: 'open', until: 1_795_395_660_000 }, certificates: closed },
    lane: { waiting: 2, inFlight: 1, parked: 1, oldestWaiting: 1_795_395_600_000, unmatched: 0 },
    paused: null,
    away: null,
    closed: { hours: ['22:00-06:00'], now: false, opensAt: null },
    quota: { calls: 100, per: 'day', used: 7 },
    lastSuccess: 1_795_395_600_000,
    delivers: [`${party}.work@1`],
    queries: ['blend'],
    certificates: [],
  };
}

/** Answers the query `blend`, takes callbacks, and repeats what it was sent. */
function oneOffice(store: Store): Departments {
  const view = async (): Promise<DepartmentView> => {
    const lane = (await store.lanes()).find((one) => one.lane === OFFICE);
    return { ...officeView(OFFICE), paused: lane?.paused ?? null };
  };
  const unknown = () => new Unfit(404, 'departmentUnknown', { zh: '没有接入该部门', en: 'no such department' });
  return {
    list: async () => [await view(), officeView('other-office')],
    get: async (party) => (party === OFFICE ? view() : undefined),
    async query(party, name, body) {
      if (party !== OFFICE || name !== 'blend') throw unknown();
      if (body === 'away') throw new Unfit(503, 'closed', { zh: '部门已下班', en: 'closed' }, [], 12.3);
      return { asked: body } as JsonObject;
    },
    async callback(party, request): Promise<RawReply> {
      if (party !== OFFICE) throw unknown();
      return {
        status: 200,
        headers: { 'content-type': 'text/plain; charset=gbk', connection: 'x' },
        body: heard(request),
      };
    },
  };
}

function heard({ method, path: at, query, headers, body }: RawRequest): Uint8Array {
  return Buffer.concat([Buffer.from(`${method} ${at} ${JSON.stringify(query)} ${headers['x-theirs'] ?? ''} `), body]);
}

function deskOver(store: Store, clock: HandClock): Desk {
  const nothing = async () => ({ events: [], outbox: [] });
  const unless = (found: unknown, status: number, code: string) => {
    if (!found) throw new Unfit(status, code, { zh: code, en: code });
  };
  return {
    async release(id) {
      const done = await store.released(id, () => nothing);
      unless(done !== undefined, 404, 'envelopeUnknown');
      unless(done === 'released', 409, 'notParked');
    },
    async cancel(id) {
      const done = await store.cancelled(id, () => nothing);
      unless(done !== undefined, 404, 'envelopeUnknown');
      unless(done === 'cancelled', 409, 'tooLate');
      return [];
    },
    async settle(id, _by, settlement) {
      const receipt = settlement.outcome === 'filed' ? { number: settlement.number, duplicate: false } : null;
      const done = await store.settled(id, receipt, null, () => nothing);
      unless(done !== undefined, 404, 'envelopeUnknown');
      unless(done === 'settled', 409, 'notInDoubt');
    },
    async attach(id, envelopeId, by, reason) {
      const done = await store.attached(id, { envelopeId, by, reason }, () => nothing);
      unless(done !== undefined, 404, 'messageUnknown');
      unless(done === 'attached', 409, 'messageEnded');
    },
    async discard(id, by, reason) {
      const done = await store.discarded(id, by, reason);
      unless(done !== undefined, 404, 'messageUnknown');
      unless(done === 'discarded', 409, 'messageEnded');
    },
    pause: (lane, by, reason) => store.paused(lane, by, reason),
    resume: (lane, by) => store.resumed(lane, by),
    async hold(caseNo, by, reason) {
      const event = {
        at: clock.now(),
        kind: 'held',
        party: null,
        stepNo: null,
        reason: null,
        detail: { by, reason },
      } as const;
      unless(
        await store.held(caseNo, { by, reason, at: clock.now() }, async () => ({ events: [event], outbox: [] })),
        404,
        'caseUnknown',
      );
    },
    async unhold(caseNo) {
      unless(await store.held(caseNo, null, nothing), 404, 'caseUnknown');
    },
  };
}
