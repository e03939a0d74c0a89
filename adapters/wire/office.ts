import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import type { Json, Party } from '../../contracts/ports/envelope.ts';
import type { Filing, Mood } from '../../contracts/ports/simulator.ts';

/**
 * What the simulated offices have in common: a door on a real loopback socket that behaves by mood, a book in which every effect
 * stands as it happened, and the timers of their decisions. What they say and in which bytes is each party's own affair.
 */
export class Office {
  readonly party: Party;
  mood: Mood = 'well';
  readonly #book: Filing[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  #numbers = 0;

  constructor(party: Party) {
    this.party = party;
  }

  filed(): readonly Filing[] {
    return this.#book;
  }

  /** Records an effect. Called twice for one key, it stands there twice: that is what the book is for. */
  file(key: string, number: string, what: string, content: Json): Filing {
    const filing: Filing = { at: Date.now(), key, number, what, content };
    this.#book.push(filing);
    return filing;
  }

  /** The first entry under this key. */
  find(key: string): Filing | undefined {
    return this.#book.find((filing) => filing.key === key);
  }

  /** 1, 2, 3 … */
  next(): number {
    this.#numbers += 1;
    return this.#numbers;
  }

  /** Runs `then` once after `ms`, unless the office is closed before. */
  later(ms: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      then();
    }, ms);
    this.#timers.add(timer);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}

/** A listening socket that can go away and come back on the same port, dropping whoever is connected. */
export interface Door {
  readonly port: number;
  absent(absent: boolean): Promise<void>;
  close(): Promise<void>;
}

export interface OfficeRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Lower-case names. */
  readonly headers: { readonly [name: string]: string };
  readonly body: Buffer;
}

export interface OfficeReply {
  readonly status?: number;
  readonly headers?: { readonly [name: string]: string };
  readonly body: Uint8Array | string;
}

/** How the party answers when it can: `mood` is well, refuses or busy; what it files it writes to the book itself. */
export type Answering<Request, Reply> = (request: Request, mood: 'well' | 'refuses' | 'busy') => Reply | Promise<Reply>;

export async function httpDoor(
  office: Office,
  port: number,
  answer: Answering<OfficeRequest, OfficeReply>,
  garble: (request: OfficeRequest) => OfficeReply,
): Promise<Door> {
  const handle = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await read(incoming);
    const { mood } = office;
    if (mood === 'deaf' || mood === 'absent') return;
    const before = office.filed().length;
    const reply = mood === 'garbled' ? garble(request) : await answer(request, mood === 'forgetful' ? 'well' : mood);
    if (mood === 'forgetful' && office.filed().length > before) {
      incoming.socket.destroy();
      return;
    }
    const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body;
    response.writeHead(reply.status ?? 200, { 'content-length': body.length, ...reply.headers });
    if (mood === 'forgetful' && isFile(reply)) {
      response.write(body.subarray(0, body.length / 2), () => incoming.socket.destroy());
      return;
    }
    response.end(body);
  };
  const server = createHttpServer((incoming, response) => {
    handle(incoming, response).catch((error: unknown) => {
      response.writeHead(500, { 'content-type': 'text/plain; charset=utf-8' });
      response.end(`simulator: ${error instanceof Error ? error.message : 'failed'}`);
    });
  });
  return door(server, port);
}

const isFile = ({ headers }: OfficeReply): boolean => /^application\/(pdf|ofd)/.test(headers?.['content-type'] ?? '');

/** `converse` gets each new connection; it answers by `office.mood` itself, frames being the party's own affair. */
export function tcpDoor(port: number, converse: (socket: Socket) => void): Promise<Door> {
  return door(createTcpServer(converse), port);
}

async function door(server: Server, wanted: number): Promise<Door> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  });
  const open = async (port: number): Promise<void> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const shut = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await open(wanted);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async absent(absent) {
      if (absent) await shut();
      else if (!server.listening) await open(port);
    },
    close: shut,
  };
}

async function read(incoming: IncomingMessage): Promise<OfficeRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const url = new URL(incoming.url ?? '/', 'http://office');
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(incoming.headers)) headers[name] = String(value);
  return {
    method: incoming.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    headers,
    body: Buffer.concat(chunks),
  };
}
