import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type Agent, type ClientRequest, request as httpRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, demoApp } from '../client.ts';
import { freePort } from '../free-port.ts';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const START_MS = 60_000;
const ANSWER_MS = 30_000;

export interface Seen {
  readonly status: number;
  readonly headers: { readonly [name: string]: string | string[] | undefined };
  readonly text: string;
  /** Of a problem. */
  readonly code: string | undefined;
  readonly ms: number;
}

/** What a request is made of; everything as it is sent. */
export interface Sent {
  readonly method: string;
  readonly target: string;
  readonly headers?: { readonly [name: string]: string };
  readonly body?: Uint8Array;
  readonly agent?: Agent;
}

/** A gateway in a process of its own, with the departments of the demo, that may be attacked: nobody else uses it. */
export class Target {
  readonly port: number;
  readonly dataDir: string;
  readonly window: Client;
  readonly operator: Client;
  readonly #folder: string;
  readonly #lines: string[] = [];
  #child: ChildProcess | undefined;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.port = port;
    this.dataDir = path.join(folder, 'data');
    this.window = new Client(this.url, demoApp('window-demo'));
    this.operator = new Client(this.url, demoApp('operator-demo'));
  }

  /** On the embedded engines, or with a broker. @param settings over those of the demo */
  static async start({ amqpUrl, settings = {} }: { amqpUrl?: string; settings?: object } = {}): Promise<Target> {
    const target = new Target(await mkdtemp(path.join(tmpdir(), 'onewindow-attack-')), await freePort());
    const file = path.join(target.#folder, 'settings.json');
    await writeFile(file, JSON.stringify(settings));
    target.#run({ CONFIG: file, ...(amqpUrl === undefined ? {} : { AMQP_URL: amqpUrl }) });
    const end = Date.now() + START_MS;
    while (!(await target.alive())) {
      if (target.#child?.exitCode !== null || Date.now() > end) {
        await target.stop();
        throw new Error(`the gateway did not start:\n${target.log().slice(-2_000)}`);
      }
      await pause(100);
    }
    return target;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get running(): boolean {
    return this.#child?.exitCode === null;
  }

  /** All that the process has written. */
  log(): string {
    return this.#lines.join('');
  }

  /** Answers a probe within `withinMs`. */
  async alive(withinMs = 1_000): Promise<boolean> {
    return fetch(`${this.url}/livez`, { signal: AbortSignal.timeout(withinMs) }).then(
      (response) => response.ok,
      () => false,
    );
  }

  /** A signed request is served. */
  async serves(): Promise<boolean> {
    return this.window.get('/v1/items').then(
      ({ status }) => status === 200,
      () => false,
    );
  }

  /** Names with labels, and values, as the metrics tell them. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const text = await (await fetch(`${this.url}/metrics`, { signal: AbortSignal.timeout(ANSWER_MS) })).text();
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
    );
  }

  /** Bytes the process has in memory. */
  async memory(): Promise<number> {
    return (await this.metrics()).get('process_resident_memory_bytes') ?? 0;
  }

  /** Undefined: the connection was closed without an answer. */
  ask({ method, target, headers = {}, body, agent }: Sent): Promise<Seen | undefined> {
    const began = performance.now();
    return new Promise((resolve) => {
      let request: ClientRequest;
      try {
        request = httpRequest({
          host: '127.0.0.1',
          port: this.port,
          method,
          path: target,
          headers,
          agent: agent ?? false,
        });
      } catch {
        // The client itself does not send such a header.
        return resolve(undefined);
      }
      request.setTimeout(ANSWER_MS, () => request.destroy());
      request.once('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('close', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const problem = String(response.headers['content-type']).startsWith('application/problem+json');
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text,
            code: problem && text !== '' ? (JSON.parse(text) as { code?: string }).code : undefined,
            ms: performance.now() - began,
          });
        });
      });
      request.once('error', () => resolve(undefined));
      request.end(body);
    });
  }

  /** A connection on which only this is sent. */
  socket(bytes: string | Uint8Array): Promise<Socket & { heard: string }> {
    return new Promise((resolve, reject) => {
      const socket = Object.assign(connect(this.port, '127.0.0.1'), { heard: '' });
      socket.on('data', (chunk) => {
        socket.heard += chunk.toString('latin1');
      });
      socket.on('error', (error) => reject(error));
      socket.once('connect', () => {
        socket.write(bytes);
        resolve(socket);
      });
    });
  }

  /** What is answered to bytes that no client would send. */
  async raw(bytes: string | Uint8Array): Promise<string> {
    const socket = await this.socket(bytes);
    const end = Date.now() + 5_000;
    while (!socket.heard.includes('\r\n\r\n') && !socket.destroyed && Date.now() < end) await pause(10);
    socket.destroy();
    return socket.heard;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child !== undefined && child.exitCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  #run(own: { readonly [name: string]: string }): void {
    const env = { ...process.env, PORT: String(this.port), DATA_DIR: this.dataDir, LOG_LEVEL: 'debug' };
    for (const name of ['DATABASE_URL', 'AMQP_URL', 'CONFIG', 'HOST', 'ADMIN_PORT']) Reflect.deleteProperty(env, name);
    const child = spawn(process.execPath, ['gateway/main.ts', '--demo'], {
      cwd: root,
      env: { ...env, ...own },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.on('data', (chunk: Buffer) => this.#lines.push(chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => this.#lines.push(chunk.toString()));
    this.#child = child;
  }
}
