import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadSettings, SettingsError } from './load.ts';

describe('settings of the server', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'server-settings-'));
  });
  after(() => rm(folder, { recursive: true }));

  async function loaded(settings: object, env: { readonly [name: string]: string } = {}) {
    const CONFIG = path.join(folder, 'settings.json');
    await writeFile(CONFIG, JSON.stringify(settings));
    return loadSettings({ DATA_DIR: path.join(folder, 'data'), CONFIG, ...env });
  }
  async function mistakes(settings: object, env: { readonly [name: string]: string } = {}): Promise<readonly string[]> {
    const error = await loaded(settings, env).then(
      () => assert.fail('loaded'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof SettingsError, String(error));
    return error.mistakes;
  }

  test('need nothing, and can be set', async () => {
    const { http, limits, adminPort, tls } = await loaded({});
    assert.deepEqual(
      [http, limits.bodiesBytes, adminPort, tls],
      [
        { trustedProxies: [], connections: 1_024, connectionsPerAddress: 256, headersMs: 10_000, requestMs: 30_000 },
        67_108_864,
        undefined,
        undefined,
      ],
    );
    const trustedProxies = ['10.0.0.7', '172.30.0.0/24', 'fd00::/8', '::1'];
    const set = await loaded(
      { http: { trustedProxies }, tls: { cert: 'a.pem', key: '/b.pem' } },
      { ADMIN_PORT: '9090' },
    );
    assert.deepEqual(set.http.trustedProxies, trustedProxies);
    assert.equal(set.adminPort, 9_090);
    assert.deepEqual(set.tls, { cert: path.join(folder, 'a.pem'), key: '/b.pem' }, 'relative to the file');
  });

  test('are refused where they cannot be meant, each by its name', async () => {
    const proxies = ['10.0.0.256', '10.0.0.0/33', '0.0.0.0/0', '::/0', 'balancer.county.example', '10.0.0.0/24/1'];
    assert.deepEqual(
      await mistakes({ http: { trustedProxies: proxies } }),
      proxies.map(
        (proxy, at) =>
          `http.trustedProxies[${at}]: expected an address or a CIDR range such as 10.0.0.0/24, got "${proxy}"`,
      ),
    );
    assert.deepEqual(
      await mistakes({
        http: { connections: 20, connectionsPerAddress: 30, headersMs: 20_000, requestMs: 10_000 },
        limits: { bodyBytes: 2_000_000, bodiesBytes: 1_000_000 },
        tls: { cert: 'a', key: 'b', clientCertificate: 'optional' },
      }),
      [
        'http.connectionsPerAddress: expected not more than http.connections',
        'http.requestMs: expected not less than http.headersMs',
        'limits.bodiesBytes: expected not less than limits.bodyBytes and limits.callbackBytes',
        'tls.clientCertificate: only with tls.clientCa',
      ],
    );
    assert.deepEqual(await mistakes({}, { ADMIN_PORT: 'x' }), [
      'ADMIN_PORT: expected an integer from 0 to 65535, got "x"',
    ]);
  });
});
