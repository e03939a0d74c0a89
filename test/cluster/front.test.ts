import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import defaults from '../../config/defaults.json' with { type: 'json' };
import { freePort } from '../../console/free-port.ts';
import { installed } from '../support/debian.ts';
import { until } from '../support/world.ts';

const NGINX = '/usr/sbin/nginx';
const CONF = fileURLToPath(new URL('../../config/nginx.conf', import.meta.url));

async function lacking(): Promise<string | false> {
  if (existsSync(NGINX)) return false;
  try {
    await installed('nginx');
    return existsSync(NGINX) ? false : 'nginx is not installed';
  } catch (error) {
    if (process.env.CI === 'true') throw error;
    return `nginx could not be installed: ${(error as Error).message.split('\n')[0]}`;
  }
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

describe('config/nginx.conf, as it is shipped, in front of a node', { skip: await lacking() }, () => {
  /** What reached the node. */
  const came: IncomingMessage[] = [];
  /** Answers that the node keeps back. */
  const kept: ServerResponse[] = [];
  const node = createServer((incoming, response) => {
    came.push(incoming);
    if (incoming.url === '/slow') kept.push(response);
    else incoming.resume().once('end', () => response.end(JSON.stringify(incoming.rawHeaders)));
  });
  let nginx: ChildProcess;
  let folder: string;
  let port: number;
  let said: Promise<string>;

  before(async () => {
    await once(node.listen(0, '127.0.0.1'), 'listening');
    folder = await mkdtemp(path.join(tmpdir(), 'onewindow-front-'));
    // Started by root, its workers are somebody else.
    await chmod(folder, 0o711);
    port = await freePort();
    // Other names and places, and nothing else: what is tried is what is shipped.
    const conf = (await readFile(CONF, 'utf8'))
      .replace(/node-[123]:8080/g, `127.0.0.1:${(node.address() as AddressInfo).port}`)
      .replace('listen 8080;', `listen 127.0.0.1:${port};`)
      .replaceAll('/tmp/', `${folder}/`)
      .replace('/dev/stdout', path.join(folder, 'access.log'));
    await writeFile(path.join(folder, 'nginx.conf'), conf);
    nginx = spawn(NGINX, ['-c', path.join(folder, 'nginx.conf'), '-g', 'daemon off;'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    said = text(nginx.stderr as NodeJS.ReadableStream);
    process.once('exit', () => nginx.kill('SIGKILL'));
    await until(async () => (await asked('/')).status === 200 || undefined, 20_000, 'nginx');
  });
  after(async () => {
    for (const response of kept) response.end();
    node.closeAllConnections();
    node.close();
    await stopped();
    await rm(folder, { recursive: true, force: true });
  });

  async function stopped(): Promise<void> {
    if (nginx.exitCode !== null || nginx.signalCode !== null) return;
    const exit = once(nginx, 'exit');
    nginx.kill('SIGTERM');
    await exit;
  }

  function asked(target: string, headers: { [name: string]: string } = {}, body?: Buffer): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const sent = request(
      { host: '127.0.0.1', port, path: target, method: body === undefined ? 'GET' : 'POST', headers, agent: false },
      (response) => {
        text(response).then((all) => resolve({ status: response.statusCode ?? 0, body: all }), reject);
      },
    );
    sent.once('error', () => resolve({ status: 0, body: '' }));
    sent.end(body);
    return promise;
  }

  test('who calls is what nginx sees, and never what the caller says of it', async () => {
    const lies = {
      'X-Forwarded-For': '10.9.9.9, 172.30.0.9',
      'X-Real-IP': '10.9.9.9',
      Forwarded: 'for=10.9.9.9',
    };
    const { status, body } = await asked('/v1/items', lies);
    assert.equal(status, 200);
    const raw = JSON.parse(body) as string[];
    const values = raw.flatMap((name, at) => (/^x-forwarded-for$/i.test(name) ? [raw[at + 1]] : []));
    assert.deepEqual(values, ['127.0.0.1']);
    assert.doesNotMatch(body, /10\.9\.9\.9/);
  });

  test('metrics are nobody’s outside, however the path is written', async () => {
    const before = came.length;
    for (const target of ['/metrics', '/metrics?x=1', '//metrics', '/%6detrics', '/x/../metrics', '/metrics/'])
      assert.equal((await asked(target)).status, 404, target);
    assert.equal(came.length, before);
  });

  test('headers and a first line as large as a node takes go through, and larger ones do not', async () => {
    assert.equal((await asked('/v1/items', { 'X-More': 'm'.repeat(7_000), 'X-Yet': 'm'.repeat(6_000) })).status, 200);
    assert.equal((await asked(`/v1/items?${'q'.repeat(7_500)}`)).status, 200);
    const before = came.length;
    const many = Object.fromEntries(['A', 'B', 'C', 'D'].map((name) => [`X-${name}`, 'm'.repeat(6_000)]));
    assert.equal((await asked('/v1/items', many)).status, 400);
    assert.equal((await asked(`/v1/items?${'q'.repeat(8_300)}`)).status, 414);
    assert.equal(came.length, before);
  });

  test('a body as large as the gateway takes goes through, so that what is larger is refused in its words; but not without end', async () => {
    assert.equal((await asked('/v1/cases', {}, Buffer.alloc(defaults.limits.bodyBytes + 1))).status, 200);
    assert.equal((await asked('/v1/cases', {}, Buffer.alloc(4 * defaults.limits.bodyBytes))).status, 413);
  });

  test('half a head is given up in the time that a node gives it, and has reached no node', async () => {
    const before = came.length;
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    // Reset, and not ended: nothing of it stays behind.
    socket.on('error', () => {});
    let closed = false;
    socket.once('close', () => {
      closed = true;
    });
    socket.resume();
    socket.write('GET /v1/items HTTP/1.1\r\nHost: hall\r\nX-Slow: ');
    const drips = setInterval(() => socket.write('s'), 500);
    try {
      await until(() => closed || undefined, defaults.http.headersMs + 20_000, 'the end of the connection');
    } finally {
      clearInterval(drips);
      socket.destroy();
    }
    assert.equal(came.length, before);
  });

  test('one address has so many requests under way as at a node, and the next is told to come again', async () => {
    const { connectionsPerAddress } = defaults.http;
    const slow = Array.from({ length: connectionsPerAddress }, () => asked('/slow'));
    await until(() => kept.length === connectionsPerAddress || undefined, 30_000, 'all of them at the node');
    assert.equal((await asked('/v1/items')).status, 429);
    for (const response of kept.splice(0)) response.end();
    assert.ok((await Promise.all(slow)).every(({ status }) => status === 200));
    await until(async () => (await asked('/v1/items')).status === 200 || undefined, 10_000, 'a free place');
  });

  test('its logs have no query, in which people may stand', async () => {
    await asked('/v1/cases?applicant=geheim');
    // What is refused is what most is written of.
    assert.equal(
      (await asked('/v1/cases?applicant=geheim', {}, Buffer.alloc(4 * defaults.limits.bodyBytes))).status,
      413,
    );
    await stopped();
    const log = await readFile(path.join(folder, 'access.log'), 'utf8');
    assert.match(log, /"GET \/v1\/cases" 200/);
    assert.doesNotMatch(log, /geheim/);
    assert.doesNotMatch(await said, /geheim/);
  });
});
