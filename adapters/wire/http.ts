import {
  type AgentOptions,
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import axios from 'axios';
import { countOf } from '../../contracts/count.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { verifiedTls } from '../../contracts/tls-files.ts';
import { notConnected } from './not-connected.ts';
import { type Handshake, handshake, lateRefusal, tlsOptions, type WireTls } from './tls.ts';
import type { Exchange, HttpRequest, HttpWire } from './wire.ts';

/** Node's codes for "nobody took a byte": the address or the port failed. */
const NOT_CONNECTED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EHOSTDOWN',
]);

/**
 * HTTP through axios, in the one place where it appears. Connections are bounded; no redirect is followed, no proxy of the environment is used.
 *
 * A kept connection may have been closed by the other side a moment ago, and whether a request written to it arrived cannot be told. So a write has a
 * connection of its own, and is certain to be unreachable when none can be made; a read goes on a kept one, and once more on a new one when that was stale.
 */
export function httpWire({ sockets = 64, tls }: HttpWireParts = {}): HttpWire {
  const pools = new Pools(sockets, tls);
  const client = axios.create({
    adapter: 'http',
    proxy: false,
    maxRedirects: 0,
    responseType: 'stream',
    validateStatus: () => true,
    transformRequest: [(data: unknown) => data],
    transformResponse: [(data: unknown) => data],
    // No limit of its own: with one, even an infinite one, the stream is wrapped, and ending the wrapper leaves the socket open.
    maxContentLength: -1,
    maxBodyLength: Number.POSITIVE_INFINITY,
  });

  async function attempt<T>(
    request: HttpRequest,
    how: Exchange,
    fresh: boolean,
    take: (response: Response) => T,
  ): Promise<Awaited<T>> {
    // The wait for a connection ends by itself; what came of the request after that is the deadline's affair.
    const connecting = new AbortController();
    const timer = setTimeout(() => connecting.abort(), how.connectMs);
    const connection = { made: false, kept: false };
    const signal = AbortSignal.any([how.signal, connecting.signal]);
    const { httpAgent, httpsAgent } = fresh ? pools.current.own : pools.current.kept;
    const ownCertificate = tls?.files.contents.cert !== undefined;
    try {
      const response = await client.request<Readable>({
        url: request.url,
        method: request.method,
        headers: { ...request.headers },
        ...(request.body === null ? {} : { data: Buffer.from(request.body) }),
        httpAgent,
        httpsAgent,
        signal,
        transport: watched(request.url, { signal, write: how.write, ownCertificate }, (reused) => {
          [connection.made, connection.kept] = [true, reused];
          clearTimeout(timer);
        }),
      } as Parameters<typeof client.request>[0]);
      const headers: Record<string, string> = {};
      for (const [name, value] of Object.entries(response.headers)) headers[name.toLowerCase()] = String(value);
      return await take({ status: response.status, headers, data: response.data });
    } catch (error) {
      if (connection.kept && !how.signal.aborted && !(error instanceof Fault))
        return await attempt(request, how, true, take);
      throw told(error, connection.made, how, ownCertificate);
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    exchange: (request, how) =>
      attempt(request, how, how.write, async ({ data, ...head }) => ({ ...head, body: await whole(data, how) })),
    stream: (request, how) =>
      attempt(request, how, how.write, ({ data, ...head }) => ({
        ...head,
        body: pieces(data, head.headers['content-length'], how),
      })),
    close: async () => pools.close(),
  };
}

export interface HttpWireParts {
  /** Connections at a time, of reads and of writes each. */
  readonly sockets?: number;
  /** For addresses that begin with https:; without it the issuers whom Node trusts, and no certificate of ours. */
  readonly tls?: WireTls | undefined;
}

interface Agents {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
}

/** The connections of one party. When its certificates change, those that stand are used to the end of their request, and none after that. */
class Pools {
  readonly #sockets: number;
  readonly #tls: WireTls | undefined;
  readonly #stopListening: () => void;
  #current: { readonly kept: Agents; readonly own: Agents };
  #retired: readonly Agents[] = [];

  constructor(sockets: number, tls: WireTls | undefined) {
    this.#sockets = sockets;
    this.#tls = tls;
    this.#current = this.#made();
    this.#stopListening = tls?.files.onChange(() => this.#renew()) ?? (() => {});
  }

  get current(): { readonly kept: Agents; readonly own: Agents } {
    return this.#current;
  }

  close(): void {
    this.#stopListening();
    for (const { httpAgent, httpsAgent } of [...Object.values(this.#current), ...this.#retired]) {
      httpAgent.destroy();
      httpsAgent.destroy();
    }
  }

  #made(): { readonly kept: Agents; readonly own: Agents } {
    const tls = this.#tls === undefined ? verifiedTls({}) : tlsOptions(this.#tls);
    const agents = (options: AgentOptions): Agents => ({
      httpAgent: new HttpAgent(options),
      httpsAgent: new CheckedAgent({ ...options, ...tls }),
    });
    return {
      kept: agents({ keepAlive: true, maxSockets: this.#sockets, maxFreeSockets: 8, scheduling: 'lifo' }),
      own: agents({ keepAlive: false, maxSockets: this.#sockets }),
    };
  }

  #renew(): void {
    const inUse = (agent: HttpAgent): boolean => Object.keys(agent.sockets).length > 0;
    this.#retired = [...this.#retired, ...Object.values(this.#current)].filter(
      ({ httpAgent, httpsAgent }) => inUse(httpAgent) || inUse(httpsAgent),
    );
    for (const { httpAgent, httpsAgent } of Object.values(this.#current)) {
      for (const agent of [httpAgent, httpsAgent]) {
        // None is kept from now on.
        agent.maxFreeSockets = 0;
        for (const free of Object.values(agent.freeSockets)) for (const socket of free ?? []) socket.destroy();
      }
    }
    this.#current = this.#made();
  }
}

/** How a connection over TLS is to be waited for: part of a request's options, and read by its agent. */
const HANDSHAKE = Symbol('handshake');

/** Gives a connection to its request only when the handshake is over: until then nothing is sent. */
class CheckedAgent extends HttpsAgent {
  override createConnection(
    options: RequestOptions & { readonly [HANDSHAKE]?: Handshake },
    callback?: (error: Error | null, socket: Duplex) => void,
  ): Duplex | null | undefined {
    const how = options[HANDSHAKE];
    const socket = super.createConnection(options) as TLSSocket;
    if (how === undefined || callback === undefined) return socket;
    handshake(socket, how, (fault) => callback(fault ?? null, socket));
    return undefined;
  }
}

/** Node's own transport, which tells when the connection stands, and whether it had stood before: until then nothing can have arrived. */
function watched(
  url: string,
  how: Handshake,
  connected: (reused: boolean) => void,
): { request(options: RequestOptions, then: (response: IncomingMessage) => void): ClientRequest } {
  const secure = url.startsWith('https:');
  return {
    request(options, then) {
      const request = secure
        ? httpsRequest({ ...options, [HANDSHAKE]: how } as RequestOptions, then)
        : httpRequest(options, then);
      request.once('socket', (socket: Socket) => {
        if (request.reusedSocket) connected(true);
        else if (secure || !socket.connecting) connected(false);
        else socket.once('connect', () => connected(false));
      });
      return request;
    },
  };
}

interface Response {
  readonly status: number;
  readonly headers: { readonly [name: string]: string };
  readonly data: Readable;
}

/** The body as it comes. Whoever stops reading ends it, also before the first chunk, and while the next does not come. */
function pieces(body: Readable, told: string | undefined, how: Exchange): AsyncIterable<Uint8Array> {
  const chunks = bounded(body, told, how);
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => chunks.next(),
      return: async () => {
        body.destroy();
        return chunks.return(undefined);
      },
    }),
  };
}

/** That as many bytes come as were announced is Node's own affair: it ends what is cut short with ECONNRESET. */
async function* bounded(body: Readable, told: string | undefined, how: Exchange): AsyncGenerator<Uint8Array> {
  const { signal, maxBytes, write } = how;
  const stop = (): void => void body.destroy(new Error('the deadline has passed'));
  signal.addEventListener('abort', stop, { once: true });
  let size = 0;
  try {
    if (signal.aborted) stop();
    if (Number(told) > maxBytes) throw tooLarge(maxBytes, write);
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) throw tooLarge(maxBytes, write);
      yield chunk;
    }
    if (!body.readableEnded) throw endedEarly();
  } catch (error) {
    throw error instanceof Fault ? error : silent((error as { code?: string }).code ?? 'cut off', how, error);
  } finally {
    signal.removeEventListener('abort', stop);
    body.destroy();
  }
}

