import type { Clock } from '../../contracts/ports/clock.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { DeliveryStore, Lease, LeaseName } from '../../contracts/ports/store.ts';
import { TooLate, within } from '../../contracts/within.ts';
import { BoundedWarnings } from './bounded-warnings.ts';
import type { Channel, ChannelModel, ConsumeMessage, GetMessage } from './connection.ts';
import { read } from './lease-message.ts';

/**
 * Why a message did nothing. `unreadable`: it names no lease of this lane. `nothingToBegin`: the store has none of this name to begin, because the name was made up or
 * copied, or the lease has ended. `begunBefore`: the broker gives a message out again, and whoever had it has begun.
 */
export type Ignored = 'unreadable' | 'nothingToBegin' | 'begunBefore';

export interface LaneParts {
  readonly lane: Party;
  readonly queue: string;
  readonly handle: (lease: Lease) => Promise<void>;
  readonly concurrency: number;
  readonly begin: DeliveryStore['begin'];
  readonly ignored: (why: Ignored) => void;
  /** Makes sure that the queue is there. */
  readonly assertQueue: (channel: Channel) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A message in hand, and the channel it has to be acknowledged on. */
interface Arrived {
  readonly name: LeaseName;
  readonly redelivered: boolean;
  readonly done: () => void;
}

const FIRST_REST_MS = 200;
const LONGEST_REST_MS = 15_000;
/** For each of the broker's words in a stop. */
const WORD_MS = 2_000;
/** A queue that does not answer for so long, on a connection that does, never will: it has lost its leader (rabbitmq-server #10070). */
const TAKE_MS = 10_000;
/** The broker itself waits for such a queue before it deletes it by force. */
const DELETE_MS = 30_000;

/**
 * One lane's queue, consumed on a channel of its own, so that what befalls one lane's queue befalls no other lane.
 *
 * A message is a question: whether there is such a lease to begin. The store says yes once, over all nodes, so that a message that is forged, copied or given out
 * again does nothing; and says what is to be sent. What the store cannot say now, because it is away, is not handled; the lease runs out, and nobody has begun it.
 */
export class ConsumedLane {
  readonly #parts: LaneParts;
  readonly #warnings: BoundedWarnings;
  readonly #waiting: Arrived[] = [];
  readonly #underWay = new Set<Promise<void>>();
  #model: ChannelModel | undefined;
  #consuming: { readonly channel: Channel; readonly tag: string } | undefined;
  #giveBack: ((lease: Lease) => Promise<void>) | undefined;
  #givingBack: Promise<unknown>[] = [];
  #stopping = false;
  #lame = false;
  #failures = 0;
  #stopTimer = () => {};

  constructor(parts: LaneParts) {
    this.#parts = parts;
    this.#warnings = new BoundedWarnings(parts.clock, parts.log, { lane: parts.lane });
  }

