import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Api, LIMITS, OFFICE, type Sent, startApi } from '../../test/support/api.ts';
import { iso } from './iso.ts';

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

  test('nobody unknown; and who is unknown cannot be told from who signs wrongly', async () => {
    const seen = async (sent: Sent) => {
      const { status, body, headers } = await api.call('POST', '/v1/cases', { body: { some: 'body' }, ...sent });
      const { traceId: _, ...told } = body;
      const { traceparent: __, date: ___, ...head } = headers;
      return { status, told, head };
    };
    const wrong = await seen({ secret: 'another-secret' });
    assert.deepEqual([wrong.status, wrong.told.code], [401, 'badSignature']);
    for (const as of ['stranger', '__proto__', 'constructor', 'toString']) assert.deepEqual(await seen({ as }), wrong);
    // Neither before its body is read: who is known to send a body must not be told from who is not.
    assert.equal((await seen({ as: 'stranger', body: Buffer.alloc(70_000) })).status, 413);
    assert.equal((await seen({ secret: 'another-secret', body: Buffer.alloc(70_000) })).status, 413);
    // Nor by how often each is refused.
    for (const sent of [{ as: 'some-stranger' }, { as: 'window-2', secret: 'another-secret' }]) {
      for (let count = 0; count < 300; count += 1) assert.equal((await seen(sent)).status, 401);
      assert.equal((await seen(sent)).told.code, 'tooManyRefusals');
    }
    api.clock.move(60_000);
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
      for (const words of [en, zh]) assert.ok(words.endsWith(iso(now)), words);
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
      said.map(({ level, fields }) => [level, fields.outcome, fields.app, fields.act, fields.address]),
      [['warn', 'badSignature', 'window-1', 'listItems', '127.0.0.1']],
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
      limits: { ...LIMITS, perMinute: 3 },
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

  test('who is refused over and over is told only that; who signs rightly under the same address and key is served', async () => {
    const api = await startApi();
    const answers = new Map<number, number>();
    for (let tries = 0; tries < 1_000; tries += 1) {
      const sent: Sent = tries % 2 === 0 ? { as: `stranger-${tries % 7}` } : { secret: 'another-secret' };
      const { status } = await api.call('GET', '/v1/items', sent);
      answers.set(status, (answers.get(status) ?? 0) + 1);
    }
    assert.deepEqual([...answers.keys()].sort(), [401, 429]);
    assert.equal((await api.call('GET', '/v1/items')).status, 200);
    // One line for each of the first, then one for each time that their number has doubled.
    const lines = api.lines.filter(({ message }) => message === 'a request was not let in');
    assert.ok(lines.length < 8 * 30, `${lines.length} lines`);
    await api.close();
  });

  test('what is refused spends no nonce: by its signature, its rate or its role', async () => {
    const stored: string[] = [];
    const api = await startApi({ limits: { ...LIMITS, perMinute: 2 } });
    const counted = await startApi({
      limits: { ...LIMITS, perMinute: 2 },
      nonces: {
        firstUse: async (app, nonce) => {
          stored.push(`${app} ${nonce.slice(0, 4)}`);
          return true;
        },
      },
    });
    const call = async (sent: Sent, target = '/v1/items') => (await counted.call('GET', target, sent)).status;
    assert.equal(await call({ secret: 'another-secret', nonce: 'aaaa-wrong-signature' }), 401);
    assert.equal(await call({ as: 'window-2', nonce: 'bbbb-wrong-role-role' }, '/v1/envelopes'), 403);
    assert.deepEqual(stored, []);
    assert.equal(await call({ nonce: 'cccc-first-of-the-two' }), 200);
    assert.equal(await call({ nonce: 'dddd-second-of-the-two' }), 200);
    assert.equal(await call({ nonce: 'eeee-one-too-many-here' }), 429);
    assert.deepEqual(stored, ['window-1 cccc', 'window-1 dddd']);
    // What was sent before, sent again by whoever heard it, does not use up its app's rate.
    const nonce = 'once-and-never-again';
    assert.equal((await api.call('GET', '/v1/items', { nonce })).status, 200);
    for (let again = 0; again < 5; again += 1)
      assert.equal((await api.call('GET', '/v1/items', { nonce })).body.code, 'nonceReused');
    assert.equal((await api.call('GET', '/v1/items')).status, 200);
    await Promise.all([api.close(), counted.close()]);
  });
});
