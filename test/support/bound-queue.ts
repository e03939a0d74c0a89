import { type ChannelModel, type ConsumeMessage, connect } from 'amqplib';
import type { JsonObject } from '../../contracts/ports/envelope.ts';

/** A CloudEvent, as it came off the wire. */
export interface CameEvent {
  readonly specversion: string;
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject?: string;
  readonly time: string;
  readonly datacontenttype: string;
  readonly dataschema: string;
  readonly sequence?: string;
  readonly traceparent?: string;
  readonly data: JsonObject;
}

/** What a department does to hear of events: a queue of its own, bound at the exchange, consumed. */
export class BoundQueue {
  readonly #connection: ChannelModel;
  readonly messages: ConsumeMessage[] = [];

  private constructor(connection: ChannelModel) {
    this.#connection = connection;
  }

  static async open(
    url: string,
    { exchange, queue, keys }: { readonly exchange: string; readonly queue: string; readonly keys: readonly string[] },
    args: JsonObject = {},
  ): Promise<BoundQueue> {
    const connection = await connect(url);
    // Its end is a test's doing.
    connection.on('error', () => {});
    const bound = new BoundQueue(connection);
    try {
      const channel = await connection.createChannel();
      channel.on('error', () => {});
      await channel.assertQueue(queue, { durable: true, arguments: { 'x-expires': 600_000, ...args } });
      for (const key of keys) await channel.bindQueue(queue, exchange, key);
      await channel.consume(queue, (message) => {
        if (message === null) return;
        bound.messages.push(message);
        channel.ack(message);
      });
    } catch (error) {
      await bound.close();
      throw error;
    }
    return bound;
  }

  /** In the order in which they came, repetitions too. */
  get events(): readonly CameEvent[] {
    return this.messages.map(({ content }) => JSON.parse(content.toString('utf8')) as CameEvent);
  }

  /** Each once: what a receiver keeps that drops what it has had. */
  get first(): readonly CameEvent[] {
    return [...new Map(this.events.toReversed().map((event) => [event.id, event])).values()].reverse();
  }

  of(caseNo: string): readonly CameEvent[] {
    return this.first.filter(({ subject }) => subject === caseNo);
  }

  async close(): Promise<void> {
    await this.#connection.close().catch(() => {});
  }
}

/** `case.progressed`, of `cn.onewindow.case.progressed.v1`. */
export const kindOf = ({ type }: CameEvent): string => type.split('.').slice(2, -1).join('.');
