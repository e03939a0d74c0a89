import type { Json, JsonObject } from './ports/envelope.ts';
import { resolveReference } from './references.ts';

/** One of the schemas that speak of a place; `sure`: always, and not only in a branch of a condition or choice. */
interface Part {
  readonly schema: JsonObject;
  readonly document: JsonObject;
  readonly sure: boolean;
}

/** A place in the bodies of a contract: all that its schemas say of it. */
export class Place {
  readonly #parts: readonly Part[];
  readonly #documents: readonly Json[];

  private constructor(parts: readonly Part[], documents: readonly Json[]) {
    this.#parts = parts;
    this.#documents = documents;
  }

  /** @param documents schemas that `$ref` may speak of, each by its `$id` */
  static root(schema: JsonObject, documents: readonly Json[]): Place {
    return new Place(expanded([{ schema, document: schema, sure: true }], documents), documents);
  }

  /** Of every schema here; `sure` ones only, where asked. */
  schemas(sure = false): readonly JsonObject[] {
    return this.#parts.filter((part) => !sure || part.sure).map(({ schema }) => schema);
  }

  get types(): ReadonlySet<string> {
    const types = this.schemas().flatMap(({ type }) => (type === undefined ? [] : [type].flat()));
    if (types.length === 0 && this.names.length > 0) return new Set(['object']);
    return new Set(types.map(String));
  }

  /** Of the properties that may be here. */
  get names(): readonly string[] {
    return [
      ...new Set(this.schemas().flatMap(({ properties }) => (isObject(properties) ? Object.keys(properties) : []))),
    ];
  }

  requires(name: string): boolean {
    return this.schemas(true).some(({ required }) => Array.isArray(required) && required.includes(name));
  }

  property(name: string): Place {
    return this.#inside(({ properties }) => (isObject(properties) ? properties[name] : undefined));
  }

  items(): Place {
    return this.#inside(({ items }) => items);
  }

  /** By RFC 6901, `*` or a number for the members of a list. */
  at(pointer: string): Place {
    return pointer
      .split('/')
      .slice(1)
      .reduce<Place>((place, step) => {
        if (step === '*' || (/^\d+$/.test(step) && place.types.has('array'))) return place.items();
        return place.property(step.replaceAll('~1', '/').replaceAll('~0', '~'));
      }, this);
  }

  #inside(take: (schema: JsonObject) => Json | undefined): Place {
    const parts = this.#parts.flatMap(({ schema, document, sure }) => {
      const inside = take(schema);
      return isObject(inside) ? [{ schema: inside, document, sure }] : [];
    });
    return new Place(expanded(parts, this.#documents), this.#documents);
  }
}

/** With what each refers to and is composed of. */
function expanded(parts: readonly Part[], documents: readonly Json[]): readonly Part[] {
  const all = new Map<JsonObject, Part>();
  const add = (part: Part): void => {
    const known = all.get(part.schema);
    if (known !== undefined && (known.sure || !part.sure)) return;
    all.set(part.schema, part);
    const { schema, document, sure } = part;
    const { $ref, allOf, anyOf, oneOf, then, else: otherwise } = schema;
    const target = typeof $ref === 'string' ? resolveReference($ref, document, documents) : undefined;
    if (target !== undefined) add({ ...target, sure });
    for (const one of [allOf].flat()) if (isObject(one)) add({ schema: one, document, sure });
    for (const one of [anyOf, oneOf, then, otherwise].flat())
      if (isObject(one)) add({ schema: one, document, sure: false });
  };
  for (const part of parts) add(part);
  return [...all.values()];
}

/** A body of a contract whose texts are marks, so that it can be seen where a mapping puts each. */
export interface Probe {
  readonly body: JsonObject;
  /** Where each mark stands, RFC 6901. */
  readonly marks: ReadonlyMap<string, string>;
}

/** How one probe differs from another: what is chosen where there is a choice, and what is left out. */
export interface ProbeVariation {
  /** Which of several: the value of an enumeration at a pointer; taken modulo their number. */
  choose(pointer: string): number;
  /** Whether a property that need not be there is left out. */
  omit(pointer: string): boolean;
  /** Members of every list; `PROBE_ITEMS` unless given, and no more. */
  readonly items?: number;
  /** The mark that stands for the nth text. */
  mark(nth: number): string;
}

/** Members of every list: what is done with some of them only is seen. */
export const PROBE_ITEMS = 3;
const DEEPEST = 16;

export function probeOf(place: Place, variation: ProbeVariation): Probe {
  const marks = new Map<string, string>();
  const value = build(place, '', 0);
  return { body: isObject(value) ? value : {}, marks };

  function build(here: Place, pointer: string, depth: number): Json | undefined {
    if (depth > DEEPEST) return undefined;
    const choices = choicesOf(here);
    if (choices.length > 0) return choices[variation.choose(pointer) % choices.length];
    const { types } = here;
    if (types.has('object')) {
      const entries = here.names.flatMap((name): [string, Json][] => {
        const inside = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
        if (!here.requires(name) && variation.omit(inside)) return [];
        const one = build(here.property(name), inside, depth + 1);
        return one === undefined ? [] : [[name, one]];
      });
      return Object.fromEntries(entries);
    }
    if (types.has('array')) {
      const members = Array.from({ length: variation.items ?? PROBE_ITEMS }, (_, at) =>
        build(here.items(), `${pointer}/${at}`, depth + 1),
      );
      return members.filter((one) => one !== undefined);
    }
    if (types.has('string')) {
      const mark = variation.mark(marks.size);
      marks.set(mark, pointer);
      return mark;
    }
    if (types.has('boolean')) return variation.choose(pointer) % 2 === 0;
    if (types.has('integer') || types.has('number')) return 1;
    return undefined;
  }
}

/** Places of a body at which something may be varied, with the number of ways. */
export function choicesIn(
  place: Place,
  pointer = '',
  depth = 0,
): readonly { readonly pointer: string; readonly ways: number }[] {
  if (depth > DEEPEST) return [];
  const choices = choicesOf(place);
  if (choices.length > 0) return [{ pointer, ways: choices.length }];
  const { types } = place;
  if (types.has('boolean')) return [{ pointer, ways: 2 }];
  const own = types.has('object')
    ? place.names.flatMap((name) => choicesIn(place.property(name), `${pointer}/${name}`, depth + 1))
    : [];
  return types.has('array') ? [...own, ...choicesIn(place.items(), `${pointer}/*`, depth + 1)] : own;
}

/** A place of a probe with `*` for a member of a list where the same holds for all the others. */
export function generalised(pointer: string, holds: (pointer: string) => boolean): string {
  const steps = pointer.split('/');
  for (const [at, step] of steps.entries()) {
    if (!/^\d+$/.test(step)) continue;
    const others = Array.from({ length: PROBE_ITEMS }, (_, nth) => pointer.split('/').with(at, String(nth)).join('/'));
    if (others.every(holds)) steps[at] = '*';
  }
  return steps.join('/');
}

function choicesOf(place: Place): readonly Json[] {
  for (const sure of [true, false]) {
    for (const { enum: all, const: only } of place.schemas(sure)) {
      if (Array.isArray(all) && all.length > 0) return all;
      if (only !== undefined) return [only];
    }
  }
  return [];
}

function isObject(value: Json | undefined): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
