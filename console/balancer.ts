import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';

const ANSWER_WITHIN_MS = 60_000;

/**
 * What nginx does in docker-compose.yml, as far as one machine needs it: each request to the next node; a node that takes no connection is passed over, and a
 * request that may have been taken is never sent twice.
 */
export async function balancer(port: number, nodes: readonly number[]): Promise<{ close(): void }> {
  let turn = 0;
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
    } catch {
      // Whoever asked went away in the middle.
      return void outgoing.destroy();
    }
    turn += 1;
    for (let at = 0; at < nodes.length; at += 1) {
      if (await passed(nodes[(turn + at) % nodes.length] as number, incoming, Buffer.concat(chunks), outgoing)) return;
    }
    outgoing.writeHead(503, { 'retry-after': '2' }).end();
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Whether it took the request, or may have. */
function passed(port: number, incoming: IncomingMessage, body: Buffer, outgoing: ServerResponse): Promise<boolean> {
  const { method, url, headers } = incoming;
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, method, path: url, headers }, (reply) => {
      outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.on('error', () => outgoing.destroy());
      reply.pipe(outgoing);
      resolve(true);
    });
    asked.setTimeout(ANSWER_WITHIN_MS, () => asked.destroy(new Error('no answer')));
    asked.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') return resolve(false);
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(502).end();
      resolve(true);
    });
    asked.end(body);
  });
}
