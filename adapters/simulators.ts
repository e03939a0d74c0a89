import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Party } from '../contracts/ports/envelope.ts';
import type { MakeSimulator } from '../contracts/ports/simulator.ts';
import { partyFolders } from './load.ts';

/** The simulator of every party that has one. */
export async function loadSimulators(
  folder = path.dirname(fileURLToPath(import.meta.url)),
): Promise<ReadonlyMap<Party, MakeSimulator>> {
  const makers = new Map<Party, MakeSimulator>();
  for (const party of await partyFolders(folder)) {
    const file = path.join(folder, party, 'simulator.ts');
    if (existsSync(file))
      makers.set(party, ((await import(pathToFileURL(file).href)) as { default: MakeSimulator }).default);
  }
  return makers;
}
