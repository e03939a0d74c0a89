import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { Client } from '../../console/client.ts';
import { localTime } from '../../contracts/local-time.ts';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import { Follower } from '../support/follow.ts';
import { flexibleEmployment, houseTransfer } from '../support/submissions.ts';
import { startWorld, until, type World } from '../support/world.ts';

const ID_CARD = '11100000000013127D001';
const CLERK = { officerId: 'CK-07', deptUscc: '11331124QA0000057N', windowId: 'W07' };
const BASIS = '不动产登记暂行条例第十六条';
const STRANGER = { name: '李样例', idType: '111', idNo: '331124200102030041' };

/** From 2001 to 2096, in milliseconds or in seconds. No amount and no count of these flows comes near. */
const isEpoch = (value: number): boolean =>
  (value > 1_000_000_000_000 && value < 4_000_000_000_000) || (value > 1_000_000_000 && value < 4_000_000_000);
/** Thirteen digits standing by themselves, also inside a sentence; a department's number is often a UUID, and may have as many between two letters. */
const EPOCH_TEXT = /(?<![\dA-Za-z])1[5-9]\d{11}(?![\dA-Za-z])/;
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;
const OUR_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?\+08:00$/;

interface Found {
  readonly where: string;
  readonly value: Json;
}

/** Every number or text that is a time of another kind than ours, with the place where it stands. */
function strangeTimes(value: Json, where: string): readonly Found[] {
  if (Array.isArray(value)) return value.flatMap((one, at) => strangeTimes(one, `${where}/${at}`));
  if (value !== null && typeof value === 'object')
    return Object.entries(value).flatMap(([name, one]) => strangeTimes(one, `${where}/${name}`));
  const strange =
    typeof value === 'number'
      ? isEpoch(value)
      : typeof value === 'string' && (EPOCH_TEXT.test(value) || (ISO_TIME.test(value) && !OUR_TIME.test(value)));
  return strange ? [{ where, value }] : [];
}

/** Values of `name` anywhere. */
function allOf(value: Json, name: string): readonly Json[] {
  if (value === null || typeof value !== 'object') return [];
  if (Array.isArray(value)) return value.flatMap((one) => allOf(one, name));
  return Object.entries(value).flatMap(([key, one]) => [...(key === name ? [one] : []), ...allOf(one, name)]);
}

