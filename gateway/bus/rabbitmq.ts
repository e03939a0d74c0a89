import type { Bus } from '../../contracts/ports/bus.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { NewsCarrier } from '../../contracts/ports/news.ts';
import type { EventExchange } from '../../contracts/ports/public-event.ts';
import type { DeliveryStore } from '../../contracts/ports/store.ts';
import { within } from '../../contracts/within.ts';
import { type Channel, Connection, type ConnectionParts } from './connection.ts';
import { ConsumedLane, type Ignored } from './consumed-lane.ts';
import { TopicExchange } from './event-exchange.ts';
import { LONGEST, PROPERTIES, write } from './lease-message.ts';
import { nodeNews } from './news.ts';
import { NotTaken, type Outgoing, Publisher, Unroutable } from './publisher.ts';

export interface RabbitParts {
  readonly url: string;
  /** With an address that begins with amqps://. */
  readonly tls?: ConnectionParts['tls'];
  /** Every exchange and queue begins with it: several gateways may share a virtual host. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** What the store has under the name that a message brings; nothing else of a message is used. Leases are published that were given to be begun. */
  readonly begin: DeliveryStore['begin'];
  /** Where nodes share a database: what carries their news through it. */
  readonly news?: NewsCarrier | undefined;
  /** Told of each message that did nothing. */
  readonly ignored?: (lane: Party, why: Ignored) => void;
  /** How long a publish waits for a broker that is away or blocked, ms. */
  readonly publishMs?: number;
  /** Leases a lane's queue may hold; beyond it the broker refuses. The store leases no more of a lane than its concurrency, so it is a net. */
  readonly limit?: number;
  /** How long the queues of others may take to keep a batch of events, ms. */
  readonly confirmMs?: number;
}

export interface RabbitBus extends Bus {
  /** Whether the broker takes and gives just now. */
  connected(): boolean;
  /** Where others bind their queues. */
  readonly events: EventExchange;
}

const PUBLISH_MS = 5_000;
const LIMIT = 1_000;
const CONFIRM_MS = 10_000;
const CLOSE_MS = 5_000;
/** A quorum queue can be published to a moment before it has a leader, and refuses then as a full one does; a full one refuses still after these rests. */
const LEADER_MS = [50, 150, 500, 1_500];
const LANE = /^[a-z][a-z0-9-]{1,30}$/;

/**
 * The bus of many nodes: a quorum queue for each lane, a topic exchange for the events for others. Everything on the broker may be wiped at any moment: it is built
 * again as it is missed, and what was lost is published again from the store. Nothing that comes from it is believed: a message names a lease, and what is handled is
 * what the store has under that name.
 *
 * Two connections: the broker stops reading from one that publishes when its memory runs low, and acknowledgements must still reach it.
 *
 * @throws BrokerRefused when user or password is wrong. A broker that is not there is waited for.
 */
