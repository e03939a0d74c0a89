import type { RequestListener } from 'node:http';
import { wallClock } from '../../contracts/ports/clock.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { type Listening, type ListenParts, listen } from '../../gateway/http/server.ts';

/** On any free port of this machine, with the limits of a deployment unless told. */
export function listening(
  app: RequestListener,
  {
    limits,
    ...parts
  }: Partial<Omit<ListenParts, 'limits'>> & { readonly limits?: Partial<ListenParts['limits']> } = {},
): Promise<Listening> {
  return listen(app, {
    host: '127.0.0.1',
    port: 0,
    clock: wallClock,
    log: silent,
    trusted: () => false,
    limits: { connections: 1_024, connectionsPerAddress: 256, headersMs: 10_000, requestMs: 30_000, ...limits },
    ...parts,
  });
}
