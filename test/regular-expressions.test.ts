import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { check } from 'recheck';
import ts from 'typescript';
import { parse } from 'yaml';
import { type MappingNode, mappingTree } from '../contracts/mapping.ts';
import type { Json } from '../contracts/ports/envelope.ts';
import { patternsOf } from '../contracts/schema-patterns.ts';

/**
 * Every regular expression of ours takes time that grows with a text's length and no faster, which `recheck` proves from its automaton. What cannot be proved
 * so (look-around, back-references) is written in another way.
 */
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const FOLDERS = '{adapters,bench,config,console,contracts,gateway}';

/** Where a text from elsewhere becomes a native expression: to see whether it is one at all. It is never run. */
const NEVER_RUN = 'contracts/linear-pattern.ts';
/** For one expression, ms. */
const LONGEST = 10_000;

interface Found {
  readonly place: string;
  readonly source: string;
  readonly flags: string;
}

const files = (ending: string): readonly string[] =>
  globSync(`${FOLDERS}/**/*.${ending}`, { cwd: root })
    .map((file) => file.replaceAll('\\', '/'))
    // Bytes of others, and what tests compare our own sentences with.
    .filter((file) => !file.includes('/samples/') && !file.endsWith('.test.ts'));
const text = (file: string): string => readFileSync(path.join(root, file), 'utf8');

function inSource(file: string): readonly (Found | string)[] {
  const source = ts.createSourceFile(file, text(file), ts.ScriptTarget.Latest, true);
  const constants = new Map<string, ts.Expression>();
  const found: (Found | string)[] = [];
  const placeOf = (node: ts.Node): string =>
    `${file}:${source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1}`;
  const visit = (node: ts.Node, see: (node: ts.Node) => void): void => {
    see(node);
    node.forEachChild((child) => visit(child, see));
  };
  visit(source, (node) => {
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name) && node.initializer !== undefined)
      constants.set(node.name.text, node.initializer);
  });
  visit(source, (node) => {
    if (ts.isRegularExpressionLiteral(node)) {
      const end = node.text.lastIndexOf('/');
      found.push({ place: placeOf(node), source: node.text.slice(1, end), flags: node.text.slice(end + 1) });
    }
    const made = ts.isNewExpression(node) || ts.isCallExpression(node) ? node : undefined;
    if (made === undefined || !ts.isIdentifier(made.expression) || made.expression.text !== 'RegExp') return;
    const [first, second] = made.arguments ?? [];
    const given = first !== undefined && ts.isIdentifier(first) ? constants.get(first.text) : first;
    const flags = second !== undefined && ts.isStringLiteralLike(second) ? second.text : '';
    if (given !== undefined && ts.isStringLiteralLike(given))
      found.push({ place: placeOf(node), source: given.text, flags });
    else if (given === undefined || !ts.isRegularExpressionLiteral(given)) found.push(placeOf(node));
  });
  return found;
}

function inSchemas(): readonly Found[] {
  const documents = [
    ...files('json').map((file) => [file, JSON.parse(text(file)) as Json] as const),
    ...files('yaml').map((file) => [file, parse(text(file), { merge: true }) as Json] as const),
  ];
  return documents.flatMap(([file, document]) =>
    patternsOf(document).map(({ pointer, pattern }) => ({ place: `${file} ${pointer}`, source: pattern, flags: 'u' })),
  );
}

function inMappings(): readonly Found[] {
  const texts = [
    ...files('jsonata').map((file) => [file, text(file)] as const),
    ...files('yaml').flatMap((file) => textsIn(parse(text(file), { merge: true })).map((one) => [file, one] as const)),
  ];
  return texts.flatMap(([file, source]) =>
    expressionsIn(mappingTree(source)).map(({ source, flags }) => ({
      place: file,
      source,
      flags: flags.replace('g', ''),
    })),
  );
}

const textsIn = (value: Json): readonly string[] =>
  typeof value === 'string'
    ? [value]
    : value === null || typeof value !== 'object'
      ? []
      : Object.values(value).flatMap(textsIn);

function expressionsIn(node: MappingNode | unknown): readonly RegExp[] {
  if (node instanceof RegExp) return [node];
  return node === null || typeof node !== 'object' ? [] : Object.values(node).flatMap(expressionsIn);
}

test('no regular expression of ours takes more than linear time', { timeout: 300_000 }, async () => {
  const inSources = [...files('ts'), ...files('js')].flatMap(inSource);
  const unseen = inSources
    .filter((one) => typeof one === 'string')
    .filter((place) => !place.startsWith(`${NEVER_RUN}:`));
  assert.deepEqual(
    unseen,
    [],
    'these are made from a text that is not known here: use linearPattern (contracts/linear-pattern.ts)',
  );
  const all = [...inSources.filter((one) => typeof one !== 'string'), ...inSchemas(), ...inMappings()];
  assert.ok(all.length > 200, `only ${all.length} were found`);
  const once = [...new Map(all.toReversed().map((one) => [`${one.flags}/${one.source}`, one])).values()];
  const wrong: string[] = [];
  for (const { place, source, flags } of once) {
    const said = await check(source, flags, { checker: 'automaton', timeout: LONGEST });
    if (said.status === 'safe') continue;
    const why =
      said.status === 'vulnerable'
        ? said.complexity.type
        : said.error.kind === 'unsupported'
          ? `cannot be proved: ${said.error.message}`
          : said.error.kind;
    wrong.push(`${place}: /${source}/${flags} ${why}`);
  }
  assert.deepEqual(wrong, []);
});
