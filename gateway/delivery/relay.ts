import type { Bus } from '../../contracts/ports/bus.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import { type DeliveryStore, EVERY_LANE, type Lease } from '../../contracts/ports/store.ts';

export interface RelayParts {
  readonly store: Pick<DeliveryStore, 'lease' | 'returned' | 'due'>;
  readonly bus: Pick<Bus, 'publish'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** The lanes of the parties that are connected now: how many in flight, and for how long a lease. */
  readonly lanes: () => readonly { readonly lane: Party; readonly limit: number; readonly leaseMs: number }[];
  /** Leases are for a bus that asks the store before it hands one out. */
  readonly toBegin: boolean;
  /** The net under the wake-ups, ms: one small read, where nothing waits. */
  readonly sweepMs: number;
}

/** After a store or a bus that did not answer: no round, and no wake-up counts, for so long. */
const REST_MS = 1_000;
/** What is due already and was not there to be leased (more than one round wakes) is not run after without a pause. */
const OVERDUE_MS = 250;

/**
 * Brings what waits in the store onto the bus: woken by every commit that made work, by the time at which something becomes due, and by a slow sweep.
 * Wake-ups that come while a round is under way are one.
 *
 *   idle     → round    woken, or the timer ran out
 *   round    → idle     nothing more was woken; the timer is set
 *   round    → resting  store or bus failed; wake-ups are only remembered
 *   resting  → round    the timer ran out
 *   any      → stopped
 */
export class Relay {
  readonly #parts: RelayParts;
  readonly #woken = new Set<Party>();
  #all = false;
  /** Begun by the timer: the store is asked first whether there is anything. */
  #byTime = false;
  #state: 'idle' | 'round' | 'resting' | 'stopped' = 'stopped';
  #round: Promise<void> = Promise.resolve();
  #stopTimer = () => {};

  constructor(parts: RelayParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#state = 'idle';
    this.#all = true;
    this.#begin();
  }

  wake(lanes: readonly Party[]): void {
    for (const lane of lanes) this.#woken.add(lane);
    if (lanes.includes(EVERY_LANE)) this.#all = true;
    this.#begin();
  }

  /** No new lease after this resolves; what was leased meanwhile and not published is given back. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#stopTimer();
    await this.#round;
  }

  #begin(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'round';
    this.#stopTimer();
    this.#round = this.#rounds();
  }

  async #rounds(): Promise<void> {
    const { store, clock, log, sweepMs } = this.#parts;
    let wait = sweepMs;
    let rests = false;
    try {
      let due = this.#byTime ? await store.due() : undefined;
      this.#byTime = false;
      if (due?.ready || (due?.envelopes ?? Number.POSITIVE_INFINITY) <= clock.now()) this.#all = true;
      while (this.#goesOn() && (this.#all || this.#woken.size > 0)) {
        await this.#lease();
        due = undefined;
      }
      if (this.#goesOn()) due ??= await store.due();
      const at = due?.envelopes ?? null;
      if (at !== null) wait = Math.min(sweepMs, at > clock.now() ? at - clock.now() : OVERDUE_MS);
    } catch (error) {
      log.warn('the relay could not reach the store or the bus; it looks again', { error });
      wait = REST_MS;
      rests = true;
    }
    if (!this.#goesOn()) return;
    this.#state = rests ? 'resting' : 'idle';
    this.#stopTimer = clock.after(wait, () => {
      this.#byTime = true;
      this.#state = 'idle';
      this.#begin();
    });
    // Woken while the store was asked for the next time.
    if (this.#woken.size > 0) this.#begin();
  }

  #goesOn(): boolean {
    return this.#state === 'round';
  }

  /** @throws when the store, or the bus, did not take part */
  async #lease(): Promise<void> {
    const { store, clock, toBegin } = this.#parts;
    const connected = this.#parts.lanes();
    const wanted = this.#all ? connected : connected.filter(({ lane }) => this.#woken.has(lane));
    this.#all = false;
    this.#woken.clear();
    if (wanted.length === 0) return;
    const leases = await store.lease({
      lanes: wanted.map(({ lane, limit }) => ({ lane, limit })),
      forMs: Math.max(...wanted.map(({ leaseMs }) => leaseMs)),
      now: clock.now(),
      toBegin,
    });
    // All at once: a broker confirms many together. Order needs no care: of one case and lane no second one is under way.
    const goesOn = this.#goesOn();
    const failed = await Promise.all(leases.map((lease) => (goesOn ? this.#publish(lease) : this.#giveBack(lease))));
    const [first] = failed.filter((each) => each !== undefined);
    if (first !== undefined) throw first;
  }

  /** What kept the bus from taking it, when it did not; the lease is then given back. */
  async #publish(lease: Lease): Promise<Error | undefined> {
    try {
      await this.#parts.bus.publish(lease.envelope.to, lease);
      return undefined;
    } catch (error) {
      await this.#giveBack(lease);
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  async #giveBack(lease: Lease): Promise<undefined> {
    const { store, log } = this.#parts;
    await store
      .returned(lease)
      .catch((error: unknown) =>
        log.warn('a lease could not be given back; it runs out', { envelope: lease.envelope.id, error }),
      );
  }
}
