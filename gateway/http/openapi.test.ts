import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import supertest from 'supertest';
import { schemaCompiler } from '../../contracts/compile.ts';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import { everyPart } from '../../contracts/references.ts';
import { type Api, OFFICE, type Sent, startApi } from '../../test/support/api.ts';
import { ledgerEntry } from '../../test/support/ledger-entry.ts';
import { newCase } from '../../test/support/sample-case.ts';
import { houseTransfer } from '../../test/support/submissions.ts';
import { iso } from './iso.ts';
import { schemaDocuments } from './schemas.ts';

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly security?: readonly object[];
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly responses: {
    readonly [status: string]: {
      readonly description: string;
      readonly content: { readonly [type: string]: { readonly schema: { readonly $ref?: string } } };
    };
  };
}
interface Document {
  readonly openapi: string;
  readonly paths: { readonly [path: string]: { readonly [method: string]: Operation } };
  readonly components: { readonly schemas: { readonly [name: string]: JsonObject } };
}

let api: Api;
let document: Document;
before(async () => {
  api = await startApi();
  document = (await supertest(api.app).get('/openapi.json')).body;
});
after(() => api.close());

const operations = () =>
  Object.entries(document.paths).flatMap(([path, here]) =>
    Object.entries(here).map(([method, operation]) => ({ path, method: method.toUpperCase(), ...operation })),
  );

