import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { JsonObject } from '../../contracts/ports/envelope.ts';

/** What it answers on a path: JSON, bytes of its own, whatever the test writes, nothing for ever, or a broken connection. */
export type Said =
  | JsonObject
  | { readonly write: (response: ServerResponse) => void }
  | {
      readonly raw: string | Uint8Array;
      readonly status?: number;
      readonly headers?: { readonly [name: string]: string };
    }
  | 'silence'
  | 'hangUp';
export type Saying = Said | ((asked: Asked) => Said | Promise<Said>);

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** An HTTP party on a real socket that says on each path what it was told to say, and remembers what it was asked. */
export class FarSide {
  readonly asked: Asked[] = [];
  readonly #says = new Map<string, Saying>();
  readonly #server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', async () => {
      const { method = '', url = '', headers } = incoming;
      const asked = { method, path: url, headers, body: Buffer.concat(chunks).toString() };
      this.asked.push(asked);
      const saying = this.#says.get(url.split('?')[0] ?? '') ?? { means: 'nobody taught it this path' };
      const said = typeof saying === 'function' ? await saying(asked) : saying;
      if (said === 'silence') return;
      if (said === 'hangUp') return void incoming.socket.destroy();
      if ('write' in said && typeof said.write === 'function') return void said.write(response);
      const raw = 'raw' in said ? (said as { raw: string | Uint8Array }).raw : JSON.stringify(said);
      const { status = 200, headers: more = {} } = ('raw' in said ? said : {}) as {
        status?: number;
        headers?: { [name: string]: string };
      };
      response.writeHead(status, { 'content-type': 'application/json', ...more });
      response.end(raw);
    });
  });

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async open(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${this.port}`;
  }

  says(path: string, saying: Saying): void {
    this.#says.set(path, saying);
  }

  /** What was asked on a path. */
  on(path: string): readonly Asked[] {
    return this.asked.filter((asked) => asked.path.split('?')[0] === path);
  }

  /** Forgets everything it was asked and told. */
  forget(): void {
    this.asked.length = 0;
    this.#says.clear();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}
