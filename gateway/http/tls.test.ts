import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls, type SecureVersion } from 'node:tls';
import { wallClock } from '../../contracts/ports/clock.ts';
import { TlsFilesError, WatchedTlsFiles } from '../../contracts/tls-files.ts';
import { type Api, type Line, loggerInto, startApi } from '../../test/support/api.ts';
import { Authority, type Issued } from '../../test/support/certificates.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import { listening } from '../../test/support/listening.ts';
import type { Listening, ServerTls } from './server.ts';

const [ours, others] = [new Authority(), new Authority('Another authority')];

/** The status of a probe, or why there is none. */
function probe(server: Listening, ca: string, own?: Issued): Promise<number | string> {
  return new Promise((resolve) => {
    const asked = request(
      `${server.url}/livez`,
      { agent: false, ca, ...(own && { cert: own.cert, key: own.key }) },
      (response) => response.resume().on('end', () => resolve(response.statusCode ?? 0)),
    );
    asked.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    asked.end();
  });
}

describe('HTTPS', () => {
  let api: Api;
  let folder: string;
  const clock = new HandClock();
  const lines: Line[] = [];
  const log = loggerInto(lines);
  const file = (name: string) => path.join(folder, name);
  const write = async (name: string, text: string, mode = 0o600) => {
    await writeFile(file(name), text);
    await chmod(file(name), mode);
  };
  const opened = (more: { readonly ca?: string } = {}) =>
    new WatchedTlsFiles({ cert: file('cert.pem'), key: file('key.pem'), ...more }, { place: 'tls', clock, log });

  before(async () => {
    api = await startApi({ clock: wallClock });
    folder = await mkdtemp(path.join(tmpdir(), 'onewindow-tls-'));
    const { cert, key } = ours.issue();
    await Promise.all([write('cert.pem', cert), write('key.pem', key), write('ca.pem', ours.ca)]);
  });
  after(async () => {
    await api.close();
    await rm(folder, { recursive: true });
  });

  async function serving(
    more: { readonly ca?: string; readonly clientCertificate?: ServerTls['clientCertificate'] },
    run: (server: Listening, files: WatchedTlsFiles) => Promise<void>,
  ): Promise<void> {
    const files = opened(more.ca === undefined ? {} : { ca: more.ca });
    const server = await listening(api.app, {
      tls: { files, clientCertificate: more.clientCertificate ?? 'required' },
      limits: { headersMs: 2_000, requestMs: 4_000 },
    });
    try {
      await run(server, files);
    } finally {
      await server.stop(0);
      files.close();
    }
  }

  test('is spoken with whoever trusts the issuer, in TLS 1.2 and newer, and nothing else on its port', async () => {
    await serving({}, async (server) => {
      assert.match(server.url, /^https:/);
      assert.equal(await probe(server, ours.ca), 200);
      assert.notEqual(await probe(server, others.ca), 200);
      const version = (most: SecureVersion) =>
        new Promise<string | null>((resolve) => {
          const options = { port: server.port, host: '127.0.0.1', ca: ours.ca, maxVersion: most };
          const socket = connectTls({ ...options, minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }, () => {
            resolve(socket.getProtocol());
            socket.destroy();
          });
          socket.on('error', () => resolve(null));
        });
      assert.deepEqual(
        [await version('TLSv1'), await version('TLSv1.1'), await version('TLSv1.2'), await version('TLSv1.3')],
        [null, null, 'TLSv1.2', 'TLSv1.3'],
      );
      const plain = connect(server.port, '127.0.0.1', () => plain.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n'));
      plain.on('error', () => {});
      plain.resume();
      await once(plain, 'close');
      assert.equal(await probe(server, ours.ca), 200);
    });
  });

  test('a new certificate is taken without a restart; one that does not fit keeps the old one, and is told', async () => {
    await serving({}, async (server) => {
      assert.equal(await probe(server, ours.ca), 200);
      const renewed = others.issue();
      await write('cert.new', renewed.cert);
      // Half of a renewal: the key is still the old one.
      await rename(file('cert.new'), file('cert.pem'));
      clock.move(5_000);
      assert.equal(await probe(server, ours.ca), 200);
      const told = lines.filter(({ level }) => level === 'error').at(-1);
      assert.match(
        String(told?.fields.mistakes),
        /^tls\.key: 私钥与证书不匹配 \/ the key is not that of the certificate$/,
      );
      await write('key.new', renewed.key);
      await rename(file('key.new'), file('key.pem'));
      clock.move(5_000);
      assert.equal(await probe(server, others.ca), 200);
      assert.notEqual(await probe(server, ours.ca), 200);
    });
    const { cert, key } = ours.issue();
    await Promise.all([write('cert.pem', cert), write('key.pem', key)]);
  });

  test('callers show a certificate where it is required; where it is optional, none or a right one', async () => {
    const [right, wrong] = [ours.issue({ name: 'hall' }), others.issue({ name: 'hall' })];
    await serving({ ca: file('ca.pem') }, async (server) => {
      assert.notEqual(await probe(server, ours.ca), 200);
      assert.notEqual(await probe(server, ours.ca, wrong), 200);
      assert.equal(await probe(server, ours.ca, right), 200);
    });
    await serving({ ca: file('ca.pem'), clientCertificate: 'optional' }, async (server) => {
      assert.equal(await probe(server, ours.ca), 200);
      assert.notEqual(await probe(server, ours.ca, wrong), 200);
      assert.equal(await probe(server, ours.ca, right), 200);
    });
  });

  test('half a handshake ends with its time, and keeps nobody out', async () => {
    await serving({}, async (server) => {
      const mute = Array.from({ length: 300 }, () => connect(server.port, '127.0.0.1'));
      for (const socket of mute) socket.on('error', () => {});
      await Promise.all(mute.map((socket) => once(socket, 'connect')));
      assert.equal(await probe(server, ours.ca), 200);
      for (const socket of mute) socket.destroy();
    });
  });

  test('files that do not fit are told all at once, and never what stands in them', async () => {
    const mistakes = (files: ConstructorParameters<typeof WatchedTlsFiles>[0]): readonly string[] => {
      try {
        new WatchedTlsFiles(files, { place: 'tls', clock, log }).close();
        return [];
      } catch (error) {
        assert.ok(error instanceof TlsFilesError);
        return error.mistakes.map((mistake) => mistake.split(' / ')[1] ?? '');
      }
    };
    await write('no.pem', 'geheim');
    await write('other.pem', others.issue().key);
    const [cert, key] = [file('cert.pem'), file('key.pem')];
    assert.deepEqual(mistakes({ cert, key, ca: file('ca.pem') }), []);
    assert.deepEqual(mistakes({ cert: file('none.pem'), key: file('no.pem'), ca: file('no.pem') }), [
      `${file('none.pem')} cannot be read (ENOENT)`,
      `${file('no.pem')} holds no certificate in PEM`,
      `${file('no.pem')} holds no private key in PEM that needs no passphrase`,
    ]);
    assert.deepEqual(mistakes({ cert, key: file('other.pem') }), ['the key is not that of the certificate']);
    assert.deepEqual(mistakes({ cert }), ['certificate and key are set together or not at all']);
    assert.doesNotMatch(JSON.stringify(lines), /geheim/);
  });

  test('a key that others can read, and a certificate that has run out or soon will, are told', async () => {
    const before = lines.length;
    const day = 86_400_000;
    const said = () => lines.slice(before).map(({ level, fields }) => `${level} ${String(fields.place)}`);
    const over = ours.issue({ until: new Date(clock.now() - day), from: new Date(clock.now() - 2 * day) });
    const soon = ours.issue({ until: new Date(clock.now() + 5 * day), from: new Date(clock.now() - day) });
    await Promise.all([write('over.pem', over.cert), write('over.key', over.key, 0o644)]);
    await Promise.all([write('soon.pem', soon.cert), write('soon.key', soon.key)]);
    for (const name of ['over', 'soon'])
      new WatchedTlsFiles({ cert: file(`${name}.pem`), key: file(`${name}.key`) }, { place: name, clock, log }).close();
    assert.deepEqual(said(), ['error over.cert', 'warn over.key', 'warn soon.cert']);
  });
});
