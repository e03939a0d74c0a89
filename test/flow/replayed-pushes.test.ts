import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import { Follower, stepOf } from '../support/follow.ts';
import { houseTransfer } from '../support/submissions.ts';
import { startWorld, until, type World } from '../support/world.ts';

const TITLE = '11100000MB03271699001';
const HOLDER = { name: '周样例', idType: '111', idNo: '331124197203040017' };
const CLERK = { officerId: 'CK-07', windowId: 'W07' };

const HOUSE = '11331124QA0000057N433071500400501';
const BASIS = '不动产登记暂行条例第十六条';

interface Found {
  readonly freshness: string | null;
}

describe('a signed push that somebody recorded and sends again', () => {
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld();
    hall = new Follower(world);
  });
  after(() => world.stop());

  const local = (at: number): string => new Date(at + 8 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ');

  /** A push as it went over the line, to be sent as often as somebody likes. */
  function recorded(message: JsonObject) {
    const body = JSON.stringify(message);
    const key = String((world.settings.parties['real-estate'] as JsonObject).pushKey);
    const sign = createHmac('sm3', key).update(body).digest('hex');
    return async (headers: { [name: string]: string } = {}, search = '') => {
      const response = await fetch(`${world.gateway.url}/v1/callbacks/real-estate${search}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json;charset=UTF-8', 'x-bdc-sign': sign, ...headers },
        body,
      });
      return { status: response.status, text: await response.text() };
    };
  }

  /** With what nobody signed the same, and changed. */
  const again = (send: ReturnType<typeof recorded>) => [
    send(),
    send({ 'content-type': 'text/html' }),
    send({ 'content-type': 'text/xml; charset=GBK', 'x-forwarded-for': '10.0.0.9', 'x-request-id': 'other' }),
    send({ traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`, 'user-agent': 'another' }),
    send({}, '?xxbh=other&slbh=other'),
  ];

  const registered = (key: string, number: string): JsonObject => ({
    xxbh: `${number}-已登簿`,
    slbh: key,
    bdcSlbh: number,
    zt: '已登簿',
    yy: '/',
    bzcl: [],
    bdcqzh: '浙(2026)松阳县不动产权第0009999号',
    zzbs: '1.2.156.3005.2.11100000MB03271699001.11331124QA0000057N.20260000000000000001.001.H',
    djsj: local(Date.now()),
    gxsj: local(Date.now()),
  });

  const seen = async (caseNo: string): Promise<Json> => {
    return JSON.parse(JSON.stringify({ look: await hall.look(caseNo), events: await hall.timeline(caseNo) }));
  };

  test('about a case, also after it went on: answered as the first was, and nothing is written', async () => {
    await hall.lever('real-estate', 'push', false);
    await hall.lever('real-estate', 'decideAfterMs', 600_000);
    const caseNo = await hall.submit(houseTransfer());
    const { number } = await hall.reaches(caseNo, '03', 'WAITING_RECEIPT');
    const send = recorded(registered(`${caseNo}-03`, String(number)));
    const first = await send();
    assert.deepEqual([first.status, JSON.parse(first.text)], [200, { code: 0, msg: '成功' }]);
    for (const reply of await Promise.all(again(send))) assert.deepEqual(reply, first);
    await hall.ends(caseNo);
    // The window is told of all that before.
    await until(async () => {
      const { waiting, inFlight } = (await hall.department('window')).lane;
      return waiting + inFlight === 0 || undefined;
    });
    const before = await seen(caseNo);
    const notices = hall.notices(caseNo).length;
    for (const reply of await Promise.all(again(send))) assert.deepEqual(reply, first);
    assert.deepEqual(await seen(caseNo), before);
    assert.equal(hall.notices(caseNo).length, notices);
    assert.equal(
      (await hall.timeline(caseNo)).filter(({ kind, stepNo }) => kind === 'answered' && stepNo === '03').length,
      1,
    );
    assert.equal(stepOf(await hall.look(caseNo), '03').state, 'DONE');
    await world.restart();
    assert.deepEqual(await send({ 'content-type': 'text/plain' }), first);
    assert.deepEqual(await seen(caseNo), before);
  });

  test('about nothing that is known, also after a person discarded it', async () => {
    const send = recorded(registered('331124200101000077-03', 'BDC-mistyped-77'));
    const first = await send();
    const listed = async () =>
      (await world.operator.get<{ rows: { id: string }[] }>('/v1/messages?state=unmatched')).body.rows;
    const [one, ...more] = await listed();
    assert.ok(one !== undefined && more.length === 0);
    for (const reply of await Promise.all(again(send))) assert.deepEqual(reply, first);
    assert.deepEqual(await listed(), [one]);
    const { status } = await world.operator.post(`/v1/messages/${one.id}/discard`, { reason: '登记中心误发' });
    assert.equal(status, 200);
    for (const reply of await Promise.all(again(send))) assert.deepEqual(reply, first);
    assert.deepEqual(await listed(), []);
  });

  test('of a certificate that changed: the copies made since are not forgotten once more', async () => {
    const freshness = async (): Promise<string | null> => {
      const { status, body } = await world.window.post<{ results: readonly Found[] }>('/v1/certificates/retrievals', {
        holder: HOLDER,
        types: [TITLE],
        purpose: { applicationNo: 'YC-D1', itemCode: HOUSE, clerk: CLERK, basis: BASIS },
        hints: { certNo: '浙(2026)松阳县不动产权第7000077号' },
      });
      assert.equal(status, 200, JSON.stringify(body));
      return body.results[0]?.freshness ?? null;
    };
    assert.deepEqual([await freshness(), await freshness()], ['live', 'cached']);
    const change = (xxbh: string) =>
      recorded({ xxbh, lx: 'zzbg', bdcqzh: 'x', zzzt: '02', zjzl: '1', zjh: HOLDER.idNo });
    const send = change('zzbg-77');
    const first = await send();
    assert.deepEqual([first.status, JSON.parse(first.text)], [200, { code: 0, msg: '成功' }]);
    assert.deepEqual([await freshness(), await freshness()], ['live', 'cached']);
    for (const reply of await Promise.all(again(send))) assert.deepEqual(reply, first);
    assert.equal(await freshness(), 'cached');
    await world.restart();
    assert.deepEqual([await freshness(), await freshness()], ['live', 'cached']);
    for (const reply of await Promise.all(again(send))) assert.deepEqual(reply, first);
    assert.equal(await freshness(), 'cached');
    // What they say anew is heard.
    assert.deepEqual(await change('zzbg-78')(), first);
    assert.equal(await freshness(), 'live');
  });

  test('316 bytes that nobody signed: answered at once, and everybody else as well', async () => {
    const body = `${'<!---->'.repeat(45)}x`;
    assert.equal(Buffer.byteLength(body), 316);
    const began = performance.now();
    const response = await fetch(`${world.gateway.url}/v1/callbacks/real-estate`, {
      method: 'POST',
      headers: { 'content-type': 'text/xml' },
      body,
      signal: AbortSignal.timeout(10_000),
    });
    assert.deepEqual([response.status, ((await response.json()) as JsonObject).code], [200, 1]);
    const live = await fetch(`${world.gateway.url}/livez`, { signal: AbortSignal.timeout(10_000) });
    assert.equal(live.status, 200);
    assert.ok(performance.now() - began < 5_000);
  });
});
