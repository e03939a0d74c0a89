import { randomUUID } from 'node:crypto';
import type { Logger } from '../../contracts/ports/logger.ts';
import { type News, newsOf } from '../../contracts/ports/news.ts';
import type { Channel, ChannelModel } from './connection.ts';

/** News that a node did not fetch yet; beyond it the oldest go. */
const LONGEST = 1_000;
const TYPE = 'onewindow.news';

/**
 * What nodes tell each other, over a fanout exchange. A node tells itself at once, and passes over its own word when it comes back from the broker: so each
 * node hears each news once, and the announcing one hears it even when there is no broker.
 */
export class Newsroom {
  readonly #listeners = new Set<(news: News) => void>();
  readonly #node = randomUUID();
  readonly #exchange: string;
  readonly #log: Logger;
  #channel: Channel | undefined;
  #full = false;

  constructor(exchange: string, log: Logger) {
    this.#exchange = exchange;
    this.#log = log;
  }

  hear(listener: (news: News) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** @param heard false when the broker will not take it anyway */
  announce(news: News, heard: boolean): void {
    this.#tell(news);
    // May be lost; held back without bound it may not be.
    if (!heard || this.#channel === undefined || this.#full) return;
    try {
      const content = Buffer.from(JSON.stringify(news));
      const options = { contentType: 'application/json', type: TYPE, appId: this.#node };
      this.#full = !this.#channel.publish(this.#exchange, '', content, options);
    } catch (error) {
      this.#log.warn('other nodes were not told', { kind: news.kind, error });
    }
  }

  /** On the connection for publishing. */
  async speak(model: ChannelModel, broken: (reason: unknown) => void): Promise<void> {
    const channel = await this.#opened(model, broken);
    await channel.assertExchange(this.#exchange, 'fanout', { durable: true });
    channel.on('drain', () => {
      this.#full = false;
    });
    this.#full = false;
    this.#channel = channel;
  }

  silence(): void {
    this.#channel = undefined;
  }

  /** On the connection for consuming: a queue that lives as long as the connection. */
  async listen(model: ChannelModel, broken: (reason: unknown) => void): Promise<void> {
    const channel = await this.#opened(model, broken);
    await channel.assertExchange(this.#exchange, 'fanout', { durable: true });
    const queue = `${this.#exchange}.${randomUUID()}`;
    await channel.assertQueue(queue, {
      durable: false,
      exclusive: true,
      autoDelete: true,
      arguments: { 'x-max-length': LONGEST, 'x-overflow': 'drop-head' },
    });
    await channel.bindQueue(queue, this.#exchange, '');
    await channel.consume(
      queue,
      (message) => {
        if (message === null) return broken(new Error('the queue of the news was deleted'));
        if (message.properties.appId === this.#node) return;
        const news = message.properties.type === TYPE ? newsOf(message.content.toString('utf8')) : undefined;
        if (news === undefined) this.#log.warn('news that cannot be read');
        else this.#tell(news);
      },
      { noAck: true },
    );
  }

  close(): void {
    this.#listeners.clear();
    this.#channel = undefined;
  }

  async #opened(model: ChannelModel, broken: (reason: unknown) => void): Promise<Channel> {
    const channel = await model.createChannel();
    channel.on('error', broken);
    return channel;
  }

  #tell(news: News): void {
    for (const listener of this.#listeners) listener(news);
  }
}