describe('the OpenAPI document', () => {
  test('is 3.1, and every reference in it leads somewhere', () => {
    assert.equal(document.openapi, '3.1.0');
    const lost: string[] = [];
    let followed = 0;
    everyPart(document as unknown as Json, ({ $ref, $id }) => {
      assert.equal(typeof $id, 'undefined', 'a schema with an $id is looked up elsewhere');
      if (typeof $ref !== 'string') return;
      followed += 1;
      const steps = $ref
        .split('/')
        .slice(1)
        .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
      const found = steps.reduce<unknown>((at, step) => (at as JsonObject | undefined)?.[step], document);
      if (found === undefined || !$ref.startsWith('#/components/schemas/')) lost.push($ref);
    });
    assert.deepEqual(lost, []);
    assert.ok(followed > 100);
  });

  test('names its components as the standard allows, every contract among them', () => {
    for (const name of Object.keys(document.components.schemas)) assert.match(name, /^[a-zA-Z0-9._-]+$/);
    for (const { name } of api.contracts.list()) assert.ok(document.components.schemas[name.replace('@', '.v')], name);
  });

  test('describes every operation in both languages, once, with its parameters', () => {
    const ids = operations().map(({ operationId }) => operationId);
    assert.equal(new Set(ids).size, ids.length);
    for (const { path, summary, parameters, responses } of operations()) {
      assert.match(summary, /[\u4e00-\u9fff].* · /);
      for (const [, name] of path.matchAll(/\{(\w+)\}/g)) {
        assert.ok(
          parameters.some((one) => one.in === 'path' && one.name === name),
          `${path} ${name}`,
        );
      }
      for (const { description } of Object.values(responses)) assert.match(description, / · /);
    }
  });

  test('has the paths that were promised, and no other', () => {
    assert.deepEqual(
      operations()
        .map(({ method, path }) => `${method} ${path}`)
        .sort(),
      [
        'GET /livez',
        'GET /metrics',
        'GET /readyz',
        'GET /v1/cases',
        'GET /v1/cases/{caseNo}',
        'GET /v1/cases/{caseNo}/timeline',
        'GET /v1/certificates/ledger/check',
        'GET /v1/certificates/mandates/{mandateId}',
        'GET /v1/certificates/seal-key',
        'GET /v1/certificates/statistics',
        'GET /v1/contracts',
        'GET /v1/contracts/{name}@{major}',
        'GET /v1/departments',
        'GET /v1/departments/{party}',
        'GET /v1/envelopes',
        'GET /v1/envelopes/{id}',
        'GET /v1/items',
        'GET /v1/items/{code}',
        'GET /v1/items/{code}/materials',
        'GET /v1/messages',
        'POST /v1/callbacks/{party}',
        'POST /v1/cases',
        'POST /v1/cases/precheck',
        'POST /v1/cases/{caseNo}/corrections',
        'POST /v1/cases/{caseNo}/pause',
        'POST /v1/cases/{caseNo}/resume',
        'POST /v1/cases/{caseNo}/withdrawal',
        'POST /v1/certificates/documents',
        'POST /v1/certificates/ledger/deletions',
        'POST /v1/certificates/ledger/exports',
        'POST /v1/certificates/ledger/searches',
        'POST /v1/certificates/mandates',
        'POST /v1/certificates/mandates/{mandateId}/revocation',
        'POST /v1/certificates/retrievals',
        'POST /v1/certificates/verifications',
        'POST /v1/departments/{party}/pause',
        'POST /v1/departments/{party}/queries/{query}',
        'POST /v1/departments/{party}/resume',
        'POST /v1/envelopes/{id}/cancel',
        'POST /v1/envelopes/{id}/release',
        'POST /v1/envelopes/{id}/settle',
        'POST /v1/messages/{id}/attach',
        'POST /v1/messages/{id}/discard',
      ],
    );
  });

  test('tells the truth: what is answered is what is described', async () => {
    const accepted = await api.store.accept(
      newCase({ applicationNo: 'TRUTH-1', appKey: 'window-1', parties: [OFFICE], acceptedAt: 1 }),
    );
    const { caseNo } = accepted.record;
    await api.store.collected(
      { from: OFFICE, about: { key: 'no' }, dedupe: 'd', at: 1, answer: { outcome: 'done', result: {} } },
      () => async () => ({ events: [], outbox: [] }),
    );
    const operator: Sent = { as: 'operator-1' };
    const auditor: Sent = { as: 'auditor-1' };
    const at = api.clock.now();
    await api.store.write([
      ledgerEntry('T1', { at }),
      ledgerEntry('T2', { at, phase: 'answered', of: 'T1', state: 'found', source: OFFICE }),
      ledgerEntry('T3', { at, phase: 'answered', of: 'T1', state: 'none', source: null }),
    ]);
    const reason = { reason: '核实' };
    const CARD = '11100000000013127D001';
    const HOLDER = { name: '张样例', idType: '111', idNo: '331124199001010011' };
    const retrieval = {
      holder: HOLDER,
      types: [CARD],
      purpose: {
        applicationNo: 'A1',
        itemCode: '11331124QA0000057N433071500400501',
        clerk: { officerId: 'W07' },
        basis: '契税法第十一条',
      },
    };
    const mandate = {
      holder: HOLDER,
      agent: HOLDER,
      itemCode: retrieval.purpose.itemCode,
      evidence: 'SQ-1',
      clerk: retrieval.purpose.clerk,
      until: iso(at + 86_400_000),
    };
    await api.store.record({
      id: 'M1',
      appKey: 'window-1',
      holderMasked: '张*',
      holderHash: 'h',
      agentMasked: '李*',
      itemCode: retrieval.purpose.itemCode,
      types: [],
      evidence: 'SQ-1',
      officerId: 'W07',
      from: at,
      until: at + 86_400_000,
      revoked: null,
    });
    const asked: readonly [string, string, Sent?][] = [
      ['POST /v1/cases', '/v1/cases', { body: houseTransfer({ at: api.clock.now() }) }],
      ['POST /v1/cases', '/v1/cases', { body: {} }],
      ['POST /v1/cases/precheck', '/v1/cases/precheck', { body: houseTransfer({ at: api.clock.now() }) }],
      ['GET /v1/cases', '/v1/cases'],
      ['GET /v1/cases', '/v1/cases?limit=x'],
      ['GET /v1/cases/{caseNo}', `/v1/cases/${caseNo}`],
      ['GET /v1/cases/{caseNo}', `/v1/cases/${caseNo}`, operator],
      ['GET /v1/cases/{caseNo}', '/v1/cases/nothing'],
      ['GET /v1/cases/{caseNo}/timeline', `/v1/cases/${caseNo}/timeline`],
      ['POST /v1/cases/{caseNo}/pause', `/v1/cases/${caseNo}/pause`, { ...operator, body: reason }],
      ['POST /v1/cases/{caseNo}/resume', `/v1/cases/${caseNo}/resume`, operator],
      ['POST /v1/cases/{caseNo}/resume', `/v1/cases/${caseNo}/resume`],
      ['GET /v1/departments', '/v1/departments'],
      ['GET /v1/departments/{party}', `/v1/departments/${OFFICE}`],
      ['POST /v1/departments/{party}/pause', `/v1/departments/${OFFICE}/pause`, { ...operator, body: reason }],
      ['GET /v1/envelopes', '/v1/envelopes', operator],
      ['GET /v1/envelopes', '/v1/envelopes?state=unmatched', operator],
      ['GET /v1/envelopes/{id}', `/v1/envelopes/${caseNo}-01`, operator],
      ['POST /v1/envelopes/{id}/release', `/v1/envelopes/${caseNo}-01/release`, operator],
      ['POST /v1/envelopes/{id}/cancel', `/v1/envelopes/${caseNo}-01/cancel`, { ...operator, body: reason }],
      ['GET /v1/items', '/v1/items'],
      ...api.catalogue
        .list()
        .map(({ code }) => ['GET /v1/items/{code}', `/v1/items/${code}`] satisfies [string, string, Sent?]),
      ['GET /v1/contracts', '/v1/contracts'],
      [
        'POST /v1/certificates/ledger/searches',
        '/v1/certificates/ledger/searches',
        { ...auditor, body: { from: '2026-01-01' } },
      ],
      ['GET /v1/certificates/ledger/check', '/v1/certificates/ledger/check', auditor],
      [
        'POST /v1/certificates/ledger/deletions',
        '/v1/certificates/ledger/deletions',
        { ...operator, body: { before: '2020-01-01' } },
      ],
      [
        'POST /v1/certificates/ledger/deletions',
        '/v1/certificates/ledger/deletions',
        { ...operator, body: { before: '2026-01-01' } },
      ],
      ...['item', 'type', 'source', 'month'].map(
        (by) =>
          [
            'GET /v1/certificates/statistics',
            `/v1/certificates/statistics?from=2026-11-01&until=2026-12-01&by=${by}`,
            auditor,
          ] satisfies [string, string, Sent?],
      ),
      ...[retrieval, { ...retrieval, want: 'file' }, { types: [CARD], holder: HOLDER }].map(
        (body) =>
          ['POST /v1/certificates/retrievals', '/v1/certificates/retrievals', { body }] satisfies [
            string,
            string,
            Sent?,
          ],
      ),
      ['POST /v1/certificates/documents', '/v1/certificates/documents', { body: { useCode: 'A'.repeat(32) } }],
      ['POST /v1/certificates/documents', '/v1/certificates/documents', { body: { useCode: 'short' } }],
      ['POST /v1/certificates/documents', '/v1/certificates/documents', operator],
      ...[{ type: CARD, number: 'N-1' }, { sm3: 'ab'.repeat(32) }, { identifier: '1.2.156.3005.2.no' }, {}].map(
        (claim) =>
          [
            'POST /v1/certificates/verifications',
            '/v1/certificates/verifications',
            { body: { ...claim, clerk: retrieval.purpose.clerk, basis: '核验' } },
          ] satisfies [string, string, Sent?],
      ),
      ['POST /v1/certificates/mandates', '/v1/certificates/mandates', { body: mandate }],
      ['POST /v1/certificates/mandates', '/v1/certificates/mandates', { body: { ...mandate, types: ['no'] } }],
      ['GET /v1/certificates/mandates/{mandateId}', '/v1/certificates/mandates/M1'],
      ['GET /v1/certificates/mandates/{mandateId}', '/v1/certificates/mandates/nothing'],
      [
        'POST /v1/certificates/mandates/{mandateId}/revocation',
        '/v1/certificates/mandates/M1/revocation',
        { body: reason },
      ],
      [
        'POST /v1/certificates/mandates/{mandateId}/revocation',
        '/v1/certificates/mandates/M1/revocation',
        { body: reason },
      ],
      ['GET /v1/certificates/seal-key', '/v1/certificates/seal-key'],
      ['GET /v1/items/{code}/materials', `/v1/items/${retrieval.purpose.itemCode}/materials`],
      ['GET /livez', '/livez'],
      ['GET /readyz', '/readyz'],
    ];
    const compile = schemaCompiler({
      schemas: [...schemaDocuments, ...api.contracts.list().map(({ schema }) => schema)],
    });
    for (const [operation, target, sent] of asked) {
      const [method = '', path = ''] = operation.split(' ');
      const { status, body, headers } = await api.call(method as 'GET' | 'POST', target, sent);
      const described = document.paths[path]?.[method.toLowerCase()]?.responses[status];
      assert.ok(described, `${operation} answers ${status}, which is not described: ${JSON.stringify(body)}`);
      const [type = ''] = String(headers['content-type']).split(';');
      const name = described.content[type]?.schema.$ref?.split('/').at(-1);
      assert.ok(name, `${operation} ${status} ${type}`);
      assert.deepEqual(compile({ $ref: name.replace(/\.v(?=\d+$)/, '@') })(body), [], `${operation} ${status}`);
    }
  });
});

describe('the page for people', () => {
  test('is served from here, its script and style too, and may load nothing else', async () => {
    const page = await supertest(api.app).get('/docs');
    assert.equal(page.status, 200);
    assert.match(String(page.headers['content-security-policy']), /script-src 'self';/);
    const linked = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link = '']) => link);
    assert.ok(linked.length >= 5);
    for (const link of linked) {
      assert.doesNotMatch(link, /^(?:https?:)?\/\//);
      const { status } = await supertest(api.app).get(new URL(link, 'http://x/docs').pathname);
      assert.equal(status, 200, link);
    }
    assert.doesNotMatch(page.text, /<script>|style="|onclick/);
  });
});
