import type { Bus } from '../../contracts/ports/bus.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { DeliveryStore } from '../../contracts/ports/store.ts';

export interface RelayParts {
  readonly store: Pick<DeliveryStore, 'lease' | 'returned' | 'nextDue'>;
  readonly bus: Pick<Bus, 'publish'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** The lanes of the parties that are connected now: how many in flight, and for how long a lease. */
  readonly lanes: () => readonly { readonly lane: Party; readonly limit: number; readonly leaseMs: number }[];
  /** The net under the wake-ups, ms. */
  readonly sweepMs: number;
}

/**
 * Brings what waits in the store onto the bus: woken by every commit that made work, by the time at which something becomes due, and by a slow sweep.
 * Wake-ups that come while a round is under way are one.
 */
export class Relay {
  readonly #parts: RelayParts;
  readonly #woken = new Set<Party>();
  #all = false;
  #round: Promise<void> | undefined;
  #stopTimer: (() => void) | undefined;
  #running = false;

  constructor(parts: RelayParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#running = true;
    this.#all = true;
    this.#turn();
  }

  wake(lanes: readonly Party[]): void {
    for (const lane of lanes) this.#woken.add(lane);
    this.#turn();
  }

  /** No new lease after this resolves. */
  async stop(): Promise<void> {
    this.#running = false;
    this.#stopTimer?.();
    await this.#round;
  }

  #turn(): void {
    if (!this.#running || this.#round !== undefined) return;
    this.#stopTimer?.();
    this.#round = this.#rounds().finally(() => {
      this.#round = undefined;
      // Woken in the moment between the last look and this one.
      if (this.#all || this.#woken.size > 0) this.#turn();
    });
  }

  async #rounds(): Promise<void> {
    const { store, clock, log, sweepMs } = this.#parts;
    let wait: Millis = sweepMs;
    try {
      while (this.#running && (this.#all || this.#woken.size > 0)) await this.#lease();
      if (!this.#running) return;
      const due = await store.nextDue(clock.now());
      if (due !== null) wait = Math.max(1, Math.min(sweepMs, due - clock.now()));
    } catch (error) {
      log.warn('the relay could not reach the store; it looks again', { error });
    }
    if (!this.#running) return;
    this.#stopTimer = clock.after(wait, () => {
      this.#all = true;
      this.#turn();
    });
  }

  async #lease(): Promise<void> {
    const { store, bus, clock, log } = this.#parts;
    const connected = this.#parts.lanes();
    const wanted = this.#all ? connected : connected.filter(({ lane }) => this.#woken.has(lane));
    this.#all = false;
    this.#woken.clear();
    if (wanted.length === 0) return;
    const forMs = Math.max(...wanted.map(({ leaseMs }) => leaseMs));
    const leases = await store.lease({
      lanes: wanted.map(({ lane, limit }) => ({ lane, limit })),
      forMs,
      now: clock.now(),
    });
    for (const lease of leases) {
      await bus.publish(lease.envelope.to, lease).catch(async (error: unknown) => {
        log.warn('the bus did not take a lease; it is given back', { envelope: lease.envelope.id, error });
        await store.returned(lease);
      });
    }
  }
}
