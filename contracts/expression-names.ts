import { type MappingNode, mappingTree } from './mapping.ts';
import type { JsonObject } from './ports/envelope.ts';
import { fieldOf, type SchemaPart } from './references.ts';

/**
 * Whether a mapping names only what is there, seen from its text: JSONata gives nothing for a field that does not exist, and says nothing of it. What a
 * value looks like is followed through paths, variables, conditions and lists; where that cannot be known, nothing is said.
 */
export type Shape =
  /** Nothing is known of it: whatever is asked of it may be there. */
  | { readonly kind: 'any' }
  /** Exactly these fields; `missing` is the sentence about one that is not among them. */
  | {
      readonly kind: 'fields';
      readonly fields: { readonly [name: string]: Shape };
      readonly missing: (name: string) => string;
    }
  /** What a contract or another schema says; `of` is its name. */
  | { readonly kind: 'schema'; readonly of: string; readonly parts: readonly SchemaPart[] }
  | { readonly kind: 'either'; readonly shapes: readonly Shape[] }
  | { readonly kind: 'function'; readonly node: MappingNode; readonly variables: Variables };

type Variables = ReadonlyMap<string, Shape>;

/** A name that is not there. */
export interface MissingName {
  /** Line of the source, from 1. */
  readonly line: number;
  readonly words: string;
}

export interface Naming {
  /** What the mapping sees as its input. */
  readonly input: Shape;
  /** Bound beside it: `$settings` … */
  readonly variables?: { readonly [name: string]: Shape };
  /** Functions besides JSONata's own. */
  readonly functions: ReadonlySet<string>;
  /** What some functions give, where more is known than nothing. */
  readonly gives?: { readonly [name: string]: Shape };
  /** A sentence about texts that stand as arguments: a code table that is not there. */
  readonly arguments?: (name: string, texts: readonly (string | undefined)[]) => string | undefined;
  /** Every schema that `$ref` may speak of. */
  readonly documents: readonly JsonObject[];
}

export const ANY: Shape = { kind: 'any' };

export const schemaShape = (of: string, schema: JsonObject): Shape => ({
  kind: 'schema',
  of,
  parts: [{ schema, document: schema }],
});

export function fieldsShape(fields: { readonly [name: string]: Shape }, of: string): Shape {
  const names = Object.keys(fields).join(', ');
  return {
    kind: 'fields',
    fields,
    missing: (name) => `there is no ${name} in ${of}, which has ${names || 'no field'}`,
  };
}

export function eitherOf(shapes: readonly Shape[]): Shape {
  const [only] = shapes;
  if (only === undefined) return ANY;
  if (shapes.length === 1) return only;
  return shapes.some(({ kind }) => kind === 'any') ? ANY : { kind: 'either', shapes };
}

/** The field of a shape; the sentence about it when it cannot be there. */
export function fieldShape(shape: Shape, name: string, documents: readonly JsonObject[]): Shape | string {
  switch (shape.kind) {
    case 'any':
    case 'function':
      return ANY;
    case 'fields':
      return Object.hasOwn(shape.fields, name) ? (shape.fields[name] ?? ANY) : shape.missing(name);
    case 'schema': {
      const found = shape.parts.map((part) => fieldOf(part, name, documents));
      if (found.includes('open')) return ANY;
      const parts = found.flatMap((each) => (each === undefined || each === 'open' ? [] : each));
      return parts.length === 0 ? `${shape.of} has no ${name} here` : { ...shape, parts };
    }
    case 'either': {
      const found = shape.shapes.map((each) => fieldShape(each, name, documents));
      const there = found.filter((each) => typeof each !== 'string');
      return there.length > 0 ? eitherOf(there) : (found[0] ?? ANY);
    }
  }
}

/** Every name in the source that is not there; [] of a source that does not compile. */
export function missingNames(source: string, naming: Naming): readonly MissingName[] {
  return followNames(source, naming).missing;
}

/** The same, and what the mapping gives. */
export function followNames(
  source: string,
  naming: Naming,
): { readonly missing: readonly MissingName[]; readonly gives: Shape } {
  const tree = mappingTree(source);
  if (tree === undefined) return { missing: [], gives: ANY };
  const walk = new Walk(source, naming);
  const variables = new Map(Object.entries(naming.variables ?? {}));
  const gives = walk.shapeOf(tree, naming.input, variables);
  return { missing: walk.missing(), gives };
}

