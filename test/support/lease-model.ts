import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Advance, CaseRecord, Step } from '../../contracts/ports/case.ts';
import type { EnvelopeState, Millis } from '../../contracts/ports/envelope.ts';
import type { Lease, MayBeSent, Store } from '../../contracts/ports/store.ts';
import type { HandClock } from './hand-clock.ts';
import { change, envelope, event, fault, HOLD, newCase, nothing, reason, stepIn } from './sample-case.ts';

/** The lane as a plain list: what the store does with indexes and places, said the slow and obvious way. */
interface Kept {
  readonly id: string;
  readonly of: KeptCase;
  /** None: it is for the window. */
  readonly stepNo: string | null;
  readonly revision: number;
  readonly lane: number;
  /** `unanswered`: delivered, and its answer could not be collected. */
  state: Exclude<EnvelopeState, 'leased'> | 'leased' | 'unanswered';
  notBefore: number;
  until: number;
  fence: number;
  /** Its lease was given to be begun, and nobody has. */
  unbegun: boolean;
  attempts: number;
  /** Since when. */
  doubt: Millis | null;
  firstSentAt: Millis | null;
  /** An answer is due of it. */
  due: boolean;
  /** The lease whose word still counts. */
  word: Lease | undefined;
}

interface KeptCase {
  readonly caseNo: string;
  readonly steps: Map<string, { revision: number; ended: boolean }>;
  held: boolean;
  withdrawn: boolean;
  /** What changes of its form have written into it. */
  readonly notes: string[];
  envelopes: number;
}

type Word =
  | { readonly do: 'deliver' | 'refuse' | 'return' | 'withhold'; readonly pick: number }
  | {
      readonly do: 'postpone';
      readonly pick: number;
      readonly ms: number;
      readonly costs: boolean;
      readonly doubt: boolean;
    }
  | { readonly do: 'park'; readonly pick: number; readonly doubt: boolean };

type Command =
  | Word
  | { readonly do: 'accept' | 'send'; readonly lanes: readonly number[]; readonly pick: number }
  | { readonly do: 'lease'; readonly lane: number; readonly limit: number; readonly toBegin: boolean }
  | { readonly do: 'begin'; readonly pick: number; readonly named: 'as it is' | 'of another lane' | 'of another fence' }
  | { readonly do: 'release' | 'cancel' | 'pause' | 'hold'; readonly pick: number }
  | { readonly do: 'withdraw' | 'changeTwice' | 'mayBeSent' | 'hear' | 'fail' | 'await'; readonly pick: number }
  | { readonly do: 'end' | 'revise'; readonly pick: number; readonly step: number }
  | { readonly do: 'settle'; readonly pick: number; readonly filed: boolean }
  | { readonly do: 'wait'; readonly ms: number };

const LANES = 2;
const LEASE_MS = 100;
const pick = fc.nat(50);
const lane = fc.nat(LANES - 1);
const ms = fc.integer({ min: 0, max: 120 });
const step = fc.nat(2);

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('lease' as const),
      lane,
      limit: fc.integer({ min: 0, max: 4 }),
      toBegin: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('begin' as const),
      pick,
      named: fc.constantFrom(...(['as it is', 'as it is', 'as it is', 'of another lane', 'of another fence'] as const)),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('accept' as const, 'send' as const),
      lanes: fc.array(lane, { minLength: 1, maxLength: 3 }),
      pick,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom(...(['deliver', 'refuse', 'return', 'withhold'] as const)), pick }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom(...(['release', 'cancel', 'pause', 'hold'] as const)), pick }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('postpone' as const), pick, ms, costs: fc.boolean(), doubt: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('park' as const), pick, doubt: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom(...(['withdraw', 'changeTwice'] as const)), pick }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom(...(['end', 'revise'] as const)), pick, step }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('settle' as const), pick, filed: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom(...(['mayBeSent', 'hear', 'fail', 'await'] as const)), pick }),
  },
);

