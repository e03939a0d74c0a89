import { setImmediate } from 'node:timers/promises';
import jsonata from 'jsonata';
import { type LinearPattern, linearPattern, PatternError } from './linear-pattern.ts';
import type { Json } from './ports/envelope.ts';

/**
 * JSONata, in the one place where it appears. A mapping is a pure function from JSON to JSON, bounded in time, depth and size:
 * regular expressions run in linear time or are refused, no `$eval`, no `$now`/`$millis`/`$random` (time and chance come in as input).
 */
export type MappingFunctions = { readonly [name: string]: (...args: never[]) => unknown };
export type Mapping = (input: unknown, more?: MappingFunctions) => Promise<Json | undefined>;

/** ms, calls deep, elements in one sequence. */
const BOUNDS = { timeout: 500, stack: 200, sequence: 10_000 };
/**
 * The time is the wall's, and evaluations that began together share it turn by turn: under load one may be out of time without having had any. It is
 * then evaluated anew in a turn of its own; what is out of time again and again does not end.
 */
const TRIES = 4;
const OUT_OF_TIME = 'D1012';
/** ms that one expression may take in one evaluation, over all its matches: each is linear, and a text may have many. */
const MATCHING = 250;
const FORBIDDEN: ReadonlySet<string> = new Set(['eval', 'now', 'millis', 'random']);

/** A mapping that does not compile, or did not evaluate; names the mapping, never the data. */
export class MappingError extends Error {
  constructor(name: string, what: string, cause?: unknown) {
    super(`${name}: ${what}`, { cause });
    this.name = 'MappingError';
  }
}

/**
 * @param name for messages: the file, or the place in the manifest
 * @param functions called in the mapping as `$name(…)`; what a function throws of its own class is rethrown as it is
 * @throws MappingError when the source is not JSONata or uses what is forbidden
 */
export function compileMapping(name: string, source: string, functions: MappingFunctions = {}): Mapping {
  const expression = parsed(name, source);
  refuseForbidden(name, expression.ast());
  return async (input, more) => {
    const known = more === undefined ? functions : { ...functions, ...more };
    try {
      for (let tries = 1; ; tries += 1) {
        try {
          return plain(await expression.evaluate(input, known));
        } catch (error) {
          if (tries === TRIES || (error as { code?: unknown } | null)?.code !== OUT_OF_TIME) throw error;
        }
        await setImmediate();
      }
    } catch (error) {
      // An error thrown by one of our functions (a Fault, say) is meant for the caller; JSONata's own carry a code.
      if (error instanceof Error && error.constructor !== Error) throw error;
      throw new MappingError(name, words(error), error);
    }
  };
}

/** What JSONata takes in place of `RegExp`; it sets `lastIndex`, and reads it. */
class LinearRegExp {
  lastIndex = 0;
  readonly #pattern: LinearPattern;
  #taken = 0;

  constructor({ source, flags }: RegExp) {
    this.#pattern = linearPattern(source, flags.replaceAll('g', ''));
  }

  exec(value: unknown): RegExpExecArray | null {
    if (this.#taken > MATCHING) throw new Error(`a regular expression took longer than ${MATCHING} ms`);
    const text = String(value);
    const began = performance.now();
    const match = this.#pattern.exec(text, this.lastIndex);
    this.#taken += performance.now() - began;
    this.lastIndex = match === null ? 0 : match.index + match.parts[0].length;
    return match === null
      ? null
      : (Object.assign([...match.parts], { index: match.index, input: text }) as RegExpExecArray);
  }
}

const OPTIONS = { ...BOUNDS, RegexEngine: LinearRegExp as unknown as RegExpConstructor };

function parsed(name: string, source: string): jsonata.Expression {
  try {
    return jsonata(source, OPTIONS);
  } catch (error) {
    throw new MappingError(name, `not a mapping: ${words(error)}`, error);
  }
}

/**
 * The names that a mapping gives as first argument to one of its functions, of two arguments: `$once("serial", …)`.
 * @throws MappingError when the function is used in any other way, so that its names could not be known, or the source is not JSONata
 */
export function namesGivenTo(name: string, source: string, functionName: string): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) {
      for (const part of node) visit(part);
      return;
    }
    if (node === null || typeof node !== 'object') return;
    const { type, value, procedure, arguments: given } = node as AstNode;
    if (type === 'function' && isNamed(procedure, functionName)) {
      const [first] = given ?? [];
      if (given?.length !== 2 || first?.type !== 'string')
        throw new MappingError(name, `$${functionName} takes a name in quotation marks and a value or function`);
      found.add(String(first.value));
      visit(given);
      return;
    }
    if (type === 'variable' && value === functionName)
      throw new MappingError(name, `$${functionName} can only be called, with a name in quotation marks`);
    for (const part of Object.values(node)) visit(part);
  };
  visit(parsed(name, source).ast());
  return found;
}

interface AstNode {
  readonly type?: unknown;
  readonly value?: unknown;
  readonly procedure?: AstNode;
  readonly arguments?: readonly AstNode[];
}

const isNamed = (node: AstNode | undefined, name: string): boolean => node?.type === 'variable' && node.value === name;

/** JSONata decorates the arrays it makes and may return parts of its input: callers get JSON of their own. */
function plain(value: unknown): Json | undefined {
  if (value === undefined) return undefined;
  if (value === null || typeof value !== 'object') return typeof value === 'function' ? undefined : (value as Json);
  return JSON.parse(JSON.stringify(value)) as Json;
}

/** A node of a mapping's syntax tree, as JSONata's `ast()` gives it. */
export interface MappingNode {
  readonly type: string;
  readonly value?: unknown;
  /** Of its end in the source, in characters. */
  readonly position?: number;
  readonly [part: string]: unknown;
}

/** The syntax tree of a source that compiles; undefined of one that does not. */
export function mappingTree(source: string): MappingNode | undefined {
  try {
    return jsonata(source).ast() as unknown as MappingNode;
  } catch {
    return undefined;
  }
}

function refuseForbidden(name: string, node: unknown): void {
  if (Array.isArray(node)) {
    for (const part of node) refuseForbidden(name, part);
    return;
  }
  if (node === null || typeof node !== 'object') return;
  const { type, value } = node as { type?: unknown; value?: unknown };
  if (value instanceof RegExp) refuseUnlessLinear(name, value);
  if (type === 'variable' && typeof value === 'string' && FORBIDDEN.has(value)) {
    throw new MappingError(name, `$${value} is not allowed in a mapping`);
  }
  for (const part of Object.values(node)) refuseForbidden(name, part);
}

function refuseUnlessLinear(name: string, { source, flags }: RegExp): void {
  try {
    linearPattern(source, flags.replaceAll('g', ''));
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    throw new MappingError(name, error.message, error);
  }
}

/** JSONata's message without the value it names: a value may be personal. */
function words(error: unknown): string {
  const { code, position, token } = error as { code?: string; position?: number; token?: string };
  if (code === undefined) return error instanceof Error ? error.message : 'failed';
  const where = position === undefined ? '' : ` at character ${position}`;
  return `${code}${where}${token === undefined ? '' : ` near "${token}"`}`;
}
