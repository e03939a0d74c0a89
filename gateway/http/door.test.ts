import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { wallClock } from '../../contracts/ports/clock.ts';
import { type Api, LIMITS, type Sent, startApi } from '../../test/support/api.ts';
import { listening } from '../../test/support/listening.ts';
import { until } from '../../test/support/world.ts';
import { trustedProxies } from './address.ts';
import { makeAdminApp, makeApp } from './app.ts';
import type { Listening } from './server.ts';

interface Seen {
  readonly status: number;
  readonly body: { readonly [field: string]: unknown };
}

/** The wall clock is the gateway's here. */
const headersNow = (api: Api, method: 'GET' | 'POST', target: string, sent: Sent = {}) =>
  api.headers(method, target, { ...sent, timestamp: String(Date.now()) });

/** One signed request over a connection of its own. */
function signed(api: Api, server: Listening, method: 'GET' | 'POST', target: string, sent: Sent = {}): Promise<Seen> {
  const bytes = sent.body === undefined ? undefined : Buffer.from(JSON.stringify(sent.body));
  return asked(server, method, target, headersNow(api, method, target, sent), bytes);
}

function asked(
  server: Listening,
  method: string,
  target: string,
  headers: { readonly [name: string]: string } = {},
  bytes?: Uint8Array,
): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${server.url}${target}`, { method, headers, agent: new Agent() }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode ?? 0, body: text.startsWith('{') ? JSON.parse(text) : { text } });
      });
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(bytes);
  });
}

/** A connection on which this is written, and what came back. */
function opened(port: number, bytes: string | Uint8Array = ''): Socket & { heard: string } {
  const socket = Object.assign(connect(port, '127.0.0.1'), { heard: '' });
  socket.on('data', (chunk) => {
    socket.heard += chunk.toString();
  });
  socket.on('error', () => {});
  socket.write(bytes);
  return socket;
}

const gone = (sockets: readonly Socket[]): number =>
  sockets.filter(({ closed, destroyed }) => closed || destroyed).length;

async function openedAll(port: number, many: number, bytes: string | Uint8Array): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: many }, () => opened(port, bytes));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  return sockets;
}

async function heard(
  port: number,
  bytes: string | Uint8Array,
): Promise<{ readonly head: string; readonly body: Seen['body'] }> {
  const socket = opened(port, bytes);
  await until(
    () => socket.heard.includes('\r\n\r\n') && (socket.closed || bodyOf(socket.heard) !== undefined),
    10_000,
    'an answer',
  );
  socket.destroy();
  const at = socket.heard.indexOf('\r\n\r\n');
  return { head: socket.heard.slice(0, at), body: bodyOf(socket.heard) ?? {} };
}

function bodyOf(text: string): Seen['body'] | undefined {
  try {
    return JSON.parse(text.slice(text.lastIndexOf('\r\n\r\n') + 4));
  } catch {
    return undefined;
  }
}

describe('nobody takes the door away from others', () => {
  let api: Api;
  before(async () => {
    api = await startApi({ clock: wallClock, limits: { ...LIMITS, bodyBytes: 1_048_576, bodiesBytes: 16_777_216 } });
  });
  after(() => api.close());

  test('1,024 half-sent heads took the whole node away for 130 s: whoever sends a whole request is served at once', async (t) => {
    const server = await listening(api.app, { limits: { headersMs: 2_000, requestMs: 5_000 } });
    const sockets = await openedAll(server.port, 1_024, 'GET /v1/items HTTP/1.1\r\nHost: x\r\nX-Half');
    for (let call = 0; call < 20; call += 1) assert.equal((await signed(api, server, 'GET', '/v1/items')).status, 200);
    // What was not given up for others is over when its time is, though the other side holds on.
    await until(() => gone(sockets) === sockets.length, 20_000, 'all half-sent heads are gone');
    t.diagnostic(`${sockets.length} sockets gone`);
    await server.stop(0);
  });

  test('connections that send nothing, or one byte a moment, end with the time of a head', async () => {
    const server = await listening(api.app, { limits: { headersMs: 1_500, requestMs: 3_000 } });
    const [mute, slow] = [opened(server.port), opened(server.port, 'GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ')];
    const drip = setInterval(() => slow.write('a'), 50);
    await until(() => gone([mute, slow]) === 2, 20_000, 'both are gone');
    clearInterval(drip);
    assert.match(slow.heard, /^HTTP\/1\.1 408 /);
    await server.stop(0);
  });

  test('connections that are kept open and idle, and answers that nobody reads, give way to who asks', async () => {
    const server = await listening(api.app, { limits: { connections: 200, connectionsPerAddress: 200 } });
    for (const target of ['/livez', '/docs/swagger-ui-bundle.js']) {
      const sockets = await openedAll(server.port, 200, `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
      for (const socket of sockets) if (target !== '/livez') socket.pause();
      for (let call = 0; call < 10; call += 1)
        assert.equal((await signed(api, server, 'GET', '/v1/items')).status, 200, target);
      for (const socket of sockets) socket.destroy();
    }
    await server.stop(0);
  });

  test('the connection that a signed caller keeps open gives way last', async () => {
    const server = await listening(api.app, { limits: { connections: 20, connectionsPerAddress: 20 } });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const call = () =>
      new Promise<boolean>((resolve, reject) => {
        const headers = headersNow(api, 'GET', '/v1/items');
        const request = httpRequest(`${server.url}/v1/items`, { agent, headers }, (response) => {
          assert.equal(response.statusCode, 200);
          response.resume().on('end', () => resolve(request.reusedSocket));
        });
        request.on('error', reject);
        request.end();
      });
    assert.equal(await call(), false);
    for (let round = 0; round < 3; round += 1) {
      const strangers = await openedAll(server.port, 60, 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
      await until(() => gone(strangers) >= 40 || undefined, 10_000, 'those beyond the limit are gone');
      assert.equal(await call(), true);
      for (const socket of strangers) socket.destroy();
    }
    agent.destroy();
    await server.stop(0);
  });

  test('a body that never ends ends with the time of a request', async () => {
    const server = await listening(api.app, { limits: { headersMs: 1_000, requestMs: 2_000 } });
    const head = Object.entries(headersNow(api, 'POST', '/v1/cases', { body: {} })).map(
      ([name, value]) => `${name}: ${value}`,
    );
    const socket = opened(
      server.port,
      `POST /v1/cases HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n${head.join('\r\n')}\r\n\r\n{`,
    );
    await until(() => gone([socket]) === 1, 20_000, 'it is gone');
    assert.match(socket.heard, /^HTTP\/1\.1 408 /);
    await server.stop(0);
  });

  test('limits of one address and of all: the new one is served in place of the oldest unfinished one', async () => {
    const server = await listening(api.app, { limits: { connections: 40, connectionsPerAddress: 10 } });
    const sockets = await openedAll(server.port, 30, 'GET / HTTP/1.1\r\n');
    await until(() => gone(sockets) >= 20, 10_000, 'those beyond ten are gone');
    assert.equal(
      sockets.slice(-5).every((socket) => gone([socket]) === 0),
      true,
      'the youngest are there',
    );
    assert.equal((await asked(server, 'GET', '/livez')).status, 200);
    for (const socket of sockets) socket.destroy();
    await server.stop(0);

    // A balancer that is trusted is exempt from the limit of one address, not from that of all.
    const behind = await listening(api.app, {
      limits: { connections: 40, connectionsPerAddress: 10 },
      trusted: trustedProxies(['127.0.0.0/8']),
    });
    const many = await openedAll(behind.port, 60, 'GET / HTTP/1.1\r\n');
    await until(() => gone(many) >= 20, 10_000, 'those beyond forty are gone');
    assert.equal((await asked(behind, 'GET', '/livez')).status, 200);
    for (const socket of many) socket.destroy();
    await behind.stop(0);
  });

  test('1,020 bodies of 990 kB made 1.2 GB: what all bodies hold together is bounded, and a small one is served', async (t) => {
    const server = await listening(api.app, { limits: { connectionsPerAddress: 1_024 } });
    const headers = Object.entries(headersNow(api, 'POST', '/v1/cases', { body: {} })).map(
      ([name, value]) => `${name}: ${value}`,
    );
    const head = `POST /v1/cases HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n${headers.join('\r\n')}\r\n\r\n`;
    const part = Buffer.concat([Buffer.from(head), Buffer.alloc(300_000, 0x20)]);
    const before = process.memoryUsage().rss;
    const sockets = await openedAll(server.port, 300, part);
    const served = await signed(api, server, 'GET', '/v1/items');
    assert.equal(served.status, 200);
    const posted = await signed(api, server, 'POST', '/v1/cases/precheck', { body: { itemCode: 'x' } });
    assert.ok([200, 422].includes(posted.status), JSON.stringify(posted));
    await until(() => gone(sockets) > 200, 20_000, 'most have given way');
    t.diagnostic(
      `${gone(sockets)} of ${sockets.length} gave way; ${Math.round((process.memoryUsage().rss - before) / 1e6)} MB more`,
    );
    for (const socket of sockets) socket.destroy();
    await server.stop(0);
  });

  test('500 bad requests a second from its address: a signed caller is served', async (t) => {
    const server = await listening(api.app);
    const agent = new Agent({ keepAlive: true, maxSockets: 20 });
    const bad = [{}, { 'X-App-Key': 'window-1' }, headersNow(api, 'GET', '/v1/items', { secret: 'another-secret' })];
    let sent = 0;
    let flooding = true;
    const flood = async (): Promise<void> => {
      while (flooding) {
        await new Promise<void>((resolve) => {
          const request = httpRequest(
            `${server.url}/v1/items`,
            { agent, headers: bad[sent % bad.length] ?? {} },
            (response) => response.resume().on('close', () => resolve()),
          );
          request.on('error', () => resolve());
          request.end();
        });
        sent += 1;
      }
    };
    const floods = Array.from({ length: 20 }, flood);
    await until(() => sent > 1_000 || undefined, 30_000, 'a flood');
    try {
      for (let call = 0; call < 50; call += 1)
        assert.equal((await signed(api, server, 'GET', '/v1/items')).status, 200);
    } finally {
      flooding = false;
      await Promise.all(floods);
      agent.destroy();
    }
    t.diagnostic(`${sent} bad requests`);
    await server.stop(0);
  });
});

