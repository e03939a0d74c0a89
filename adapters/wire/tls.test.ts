import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createServer as createTlsServer, type SecureVersion, type TLSSocket, type TlsOptions } from 'node:tls';
import { Fault } from '../../contracts/ports/fault.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { type TlsFiles, WatchedTlsFiles } from '../../contracts/tls-files.ts';
import { Authority, type Issued } from '../../test/support/certificates.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import { httpWire } from './http.ts';
import { encodeFrame, frameReader, frameWire } from './tcp-frame.ts';
import type { WireTls } from './tls.ts';

const DAY_MS = 86_400_000;
const FRAME = { lengthDigits: 8, lengthIncludesPrefix: false, lengthPad: '0' };
const [theirs, others] = [new Authority(), new Authority('Another authority')];

/** What a server saw: the name on the caller's certificate, for every request. */
type Seen = string[];

interface Wire {
  exchange(port: number, write: boolean, host?: string, connectMs?: number): Promise<string>;
  close(): Promise<void>;
}

interface Kind {
  readonly kind: string;
  server(options: TlsOptions, seen: Seen): Server;
  wire(tls?: WireTls): Wire;
}

const nameOf = (socket: TLSSocket): string => String(socket.getPeerCertificate().subject?.CN ?? 'nobody');
const how = (write: boolean, connectMs: number) => ({
  signal: AbortSignal.timeout(20_000),
  write,
  connectMs,
  maxBytes: 1_000,
});

const KINDS: readonly Kind[] = [
  {
    kind: 'HTTP',
    server: (options, seen) =>
      createHttpsServer(options, (request, response) => {
        seen.push(nameOf(request.socket as TLSSocket));
        response.end('filed');
      }),
    wire(tls) {
      const wire = httpWire({ tls });
      return {
        async exchange(port, write, host = 'localhost', connectMs = 5_000) {
          const request = {
            url: `https://${host}:${port}/x`,
            method: 'POST',
            headers: {},
            body: Buffer.from('a case'),
          };
          return Buffer.from((await wire.exchange(request, how(write, connectMs))).body).toString();
        },
        close: () => wire.close(),
      };
    },
  },
  {
    kind: 'frames',
    server: (options, seen) =>
      createTlsServer(options, (socket) => {
        const reader = frameReader(FRAME, 1_000);
        socket.on('error', () => {});
        socket.on('data', (chunk) => {
          if (reader.push(chunk).length === 0) return;
          seen.push(nameOf(socket));
          socket.write(encodeFrame(Buffer.from('filed'), FRAME));
        });
      }),
    wire(tls) {
      // Frames are over TLS only where it is asked for.
      const wire = frameWire(FRAME, tls ?? { files: { contents: {}, onChange: () => () => {} } });
      return {
        exchange: async (port, write, host = 'localhost', connectMs = 5_000) =>
          Buffer.from(await wire.exchange(host, port, Buffer.from('a case'), how(write, connectMs))).toString(),
        close: () => wire.close(),
      };
    },
  },
];

async function faultOf(run: () => Promise<unknown>): Promise<Fault> {
  try {
    await run();
  } catch (error) {
    return Fault.from(error);
  }
  return assert.fail('it went well');
}

const told = ({ kind, reason, maybeArrived }: Fault) => [kind, reason.code, maybeArrived];

