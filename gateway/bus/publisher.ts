import type { Clock } from '../../contracts/ports/clock.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { ChannelModel, ConfirmChannel, Options } from './connection.ts';

/** Nothing is bound where it was sent to: it went nowhere. */
export class Unroutable extends Error {
  override readonly name = 'Unroutable';
}

/** The broker took it in no queue: the queue is full, or has no leader. */
export class NotTaken extends Error {
  override readonly name = 'NotTaken';
}

export interface Outgoing {
  readonly exchange: string;
  readonly routingKey: string;
  readonly content: Buffer;
  readonly options: Omit<Options.Publish, 'messageId' | 'persistent'>;
}

/** `inDoubt`: it was sent, and the connection ended, or time ran out, before the broker confirmed it. It may be there. */
export type Taken = 'confirmed' | 'inDoubt';

interface Entry extends Outgoing {
  readonly messageId: string;
  sent: boolean;
  readonly settle: (how: Taken | Error) => void;
}

/** Unconfirmed at a time: enough to keep a link of some milliseconds full. */
const IN_FLIGHT = 256;
/** Beyond these, whoever publishes is told at once. */
const WAITING = 1_024;

/**
 * Publishes with confirms: many under way at once, each settled by its own confirm. What cannot be sent yet (no connection, a blocked one, too many under
 * way) waits, up to `withinMs`; then it is rejected, and certainly was not sent.
 */
export class Publisher {
  readonly #parts: { readonly clock: Clock; readonly log: Logger; readonly withinMs: number };
  readonly #waiting = new Set<Entry>();
  readonly #sent = new Map<string, Entry>();
  #channel: ConfirmChannel | undefined;
  #broken: (reason: unknown) => void = () => {};
  #unconfirmed = 0;
  #blocked = false;
  #full = false;
  #count = 0;
  #closed = false;

  constructor(parts: { readonly clock: Clock; readonly log: Logger; readonly withinMs: number }) {
    this.#parts = parts;
  }

  /** @param broken called when only a new connection helps */
  async attach(model: ChannelModel, broken: (reason: unknown) => void): Promise<void> {
    const { log } = this.#parts;
    this.#blocked = false;
    this.#full = false;
    this.#unconfirmed = 0;
    model.on('blocked', (why) => {
      this.#blocked = true;
      log.warn('the broker takes nothing for the moment; what waits is given back', { reason: why });
    });
    model.on('unblocked', () => {
      this.#blocked = false;
      log.info('the broker takes again');
      this.#pump();
    });
    const channel = await model.createConfirmChannel();
    channel.on('error', broken);
    channel.on('return', ({ properties, fields }) => {
      const entry = this.#sent.get(String(properties.messageId));
      entry?.settle(new Unroutable(`nothing is bound at ${fields.exchange || 'the queue'} ${fields.routingKey}`));
    });
    channel.on('drain', () => {
      this.#full = false;
      this.#pump();
    });
    this.#channel = channel;
    this.#broken = broken;
    this.#pump();
  }

  detach(): void {
    this.#channel = undefined;
    for (const entry of [...this.#sent.values()]) entry.settle('inDoubt');
  }

  get open(): boolean {
    return this.#channel !== undefined && !this.#blocked;
  }

  publish(message: Outgoing): Promise<Taken> {
    if (this.#closed) return Promise.reject(new Error('the bus is closed'));
    if (this.#waiting.size >= WAITING)
      return Promise.reject(new Error(`${WAITING} messages wait for the broker already`));
    const { clock, log, withinMs } = this.#parts;
    return new Promise((resolve, reject) => {
      this.#count += 1;
      const messageId = String(this.#count);
      let stopTimer = () => {};
      const entry: Entry = {
        ...message,
        messageId,
        sent: false,
        settle: (how) => {
          stopTimer();
          this.#waiting.delete(entry);
          this.#sent.delete(messageId);
          if (how instanceof Error) reject(how);
          else resolve(how);
        },
      };
      stopTimer = clock.after(withinMs, () => {
        if (!entry.sent)
          return entry.settle(new Error(`the broker was not to be had within ${withinMs} ms (${this.#why()})`));
        log.warn('the broker did not confirm a message in time; it may be there', { routingKey: entry.routingKey });
        entry.settle('inDoubt');
        // Queues that never answer (they have lost their leader) have used up every place.
        if (this.#sent.size === 0 && this.#unconfirmed >= IN_FLIGHT) this.#broken(new Error('nothing is confirmed'));
      });
      this.#waiting.add(entry);
      this.#pump();
    });
  }

  close(): void {
    this.#closed = true;
    for (const entry of [...this.#waiting]) entry.settle(new Error('the bus is closed'));
    this.detach();
  }

  #why(): string {
    if (this.#channel === undefined) return 'no connection';
    return this.#blocked ? 'it is blocked' : 'too much is under way';
  }

  #pump(): void {
    for (const entry of this.#waiting) {
      const channel = this.#channel;
      if (channel === undefined || this.#blocked || this.#full || this.#unconfirmed >= IN_FLIGHT) return;
      this.#waiting.delete(entry);
      this.#send(channel, entry);
    }
  }

  #send(channel: ConfirmChannel, entry: Entry): void {
    const { exchange, routingKey, content, messageId, options } = entry;
    entry.sent = true;
    this.#sent.set(messageId, entry);
    try {
      const room = channel.publish(
        exchange,
        routingKey,
        content,
        { ...options, messageId, persistent: true },
        (error) => {
          if (this.#channel !== channel) return;
          this.#unconfirmed -= 1;
          // A return has settled it before.
          if (error === null) entry.settle('confirmed');
          // The only word of the library for a `nack`; everything else is an end of the channel.
          else if ((error as Error).message === 'message nacked')
            entry.settle(new NotTaken(`the broker does not take it (${routingKey}): the queue is full, or failed`));
          else entry.settle('inDoubt');
          this.#pump();
        },
      );
      this.#unconfirmed += 1;
      this.#full = !room;
    } catch (error) {
      // Thrown before anything was written.
      entry.settle(error instanceof Error ? error : new Error(String(error)));
    }
  }
}
