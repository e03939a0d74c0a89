import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import { listening } from '../../test/support/listening.ts';

const ok: RequestListener = (_request, response) => response.end('ok');

/** What comes back for these bytes until the connection ends. */
function answer(port: number, bytes: string | Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
  });
}

function fetched(
  url: string,
  agent: Agent,
): Promise<{ readonly status: number; readonly connection: string | undefined }> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      response.resume();
      response.on('end', () => resolve({ status: response.statusCode ?? 0, connection: response.headers.connection }));
      response.on('error', reject);
    }).on('error', reject);
  });
}

/** A handler that answers when it is let. */
function held(): { readonly app: RequestListener; readonly came: Promise<void>; let(): void } {
  let came = () => {};
  const arrived = new Promise<void>((resolve) => {
    came = resolve;
  });
  let go = () => {};
  return {
    app: (_request, response) => {
      go = () => response.end('late');
      came();
    },
    came: arrived,
    let: () => go(),
  };
}

describe('the server', () => {
  test('answers what is no HTTP with a problem, and goes on', async () => {
    const server = await listening(ok);
    for (const bytes of [
      '\x16\x03\x01\x02\x00hello',
      'GET / HTTP/9.9\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n',
    ]) {
      const text = await answer(server.port, bytes);
      assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n/);
      assert.match(text, /application\/problem\+json/);
      assert.equal(JSON.parse(text.slice(text.indexOf('\r\n\r\n'))).code, 'notHttp');
    }
    const large = await answer(server.port, `GET / HTTP/1.1\r\nHost: x\r\nX-Large: ${'a'.repeat(20_000)}\r\n\r\n`);
    assert.match(large, /^HTTP\/1\.1 431 /);
    const smuggled = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n';
    assert.match(await answer(server.port, smuggled), /^HTTP\/1\.1 400 /);
    assert.equal((await fetch(server.url)).status, 200);
    await server.stop(0);
  });

  test('a stop lets what is under way end, closes idle connections, and takes nothing new', async () => {
    const slow = held();
    const server = await listening((request, response) => (request.url === '/slow' ? slow.app : ok)(request, response));
    const agent = new Agent({ keepAlive: true });
    await fetched(`${server.url}/idle`, agent);
    const underWay = fetched(`${server.url}/slow`, agent);
    await slow.came;
    const stopped = server.stop(10_000);
    await assert.rejects(fetched(server.url, new Agent()));
    slow.let();
    assert.equal((await underWay).status, 200);
    await stopped;
    agent.destroy();
  });

  test('a stop does not wait for ever', async () => {
    const slow = held();
    const server = await listening(slow.app);
    const underWay = fetched(server.url, new Agent());
    await slow.came;
    await Promise.all([assert.rejects(underWay), server.stop(20)]);
  });

  test('an address in use, or of another machine, is told in a plain sentence', async () => {
    const first = await listening(ok);
    const taken = {
      name: 'NotListening',
      message: /^PORT: .*已被占用.* is taken by another program: stop it, or set another PORT$/,
    };
    await assert.rejects(listening(ok, { port: first.port }), taken);
    await first.stop(0);
    const foreign = {
      name: 'NotListening',
      message: /^HOST: .* is no address of this machine: set HOST to one of its own$/,
    };
    await assert.rejects(listening(ok, { host: '203.0.113.1' }), foreign);
  });
});
