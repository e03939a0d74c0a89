import type { IncomingMessage, ServerResponse } from 'node:http';
import express from 'express';
import { Unfit } from '../../contracts/ports/contract.ts';
import { networkOf } from './address.ts';
import type { Handler } from './route.ts';

interface Held {
  readonly request: IncomingMessage;
  readonly network: string;
  bytes: number;
  /** Refuses it, and lets go of its bytes. */
  drop(): void;
}

/**
 * The memory that all bodies under way may take together, bytes: from their first byte until they are answered. When it is used up, a body that has not
 * come to its end gives way: the oldest of the address whose unfinished bodies are largest.
 */
export class BodyMemory {
  readonly #limit: number;
  readonly #held = new Set<Held>();
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Counts what comes of this request until its answer is out. `dropped` is called when it has to give way. */
  hold(request: IncomingMessage, response: ServerResponse, network: string, dropped: (why: Unfit) => void): void {
    const held: Held = {
      request,
      network,
      bytes: 0,
      drop: () => {
        release();
        dropped(
          new Unfit(
            503,
            'bodiesFull',
            {
              zh: '同时接收的请求体过多，请稍后重发',
              en: 'too many request bodies are under way: send it again in a moment',
            },
            [],
            1,
          ),
        );
      },
    };
    const release = (): void => {
      if (!this.#held.delete(held)) return;
      this.#bytes -= held.bytes;
    };
    this.#held.add(held);
    request.on('data', (chunk: Buffer) => {
      if (!this.#held.has(held)) return;
      held.bytes += chunk.length;
      this.#bytes += chunk.length;
      while (this.#bytes > this.#limit) this.#giveWay(held);
    });
    response.once('close', release);
  }

  #giveWay(coming: Held): void {
    const unfinished = [...this.#held].filter(({ request, bytes }) => !request.complete && bytes > 0);
    const byNetwork = Map.groupBy(unfinished, ({ network }) => network);
    const sizes = [...byNetwork.values()].map((of) => ({ of, bytes: of.reduce((sum, { bytes }) => sum + bytes, 0) }));
    const largest = sizes.reduce((a, b) => (b.bytes > a.bytes ? b : a), { of: [coming], bytes: 0 });
    (largest.of[0] ?? coming).drop();
  }
}

/**
 * Reads a whole body as it is: signatures are over these bytes. Compressed ones are refused, so that the limit is the limit.
 * @param limit bytes
 */
export function readBody(limit: number, memory: BodyMemory): Handler {
  const read = express.raw({ type: () => true, inflate: false, limit }) as unknown as Handler;
  return (request, response, next) => {
    // Whoever waits for leave to send has passed what can be judged without the body.
    if (response.locals.awaitsContinue) response.writeContinue();
    response.locals.awaitsContinue = false;
    let over = false;
    const once = (error?: unknown): void => {
      if (over) return;
      over = true;
      next(error);
    };
    if (hasBody(request)) {
      memory.hold(request, response, networkOf(response.locals.address), (why) => {
        response.setHeader('Connection', 'close');
        // What still comes is neither kept nor waited for.
        response.once('finish', () => request.destroy());
        once(why);
      });
    }
    void read(request, response, once);
  };
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}
