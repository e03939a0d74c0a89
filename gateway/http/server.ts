import { createServer as createHttpServer, type RequestListener, type Server, STATUS_CODES } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { SecureContextOptions, TLSSocket } from 'node:tls';
import type { Clock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { TlsContents, WatchedTlsFiles } from '../../contracts/tls-files.ts';
import type { IsTrusted } from './address.ts';
import { type ConnectionLimits, Connections } from './connections.ts';
import { problemDetails } from './problems.ts';
import { traceparentOf } from './traceparent.ts';

/** How long a caller may take, and how much there may be of it. */
const BOUNDS = {
  keepAliveTimeout: 65_000,
  /** Nothing moves on the socket, in either direction; above every deadline behind us. */
  timeout: 120_000,
  handshakeTimeout: 10_000,
  maxHeaderSize: 16_384,
  maxHeadersCount: 100,
};

/** The first line of a request may have so many bytes; what is longer is told as such. */
export const MOST_TARGET_BYTES = 8_192;

/** After the answer to what is no request: for it to arrive, before the socket is destroyed. */
const LINGER_MS = 1_000;

export interface ServerLimits extends ConnectionLimits {
  /** For a request's head, ms from its first byte, or from the connection's beginning. */
  readonly headersMs: number;
  /** Head and body together, ms. */
  readonly requestMs: number;
}

/** HTTPS. */
export interface ServerTls {
  /** Certificate, key, and those who may issue certificates of callers; none of those: callers are asked for none. */
  readonly files: Pick<WatchedTlsFiles, 'contents' | 'onChange'>;
  /** Where callers are asked for a certificate: whether one without is let in. One that is shown and not right never is. */
  readonly clientCertificate: 'required' | 'optional';
}

export interface ListenParts {
  readonly host: string;
  readonly port: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: ServerLimits;
  readonly trusted: IsTrusted;
  /** Absent: plain HTTP. */
  readonly tls?: ServerTls;
  /** Which setting the port is: `PORT` unless told. */
  readonly setting?: 'PORT' | 'ADMIN_PORT';
}

export interface Listening {
  readonly port: number;
  readonly url: string;
  /** Takes no new connection, lets what is under way end, and after `withinMs` ends the rest. */
  stop(withinMs: number): Promise<void>;
}

/** The address cannot be listened on: a person has to mend that. */
export class NotListening extends Error {
  override readonly name = 'NotListening';
}

const contextOf = ({ cert, key, ca }: TlsContents): SecureContextOptions => ({
  minVersion: 'TLSv1.2',
  ...(cert === undefined ? {} : { cert }),
  ...(key === undefined ? {} : { key }),
  ...(ca === undefined ? {} : { ca }),
});

/** `port` 0: any free one. @throws NotListening when the address is taken, not ours, or not allowed */
export async function listen(
  app: RequestListener,
  { host, port, clock, log, limits, trusted, tls, setting = 'PORT' }: ListenParts,
): Promise<Listening> {
  let stopping = false;
  const options = {
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: BOUNDS.keepAliveTimeout,
    maxHeaderSize: BOUNDS.maxHeaderSize,
    // A request without a host is answered as every other that is not right, and not by the server's own bare 400.
    requireHostHeader: false,
    connectionsCheckingInterval: 1_000,
  };
  const server: Server =
    tls === undefined
      ? createHttpServer(options)
      : createHttpsServer({
          ...options,
          ...contextOf(tls.files.contents),
          handshakeTimeout: BOUNDS.handshakeTimeout,
          requestCert: tls.files.contents.ca !== undefined,
          rejectUnauthorized: tls.clientCertificate === 'required',
        });
  server.timeout = BOUNDS.timeout;
  server.maxHeadersCount = BOUNDS.maxHeadersCount;
  const connections = new Connections(limits, trusted, log);
  server.on('connection', (socket) => connections.opened(socket));
  server.on('clientError', (error, socket) => tellClient(error, socket as Socket, connections));
  server.on('connect', (_request, socket) => refuseConnect(socket as Socket));
  const serve: RequestListener = (request, response) => {
    connections.begun(request, response);
    if (stopping) response.setHeader('Connection', 'close');
    // One that was kept alive until its answer had gone is idle only after it.
    response.once('close', () => {
      if (stopping) setImmediate(() => server.closeIdleConnections());
    });
    app(request, response);
  };
  server.on('request', serve);
  // What is expected is judged with everything else of a request; leave to send is given where the body is read.
  server.on('checkContinue', serve);
  server.on('checkExpectation', serve);
  const stopReloading = tls?.files.onChange((contents) =>
    (server as ReturnType<typeof createHttpsServer>).setSecureContext(contextOf(contents)),
  );
  server.on('secureConnection', (socket: TLSSocket) => {
    // Where none is required the handshake lets every certificate through.
    if (!socket.authorized && tls?.files.contents.ca !== undefined && socket.getPeerX509Certificate() !== undefined)
      socket.destroy();
  });

  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => {
      stopReloading?.();
      reject(notListening(error, `${host}:${port}`, setting));
    };
    server.once('error', failed);
    server.listen(port, host, () => {
      server.off('error', failed);
      resolve();
    });
  });
  const at = server.address() as AddressInfo;
  const name = at.family === 'IPv6' ? `[${at.address}]` : at.address;

  return {
    port: at.port,
    url: `${tls === undefined ? 'http' : 'https'}://${name}:${at.port}`,
    async stop(withinMs) {
      stopping = true;
      stopReloading?.();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const cancel = clock.after(withinMs, () => server.closeAllConnections());
      await closed;
      cancel();
    },
  };
}

