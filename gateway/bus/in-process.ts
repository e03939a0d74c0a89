import type { Bus } from '../../contracts/ports/bus.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import type { NewsCarrier } from '../../contracts/ports/news.ts';
import type { Lease } from '../../contracts/ports/store.ts';
import { nodeNews } from './news.ts';

interface Lane {
  readonly waiting: Lease[];
  readonly underWay: Set<Promise<void>>;
  subscriber: { readonly handle: (lease: Lease) => Promise<void>; readonly concurrency: number } | undefined;
}

/** The bus of one process: a bounded queue for each lane. @param limit leases a lane may hold; `publish` rejects beyond it */
export function inProcessBus({
  limit = 1_000,
  beyond,
}: {
  readonly limit?: number;
  /** What carries news to other nodes; without it they reach this process alone. */
  readonly beyond?: NewsCarrier | undefined;
} = {}): Bus {
  const lanes = new Map<Party, Lane>();
  const news = nodeNews(beyond);
  let closed = false;

  const laneOf = (name: Party): Lane => {
    let lane = lanes.get(name);
    if (lane === undefined) {
      lane = { waiting: [], underWay: new Set(), subscriber: undefined };
      lanes.set(name, lane);
    }
    return lane;
  };

  function pump(lane: Lane): void {
    while (lane.subscriber !== undefined && lane.underWay.size < lane.subscriber.concurrency) {
      const lease = lane.waiting.shift();
      if (lease === undefined) return;
      const work = lane.subscriber.handle(lease).finally(() => {
        lane.underWay.delete(work);
        pump(lane);
      });
      lane.underWay.add(work);
    }
  }

  return {
    async publish(name, lease) {
      const lane = laneOf(name);
      if (closed) throw new Error('the bus is closed');
      if (lane.waiting.length >= limit) throw new Error(`the lane ${name} holds ${limit} leases already`);
      lane.waiting.push(lease);
      pump(lane);
    },

    async subscribe(name, handle, { concurrency }) {
      const lane = laneOf(name);
      if (lane.subscriber !== undefined) throw new Error(`the lane ${name} has a subscriber already`);
      lane.subscriber = { handle, concurrency };
      pump(lane);
      return {
        async stop(returned) {
          lane.subscriber = undefined;
          const left = lane.waiting.splice(0);
          // One that cannot be given back runs out; the others are given back all the same.
          await Promise.allSettled([...lane.underWay, ...left.map((lease) => returned?.(lease))]);
        },
      };
    },

    announce: (one) => news.announce(one),

    hear: (listener) => news.hear(listener),

    async close() {
      closed = true;
      news.close();
      await Promise.all([...lanes.values()].flatMap(({ underWay }) => [...underWay]));
      lanes.clear();
    },
  };
}
