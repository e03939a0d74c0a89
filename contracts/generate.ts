import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { compile } from 'json-schema-to-typescript';
import { loadContracts } from './load.ts';
import type { PublishedContract } from './ports/contract.ts';
import type { Json, JsonObject } from './ports/envelope.ts';

/**
 * TypeScript types of the contracts in `schemas/`, for whoever makes or reads their bodies in code: `contracts.gen.ts`, checked in.
 * `node contracts/generate.ts` writes it; with `--check` it compares, and exits 1 when the file is not what the schemas say.
 */
const FOLDER = path.join(import.meta.dirname, 'schemas');
const FILE = path.join(import.meta.dirname, 'contracts.gen.ts');
export const COMMAND = 'npm run generate';

/** The text of `contracts.gen.ts` as the schemas have it now. */
export async function generated(): Promise<string> {
  const contracts = await loadContracts(FOLDER);
  // One schema with everything as a definition, so that a shared definition becomes one type.
  const definitions: JsonObject = {};
  for (const contract of contracts) {
    for (const [type, schema] of Object.entries(definitionsOf(contract))) {
      if (type in definitions) throw new Error(`${contract.name}: another contract has a definition ${type} too`);
      definitions[type] = schema;
    }
  }
  const types = await compile({ title: 'Contracts', $defs: definitions }, 'Contracts', {
    bannerComment: `/** Types of the contracts in schemas/. Written by \`${COMMAND}\`; do not edit. */`,
    additionalProperties: false,
    unreachableDefinitions: true,
    ignoreMinAndMaxItems: true,
    style: { singleQuote: true, printWidth: 120 },
  });
  return withoutReferences(withoutRoot(types)).replaceAll('/**\n */\n', '');
}

/** Without the interface that only holds the definitions together. */
function withoutRoot(types: string): string {
  const from = types.indexOf('export interface Contracts {');
  const end = types.indexOf('}\n', from);
  return from === -1 || end === -1 ? types : types.slice(0, from) + types.slice(end + 2);
}

/** Without the generator's remark of two lines on where a definition stands, and the empty line before it. */
function withoutReferences(types: string): string {
  const kept: string[] = [];
  let skip = 0;
  for (const line of types.split('\n')) {
    if (line.startsWith(' * This interface was referenced by `Contracts`')) {
      if (kept.at(-1)?.trim() === '*') kept.pop();
      skip = 2;
    }
    if (skip > 0) skip -= 1;
    else kept.push(line);
  }
  return kept.join('\n');
}

/** The text of `contracts.gen.ts` as it is checked in; undefined when there is none. */
export function checkedIn(): Promise<string | undefined> {
  return readFile(FILE, 'utf8').catch(() => undefined);
}

function definitionsOf({ name, schema }: PublishedContract): JsonObject {
  const { $defs = {}, ...own } = schema;
  return eachOf({ ...($defs as JsonObject), ...(own.type === undefined ? {} : { [typeName(name)]: own }) });
}

/** `form.house-transfer@1` → `FormHouseTransfer1`. */
function typeName(contract: string): string {
  return contract
    .split(/[.@-]/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}

/** What a type cannot say, and what would give it another name. */
const NOT_FOR_TYPES: ReadonlySet<string> = new Set([
  '$id',
  '$schema',
  'title',
  'if',
  'then',
  'else',
  'pattern',
  'format',
]);

/** A schema as the generator reads it best. */
function forTypes(schema: Json): Json {
  if (schema === null || typeof schema !== 'object') return schema;
  if (Array.isArray(schema)) return schema.map(forTypes);
  const { $ref, if: when, then: one, else: other, ...rest } = schema;
  if (typeof $ref === 'string') return { $ref: $ref.replace(/^.*#/, '#') };
  if (isReference(one) && isReference(other)) return forTypes({ anyOf: [one ?? true, other ?? true] });
  const typed: JsonObject = {};
  for (const [key, value] of Object.entries(rest)) {
    if (NOT_FOR_TYPES.has(key) || key.startsWith('x-')) continue;
    if (key === 'properties') typed.properties = eachOf(value as JsonObject);
    else if (key === 'allOf' && isReference((value as Json[])[0])) typed.extends = forTypes(value);
    // A choice between fields that must be there is no choice between types.
    else if ((key === 'anyOf' || key === 'oneOf') && rest.properties !== undefined) continue;
    else typed[key] = forTypes(value);
  }
  const open = [rest.type].flat().includes('object') && rest.properties === undefined && typed.extends === undefined;
  return open ? { additionalProperties: true, ...typed } : typed;
}

const eachOf = (schemas: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(schemas).flatMap(([name, schema]) => (schema === false ? [] : [[name, forTypes(schema)]])),
  ) as JsonObject;

const isReference = (schema: Json | undefined): boolean =>
  schema !== null && typeof schema === 'object' && '$ref' in schema;

async function run(check: boolean): Promise<void> {
  const text = await generated();
  if (!check) return writeFile(FILE, text);
  if ((await checkedIn()) === text) return;
  console.error(`contracts.gen.ts is not what the schemas say; run: ${COMMAND}`);
  process.exitCode = 1;
}

if (import.meta.main) await run(process.argv.includes('--check'));