async function whole(body: Readable, { signal, maxBytes, write }: Exchange): Promise<Buffer> {
  const stop = (): void => void body.destroy(new Error('the deadline has passed'));
  signal.addEventListener('abort', stop, { once: true });
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    if (signal.aborted) stop();
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) {
        body.destroy();
        throw tooLarge(maxBytes, write);
      }
      chunks.push(chunk);
    }
    if (!body.readableEnded) throw endedEarly();
    return Buffer.concat(chunks);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** A stream that was ended from outside before it was read looks like one that is over. */
const endedEarly = (): Error => new Error('ended before its end');

function tooLarge(maxBytes: number, write: boolean): Fault {
  return new Fault('malformed', {
    maybeArrived: write,
    reason: {
      code: 'tooLarge',
      zh: `应答超过 ${maxBytes} 字节的上限`,
      en: `the reply is larger than the limit of ${countOf(maxBytes, 'byte')}`,
    },
  });
}

function told(error: unknown, connected: boolean, how: Exchange, ownCertificate: boolean): Fault {
  if (error instanceof Fault) return error;
  const { code = 'failed', cause } = error as { code?: string; cause?: unknown };
  if (cause instanceof Fault) return cause;
  if (!connected || NOT_CONNECTED.has(code)) return notConnected(code, error);
  return lateRefusal(error, ownCertificate) ?? silent(code, how, error);
}

/** Sent, and no answer: whether a write has arrived is not known; a read has no effect to doubt. */
export function silent(code: string, { signal, write }: Exchange, cause: unknown): Fault {
  const reason = signal.aborted
    ? { code: 'silence', zh: '对方在时限内没有应答', en: 'they did not answer within the time limit' }
    : { code: 'reset', zh: `对方中断了连接（${code}）`, en: `they broke the connection off (${code})` };
  return new Fault(write ? 'inDoubt' : 'unreachable', { reason, cause });
}