describe('memory of bodies', () => {
  test('one that would take more than there is gives way to nobody: it is told to come again', async () => {
    const api = await startApi({ clock: wallClock, limits: { ...LIMITS, bodiesBytes: 30_000 } });
    const server = await listening(api.app);
    const { status, body } = await signed(api, server, 'POST', '/v1/cases/precheck', {
      body: { a: 'x'.repeat(60_000) },
    });
    assert.deepEqual([status, body.code, body.retryAfter], [503, 'bodiesFull', 1]);
    // What it held is free again.
    for (let call = 0; call < 5; call += 1) {
      const { status } = await signed(api, server, 'POST', '/v1/cases/precheck', { body: { a: 'x'.repeat(20_000) } });
      assert.equal(status, 200);
    }
    await Promise.all([server.stop(0), api.close()]);
  });
});

describe('who the caller is', () => {
  const lines = (api: Api) => api.lines.filter(({ message }) => message === 'a request was not let in');

  test('behind a trusted proxy: the last address that is no proxy of ours; whatever stands before it is not believed', async () => {
    const api = await startApi({ trusted: trustedProxies(['127.0.0.0/8', '10.0.0.0/24', 'fd00::/8']) });
    for (const [forwarded, address] of [
      ['203.0.113.9', '203.0.113.9'],
      ['198.51.100.1, 203.0.113.9', '203.0.113.9'],
      ['203.0.113.9, 10.0.0.7', '203.0.113.9'],
      ['::ffff:203.0.113.9', '203.0.113.9'],
      ['2001:db8::1', '2001:db8::1'],
      ['203.0.113.9, nonsense', 'nonsense'],
    ] as const) {
      await api.call('GET', '/v1/items', { as: 'stranger', headers: { 'X-Forwarded-For': forwarded } });
      assert.equal(lines(api).at(-1)?.fields.address, address);
    }
    await api.close();
  });

  test('without one the header says nothing', async () => {
    const api = await startApi();
    await api.call('GET', '/v1/items', { as: 'stranger', headers: { 'X-Forwarded-For': '203.0.113.9' } });
    assert.equal(lines(api).at(-1)?.fields.address, '127.0.0.1');
    await api.close();
  });

  test('each address is refused for itself, IPv6 by /64', async () => {
    const api = await startApi({ trusted: trustedProxies(['127.0.0.0/8']) });
    const status = async (address: string) =>
      (await api.call('GET', '/v1/items', { as: 'stranger', headers: { 'X-Forwarded-For': address } })).status;
    for (let count = 0; count < 300; count += 1) assert.equal(await status(`2001:db8:0:1::${count.toString(16)}`), 401);
    assert.equal(await status('2001:db8:0:1::ffff'), 429);
    assert.equal(await status('2001:db8:0:2::1'), 401);
    await api.close();
  });
});

