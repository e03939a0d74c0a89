import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

test('a start that fails says why in one sentence, and ends: also when it brought its own departments', async (t) => {
  const taken = createServer();
  t.after(() => taken.close());
  await once(taken.listen(0, '127.0.0.1'), 'listening');
  const { port } = taken.address() as AddressInfo;
  const dataDir = await mkdtemp(path.join(tmpdir(), 'onewindow-start-'));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const { DATABASE_URL: _, AMQP_URL: __, ...env } = process.env;
  const child = spawn(process.execPath, [MAIN, '--demo'], {
    env: { ...env, HOST: '127.0.0.1', PORT: String(port), DATA_DIR: dataDir, LOG_LEVEL: 'error' },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: 30_000,
  });
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  assert.equal(code, 1);
  assert.match(said, /^PORT: .* is taken by another program: stop it, or set another PORT\n$/);
});
