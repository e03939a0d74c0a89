import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from '../../contracts/ports/logger.ts';
import { type IsTrusted, networkOf, plainAddress } from './address.ts';
import type { Locals } from './route.ts';

export interface ConnectionLimits {
  /** Of all callers together. */
  readonly connections: number;
  /** Of one address, IPv6 by /64; proxies that are trusted are exempt. */
  readonly connectionsPerAddress: number;
}

interface Connection {
  readonly socket: Socket;
  readonly network: string;
  readonly exchanges: Map<IncomingMessage, ServerResponse>;
  /** Its last exchange has ended, and no other has begun. One that has never sent a whole head is not idle, but unfinished. */
  idle: boolean;
  /** A signed request came over it. */
  proved: boolean;
  /** ms on the monotonic clock: since when it is what it is. */
  since: number;
}

/** Between two log lines about one limit. */
const QUIET_MS = 60_000;

/**
 * The sockets of one server, and which of them gives way when there are too many: whoever opens a connection and does not send a whole request takes the place
 * only until another needs it. Half-sent heads, half-sent bodies and answers that nobody reads give way first, the oldest of the address that has most; then idle
 * connections, those of signed callers last. What is being worked on never does.
 */
export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #trusted: IsTrusted;
  readonly #log: Logger;
  readonly #byNetwork = new Map<string, Set<Connection>>();
  readonly #bySocket = new Map<string, Connection>();
  #toldAt = Number.NEGATIVE_INFINITY;
  #closed = 0;

  constructor(limits: ConnectionLimits, trusted: IsTrusted, log: Logger) {
    this.#limits = limits;
    this.#trusted = trusted;
    this.#log = log;
  }

  /** A socket was accepted. */
  opened(socket: Socket): void {
    const address = plainAddress(socket.remoteAddress);
    const network = networkOf(address);
    const ofNetwork = this.#byNetwork.get(network) ?? new Set();
    const { connections, connectionsPerAddress } = this.#limits;
    if (ofNetwork.size >= connectionsPerAddress && !this.#trusted(address)) {
      if (!this.#giveWay(ofNetwork)) {
        this.#refuse(socket, network);
        return;
      }
      this.#tell('connections of one address are at their limit: the oldest unfinished one was closed', network);
    } else if (this.#bySocket.size >= connections) {
      const most = [...this.#byNetwork.values()].reduce((a, b) => (b.size > a.size ? b : a), ofNetwork);
      if (!this.#giveWay(most) && !this.#giveWay(this.#bySocket.values())) {
        this.#refuse(socket, network);
        return;
      }
      this.#tell('connections are at their limit: the oldest unfinished one was closed', network);
    }
    const connection = { socket, network, exchanges: new Map(), idle: false, proved: false, since: performance.now() };
    const name = nameOf(socket);
    this.#byNetwork.set(network, ofNetwork.add(connection));
    this.#bySocket.set(name, connection);
    socket.once('close', () => this.#gone(name, connection));
  }

  /** A request's head is there. Under TLS its socket is another object than the one that was accepted. */
  begun(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#bySocket.get(nameOf(request.socket));
    if (connection === undefined) return;
    connection.exchanges.set(request, response);
    connection.idle = false;
    connection.since = performance.now();
    const over = (): void => {
      connection.proved ||= isProved(response);
      connection.exchanges.delete(request);
      connection.idle = connection.exchanges.size === 0;
      connection.since = performance.now();
    };
    response.once('close', () => {
      // One that was answered before it had come whole is not over before the rest of it has come.
      if (request.complete || request.destroyed) over();
      else request.once('close', over);
    });
  }

  /** Whether an answer to what is under way on this socket has begun: another must not be written into it. */
  answering(socket: Socket): boolean {
    const connection = this.#bySocket.get(nameOf(socket));
    return connection !== undefined && [...connection.exchanges.values()].some(({ headersSent }) => headersSent);
  }

  #giveWay(among: Iterable<Connection>): boolean {
    let first: Connection | undefined;
    for (const one of among) {
      if (!mayGiveWay(one)) continue;
      if (first === undefined || rank(one) < rank(first) || (rank(one) === rank(first) && one.since < first.since))
        first = one;
    }
    if (first === undefined) return false;
    this.#closed += 1;
    // It is out of the count at once, not when its socket has closed.
    this.#gone(nameOf(first.socket), first);
    first.socket.destroy();
    return true;
  }

  #refuse(socket: Socket, network: string): void {
    this.#closed += 1;
    this.#tell('connections are at their limit, and all are being worked on: a new one was closed', network);
    socket.destroy();
  }

  #gone(name: string, connection: Connection): void {
    const { network } = connection;
    if (this.#bySocket.get(name) === connection) this.#bySocket.delete(name);
    const ofNetwork = this.#byNetwork.get(network);
    if (ofNetwork?.delete(connection) && ofNetwork.size === 0) this.#byNetwork.delete(network);
  }

  #tell(message: string, address: string): void {
    const now = performance.now();
    if (now - this.#toldAt < QUIET_MS) return;
    this.#toldAt = now;
    this.#log.warn(message, { address, closed: this.#closed, open: this.#bySocket.size });
    this.#closed = 0;
  }
}

const nameOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;

/** Idle ones later, since their caller has sent whole requests before; last of all those over which somebody has proved who they are. */
const rank = ({ idle, proved }: Connection): number => (idle ? (proved ? 2 : 1) : 0);

const isProved = (response: ServerResponse & { readonly locals?: Partial<Locals> }): boolean =>
  response.locals?.caller !== undefined;

/** Nothing that was sent whole is being worked on. An answer that is written and not read holds nobody's work either. */
function mayGiveWay({ exchanges }: Connection): boolean {
  for (const [request, response] of exchanges) if (request.complete && !response.writableEnded) return false;
  return true;
}
