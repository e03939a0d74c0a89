import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { promisify } from 'node:util';
import { connect } from 'amqplib';
import { freePort } from '../../console/free-port.ts';
import { installed } from './debian.ts';

const run = promisify(execFile);
/** Debian's own `rabbitmq-server` insists on its own user and folders; the script beneath it does not. */
const SCRIPTS = ['/usr/lib/rabbitmq/bin', '/opt/rabbitmq/sbin', '/usr/local/sbin'];
const scripts = (): string | undefined => SCRIPTS.find((folder) => existsSync(path.join(folder, 'rabbitmq-server')));
const START_MS = 120_000;

async function programs(): Promise<string> {
  if (scripts() === undefined) await installed('rabbitmq-server');
  const folder = scripts();
  if (folder === undefined) throw new Error('rabbitmq-server is not installed');
  return folder;
}

/** A RabbitMQ that one test has to itself, to be stopped, killed, frozen and starved: some six seconds to start, some 130 MB. */
export class RabbitNode {
  readonly url: string;
  readonly port: number;
  readonly #name: string;
  readonly #folder: string;
  #process: ChildProcess | undefined;

  private constructor(folder: string, port: number, user: string) {
    this.#folder = folder;
    this.port = port;
    this.#name = `onewindow-test-${port}@localhost`;
    this.url = `amqp://${user}:${user}@127.0.0.1:${port}`;
  }

  /** @param settings lines of its configuration file; `user` is its first one, and its password */
  static async start(settings = '', user = 'guest'): Promise<RabbitNode> {
    const node = new RabbitNode(await mkdtemp(path.join(tmpdir(), 'onewindow-rabbit-')), await freePort(), user);
    await writeFile(
      path.join(node.#folder, 'rabbitmq.conf'),
      `default_user = ${user}\ndefault_pass = ${user}\n${settings}`,
    );
    await node.start();
    return node;
  }

  /** With what it kept on its disk. */
  async start(): Promise<void> {
    const broker = spawn(path.join(await programs(), 'rabbitmq-server'), {
      env: {
        PATH: process.env.PATH,
        HOME: this.#folder,
        RABBITMQ_NODENAME: this.#name,
        RABBITMQ_NODE_PORT: String(this.port),
        RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
        RABBITMQ_DIST_PORT: String(await freePort()),
        RABBITMQ_MNESIA_BASE: path.join(this.#folder, 'data'),
        RABBITMQ_LOG_BASE: path.join(this.#folder, 'log'),
        RABBITMQ_CONFIG_FILE: path.join(this.#folder, 'rabbitmq'),
        RABBITMQ_CONF_ENV_FILE: '/dev/null',
        RABBITMQ_ENABLED_PLUGINS_FILE: path.join(this.#folder, 'plugins'),
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: `-setcookie ${COOKIE}`,
      },
      // A group of its own: the script's end is not the broker's.
      detached: true,
      stdio: 'ignore',
    });
    this.#process = broker;
    // A test that is broken off leaves none behind.
    process.once('exit', () => this.#signal('SIGKILL'));
    for (const end = Date.now() + START_MS; !(await this.answers()); await rest(200)) {
      if (broker.exitCode !== null) throw new Error(`rabbitmq-server ended with ${broker.exitCode}`);
      if (Date.now() > end) throw new Error(`rabbitmq-server did not start within ${START_MS / 1_000} s`);
    }
  }

  async answers(): Promise<boolean> {
    try {
      await (await connect(this.url, { timeout: 2_000 })).close();
      return true;
    } catch {
      return false;
    }
  }

  /** `rabbitmqctl`, on this node. */
  async ctl(...args: string[]): Promise<string> {
    const all = ['-q', '-n', this.#name, '--erlang-cookie', COOKIE, ...args];
    const { stdout } = await run(path.join(scripts() ?? '', 'rabbitmqctl'), all, { timeout: 60_000 });
    return stdout;
  }

  /** As by an operator. */
  async stop(): Promise<void> {
    await this.ctl('stop');
    await this.#ended();
  }

  /** As by kill -9. */
  async kill(): Promise<void> {
    this.#signal('SIGKILL');
    await this.#ended();
  }

  freeze(): void {
    this.#signal('SIGSTOP');
  }

  thaw(): void {
    this.#signal('SIGCONT');
  }

  /** Everything it kept is gone; only while it is stopped. */
  async wipe(): Promise<void> {
    await rm(path.join(this.#folder, 'data'), { recursive: true, force: true });
  }

  /** For good. */
  async discard(): Promise<void> {
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid, exitCode, signalCode } = this.#process ?? {};
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, signal);
  }

  async #ended(): Promise<void> {
    const broker = this.#process;
    if (broker === undefined || broker.exitCode !== null || broker.signalCode !== null) return;
    await once(broker, 'exit');
  }
}

/** Guards nothing: the node listens on loopback, for as long as a test runs. */
const COOKIE = 'onewindow-test';
