import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';
import { setTimeout as rest } from 'node:timers/promises';
import type { JsonObject, Millis } from '../../contracts/ports/envelope.ts';
import before from '../conformance/released/before.json' with { type: 'json' };
import { Balancer } from '../support/balancer.ts';
import { begun, type Engines, lacking, nameOf } from '../support/engines.ts';
import type { CaseSeen, DepartmentSeen, EnvelopeSeen, ProblemSeen } from '../support/follow.ts';
import { birth, deedTax, flexibleEmployment, houseTransfer } from '../support/submissions.ts';
import { until } from '../support/world.ts';
import { type After, Books, type Damage } from './books.ts';
import { Cluster } from './cluster.ts';
import { type OtherProgram, programAt } from './other-program.ts';
import { Window } from './window.ts';

/** Cases of each part: the old node by itself, while the new one starts, with both, while the old one leaves, and with the new one by itself. */
const CASES = { old: 10, starting: 6, both: 24, leaving: 10, alone: 6 };
const COUNTERS = 4;
const HEAL_MS = 120_000;
const ENDED: readonly string[] = ['DONE', 'REJECTED', 'SKIPPED'];
const WITH_BROKER: Engines = { store: 'PostgreSQL', bus: 'RabbitMQ' };
const WITHOUT_BROKER: Engines = { store: 'PostgreSQL', bus: 'in-process bus' };

/** How the node of the version before leaves. */
const ENDINGS = [
  { ending: 'stopped', engines: WITH_BROKER },
  { ending: 'killed while it holds leases', engines: WITHOUT_BROKER },
] as const;
type Ending = (typeof ENDINGS)[number]['ending'];

const program = await programAt(before);
after(() => ('missing' in program ? undefined : program.remove()));

describe('upgraded with nodes running: one of the version before and one of this on one database, under load', () => {
  for (const { ending, engines } of ENDINGS)
    test(`the old one is ${ending}: lost 0, doubled 0, out of order 0, stuck 0 (${nameOf(engines)})`, {
      timeout: 300_000,
    }, async (t) => {
      if ('missing' in program) return t.skip(program.missing);
      const skip = await lacking(engines);
      if (skip !== false) return t.skip(skip);
      await upgraded(t, program, engines, ending);
    });
});

async function upgraded(t: TestContext, old: OtherProgram, engines: Engines, ending: Ending): Promise<void> {
  const { over, end } = await begun(engines);
  const { databaseUrl = '', amqpUrl, bus } = over;
  const balancer = await Balancer.open();
  let cluster: Cluster | undefined;
  t.after(async () => {
    await cluster?.close();
    await balancer.close();
    await end(cluster?.simulated.simulators.keys() ?? []);
  });
  const seat = { databaseUrl, ...(amqpUrl !== undefined && { amqpUrl }) };
  cluster = await Cluster.open(
    [
      { ...seat, program: old },
      { ...seat, later: true },
    ],
    {
      gateway: balancer.url,
      over: bus === undefined ? {} : { bus },
    },
  );
  const upgrade = new Upgrade(cluster, balancer);
  await upgrade.through(ending);
  const damage = await upgrade.healed();
  t.diagnostic(upgrade.summary);
  assert.deepEqual(damage, { lost: [], doubled: [], outOfOrder: [], stuck: [] });
  assert.deepEqual(upgrade.window.strange, [], 'answers that no window should get');
  assert.deepEqual(upgrade.strangeErrors(), [], 'errors that nothing here explains');
  assert.ok(upgrade.corrected >= 3, `${upgrade.corrected} corrections`);
  assert.ok(upgrade.withdrawn >= 3, `${upgrade.withdrawn} withdrawals`);
}

class Upgrade {
  readonly window: Window;
  corrected = 0;
  withdrawn = 0;
  released = 0;
  readonly #cluster: Cluster;
  readonly #balancer: Balancer;
  readonly #began: Millis = Date.now();
  /** Nodes that a window may ask. */
  #up: readonly number[] = [0];
  #turn = 0;
  #submitted = 0;

  constructor(cluster: Cluster, balancer: Balancer) {
    this.#cluster = cluster;
    this.#balancer = balancer;
    this.window = new Window(cluster.nodes.map(({ url }) => url));
    this.#serve(0);
  }

