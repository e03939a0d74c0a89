import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Json, JsonObject, Party } from '../contracts/ports/envelope.ts';
import type { Catalogue, Item, ItemVersion } from '../contracts/ports/item.ts';
import { buildItem, checkItem, definitionText, versionOf, type WrittenItem } from './item-definition.ts';
import { type Known, linkMistakes, nameMistakes, REGISTER } from './item-names.ts';
import { type SampleFile, sampleMistakes } from './item-sample.ts';
import { type Mistake, routeMistakes } from './route.ts';

/** The current items, and their definitions to be stored. */
export interface LoadedCatalogue extends Catalogue {
  readonly definitions: readonly ItemVersion[];
}

/** Every mistake of a catalogue at once, one line each: file, pointer, what is wrong. */
export class CatalogueError extends Error {
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(`the catalogue of items has mistakes:\n${mistakes.map((mistake) => `  ${mistake}`).join('\n')}`);
    this.name = 'CatalogueError';
    this.mistakes = mistakes;
  }
}

/**
 * Reads `<folder>/<name>/item.json`, each with its mappings beside it (docs/items.md), and compiles every expression once.
 *
 * @param known.parties when given, a step or source of any other party is a mistake
 * @param known.types when given, a certificate of any other type, or a field that its type does not have, is a mistake
 * @param known.contracts when given, expressions are held against them, and every item is tried on its sample cases
 * @param known.offers when given, what a party does not take or offer is a mistake
 * @throws CatalogueError with every mistake of every item
 */
export async function loadItems(folder: string, known: Known = {}): Promise<LoadedCatalogue> {
  const names = await itemFolders(folder);
  const read = await Promise.all(names.map((name) => readItem(path.join(folder, name), name, known)));
  const mistakes = read.flatMap((one) => one.mistakes);
  const codes = new Set<string>();
  for (const [at, { code }] of read.entries()) {
    if (code === undefined) continue;
    if (codes.has(code)) mistakes.push(`${names[at]}/item.json /code: another item has this code too`);
    codes.add(code);
  }
  if (mistakes.length > 0) throw new CatalogueError([...new Set(mistakes)]);
  const list = read.flatMap(({ item }) => item ?? []);
  const items = new Map(list.map((item) => [item.code, item]));
  const definitions = read.flatMap(({ item, definition }) =>
    item === undefined || definition === undefined ? [] : [{ code: item.code, version: item.version, definition }],
  );
  return { get: (code) => items.get(code), list: () => list, definitions };
}

async function itemFolders(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw new CatalogueError([`${folder}: cannot be read (${error.code})`]);
  });
  const names = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name);
  if (names.length === 0) throw new CatalogueError([`${folder}: holds no item`]);
  return names.sort();
}

interface ReadItem {
  readonly code?: string;
  readonly item?: Item;
  readonly definition?: string;
  readonly mistakes: readonly string[];
}

async function readItem(folder: string, name: string, known: Known): Promise<ReadItem> {
  const file = `${name}/item.json`;
  const mistakes: string[] = [];
  const mistaken = ({ pointer, words }: Mistake) => void mistakes.push(`${file} ${pointer}: ${words}`);

  let json: Json;
  try {
    json = JSON.parse(await readFile(path.join(folder, 'item.json'), 'utf8'));
  } catch (error) {
    return { mistakes: [`${file}: ${error instanceof SyntaxError ? `not JSON: ${error.message}` : 'cannot be read'}`] };
  }
  for (const problem of checkItem(json)) mistaken({ pointer: problem.pointer, words: problem.en });
  // What is not of the right shape cannot be looked at any closer.
  if (mistakes.length > 0) return { mistakes };

  const written = json as unknown as WrittenItem;
  const mappings = await mappingFiles(folder);
  const sourceOf = (text: string): string | undefined => (text.endsWith('.jsonata') ? mappings.get(text) : text);
  for (const mistake of [
    ...routeMistakes(written.route),
    ...itemMistakes(written, known),
    ...linkMistakes(written, known),
  ])
    mistaken(mistake);
  for (const { pointer, file: own, line, words } of nameMistakes(written, known, sourceOf))
    mistakes.push(own === undefined ? `${file} ${pointer}: ${words}` : `${name}/${own} line ${line}: ${words}`);

  let whole = true;
  const named: { [file: string]: string } = {};
  /** Compiles the expression at a pointer; when it cannot, notes why, and the item is thrown away in the end. */
  function compile<T>(as: (name: string, source: string) => T, pointer: string, text: string): T {
    const isFile = text.endsWith('.jsonata');
    const source = sourceOf(text);
    if (source === undefined) {
      whole = false;
      mistaken({ pointer, words: `there is no file ${text} beside item.json` });
      return as(file, 'null');
    }
    if (isFile) named[text] = source;
    const place = isFile ? `${name}/${text}` : `${file} ${pointer}`;
    try {
      return as(place, source);
    } catch (error) {
      whole = false;
      mistakes.push(error instanceof Error ? error.message : String(error));
      return as(file, 'null');
    }
  }
  // Compiling it shows which files it names.
  const unversioned = buildItem(written, '', compile);
  const definition = definitionText({ item: withoutEditors(json as JsonObject), mappings: named });
  const item: Item = { ...unversioned, version: versionOf(definition) };
  if (known.contracts !== undefined) {
    const samples = await sampleFiles(folder);
    if (samples.length === 0)
      mistakes.push(`${name}/samples: holds no sample case (<name>.json) that the item can be tried on`);
    // An expression that does not compile fails on every sample.
    for (const sample of whole ? samples : [])
      for (const { file: own, pointer, words } of await sampleMistakes(item, written, sample, known))
        mistakes.push(`${name}/${own}${pointer === '' ? '' : ` ${pointer}`}: ${words}`);
  }
  return { code: written.code, mistakes, ...(mistakes.length > 0 ? {} : { item, definition }) };
}