describe('what HTTP asks of a request, told as a problem', () => {
  let api: Api;
  let server: Listening;
  before(async () => {
    api = await startApi({ clock: wallClock });
    server = await listening(api.app);
  });
  after(async () => {
    await server.stop(0);
    await api.close();
  });

  const told = async (bytes: string, status: number, code: string) => {
    const { head, body } = await heard(server.port, bytes);
    assert.match(head, new RegExp(`^HTTP/1\\.1 ${status} `), head);
    assert.match(head, /application\/problem\+json/i);
    assert.equal(body.code, code);
    assert.deepEqual(api.contracts.problems('problem@1', body as never), []);
    return head;
  };

  test('no Host, two of them, or one that is none', async () => {
    await told('GET /livez HTTP/1.1\r\n\r\n', 400, 'hostMissing');
    await told('GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400, 'hostTwice');
    await told('GET /livez HTTP/1.1\r\nHost: a b/c\r\n\r\n', 400, 'hostInvalid');
    assert.match((await heard(server.port, 'GET /livez HTTP/1.0\r\n\r\n')).head, /^HTTP\/1\.1 200 /);
  });

  test('an expectation that cannot be met; leave to send is given only to who may', async () => {
    await told('POST /v1/cases HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n', 417, 'expectation');
    const refused = await told(
      'POST /v1/cases HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n',
      401,
      'missingHeader',
    );
    assert.match(refused, /connection: close/i);
    const body = Buffer.from('{}');
    const target = '/v1/cases/precheck';
    const headers = { ...headersNow(api, 'POST', target, { body }), Expect: '100-continue', 'Content-Length': '2' };
    const status = await new Promise<number>((resolve, reject) => {
      const request = httpRequest(
        `${server.url}${target}`,
        { method: 'POST', headers, agent: new Agent() },
        (response) => response.resume().on('end', () => resolve(response.statusCode ?? 0)),
      );
      request.on('continue', () => request.end(body));
      request.on('error', reject);
      request.flushHeaders();
    });
    assert.equal(status, 200);
  });

  test('an address that is too long, headers that are too large, a method that is none here', async () => {
    await told(`GET /${'a'.repeat(9_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414, 'targetTooLong');
    await told(`GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414, 'targetTooLong');
    await told(`GET / HTTP/1.1\r\nHost: x\r\nX-Large: ${'a'.repeat(20_000)}\r\n\r\n`, 431, 'headersTooLarge');
    await told('CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n', 405, 'methodNotAllowed');
    await told('TEAPOT / HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'notHttp');
  });

  test('an answer that the caller does not take', async () => {
    const status = async (accept: string, target = '/v1/items') =>
      (await api.call('GET', target, { headers: { Accept: accept }, timestamp: String(Date.now()) })).body.code ?? 200;
    for (const accept of ['application/json', 'application/*', '*/*', 'text/html, */*;q=0.1'])
      assert.equal(await status(accept), 200);
    for (const accept of ['text/html', 'application/xml', 'application/json;q=0'])
      assert.equal(await status(accept), 'notAcceptable', accept);
  });
});

describe('the operators’ own address', () => {
  test('has the probes and the metrics, and nothing else; the other has no metrics then', async () => {
    const api = await startApi({ clock: wallClock });
    const [admin, main] = [await listening(makeAdminApp(api.parts)), await listening(makeApp(api.parts, false))];
    const status = async (server: Listening, target: string) => (await asked(server, 'GET', target)).status;
    for (const target of ['/livez', '/readyz']) {
      assert.equal(await status(admin, target), 200);
      assert.equal(await status(main, target), 200);
    }
    assert.equal(await status(admin, '/metrics'), 200);
    assert.equal(await status(main, '/metrics'), 404);
    for (const target of ['/v1/items', '/docs', '/openapi.json']) assert.equal(await status(admin, target), 404);
    await Promise.all([admin.stop(0), main.stop(0), api.close()]);
  });
});

describe('what is written down of who did what', () => {
  test('address, app, act, object and outcome of every signed request; nothing of its body', async () => {
    const api = await startApi();
    await api.call('POST', '/v1/cases/331124261123999999/resume', { as: 'operator-1' });
    await api.call('GET', '/v1/envelopes', { as: 'window-1' });
    await api.call('GET', '/v1/items');
    const acts = api.lines.filter(({ level, message }) => level === 'info' && message === 'request');
    assert.deepEqual(
      acts.map(({ fields: { address, app, act, object, outcome, status } }) => [
        address,
        app,
        act,
        object,
        outcome,
        status,
      ]),
      [
        ['127.0.0.1', 'operator-1', 'resumeCase', '331124261123999999', 'caseUnknown', 404],
        ['127.0.0.1', 'window-1', 'listEnvelopes', undefined, 'roleNotAllowed', 403],
        ['127.0.0.1', 'window-1', 'listItems', undefined, 'done', 200],
      ],
    );
    await api.close();
  });
});