  async through(ending: Ending): Promise<void> {
    const { mood } = this.#moods;
    const [old, next] = [this.#cluster.node(0), this.#cluster.node(1)];
    await mood(['tax'], 'forgetful');
    await mood(['social-security'], 'absent');
    await this.#submit(CASES.old);
    // It brings up the schema while the other takes cases.
    await Promise.all([this.#submit(CASES.starting), next.start()]);
    this.#serve(0, 1);
    await mood(['tax', 'social-security'], 'well');
    await this.#whileAsking(async () => {
      await this.#submit(CASES.both / 2);
      await this.#withdraw(2);
    });
    await mood(['tax', 'real-estate', 'window'], 'forgetful');
    await this.#submit(CASES.both / 2);
    await this.#withdraw(1);
    if (ending !== 'stopped') await old.arm({ port: 'adapter', method: 'deliver', when: 'before', nth: 3 });
    const submitting = this.#submit(CASES.leaving);
    if (ending === 'stopped') assert.equal(await old.terminate(), 0);
    else await until(() => old.dead || undefined, 60_000, 'the end of the old node');
    this.#serve(1);
    await submitting;
    await mood(['tax', 'real-estate', 'window'], 'well');
    await this.#submit(CASES.alone);
  }

  /** A person releases what is parked, a clerk supplies what is asked for, and the new node sees every case to its end. */
  async healed(): Promise<Damage> {
    // What is not quiet by then is told as stuck, case by case.
    await until(async () => (await this.#quiet()) || undefined, HEAL_MS).catch(() => {});
    return this.#compared();
  }

  get summary(): string {
    return (
      `${this.window.acknowledged.length} cases acknowledged, ${this.window.again} submissions sent again, ${this.corrected} corrected, ${this.withdrawn} withdrawn, ` +
      `${this.released} released by a person; ${Math.round((Date.now() - this.#began) / 1_000)} s`
    );
  }

  /** Without those that are right: the version before gives up after some attempts; a department may have what was withdrawn while it was under way. */
  strangeErrors(): readonly string[] {
    return this.#cluster.nodes.flatMap(({ lines }, at) =>
      lines.filter((text) => {
        const { level, message = '', reason = '' } = JSON.parse(text) as Readonly<Record<string, string>>;
        const gaveUp = at === 0 && message.startsWith('parked') && reason.includes('attempts failed');
        return level === 'error' && !gaveUp && !message.startsWith('a party has what was withdrawn');
      }),
    );
  }

  get #moods() {
    const { simulators } = this.#cluster.simulated;
    return {
      mood: this.#cluster.mood.bind(this.#cluster),
      pull: (lever: string, value: string) => simulators.get('tax')?.pull?.(lever, value),
    };
  }

  #serve(...nodes: readonly number[]): void {
    this.#up = nodes;
    this.#balancer.before(nodes.map((at) => this.#cluster.node(at).url));
  }

