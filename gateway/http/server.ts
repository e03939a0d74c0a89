import { createServer, type RequestListener, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Clock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import { problemDetails } from './problems.ts';
import { traceparentOf } from './traceparent.ts';

/** How long a caller may take, and how much there may be of it. */
const BOUNDS = {
  headersTimeout: 10_000,
  /** Headers and body together. */
  requestTimeout: 30_000,
  keepAliveTimeout: 65_000,
  /** Nothing moves on the socket, in either direction; above every deadline behind us. */
  timeout: 120_000,
  maxHeaderSize: 16_384,
  maxConnections: 1_024,
};

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

/** `port` 0: any free one. @throws NotListening when the address is taken, not ours, or not allowed */
export async function listen(
  app: RequestListener,
  { host, port, clock }: { readonly host: string; readonly port: number; readonly clock: Clock },
): Promise<Listening> {
  const { headersTimeout, requestTimeout, keepAliveTimeout, maxHeaderSize } = BOUNDS;
  let stopping = false;
  const server = createServer({
    headersTimeout,
    requestTimeout,
    keepAliveTimeout,
    maxHeaderSize,
    connectionsCheckingInterval: 2_000,
  });
  server.timeout = BOUNDS.timeout;
  server.maxConnections = BOUNDS.maxConnections;
  server.on('clientError', tellClient);
  server.on('request', (_request, response) => {
    if (stopping) response.setHeader('Connection', 'close');
    // One that was kept alive until its answer had gone is idle only after it.
    response.once('close', () => {
      if (stopping) setImmediate(() => server.closeIdleConnections());
    });
  });
  server.on('request', app);

  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => reject(notListening(error, `${host}:${port}`));
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
    url: `http://${name}:${at.port}`,
    async stop(withinMs) {
      stopping = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const cancel = clock.after(withinMs, () => server.closeAllConnections());
      await closed;
      cancel();
    },
  };
}

function notListening(error: NodeJS.ErrnoException, address: string): Error {
  switch (error.code) {
    case 'EADDRINUSE':
      return new NotListening(
        `PORT: ${address} 已被占用，请停用占用它的程序或改设 PORT / ${address} is taken by another program: stop it, or set another PORT`,
      );
    case 'EACCES':
      return new NotListening(
        `PORT: 没有权限监听 ${address}，请改用 1024 以上的 PORT / not allowed to listen on ${address}: set a PORT above 1023`,
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

/** What never became a request still gets an answer that can be read. */
function tellClient(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const unfit = unfitOf(error.code);
  const content = JSON.stringify(problemDetails(unfit, traceparentOf(undefined)));
  const head = [
    `HTTP/1.1 ${unfit.status} ${STATUS_CODES[unfit.status]}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(content)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${content}`);
}

function unfitOf(code: string | undefined): Unfit {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new Unfit(431, 'headersTooLarge', {
        zh: `请求头超过 ${BOUNDS.maxHeaderSize} 字节`,
        en: `the headers are over ${BOUNDS.maxHeaderSize} bytes`,
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
