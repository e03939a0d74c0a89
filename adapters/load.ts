import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { loadContracts } from '../contracts/load.ts';
import type { PartyFolder } from '../contracts/ports/adapter.ts';
import type { ContractName } from '../contracts/ports/envelope.ts';
import { mappingFunctions } from './manifest/functions.ts';
import { interpret } from './manifest/interpret.ts';
import { readManifest } from './manifest/manifest.ts';

const HERE = path.dirname(fileURLToPath(import.meta.url));

/**
 * Every party's folder: those with a `manifest.yaml`, and the rare ones whose `adapter.ts` exports a `PartyFolder` of its own.
 * There is no list of names: a folder is a party.
 *
 * @param published contracts besides the folder's own, which a manifest may name (the window's)
 * @throws ManifestError, ContractFileError
 */
export async function loadParties(
  folder = HERE,
  published: ReadonlySet<ContractName> = new Set(),
): Promise<readonly PartyFolder[]> {
  const folders = await partyFolders(folder);
  return Promise.all(
    folders.map(async (party) => {
      const own = path.join(folder, party);
      const code = path.join(own, 'adapter.ts');
      if (existsSync(code)) return ((await import(pathToFileURL(code).href)) as { default: PartyFolder }).default;
      const contracts = await loadContracts(path.join(own, 'schemas'));
      const manifest = readManifest(
        own,
        mappingFunctions,
        new Set([...published, ...contracts.map(({ name }) => name)]),
      );
      return {
        party,
        title: manifest.title,
        contracts,
        connect: (settings, means) => interpret(manifest, settings, means),
      };
    }),
  );
}

/** Names of the folders that are parties, in order. */
export async function partyFolders(folder = HERE): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .filter(
      (entry) =>
        entry.isDirectory() &&
        ['manifest.yaml', 'adapter.ts'].some((file) => existsSync(path.join(folder, entry.name, file))),
    )
    .map(({ name }) => name)
    .sort();
}
