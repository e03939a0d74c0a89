import {
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
import { Fault } from '../../contracts/ports/fault.ts';
import type { Exchange, HttpReply, HttpRequest, HttpWire } from './wire.ts';

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

/** HTTP through axios, in the one place where it appears. Connections are kept and bounded; no redirect is followed, no proxy of the environment is used. */
export function httpWire({ sockets = 64 }: { readonly sockets?: number } = {}): HttpWire {
  const options = { keepAlive: true, maxSockets: sockets, maxFreeSockets: 8, scheduling: 'lifo' as const };
  const [httpAgent, httpsAgent] = [new HttpAgent(options), new HttpsAgent(options)];
  const client = axios.create({
    adapter: 'http',
    httpAgent,
    httpsAgent,
    proxy: false,
    maxRedirects: 0,
    responseType: 'stream',
    validateStatus: () => true,
    transformRequest: [(data: unknown) => data],
    transformResponse: [(data: unknown) => data],
    maxContentLength: Number.POSITIVE_INFINITY,
    maxBodyLength: Number.POSITIVE_INFINITY,
  });

  return {
    async exchange(request: HttpRequest, how: Exchange): Promise<HttpReply> {
      // The wait for a connection ends by itself; what came of the request after that is the deadline's affair.
      const connecting = new AbortController();
      const timer = setTimeout(() => connecting.abort(), how.connectMs);
      let connected = false;
      const onSocket = (): void => {
        connected = true;
        clearTimeout(timer);
      };
      try {
        const response = await client.request<Readable>({
          url: request.url,
          method: request.method,
          headers: { ...request.headers },
          ...(request.body === null ? {} : { data: Buffer.from(request.body) }),
          signal: AbortSignal.any([how.signal, connecting.signal]),
          transport: watched(request.url, onSocket),
        } as Parameters<typeof client.request>[0]);
        const headers: Record<string, string> = {};
        for (const [name, value] of Object.entries(response.headers)) headers[name.toLowerCase()] = String(value);
        return { status: response.status, headers, body: await whole(response.data, how) };
      } catch (error) {
        throw told(error, connected, how);
      } finally {
        clearTimeout(timer);
      }
    },
    async close() {
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}

/** Node's own transport, which tells when the connection stands: before that nothing can have arrived. */
function watched(
  url: string,
  connected: () => void,
): { request(options: RequestOptions, then: (response: IncomingMessage) => void): ClientRequest } {
  const secure = url.startsWith('https:');
  return {
    request(options, then) {
      const request = (secure ? httpsRequest : httpRequest)(options, then);
      request.once('socket', (socket: Socket) => {
        // A kept connection stands already.
        if (!socket.connecting) connected();
        else socket.once(secure ? 'secureConnect' : 'connect', connected);
      });
      return request;
    },
  };
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
    return Buffer.concat(chunks);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

export function tooLarge(maxBytes: number, write: boolean): Fault {
  return new Fault('malformed', {
    maybeArrived: write,
    reason: {
      code: 'tooLarge',
      zh: `应答超过 ${maxBytes} 字节的上限`,
      en: `the reply is larger than the limit of ${maxBytes} bytes`,
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
