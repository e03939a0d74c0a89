import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What stands before several nodes: each connection goes to the next of them, and past one that does not listen. */
export class Balancer {
  readonly url: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #ports: readonly number[] = [];
  #turn = 0;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('connection', (socket: Socket) => {
      this.#keep(socket);
      this.#pass(socket, this.#ports.length);
    });
  }

  static async open(): Promise<Balancer> {
    const server = createServer();
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return new Balancer(server);
  }

  before(urls: readonly string[]): void {
    this.#ports = urls.map((url) => Number(new URL(url).port));
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #pass(from: Socket, tries: number): void {
    this.#turn += 1;
    const port = this.#ports[this.#turn % this.#ports.length];
    if (tries === 0 || port === undefined) return void from.destroy();
    const to = connect(port, '127.0.0.1');
    this.#keep(to);
    const next = () => this.#pass(from, tries - 1);
    to.once('error', next);
    to.once('connect', () => {
      to.off('error', next);
      from.once('close', () => to.destroy());
      to.once('close', () => from.destroy());
      from.pipe(to).pipe(from);
    });
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => {});
  }
}
