import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Lease, Store } from '../../contracts/ports/store.ts';
import type { HandClock } from './hand-clock.ts';
import { change, envelope, fault, HOLD, newCase, nothing } from './sample-case.ts';

/** The lane as a plain list: what the store does with indexes and places, said the slow and obvious way. */
interface Kept {
  readonly id: string;
  readonly caseNo: string;
  readonly lane: number;
  state: 'waiting' | 'leased' | 'parked' | 'ended';
  notBefore: number;
  until: number;
  fence: number;
  attempts: number;
  doubt: boolean;
  /** The lease whose word still counts. */
  word: Lease | undefined;
}

type Word =
  | { readonly do: 'deliver' | 'refuse' | 'return'; readonly pick: number }
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
  | { readonly do: 'lease'; readonly lane: number; readonly limit: number }
  | { readonly do: 'release' | 'cancel' | 'pause' | 'hold'; readonly pick: number }
  | { readonly do: 'wait'; readonly ms: number };

const LANES = 2;
const LEASE_MS = 100;
const pick = fc.nat(50);
const lane = fc.nat(LANES - 1);
const ms = fc.integer({ min: 0, max: 120 });

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('lease' as const), lane, limit: fc.integer({ min: 0, max: 4 }) }),
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
    arbitrary: fc.record({
      do: fc.constantFrom(...(['deliver', 'refuse', 'return'] as const)),
      pick,
    }),
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
);

/** Plays random courses against the store and the list; lanes and cases are new for each course. */
export function leaseModel(store: Store, clock: HandClock, fresh: (word: string) => string): Promise<void> {
  return fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 10, maxLength: 40 }), async (commands) => {
      await new Course(store, clock, fresh).play(commands);
    }),
    { numRuns: 80 },
  );
}

class Course {
  readonly #store: Store;
  readonly #clock: HandClock;
  readonly #fresh: (word: string) => string;
  readonly #lanes: readonly string[];
  readonly #list: Kept[] = [];
  readonly #cases: string[] = [];
  readonly #held = new Set<string>();
  readonly #paused = new Set<number>();
  /** Every lease ever given, the overtaken too. */
  readonly #leases: { readonly of: Kept; readonly lease: Lease }[] = [];

  constructor(store: Store, clock: HandClock, fresh: (word: string) => string) {
    this.#store = store;
    this.#clock = clock;
    this.#fresh = fresh;
    this.#lanes = Array.from({ length: LANES }, () => fresh('model'));
  }

  async play(commands: readonly Command[]): Promise<void> {
    for (const one of commands) await this.#obey(one);
    for (const kept of this.#list) {
      const view = await this.#store.envelope(kept.id);
      assert.equal(view?.attempts, kept.attempts, kept.id);
      if (kept.state === 'parked') assert.equal(view?.state, 'parked');
    }
  }

