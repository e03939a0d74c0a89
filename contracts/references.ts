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

function asObject(value: Json | undefined): JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};
}

const unescaped = (step: string): string => decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
