import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the range that the system gives to outgoing connections, or one of those might take it between this look and its use. */
const [LOWEST, HIGHEST] = [12_000, 32_000];

/** A port of 127.0.0.1 on which nobody listens just now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST, HIGHEST);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
