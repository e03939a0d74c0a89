import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Simulated, startSimulated } from '../../adapters/simulated.ts';
import { loadSimulators } from '../../adapters/simulators.ts';
import { loadSettings } from '../../config/load.ts';
import type { Settings } from '../../config/settings.ts';
import { Client, demoApp } from '../../console/client.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Mood } from '../../contracts/ports/simulator.ts';
import { BoundQueue, kindOf } from '../support/bound-queue.ts';
import { type Begun, begun, EMBEDDED, type Engines } from '../support/engines.ts';
import type { CaseSeen, EnvelopeSeen } from '../support/follow.ts';
import { freePort, until } from '../support/world.ts';
import { Books, type Damage } from './books.ts';
import { GatewayNode } from './gateway-node.ts';
import type { KillPoint } from './killable.ts';

/** Impatient, so that a hundred kills heal in minutes. */
export const HASTE: JsonObject = {
  deadlineMs: 1_500,
  backoffMs: { first: 50, max: 300 },
  breaker: { failures: 5, windowMs: 5_000, openMs: 300 },
  askAfterMs: [150, 250],
};

/** As the relay makes it of these terms: twice the deadline, and ten seconds. */
const LEASE_MS = 13_000;
/** Whoever comes after a node that was killed may have to wait until two leases in a row have run out. */
const HEAL_MS = 3 * LEASE_MS;

/** The right to publish of a node that was killed runs out, and what was told meanwhile is published. */
const EVENTS_MS = 45_000;

/** A submission and what came of it. `caseNo` undefined: its answer was lost with the process. */
export interface Matter {
  readonly submission: JsonObject;
  readonly caseNo: string | undefined;
}

const ENDED: readonly string[] = ['DONE', 'REJECTED', 'SKIPPED'];

/** Simulated departments in this process, and a gateway that may die at any time in another, always over the same data. */
export class Hall {
  readonly simulated: Simulated;
  readonly window: Client;
  readonly operator: Client;
  released = 0;
  readonly #folder: string;
  readonly #node: GatewayNode;
  readonly #engines: Begun;
  /** Of a department that wants to hear of everything; there is none without a broker. */
  #events: BoundQueue | undefined;
  readonly #seen = new Set<string>();

  private constructor(folder: string, node: GatewayNode, simulated: Simulated, engines: Begun) {
    this.#folder = folder;
    this.#node = node;
    this.#engines = engines;
    this.simulated = simulated;
    this.window = new Client(node.url, demoApp('window-demo'));
    this.operator = new Client(node.url, demoApp('operator-demo'));
  }

  static async open(engines: Engines = EMBEDDED): Promise<Hall> {
    const begunOn = await begun(engines);
    const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-kill-'));
    const port = await freePort();
    const gateway = `http://127.0.0.1:${port}`;
    const simulated = await startSimulated(await loadSimulators(), { gateway, decideAfterMs: 40, terms: HASTE });
    const loaded = await loadSettings({ DATA_DIR: folder, PORT: String(port) }, ['--demo']);
    const settings: Settings = {
      ...loaded,
      parties: simulated.parties,
      rate: { perMinute: 0 },
      logLevel: 'error',
      delivery: { ...loaded.delivery, leaseMs: LEASE_MS, sweepMs: 200, askSweepMs: 300 },
      ...begunOn.over,
    };
    const hall = new Hall(folder, await GatewayNode.of(settings), simulated, begunOn);
    try {
      await hall.start();
      await hall.#bind();
      return hall;
    } catch (error) {
      await hall.close();
      throw error;
    }
  }

  async #bind(): Promise<void> {
    const { amqpUrl, bus } = this.#engines.over;
    if (amqpUrl === undefined || bus === undefined) return;
    const names = { exchange: `${bus.prefix}.events`, queue: `${bus.prefix}.everything`, keys: ['#'] };
    this.#events = await BoundQueue.open(amqpUrl, names);
  }

  start(): Promise<void> {
    this.#node.heard.length = 0;
    return this.#node.start();
  }

  get dead(): boolean {
    return this.#node.dead;
  }

  /** On standard error, since the last start. */
  get words(): string {
    return this.#node.words;
  }

  arm(point: KillPoint | null): Promise<void> {
    return this.#node.arm(point);
  }

  terminate(): Promise<number | null> {
    return this.#node.terminate();
  }

  /** Whose envelopes were inquired about, since the last start. */
  get inquired(): readonly string[] {
    return this.#node.heard.flatMap((heard) => (heard.said === 'inquired' ? [heard.party] : []));
  }

  /** ERROR lines of all the gateways there were. */
  get rang(): readonly string[] {
    return this.#node.lines;
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
    const told = this.simulated.simulators.get('window')?.filed() ?? [];
    return told.some(({ key, what }) => what === 'case.result@1' && key.startsWith(`${caseNo}-W`));
  }

  /** With everybody well again: submits anew what has no answer, sees every case to its end, and counts what must not be. */
  async heal(matters: readonly Matter[]): Promise<Damage> {
    const damage: Damage = { lost: [], doubled: [], outOfOrder: [], stuck: [] };
    const { lost, doubled, stuck } = damage;
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
        await until(() => this.#seeTo(now), HEAL_MS, now);
      } catch {
        const view = await this.look(now);
        const states = view?.steps.map(({ no, state }) => `${no} ${state}`).join(', ');
        stuck.push(`${now}: ${view?.state ?? 'not to be seen'}: ${states}: ${(await this.#open(now)).join(' ')}`);
        return;
      }
      const view = await this.look(now);
      this.#seen.add(now);
      if (view === undefined) lost.push(now);
      else new Books(this.simulated.simulators).compare(view, damage);
    };
    await Promise.all(matters.map(see));
    return damage;
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

  /** The cases of which others did not hear in order, from their acceptance to their decision. */
  async unheard(): Promise<readonly string[]> {
    const events = this.#events;
    if (events === undefined) return [];
    const wrong = (caseNo: string): string | undefined => {
      const of = events.of(caseNo);
      const kinds = of.map(kindOf);
      const sequences = of.map(({ sequence = '' }) => sequence);
      if (kinds[0] !== 'case.accepted' || !kinds.includes('case.decided')) return `${caseNo}: ${kinds.join(', ')}`;
      return sequences.join() === sequences.toSorted().join() ? undefined : `${caseNo}: ${sequences.join(', ')}`;
    };
    const all = () => [...this.#seen].flatMap((caseNo) => wrong(caseNo) ?? []);
    await until(() => all().length === 0 || undefined, EVENTS_MS, 'all events').catch(() => {});
    return all();
  }

  async close(): Promise<void> {
    await this.#events?.close();
    await this.#node.kill();
    await this.simulated.stop();
    await this.#engines.end(this.parties);
    await rm(this.#folder, { recursive: true, force: true });
  }
}