  /** Consumes on this connection from now on. Resolves when it does, or has failed and will be tried again. */
  async take(model: ChannelModel): Promise<void> {
    if (this.#model === model) return;
    this.#model = model;
    await this.#consume(model);
  }

  async #consume(model: ChannelModel): Promise<void> {
    const { lane, queue, log } = this.#parts;
    try {
      if (this.#lame) {
        log.warn('the queue of a lane does not answer; it is made anew', { lane });
        await within(deleted(model, queue), DELETE_MS, `deleting ${queue}`, this.#parts.clock);
        this.#lame = false;
      }
      await this.#begin(model);
      this.#failures = 0;
    } catch (error) {
      this.#lame ||= error instanceof TooLate;
      this.#again(model, error);
    }
  }

  async #begin(model: ChannelModel): Promise<void> {
    const { queue, concurrency, assertQueue, clock } = this.#parts;
    const channel = await model.createChannel();
    let ended: unknown;
    const end = (reason: unknown): void => {
      ended = reason;
      this.#ended(channel, reason);
    };
    // Without one, a channel ends with its connection.
    channel.on('error', end);
    const consuming = async (): Promise<string> => {
      await assertQueue(channel);
      await channel.prefetch(concurrency);
      const { consumerTag } = await channel.consume(queue, (message) => {
        if (message !== null) return this.#arrived(channel, message);
        close(channel);
        end(new Error('its queue was deleted'));
      });
      return consumerTag;
    };
    const begun = consuming();
    try {
      const tag = await within(begun, TAKE_MS, `consuming ${queue}`, clock);
      if (ended !== undefined) throw ended;
      if (this.#stopping || this.#model !== model) close(channel);
      else this.#consuming = { channel, tag };
    } catch (error) {
      // Should it come to consume after all, it is one too many.
      begun.catch(() => {}).finally(() => close(channel));
      throw error;
    }
  }

  /** The connection is gone. What is in hand and not begun is given out again, and is whose who begins it first. */
  lost(): void {
    this.#model = undefined;
    this.#consuming = undefined;
    this.#stopTimer();
  }

  /**
   * No new call. What is in hand or lies in the queue is given to `returned`: were there nobody else to consume it, it would only run out. Without `returned`,
   * what is in hand runs out, and what lies in the queue is left to others.
   */
  async stop(returned?: (lease: Lease) => Promise<void>): Promise<void> {
    const { clock } = this.#parts;
    this.#stopping = true;
    this.#stopTimer();
    this.#giveBack = returned;
    const consuming = this.#consuming;
    this.#consuming = undefined;
    this.#pump();
    if (consuming !== undefined) {
      // A broker that does not answer gives it to others when the connection ends.
      await within(this.#leave(consuming, returned !== undefined), WORD_MS, 'leaving a lane', clock).catch(() => {});
    }
    await Promise.allSettled([...this.#underWay, ...this.#givingBack]);
    await within(consuming?.channel.close() ?? Promise.resolve(), WORD_MS, 'closing a channel', clock).catch(() => {});
  }

  async #leave({ channel, tag }: { readonly channel: Channel; readonly tag: string }, drain: boolean): Promise<void> {
    const { queue } = this.#parts;
    await channel.cancel(tag);
    if (!drain) return;
    // Not until it is empty: others may publish what we give back, and it would go round.
    const { messageCount } = await channel.checkQueue(queue);
    for (let n = 0; n < messageCount; n += 1) {
      const message = await channel.get(queue);
      if (message === false) return;
      this.#arrived(channel, message);
    }
  }

  #arrived(channel: Channel, message: GetMessage | ConsumeMessage): void {
    const { lane } = this.#parts;
    const done = (): void => {
      try {
        channel.ack(message);
      } catch {
        // The channel has ended: the broker gives it out again, and whoever gets it finds that it was begun.
      }
    };
    const name = read(message, lane);
    if ('unreadable' in name) {
      this.#ignore('unreadable', 'a message on a lane names no lease of it; nothing is done', name.unreadable);
      done();
    } else {
      this.#waiting.push({ name, redelivered: message.fields.redelivered, done });
      this.#pump();
    }
  }

  #ignore(why: Ignored, message: string, reason: string, id?: string): void {
    this.#parts.ignored(why);
    this.#warnings.warn(message, { lane: this.#parts.lane, reason, ...(id === undefined ? {} : { envelope: id }) });
  }

  #pump(): void {
    const { concurrency } = this.#parts;
    // After a lost connection the old ones are still under way, and the broker counts from nought.
    while (this.#stopping || this.#underWay.size < concurrency) {
      const arrived = this.#waiting.shift();
      if (arrived === undefined) return;
      if (this.#stopping) this.#givingBack.push(this.#return(arrived).finally(arrived.done));
      else this.#handle(arrived);
    }
  }

  #handle(arrived: Arrived): void {
    const { handle, lane, log } = this.#parts;
    const begunAndHandled = async (): Promise<void> => {
      const lease = await this.#beginLease(arrived);
      if (lease === undefined) return;
      // It was being begun when the stop came.
      if (this.#stopping) return this.#returned(lease);
      await handle(lease).catch((error: unknown) =>
        log.error('a lease was not handled', { lane, envelope: lease.envelope.id, error }),
      );
    };
    const work = begunAndHandled().finally(() => {
      this.#underWay.delete(work);
      arrived.done();
      this.#pump();
    });
    this.#underWay.add(work);
  }

  /** Undefined: there is nothing to do, and that is told. */
  async #beginLease({ name, redelivered }: Arrived): Promise<Lease | undefined> {
    const { begin, lane, log } = this.#parts;
    try {
      const lease = await begin(name);
      if (lease !== undefined) return lease;
    } catch (error) {
      log.warn('a lease could not be begun; it runs out', { lane, envelope: name.id, error });
      return undefined;
    }
    if (redelivered)
      this.#ignore(
        'begunBefore',
        'a lease came a second time; nothing is done',
        'whoever had it first has begun it, or it has ended',
        name.id,
      );
    else
      this.#ignore(
        'nothingToBegin',
        'a message names a lease that there is not to begin; nothing is done',
        'it has ended, or its name was copied or made up',
        name.id,
      );
    return undefined;
  }

  /** Only who begins it knows that nobody else does: so what goes back has been begun, too. */
  async #return(arrived: Arrived): Promise<void> {
    if (this.#giveBack === undefined) return;
    const lease = await this.#beginLease(arrived);
    if (lease !== undefined) await this.#returned(lease);
  }

  async #returned(lease: Lease): Promise<void> {
    const { lane, log } = this.#parts;
    try {
      await this.#giveBack?.(lease);
    } catch (error) {
      log.warn('a lease could not be given back; it runs out', { lane, envelope: lease.envelope.id, error });
    }
  }

  #ended(channel: Channel, reason: unknown): void {
    if (this.#consuming?.channel !== channel) return;
    this.#consuming = undefined;
    if (this.#model !== undefined) this.#again(this.#model, reason);
  }

  #again(model: ChannelModel, reason: unknown): void {
    // With the connection everything is taken up anew.
    if (this.#stopping || this.#model !== model) return;
    const { lane, clock, log } = this.#parts;
    log.warn('a lane is not consumed; taking it up again', {
      lane,
      reason: reason instanceof Error ? reason.message : String(reason),
    });
    const longest = Math.min(FIRST_REST_MS * 2 ** this.#failures, LONGEST_REST_MS);
    this.#failures += 1;
    this.#stopTimer();
    this.#stopTimer = clock.after(longest * (0.5 + clock.random() / 2), () => {
      if (this.#model === model && !this.#stopping) void this.#consume(model);
    });
  }
}

function close(channel: Channel): void {
  // The channel may have ended already.
  channel.close().catch(() => {});
}

async function deleted(model: ChannelModel, queue: string): Promise<void> {
  const channel = await model.createChannel();
  channel.on('error', () => {});
  await channel.deleteQueue(queue);
  close(channel);
}
