import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import type { JsonObject, Reason, Words } from '../../contracts/ports/envelope.ts';
import type { Filing, Mood } from '../../contracts/ports/simulator.ts';
import { until, type World } from './world.ts';

export interface StepSeen {
  readonly no: string;
  readonly party: string;
  readonly state: string;
  readonly revision: number;
  readonly number: string | null;
  readonly result: JsonObject | null;
  readonly reason: Reason | null;
  readonly resumesAt: string | null;
}

/** A case as the window sees it. */
export interface CaseSeen {
  readonly caseNo: string;
  readonly state: string;
  readonly held: boolean;
  readonly seenBefore?: boolean;
  readonly decision: { readonly outcome: string; readonly by: string | null; readonly reason: Reason | null } | null;
  readonly steps: readonly StepSeen[];
}

export interface EnvelopeSeen {
  readonly id: string;
  readonly stepNo: string | null;
  readonly to: string;
  readonly state: string;
  readonly attempts: number;
  readonly inDoubt: boolean;
  readonly number: string | null;
  readonly fault: string | null;
  readonly reason: Reason | null;
}

export interface DepartmentSeen {
  readonly party: string;
  readonly breakers: Record<'deliver' | 'query' | 'certificates', { readonly state: string }>;
  readonly lane: {
    readonly waiting: number;
    readonly inFlight: number;
    readonly parked: number;
    readonly unmatched: number;
  };
  readonly paused: { readonly by: string; readonly reason: string } | null;
  readonly closed: { readonly now: boolean; readonly opensAt: string | null };
  readonly quota: { readonly calls: number; readonly used: number } | null;
  readonly lastSuccess: string | null;
}

export interface ProblemSeen extends Words {
  readonly code: string;
  readonly requestId?: string;
  readonly problems?: readonly (Words & { readonly pointer: string; readonly code: string })[];
}

const ENDED: readonly string[] = ['DONE', 'REJECTED', 'SKIPPED'];

/** What a clerk, and a tester, does with cases: submits them, waits for them, reads what the window was told. */
export class Follower {
  readonly world: World;
  readonly #names = new Set<string>();

  constructor(world: World) {
    this.world = world;
  }

  /** A 202, and its case number. */
  async submit(submission: JsonObject): Promise<string> {
    this.#remember(submission);
    const { status, body } = await this.world.window.post<CaseSeen>('/v1/cases', submission);
    assert.equal(status, 202, JSON.stringify(body));
    return body.caseNo;
  }

  async look(caseNo: string): Promise<CaseSeen> {
    const { status, body } = await this.world.window.get<CaseSeen>(`/v1/cases/${caseNo}`);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  }

  async step(caseNo: string, no: string): Promise<StepSeen> {
    return stepOf(await this.look(caseNo), no);
  }

