import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { holderHashKey } from './holder-key.ts';
import { HELP, loadSettings, SettingsError, wantsHelp } from './load.ts';

describe('settings', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'settings-'));
  });
  after(() => rm(folder, { recursive: true }));

  const DATA_DIR = () => path.join(folder, 'data');
  async function file(name: string, text: string): Promise<string> {
    const place = path.join(folder, name);
    await writeFile(place, text);
    return place;
  }
  async function mistakes(env: Record<string, string>, argv: string[] = []): Promise<readonly string[]> {
    const error = await loadSettings({ DATA_DIR: DATA_DIR(), ...env }, argv).then(
      () => assert.fail('loaded'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof SettingsError, String(error));
    for (const mistake of error.mistakes) assert.ok(error.message.includes(mistake));
    return error.mistakes;
  }

  test('need nothing: the defaults serve on loopback, without any app', async () => {
    const settings = await loadSettings({ DATA_DIR: DATA_DIR() });
    assert.equal(settings.port, 8080);
    assert.equal(settings.host, '127.0.0.1');
    assert.equal(settings.demo, false);
    assert.deepEqual(settings.apps, []);
    assert.deepEqual(settings.window, { party: 'window' });
    assert.equal(settings.limits.bodyBytes, 1_048_576);
    for (const place of Object.values(settings.folders)) assert.ok(path.isAbsolute(place));
    assert.ok((await readdir(settings.folders.items)).includes('house-transfer'));
  });

  test('are taken from the file over the defaults, and from the environment over the file', async () => {
    const CONFIG = await file(
      'over.yaml',
      [
        'port: 9000',
        'host: 0.0.0.0',
        'delivery: {sweepMs: 50}',
        'folders: {items: my-items}',
        'parties:',
        '  tax: {baseUrl: "http://127.0.0.1:1", terms: {concurrency: 2}}',
      ].join('\n'),
    );
    const settings = await loadSettings({ DATA_DIR: DATA_DIR(), CONFIG, PORT: '9001', LOG_LEVEL: 'debug', HOST: '' });
    assert.equal(settings.port, 9001);
    assert.equal(settings.host, '0.0.0.0', 'an empty variable is not set');
    assert.equal(settings.logLevel, 'debug');
    assert.equal(settings.delivery.sweepMs, 50);
    assert.equal(settings.delivery.leaseMs, 60_000);
    assert.equal(settings.folders.items, path.join(folder, 'my-items'), 'relative to the file');
    assert.deepEqual(settings.parties, { tax: { baseUrl: 'http://127.0.0.1:1', terms: { concurrency: 2 } } });
  });

  test('take the balancers in front from the environment, over those of the file', async () => {
    const CONFIG = await file('proxies.yaml', 'http: {trustedProxies: ["10.0.0.1"], connections: 300}');
    const env = { DATA_DIR: DATA_DIR(), CONFIG, TRUSTED_PROXIES: '172.30.0.0/24, 10.0.0.2' };
    const { http } = await loadSettings(env);
    assert.deepEqual([http.trustedProxies, http.connections], [['172.30.0.0/24', '10.0.0.2'], 300]);
    assert.deepEqual(await mistakes({ CONFIG, TRUSTED_PROXIES: 'everybody' }), [
      'http.trustedProxies[0]: expected an address or a CIDR range such as 10.0.0.0/24, got "everybody"',
    ]);
  });

  test('know the demo apps in the demo profile only', async () => {
    const keys = async (argv: string[], CONFIG = '') =>
      (await loadSettings({ DATA_DIR: DATA_DIR(), CONFIG }, argv)).apps.map(({ key, secrets }) => `${key} ${secrets}`);
    const demo = ['window-demo', 'tax-demo', 'operator-demo', 'auditor-demo'].map((key) => `${key} ${key}-secret`);
    assert.deepEqual(await keys(['--demo']), demo);
    assert.deepEqual(await keys([], await file('demo.json', '{"demo": true}')), demo);
    assert.deepEqual(await keys([]), []);
    const own = await file('own.yaml', 'apps: [{key: window-demo, secret: another-secret-of-mine, role: window}]');
    assert.equal((await keys(['--demo'], own))[0], 'window-demo another-secret-of-mine');
    assert.equal((await keys(['--demo'], own)).length, 4);
  });

  test('tell every mistake at once, in plain words', async () => {
    const CONFIG = await file(
      'bad.yaml',
      `
delivery: {leasMs: 5, sweepMs: 5s}
demo: yes
limits: 7
apps: [{key: x, role: boss, secret: 12}]
parties: {tax: 5}
`,
    );
    const env = {
      CONFIG,
      PORT: '80a',
      LOG_LEVEL: 'INFO',
      DATABASE_URL: 'mysql://me:geheim@db/x',
      AMQP_URL: 'http://me:geheim@mq',
    };
    const told = await mistakes(env, ['--dmo']);
    assert.deepEqual(
      [...told].sort(),
      [
        '--dmo: there is no such option; see --help',
        'AMQP_URL: expected the address of a RabbitMQ, amqp:// or amqps://, got something else (not shown)',
        'DATABASE_URL: expected the address of a PostgreSQL, postgres:// or postgresql://, got something else (not shown)',
        'LOG_LEVEL: expected one of error, warn, info, debug, got "INFO"',
        'PORT: expected an integer from 0 to 65535, got "80a"',
        'apps[0].key: expected a text of 3 to 64 characters, got "x"',
        'apps[0].role: expected one of window, department, operator, auditor, got "boss"',
        'apps[0].secret: expected a text of 16 to 256 characters, got something else (not shown)',
        'delivery.leasMs: there is no such field; allowed are: leaseMs, sweepMs, stopMs, askSweepMs, alarmAfterMs, messageDays',
        'delivery.sweepMs: expected an integer from 10 to 60000, got "5s"',
        'demo: expected true or false, got "yes"',
        'limits: expected an object, got 7',
        'parties.tax: expected an object, got something else (not shown)',
      ].sort(),
    );
  });

  test('tell what apps and parties contradict', async () => {
    const secret = 'a-secret-long-enough';
    const apps = [
      { key: 'one', secret, role: 'window', party: 'tax' },
      { key: 'one', secret: `another ${secret}`, role: 'department', channels: ['web'] },
    ];
    const CONFIG = await file('apps.json', JSON.stringify({ apps, parties: { Tax: {} } }));
    assert.deepEqual(await mistakes({ CONFIG }), [
      'apps[0].party: only for the role department',
      'apps[1].key: another app has this key too',
      "apps[1].party: a department's app must name its party",
      'apps[1].channels: only for the role window',
      "parties.Tax: a party's name is lower-case letters, digits and -",
    ]);
  });

  test('tell which secret stands twice, over all apps and both of its fields, without showing it', async () => {
    const [one, two] = ['geheim-of-one-0123456789', 'geheim-of-two-0123456789'];
    const apps = [
      { key: 'one', secret: one, role: 'window', previousSecret: two },
      { key: 'two', secret: two, role: 'operator' },
      { key: 'three', secret: 'geheim-of-three-0123456789', role: 'auditor', previousSecret: one },
      {
        key: 'four',
        secret: 'geheim-of-four-0123456789',
        role: 'auditor',
        previousSecret: 'geheim-of-four-0123456789',
      },
    ];
    const told = await mistakes({ CONFIG: await file('twice.json', JSON.stringify({ apps })) });
    const after = 'every app has a secret of its own, and another one each time';
    assert.deepEqual(told, [
      `apps[1].secret: the same as apps[0].previousSecret; ${after}`,
      `apps[2].previousSecret: the same as apps[0].secret; ${after}`,
      `apps[3].previousSecret: the same as apps[3].secret; ${after}`,
    ]);
    assert.doesNotMatch(told.join('\n'), /geheim/);
  });

  test('take an app with two secrets, the current one first', async () => {
    const app = { key: 'one', secret: 'n'.repeat(22), previousSecret: 'o'.repeat(22), role: 'window' };
    const CONFIG = await file('two.json', JSON.stringify({ apps: [app] }));
    const { apps } = await loadSettings({ DATA_DIR: DATA_DIR(), CONFIG });
    assert.deepEqual(apps, [{ key: 'one', secrets: ['n'.repeat(22), 'o'.repeat(22)], role: 'window' }]);
  });

  test('let the demo serve this machine alone, however it was asked for and wherever the host was set', async () => {
    const demo = await file('demo-open.yaml', 'demo: true');
    const open = await file('demo-host.yaml', 'demo: true\nhost: 0.0.0.0');
    const wrong = (place: string, host: string) =>
      `${place}: everybody knows the secrets of the demo apps, so that demo (--demo) serves this machine alone: expected 127.0.0.1, ::1 or localhost, got "${host}"`;
    for (const host of [
      '0.0.0.0',
      '::',
      '0',
      '10.1.2.3',
      '::ffff:0.0.0.0',
      '::ffff:10.1.2.3',
      'no-such-host.invalid',
    ]) {
      assert.deepEqual(await mistakes({ HOST: host }, ['--demo']), [wrong('HOST', host)]);
      assert.deepEqual(await mistakes({ HOST: host, CONFIG: demo }), [wrong('HOST', host)]);
    }
    assert.deepEqual(await mistakes({ CONFIG: open }), [wrong('host', '0.0.0.0')]);
    assert.deepEqual(await mistakes({ CONFIG: open }, ['--check']), [wrong('host', '0.0.0.0')]);
    for (const host of ['127.0.0.1', '127.8.9.10', '::1', '::ffff:127.0.0.1', 'localhost'])
      assert.equal((await loadSettings({ DATA_DIR: DATA_DIR(), HOST: host }, ['--demo'])).host, host);
    assert.equal((await loadSettings({ DATA_DIR: DATA_DIR(), HOST: '0.0.0.0' })).host, '0.0.0.0', 'without demo');
  });

  test('tell a missing setting of an app', async () => {
    const CONFIG = await file('half.json', '{"apps": [{"key": "one"}]}');
    assert.deepEqual([...(await mistakes({ CONFIG }))].sort(), [
      'apps[0].role: expected one of window, department, operator, auditor, got nothing',
      'apps[0].secret: expected a text of 16 to 256 characters, got nothing',
    ]);
  });

  test('tell where a file cannot be read, without quoting it', async () => {
    const none = path.join(folder, 'none.yaml');
    assert.deepEqual(await mistakes({ CONFIG: none }), [`CONFIG: ${none} cannot be read (ENOENT)`]);
    const broken = await file('broken.yaml', 'apps:\n  - {key: one, secret: "geheim\n');
    const told = await mistakes({ CONFIG: broken });
    assert.match(told.join('\n'), /^CONFIG: .*broken\.yaml:\d+: [A-Z_]+/);
    assert.doesNotMatch(told.join('\n'), /geheim/);
    const list = await file('list.json', '[1]');
    assert.deepEqual(await mistakes({ CONFIG: list }), [`CONFIG: ${list} holds no settings`]);
    const twice = await file('twice.json', '{"port": 1, "port": 2}');
    assert.match((await mistakes({ CONFIG: twice })).join(), /DUPLICATE_KEY/);
  });

  test('make the key of the holder hashes once, for the owner only', async () => {
    const dataDir = path.join(folder, 'fresh', 'data');
    const keys = await Promise.all([1, 2, 3].map(() => holderHashKey(dataDir)));
    assert.match(keys[0] ?? '', /^[0-9a-f]{64}$/);
    assert.deepEqual(new Set(keys).size, 1);
    assert.deepEqual(await readdir(dataDir), ['holder-hash.key']);
    assert.equal((await stat(path.join(dataDir, 'holder-hash.key'))).mode & 0o777, 0o600);
    assert.equal((await loadSettings({ DATA_DIR: dataDir })).holderHashKey, keys[0]);
    const CONFIG = await file('key.yaml', `holderHashKey: ${'0f'.repeat(32)}`);
    assert.equal((await loadSettings({ DATA_DIR: dataDir, CONFIG })).holderHashKey, '0f'.repeat(32));
  });

  test('refuse a damaged key and a data folder that cannot be made', async () => {
    const dataDir = path.join(folder, 'damaged');
    await holderHashKey(dataDir);
    await writeFile(path.join(dataDir, 'holder-hash.key'), 'half');
    assert.match((await mistakes({ DATA_DIR: dataDir })).join(), /does not hold 64 hex digits/);
    const inFile = path.join(await file('a-file', ''), 'data');
    assert.match((await mistakes({ DATA_DIR: inFile })).join(), /^dataDir: ENOTDIR/);
  });

  test('help names every variable', async () => {
    assert.ok(wantsHelp(['--help']) && wantsHelp(['-h']) && !wantsHelp(['--demo']));
    for (const name of ['PORT', 'HOST', 'DATA_DIR', 'CONFIG', 'LOG_LEVEL']) assert.ok(HELP.includes(name));
    assert.doesNotMatch(await readFile(new URL('./defaults.json', import.meta.url), 'utf8'), /secret/i);
  });
});