/**
 * Plays random courses against the store and the list; lanes and cases are new for each course.
 * @param nodes stores over the same data, by turns; one where it is nobody else's
 */
export function leaseModel(
  nodes: readonly [Store, ...Store[]],
  clock: HandClock,
  fresh: (word: string) => string,
): Promise<void> {
  return fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 10, maxLength: 60 }), async (commands) => {
      await new Course(nodes, clock, fresh).play(commands);
    }),
    { numRuns: 120 },
  );
}

const isOpen = ({ state }: Kept): boolean => state === 'waiting' || state === 'leased' || state === 'parked';

/** It may not be sent any more. */
function isOver({ of, stepNo, revision }: Kept): boolean {
  if (stepNo === null) return false;
  const own = of.steps.get(stepNo);
  return of.withdrawn || own === undefined || own.ended || own.revision !== revision;
}

class Course {
  readonly #nodes: readonly [Store, ...Store[]];
  readonly #clock: HandClock;
  readonly #fresh: (word: string) => string;
  readonly #lanes: readonly string[];
  readonly #list: Kept[] = [];
  readonly #cases: KeptCase[] = [];
  readonly #paused = new Set<number>();
  /** Every lease ever given, the overtaken too. */
  readonly #leases: { readonly of: Kept; readonly lease: Lease }[] = [];
  #turn = 0;

  constructor(nodes: readonly [Store, ...Store[]], clock: HandClock, fresh: (word: string) => string) {
    this.#nodes = nodes;
    this.#clock = clock;
    this.#fresh = fresh;
    this.#lanes = Array.from({ length: LANES }, () => fresh('model'));
  }

  async play(commands: readonly Command[]): Promise<void> {
    for (const one of commands) {
      this.#turn += 1;
      await this.#obey(one);
    }
    for (const kept of this.#list) {
      const view = await this.#store.envelope(kept.id);
      const state = { unanswered: 'parked' }[kept.state as string] ?? kept.state;
      assert.deepEqual(
        [view?.state, view?.attempts, view?.inDoubt, view?.firstSentAt],
        [state, kept.attempts, kept.doubt !== null, kept.firstSentAt],
        kept.id,
      );
    }
    for (const { caseNo, notes } of this.#cases) {
      const record = await this.#store.caseOf(caseNo);
      assert.deepEqual(
        notes.filter((note) => record?.submission.form[note] !== 'yes'),
        [],
        `${caseNo} lost a change`,
      );
    }
  }

