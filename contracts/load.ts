import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { PublishedContract } from './ports/contract.ts';
import type { JsonObject } from './ports/envelope.ts';

/** A contract's name: words in lower case with dots and dashes, `@`, and its major version. */
const NAME = /^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)*@[1-9]\d{0,2}$/;

/** Files of a schemas folder that are no contracts, each with its reason, one a line. */
export class ContractFileError extends Error {
  /** Each by its folder and file. */
  readonly mistakes: readonly string[];

  constructor(folder: string, mistakes: readonly string[]) {
    super(`${folder}:\n${mistakes.map((mistake) => `  ${mistake}`).join('\n')}`);
    this.name = 'ContractFileError';
    this.mistakes = mistakes.map((mistake) => `${folder}/${mistake}`);
  }
}

/**
 * Every `name@major.json` of a folder, by name; folders inside it (samples) are not read. The schema's `$id` is the name, or is left out;
 * `title` is its English title and `x-title-zh` the Chinese one. A folder that is not there holds none.
 *
 * @throws ContractFileError with every file that is not such a contract
 */
export async function loadContracts(folder: string): Promise<readonly PublishedContract[]> {
  const { contracts, mistakes } = await readContracts(folder);
  if (mistakes.length > 0) throw new ContractFileError(folder, mistakes);
  return contracts;
}

/** The same, with the mistakes beside the contracts that have none: for whoever has more to check. `broken`: the names of those that have. */
export async function readContracts(folder: string): Promise<{
  readonly contracts: readonly PublishedContract[];
  readonly broken: readonly string[];
  readonly mistakes: readonly string[];
}> {
  const files = (await filesIn(folder)).filter((file) => file.endsWith('.json')).sort();
  const mistakes: string[] = [];
  const contracts: PublishedContract[] = [];
  const broken: string[] = [];
  for (const file of files) {
    const read = contractOf(file, await readFile(path.join(folder, file), 'utf8'));
    if (typeof read === 'string') {
      mistakes.push(`${file}: ${read}`);
      broken.push(file.slice(0, -'.json'.length));
    } else contracts.push(read);
  }
  return { contracts, broken, mistakes };
}

async function filesIn(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return [];
    throw error;
  }
}

/** The contract, or what is wrong with the file. */
function contractOf(file: string, text: string): PublishedContract | string {
  const name = file.slice(0, -'.json'.length);
  if (!NAME.test(name)) return 'expected a name like tax.house-deed@1.json';
  let schema: JsonObject;
  try {
    schema = JSON.parse(text) as JsonObject;
  } catch {
    return 'not JSON';
  }
  if (schema === null || typeof schema !== 'object' || Array.isArray(schema)) return 'expected a schema object';
  const { $id = name, title: en, 'x-title-zh': zh } = schema;
  if ($id !== name) return `expected $id to be ${name}, or to be left out`;
  if (typeof en !== 'string' || typeof zh !== 'string') return 'expected the texts title (English) and x-title-zh';
  return { name, title: { zh, en }, schema: { ...schema, $id } };
}
