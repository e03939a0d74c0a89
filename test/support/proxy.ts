import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as rest } from 'node:timers/promises';

/** A wire that tests can spoil: stands on 127.0.0.1 before a TCP service, and passes everything on until it is told otherwise. */
export class TcpProxy {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #sockets = new Set<Socket>();
  #server: Server;
  #port = 0;
  #slowMs = 0;
  #flowing = Promise.resolve();
  #goOn = () => {};

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
    this.#server = this.#made();
  }

  static async to(target: { readonly host: string; readonly port: number }): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await proxy.accept();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  /** The same service, through this wire. */
  url(direct: string): string {
    const url = new URL(direct);
    url.hostname = '127.0.0.1';
    url.port = String(this.#port);
    return url.href;
  }

  /** Ends every connection there is, without a goodbye. New ones are taken. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Nothing passes any more, either way; connections stay open, and new ones are taken and hear nothing. */
  pause(): void {
    this.#goOn();
    this.#flowing = new Promise((resolve) => {
      this.#goOn = resolve;
    });
  }

  /** What was held back passes, in order. */
  resume(): void {
    this.#goOn();
    this.#flowing = Promise.resolve();
  }

  /** Each piece takes so long, either way. 0: none. */
  slow(ms: number): void {
    this.#slowMs = ms;
  }

  /** Nobody listens any more, and connections that are open end. */
  async refuse(): Promise<void> {
    this.cut();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** Listens again, on the same port. */
  async accept(): Promise<void> {
    if (this.#server.listening) return;
    this.#server = this.#made();
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.resume();
    await this.refuse();
  }

  #made(): Server {
    return createServer((near) => {
      const far = connect(this.#target);
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(one);
        one.setNoDelay(true);
        one.on('data', (piece) => void this.#pass(piece, one, other));
        one.on('end', () => other.end());
        // An end without a goodbye is passed on as one.
        one.on('error', () => {});
        one.on('close', (broken) => {
          this.#sockets.delete(one);
          if (broken) other.destroy();
          else other.end();
        });
      }
    });
  }

  /** One piece at a time, so that what is held back is held at its sender. */
  async #pass(piece: Buffer, from: Socket, to: Socket): Promise<void> {
    from.pause();
    if (this.#slowMs > 0) await rest(this.#slowMs);
    await this.#flowing;
    if (to.destroyed) return void from.destroy();
    to.write(piece, () => from.resume());
  }
}
