import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Api, OFFICE, type Sent, startApi } from '../../test/support/api.ts';

describe('who may call', () => {
  let api: Api;
  before(async () => {
    api = await startApi();
  });
  after(() => api.close());

  async function refused(sent: Sent, method: 'GET' | 'POST' = 'GET', target = '/v1/items') {
    const { status, body, headers } = await api.call(method, target, sent);
    assert.equal(status, 401, JSON.stringify(body));
    assert.match(String(headers['content-type']), /^application\/problem\+json/);
    assert.match(String(headers['www-authenticate']), /^Signature/);
    assert.ok(body.zh.length > 0 && body.en.length > 0);
    return body;
  }

  test('one whose signature is right, under SHA-256 or SM3', async () => {
    assert.equal((await api.call('GET', '/v1/items')).status, 200);
    assert.equal((await api.call('GET', '/v1/items', { method: 'HMAC-SM3' })).status, 200);
    assert.equal((await api.call('GET', '/v1/cases?applicationNo=%E5%BC%A0&limit=5')).status, 200);
  });

  test('nobody without the headers: every one that is missing is named at once', async () => {
    const none = { 'X-App-Key': undefined, 'X-Timestamp': undefined, 'X-Nonce': undefined, 'X-Signature': undefined };
    const { code, problems } = await refused({ headers: none });
    assert.equal(code, 'missingHeader');
    assert.deepEqual(
      problems.map(({ pointer }: { pointer: string }) => pointer),
      ['header:X-App-Key', 'header:X-Timestamp', 'header:X-Nonce', 'header:X-Signature'],
    );
    assert.equal((await refused({ headers: { 'X-Nonce': undefined } })).code, 'missingHeader');
  });

  test('nobody with headers of another form', async () => {
    const wrong: readonly Sent[] = [
      { timestamp: '1795395600' },
      { timestamp: '2026-11-23T09:00:00+08:00' },
      { nonce: 'short' },
      { nonce: 'n'.repeat(65) },
      { headers: { 'X-Signature': 'A'.repeat(64) } },
      { headers: { 'X-Signature': 'abc' } },
      { headers: { 'X-Signature-Method': 'none' } },
      { headers: { 'X-Signature-Method': 'HMAC-MD5' } },
    ];
    for (const sent of wrong) assert.equal((await refused(sent)).code, 'badHeader', JSON.stringify(sent));
  });

  test('nobody unknown', async () => {
    for (const as of ['stranger', '__proto__', 'constructor']) assert.equal((await refused({ as })).code, 'unknownApp');
  });

  test('nobody whose signature is not over what came', async () => {
    const body = { reason: 'x' };
    assert.equal((await refused({ secret: 'another-secret' })).code, 'badSignature');
    assert.equal((await refused({ headers: { 'X-Signature': '0'.repeat(64) } })).code, 'badSignature');
    assert.equal((await refused({ headers: { 'X-App-Key': 'window-2' } })).code, 'badSignature');
    assert.equal(
      (await refused({ method: 'HMAC-SM3', headers: { 'X-Signature-Method': 'HMAC-SHA256' } })).code,
      'badSignature',
    );
    const instead = Buffer.from('{"reason":"y"}');
    assert.equal((await refused({ body, instead }, 'POST', '/v1/cases')).code, 'badSignature');
  });

  test('nobody whose clock is more than five minutes off, who is told our time', async () => {
    const now = api.clock.now();
    for (const off of [-300_001, 300_001, 9e11]) {
      const { code, en, zh } = await refused({ timestamp: String(now + off) });
      assert.equal(code, 'clockOff');
      for (const words of [en, zh]) assert.match(words, /2026-11-23T09:00:00\.000\+08:00$/);
    }
    for (const off of [-300_000, 300_000]) {
      assert.equal((await api.call('GET', '/v1/items', { timestamp: String(now + off) })).status, 200);
    }
  });

  test('nobody twice with one nonce; but a wrong signature spends none', async () => {
    const nonce = 'once-and-never-again';
    await refused({ nonce, secret: 'another-secret' });
    assert.equal((await api.call('GET', '/v1/items', { nonce })).status, 200);
    assert.equal((await refused({ nonce })).code, 'nonceReused');
    assert.equal((await api.call('GET', '/v1/items', { nonce, as: 'window-2' })).status, 200);
  });

  test('a refusal is a warning in the log, never an error, and holds no secret', async () => {
    const before = api.lines.length;
    await refused({ secret: 'another-secret' });
    const said = api.lines.slice(before).filter(({ level }) => level !== 'debug');
    assert.deepEqual(
      said.map(({ level, fields }) => [level, fields.code, fields.app]),
      [['warn', 'badSignature', 'window-1']],
    );
    assert.doesNotMatch(JSON.stringify(api.lines), /secret-of-the-test/);
  });

  test('each role only what is its own, and who else may is said', async () => {
    const reason = { reason: '检修' };
    const table: readonly [string, 'GET' | 'POST', string, Sent['body']?][] = [
      ['office-1 operator-1 auditor-1', 'POST', '/v1/cases', {}],
      ['office-1 operator-1 auditor-1', 'POST', '/v1/cases/precheck', {}],
      ['office-1 operator-1 auditor-1', 'POST', '/v1/cases/331124261123000001/corrections', {}],
      ['office-1 operator-1 auditor-1', 'POST', '/v1/cases/331124261123000001/withdrawal', reason],
      ['window-1 office-1 auditor-1', 'POST', '/v1/cases/331124261123000001/pause', reason],
      ['window-1 office-1 auditor-1', 'POST', '/v1/cases/331124261123000001/resume'],
      ['window-1 office-1 auditor-1', 'POST', `/v1/departments/${OFFICE}/pause`, reason],
      ['window-1 office-1 auditor-1', 'POST', `/v1/departments/${OFFICE}/resume`],
      ['office-1 operator-1 auditor-1', 'POST', `/v1/departments/${OFFICE}/queries/blend`, {}],
      ['window-1', 'GET', '/v1/envelopes'],
      ['window-1', 'GET', '/v1/envelopes/331124261123000001-01'],
      ['window-1 office-1 auditor-1', 'POST', '/v1/envelopes/331124261123000001-01/release'],
      ['window-1 office-1 auditor-1', 'POST', '/v1/envelopes/331124261123000001-01/cancel', reason],
      ['office-1 operator-1 auditor-1', 'POST', '/v1/certificates/retrievals', {}],
      ['window-1 office-1 operator-1', 'POST', '/v1/certificates/ledger/searches', {}],
      ['window-1 office-1 operator-1', 'POST', '/v1/certificates/ledger/exports', {}],
      ['window-1 office-1 operator-1', 'GET', '/v1/certificates/ledger/check'],
      ['window-1 office-1 auditor-1', 'POST', '/v1/certificates/ledger/deletions', {}],
      ['window-1 office-1 operator-1', 'GET', '/v1/certificates/statistics'],
    ];
    for (const [apps, method, target, body] of table) {
      for (const as of apps.split(' ')) {
        const { status, body: told } = await api.call(method, target, { as, ...(body === undefined ? {} : { body }) });
        assert.equal(status, 403, `${as} ${method} ${target}`);
        assert.equal(told.code, 'roleNotAllowed');
        assert.match(told.en, /^this is for: (window|operator|auditor|department)/);
      }
    }
  });
});

