import type { Bus } from '../../contracts/ports/bus.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Coordination } from '../../contracts/ports/coordination.ts';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { News } from '../../contracts/ports/news.ts';
import type { Line, Slots } from './slots.ts';

export interface SharedSlotsParts {
  readonly party: Party;
  readonly slots: number;
  /** The longest that a call takes which heeds its abort. */
  readonly callMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly shared: Pick<Coordination, 'claim' | 'unclaim'>;
  readonly bus: Pick<Bus, 'announce' | 'hear'>;
  /** A name of this process that no other has. */
  readonly node: string;
}

/**
 *   (none)  → atHand   the right to it was had
 *   atHand  → inUse    a call takes it
 *   inUse   → atHand   the call has ended
 *   atHand  → stale    too little is left of the right for a call; asked for again it is prolonged
 *   stale   → atHand   prolonged, or → (none): another has it by now
 *   any but inUse → leaving → (none)
 */
interface Slot {
  state: 'atHand' | 'inUse' | 'stale' | 'leaving';
  readonly until: Millis;
  /** Since when it has been this node's, without a pause. */
  readonly since: Millis;
  stopIdle: () => void;
}

const WANTED = 'slotsWanted';
const FREED = 'slotFreed';
/** Beyond two calls, for the way to the store and the clocks. */
const SPARE_MS = 5_000;
/** A slot that nobody here needs is kept so long for the next one who does, unless others say that they wait. */
const IDLE_MS = 1_000;
/** How long a slot stays on a node where somebody always waits: while others are known to wait too, and (should their word be lost) at most. */
const TURN_MS = { contested: 300, most: 10_000 };
/** A node that gave a slot up for others asks for none so long. */
const AFTER_TURN_MS = 300;
/** Between two looks for a slot while all are taken. */
const LOOK_MS = { first: 25, longest: 200 };
/** Slots asked for in one look, all at once. */
const LOOKS_AT = 16;
/** At the word that a slot is free nodes look in an order: first whoever had none lately. */
const FREED_MS = { hadNoneFor: 1_000, first: 20, second: 40 };
/** The word that a node waits holds for so long, and is said again so often. */
const CONTESTED_MS = 1_000;
const TELL_EVERY_MS = 500;
const UNKNOWN_MS = 2_000;

/**
 * The slots of a party, counted over all nodes: each is a right in the store that one node has at a time (`slot:<party>:<n>`). A node keeps what it got while it
 * uses it, so that a busy party costs two statements a slot in seconds, not two a call; it gives back what it does not need, and hands on what others wait for. A
 * node that dies holds its slots for two calls' time.
 *
 * A call that ignores its abort may outlive its right. That is counted on its own node (`Guard`), and no longer by the others.
 */
export class SharedSlots implements Slots {
  readonly #parts: SharedSlotsParts;
  readonly #line: Line;
  readonly #mine = new Map<number, Slot>();
  readonly #stopHearing: () => void;
  #looking = false;
  #looked: Promise<void> = Promise.resolve();
  #shorten: (ms: number) => void = () => {};
  /** When this node last gave a slot up for others. */
  #gaveUpAt: Millis = Number.NEGATIVE_INFINITY;
  #contestedUntil: Millis = 0;
  #toldAt: Millis = Number.NEGATIVE_INFINITY;
  #closed = false;
  #emptied = () => {};

