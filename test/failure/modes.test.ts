import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const START_MS = 60_000;

/** Puts a document where a gateway would, holds it, and says so. */
const HOLDS_A_DOCUMENT = `
  const { claimFolder } = await import('./gateway/certificates/documents/process-folder.ts');
  const { spool } = await import('./gateway/certificates/documents/spool.ts');
  const { folder } = await claimFolder(process.env.DATA_DIR + '/documents');
  const bytes = (async function* () { yield Buffer.from('%PDF-1.7 %%EOF'); })();
  const signal = new AbortController().signal;
  await spool({ mediaType: 'application/pdf', bytes }, { folder, maxBytes: 1024, digest: null, signal });
  console.log('ready');
  setInterval(() => {}, 1_000);`;

/** Runs until it says that it is ready. */
async function running(t: TestContext, umask: string, dataDir: string, args: readonly string[]): Promise<string[]> {
  const { DATABASE_URL: _, AMQP_URL: __, CONFIG: ___, HOST: ____, ...env } = process.env;
  const child: ChildProcess = spawn('sh', ['-c', `umask ${umask}; exec "$@"`, 'sh', process.execPath, ...args], {
    cwd: root,
    env: { ...env, PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'info' },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: START_MS,
  });
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  });
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
    said.push(line);
    if (/\bready\b/.test(line)) return said;
  }
  throw new Error(`it ended before it was ready: ${said.join('\n')}`);
}

/** Of the folder and all that is in it: each that others have rights on, with its mode. */
async function openToOthers(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of ['.', ...(await readdir(folder, { recursive: true }))]) {
    const { mode } = await stat(path.join(folder, name));
    if ((mode & 0o077) !== 0) found.push(`${name} ${(mode & 0o777).toString(8)}`);
  }
  return found;
}

for (const umask of ['000', '022', '027'])
  describe(`files are the owner's alone, under umask ${umask}`, () => {
    async function dataFolder(t: TestContext): Promise<string> {
      const above = await mkdtemp(path.join(tmpdir(), 'onewindow-umask-'));
      t.after(() => rm(above, { recursive: true, force: true }));
      return path.join(above, 'new', 'data');
    }

    test('those of the store and its key, made at the first start', async (t) => {
      const dataDir = await dataFolder(t);
      await running(t, umask, dataDir, ['gateway/main.ts']);
      const names = await readdir(dataDir);
      for (const name of ['holder-hash.key', 'onewindow.db', 'onewindow.db-wal']) assert.ok(names.includes(name), name);
      assert.deepEqual(await openToOthers(path.dirname(dataDir)), []);
    });

    test('those that a version before left open, closed at the next start with a line in the log', async (t) => {
      const dataDir = await dataFolder(t);
      const first = await running(t, umask, dataDir, ['gateway/main.ts']);
      assert.ok(!first.some((line) => line.includes('DATA_DIR')), first.join('\n'));
      const copy = path.join(path.dirname(dataDir), 'copy');
      // Of a process that was killed: with the log of the store beside it.
      await copied(dataDir, copy);
      for (const name of ['.', ...(await readdir(copy))])
        await chmod(path.join(copy, name), name === '.' ? 0o755 : 0o644);
      const said = await running(t, umask, copy, ['gateway/main.ts']);
      assert.deepEqual(await openToOthers(copy), []);
      assert.ok(
        said.some((line) => line.includes('others could read files of DATA_DIR')),
        said.join('\n'),
      );
    });

    test('a document on its way to a clerk, its folder and its lock', async (t) => {
      const dataDir = await dataFolder(t);
      await running(t, umask, dataDir, ['--input-type=module', '-e', HOLDS_A_DOCUMENT]);
      assert.equal((await readdir(path.join(dataDir, 'documents'), { recursive: true })).length, 3);
      assert.deepEqual(await openToOthers(dataDir), []);
    });
  });

async function copied(from: string, to: string): Promise<void> {
  const [code] = await once(spawn('cp', ['-a', from, to], { stdio: 'inherit' }), 'exit');
  assert.equal(code, 0);
}
