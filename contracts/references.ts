import type { Json, JsonObject } from './ports/envelope.ts';

/** Walking schemas: which names they declare, and where their `$ref`s lead. */

/** Every name that some `properties` or `required` of these schemas declares. */
export function declaredNames(schemas: readonly Json[]): ReadonlySet<string> {
  const names = new Set<string>();
  for (const schema of schemas) {
    everyPart(schema, (part) => {
      for (const name of Object.keys(asObject(part.properties))) names.add(name);
      for (const name of Array.isArray(part.required) ? part.required : []) names.add(String(name));
    });
  }
  return names;
}

/** Calls `see` with every object in a JSON value, from outside to inside. */
export function everyPart(value: Json, see: (part: JsonObject) => void): void {
  if (value === null || typeof value !== 'object') return;
  if (!Array.isArray(value)) see(value);
  for (const inside of Object.values(value)) everyPart(inside as Json, see);
}

/** `$ref` from inside `document` to the schema it means, among `documents` (by `$id`); undefined when it is not there. */
export function resolveReference(
  reference: string,
  document: JsonObject,
  documents: readonly Json[],
): { readonly document: JsonObject; readonly schema: JsonObject } | undefined {
  const [id = '', fragment = ''] = reference.split('#');
  const found = id === '' ? document : documents.map(asObject).find((one) => one.$id === id);
  if (found === undefined) return undefined;
  const steps = fragment.split('/').slice(1);
  const schema = steps.reduce<Json | undefined>((at, step) => asObject(at)[unescaped(step)], found);
  return schema === undefined ? undefined : { document: found, schema: asObject(schema) };
}

/** The fields that a schema allows by its own `properties` and those of what it refers to and is composed of. */
export function allowedNames(schema: JsonObject, documents: readonly Json[]): readonly string[] {
  const home = documents.map(asObject).find((document) => contains(document, schema)) ?? schema;
  return [...new Set(namesIn(schema, home, documents, new Set()))];
}

function namesIn(
  schema: JsonObject,
  document: JsonObject,
  documents: readonly Json[],
  seen: Set<JsonObject>,
): readonly string[] {
  if (seen.has(schema)) return [];
  seen.add(schema);
  const target = typeof schema.$ref === 'string' ? resolveReference(schema.$ref, document, documents) : undefined;
  const { allOf = [], anyOf = [], oneOf = [], if: when = [], then = [], else: otherwise = [] } = schema;
  const composed = [allOf, anyOf, oneOf, when, then, otherwise].flat();
  return [
    ...(target === undefined ? [] : namesIn(target.schema, target.document, documents, seen)),
    ...composed.flatMap((part) => namesIn(asObject(part), document, documents, seen)),
    ...Object.entries(asObject(schema.properties)).flatMap(([name, value]) => (value === false ? [] : [name])),
  ];
}

function contains(document: JsonObject, schema: JsonObject): boolean {
  let found = false;
  everyPart(document, (part) => {
    found ||= part === schema;
  });
  return found;
}

/** A part of a schema, and the schema that its references without a name speak of. */
export interface SchemaPart {
  readonly schema: JsonObject;
  readonly document: JsonObject;
}

const SCALARS: ReadonlySet<Json> = new Set(['string', 'number', 'integer', 'boolean', 'null']);

/**
 * What a schema says of a field of its objects, lists being looked through: its parts; `open` where it may be there without being declared; undefined where
 * it cannot be there.
 */
export function fieldOf(
  part: SchemaPart,
  name: string,
  documents: readonly JsonObject[],
): readonly SchemaPart[] | 'open' | undefined {
  const parts = [...partsOf(part, documents, new Set())];
  if (parts.length === 0) return 'open';
  const found: SchemaPart[] = [];
  for (const { schema, document } of parts) {
    const { properties, patternProperties } = schema;
    if (patternProperties !== undefined) return 'open';
    const declared = Object.hasOwn(asObject(properties), name) ? asObject(properties)[name] : undefined;
    if (declared === true) return 'open';
    if (declared !== undefined && declared !== false) found.push({ schema: asObject(declared), document });
  }
  if (found.length > 0) return found;
  const opened = parts.some(
    ({ schema: { additionalProperties: more, items } }) => (more !== undefined && more !== false) || items === true,
  );
  if (opened) return 'open';
  const speaks = parts.some(
    ({ schema: { properties, additionalProperties, type, const: only, enum: some } }) =>
      properties !== undefined ||
      additionalProperties === false ||
      only !== undefined ||
      some !== undefined ||
      isScalar(type),
  );
  return speaks ? undefined : 'open';
}

const isScalar = (type: Json | undefined): boolean =>
  type !== undefined && (Array.isArray(type) ? type : [type]).every((each) => SCALARS.has(each));

/** The schema itself, what it refers to and is composed of, and of a list what its elements are. Nothing where it refers to what is not there. */
function* partsOf(part: SchemaPart, documents: readonly JsonObject[], seen: Set<JsonObject>): Generator<SchemaPart> {
  const { schema, document } = part;
  if (seen.has(schema)) return;
  seen.add(schema);
  yield part;
  if (typeof schema.$ref === 'string') {
    const target = resolveReference(schema.$ref, document, documents);
    if (target === undefined) yield { schema: { additionalProperties: true }, document };
    else yield* partsOf(target, documents, seen);
  }
  const { allOf = [], anyOf = [], oneOf = [], prefixItems = [], items = [], then = [], else: otherwise = [] } = schema;
  for (const inner of [allOf, anyOf, oneOf, prefixItems, items, then, otherwise].flat())
    yield* partsOf({ schema: asObject(inner), document }, documents, seen);
}

function asObject(value: Json | undefined): JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};
}

const unescaped = (step: string): string => decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
