import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';
import defaults from '../config/defaults.json' with { type: 'json' };
import { wallClock } from '../contracts/ports/clock.ts';
import { silent } from '../contracts/ports/logger.ts';
import { Authority } from '../test/support/certificates.ts';
import { Connection } from './bus/connection.ts';
import { openStore } from './store/open.ts';

const [theirs, others] = [new Authority(), new Authority('Another authority')];
const own = theirs.issue({ hosts: ['127.0.0.1'] });

async function listening(server: Server): Promise<number> {
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Each is spoken to over TLS as far as its first word. */
describe('database and broker over TLS', () => {
  test('the database gets the first word only from behind a certificate that was verified', async (t) => {
    const words: string[] = [];
    const server = createServer((socket: Socket) => {
      socket.on('error', () => {});
      socket.once('data', (asked) => {
        // An SSLRequest, and the answer "yes": PostgreSQL, 54.2.11.
        assert.equal(asked.readUInt32BE(4), 80_877_103);
        socket.write('S');
        const secure = new TLSSocket(socket, { isServer: true, ...own });
        secure.on('error', () => {});
        secure.once('data', (chunk: Buffer) => {
          words.push(chunk.toString('latin1'));
          secure.destroy();
        });
      });
    });
    t.after(() => server.close());
    const port = await listening(server);
    const open = (ca?: string) =>
      openStore({
        databaseUrl: `postgres://gateway:password@127.0.0.1:${port}/db?sslmode=require`,
        database: defaults.database,
        clock: wallClock,
        log: silent,
        tls: { contents: ca === undefined ? {} : { ca } },
      });
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    t.after(() => {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
    });
    await assert.rejects(open(others.ca), /cannot be opened/);
    await assert.rejects(open(), /cannot be opened/);
    assert.deepEqual(words, []);
    await assert.rejects(open(theirs.ca), /cannot be opened/);
    assert.match(words.join(), /gateway/);
  });

  test('the broker gets the first word only from behind a certificate that was verified', async (t) => {
    const words: string[] = [];
    const server = createTlsServer(own, (socket) => {
      socket.on('error', () => {});
      socket.once('data', (chunk: Buffer) => {
        words.push(chunk.toString('latin1', 0, 4));
        socket.destroy();
      });
    });
    t.after(() => server.close());
    const url = `amqps://gateway:password@127.0.0.1:${await listening(server)}/v`;
    const connect = async (ca: string) => {
      const parts = { url, name: 'test', clock: wallClock, log: silent, up: async () => {}, down: () => {} };
      const connection = new Connection({ ...parts, tls: { contents: { ca } } });
      await connection.start();
      await connection.close();
    };
    await connect(others.ca);
    assert.deepEqual(words, []);
    await connect(theirs.ca);
    assert.deepEqual(words, ['AMQP']);
  });
});
