import { toHalfWidth } from './characters.ts';
import { normaliserOf } from './formats.ts';
import type { Json, JsonObject } from './ports/envelope.ts';
import { resolveReference } from './references.ts';

/**
 * A body as it is kept: the texts whose format says so are written in one way (`formats.ts`: dots of names; width and case of numbers), everything else is as
 * it came. Never throws, whatever the value is; what nothing changes is given back as it is.
 */
export type Normalise = (value: Json) => Json;

/** What a schema says of the texts at one place and below it. */
interface Place {
  readonly how: ReadonlySet<(text: string) => string>;
  readonly properties: ReadonlyMap<string, Place>;
  readonly others: Place | undefined;
  readonly items: Place | undefined;
}

const NOWHERE: Place = { how: new Set(), properties: new Map(), others: undefined, items: undefined };

/**
 * Compiled once for a schema; the walk over a body then follows only what the schema names. Conditions are not evaluated: a text that only one branch of
 * `if`, `anyOf` or `oneOf` speaks of is read as that branch says, one that several speak of as all of them say.
 *
 * @param documents schemas that `$ref` may speak of, each by its `$id`
 */
export function compileNormaliser(schema: JsonObject, documents: readonly Json[]): Normalise {
  const place = placeOf(schema, schema, documents, new Set());
  return (place === undefined ? undefined : normaliserAt(place)) ?? ((value) => value);
}

function placeOf(
  schema: Json | undefined,
  document: JsonObject,
  documents: readonly Json[],
  open: ReadonlySet<Json>,
): Place | undefined {
  // A definition within itself: whoever publishes contracts refuses those.
  if (!isObject(schema) || open.has(schema)) return undefined;
  const inside = new Set([...open, schema]);
  const at = (part: Json | undefined, home = document): Place | undefined => placeOf(part, home, documents, inside);
  const target = typeof schema.$ref === 'string' ? resolveReference(schema.$ref, document, documents) : undefined;
  const branches = (parts: Json | undefined): Place | undefined =>
    Array.isArray(parts) ? parts.map((part) => at(part)).reduce(either, undefined) : undefined;
  const { properties, additionalProperties, items, allOf, anyOf, oneOf } = schema;
  const how = howOf(schema);
  const own: Place = {
    how: new Set(how === undefined ? [] : [how]),
    properties: new Map(
      Object.entries(isObject(properties) ? properties : {}).flatMap(([name, part]) => {
        const place = at(part);
        return place === undefined ? [] : [[name, place] as const];
      }),
    ),
    others: at(additionalProperties),
    items: at(items),
  };
  return [
    own,
    target === undefined ? undefined : at(target.schema, target.document),
    ...(Array.isArray(allOf) ? allOf.map((part) => at(part)) : []),
    branches(anyOf),
    branches(oneOf),
    either(at(schema.then), at(schema.else)),
  ].reduce(both, undefined);
}

function howOf({ format, enum: choices, const: only }: JsonObject): ((text: string) => string) | undefined {
  if (typeof format === 'string') return normaliserOf(format);
  const texts = Array.isArray(choices) ? choices : only === undefined ? [] : [only];
  // A list of codes: `１` is meant as `1`.
  const areCodes = texts.length > 0 && texts.every((text) => typeof text === 'string' && /^[\x21-\x7e]+$/.test(text));
  return areCodes ? toHalfWidth : undefined;
}

const both = (one: Place | undefined, other: Place | undefined): Place | undefined =>
  joined(one, other, both, (a, b) => new Set([...a, ...b]));
const either = (one: Place | undefined, other: Place | undefined): Place | undefined =>
  joined(one, other, either, (a, b) => new Set([...a].filter((how) => b.has(how))));

function joined(
  one: Place | undefined,
  other: Place | undefined,
  join: typeof both,
  how: (a: Place['how'], b: Place['how']) => Place['how'],
): Place | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  const names = new Set([...one.properties.keys(), ...other.properties.keys()]);
  return {
    how: how(one.how, other.how),
    properties: new Map(
      [...names].map((name) => [name, join(one.properties.get(name), other.properties.get(name)) ?? NOWHERE]),
    ),
    others: join(one.others, other.others),
    items: join(one.items, other.items),
  };
}

/** Undefined: nothing is to be done at this place, or below it. */
function normaliserAt({ how, properties, others, items }: Place): Normalise | undefined {
  const texts = [...how];
  const ofItem = items === undefined ? undefined : normaliserAt(items);
  const ofOther = others === undefined ? undefined : normaliserAt(others);
  const byName = new Map([...properties].map(([name, place]) => [name, normaliserAt(place)]));
  const ofSome = [...byName.values()].some((one) => one !== undefined) || ofOther !== undefined;
  if (texts.length === 0 && ofItem === undefined && !ofSome) return undefined;
  return (value) => {
    if (typeof value === 'string') return texts.reduce((text, one) => one(text), value);
    if (Array.isArray(value)) {
      if (ofItem === undefined) return value;
      const read = value.map(ofItem);
      return read.some((one, at) => one !== value[at]) ? read : value;
    }
    if (!ofSome || !isObject(value)) return value;
    const changed: [string, Json][] = [];
    for (const [name, one] of Object.entries(value)) {
      const normalise = byName.has(name) ? byName.get(name) : ofOther;
      const read = normalise === undefined ? one : normalise(one);
      if (read !== one) changed.push([name, read]);
    }
    return changed.length === 0 ? value : { ...value, ...Object.fromEntries(changed) };
  };
}

function isObject(value: Json | undefined): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
