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
import type { Readable } from 'node:stream';
import axios from 'axios';
import { countOf } from '../../contracts/count.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Exchange, HttpRequest, HttpWire } from './wire.ts';

/** Node's codes for "nobody took a byte": the address, the port or the handshake failed. */
const NOT_CONNECTED: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'EHOSTDOWN',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'SELF_SIGNED_CERT_IN_CHAIN',
]);

/**
 * HTTP through axios, in the one place where it appears. Connections are bounded; no redirect is followed, no proxy of the environment is used.
 *
 * A kept connection may have been closed by the other side a moment ago, and whether a request written to it arrived cannot be told. So a write has a
 * connection of its own, and is certain to be unreachable when none can be made; a read goes on a kept one, and once more on a new one when that was stale.
 */
export function httpWire({ sockets = 64 }: { readonly sockets?: number } = {}): HttpWire {
  const kept = agents({ keepAlive: true, maxSockets: sockets, maxFreeSockets: 8, scheduling: 'lifo' });
  const own = agents({ keepAlive: false, maxSockets: sockets });
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
    const { httpAgent, httpsAgent } = fresh ? own : kept;
    try {
      const response = await client.request<Readable>({
        url: request.url,
        method: request.method,
        headers: { ...request.headers },
        ...(request.body === null ? {} : { data: Buffer.from(request.body) }),
        httpAgent,
        httpsAgent,
        signal: AbortSignal.any([how.signal, connecting.signal]),
        transport: watched(request.url, (reused) => {
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
      throw told(error, connection.made, how);
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
    async close() {
      for (const { httpAgent, httpsAgent } of [kept, own]) {
        httpAgent.destroy();
        httpsAgent.destroy();
      }
    },
  };
}

function agents(options: AgentOptions): { readonly httpAgent: HttpAgent; readonly httpsAgent: HttpsAgent } {
  return { httpAgent: new HttpAgent(options), httpsAgent: new HttpsAgent(options) };
}

/** Node's own transport, which tells when the connection stands, and whether it had stood before: until then nothing can have arrived. */
function watched(
  url: string,
  connected: (reused: boolean) => void,
): { request(options: RequestOptions, then: (response: IncomingMessage) => void): ClientRequest } {
  const secure = url.startsWith('https:');
  return {
    request(options, then) {
      const request = (secure ? httpsRequest : httpRequest)(options, then);
      request.once('socket', (socket: Socket) => {
        if (request.reusedSocket) connected(true);
        else if (!socket.connecting && !secure) connected(false);
        else socket.once(secure ? 'secureConnect' : 'connect', () => connected(false));
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

function told(error: unknown, connected: boolean, how: Exchange): Fault {
  if (error instanceof Fault) return error;
  const { code = 'failed' } = error as { code?: string };
  if (!connected || NOT_CONNECTED.has(code)) return notConnected(code, error);
  return silent(code, how, error);
}

/** It certainly did not arrive. */
export function notConnected(code: string, cause: unknown): Fault {
  const refused = code === 'ECONNREFUSED';
  return new Fault('unreachable', {
    reason: refused
      ? { code: 'connectRefused', zh: '对方系统未开启，连接被拒绝', en: 'nobody listens at their address' }
      : {
          code: 'notConnected',
          zh: `无法连接对方系统（${code}）`,
          en: `their system could not be connected to (${code})`,
        },
    cause,
  });
}

/** Sent, and no answer: whether a write has arrived is not known; a read has no effect to doubt. */
export function silent(code: string, { signal, write }: Exchange, cause: unknown): Fault {
  const reason = signal.aborted
    ? { code: 'silence', zh: '对方在时限内没有应答', en: 'they did not answer within the time limit' }
    : { code: 'reset', zh: `对方中断了连接（${code}）`, en: `they broke the connection off (${code})` };
  return new Fault(write ? 'inDoubt' : 'unreachable', { reason, cause });
}
