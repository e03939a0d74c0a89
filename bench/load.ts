/**
 * The load, in a process of its own: `node bench/load.ts` with LOAD = {url, target, connections, ms, body, signed} sends as fast as answers come, and prints
 * {count, ms, p50, p95, failed} as one JSON line. A body's `applicationNo` is another one in every request; so is its holder's name where it is `*`.
 */
import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { demoApp } from '../console/client.ts';
import { signedHeaders } from '../gateway/http/signature.ts';

interface Load {
  readonly url: string;
  readonly target: string;
  readonly connections: number;
  readonly ms: number;
  readonly body: { readonly [key: string]: unknown };
  readonly signed: boolean;
  readonly most?: number;
}

const {
  url,
  target,
  connections,
  ms,
  body,
  signed,
  most = Number.POSITIVE_INFINITY,
} = JSON.parse(process.env.LOAD ?? '{}') as Load;
const agent = new Agent({ keepAlive: true, maxSockets: connections });
const app = demoApp('window-demo');
const run = randomBytes(4).toString('hex');
const { hostname, port } = new URL(url);
const took: number[] = [];
let sent = 0;
let failed = 0;

function once(): Promise<void> {
  sent += 1;
  const another = 'applicationNo' in body ? { ...body, applicationNo: `B-${run}-${sent}` } : body;
  const bytes = Buffer.from(JSON.stringify(another).replaceAll('"*"', `"样例${run}${sent}"`));
  const headers = signed
    ? signedHeaders(
        { method: 'POST', target, body: bytes, timestamp: String(Date.now()), nonce: randomBytes(16).toString('hex') },
        app,
      )
    : {};
  const began = performance.now();
  return new Promise((resolve) => {
    const outgoing = request(
      {
        hostname,
        port,
        path: target,
        method: 'POST',
        agent,
        headers: { ...headers, 'content-type': 'application/json', 'content-length': bytes.length },
      },
      (response) => {
        response.resume();
        response.on('end', () => {
          took.push(performance.now() - began);
          if ((response.statusCode ?? 500) >= 300) failed += 1;
          resolve();
        });
      },
    );
    outgoing.on('error', () => {
      failed += 1;
      resolve();
    });
    outgoing.end(bytes);
  });
}

const began = performance.now();
const end = began + ms;
await Promise.all(
  Array.from({ length: connections }, async () => {
    while (performance.now() < end && sent < most) await once();
  }),
);
const elapsed = performance.now() - began;
took.sort((a, b) => a - b);
const at = (part: number): number => Number((took[Math.floor(took.length * part)] ?? 0).toFixed(2));
console.log(
  JSON.stringify({ count: took.length - failed, ms: Math.round(elapsed), p50: at(0.5), p95: at(0.95), failed }),
);
agent.destroy();