/** JSONata's own (2.x). */
const BUILT_IN: ReadonlySet<string> = new Set(
  `sum count max min average string substring substringBefore substringAfter lowercase uppercase length trim pad match contains replace split join
   formatNumber formatBase formatInteger parseInteger number floor ceil round abs sqrt power boolean not map zip filter single reduce sift keys lookup append
   exists spread merge reverse each error assert type sort shuffle distinct base64encode base64decode encodeUrlComponent encodeUrl decodeUrlComponent decodeUrl
   toMillis fromMillis clone`.split(/\s+/),
);
/** Their value is their first argument's, or part of it. */
const SAME_SHAPE: ReadonlySet<string> = new Set([
  'reverse',
  'sort',
  'shuffle',
  'distinct',
  'filter',
  'single',
  'clone',
]);
/** Their function is given the elements of their first argument. */
const OVER_ELEMENTS: ReadonlySet<string> = new Set(['map', 'filter', 'single', 'sort']);
/** Looked at of one mapping: functions that call functions could make it endless. */
const MOST_NODES = 20_000;
const DEEPEST = 100;

class Walk {
  readonly #source: string;
  readonly #naming: Naming;
  #found = new Map<string, MissingName>();
  /** By function: what was missing in each of its calls. One that is called for several things need find a name in one of them only. */
  readonly #calls = new Map<MappingNode, ReadonlyMap<string, MissingName>[]>();
  #nodes = 0;
  #depth = 0;

  constructor(source: string, naming: Naming) {
    this.#source = source;
    this.#naming = naming;
  }

  missing(): readonly MissingName[] {
    const found = [...this.#found];
    for (const [first, ...others] of this.#calls.values())
      found.push(...[...(first ?? [])].filter(([key]) => others.every((other) => other.has(key))));
    return [...new Map(found).values()];
  }

  shapeOf(node: MappingNode, here: Shape, variables: Map<string, Shape>): Shape {
    this.#nodes += 1;
    if (this.#nodes > MOST_NODES || this.#depth > DEEPEST) return ANY;
    this.#depth += 1;
    try {
      const shape = this.#plainShape(node, here, variables);
      return this.#filtered(node, node.predicate, shape, variables);
    } finally {
      this.#depth -= 1;
    }
  }

  #plainShape(node: MappingNode, here: Shape, variables: Map<string, Shape>): Shape {
    switch (node.type) {
      case 'path':
        return this.#path(node, here, variables);
      case 'name':
        return this.#field(here, String(node.value), node);
      case 'variable':
        return this.#variable(node, here, variables);
      case 'function':
      case 'partial':
        return this.#call(node, here, variables, []);
      case 'apply': {
        const given = this.shapeOf(part(node, 'lhs'), here, variables);
        const to = part(node, 'rhs');
        if (to.type === 'function') return this.#call(to, here, variables, [given]);
        this.shapeOf(to, here, variables);
        return ANY;
      }
      case 'unary':
        return this.#unary(node, here, variables);
      case 'binary':
        for (const side of ['lhs', 'rhs']) this.shapeOf(part(node, side), here, variables);
        return ANY;
      case 'condition': {
        this.shapeOf(part(node, 'condition'), here, variables);
        const branches = ['then', 'else'].flatMap((name) => (node[name] === undefined ? [] : [part(node, name)]));
        return eitherOf(branches.map((branch) => this.shapeOf(branch, here, variables)));
      }
      case 'block': {
        const own = new Map(variables);
        let last: Shape = ANY;
        for (const each of parts(node, 'expressions')) last = this.shapeOf(each, here, own);
        return last;
      }
      case 'bind': {
        const shape = this.shapeOf(part(node, 'rhs'), here, variables);
        variables.set(String(part(node, 'lhs').value), shape);
        return shape;
      }
      case 'lambda':
        return { kind: 'function', node, variables };
      case 'transform':
        this.shapeOf(part(node, 'pattern'), here, variables);
        return ANY;
      default:
        return ANY;
    }
  }

  #path(node: MappingNode, here: Shape, variables: Map<string, Shape>): Shape {
    // A step may bind a variable that the steps after it see.
    const own = new Map(variables);
    let shape = here;
    for (const step of parts(node, 'steps')) {
      if (step.type === 'sort') {
        for (const term of parts(step, 'terms')) this.shapeOf(part(term, 'expression'), shape, own);
        continue;
      }
      let next = this.shapeOf(step, shape, own);
      next = this.#filtered(step, step.stages, next, own);
      if (typeof step.index === 'string') own.set(step.index, ANY);
      if (typeof step.focus === 'string') {
        own.set(step.focus, next);
        next = ANY;
      }
      shape = next;
    }
    const group = node.group as MappingNode | undefined;
    if (group === undefined) return shape;
    for (const pair of group.lhs as MappingNode[][]) for (const each of pair) this.shapeOf(each, shape, own);
    return ANY;
  }

  /** What stands in brackets behind a value sees each of its elements. */
  #filtered(_node: MappingNode, stages: unknown, shape: Shape, variables: Map<string, Shape>): Shape {
    for (const stage of Array.isArray(stages) ? (stages as MappingNode[]) : []) {
      if (stage.type === 'filter') this.shapeOf(part(stage, 'expr'), shape, variables);
      else if (stage.type === 'index') variables.set(String(stage.value), ANY);
    }
    return shape;
  }

