import type { Bus } from '../../contracts/ports/bus.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import type { DeliveryStore, Lease, LeaseName } from '../../contracts/ports/store.ts';

const keyOf = ({ lane, id, fence }: LeaseName): string => `${lane} ${id} ${fence}`;

/** The leases that a test of a bus makes up, as a store would have them: each can be begun once, by its name, before its time is over. */
export class LeaseBook {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #unbegun = new Map<string, Lease>();
  /** Every question, those to which there was nothing too. */
  readonly asked: LeaseName[] = [];
  /** What a test wants to happen before an answer. */
  before: (name: LeaseName) => Promise<void> = async () => {};

  constructor(clock: Pick<Clock, 'now'> = { now: () => Date.now() }) {
    this.#clock = clock;
  }

  keep(lane: Party, lease: Lease): void {
    this.#unbegun.set(keyOf({ lane, id: lease.envelope.id, fence: lease.fence }), lease);
  }

  readonly begin: DeliveryStore['begin'] = async (name) => {
    this.asked.push(name);
    await this.before(name);
    const key = keyOf(name);
    const lease = this.#unbegun.get(key);
    if (lease === undefined || lease.until <= this.#clock.now()) return undefined;
    this.#unbegun.delete(key);
    return lease;
  };

  /** What is published on this bus was leased. */
  over<B extends Bus>(bus: B): B {
    const publish: Bus['publish'] = (lane, lease) => {
      this.keep(lane, lease);
      return bus.publish(lane, lease);
    };
    return { ...bus, publish };
  }
}
