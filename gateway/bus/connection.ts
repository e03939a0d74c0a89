import { type ChannelModel, connect } from 'amqplib';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import { verifiedTls, type WatchedTlsFiles } from '../../contracts/tls-files.ts';
import { within } from '../../contracts/within.ts';

export type { Channel, ChannelModel, ConfirmChannel, ConsumeMessage, GetMessage, Options } from 'amqplib';

/** The broker does not let us in, or its address is none: a person has to mend the settings, waiting does not. */
export class BrokerRefused extends Error {
  override readonly name = 'BrokerRefused';
}

export interface ConnectionParts {
  readonly url: string;
  /** Shown in the broker's list of connections, and in the log. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** With an address that begins with amqps://; a connection made later uses what stands in the files then. */
  readonly tls?: Pick<WatchedTlsFiles, 'contents'> | undefined;
  /** Builds what lives on a new connection. When it rejects, the connection is dropped and made anew. */
  readonly up: (model: ChannelModel) => Promise<void>;
  /** The connection is gone, and all that lived on it. */
  readonly down: () => void;
}

const CONNECT_MS = 10_000;
/** To build what lives on a connection; the heartbeats bound each single word of it. */
const BUILD_MS = 30_000;
const CLOSE_MS = 1_000;
/** Silence of two to three of these is the end of a connection; so is a broker paused for so long. */
const HEARTBEAT_S = 10;
const FIRST_REST_MS = 500;
const LONGEST_REST_MS = 15_000;
/** No rest is shorter, whatever chance says. */
const LEAST_REST_MS = 50;
/** A connection that held for so long was sound: the next rest is a short one again. */
const STEADY_MS = 30_000;

/**
 * One connection to the broker, made anew whenever it is lost.
 *
 *   connecting → up       `up` has built everything
 *   connecting → resting  not reached, or `up` failed
 *   up         → resting  lost
 *   resting    → connecting
 *   any        → closed
 */
export class Connection {
  readonly #parts: ConnectionParts;
  readonly #url: URL;
  #state: 'connecting' | 'up' | 'resting' | 'closed' = 'resting';
  #model: ChannelModel | undefined;
  /** Ends the socket at once, in any state: a deaf peer would keep it open for minutes. */
  #cut = new AbortController();
  #failures = 0;
  #since = 0;
  #told = '';
  #stopTimer = () => {};

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
    // The error of `new URL` would carry the password.
    if (!URL.canParse(parts.url)) throw new BrokerRefused('AMQP_URL: 地址无法识别 / the address cannot be read');
    this.#url = new URL(parts.url);
    if (!this.#url.searchParams.has('heartbeat')) this.#url.searchParams.set('heartbeat', String(HEARTBEAT_S));
  }

  /** Undefined while there is none; it may still be being built on. */
  get model(): ChannelModel | undefined {
    return this.#model;
  }

  get up(): boolean {
    return this.#state === 'up';
  }

  /** The first try. A broker that is away is tried again from now on; @throws BrokerRefused when user or password is wrong */
  async start(): Promise<void> {
    const failed = await this.#connect();
    if (!(failed instanceof BrokerRefused)) return;
    await this.close();
    throw failed;
  }

  /** Something on it is broken that only a new connection mends. */
  drop(reason: unknown): void {
    if (this.#model === undefined) return;
    this.#lost(this.#model, reason);
  }

  async close(): Promise<void> {
    this.#stopTimer();
    const model = this.#model;
    this.#state = 'closed';
    if (model !== undefined) {
      this.#model = undefined;
      this.#parts.down();
      const { clock } = this.#parts;
      await within(model.close(), CLOSE_MS, 'the goodbye', clock).catch(() => {});
    }
    this.#cut.abort();
  }

  async #connect(): Promise<unknown> {
    const { name, clock, log, up, tls } = this.#parts;
    this.#state = 'connecting';
    const cut = new AbortController();
    this.#cut = cut;
    let model: ChannelModel;
    // The socket's own time-out hears silence only; this one bounds the whole handshake.
    const stopTimer = clock.after(CONNECT_MS, () => cut.abort());
    try {
      const socket = { signal: cut.signal, noDelay: true, clientProperties: { connection_name: name } };
      model = await connect(this.#url.href, { ...socket, ...verifiedTls(tls?.contents ?? {}) });
    } catch (error) {
      const failed = cut.signal.aborted ? new Error(`no connection within ${CONNECT_MS} ms`) : this.#explained(error);
      cut.abort();
      this.#rest(failed);
      return failed;
    } finally {
      stopTimer();
    }
    if (this.#closed()) {
      cut.abort();
      return;
    }
    this.#model = model;
    // The end always comes as `close`; without a listener an `error` would end the process.
    model.on('error', (error) => log.debug('an error on the connection to the broker', { connection: name, error }));
    model.on('close', (error) => this.#lost(model, error ?? new Error('closed')));
    try {
      await within(up(model), BUILD_MS, 'the topology', clock);
    } catch (error) {
      this.#lost(model, error);
      return error;
    }
    if (this.#model !== model || this.#closed()) return;
    this.#state = 'up';
    this.#since = clock.now();
    this.#told = '';
    log.info('connected to the broker', { connection: name, broker: this.#url.host });
  }

  #closed(): boolean {
    return this.#state === 'closed';
  }

  #lost(model: ChannelModel, reason: unknown): void {
    if (this.#model !== model) return;
    this.#model = undefined;
    const steady = this.#state === 'up' && this.#parts.clock.now() - this.#since >= STEADY_MS;
    if (steady) this.#failures = 0;
    this.#cut.abort();
    this.#parts.down();
    this.#rest(reason);
  }

  #rest(reason: unknown): void {
    if (this.#closed()) return;
    const { name, clock, log } = this.#parts;
    this.#state = 'resting';
    const told = reason instanceof Error ? reason.message : String(reason);
    // The same again says nothing new.
    const level = told === this.#told ? 'debug' : reason instanceof BrokerRefused ? 'error' : 'warn';
    log[level]('no connection to the broker; trying again', { connection: name, broker: this.#url.host, reason: told });
    this.#told = told;
    const longest = Math.min(FIRST_REST_MS * 2 ** this.#failures, LONGEST_REST_MS);
    this.#failures += 1;
    this.#stopTimer = clock.after(LEAST_REST_MS + clock.random() * longest, () => void this.#connect());
  }

  /** The library's own words for a refusal name a frame; these say what to do. */
  #explained(error: unknown): unknown {
    const words = error instanceof Error ? error.message : '';
    const place = `${this.#url.host}, virtual host ${this.#url.pathname.slice(1) || '/'}`;
    if (words.includes('ACCESS-REFUSED'))
      return new BrokerRefused(
        `AMQP_URL: 消息代理拒绝登录（${place}）：用户名或密码不正确 / the broker refuses to let us in (${place}): wrong user or password`,
      );
    if (words.startsWith('Expected ConnectionOpenOk'))
      return new Error(
        `the broker does not open ${place}: there is no such virtual host yet, or the user has no permissions there`,
      );
    return error;
  }
}