  /** Waits until a step is in one of these states. */
  async reaches(caseNo: string, no: string, states: string | readonly string[], ms = 60_000): Promise<StepSeen> {
    const wanted = [states].flat();
    return this.#seen(caseNo, ms, `${caseNo}-${no} in ${wanted.join('/')}`, (view) => {
      const step = stepOf(view, no);
      return wanted.includes(step.state) ? step : undefined;
    });
  }

  /** Waits until every step has ended and the window has the result. */
  async ends(caseNo: string, ms = 60_000): Promise<CaseSeen> {
    const view = await this.#seen(caseNo, ms, `the end of ${caseNo}`, (seen) =>
      seen.decision !== null && seen.steps.every(({ state }) => ENDED.includes(state)) ? seen : undefined,
    );
    await this.told(caseNo, 'case.result@1', ms);
    return view;
  }

  /** What the window has in its book of this case, in the order in which it came. */
  notices(caseNo: string): readonly Filing[] {
    return this.world.book('window').filter(({ key }) => key.startsWith(`${caseNo}-W`));
  }

  /** Waits for a notice; `such` picks one of several of a contract. */
  told(caseNo: string, contract: string, ms = 60_000, such: (notice: JsonObject) => boolean = () => true) {
    return until(
      () =>
        this.notices(caseNo).find(({ what, content }) => what === contract && such(content as JsonObject))
          ?.content as JsonObject,
      ms,
      `${contract} of ${caseNo} at the window`,
    );
  }

  /** Waits for the progress of a step in a state at the window. */
  progress(caseNo: string, no: string, state: string) {
    return this.told(caseNo, 'case.progress@1', 60_000, ({ step }) => {
      const told = step as JsonObject;
      return told.no === no && told.state === state;
    });
  }

  /** W1, W2 … as they came, none missing and none twice. */
  inOrder(caseNo: string): void {
    const came = this.notices(caseNo).map(({ key }) => key.slice(key.indexOf('-W') + 2));
    assert.deepEqual(
      came,
      came.map((_, at) => String(at + 1)),
      `the notices of ${caseNo} came as ${came.join(' ')}`,
    );
  }

  /** Keys of a case in a party's book. */
  filed(party: string, caseNo: string): readonly string[] {
    return this.world
      .book(party)
      .filter(({ key }) => key.startsWith(caseNo))
      .map(({ key }) => key);
  }

  mood(party: string, mood: Mood): Promise<void> {
    return this.world.simulator(party).mood(mood);
  }

  async lever(party: string, lever: string, value: JsonObject[string]): Promise<void> {
    await this.world.simulator(party).pull?.(lever, value);
  }

  /** What a department has in its book under this key. */
  content(party: string, key: string): JsonObject {
    const filing = this.world.book(party).find((one) => one.key === key);
    assert.ok(filing !== undefined, `${key} is not in the book of ${party}`);
    return filing.content as JsonObject;
  }

  async envelopes(query: string): Promise<readonly EnvelopeSeen[]> {
    return (await this.world.operator.get<{ rows: EnvelopeSeen[] }>(`/v1/envelopes?limit=100&${query}`)).body.rows;
  }

  async department(party: string): Promise<DepartmentSeen> {
    return (await this.world.operator.get<DepartmentSeen>(`/v1/departments/${party}`)).body;
  }

  async timeline(caseNo: string): Promise<readonly { kind: string; stepNo: string | null; detail: JsonObject }[]> {
    const { body } = await this.world.window.get<{
      rows: { kind: string; stepNo: string | null; detail: JsonObject }[];
    }>(`/v1/cases/${caseNo}/timeline?limit=100`);
    return body.rows;
  }

  /** No department has anything twice. */
  onceEach(): void {
    for (const party of this.world.simulated.simulators.keys()) {
      const keys = this.world.book(party).map(({ key }) => key);
      assert.deepEqual(
        keys.filter((key, at) => keys.indexOf(key) !== at),
        [],
        `in the book of ${party} twice`,
      );
    }
  }

  /** Errors ring: each one in the log must be one that this file caused. */
  rang(...expected: readonly RegExp[]): void {
    const errors = this.world.log.filter(({ level }) => level === 'error');
    const strange = errors.filter(({ message }) => !expected.some((one) => one.test(message)));
    assert.deepEqual(strange, [], 'errors nobody expected');
  }

  /** No name and no number of anybody who was in a submission stands in any log line. */
  nobodyInTheLog(): void {
    const lines = inspect(this.world.log, { depth: 12, maxArrayLength: null, maxStringLength: null });
    this.nobodyIn(lines, 'the log');
  }

  /** Of those whose cases were submitted. */
  nobodyIn(text: string, what: string): void {
    assert.ok(this.#names.size > 0);
    assert.deepEqual(
      [...this.#names].filter((name) => text.includes(name)),
      [],
      `personal values in ${what}`,
    );
  }

  #remember(value: JsonObject[string] | undefined): void {
    if (Array.isArray(value)) value.forEach((one) => void this.#remember(one));
    else if (value !== null && typeof value === 'object') {
      const { name, idNo, mobile, accountNo } = value;
      // A material has a name as well, and is nobody.
      if (idNo !== undefined || value.birth !== undefined)
        for (const one of [name, idNo, mobile]) if (typeof one === 'string') this.#names.add(one);
      if (typeof accountNo === 'string') this.#names.add(accountNo);
      for (const one of Object.values(value)) this.#remember(one);
    }
  }

  async #seen<T>(caseNo: string, ms: number, what: string, pick: (view: CaseSeen) => T | undefined): Promise<T> {
    let last: CaseSeen | undefined;
    try {
      return await until(
        async () => {
          last = await this.look(caseNo);
          return pick(last);
        },
        ms,
        what,
      );
    } catch (error) {
      const states = last?.steps.map(({ no, state, reason }) => `${no} ${state} ${reason?.en ?? ''}`).join(', ');
      throw new Error(`${error instanceof Error ? error.message : 'failed'}; it is ${last?.state}: ${states}`);
    }
  }
}

export function stepOf({ steps }: Pick<CaseSeen, 'steps'>, no: string): StepSeen {
  const step = steps.find((one) => one.no === no);
  assert.ok(step !== undefined, `no step ${no}`);
  return step;
}