/** The mappings of an item by file name. */
async function mappingFiles(folder: string): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.jsonata'));
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(path.join(folder, name), 'utf8')] as const)),
  );
}

async function sampleFiles(folder: string): Promise<readonly SampleFile[]> {
  const own = path.join(folder, 'samples');
  const names = (await readdir(own).catch(() => [])).filter((name) => name.endsWith('.json')).sort();
  return Promise.all(names.map(async (name) => ({ name, text: await readFile(path.join(own, name), 'utf8') })));
}

/** `$schema` helps an editor, and is a path into this repository. */
function withoutEditors({ $schema: _, ...item }: JsonObject): JsonObject {
  return item;
}

/** What the schema cannot say of an item as a whole. */
function itemMistakes(item: WrittenItem, known: Known): readonly Mistake[] {
  const mistakes: Mistake[] = [];
  const parties = known.parties === undefined ? undefined : new Set(known.parties);
  // GB/T 39554: a handling item begins with the credit code of the agency that owns it.
  if (!item.code.startsWith(item.owner.uscc)) {
    mistakes.push({ pointer: '/code', words: 'does not begin with the credit code of its owner' });
  }
  const codes = item.materials.map(({ code }) => code);
  for (const [at, code] of codes.entries()) {
    if (codes.indexOf(code) < at)
      mistakes.push({ pointer: `/materials/${at}/code`, words: `material ${code} stands twice` });
  }
  const stranger = (party: Party, pointer: string) => {
    if (parties?.has(party) === false) mistakes.push({ pointer, words: `there is no party ${party}` });
  };
  const untyped = (type: string, pointer: string) => {
    if (known.types !== undefined && known.types.get(type) === undefined)
      mistakes.push({ pointer, words: `there is no certificate type ${type} in config/certificates.json` });
  };
  for (const [at, { from, certificate }] of item.materials.entries()) {
    if ((from === 'certificate') !== (certificate !== undefined)) {
      const words = certificate === undefined ? 'says no certificate' : 'says a certificate, and is not from one';
      mistakes.push({ pointer: `/materials/${at}`, words });
    }
    if (certificate === undefined) continue;
    const here = `/materials/${at}/certificate`;
    for (const [nth, source] of certificate.sources.entries()) {
      if (source !== REGISTER) stranger(source, `${here}/sources/${nth}`);
    }
    untyped(certificate.type, `${here}/type`);
    const fields = known.types?.get(certificate.type)?.fields;
    for (const [nth, field] of certificate.fields.entries()) {
      if (fields !== undefined && fields[field] === undefined)
        mistakes.push({
          pointer: `${here}/fields/${nth}`,
          words: `this type has the fields ${Object.keys(fields).join(', ')}`,
        });
    }
    const steps = certificate.whenDown?.do === 'later' ? certificate.whenDown.steps : [];
    for (const [nth, no] of steps.entries()) {
      if (!item.route.some((step) => step.no === no))
        mistakes.push({ pointer: `${here}/whenDown/steps/${nth}`, words: `there is no step ${no}` });
    }
  }
  for (const [at, { party, issues = [], ends = [] }] of item.route.entries()) {
    stranger(party, `/route/${at}/party`);
    for (const [nth, { type }] of issues.entries()) untyped(type, `/route/${at}/issues/${nth}/type`);
    for (const [nth, { type }] of ends.entries()) untyped(type, `/route/${at}/ends/${nth}/type`);
  }
  return mistakes;
}
