import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { appendFile, chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { freePort } from '../../console/free-port.ts';
import { installed } from './debian.ts';

const run = promisify(execFile);
const VERSIONS = '/usr/lib/postgresql';
const START_MS = 30_000;
/** It does not run as root. */
const USER = 'postgres';

async function programs(): Promise<string> {
  const newest = (): string | undefined =>
    existsSync(VERSIONS)
      ? readdirSync(VERSIONS)
          .sort((a, b) => Number(a) - Number(b))
          .at(-1)
      : undefined;
  if (newest() === undefined) await installed('postgresql');
  const version = newest();
  if (version === undefined) throw new Error('postgresql is not installed');
  return path.join(VERSIONS, version, 'bin');
}

/** A PostgreSQL server that tests have to themselves, to be stopped, killed and starved: some two seconds to start. */
export class PostgresNode {
  readonly port: number;
  readonly url: string;
  readonly #folder: string;
  readonly #programs: string;
  #process: ChildProcess | undefined;

  private constructor(folder: string, bin: string, port: number) {
    this.#folder = folder;
    this.#programs = bin;
    this.port = port;
    this.url = `postgres://${USER}@127.0.0.1:${port}/postgres`;
  }

  /**
   * @param settings lines of its `postgresql.conf`
   * @param under the folder that its own is made in: a disk of a certain size, for instance
   */
  static async start(settings: readonly string[] = [], under: string = tmpdir()): Promise<PostgresNode> {
    const bin = await programs();
    const folder = await mkdtemp(path.join(under, 'onewindow-postgres-'));
    const { stdout: uid } = await run('id', ['-u', USER]);
    await chown(folder, Number(uid), Number(uid));
    const node = new PostgresNode(folder, bin, await freePort());
    const [program, args] = node.#as('initdb', ['-D', node.#data, '-A', 'trust', '-U', USER, '-E', 'UTF8']);
    await run(program, args, { timeout: 60_000 });
    await appendFile(path.join(node.#data, 'postgresql.conf'), `\n${settings.join('\n')}\n`);
    await node.start();
    return node;
  }

  /** With what it kept on its disk. */
  async start(): Promise<void> {
    const given = ['-D', this.#data, '-p', String(this.port), '-k', this.#folder, '-h', '127.0.0.1'];
    const server = spawn(...this.#as('postgres', given), { stdio: 'ignore' });
    this.#process = server;
    // A test that is broken off leaves none behind.
    process.once('exit', () => server.kill('SIGQUIT'));
    server.unref();
    for (const end = Date.now() + START_MS; !(await answers(this.url)); await rest(100)) {
      if (server.exitCode !== null) throw new Error(`postgres ended with ${server.exitCode}`);
      if (Date.now() > end) throw new Error(`postgres did not start within ${START_MS / 1_000} s`);
    }
  }

  /** As by an operator: every connection is ended, nothing is lost. */
  stop(): Promise<void> {
    return this.#end('SIGINT');
  }

  /** As by a power cut: it recovers from its log at the next start. */
  kill(): Promise<void> {
    return this.#end('SIGQUIT');
  }

  /** For good. */
  async discard(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  /** Of the same version: `pg_dump`, `psql` … */
  async run(program: string, ...args: string[]): Promise<string> {
    const [first, all] = this.#as(program, args);
    const { stdout } = await run(first, all, { timeout: 60_000, maxBuffer: 64 * 2 ** 20 });
    return stdout;
  }

  get #data(): string {
    return path.join(this.#folder, 'data');
  }

  #as(program: string, args: readonly string[]): [string, string[]] {
    return [
      'setpriv',
      [`--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', path.join(this.#programs, program), ...args],
    ];
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const server = this.#process;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const exit = once(server, 'exit');
    server.kill(signal);
    await exit;
  }
}

export async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  try {
    await client.connect();
    await client.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}