  async #obey(one: Command): Promise<void> {
    const store = this.#store;
    switch (one.do) {
      case 'wait':
        return this.#clock.move(one.ms);
      case 'accept': {
        const sends = one.lanes.map((to, i) => [`W${i + 1}`, this.#lane(to)] as const);
        const { record } = await store.accept(newCase({ applicationNo: this.#fresh('M'), sends }));
        this.#cases.push(record.caseNo);
        this.#keep(record.caseNo, one.lanes, 1);
        return;
      }
      case 'send': {
        const caseNo = at(this.#cases, one.pick);
        if (caseNo === undefined) return;
        const next = this.#list.filter((kept) => kept.caseNo === caseNo).length + 1;
        const outbox = one.lanes.map((to, i) => envelope(caseNo, `W${next + i}`, this.#lane(to)));
        await store.changed(caseNo, async () => change({ outbox }));
        this.#keep(caseNo, one.lanes, next);
        return;
      }
      case 'lease':
        return this.#lease(one.lane, one.limit);
      case 'pause': {
        const which = one.pick % LANES;
        if (this.#paused.delete(which)) return store.resumed(this.#lane(which), 'operator');
        this.#paused.add(which);
        return store.paused(this.#lane(which), 'operator', 'model');
      }
      case 'hold': {
        const caseNo = at(this.#cases, one.pick);
        if (caseNo === undefined) return;
        const held = !this.#held.delete(caseNo);
        if (held) this.#held.add(caseNo);
        assert.equal(await store.held(caseNo, held ? HOLD : null, nothing), true);
        return;
      }
      case 'release': {
        const kept = at(
          this.#list.filter(({ state }) => state === 'parked'),
          one.pick,
        );
        if (kept === undefined) return;
        assert.equal(await store.released(kept.id, () => nothing), 'released');
        Object.assign(kept, { state: 'waiting', notBefore: 0 });
        return;
      }
      case 'cancel': {
        const kept = at(this.#list, one.pick);
        if (kept === undefined) return;
        const may = kept.state === 'waiting' || kept.state === 'parked';
        assert.equal(await store.cancelled(kept.id, () => nothing), may ? 'cancelled' : 'tooLate');
        if (may) Object.assign(kept, { state: 'ended', word: undefined });
        return;
      }
      default:
        return this.#word(one);
    }
  }

  async #word(one: Word): Promise<void> {
    const given = at(this.#leases, one.pick);
    if (given === undefined) return;
    const { of, lease } = given;
    const counts = of.word === lease;
    const expected = counts ? 'recorded' : 'overtaken';
    const store = this.#store;
    const become: Partial<Kept> = { word: undefined };
    switch (one.do) {
      case 'deliver':
        assert.equal(await store.delivered(lease, { number: null, duplicate: false }, nothing, null), expected);
        Object.assign(become, { state: 'ended', attempts: of.attempts + 1 });
        break;
      case 'refuse':
        assert.equal(await store.refused(lease, fault('refused'), nothing), expected);
        Object.assign(become, { state: 'ended', attempts: of.attempts + 1 });
        break;
      case 'return':
        assert.equal(await store.returned(lease), expected);
        Object.assign(become, { state: 'waiting', doubt: lease.inDoubt });
        break;
      case 'park':
        assert.equal(await store.parked(lease, fault('malformed', one.doubt), one.doubt, nothing), expected);
        Object.assign(become, {
          state: 'parked',
          attempts: of.attempts + (one.doubt ? 1 : 0),
          doubt: of.doubt || one.doubt,
        });
        break;
      case 'postpone': {
        const notBefore = this.#clock.now() + one.ms;
        const when = { notBefore, tried: one.costs, doubtedAt: one.doubt ? notBefore : null };
        assert.equal(await store.postponed(lease, fault('busy'), when, nothing), expected);
        const attempts = of.attempts + (one.costs ? 1 : 0);
        Object.assign(become, { state: 'waiting', notBefore, attempts, doubt: one.doubt });
      }
    }
    if (counts) Object.assign(of, become);
  }

  async #lease(which: number, limit: number): Promise<void> {
    const now = this.#clock.now();
    for (const kept of this.#list) {
      if (kept.state === 'leased' && kept.until <= now) Object.assign(kept, { state: 'waiting', doubt: true });
    }
    const lanes = [{ lane: this.#lane(which), limit }];
    const leases = await this.#store.lease({ lanes, forMs: LEASE_MS, now });
    const expected = this.#next(which, limit, now);
    assert.deepEqual(
      leases.map((lease) => [lease.envelope.id, lease.inDoubt, lease.attempts]),
      expected.map(({ id, doubt, attempts }) => [id, doubt, attempts]),
    );
    for (const [i, lease] of leases.entries()) {
      const kept = expected[i] as Kept;
      assert.ok(lease.fence > kept.fence, 'the fence grows');
      Object.assign(kept, { state: 'leased', until: now + LEASE_MS, fence: lease.fence, word: lease });
      this.#leases.push({ of: kept, lease });
    }
  }

  #next(which: number, limit: number, now: number): readonly Kept[] {
    if (this.#paused.has(which)) return [];
    const open = this.#list.filter((kept) => kept.lane === which && kept.state !== 'ended');
    const free = limit - open.filter(({ state }) => state === 'leased').length;
    const heads = open.filter((kept) => open.find((other) => other.caseNo === kept.caseNo) === kept);
    return heads
      .filter((kept) => kept.state === 'waiting' && kept.notBefore <= now && !this.#held.has(kept.caseNo))
      .slice(0, Math.max(0, free));
  }

  #lane(which: number): string {
    return this.#lanes[which] as string;
  }

  #keep(caseNo: string, lanes: readonly number[], first: number): void {
    for (const [i, to] of lanes.entries()) {
      const id = `${caseNo}-W${first + i}`;
      const fresh = { state: 'waiting', notBefore: 0, until: 0, fence: 0, attempts: 0, doubt: false } as const;
      this.#list.push({ id, caseNo, lane: to, word: undefined, ...fresh });
    }
  }
}

function at<T>(list: readonly T[], pick: number): T | undefined {
  return list.length === 0 ? undefined : list[pick % list.length];
}