export async function rabbitBus({
  url,
  tls,
  prefix,
  clock,
  log,
  begin,
  news: beyond,
  ignored = () => {},
  publishMs = PUBLISH_MS,
  limit = LIMIT,
  confirmMs = CONFIRM_MS,
}: RabbitParts): Promise<RabbitBus> {
  const lanes = new Map<Party, ConsumedLane>();
  const publisher = new Publisher({ clock, log, withinMs: publishMs });
  const news = nodeNews(beyond);
  const exchange = `${prefix}.events`;
  const events = new TopicExchange({ exchange, taking: () => publisher.open, clock, log, confirmMs });
  let closed = false;

  const queueOf = (lane: Party): string => {
    if (!LANE.test(lane)) throw new Error(`${JSON.stringify(lane.slice(0, 40))} is not the name of a lane`);
    return `${prefix}.leases.${lane}`;
  };

  async function assertQueue(channel: Channel, queue: string): Promise<void> {
    await channel.assertQueue(queue, {
      durable: true,
      arguments: {
        'x-queue-type': 'quorum',
        'x-max-length': limit,
        'x-max-length-bytes': limit * LONGEST,
        'x-overflow': 'reject-publish',
      },
    });
  }

  const publishing = new Connection({
    url,
    tls,
    name: `${prefix} publishing`,
    clock,
    log,
    async up(model) {
      const broken = (reason: unknown) => publishing.drop(reason);
      await publisher.attach(model, broken);
      events.attach(model);
    },
    down() {
      publisher.detach();
      events.detach();
    },
  });

  const consuming = new Connection({
    url,
    tls,
    name: `${prefix} consuming`,
    clock,
    log,
    async up(model) {
      // Not waited for: a queue that does not answer keeps no other lane back.
      for (const lane of lanes.values()) void lane.take(model);
    },
    down() {
      for (const lane of lanes.values()) lane.lost();
    },
  });

  /** On the connection that the broker never blocks; a channel of its own, since a declaration that fails ends its channel. */
  async function declare(queue: string): Promise<void> {
    const { model } = consuming;
    if (model === undefined) throw new Error(`no connection to declare ${queue}`);
    const channel = await model.createChannel();
    channel.on('error', () => {});
    await assertQueue(channel, queue);
    await channel.close();
  }

  async function put(message: Outgoing, rests: readonly number[] = LEADER_MS): Promise<void> {
    const [rest, ...others] = rests;
    try {
      await publisher.publish(message);
    } catch (error) {
      if (!(error instanceof NotTaken) || rest === undefined) throw error;
      await new Promise<void>((rested) => clock.after(rest, rested));
      await put(message, others);
    }
  }

  await Promise.all([publishing.start(), consuming.start()]).catch(async (error: unknown) => {
    publisher.close();
    await Promise.all([publishing.close(), consuming.close()]);
    throw error;
  });

  return {
    connected: () => publisher.open && consuming.up,
    events,

    async publish(lane, lease) {
      const queue = queueOf(lane);
      const message = {
        exchange: '',
        routingKey: queue,
        content: write({ lane, id: lease.envelope.id, fence: lease.fence }),
        options: {
          ...PROPERTIES,
          mandatory: true,
          // The broker's own watch drops it when it lies too long, whatever the clocks of the nodes say.
          expiration: Math.max(0, Math.ceil(lease.until - clock.now())),
        },
      };
      try {
        await put(message);
      } catch (error) {
        if (!(error instanceof Unroutable)) throw error;
        await within(declare(queue), publishMs, `declaring ${queue}`, clock);
        await put(message);
      }
    },

    async subscribe(name, handle, { concurrency }) {
      const queue = queueOf(name);
      if (closed) throw new Error('the bus is closed');
      if (lanes.has(name)) throw new Error(`the lane ${name} has a subscriber already`);
      const lane = new ConsumedLane({
        lane: name,
        queue,
        handle,
        concurrency,
        begin,
        ignored: (why) => ignored(name, why),
        assertQueue: (channel) => assertQueue(channel, queue),
        clock,
        log,
      });
      lanes.set(name, lane);
      const { model } = consuming;
      // A broker that is away or slow keeps nobody from starting; the lane is taken up when it is there.
      if (model !== undefined) await within(lane.take(model), publishMs, `taking up ${name}`, clock).catch(() => {});
      return {
        async stop(returned) {
          if (lanes.get(name) === lane) lanes.delete(name);
          await lane.stop(returned);
        },
      };
    },

    announce: (one) => news.announce(one),

    hear: (listener) => news.hear(listener),

    async close() {
      if (closed) return;
      closed = true;
      news.close();
      publisher.close();
      const stopped = Promise.all([...lanes.values()].map((lane) => lane.stop()));
      lanes.clear();
      await within(stopped, CLOSE_MS, 'stopping the lanes', clock).catch(() => {});
      await Promise.all([publishing.close(), consuming.close()]);
    },
  };
}