for (const { kind, server: makeServer, wire: makeWire } of KINDS)
  describe(`a department that is spoken to over TLS: ${kind}`, () => {
    let folder: string;
    const clock = new HandClock();
    const file = (name: string) => path.join(folder, name);
    const put = async (name: string, issued: Issued) => {
      await writeFile(file(`${name}.cert.pem`), issued.cert);
      await writeFile(file(`${name}.key.pem`), issued.key, { mode: 0o600 });
    };

    before(async () => {
      folder = await mkdtemp(path.join(tmpdir(), 'onewindow-wire-tls-'));
      await writeFile(file('ca.pem'), theirs.ca);
      await writeFile(file('others.pem'), others.ca);
      await put('ours', theirs.issue({ name: 'the gateway' }));
      await put('strange', others.issue({ name: 'a stranger' }));
    });
    after(() => rm(folder, { recursive: true }));

    const own = (name: string): TlsFiles => ({ cert: file(`${name}.cert.pem`), key: file(`${name}.key.pem`) });
    const wanting = { ca: theirs.ca, requestCert: true, rejectUnauthorized: true } as const;

    async function listening(server: Server): Promise<number> {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    }

    async function serving(
      options: TlsOptions,
      run: (port: number, seen: Seen) => Promise<void>,
      make: (options: TlsOptions, seen: Seen) => Server = makeServer,
    ): Promise<void> {
      const seen: Seen = [];
      const sockets = new Set<Socket>();
      const server = make(options, seen);
      server.on('connection', (socket: Socket) => {
        sockets.add(socket);
        socket.on('error', () => {});
      });
      server.on('tlsClientError', () => {});
      try {
        await run(await listening(server), seen);
      } finally {
        for (const socket of sockets) socket.destroy();
        server.close();
      }
    }

    async function calling(
      files: TlsFiles,
      run: (wire: Wire, files: WatchedTlsFiles) => Promise<void>,
      serverName?: string,
    ): Promise<void> {
      const watched = new WatchedTlsFiles(files, { place: 'parties.tax.tls', clock, log: silent });
      const wire = makeWire({ files: watched, serverName });
      try {
        await run(wire, watched);
      } finally {
        await wire.close();
        watched.close();
      }
    }

    test('takes our certificate, in TLS 1.2 and 1.3, with and without session tickets', async () => {
      const versions: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3'];
      for (const maxVersion of versions)
        await serving({ ...theirs.issue(), ...wanting, maxVersion }, (port, seen) =>
          calling({ ca: file('ca.pem'), ...own('ours') }, async (wire) => {
            assert.equal(await wire.exchange(port, true), 'filed');
            assert.equal(await wire.exchange(port, false), 'filed');
            assert.equal(await wire.exchange(port, true), 'filed');
            assert.deepEqual(seen, ['the gateway', 'the gateway', 'the gateway']);
          }),
        );
    });

    test('a certificate of theirs that cannot be trusted ends it before anything is sent, and says why', async () => {
      const past = new Date(Date.now() - 2 * DAY_MS);
      const cases: readonly (readonly [string, TlsOptions, TlsFiles, RegExp])[] = [
        ['unknown issuer', theirs.issue(), { ca: file('others.pem') }, /nobody trusted has issued it/],
        ['no issuer set', theirs.issue(), {}, /nobody trusted has issued it/],
        ['another name', theirs.issue({ hosts: ['elsewhere.example'] }), { ca: file('ca.pem') }, /for another name/],
        ['run out', theirs.issue({ from: new Date(0), until: past }), { ca: file('ca.pem') }, /has run out/],
        ['not yet', theirs.issue({ from: new Date(Date.now() + 9 * DAY_MS) }), { ca: file('ca.pem') }, /not valid yet/],
      ];
      for (const [what, options, files, words] of cases)
        await serving(options, (port, seen) =>
          calling(files, async (wire) => {
            for (const write of [true, false]) {
              const fault = await faultOf(() => wire.exchange(port, write));
              assert.deepEqual(told(fault), ['unreachable', 'theirCertificate', false], what);
              assert.match(fault.reason.en, words, what);
              assert.match(fault.reason.zh, /对方的 TLS 证书不可信：/, what);
            }
            assert.deepEqual(seen, [], what);
          }),
        );
    });

    test('nothing of the environment turns the check off', async () => {
      const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
      try {
        await serving(others.issue(), async (port, seen) => {
          await calling({ ca: file('ca.pem') }, async (wire) => {
            assert.equal((await faultOf(() => wire.exchange(port, true))).reason.code, 'theirCertificate');
          });
          const plain = makeWire();
          assert.equal((await faultOf(() => plain.exchange(port, true))).reason.code, 'theirCertificate');
          await plain.close();
          assert.deepEqual(seen, []);
        });
      } finally {
        if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
        else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
      }
    });

    test('tls.serverName is the name that their certificate must be for', async () => {
      await serving(theirs.issue({ hosts: ['tax.county.example'] }), async (port, seen) => {
        await calling(
          { ca: file('ca.pem') },
          async (wire) => assert.equal(await wire.exchange(port, true, '127.0.0.1'), 'filed'),
          'tax.county.example',
        );
        await calling(
          { ca: file('ca.pem') },
          async (wire) =>
            assert.equal((await faultOf(() => wire.exchange(port, true, '127.0.0.1'))).reason.code, 'theirCertificate'),
          'other.county.example',
        );
        assert.equal(seen.length, 1);
      });
    });

    test('a certificate of ours that is missing or refused is told as that, and leaves no doubt', async () => {
      const versions: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3'];
      for (const maxVersion of versions)
        await serving({ ...theirs.issue(), ...wanting, maxVersion }, async (port, seen) => {
          await calling({ ca: file('ca.pem') }, async (wire) => {
            for (const write of [true, false]) {
              const fault = await faultOf(() => wire.exchange(port, write));
              assert.deepEqual(told(fault), ['unauthorized', 'certificateWanted', false], maxVersion);
              assert.match(fault.reason.zh, /tls\.cert 与 tls\.key/);
            }
          });
          // Node's server ends the connection without a word; it is told as what is seen.
          await calling({ ca: file('ca.pem'), ...own('strange') }, async (wire) => {
            const fault = await faultOf(() => wire.exchange(port, true));
            assert.deepEqual(told(fault), ['unreachable', 'tlsBrokenOff', false], maxVersion);
            assert.match(fault.reason.en, /do not accept our certificate/);
          });
          assert.deepEqual(seen, []);
        });
    });

    test('a refusal that comes only after the message has left is told as the refusal that it is', async (t) => {
      await serving({ ...theirs.issue(), ...wanting, minVersion: 'TLSv1.3' }, async (port, seen) => {
        const late = createTcpServer((socket) => holdBack(socket, port));
        t.after(() => late.close());
        const latePort = await listening(late);
        await calling({ ca: file('ca.pem') }, async (wire) => {
          const fault = await faultOf(() => wire.exchange(latePort, true));
          assert.deepEqual(told(fault), ['unauthorized', 'certificateWanted', false]);
        });
        assert.deepEqual(seen, []);
      });
    });

    test('whoever speaks no TLS, or an old one, or nothing, is unreachable', async () => {
      await calling({ ca: file('ca.pem') }, async (wire) => {
        const talking = createTcpServer((socket) => {
          socket.on('error', () => {});
          socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
        });
        assert.deepEqual(told(await faultOf(async () => wire.exchange(await listening(talking), true))), [
          'unreachable',
          'noTls',
          false,
        ]);
        talking.close();
        const deaf = createTcpServer((socket) => void socket.on('error', () => {}));
        const port = await listening(deaf);
        assert.deepEqual(told(await faultOf(() => wire.exchange(port, true, 'localhost', 200))), [
          'unreachable',
          'notConnected',
          false,
        ]);
        deaf.close();
        const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
        await serving({ ...theirs.issue(), ...old }, async (oldPort, seen) => {
          assert.deepEqual(told(await faultOf(() => wire.exchange(oldPort, true))), [
            'unreachable',
            'tlsVersion',
            false,
          ]);
          assert.deepEqual(seen, []);
        });
      });
    });

    test('certificates that are renewed are used for what is sent next', async () => {
      await put('renewed', theirs.issue({ name: 'first' }));
      await serving({ ...theirs.issue(), ...wanting }, (port, seen) =>
        calling({ ca: file('ca.pem'), ...own('renewed') }, async (wire, files) => {
          await wire.exchange(port, true);
          // Leaves a connection that is kept.
          await wire.exchange(port, false);
          await put('renewed', theirs.issue({ name: 'second' }));
          const heard = new Promise<void>((resolve) => void files.onChange(() => resolve()));
          clock.move(6_000);
          await heard;
          await wire.exchange(port, true);
          await wire.exchange(port, false);
          assert.deepEqual(seen, ['first', 'first', 'second', 'second']);
        }),
      );
    });
  });

/** Carries bytes on, but keeps back what the server says to the end of the caller's handshake, until the caller has sent its message all the same. */
function holdBack(caller: Socket, port: number): void {
  const server = connect(port, '127.0.0.1');
  const held: (() => void)[] = [];
  let handshakeOver: number | undefined;
  let holding = false;
  const later = (act: () => void): void => {
    if (holding) held.push(act);
    else act();
  };
  caller.on('error', () => {}).on('close', () => server.destroy());
  server.on('error', () => {});
  let greeted = false;
  caller.on('data', (chunk) => {
    server.write(chunk);
    if (!greeted) return;
    handshakeOver ??= performance.now();
    holding = performance.now() - handshakeOver < PAUSE_MS;
    if (!holding) for (const act of held.splice(0)) act();
  });
  server.on('data', (chunk) => {
    greeted = true;
    later(() => caller.write(chunk));
  });
  server.on('end', () => later(() => caller.end()));
}

/** Less than the caller waits for a verdict; were it too short, the refusal would only come the sooner. */
const PAUSE_MS = 20;