  /** By turns. */
  #client() {
    this.#turn += 1;
    return this.#cluster.window(this.#up[this.#turn % this.#up.length]);
  }

  async #submit(many: number): Promise<void> {
    const until = this.#submitted + many;
    const counter = async (): Promise<void> => {
      while (this.#submitted < until) {
        this.#submitted += 1;
        await this.window.submit(
          [houseTransfer, birth, flexibleEmployment, deedTax][this.#submitted % 4]?.() ?? deedTax(),
        );
      }
    };
    await Promise.all(Array.from({ length: COUNTERS }, counter));
  }

  /** The tax office wants something else of everybody meanwhile. */
  async #whileAsking(work: () => Promise<void>): Promise<void> {
    const { pull } = this.#moods;
    await pull('decide', 'correct');
    await work();
    await until(async () => (await this.#cases('CORRECTING')).length >= 3 || undefined, 30_000, 'corrections');
    await pull('decide', 'paid');
    await this.#supply();
  }

  /** Two clerks at the same moment, each at a node of his own: one of them is told that it is done. */
  async #supply(): Promise<void> {
    for (const { caseNo } of await this.#cases('CORRECTING')) {
      const { submission } = this.window.acknowledged.find((one) => one.caseNo === caseNo) ?? assert.fail(caseNo);
      const supply = async (contractNo: string) => {
        const form = { ...(submission.form as JsonObject), contractNo };
        const { status, body } = await this.#client().post<ProblemSeen>(`/v1/cases/${caseNo}/corrections`, { form });
        const tooLate = status === 409 && ['notCorrecting', 'changedMeanwhile'].includes(body.code);
        if (status !== 200 && !tooLate) assert.fail(`${caseNo}: ${status} ${JSON.stringify(body)}`);
        return status === 200;
      };
      const done = await Promise.all(['SYFC2026110077', 'SYFC2026110078'].map(supply));
      if (done.includes(true)) this.corrected += 1;
    }
  }

  /** So many applicants withdraw what is not decided yet. */
  async #withdraw(most: number): Promise<void> {
    const before = this.withdrawn;
    for (const { caseNo } of (await this.#cases()).filter(({ decision }) => decision === null)) {
      if (this.withdrawn - before === most) return;
      const path = `/v1/cases/${caseNo}/withdrawal`;
      const { status, body } = await this.#client().post<ProblemSeen>(path, { reason: '改日再办' });
      if (status === 200) this.withdrawn += 1;
      else assert.equal(body.code, 'alreadyDecided', JSON.stringify(body));
    }
  }

  async #quiet(): Promise<boolean> {
    const operator = this.#cluster.operator(1);
    const { body } = await operator.get<{ rows: readonly EnvelopeSeen[] }>('/v1/envelopes?state=parked&limit=100');
    for (const { id } of body.rows)
      if ((await operator.post(`/v1/envelopes/${id}/release`, {})).status === 200) this.released += 1;
    await this.#supply();
    const { rows } = (await operator.get<{ rows: readonly DepartmentSeen[] }>('/v1/departments')).body;
    if (!rows.every(({ lane }) => lane.waiting + lane.inFlight + lane.parked === 0)) {
      await rest(250);
      return false;
    }
    const cases = await this.#cases();
    return cases.every(({ decision, steps }) => decision !== null && steps.every(({ state }) => ENDED.includes(state)));
  }

  async #compared(): Promise<Damage> {
    const damage: Damage = { lost: [], doubled: [], outOfOrder: [], stuck: [] };
    const [cases, after] = [await this.#cases(), await this.#after()];
    const books = new Books(this.#cluster.simulated.simulators);
    const known = new Set(this.window.acknowledged.map(({ caseNo }) => caseNo));
    const listed = new Map(cases.map((one) => [one.caseNo, one]));
    for (const { caseNo } of this.window.acknowledged) {
      const one = listed.get(caseNo);
      if (one === undefined) {
        damage.lost.push(`${caseNo}: acknowledged, and not there`);
        continue;
      }
      books.compare(one, damage, after.get(one.itemCode));
      const open = one.steps.filter(({ state }) => !ENDED.includes(state));
      if (one.decision === null || open.length > 0)
        damage.stuck.push(
          `${caseNo}: ${one.state}: ${one.steps.map(({ no, party, state }) => `${no} ${party} ${state}`)}`,
        );
    }
    const operator = this.#cluster.operator(1);
    for (const state of ['waiting', 'leased', 'parked']) {
      const { body } = await operator.get<{ rows: readonly EnvelopeSeen[] }>(`/v1/envelopes?state=${state}&limit=100`);
      damage.stuck.push(...body.rows.map(({ id, reason }) => `${id} ${state} ${reason?.en ?? ''}`));
    }
    for (const { caseNo } of cases) if (!known.has(caseNo)) damage.doubled.push(`${caseNo}: nobody was told of it`);
    for (const caseNo of books.cases) if (!known.has(caseNo)) damage.doubled.push(`${caseNo}: in a book, of no case`);
    return damage;
  }

  async #cases(state?: string): Promise<readonly (CaseSeen & { readonly itemCode: string })[]> {
    const all: (CaseSeen & { readonly itemCode: string })[] = [];
    const first = `/v1/cases?limit=100${state === undefined ? '' : `&state=${state}`}`;
    for (let page = first; ; ) {
      const { status, body } = await this.#client().get<{ rows: typeof all; next: string | null }>(page);
      assert.equal(status, 200, JSON.stringify(body));
      all.push(...body.rows);
      if (body.next === null) return all;
      page = `${first}&cursor=${encodeURIComponent(body.next)}`;
    }
  }

  /** What may begin only after what, by item. */
  async #after(): Promise<ReadonlyMap<string, After>> {
    const { rows } = (await this.#client().get<{ rows: readonly { code: string }[] }>('/v1/items')).body;
    const items = await Promise.all(
      rows.map(async ({ code }) => {
        const { body } = await this.#client().get<{
          route: readonly { readonly no: string; readonly after: readonly string[] }[];
        }>(`/v1/items/${code}`);
        return [code, new Map(body.route.map(({ no, after }) => [no, after]))] as const;
      }),
    );
    return new Map(items);
  }
}
