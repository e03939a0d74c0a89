import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Simulated, startSimulated } from '../../adapters/simulated.ts';
import { loadSimulators } from '../../adapters/simulators.ts';
import { loadSettings } from '../../config/load.ts';
import { Client, demoApp } from '../../console/client.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Mood } from '../../contracts/ports/simulator.ts';
import type { CaseSeen, EnvelopeSeen } from '../support/follow.ts';
import { freePort, until } from '../support/world.ts';
import type { FromChild, KillPoint, ToChild } from './killable.ts';

const KILLABLE = fileURLToPath(new URL('killable.ts', import.meta.url));

/** Impatient, so that a hundred kills heal in minutes; attempts are not what is tested here. */
const HASTE: JsonObject = {
  deadlineMs: 1_500,
  attempts: 20,
  backoffMs: { first: 50, max: 300 },
  breaker: { failures: 5, windowMs: 5_000, openMs: 300 },
  askAfterMs: [150, 250],
};

/** A submission and what came of it. `caseNo` undefined: its answer was lost with the process. */
export interface Matter {
  readonly submission: JsonObject;
  readonly caseNo: string | undefined;
}

/** What must never be, counted. */
export interface Damage {
  readonly lost: readonly string[];
  readonly doubled: readonly string[];
  readonly outOfOrder: readonly string[];
  readonly stuck: readonly string[];
}

const ENDED: readonly string[] = ['DONE', 'REJECTED', 'SKIPPED'];

/** Simulated departments in this process, and a gateway that may die at any time in another, always over the same data. */
export class Hall {
  readonly simulated: Simulated;
  readonly window: Client;
  readonly operator: Client;
  /** Whose envelopes were inquired about, since the last start. */
  inquired: string[] = [];
  /** ERROR lines of all the gateways there were. */
  readonly rang: string[] = [];
  released = 0;
  readonly #folder: string;
  #child: ChildProcess | undefined;

  private constructor(folder: string, port: number, simulated: Simulated) {
    this.#folder = folder;
    this.simulated = simulated;
    const url = `http://127.0.0.1:${port}`;
    this.window = new Client(url, demoApp('window-demo'));
    this.operator = new Client(url, demoApp('operator-demo'));
  }

  static async open(): Promise<Hall> {
    const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-kill-'));
    const port = await freePort();
    const gateway = `http://127.0.0.1:${port}`;
    const simulated = await startSimulated(await loadSimulators(), { gateway, decideAfterMs: 40, terms: HASTE });
    const loaded = await loadSettings({ DATA_DIR: folder, PORT: String(port) }, ['--demo']);
    const settings = {
      ...loaded,
      parties: simulated.parties,
      rate: { perMinute: 0 },
      logLevel: 'error',
      delivery: { ...loaded.delivery, sweepMs: 200, askSweepMs: 300 },
    };
    await writeFile(path.join(folder, 'settings.json'), JSON.stringify(settings));
    const hall = new Hall(folder, port, simulated);
    try {
      await hall.start();
      return hall;
    } catch (error) {
      await hall.close();
      throw error;
    }
  }