  constructor(parts: SharedSlotsParts, line: Line) {
    this.#parts = parts;
    this.#line = line;
    this.#stopHearing = parts.bus.hear(({ kind, body }: News) => {
      if (body.party !== parts.party || body.node === parts.node) return;
      if (kind === WANTED) this.#contested();
      else if (kind === FREED) this.#freed();
    });
  }

  take(): (() => void) | undefined {
    if (this.#closed) return undefined;
    const now = this.#parts.clock.now();
    for (const [n, slot] of this.#mine) {
      if (slot.state !== 'atHand') continue;
      slot.stopIdle();
      if (this.#tooShort(slot, now)) {
        slot.state = 'stale';
        continue;
      }
      slot.state = 'inUse';
      return () => this.#ended(n, slot);
    }
    // Those who wait already have asked once.
    if (this.#line.waiting() > 0) this.#ask(0);
    return undefined;
  }

  wanted(): void {
    this.#ask(0);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopHearing();
    this.#shorten(0);
    await this.#looked;
    for (const [n, slot] of this.#mine) if (slot.state !== 'inUse') this.#giveBack(n, slot);
    if (this.#mine.size > 0)
      await new Promise<void>((resolve) => {
        this.#emptied = resolve;
      });
  }

  #tooShort(slot: Slot, now: Millis): boolean {
    return slot.until - now < this.#parts.callMs;
  }

  #ended(n: number, slot: Slot): void {
    const now = this.#parts.clock.now();
    slot.state = 'atHand';
    const contested = now < this.#contestedUntil;
    const turn = contested ? TURN_MS.contested : TURN_MS.most;
    if (this.#closed) this.#giveBack(n, slot);
    else if (this.#line.waiting() > 0) {
      if (now - slot.since >= turn) {
        this.#gaveUpAt = now;
        this.#giveBack(n, slot);
      }
    } else if (contested || this.#tooShort(slot, now)) this.#giveBack(n, slot);
    else slot.stopIdle = this.#parts.clock.after(IDLE_MS, () => this.#giveBack(n, slot));
  }

  #contested(): void {
    this.#contestedUntil = this.#parts.clock.now() + CONTESTED_MS;
    for (const [n, slot] of this.#mine) if (slot.state === 'atHand') this.#giveBack(n, slot);
  }

  #giveBack(n: number, slot: Slot): void {
    const { shared, clock, node, log } = this.#parts;
    if (slot.state === 'leaving') return;
    slot.stopIdle();
    slot.state = 'leaving';
    shared
      .unclaim(this.#right(n), node)
      .then(() => {
        if (clock.now() < this.#contestedUntil) this.#tell(FREED);
      })
      .catch((error: unknown) => log.debug('the right to a slot runs out', { error }))
      .finally(() => {
        this.#mine.delete(n);
        if (this.#mine.size === 0) this.#emptied();
        if (this.#line.waiting() > 0) this.#ask(AFTER_TURN_MS);
      });
  }

  #ask(after: number): void {
    // While all are ours and busy, the end of a call serves the line.
    if (this.#looking || this.#closed || !this.#mayGain()) return;
    this.#looking = true;
    this.#looked = this.#looks(after);
  }

  /** Looks for slots as long as somebody waits and others may have some to give. */
  async #looks(after: number): Promise<void> {
    const { clock, log } = this.#parts;
    let rest = after;
    let next: number = LOOK_MS.first;
    try {
      for (;;) {
        if (rest > 0) await this.#pause(rest * (0.5 + clock.random()));
        const numbers = this.#claimable();
        const wanted = Math.min(this.#line.waiting(), numbers.length);
        if (this.#closed || wanted === 0) return;
        const got = await this.#claim(numbers, wanted);
        if (got === wanted) {
          rest = 0;
          next = LOOK_MS.first;
        } else {
          this.#tellWanted();
          rest = next;
          next = Math.min(2 * next, LOOK_MS.longest);
        }
      }
    } catch (error) {
      log.warn('whether a slot is free cannot be known now; calls to this party wait', { error });
      this.#line.sendAway(unknown(clock.now() + UNKNOWN_MS, error));
    } finally {
      this.#looking = false;
      // Not while it is asked for: what is had and what is given back would come to the store in any order.
      for (const [n, slot] of this.#mine) if (slot.state === 'stale') this.#giveBack(n, slot);
    }
  }

  #mayGain(): boolean {
    return this.#mine.size < this.#parts.slots || [...this.#mine.values()].some(({ state }) => state === 'stale');
  }

  /** What may be asked for: first our own that need prolonging, then the others in a new order each time, so that nodes do not run after the same ones. */
  #claimable(): readonly number[] {
    const { slots, clock } = this.#parts;
    const all = Array.from({ length: slots }, (_, n) => n);
    const stale = all.filter((n) => this.#mine.get(n)?.state === 'stale');
    const others = all.filter((n) => !this.#mine.has(n));
    const shuffled = others.map((n) => ({ n, by: clock.random() })).sort((a, b) => a.by - b.by);
    return [...stale, ...shuffled.map(({ n }) => n)].slice(0, LOOKS_AT);
  }

  /** How many were had. @throws when the store cannot say */
  async #claim(numbers: readonly number[], wanted: number): Promise<number> {
    const rest = numbers.values();
    let got = 0;
    const one = async (): Promise<void> => {
      for (const n of rest)
        if (await this.#claimOne(n)) {
          got += 1;
          return;
        }
    };
    // All have ended then: no claim is under way beside the next look.
    const failed = (await Promise.allSettled(Array.from({ length: wanted }, one))).find(
      ({ status }) => status !== 'fulfilled',
    );
    if (failed?.status === 'rejected') throw failed.reason;
    return got;
  }

  async #claimOne(n: number): Promise<boolean> {
    const { shared, clock, node, callMs } = this.#parts;
    const now = clock.now();
    const until = now + 2 * callMs + SPARE_MS;
    const had = await shared.claim(this.#right(n), node, now, until);
    const before = this.#mine.get(n);
    if (!had) {
      this.#mine.delete(n);
      return false;
    }
    const slot: Slot = { state: 'atHand', until, since: before?.since ?? now, stopIdle: () => {} };
    this.#mine.set(n, slot);
    if (this.#closed) this.#giveBack(n, slot);
    else {
      slot.stopIdle = clock.after(IDLE_MS, () => this.#giveBack(n, slot));
      this.#line.serve();
    }
    return true;
  }

  #freed(): void {
    const { clock } = this.#parts;
    const since = clock.now() - this.#gaveUpAt;
    if (since < AFTER_TURN_MS) return;
    const { hadNoneFor, first, second } = FREED_MS;
    this.#shorten(clock.random() * first + (since < hadNoneFor ? second - first : 0));
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      let shortened = false;
      const end = (): void => {
        this.#shorten = () => {};
        resolve();
      };
      let stop = this.#parts.clock.after(ms, end);
      this.#shorten = (to) => {
        // Once: words that come one after the other would put it off for ever.
        if (shortened && to > 0) return;
        shortened = true;
        stop();
        if (to === 0) end();
        else stop = this.#parts.clock.after(to, end);
      };
    });
  }

  #tellWanted(): void {
    const now = this.#parts.clock.now();
    if (now - this.#toldAt < TELL_EVERY_MS) return;
    this.#toldAt = now;
    this.#tell(WANTED);
  }

  #tell(kind: string): void {
    const { bus, party, node, log } = this.#parts;
    bus
      .announce({ kind, body: { party, node } })
      .catch((error: unknown) => log.debug('the other nodes were not told', { kind, error }));
  }

  #right(n: number): string {
    return `slot:${this.#parts.party}:${n}`;
  }
}

const unknown = (until: Millis, cause: unknown): Fault =>
  new Fault('busy', {
    until,
    reason: {
      code: 'slotsUnknown',
      zh: '暂时无法确认该部门同时处理的请求数，稍后继续',
      en: 'how many calls this department has under way cannot be counted now; it is tried again',
    },
    cause,
  });
