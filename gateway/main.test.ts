import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

test('a start that fails says why in one sentence, and ends: also when it brought its own departments', async (t) => {
  const taken = createServer();
  t.after(() => taken.close());
  await once(taken.listen(0, '127.0.0.1'), 'listening');
  const { port } = taken.address() as AddressInfo;
  const dataDir = await mkdtemp(path.join(tmpdir(), 'onewindow-start-'));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const { DATABASE_URL: _, AMQP_URL: __, ...env } = process.env;
  const child = spawn(process.execPath, [MAIN, '--demo'], {
    env: { ...env, HOST: '127.0.0.1', PORT: String(port), DATA_DIR: dataDir, LOG_LEVEL: 'error' },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 120_000,
  });
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  assert.equal(code, 1);
  assert.match(said, /^PORT: .* is taken by another program: stop it, or set another PORT\n$/);
});

test('a start warns of each secret of an app that is too short, and shows none', async (t) => {
  const taken = createServer();
  t.after(() => taken.close());
  await once(taken.listen(0, '127.0.0.1'), 'listening');
  const { port } = taken.address() as AddressInfo;
  const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-start-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const CONFIG = path.join(folder, 'settings.json');
  const apps = [
    { key: 'hall', secret: 'geheim-and-short', previousSecret: 'geheim-and-long-enough-for-us', role: 'window' },
    { key: 'desk', secret: 'geheim'.repeat(4), previousSecret: 'geheim-yet-short', role: 'operator' },
  ];
  await writeFile(CONFIG, JSON.stringify({ apps, demo: true }));
  const { DATABASE_URL: _, AMQP_URL: __, HOST: ___, ...env } = process.env;
  const child = spawn(process.execPath, [MAIN], {
    env: { ...env, PORT: String(port), DATA_DIR: path.join(folder, 'data'), CONFIG, LOG_LEVEL: 'warn' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
  });
  const [out, told] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const lines = (out + told).split('\n').filter((line) => line.includes('shorter than'));
  assert.deepEqual(
    lines.map((line) => [/hall|desk|demo/.exec(line)?.[0], /"(secret|previousSecret)"/.exec(line)?.[1]]),
    [
      ['hall', 'secret'],
      ['desk', 'previousSecret'],
    ],
    out + told,
  );
  assert.doesNotMatch(out + told, /geheim/);
});

/** What a start says over these folders, in their own settings file; and its exit code. */
async function said(
  t: TestContext,
  change: (folder: string) => Promise<void>,
  flags: readonly string[] = [],
): Promise<{ readonly out: string; readonly told: string; readonly code: number }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-config-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const root = path.dirname(path.dirname(MAIN));
  for (const [own, from] of [
    ['items', 'config/items'],
    ['schemas', 'contracts/schemas'],
    ['adapters', 'adapters'],
  ] as const)
    await cp(path.join(root, from), path.join(folder, own), { recursive: true });
  await change(folder);
  const folders = { items: 'items', schemas: 'schemas', adapters: 'adapters' };
  const settings = path.join(folder, 'settings.json');
  await writeFile(settings, JSON.stringify({ folders, parties: { nobody: {} } }));
  const { DATABASE_URL: _, AMQP_URL: __, ...env } = process.env;
  const child = spawn(process.execPath, [MAIN, ...flags], {
    env: { ...env, PORT: '0', DATA_DIR: path.join(folder, 'data'), CONFIG: settings, LOG_LEVEL: 'error' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 120_000,
  });
  const [out, told, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { out, told, code };
}

async function edit(file: string, from: string, to: string): Promise<void> {
  const before = await readFile(file, 'utf8');
  assert.ok(before.includes(from), `${from} in ${file}`);
  await writeFile(file, before.replace(from, to));
}

for (const flags of [[], ['--check']])
  test(`mistakes of contracts, manifests, items and settings are told all at once, by file and place, without a stack ${flags}`, async (t) => {
    const { told, code, out } = await said(
      t,
      async (folder) => {
        const adapters = path.join(folder, 'adapters');
        const items = path.join(folder, 'items');
        await edit(path.join(adapters, 'tax/mapping/a002.jsonata'), '$deed.houseAddress', '$deed.houseAdress');
        await edit(path.join(adapters, 'tax/mapping/envelope.jsonata'), 'settings.channelId', 'settings.chanelId');
        await edit(path.join(adapters, 'social-security/mapping/execute.jsonata'), '"idType"', '"idTypes"');
        await edit(path.join(adapters, 'utilities/manifest.yaml'), 'replies: never', 'replies: nevermore');
        await edit(path.join(items, 'birth/03-card.jsonata'), '"01"', '"09"');
        await edit(path.join(items, 'birth/item.json'), 'form.birth@1', 'form.birth@2');
        await rm(path.join(items, 'deed-tax/samples'), { recursive: true });
      },
      flags,
    );
    assert.equal(code, 1);
    assert.equal(out, '');
    assert.match(told, /^the configuration has mistakes:\n/);
    for (const expected of [
      '  tax/mapping/a002.jsonata line 21: tax.house-deed@1 has no houseAdress here',
      '  tax/mapping/envelope.jsonata line 10: settings has no chanelId here',
      '  social-security/mapping/execute.jsonata line 9: there is no code table idTypes; there are idType',
      '  utilities/manifest.yaml /operations/deliver/utilities.transfer@1/replies: ',
      '  birth/03-card.jsonata line 2: there is no step 09',
      '  birth/item.json /form: the contract form.birth@2 is not published',
      '  deed-tax/samples: holds no sample case',
      '  parties.nobody: there is no such party; there are ',
    ])
      assert.ok(told.includes(expected), `${expected}\nin\n${told}`);
    // What hangs on a folder that cannot be read is told of that folder alone.
    assert.ok(!told.includes('utilities.transfer@1 is not published'), told);
    assert.doesNotMatch(told, /\n\s+at |Error/);
  });

test('a contract file that is none, and one that cannot be compiled, are told in sentences', async (t) => {
  const broken = await said(t, async (folder) => {
    await writeFile(path.join(folder, 'schemas', 'form.birth@1.json'), '{');
    await mkdir(path.join(folder, 'items', 'nothing'));
  });
  assert.equal(broken.code, 1);
  assert.ok(broken.told.includes('  schemas/form.birth@1.json: not JSON'), broken.told);
  assert.ok(broken.told.includes('  nothing/item.json: cannot be read'), broken.told);
  assert.doesNotMatch(broken.told, /\n\s+at /);
  const astray = await said(t, async (folder) => {
    for (const name of ['form.birth@1', 'form.deed-tax@1'])
      await edit(path.join(folder, 'schemas', `${name}.json`), 'common@1#/$defs/', 'common@7#/$defs/');
  });
  assert.equal(astray.code, 1);
  for (const name of ['form.birth@1', 'form.deed-tax@1'])
    assert.ok(astray.told.includes(`  ${name}: refers to common@7`), astray.told);
  assert.doesNotMatch(astray.told, /\n\s+at /);
});

test('a start warns of a database and a broker on another machine that are spoken to without TLS', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-start-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const CONFIG = path.join(folder, 'settings.json');
  await writeFile(CONFIG, JSON.stringify({ database: { connectTimeoutMs: 200 } }));
  const env = {
    ...process.env,
    // Of TEST-NET-1, where nobody is: RFC 5737.
    DATABASE_URL: 'postgres://gateway:geheim@192.0.2.1/onewindow',
    AMQP_URL: 'amqp://gateway:geheim@192.0.2.2/onewindow',
    PORT: '0',
    DATA_DIR: path.join(folder, 'data'),
    CONFIG,
    LOG_LEVEL: 'warn',
  };
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 });
  const [out, told] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const lines = (out + told).split('\n').filter((line) => line.includes('goes without TLS'));
  assert.equal(lines.length, 2, out + told);
  assert.match(lines[0] ?? '', /databaseUrl.*192\.0\.2\.1/);
  assert.match(lines[1] ?? '', /amqpUrl.*192\.0\.2\.2/);
  assert.doesNotMatch(out + told, /geheim/);
});