  #variable(node: MappingNode, here: Shape, variables: Variables): Shape {
    const name = String(node.value);
    if (name === '') return here;
    if (name === '$') return this.#naming.input;
    const bound = variables.get(name);
    if (bound !== undefined) return bound;
    if (!this.#isFunction(name)) this.#tell(node, `there is no variable or function $${name}`);
    return ANY;
  }

  #call(node: MappingNode, here: Shape, variables: Map<string, Shape>, before: readonly Shape[]): Shape {
    const procedure = part(node, 'procedure');
    const given = parts(node, 'arguments');
    const shapes = [...before, ...given.map((each) => this.shapeOf(each, here, variables))];
    const name = procedure.type === 'variable' ? String(procedure.value) : undefined;
    const own = name === undefined ? this.shapeOf(procedure, here, variables) : variables.get(name);
    if (own?.kind === 'function') return this.#enter(own, shapes);
    // A function that is handed on is called by whoever got it.
    for (const shape of shapes) {
      if (shape.kind !== 'function') continue;
      const elements = name !== undefined && OVER_ELEMENTS.has(name) ? [shapes[0] ?? ANY] : [];
      this.#enter(shape, name === 'sort' ? [...elements, ...elements] : elements);
    }
    if (name === undefined || own !== undefined) return ANY;
    if (!this.#isFunction(name)) {
      this.#tell(procedure, `there is no function $${name}`);
      return ANY;
    }
    const texts = given.map((each) => (each.type === 'string' ? String(each.value) : undefined));
    const told = this.#naming.arguments?.(name, texts);
    if (told !== undefined) this.#tell(node, told);
    const gives = this.#naming.gives?.[name];
    if (gives !== undefined) return gives;
    const [first = ANY, second = ANY] = shapes;
    if (name === 'append') return eitherOf([first, second]);
    if (name === 'lookup' && texts[1] !== undefined) return this.#field(first, texts[1], node);
    return SAME_SHAPE.has(name) && shapes.length > 0 ? first : ANY;
  }

  #enter({ node, variables }: Extract<Shape, { kind: 'function' }>, given: readonly Shape[]): Shape {
    const inside = new Map(variables);
    for (const [at, { value }] of parts(node, 'arguments').entries()) inside.set(String(value), given[at] ?? ANY);
    const outside = this.#found;
    this.#found = new Map();
    const shape = this.shapeOf(part(node, 'body'), ANY, inside);
    this.#calls.set(node, [...(this.#calls.get(node) ?? []), this.#found]);
    this.#found = outside;
    return shape;
  }

  #unary(node: MappingNode, here: Shape, variables: Map<string, Shape>): Shape {
    if (node.value === '[')
      return eitherOf(parts(node, 'expressions').map((each) => this.shapeOf(each, here, variables)));
    if (node.value !== '{') {
      if (node.expression !== undefined) this.shapeOf(part(node, 'expression'), here, variables);
      return ANY;
    }
    const fields: { [name: string]: Shape } = {};
    let known = true;
    for (const [key, value] of node.lhs as [MappingNode, MappingNode][]) {
      if (key.type === 'string') fields[String(key.value)] = this.shapeOf(value, here, variables);
      else {
        known = false;
        for (const each of [key, value]) this.shapeOf(each, here, variables);
      }
    }
    return known ? fieldsShape(fields, 'the object that the mapping makes') : ANY;
  }

  #field(shape: Shape, name: string, node: MappingNode): Shape {
    const found = fieldShape(shape, name, this.#naming.documents);
    if (typeof found !== 'string') return found;
    this.#tell(node, found);
    return ANY;
  }

  #isFunction(name: string): boolean {
    return BUILT_IN.has(name) || this.#naming.functions.has(name);
  }

  #tell({ position = 0 }: MappingNode, words: string): void {
    const line = this.#source.slice(0, position).split('\n').length;
    this.#found.set(`${line} ${words}`, { line, words });
  }
}

const part = (node: MappingNode, name: string): MappingNode => node[name] as MappingNode;
const parts = (node: MappingNode, name: string): readonly MappingNode[] =>
  (node[name] as MappingNode[] | undefined) ?? [];