  get #store(): Store {
    return this.#nodes[this.#turn % this.#nodes.length] as Store;
  }

  async #obey(one: Command): Promise<void> {
    const store = this.#store;
    switch (one.do) {
      case 'wait':
        return this.#clock.move(one.ms);
      case 'accept':
        return this.#accept(one.lanes);
      case 'send': {
        const of = at(this.#cases, one.pick);
        if (of === undefined) return;
        const suffixes = one.lanes.map((_, i) => `W${of.envelopes + i + 1}`);
        const outbox = one.lanes.map((to, i) => envelope(of.caseNo, suffixes[i] ?? '', this.#lane(to)));
        await store.changed(of.caseNo, async () => change({ outbox }));
        for (const [i, to] of one.lanes.entries()) this.#keep(of, suffixes[i] ?? '', to);
        return;
      }
      case 'lease':
        return this.#lease(one.lane, one.limit, one.toBegin);
      case 'begin':
        return this.#begin(one);
      case 'pause': {
        const which = one.pick % LANES;
        if (this.#paused.delete(which)) return store.resumed(this.#lane(which), 'operator');
        this.#paused.add(which);
        return store.paused(this.#lane(which), 'operator', 'model');
      }
      case 'hold': {
        const of = at(this.#cases, one.pick);
        if (of === undefined) return;
        of.held = !of.held;
        assert.equal(await store.held(of.caseNo, of.held ? HOLD : null, nothing), true);
        return;
      }
      case 'release': {
        const kept = at(
          this.#list.filter(({ state }) => state === 'parked' || state === 'unanswered'),
          one.pick,
        );
        if (kept === undefined) return;
        assert.equal(await store.released(kept.id, () => nothing), 'released');
        Object.assign(kept, kept.state === 'parked' ? { state: 'waiting', notBefore: 0 } : { state: 'delivered' });
        return;
      }
      case 'cancel': {
        const kept = at(this.#list, one.pick);
        if (kept === undefined) return;
        const may = ['waiting', 'parked', 'unanswered'].includes(kept.state);
        assert.equal(await store.cancelled(kept.id, () => nothing), may ? 'cancelled' : 'tooLate');
        if (may) Object.assign(kept, { state: 'cancelled', due: false, word: undefined });
        return;
      }
      case 'withdraw': {
        const of = at(this.#cases, one.pick);
        if (of === undefined || of.withdrawn) return;
        await store.changed(of.caseNo, withdrawn);
        of.withdrawn = true;
        for (const [no, { ended }] of of.steps) if (!ended) this.#end(of, no, 'SKIPPED');
        return;
      }
      case 'end': {
        const [of, no] = this.#step(one);
        if (of === undefined || no === undefined) return;
        await store.changed(of.caseNo, async (record) => change({ steps: [stepIn(record, no, 'DONE')] }));
        this.#end(of, no, 'DONE');
        return;
      }
      case 'revise':
        return this.#revise(one);
      case 'changeTwice':
        return this.#changeTwice(one.pick);
      case 'settle': {
        const kept = this.#mostly(this.#list, ({ doubt }) => doubt !== null, one.pick);
        if (kept === undefined) return;
        const may = kept.doubt !== null && ['waiting', 'parked', 'cancelled'].includes(kept.state);
        const receipt = one.filed ? { number: null, duplicate: false } : null;
        const outcome = await store.settled(kept.id, receipt, this.#clock.now(), () => nothing);
        assert.equal(outcome, may ? 'settled' : 'notInDoubt', kept.id);
        if (!may) return;
        const over = kept.state === 'cancelled' || isOver(kept);
        const state = one.filed ? 'delivered' : over ? 'cancelled' : 'waiting';
        const due = one.filed && this.#goesOn(kept);
        Object.assign(kept, { state, doubt: null, due, word: undefined, notBefore: 0 });
        return;
      }
      case 'mayBeSent':
        return this.#mayBeSent(one.pick);
      case 'hear': {
        const kept = at(this.#list, one.pick);
        if (kept === undefined) return;
        const answer = { outcome: 'progress' as const, reason: reason('seen') };
        const said = {
          from: this.#lane(kept.lane),
          about: { key: kept.id },
          dedupe: this.#fresh('word'),
          at: 1,
          answer,
        };
        assert.equal(await store.collected(said, () => nothing), 'applied');
        const { state } = kept;
        if (state === 'waiting' || state === 'parked' || state === 'unanswered')
          Object.assign(kept, { state: 'delivered', doubt: null, word: undefined });
        else if (state === 'cancelled')
          Object.assign(kept, { doubt: kept.doubt ?? this.#clock.now(), word: undefined });
        return;
      }
      case 'fail': {
        const kept = at(this.#list, one.pick);
        if (kept === undefined) return;
        const may = kept.state === 'delivered' && kept.due;
        assert.equal(await store.answerFailed(kept.id, fault('malformed'), () => nothing), may, kept.id);
        if (may) kept.state = 'unanswered';
        return;
      }
      case 'await': {
        const kept = at(this.#list, one.pick);
        if (kept === undefined) return;
        const may = kept.state === 'unanswered';
        assert.equal(await store.answerAwaited(kept.id, () => nothing), may, kept.id);
        if (may) kept.state = 'delivered';
        return;
      }
      default:
        return this.#word(one);
    }
  }

  async #accept(lanes: readonly number[]): Promise<void> {
    const suffixes = lanes.map((_, i) => `0${i + 1}`);
    const sends = lanes.map((to, i) => [suffixes[i] ?? '', this.#lane(to)] as const);
    const parties = lanes.map((to) => this.#lane(to));
    const { record } = await this.#store.accept(newCase({ applicationNo: this.#fresh('M'), parties, sends }));
    const of: KeptCase = {
      caseNo: record.caseNo,
      steps: new Map(suffixes.map((no) => [no, { revision: 1, ended: false }])),
      held: false,
      withdrawn: false,
      notes: [],
      envelopes: 0,
    };
    this.#cases.push(of);
    for (const [i, to] of lanes.entries()) this.#keep(of, suffixes[i] ?? '', to);
  }

  /** A correction: the next revision of a step takes the place of the last. */
  async #revise(one: { readonly pick: number; readonly step: number }): Promise<void> {
    const [of, no] = this.#step(one);
    const own = no === undefined ? undefined : of?.steps.get(no);
    const last = this.#list.find((kept) => kept.of === of && kept.stepNo === no);
    if (of === undefined || no === undefined || own === undefined || last === undefined || of.withdrawn) return;
    const revision = own.revision + 1;
    const suffix = `${no}.${revision}`;
    const outbox = [envelope(of.caseNo, suffix, this.#lane(last.lane))];
    await this.#store.changed(of.caseNo, async (record) =>
      change({ steps: [{ ...stepIn(record, no, 'SENT'), revision }], outbox }),
    );
    own.revision = revision;
    this.#keep(of, suffix, last.lane);
  }

  /** Two changes of one case at the same moment; where there are two nodes, one is computed on what the other has changed meanwhile. */
  async #changeTwice(which: number): Promise<void> {
    const of = at(this.#cases, which);
    if (of === undefined) return;
    const [one, other] = [this.#fresh('note'), this.#fresh('note')];
    of.notes.push(one, other);
    const [first, second = first] = this.#nodes;
    if (first === second) {
      await Promise.all([one, other].map((note) => first.changed(of.caseNo, noted(note))));
      return;
    }
    let runs = 0;
    await first.changed(of.caseNo, async (record) => {
      runs += 1;
      if (runs === 1) await second.changed(of.caseNo, noted(other));
      return noted(one)(record);
    });
    assert.equal(runs, 2, 'it is computed again on what the case is by then');
  }

  async #mayBeSent(which: number): Promise<void> {
    const given = this.#mostly(this.#leases, ({ of, lease }) => of.word === lease, which);
    if (given === undefined) return;
    const { of: kept, lease } = given;
    let expected: MayBeSent = 'yes';
    if (kept.word !== lease) expected = 'overtaken';
    else if (kept.of.held) expected = 'held';
    else if (this.#paused.has(kept.lane)) expected = 'paused';
    else if (isOver(kept)) expected = 'ended';
    assert.equal(await this.#store.mayBeSent(lease), expected, kept.id);
  }

  /** Whoever names a lease that is to be begun gets it, once; under any other name there is nothing. */
  async #begin({ pick, named }: Extract<Command, { do: 'begin' }>): Promise<void> {
    const now = this.#clock.now();
    const given = this.#mostly(this.#leases, ({ of, lease }) => of.unbegun && of.fence === lease.fence, pick);
    if (given === undefined) return;
    const { of: kept, lease } = given;
    const { envelope, fence } = lease;
    const name = { lane: envelope.to, id: envelope.id, fence };
    if (named === 'of another lane') name.lane = this.#lane((kept.lane + 1) % LANES);
    if (named === 'of another fence') name.fence += 1;
    const stands = kept.state === 'leased' && kept.fence === fence && kept.unbegun && kept.until > now;
    const expected = stands && named === 'as it is' ? { ...lease, ended: isOver(kept) } : undefined;
    // Both at once, on two nodes where there are two.
    const got = await Promise.all([this.#nodes[0], this.#store].map((store) => store.begin(name)));
    assert.deepEqual(
      got.filter((one) => one !== undefined),
      expected === undefined ? [] : [expected],
      `${kept.id} ${named}`,
    );
    if (expected !== undefined) kept.unbegun = false;
  }

  async #word(one: Word): Promise<void> {
    const given = this.#mostly(this.#leases, ({ of, lease }) => of.word === lease, one.pick);
    if (given === undefined) return;
    const { of, lease } = given;
    const counts = of.word === lease;
    const expected = counts ? 'recorded' : 'overtaken';
    const store = this.#store;
    const become: Partial<Kept> = { word: undefined };
    /** Where the party was not called about it, the first sending is still to come. */
    const unsent = of.attempts === 0 && !lease.inDoubt ? { firstSentAt: null } : {};
    /** What has certainly not arrived and may not be sent any more ends. */
    const waits = (doubt: Millis | null) =>
      ({ state: doubt === null && isOver(of) ? 'cancelled' : 'waiting', doubt }) as const;
    switch (one.do) {
      case 'deliver': {
        const receipt = { number: null, duplicate: false };
        assert.equal(await store.delivered(lease, receipt, nothing, this.#clock.now()), expected);
        Object.assign(become, { state: 'delivered', attempts: of.attempts + 1, doubt: null, due: this.#goesOn(of) });
        break;
      }
      case 'refuse':
        assert.equal(await store.refused(lease, fault('refused'), nothing), expected);
        Object.assign(become, { state: 'refused', attempts: of.attempts + 1, doubt: null });
        break;
      case 'return':
        assert.equal(await store.returned(lease), expected);
        Object.assign(become, waits(lease.doubtedAt), unsent);
        break;
      case 'withhold':
        assert.equal(await store.withheld(lease), expected);
        Object.assign(become, { state: 'cancelled', doubt: null });
        break;
      case 'park':
        assert.equal(await store.parked(lease, fault('malformed', one.doubt), one.doubt, nothing), expected);
        Object.assign(become, {
          state: 'parked',
          attempts: of.attempts + (one.doubt ? 1 : 0),
          doubt: of.doubt ?? (one.doubt ? this.#clock.now() : null),
          ...(one.doubt ? {} : unsent),
        });
        break;
      case 'postpone': {
        const notBefore = this.#clock.now() + one.ms;
        const doubtedAt = one.doubt ? notBefore : null;
        const when = { notBefore, tried: one.costs, doubtedAt };
        assert.equal(await store.postponed(lease, fault('busy'), when, nothing), expected);
        const attempts = of.attempts + (one.costs ? 1 : 0);
        Object.assign(become, { notBefore, attempts, ...waits(doubtedAt), ...(one.costs ? {} : unsent) });
      }
    }
    if (counts) Object.assign(of, become);
  }

  async #lease(which: number, limit: number, toBegin: boolean): Promise<void> {
    const now = this.#clock.now();
    for (const kept of this.#list) {
      if (kept.state !== 'leased' || kept.until > now) continue;
      kept.state = 'waiting';
      // What nobody began nobody has sent.
      if (!kept.unbegun) kept.doubt = now;
      else if (kept.attempts === 0 && kept.doubt === null) kept.firstSentAt = null;
    }
    const lanes = [{ lane: this.#lane(which), limit }];
    const leases = await this.#store.lease({ lanes, forMs: LEASE_MS, now, toBegin });
    const taken = this.#next(which, limit, now);
    for (const kept of taken) kept.firstSentAt ??= now;
    const expected = taken.filter((kept) => !isOver(kept) || kept.doubt !== null);
    assert.deepEqual(
      leases.map((lease) => [
        lease.envelope.id,
        lease.inDoubt,
        lease.doubtedAt,
        lease.attempts,
        lease.ended,
        lease.firstSentAt,
      ]),
      expected.map((kept) => [kept.id, kept.doubt !== null, kept.doubt, kept.attempts, isOver(kept), kept.firstSentAt]),
    );
    for (const kept of taken.filter((one) => !expected.includes(one)))
      Object.assign(kept, { state: 'cancelled', firstSentAt: null, word: undefined });
    for (const [i, lease] of leases.entries()) {
      const kept = expected[i] as Kept;
      assert.ok(lease.fence > kept.fence, 'the fence grows');
      const { fence } = lease;
      Object.assign(kept, { state: 'leased', until: now + LEASE_MS, fence, unbegun: toBegin, word: lease });
      this.#leases.push({ of: kept, lease });
    }
  }

  #next(which: number, limit: number, now: number): readonly Kept[] {
    if (this.#paused.has(which)) return [];
    const open = this.#list.filter((kept) => kept.lane === which && isOpen(kept));
    const free = limit - open.filter(({ state }) => state === 'leased').length;
    const heads = open.filter((kept) => open.find((other) => other.of === kept.of) === kept);
    return heads
      .filter((kept) => kept.state === 'waiting' && kept.notBefore <= now && !kept.of.held)
      .slice(0, Math.max(0, free));
  }

  /** What is of a step that nobody will do, and has certainly not arrived, ends with it; and nobody has to look at an answer of it any more. */
  #end(of: KeptCase, no: string, state: 'DONE' | 'SKIPPED'): void {
    const own = of.steps.get(no);
    if (own !== undefined) own.ended = true;
    for (const kept of this.#list.filter((one) => one.of === of && one.stepNo === no)) {
      kept.due = false;
      if (kept.state === 'unanswered') kept.state = 'delivered';
      if (state === 'SKIPPED' && kept.doubt === null && (kept.state === 'waiting' || kept.state === 'parked'))
        Object.assign(kept, { state: 'cancelled', word: undefined });
    }
  }

  /** Three times of four one of those it matters for, if there is one. */
  #mostly<T>(list: readonly T[], matters: (one: T) => boolean, which: number): T | undefined {
    const those = list.filter(matters);
    return at(which % 4 === 0 || those.length === 0 ? list : those, which);
  }

  /** A step of some case that has not ended. */
  #step(one: { readonly pick: number; readonly step: number }): readonly [KeptCase?, string?] {
    const of = at(this.#cases, one.pick);
    const open = [...(of?.steps ?? [])].filter(([, { ended }]) => !ended).map(([no]) => no);
    return of === undefined ? [] : ([of, at(open, one.step)] as const as readonly [KeptCase, string?]);
  }

  /** Something is still expected of its department. */
  #goesOn({ of, stepNo }: Kept): boolean {
    return stepNo === null || of.steps.get(stepNo)?.ended === false;
  }

  #lane(which: number): string {
    return this.#lanes[which] as string;
  }

  #keep(of: KeptCase, suffix: string, to: number): void {
    const stepNo = suffix.startsWith('W') ? null : suffix.slice(0, 2);
    const revision = suffix.includes('.') ? Number(suffix.slice(3)) : 1;
    of.envelopes += 1;
    this.#list.push({
      id: `${of.caseNo}-${suffix}`,
      of,
      stepNo,
      revision,
      lane: to,
      state: 'waiting',
      notBefore: 0,
      until: 0,
      fence: 0,
      unbegun: false,
      attempts: 0,
      doubt: null,
      firstSentAt: null,
      due: false,
      word: undefined,
    });
  }
}

/** As the applicant takes it back: what has not ended never will be done. */
const withdrawn: Advance = async (record: CaseRecord) => {
  const open = record.steps.filter(({ state }) => state !== 'DONE');
  const decision = { outcome: 'withdrawn' as const, by: null, reason: null, at: 1 };
  return change({
    state: 'WITHDRAWN',
    decision,
    steps: open.map((one): Step => ({ ...one, state: 'SKIPPED' })),
    events: [event('withdrawn')],
  });
};

const noted =
  (note: string): Advance =>
  async ({ submission }) =>
    change({ submission: { ...submission, form: { ...submission.form, [note]: 'yes' } } });

function at<T>(list: readonly T[], pick: number): T | undefined {
  return list.length === 0 ? undefined : list[pick % list.length];
}
