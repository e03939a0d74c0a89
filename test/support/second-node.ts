import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client, demoApp } from '../../console/client.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { type Means, start } from '../../gateway/main.ts';
import { freePort, type World } from './world.ts';

export interface SecondNode {
  readonly url: string;
  readonly window: Client;
  readonly operator: Client;
  stop(): Promise<void>;
}

/** Another node of a world, in the same process: other port, other folder, the same engines and departments. */
export async function secondNode({ settings }: World, means: Means = {}): Promise<SecondNode> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'onewindow-second-'));
  const gateway = await start({ ...settings, dataDir, port: await freePort() }, { log: silent, ...means });
  return {
    url: gateway.url,
    window: new Client(gateway.url, demoApp('window-demo')),
    operator: new Client(gateway.url, demoApp('operator-demo')),
    async stop() {
      await gateway.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