  async start(): Promise<void> {
    this.inquired = [];
    const child = fork(KILLABLE, [path.join(this.#folder, 'settings.json')], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // The second start and all after it need not compile what the first one has.
      env: { NODE_COMPILE_CACHE: path.join(tmpdir(), 'onewindow-compiled') },
    });
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => this.rang.push(...text.split('\n').filter(Boolean)));
    let words = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      words += text;
    });
    child.on('message', (message: FromChild) => {
      if (message.said === 'inquired') this.inquired.push(message.party);
    });
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('exit', (code) => reject(new Error(`the gateway did not start (${code}): ${words}`)));
    });
  }

  get dead(): boolean {
    return this.#child?.exitCode !== null || this.#child.signalCode !== null;
  }

  async arm(point: KillPoint | null): Promise<void> {
    const child = this.#child;
    if (child === undefined) throw new Error('not started');
    const armed = once(child, 'message', { signal: AbortSignal.timeout(5_000) });
    child.send({ arm: point } satisfies ToChild);
    await armed;
  }

  /** SIGTERM; resolves to its exit code. */
  async terminate(): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) throw new Error('not started');
    const exit = once(child, 'exit', { signal: AbortSignal.timeout(20_000) });
    child.kill('SIGTERM');
    const [code] = await exit;
    return code as number | null;
  }

  async mood(parties: readonly string[], mood: Mood): Promise<void> {
    await Promise.all(parties.map((party) => this.simulated.simulators.get(party)?.mood(mood)));
  }

  get parties(): readonly string[] {
    return [...this.simulated.simulators.keys()];
  }

  /** Submits, whether or not an answer comes. */
  async submit(submission: JsonObject): Promise<Matter> {
    try {
      const { status, body } = await this.window.post<CaseSeen>('/v1/cases', submission);
      return { submission, caseNo: status === 202 || status === 200 ? body.caseNo : undefined };
    } catch {
      return { submission, caseNo: undefined };
    }
  }

  async look(caseNo: string): Promise<CaseSeen | undefined> {
    try {
      const { status, body } = await this.window.get<CaseSeen>(`/v1/cases/${caseNo}`);
      return status === 200 ? body : undefined;
    } catch {
      return undefined;
    }
  }

  /** Dead, or nothing left to die of. */
  async diesOrEnds(matters: readonly Matter[], ms: number): Promise<'died' | 'lived'> {
    const end = Date.now() + ms;
    while (Date.now() < end) {
      if (this.dead) return 'died';
      const settled = await Promise.all(matters.map(({ caseNo }) => caseNo !== undefined && this.#settled(caseNo)));
      if (settled.every(Boolean)) return this.dead ? 'died' : 'lived';
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return this.dead ? 'died' : 'lived';
  }

  /** The case has ended, or a person has to look at it, and the window has been told all there is to tell. */
  async #settled(caseNo: string): Promise<boolean> {
    const view = await this.look(caseNo);
    if (view === undefined) return false;
    if (view.steps.some(({ state }) => state === 'PARKED' || state === 'CORRECTING')) return true;
    return view.decision !== null && view.steps.every(({ state }) => ENDED.includes(state)) && this.#heard(caseNo);
  }

  #heard(caseNo: string): boolean {
    return this.#notices(caseNo).some(({ what }) => what === 'case.result@1');
  }

  #notices(caseNo: string) {
    return (this.simulated.simulators.get('window')?.filed() ?? []).filter(({ key }) => key.startsWith(`${caseNo}-W`));
  }

  /** With everybody well again: submits anew what has no answer, sees every case to its end, and counts what must not be. */
  async heal(matters: readonly Matter[]): Promise<Damage> {
    const lost: string[] = [];
    const doubled: string[] = [];
    const outOfOrder: string[] = [];
    const stuck: string[] = [];
    const see = async ({ submission, caseNo }: Matter): Promise<void> => {
      // A certificate's source may rest for a moment still: then it is 422, try again later.
      const again = await until(
        async () => {
          const answer = await this.window.post<CaseSeen>('/v1/cases', submission);
          return answer.status < 300 ? answer : undefined;
        },
        10_000,
        'to be accepted anew',
      );
      const now = again.body.caseNo;
      if (caseNo !== undefined && (again.status !== 200 || now !== caseNo)) lost.push(caseNo);
      const listed = await this.window.get<{ rows: { caseNo: string }[] }>(
        `/v1/cases?applicationNo=${String(submission.applicationNo)}`,
      );
      if (listed.body.rows.length !== 1) doubled.push(`${String(submission.applicationNo)}: ${again.status}`);
      try {
        await until(() => this.#seeTo(now), 12_000, now);
      } catch {
        const view = await this.look(now);
        const states = view?.steps.map(({ no, state }) => `${no} ${state}`).join(', ');
        stuck.push(`${now}: ${view?.state ?? 'not to be seen'}: ${states}: ${(await this.#open(now)).join(' ')}`);
        return;
      }
      const view = await this.look(now);
      for (const step of view?.steps ?? []) {
        const book = this.simulated.simulators.get(step.party)?.filed() ?? [];
        for (let revision = 1; revision <= step.revision; revision += 1) {
          const key = `${now}-${step.no}${revision === 1 ? '' : `.${revision}`}`;
          const times = book.filter((one) => one.key === key).length;
          if (times > 1) doubled.push(`${key}: ${times} times in the book`);
          else if (times === 0 && (step.state === 'DONE' || revision < step.revision)) lost.push(`${key}: in no book`);
        }
      }
      const came = this.#notices(now).map(({ key }) => Number(key.slice(key.indexOf('-W') + 2)));
      if (came.some((sequence, at) => sequence !== at + 1)) outOfOrder.push(`${now}: ${came.join(' ')}`);
    };
    await Promise.all(matters.map(see));
    return { lost, doubled, outOfOrder, stuck };
  }

  /** True when the case has ended and the window has all its messages; a person releases what is parked. */
  async #seeTo(caseNo: string): Promise<true | undefined> {
    for (const { id, state, reason } of await this.#envelopes(caseNo)) {
      if (state !== 'parked') continue;
      if (reason === null) throw new Error(`${id} is parked without a reason`);
      const { status } = await this.operator.post(`/v1/envelopes/${id}/release`, {});
      if (status === 200) this.released += 1;
    }
    const view = await this.look(caseNo);
    if (view?.decision == null || view.steps.some(({ state }) => !ENDED.includes(state))) return undefined;
    return this.#heard(caseNo) && (await this.#open(caseNo)).length === 0 ? true : undefined;
  }

  async #envelopes(caseNo: string): Promise<readonly EnvelopeSeen[]> {
    const { body } = await this.operator.get<{ rows: EnvelopeSeen[] }>(`/v1/envelopes?caseNo=${caseNo}&limit=100`);
    return body.rows;
  }

  async #open(caseNo: string): Promise<readonly string[]> {
    const rows = await this.#envelopes(caseNo);
    return rows
      .filter(({ state }) => state === 'waiting' || state === 'leased' || state === 'parked')
      .map(({ id, state }) => `${id} ${state}`);
  }

  async close(): Promise<void> {
    const child = this.#child;
    if (child !== undefined && !this.dead) {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    }
    await this.simulated.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
