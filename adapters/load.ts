import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ContractFileError, loadContracts } from '../contracts/load.ts';
import type { PartyFolder } from '../contracts/ports/adapter.ts';
import type { PublishedContract } from '../contracts/ports/contract.ts';
import type { ContractName, Party } from '../contracts/ports/envelope.ts';
import { acceptsUnsigned } from './manifest/callback-rules.ts';
import { mappingFunctions } from './manifest/functions.ts';
import { interpret, offersOf } from './manifest/interpret.ts';
import { limitsOf } from './manifest/limits.ts';
import { ManifestError, readManifest } from './manifest/manifest.ts';
import { mappingNames } from './manifest/mapping-names.ts';

const HERE = path.dirname(fileURLToPath(import.meta.url));

/**
 * Every party's folder: those with a `manifest.yaml`, and the rare ones whose `adapter.ts` exports a `PartyFolder` of its own.
 * There is no list of names: a folder is a party.
 *
 * @param published contracts besides the folder's own, which a manifest may name (the window's)
 * @throws ManifestError with the mistakes of every folder, ContractFileError
 */
export async function loadParties(
  folder = HERE,
  published: ReadonlySet<ContractName> = new Set(),
): Promise<readonly PartyFolder[]> {
  const { parties, mistakes } = await readParties(folder, published);
  if (mistakes.length > 0) throw new ManifestError(mistakes);
  return parties;
}

/**
 * The same, with the mistakes beside the parties that have none: for whoever has more to check.
 *
 * @param schemas of `published`; when given, mappings are held against the contracts they speak of
 */
export async function readParties(
  folder: string,
  published: ReadonlySet<ContractName>,
  schemas?: readonly PublishedContract[],
): Promise<{
  readonly parties: readonly PartyFolder[];
  readonly names: readonly Party[];
  readonly mistakes: readonly string[];
}> {
  const names = await partyFolders(folder);
  const loaded = await Promise.allSettled(
    names.map((party) => loadParty(path.join(folder, party), published, schemas)),
  );
  const failures = loaded.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
  const mistakes = failures.flatMap((failure) =>
    failure instanceof ManifestError || failure instanceof ContractFileError ? failure.mistakes : [],
  );
  // Whatever is no author's mistake comes first: there is no telling what it leaves unseen.
  const other = failures.find((failure) => !(failure instanceof ManifestError || failure instanceof ContractFileError));
  if (other !== undefined) throw other;
  return { names, mistakes, parties: loaded.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])) };
}

async function loadParty(
  own: string,
  published: ReadonlySet<ContractName>,
  schemas: readonly PublishedContract[] | undefined,
): Promise<PartyFolder> {
  const code = path.join(own, 'adapter.ts');
  if (existsSync(code)) return ((await import(pathToFileURL(code).href)) as { default: PartyFolder }).default;
  const contracts = await loadContracts(path.join(own, 'schemas'));
  const names = new Set([...published, ...contracts.map(({ name }) => name)]);
  const manifest = readManifest(own, mappingFunctions, names, schemas && mappingNames([...schemas, ...contracts]));
  if (await acceptsUnsigned(manifest))
    throw new ManifestError([
      `${manifest.party}/manifest.yaml /operations/collect/callback/verify: takes a push without any signature（未签名的推送也会通过验签）`,
    ]);
  const limits = await limitsOf(
    manifest,
    [...(schemas ?? []), ...contracts].map(({ schema }) => schema),
  );
  return {
    party: manifest.party,
    title: manifest.title,
    contracts,
    offers: offersOf(manifest),
    connect: (settings, means) => interpret(manifest, settings, means, limits),
  };
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
