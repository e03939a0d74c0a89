import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Fault } from '../../contracts/ports/fault.ts';
import { httpWire } from './http.ts';

const MB = 2 ** 20;
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

async function office(t: TestContext, answer: (response: ServerResponse) => void) {
  const server = createServer((_request, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const wire = httpWire();
  t.after(async () => {
    await wire.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/file`;
  return (maxBytes = 100 * MB, signal = AbortSignal.timeout(20_000)) =>
    wire.stream({ url, method: 'GET', headers: {}, body: null }, { signal, write: false, connectMs: 1_000, maxBytes });
}

async function read(body: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0;
  for await (const chunk of body) size += chunk.byteLength;
  return size;
}
const faultOf = async (run: () => Promise<unknown>): Promise<Fault> => {
  try {
    await run();
  } catch (error) {
    return Fault.from(error);
  }
  return assert.fail('it went well');
};

/** `megabytes` of the same piece, as fast as they are taken. */
function pour(response: ServerResponse, megabytes: number): void {
  const piece = Buffer.alloc(MB, 'x');
  let left = megabytes;
  const more = (): void => {
    while (left > 0) {
      left -= 1;
      if (!response.write(piece)) return void response.once('drain', more);
    }
    response.end();
  };
  more();
}

describe('a reply that is handed on as it comes', () => {
  test('64 MB pass through without being held', async (t) => {
    const get = await office(t, (response) => {
      response.writeHead(200, { 'content-type': 'application/pdf', 'content-length': 64 * MB });
      pour(response, 64);
    });
    const { status, headers, body } = await get();
    assert.deepEqual([status, headers['content-type']], [200, 'application/pdf']);
    const before = process.memoryUsage();
    let [size, most] = [0, 0];
    for await (const chunk of body) {
      size += chunk.byteLength;
      if (size % (8 * MB) > chunk.byteLength) continue;
      collect();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      most = Math.max(most, heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers);
    }
    assert.equal(size, 64 * MB);
    assert.ok(most < 32 * MB, `${Math.round(most / MB)} MB were held`);
  });

  test('more than the limit ends it: at once where its length is told, otherwise at the limit', async (t) => {
    const told = await office(t, (response) => {
      response.writeHead(200, { 'content-length': 8 * MB });
      pour(response, 8);
    });
    const untold = await office(t, (response) => pour(response, 8));
    for (const get of [told, untold]) {
      const fault = await faultOf(async () => read((await get(2 * MB)).body));
      assert.deepEqual([fault.kind, fault.reason.code], ['malformed', 'tooLarge']);
    }
  });

  test('cut off in the middle, or standing still until the deadline: unreachable, never a short file', async (t) => {
    const cut = await office(t, (response) => {
      response.writeHead(200, { 'content-length': MB });
      response.write(Buffer.alloc(1_000));
      setTimeout(() => response.destroy(), 20);
    });
    assert.equal((await faultOf(async () => read((await cut()).body))).kind, 'unreachable');
    const still = await office(t, (response) => {
      response.writeHead(200, { 'content-length': MB });
      response.write(Buffer.alloc(1_000));
    });
    const fault = await faultOf(async () => read((await still(MB * 2, AbortSignal.timeout(100))).body));
    assert.deepEqual([fault.kind, fault.reason.code], ['unreachable', 'silence']);
  });

  test('whoever stops reading ends it', async (t) => {
    let closed = false;
    const get = await office(t, (response) => {
      response.on('close', () => {
        closed = true;
      });
      pour(response, 64);
    });
    for await (const _ of (await get()).body) break;
    for (const end = Date.now() + 60_000; !closed && Date.now() < end; )
      await new Promise((done) => setTimeout(done, 5));
    assert.ok(closed);
  });
});
