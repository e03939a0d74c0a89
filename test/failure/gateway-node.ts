import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Settings } from '../../config/settings.ts';
import type { FromChild, KillPoint, ToChild } from './killable.ts';

const KILLABLE = fileURLToPath(new URL('killable.ts', import.meta.url));

/** A gateway in a process of its own, which may be killed, paused and started again at any time, always with the same settings. */
export class GatewayNode {
  readonly url: string;
  /** Of its log, over all its lives. */
  readonly lines: string[] = [];
  /** What its adapters did, over all its lives. */
  readonly heard: FromChild[] = [];
  readonly #file: string;
  readonly #aheadMs: number;
  readonly #program: string;
  #child: ChildProcess | undefined;
  #words = '';

  private constructor(file: string, { host, port }: Settings, aheadMs: number, program: string) {
    this.#file = file;
    this.#program = program;
    this.url = `http://${host}:${port}`;
    this.#aheadMs = aheadMs;
  }

  /** Not started yet. @param aheadMs how far its own clock is ahead @param program the `killable.ts` that is run; this program's own, unless given */
  static async of(settings: Settings, aheadMs = 0, program = KILLABLE): Promise<GatewayNode> {
    const file = path.join(settings.dataDir, 'settings.json');
    await writeFile(file, JSON.stringify(settings));
    return new GatewayNode(file, settings, aheadMs, program);
  }

  async start(): Promise<void> {
    this.#words = '';
    const child = fork(this.#program, [this.#file, String(this.#aheadMs)], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // The second start and all after it need not compile what the first one has.
      env: { NODE_COMPILE_CACHE: path.join(tmpdir(), 'onewindow-compiled') },
    });
    this.#child = child;
    if (child.stdout !== null) createInterface(child.stdout).on('line', (line) => void this.lines.push(line));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#words += text;
    });
    child.on('message', (message: FromChild) => {
      if (message.said === 'inquired' || message.said === 'sentTwice') this.heard.push(message);
    });
    // One that is paused does not notice that its parent has gone.
    const kill = () => void child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.off('exit', kill));
    await new Promise<void>((resolve, reject) => {
      // It may have asked a party before: what it had leased before it was killed is still on the broker.
      child.on('message', ({ said }: FromChild) => {
        if (said === 'ready') resolve();
      });
      child.once('exit', (code, signal) =>
        reject(new Error(`the gateway did not start (${code ?? signal}): ${this.#words}`)),
      );
    });
  }

  get dead(): boolean {
    return this.#child === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** What it wrote on standard error since its last start. */
  get words(): string {
    return this.#words;
  }

  /** What it was armed with has paused it. */
  get paused(): boolean {
    return this.#words.includes('paused');
  }

  async arm(point: KillPoint | null): Promise<void> {
    const child = this.#living();
    const armed = new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('the gateway did not say that it is armed')), 10_000);
      const hear = ({ said }: FromChild): void => {
        if (said !== 'armed') return;
        clearTimeout(late);
        child.off('message', hear);
        resolve();
      };
      child.on('message', hear);
    });
    child.send({ arm: point } satisfies ToChild);
    await armed;
  }

  /** As by kill -9. */
  async kill(): Promise<void> {
    if (this.dead) return;
    const child = this.#living();
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  pause(): void {
    this.#living().kill('SIGSTOP');
  }

  goOn(): void {
    this.#words = '';
    this.#living().kill('SIGCONT');
  }

  /** SIGTERM; resolves to its exit code. */
  async terminate(): Promise<number | null> {
    const child = this.#living();
    const exit = once(child, 'exit', { signal: AbortSignal.timeout(20_000) });
    child.kill('SIGTERM');
    const [code] = await exit;
    return code as number | null;
  }

  #living(): ChildProcess {
    if (this.#child === undefined) throw new Error('not started');
    return this.#child;
  }
}