describe('every time that is shown to others is ISO 8601 with +08:00', () => {
  let world: World;
  let hall: Follower;
  const answers: { readonly call: string; readonly status: number; readonly body: Json }[] = [];

  before(async () => {
    world = await startWorld({
      terms: { breaker: { failures: 3, windowMs: 10_000, openMs: 300 } },
      over: {
        certificates: {
          max: 1_000,
          negativeSeconds: 0,
          useCodeSeconds: 60,
          documentBytes: 1_048_576,
          annotateBytes: 1_048_576,
          owedSweepMs: 30,
          owedAfterMs: [60],
          ledgerDays: 1_095,
        },
      },
    });
    hall = new Follower(world);
  });
  after(() => world.stop());

  async function get(as: Client, target: string): Promise<JsonObject> {
    const { status, body } = await as.get<JsonObject>(target);
    answers.push({ call: `GET ${target}`, status, body });
    return body;
  }
  async function post(as: Client, target: string, given: JsonObject = {}): Promise<JsonObject> {
    const { status, body } = await as.post<JsonObject>(target, given);
    answers.push({ call: `POST ${target}`, status, body });
    return body;
  }

  test('a whole flow: waiting, owing, parked, released, withdrawn; and all that can be asked meanwhile', async () => {
    const { window, operator, auditor } = world;
    // A case that owes a material, because a source is away, and whose tax step waits for an office that is away.
    await hall.mood('public-security', 'absent');
    await hall.mood('tax', 'absent');
    const sale = houseTransfer({ name: '陈样样' });
    await post(window, '/v1/cases/precheck', sale);
    const { caseNo } = (await post(window, '/v1/cases', sale)) as { caseNo: string };
    await post(window, '/v1/cases', sale);
    await get(window, `/v1/cases/${caseNo}`);
    await hall.mood('public-security', 'well');
    await hall.reaches(caseNo, '02', 'WAITING', 30_000);
    await get(operator, '/v1/departments/tax');
    await get(operator, `/v1/envelopes/${caseNo}-02`);
    // One that is parked, and one that is withdrawn.
    await hall.mood('social-security', 'garbled');
    const employed = await hall.submit(flexibleEmployment());
    await hall.reaches(employed, '01', 'PARKED', 30_000);
    await get(operator, '/v1/envelopes?state=parked');
    await post(operator, '/v1/departments/social-security/pause', { reason: '割接' });
    await get(operator, '/v1/departments/social-security');
    await post(operator, '/v1/departments/social-security/resume');
    await hall.mood('social-security', 'well');
    await post(operator, `/v1/envelopes/${employed}-01/release`);
    const withdrawn = (await post(window, '/v1/cases', houseTransfer())).caseNo as string;
    await post(operator, `/v1/cases/${withdrawn}/pause`, { reason: '核查' });
    await post(operator, `/v1/cases/${withdrawn}/resume`);
    await post(window, `/v1/cases/${withdrawn}/withdrawal`, { reason: '不办了' });
    await hall.mood('tax', 'well');
    await hall.ends(caseNo, 60_000);
    await hall.ends(employed, 60_000);

    // Certificates: fetched, by consent, verified, in the ledger.
    const applicationNo = `YC-${randomUUID()}`;
    const itemCode = String(sale.itemCode);
    const mandate = await post(window, '/v1/certificates/mandates', {
      holder: STRANGER,
      agent: { name: '陈样例', idType: '111', idNo: '331124199512120052' },
      itemCode,
      types: [ID_CARD],
      until: localTime(Date.now() + 30 * 86_400_000),
      evidence: 'SY-SQ-2026-000123',
      clerk: CLERK,
    });
    const purpose = { applicationNo, itemCode, clerk: CLERK, basis: BASIS };
    await post(window, '/v1/certificates/retrievals', { itemCode, form: sale.form as JsonObject, purpose });
    assert.equal(typeof mandate.mandateId, 'string', JSON.stringify(mandate));
    await get(window, `/v1/certificates/mandates/${mandate.mandateId}`);
    await post(window, `/v1/certificates/mandates/${mandate.mandateId}/revocation`, { reason: '本人撤回' });
    await post(window, '/v1/certificates/verifications', { clerk: CLERK, basis: BASIS, sm3: 'ab'.repeat(32) });
    await post(auditor, '/v1/certificates/ledger/searches', {});
    await get(auditor, '/v1/certificates/ledger/check');
    await post(auditor, '/v1/certificates/ledger/deletions', { before: '2020-01-01' });
    const year = new Date().getFullYear();
    for (const by of ['item', 'type', 'source', 'month'])
      await get(auditor, `/v1/certificates/statistics?from=${year}-01-01&until=${year + 1}-01-01&by=${by}`);

    // Refusals have times in their sentences.
    await post(window, '/v1/cases', { applicationNo: 'x' });
    const late = await fetch(`${world.gateway.url}/v1/items`, {
      headers: { ...window.headers('GET', '/v1/items', new Uint8Array()), 'X-Timestamp': String(Date.now() - 900_000) },
    });
    answers.push({
      call: 'GET /v1/items, a clock that is off',
      status: late.status,
      body: (await late.json()) as Json,
    });
    assert.equal(late.status, 401);

    // Whatever can be asked without a body, each resource by what it has.
    const api = await get(window, '/openapi.json');
    const values: Record<string, readonly string[]> = {
      caseNo: [caseNo, employed, withdrawn],
      id: [`${caseNo}-02`, `${caseNo}-W1`, `${employed}-01`],
      party: [...world.simulated.simulators.keys()],
      code: [itemCode],
    };
    for (const [route, methods] of Object.entries(api.paths as JsonObject)) {
      if (!('get' in (methods as object)) || route.startsWith('/docs') || route === '/metrics') continue;
      const name = /\{(\w+)\}/.exec(route)?.[1];
      if (name !== undefined && values[name] === undefined) continue;
      for (const value of name === undefined ? [''] : (values[name] ?? []))
        for (const as of [window, operator, auditor]) await get(as, route.replace(`{${name}}`, value));
    }
    for (const state of ['waiting', 'leased', 'delivered', 'refused', 'parked', 'cancelled', 'unmatched'])
      await get(operator, `/v1/envelopes?state=${state}&limit=100`);

    // What the samples of the API document say is an answer too: it stands in /openapi.json, which was asked for above.
    assert.deepEqual(
      answers.flatMap(({ call, body }) => strangeTimes(body, call)),
      [],
    );
    // And there was something to find: the places in which a time stood as a number.
    const timelines = answers.filter(({ call, status }) => call.includes('/timeline') && status === 200);
    const untils = timelines.flatMap(({ body }) => allOf(body, 'until'));
    assert.ok(untils.length >= 2, 'an event that waits, and one that owes');
    for (const one of untils) assert.match(String(one), OUR_TIME);
    const kinds = new Set(timelines.flatMap(({ body }) => allOf(body, 'kind')));
    for (const kind of [
      'accepted',
      'owed',
      'provided',
      'sent',
      'waiting',
      'delivered',
      'answered',
      'parked',
      'released',
    ])
      assert.ok(kinds.has(kind), `no event ${kind} in any timeline`);
    for (const kind of ['withdrawn', 'decided']) assert.ok(kinds.has(kind), `no event ${kind} in any timeline`);
  });

  test('what the window is told, every notice of every case', async () => {
    const notices = await until(() => {
      const all = world.book('window');
      return all.some(({ what }) => what === 'case.result@1') ? all : undefined;
    });
    assert.ok(notices.some(({ what }) => what === 'case.progress@1'));
    assert.deepEqual(
      notices.flatMap(({ key, content }) => strangeTimes(content, key)),
      [],
    );
    assert.ok(notices.flatMap(({ content }) => allOf(content, 'resumesAt')).some((at) => OUR_TIME.test(String(at))));
  });
});
