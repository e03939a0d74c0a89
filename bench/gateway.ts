/**
 * A gateway to measure, in a process of its own: `node bench/gateway.ts <what>`; prints its address as one JSON line and serves until it is told to end.
 *   accept    as it is
 *   storeless the very same route with the store left out: accept answers at once
 *   single    one transaction a request: accepts take turns, so that none shares a commit
 *   proxy     no gateway: bare express and axios, passing a body on to PROXY.to with PROXY.headers
 */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import axios from 'axios';
import express from 'express';
import { loadSettings } from '../config/load.ts';
import type { CaseRecord } from '../contracts/ports/case.ts';
import type { JsonObject } from '../contracts/ports/envelope.ts';
import { silent } from '../contracts/ports/logger.ts';
import type { NewCase, Store } from '../contracts/ports/store.ts';
import { start } from '../gateway/main.ts';

const what = process.argv[2] ?? 'accept';
const here = path.dirname(fileURLToPath(import.meta.url));
const { parties = {}, items } = JSON.parse(process.env.BENCH ?? '{}') as {
  parties?: Record<string, JsonObject>;
  items?: boolean;
};

if (what === 'proxy') {
  const { to = '', headers = {} } = JSON.parse(process.env.PROXY ?? '{}') as {
    to?: string;
    headers?: Record<string, string>;
  };
  const client = axios.create({
    httpAgent: new Agent({ keepAlive: true }),
    proxy: false,
    responseType: 'arraybuffer',
    validateStatus: () => true,
  });
  const app = express();
  app.use(express.raw({ type: () => true }));
  app.post('/', async (request, response) => {
    const reply = await client.post<Buffer>(to, request.body as Buffer, {
      headers: { ...headers, 'content-type': 'application/json' },
    });
    response.status(reply.status).type('application/json').send(reply.data);
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  tell(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
} else {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'onewindow-bench-'));
  const loaded = await loadSettings({ DATA_DIR: dataDir, PORT: '0' }, ['--demo']);
  const folders = items === false ? loaded.folders : { ...loaded.folders, items: path.join(here, 'items') };
  const around = { accept: (store: Store) => store, storeless, single }[what] ?? ((store: Store) => store);
  const gateway = await start(
    { ...loaded, parties, folders, rate: { perMinute: 0 } },
    { log: silent, aroundStore: around },
  );
  tell(gateway.url);
  process.once('SIGTERM', () => {
    void gateway
      .stop()
      .then(() => rm(dataDir, { recursive: true, force: true }))
      .then(() => process.exit(0));
  });
}

function tell(url: string): void {
  console.log(JSON.stringify({ url }));
  process.on('message', (message) => {
    if (message !== 'memory') return;
    globalThis.gc?.();
    process.send?.(process.memoryUsage());
  });
}

/** Everything of the route but the store's own work: the case is opened, and forgotten. */
function storeless(store: Store): Store {
  let last = 0;
  const accept = async ({ numberPrefix, open }: NewCase) => {
    last += 1;
    const { record } = await open(`${numberPrefix}${String(last % 1_000_000).padStart(6, '0')}`);
    return { record: record satisfies CaseRecord, seenBefore: false, conflict: false };
  };
  return { ...store, accept, byApplication: async () => undefined, firstUse: async () => true };
}

/** Each accept waits for the one before it: every request has a transaction, and an fsync, to itself. */
function single(store: Store): Store {
  let before: Promise<unknown> = Promise.resolve();
  return {
    ...store,
    accept(submission) {
      const mine = before.then(() => store.accept(submission));
      before = mine.catch(() => {});
      return mine;
    },
  };
}