function notListening(error: NodeJS.ErrnoException, address: string, setting: 'PORT' | 'ADMIN_PORT'): Error {
  switch (error.code) {
    case 'EADDRINUSE':
      return new NotListening(
        `${setting}: ${address} 已被占用，请停用占用它的程序或改设 ${setting} / ${address} is taken by another program: stop it, or set another ${setting}`,
      );
    case 'EACCES':
      return new NotListening(
        `${setting}: 没有权限监听 ${address}，请改用 1024 以上的 ${setting} / not allowed to listen on ${address}: set a ${setting} above 1023`,
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new NotListening(
        `HOST: ${address} 不是本机地址，请改设 HOST / ${address} is no address of this machine: set HOST to one of its own`,
      );
    default:
      return error;
  }
}

/** What never became a request still gets an answer that can be read; and its socket ends, whatever the caller does. */
function tellClient(error: NodeJS.ErrnoException, socket: Socket, connections: Connections): void {
  if (error.code === 'ECONNRESET' || !socket.writable || connections.answering(socket)) {
    socket.destroy();
    return;
  }
  answerAndEnd(socket, unfitOf(error));
}

/** This is no proxy. */
function refuseConnect(socket: Socket): void {
  socket.on('error', () => socket.destroy());
  answerAndEnd(
    socket,
    new Unfit(405, 'methodNotAllowed', { zh: '不支持 CONNECT', en: 'CONNECT is not a method here' }),
  );
}

function answerAndEnd(socket: Socket, unfit: Unfit): void {
  const content = JSON.stringify(problemDetails(unfit, traceparentOf(undefined)));
  const head = [
    `HTTP/1.1 ${unfit.status} ${STATUS_CODES[unfit.status]}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(content)}`,
    'Cache-Control: no-store',
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${content}`);
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => clearTimeout(timer));
}

function unfitOf({ code, rawPacket }: NodeJS.ErrnoException & { readonly rawPacket?: Buffer }): Unfit {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return rawPacket !== undefined && firstLineOf(rawPacket) > MOST_TARGET_BYTES
        ? targetTooLong()
        : new Unfit(431, 'headersTooLarge', {
            zh: `请求头超过 ${BOUNDS.maxHeaderSize} 字节`,
            en: `the headers are over ${BOUNDS.maxHeaderSize} bytes`,
          });
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new Unfit(413, 'chunkExtensions', {
        zh: '分块扩展过长',
        en: 'the extensions of the chunks are over their limit',
      });
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new Unfit(408, 'requestTimeout', {
        zh: '请求未按时发完',
        en: 'the request did not come to its end in time',
      });
    default:
      return new Unfit(400, 'notHttp', { zh: '不是合法的 HTTP 请求', en: 'this is not an HTTP request' });
  }
}

function firstLineOf(packet: Buffer): number {
  const end = packet.indexOf('\n');
  return end === -1 ? packet.length : end;
}

export function targetTooLong(): Unfit {
  return new Unfit(414, 'targetTooLong', {
    zh: `请求地址超过 ${MOST_TARGET_BYTES} 字节`,
    en: `the address asked for is over ${MOST_TARGET_BYTES} bytes`,
  });
}
