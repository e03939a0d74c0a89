import type { Clock } from '../../contracts/ports/clock.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { EventExchange, EventMessage } from '../../contracts/ports/public-event.ts';
import { TooLate, within } from '../../contracts/within.ts';
import { CONTENT_TYPE } from './cloud-event.ts';
import type { ChannelModel, ConfirmChannel } from './connection.ts';

interface Parts {
  readonly exchange: string;
  /** Whether the connection takes anything now: into one that is blocked, all that is written waits in memory. */
  readonly taking: () => boolean;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long the queues of others may take to keep a batch, ms. */
  readonly confirmMs: number;
}

/** For the broker's word on a channel. */
const WORD_MS = 5_000;
/** For a queue that kept silent over the batch before. */
const SILENCE_MS = 500;

/**
 * The topic exchange at which others bind their queues. On a channel of its own, so that what befalls it (somebody deletes the exchange) befalls no lease; the
 * next batch opens another, and declares the exchange again.
 *
 * One batch at a time, sent in order on one channel. So whatever of it a queue has got when it breaks off begins with the first, and when the same batch is sent
 * again, no queue has an event of a case for the first time before the ones that come before it.
 */
export class TopicExchange implements EventExchange {
  readonly #parts: Parts;
  #model: ChannelModel | undefined;
  #channel: ConfirmChannel | undefined;
  #opening: Promise<ConfirmChannel> | undefined;
  /** As the last batch found the queues of others. */
  #sound = true;
  #silence = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Declares it, so that others can bind before there is anything to publish. */
  attach(model: ChannelModel): void {
    this.#model = model;
    this.#channel = undefined;
    this.#opening = undefined;
    const { exchange, log } = this.#parts;
    this.#open().catch((error: unknown) => log.warn('the exchange of the events is not there', { exchange, error }));
  }

  detach(): void {
    this.#model = undefined;
    this.#channel = undefined;
    this.#opening = undefined;
  }

  get open(): boolean {
    return this.#model !== undefined && this.#parts.taking();
  }

  async publish(messages: readonly EventMessage[]): Promise<void> {
    if (!this.open) throw new Error('the broker takes nothing');
    const channel = this.#channel ?? (await this.#open());
    try {
      await this.#send(channel, messages);
    } catch (error) {
      // What was sent on it may still be on its way.
      this.#channel = undefined;
      channel.close().catch(() => {});
      throw error;
    }
  }

  #open(): Promise<ConfirmChannel> {
    const { exchange, clock } = this.#parts;
    if (this.#opening === undefined) {
      const opening = within(this.#opened(), WORD_MS, `declaring ${exchange}`, clock).finally(() => {
        if (this.#opening === opening) this.#opening = undefined;
      });
      this.#opening = opening;
    }
    return this.#opening;
  }

  async #opened(): Promise<ConfirmChannel> {
    const model = this.#model;
    if (model === undefined) throw new Error('no connection');
    const channel = await model.createConfirmChannel();
    const ended = (): void => {
      if (this.#channel === channel) this.#channel = undefined;
    };
    // Without one of these, an error would end the process; a channel ends with its connection without any.
    channel.on('error', ended);
    channel.on('close', ended);
    await channel.assertExchange(this.#parts.exchange, 'topic', { durable: true });
    if (this.#model !== model) throw new Error('the connection ended');
    this.#channel = channel;
    return channel;
  }

  async #send(channel: ConfirmChannel, messages: readonly EventMessage[]): Promise<void> {
    const { exchange, clock, confirmMs, log } = this.#parts;
    const patienceMs = this.#silence ? Math.min(confirmMs, SILENCE_MS) : confirmMs;
    let waiting = messages.length;
    let refused = 0;
    const confirmed = Promise.all(
      messages.map(
        (message) =>
          new Promise<void>((resolve, reject) => {
            this.#sendOne(channel, message, (error) => {
              waiting -= 1;
              // The only word of the library for a `nack`; everything else is an end of the channel.
              if (error !== null && error.message !== 'message nacked') return reject(error);
              if (error !== null) refused += 1;
              resolve();
            });
          }),
      ),
    );
    try {
      await within(confirmed, patienceMs, 'a batch of events', clock);
    } catch (error) {
      if (!(error instanceof TooLate)) throw error;
      // The broker answers in order: when it answers this, it has given all of them to every queue that is bound, and one of those keeps silent.
      await within(channel.checkExchange(exchange), WORD_MS, 'a word of the broker', clock);
    }
    // Sent again, they would reach that queue behind their successors, and all others a second time.
    const sound = waiting === 0 && refused === 0;
    if (!sound && this.#sound)
      log.warn('a queue of others does not take events, and goes without', { refused, silent: waiting });
    this.#sound = sound;
    this.#silence = waiting > 0;
  }

  #sendOne(channel: ConfirmChannel, message: EventMessage, settled: (error: Error | null) => void): void {
    const { id, kind, keys, content } = message;
    const [key = '', ...more] = keys;
    channel.publish(
      this.#parts.exchange,
      key,
      content,
      { contentType: CONTENT_TYPE, persistent: true, messageId: id, type: kind, ...(more.length > 0 && { BCC: more }) },
      settled,
    );
  }
}
