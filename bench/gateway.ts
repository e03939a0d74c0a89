/**
 * A gateway to measure, in a process of its own: `node bench/gateway.ts <what>`; prints its address as one JSON line and serves until it is told to end.
 *   accept    as it is
 *   storeless the very same route with the store left out: accept answers at once
 *   single    one transaction a request: accepts take turns, so that none shares a commit
 *   sources   as it is, but every certificate source takes 80 ms, and has whatever it is asked for
 *   carry     as it is, but its departments answer at once, in this process: what is left is the carrying
 *   json      no gateway: a bare express route that reads JSON and answers what it is told in JSON_REPLY
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
import type { Settings } from '../config/settings.ts';
import type { Adapter } from '../contracts/ports/adapter.ts';
import type { CaseRecord } from '../contracts/ports/case.ts';
import type { JsonObject, Party } from '../contracts/ports/envelope.ts';
import { silent } from '../contracts/ports/logger.ts';
import type { NewCase, Store } from '../contracts/ports/store.ts';
import { start } from '../gateway/main.ts';

const what = process.argv[2] ?? 'accept';
const here = path.dirname(fileURLToPath(import.meta.url));
const {
  parties = {},
  items,
  over = {},
} = JSON.parse(process.env.BENCH ?? '{}') as {
  parties?: Record<string, JsonObject>;
  items?: boolean;
  /** Other engines than the embedded ones. */
  over?: Partial<Settings>;
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
} else if (what === 'json') {
  const reply = JSON.parse(process.env.JSON_REPLY ?? '{}') as object;
  const app = express();
  app.use(express.json());
  app.post('/', (_request, response) => void response.json(reply));
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  tell(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
} else {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'onewindow-bench-'));
  const loaded = await loadSettings({ DATA_DIR: dataDir, PORT: '0' }, ['--demo']);
  const own = what === 'sources' ? 'certificate-items' : 'items';
  const folders = items === false ? loaded.folders : { ...loaded.folders, items: path.join(here, own) };
  const around = { accept: (store: Store) => store, storeless, single }[what] ?? ((store: Store) => store);
  const aroundAdapter = { sources: slowSource, carry: atOnce }[what];
  const gateway = await start(
    {
      ...loaded,
      ...over,
      // One for all that share a database.
      holderHashKey: 'b'.repeat(64),
      parties,
      folders,
      rate: { perMinute: 0 },
    },
    { log: silent, aroundStore: around, ...(aroundAdapter === undefined ? {} : { aroundAdapter }) },
  );
  tell(gateway.url);
  process.once('SIGTERM', () => {
    void gateway
      .stop()
      .then(() => rm(dataDir, { recursive: true, force: true }))
      .then(() => process.exit(0));
  });
}

const SOURCE_MS = 80;
let asked = 0;

/** Whatever it is asked for, valid, after 80 ms; how often is told on demand. */
function slowSource(_party: Party, adapter: Adapter): Adapter {
  return {
    ...adapter,
    async certificates({ holder, type }) {
      asked += 1;
      await new Promise((resolve) => setTimeout(resolve, SOURCE_MS));
      return [
        {
          type,
          identifier: null,
          number: 'N-1',
          title: '证照',
          holder,
          state: '01',
          issuer: '松阳县样例局',
          validFrom: '20200101',
          validTo: '20400101',
          fields: {
            name: holder.name,
            idNo: holder.idNo,
            certNo: 'N-1',
            contractNo: 'N-1',
            amount: '1.00',
            householdNo: '1',
          },
        },
      ];
    },
  };
}

let carried = 0;

function atOnce(_party: Party, adapter: Adapter): Adapter {
  return {
    ...adapter,
    async deliver({ id }) {
      carried += 1;
      return { number: id, duplicate: false };
    },
  };
}

function tell(url: string): void {
  console.log(JSON.stringify({ url }));
  process.on('message', (message) => {
    if (message === 'asked') process.send?.(asked);
    if (message === 'carried') process.send?.(carried);
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
