import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadOwnerUrl, loadSettings, SettingsError } from './load.ts';
import { databaseTlsFiles, openTransports } from './transport.ts';

describe('the way to database and broker', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'onewindow-transport-'));
  });
  after(() => rm(folder, { recursive: true }));

  const loaded = async (text: string) => {
    const CONFIG = path.join(folder, 'settings.yaml');
    await writeFile(CONFIG, text);
    return await loadSettings({ CONFIG, DATA_DIR: path.join(folder, 'data') });
  };
  const mistakes = async (text: string) => {
    try {
      await loaded(text);
    } catch (error) {
      assert.ok(error instanceof SettingsError, String(error));
      return error.mistakes;
    }
    return [];
  };

  test('without TLS to another machine it is told, by setting and host; on this machine it is not', async () => {
    const open = async (databaseUrl?: string, amqpUrl?: string) => {
      const { database } = await loaded('{}');
      return openTransports({ database, ...(databaseUrl && { databaseUrl }), ...(amqpUrl && { amqpUrl }) });
    };
    const database = [{ setting: 'databaseUrl', host: '192.0.2.7' }];
    assert.deepEqual(await open('postgres://u:secret@192.0.2.7/db'), database);
    for (const no of ['sslmode=disable', 'ssl=0', 'ssl=false'])
      assert.deepEqual(await open(`postgres://u:secret@192.0.2.7/db?${no}`), database, no);
    assert.deepEqual(await open('postgres://u@/db?host=192.0.2.7'), database);
    assert.deepEqual(await open(undefined, 'amqp://u:secret@192.0.2.8:5672/v'), [
      { setting: 'amqpUrl', host: '192.0.2.8' },
    ]);
    assert.deepEqual(await open('postgres://192.0.2.7/db?sslmode=require', 'amqps://192.0.2.8/v'), []);
    for (const here of [
      'postgres://u@localhost/db',
      'postgres://u@127.0.0.1/db',
      'postgres://u@[::1]/db',
      'postgres://u@/db',
      'postgres://u@/db?host=/run/postgresql',
      'postgres://u@%2Frun%2Fpostgresql/db',
    ])
      assert.deepEqual(await open(here, 'amqp://127.0.0.1/'), [], here);
  });

  test('the address or database.tls asks for TLS; the files are relative to the settings file', async () => {
    const settings = await loaded(
      [
        'databaseUrl: postgres://u@192.0.2.7/db',
        'database: {tls: {ca: db.pem}}',
        'amqpUrl: amqps://192.0.2.8/v',
        'bus: {tls: {ca: mq.pem, cert: c.pem, key: k.pem}}',
      ].join('\n'),
    );
    const at = (name: string) => path.join(folder, name);
    assert.deepEqual(databaseTlsFiles(settings.databaseUrl, settings.database.tls), { ca: at('db.pem') });
    assert.deepEqual(settings.bus.tls, { ca: at('mq.pem'), cert: at('c.pem'), key: at('k.pem') });
    assert.deepEqual(databaseTlsFiles('postgres://h/db?sslmode=prefer&sslrootcert=/a.pem'), { ca: '/a.pem' });
    assert.equal(databaseTlsFiles('postgres://h/db'), undefined);
  });

  test('nothing turns the verification off, and what contradicts itself is refused', async () => {
    const secret = 'postgres://u:very-secret@192.0.2.7/db';
    for (const more of ['?sslmode=no-verify', '?ssl=no-verify', '?sslmode=require&uselibpqcompat=true']) {
      const [mistake = '', ...rest] = await mistakes(`databaseUrl: ${secret}${more}`);
      assert.match(mistake, /^databaseUrl: certificates are always verified/, more);
      assert.doesNotMatch(mistake, /very-secret/);
      assert.deepEqual(rest, []);
      assert.throws(() => loadOwnerUrl({ MIGRATE_DATABASE_URL: `${secret}${more}` }), /always verified/);
    }
    assert.match(
      (await mistakes(`databaseUrl: ${secret}?sslmode=disable\ndatabase: {tls: {}}`)).join(),
      /turns off TLS/,
    );
    assert.deepEqual(await mistakes('database: {tls: {ca: a.pem}}\nbus: {tls: {ca: a.pem}}\namqpUrl: amqp://h/'), [
      'database.tls: only with databaseUrl',
      'bus.tls: only with an amqpUrl that begins with amqps://',
    ]);
  });

  test("a department's certificates are relative to the settings file too", async () => {
    const { parties } = await loaded(
      'parties: {tax: {baseUrl: "https://tax.example", tls: {ca: ca.pem, serverName: x}}}',
    );
    assert.deepEqual(parties.tax?.tls, { ca: path.join(folder, 'ca.pem'), serverName: 'x' });
  });
});
