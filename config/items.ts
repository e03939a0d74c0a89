import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { compileSchema } from '../contracts/compile.ts';
import type { Json, Party } from '../contracts/ports/envelope.ts';
import type { Catalogue, Item, Material, RouteStep } from '../contracts/ports/item.ts';
import { compileExpression } from './expression.ts';
import itemSchema from './item.schema.json' with { type: 'json' };
import { type Mistake, routeMistakes } from './route.ts';

/** item.json as `item.schema.json` describes it: the item with its expressions still as text. */
type Written<T> = T extends (...args: never[]) => unknown
  ? string
  : T extends object
    ? { [K in keyof T]: Written<T[K]> }
    : T;
type WrittenItem = Written<Item>;

/** Every mistake of a catalogue at once, one line each: file, pointer, what is wrong. */
export class CatalogueError extends Error {
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(`the catalogue of items has mistakes:\n${mistakes.map((mistake) => `  ${mistake}`).join('\n')}`);
    this.name = 'CatalogueError';
    this.mistakes = mistakes;
  }
}

const check = compileSchema(itemSchema as Json, { names: 'shown' });

/**
 * Reads `<folder>/<name>/item.json`, each with its mappings beside it (docs/items.md), and compiles every expression once.
 *
 * @param known.parties when given, a step or source of any other party is a mistake
 * @throws CatalogueError with every mistake of every item
 */
export async function loadItems(
  folder: string,
  known: { readonly parties?: ReadonlySet<Party> | readonly Party[] } = {},
): Promise<Catalogue> {
  const parties = known.parties === undefined ? undefined : new Set(known.parties);
  const names = await itemFolders(folder);
  const read = await Promise.all(names.map((name) => readItem(path.join(folder, name), name, parties)));
  const mistakes = read.flatMap((one) => one.mistakes);
  const items = new Map<string, Item>();
  for (const [at, { item }] of read.entries()) {
    if (item === undefined) continue;
    if (items.has(item.code)) mistakes.push(`${names[at]}/item.json /code: another item has this code too`);
    items.set(item.code, item);
  }
  if (mistakes.length > 0) throw new CatalogueError(mistakes);
  const list = [...items.values()];
  return { get: (code) => items.get(code), list: () => list };
}

async function itemFolders(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw new CatalogueError([`${folder}: cannot be read (${error.code})`]);
  });
  const names = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name);
  if (names.length === 0) throw new CatalogueError([`${folder}: holds no item`]);
  return names.sort();
}

async function readItem(
  folder: string,
  name: string,
  parties: ReadonlySet<Party> | undefined,
): Promise<{ readonly item?: Item; readonly mistakes: string[] }> {
  const file = `${name}/item.json`;
  const mistakes: string[] = [];
  const mistaken = ({ pointer, words }: Mistake) => void mistakes.push(`${file} ${pointer}: ${words}`);

  let json: Json;
  try {
    json = JSON.parse(await readFile(path.join(folder, 'item.json'), 'utf8'));
  } catch (error) {
    return { mistakes: [`${file}: ${error instanceof SyntaxError ? `not JSON: ${error.message}` : 'cannot be read'}`] };
  }
  for (const problem of check(json)) mistaken({ pointer: problem.pointer, words: problem.en });
  // What is not of the right shape cannot be looked at any closer.
  if (mistakes.length > 0) return { mistakes };

  const written = json as unknown as WrittenItem;
  const mappings = await mappingFiles(folder);
  for (const mistake of [...routeMistakes(written.route), ...itemMistakes(written, parties)]) mistaken(mistake);

  /** Compiles the expression at a pointer; when it cannot, notes why, and the item is thrown away in the end. */
  function compile<T>(as: (name: string, source: string) => T, pointer: string, text: string): T {
    const isFile = text.endsWith('.jsonata');
    const source = isFile ? mappings.get(text) : text;
    if (source === undefined) {
      mistaken({ pointer, words: `there is no file ${text} beside item.json` });
      return as(file, 'null');
    }
    const place = isFile ? `${name}/${text}` : `${file} ${pointer}`;
    try {
      return as(place, source);
    } catch (error) {
      mistakes.push(error instanceof Error ? error.message : String(error));
      return as(file, 'null');
    }
  }
  const { holds, holders, hints, body } = compileExpression;

  const material = ({ when, certificate, ...rest }: WrittenItem['materials'][number], at: number): Material => ({
    ...rest,
    ...(when === undefined ? {} : { when: compile(holds, `/materials/${at}/when`, when) }),
    ...(certificate === undefined
      ? {}
      : {
          certificate: {
            type: certificate.type,
            title: certificate.title,
            sources: certificate.sources,
            holders: compile(holders, `/materials/${at}/certificate/holders`, certificate.holders),
            ...(certificate.hints === undefined
              ? {}
              : { hints: compile(hints, `/materials/${at}/certificate/hints`, certificate.hints) }),
          },
        }),
  });
  const step = ({ when, map, ...rest }: WrittenItem['route'][number], at: number): RouteStep => ({
    ...rest,
    ...(when === undefined ? {} : { when: compile(holds, `/route/${at}/when`, when) }),
    map: compile(body, `/route/${at}/map`, map),
  });
  const item: Item = {
    code: written.code,
    title: written.title,
    area: written.area,
    owner: written.owner,
    form: written.form,
    promised: written.promised,
    statutory: written.statutory,
    basis: written.basis,
    materials: written.materials.map(material),
    route: written.route.map(step),
    rules: written.rules.map((rule, at) => ({ ...rule, holds: compile(holds, `/rules/${at}/holds`, rule.holds) })),
  };
  return mistakes.length > 0 ? { mistakes } : { item, mistakes };
}

/** The mappings of an item by file name. */
async function mappingFiles(folder: string): Promise<ReadonlyMap<string, string>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.jsonata'));
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(path.join(folder, name), 'utf8')] as const)),
  );
}

/** What the schema cannot say of an item as a whole. */
function itemMistakes(item: WrittenItem, parties: ReadonlySet<Party> | undefined): readonly Mistake[] {
  const mistakes: Mistake[] = [];
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
  for (const [at, { from, certificate }] of item.materials.entries()) {
    if ((from === 'certificate') !== (certificate !== undefined)) {
      const words = certificate === undefined ? 'says no certificate' : 'says a certificate, and is not from one';
      mistakes.push({ pointer: `/materials/${at}`, words });
    }
    for (const [nth, source] of (certificate?.sources ?? []).entries()) {
      stranger(source, `/materials/${at}/certificate/sources/${nth}`);
    }
  }
  for (const [at, { party }] of item.route.entries()) stranger(party, `/route/${at}/party`);
  return mistakes;
}