describe('how often one may call', () => {
  test('one app is held to its rate, others are not, and the next minute is a new one', async () => {
    const api = await startApi({
      limits: { bodyBytes: 65_536, callbackBytes: 16_384, perMinute: 3, certificateTimeMs: 1_000 },
    });
    const statuses = async (as: string) => (await api.call('GET', '/v1/items', { as })).status;
    assert.deepEqual(
      [await statuses('window-1'), await statuses('window-1'), await statuses('window-1')],
      [200, 200, 200],
    );
    const { status, body, headers } = await api.call('GET', '/v1/items');
    assert.deepEqual([status, body.code, headers['retry-after'], body.retryAfter], [429, 'tooManyRequests', '60', 60]);
    assert.equal(await statuses('window-2'), 200);
    api.clock.move(60_000);
    assert.equal(await statuses('window-1'), 200);
    await api.close();
  });

  test('who is refused over and over is no longer listened to', async () => {
    const api = await startApi();
    let last = 0;
    let tries = 0;
    while (last !== 429 && tries < 3_100) {
      tries += 1;
      last = (await api.call('GET', '/v1/items', { as: 'stranger' })).status;
    }
    assert.deepEqual([last, tries], [429, 3_001]);
    api.clock.move(60_000);
    assert.equal((await api.call('GET', '/v1/items')).status, 200);
    await api.close();
  });
});
