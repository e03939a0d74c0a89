import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { compileSchema } from '../contracts/compile.ts';
import type { Json, Party } from '../contracts/ports/envelope.ts';
import type { Catalogue, CertificateTypes, Item, Material, RouteStep } from '../contracts/ports/item.ts';
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

interface Known {
  readonly parties?: ReadonlySet<Party> | readonly Party[];
  readonly types?: CertificateTypes;
}

/** As a source: the certificates that our own cases made. */
const REGISTER: Party = 'register';

const check = compileSchema(itemSchema as Json, { names: 'shown' });

/**
 * Reads `<folder>/<name>/item.json`, each with its mappings beside it (docs/items.md), and compiles every expression once.
 *
 * @param known.parties when given, a step or source of any other party is a mistake
 * @param known.types when given, a certificate of any other type, or a field that its type does not have, is a mistake
 * @throws CatalogueError with every mistake of every item
 */
export async function loadItems(folder: string, known: Known = {}): Promise<Catalogue> {
  const names = await itemFolders(folder);
  const read = await Promise.all(names.map((name) => readItem(path.join(folder, name), name, known)));
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
  known: Known,
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
  for (const mistake of [...routeMistakes(written.route), ...itemMistakes(written, known)]) mistaken(mistake);

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
  const { holds, holders, hints, body, text } = compileExpression;

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
            fields: certificate.fields,
            ...(certificate.uploadMayReplace === undefined ? {} : { uploadMayReplace: certificate.uploadMayReplace }),
            ...(certificate.whenDown === undefined ? {} : { whenDown: certificate.whenDown }),
            holders: compile(holders, `/materials/${at}/certificate/holders`, certificate.holders),
            ...(certificate.hints === undefined
              ? {}
              : { hints: compile(hints, `/materials/${at}/certificate/hints`, certificate.hints) }),
          },
        }),
  });
  const step = ({ when, map, issues, ends, ...rest }: WrittenItem['route'][number], at: number): RouteStep => ({
    ...rest,
    ...(when === undefined ? {} : { when: compile(holds, `/route/${at}/when`, when) }),
    map: compile(body, `/route/${at}/map`, map),
    ...(issues === undefined
      ? {}
      : {
          issues: issues.map((issue, nth) => ({
            ...issue,
            map: compile(body, `/route/${at}/issues/${nth}/map`, issue.map),
          })),
        }),
    ...(ends === undefined
      ? {}
      : {
          ends: ends.map((end, nth) => ({
            type: end.type,
            holders: compile(holders, `/route/${at}/ends/${nth}/holders`, end.holders),
            ...(end.number === undefined
              ? {}
              : { number: compile(text, `/route/${at}/ends/${nth}/number`, end.number) }),
          })),
        }),
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
