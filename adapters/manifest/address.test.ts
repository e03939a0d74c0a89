import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import type { Adapter, Call } from '../../contracts/ports/adapter.ts';
import { wallClock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Envelope } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { FarSide } from '../../test/support/far-side.ts';
import { loadParties } from '../load.ts';
import { checkedHeaders, requestUrl } from './address.ts';

const parties = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'test', 'support', 'parties');
const BASE = 'http://office.example:8080/api';

/** Paths that lead elsewhere, or are read by some server as one that does. */
const AWAY = [
  '@evil.example/x',
  '.evil.example/x',
  ':80@evil.example/x',
  '//evil.example/x',
  '/\\evil.example/x',
  '\\\\evil.example\\x',
  'https://evil.example/x',
  'evil',
  '/../admin',
  '/a/../../admin',
  '/%2e%2e/admin',
  '/.%2E/admin',
  '/a%2f..%2f..%2fadmin',
  '/a%5c..%5cadmin',
  '/x#y',
  '/x y',
  '/x\r\nHost: evil.example',
  '/x\tz',
  '/x\u0000',
  '/x\u202e',
];

describe('the address of a request', () => {
  test('is under the base, whatever its path and question are', () => {
    const url = (at: string, query = {}) => requestUrl(BASE, at, query);
    assert.equal(url('/file'), `${BASE}/file`);
    assert.equal(url(''), BASE);
    assert.equal(requestUrl(`${BASE}/`, '/file', {}), `${BASE}/file`);
    assert.equal(requestUrl('http://office.example', '/file', {}), 'http://office.example/file');
    assert.equal(url('/file', { no: '7&8', name: '张' }), `${BASE}/file?no=7%268&name=%E5%BC%A0`);
    assert.equal(url('/file?a=1', { b: '2' }), `${BASE}/file?a=1&b=2`);
    assert.equal(url('/a%2Fb/@c:d'), `${BASE}/a%2Fb/@c:d`);
    assert.equal(url('/%D5%C5'), `${BASE}/%D5%C5`);
    assert.equal(url('/x', { next: '//evil.example', host: '@evil.example' }).startsWith(`${BASE}/x?`), true);
  });

  for (const at of AWAY)
    test(`does not follow ${JSON.stringify(at)}`, () => {
      assert.throws(
        () => requestUrl(BASE, at, {}),
        (error) => {
          assert.ok(error instanceof Fault);
          assert.deepEqual(
            [error.kind, error.ours, error.maybeArrived, error.reason.code],
            ['malformed', true, false, 'otherAddress'],
          );
          return true;
        },
      );
    });

  test('never leaves the origin and the base', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.webUrl(),
          fc.string().map((text) => `/${text}`),
        ),
        (at) => {
          try {
            const url = new URL(requestUrl(BASE, at, {}));
            assert.equal(url.origin, 'http://office.example:8080');
            assert.ok(url.pathname === '/api' || url.pathname.startsWith('/api/'), url.pathname);
          } catch (error) {
            assert.ok(error instanceof Fault, String(error));
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test('headers are fields and nothing else', () => {
    assert.deepEqual(checkedHeaders({ 'x-a': 'b c' }), { 'x-a': 'b c' });
    for (const headers of [
      { 'x-a': 'b\r\nx-c: d' },
      { 'x-a': '张' },
      { 'x a': 'b' },
      { 'x-a\r\nx-b': 'c' },
      { '': 'x' },
      { Host: 'evil.example' },
      { 'Transfer-Encoding': 'chunked' },
      { 'content-length': '0' },
    ])
      assert.throws(() => checkedHeaders(headers as never), { name: 'Fault' }, JSON.stringify(headers));
  });
});

describe('`baseUrl` plus `@evil.example/x` out of a reply sent the access token away', () => {
  const [far, evil] = [new FarSide(), new FarSide()];
  let folder: string;
  let adapter: Adapter;
  const call = (): Call => ({ signal: AbortSignal.timeout(5_000), attempt: 1, log: silent, traceparent: '' });
  const envelope: Envelope = {
    id: '331124261123000001-02',
    caseNo: '331124261123000001',
    stepNo: '02',
    to: 'bakery',
    contract: 'bakery.loaf@1',
    body: { no: '7' },
    traceparent: '',
    createdAt: 0,
  };

  /** The bakery, whose second call goes where the first reply says. */
  async function connected(baseUrl: string) {
    const [bakery] = (await loadParties(folder)).filter(({ party }) => party === 'bakery');
    assert.ok(bakery !== undefined);
    return bakery.connect({ baseUrl, pushKey: 'push-key-of-the-test' }, { clock: wallClock, log: silent });
  }

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'onewindow-address-'));
    await cp(path.join(parties, 'bakery'), path.join(folder, 'bakery'), { recursive: true });
    const file = path.join(folder, 'bakery', 'manifest.yaml');
    const manifest = await readFile(file, 'utf8');
    const seal = '{"path": replies.taste.next, "headers": {"x-token": settings.pushKey}}';
    await writeFile(
      file,
      manifest.replace('send: { <<: *json, path: /bake }', `send: { <<: *json, path: /bake, seal: '${seal}' }`),
    );
    ({ adapter } = await connected(await far.open()));
    await evil.open();
  });
  after(async () => {
    await adapter.close();
    await Promise.all([far.close(), evil.close()]);
    await rm(folder, { recursive: true });
  });
  beforeEach(() => {
    far.forget();
    evil.forget();
    far.says('/bake', { means: 'filed', number: 'L1', slices: '12' });
  });

  test('a path that stays is followed', async () => {
    far.says('/taste', { means: 'filed', next: '/bake' });
    assert.equal((await adapter.deliver(envelope, call())).number, 'L1');
    assert.equal(far.on('/bake')[0]?.headers['x-token'], 'push-key-of-the-test');
  });

  for (const at of AWAY)
    test(`nothing is sent to ${JSON.stringify(at)}`, async () => {
      far.says('/taste', { means: 'filed', next: at });
      await assert.rejects(adapter.deliver(envelope, call()), (error) => {
        assert.ok(error instanceof Fault);
        assert.deepEqual([error.kind, error.maybeArrived], ['malformed', false]);
        return true;
      });
      assert.equal(far.asked.length, 1, 'only the first call');
    });

  test('a redirect to another host is not followed', async () => {
    far.says('/taste', { means: 'filed', next: '/bake' });
    const elsewhere = `http://127.0.0.1:${evil.port}/bake`;
    for (const status of [301, 302, 303, 307, 308]) {
      far.says('/bake', { raw: '', status, headers: { location: elsewhere } });
      await assert.rejects(adapter.deliver(envelope, call()), { name: 'Fault' });
    }
    assert.deepEqual(evil.asked, []);
  });

  test('a `baseUrl` that says more than whom to call is refused at the start, by its name', async () => {
    for (const baseUrl of [
      'http://user:password@office.example',
      'http://office.example/?x=',
      'http://office.example/#',
      'ftp://office.example',
      'file:///etc/passwd',
      'javascript:alert(1)',
      'http://office.example//x',
    ])
      await assert.rejects(connected(baseUrl), (error) => {
        assert.ok(error instanceof Unfit, String(error));
        assert.deepEqual(
          error.problems.map(({ pointer }) => pointer),
          ['/baseUrl'],
          baseUrl,
        );
        assert.ok(!JSON.stringify(error.problems).includes('password@'));
        return true;
      });
  });
});
