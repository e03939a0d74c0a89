import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addStandardFormats from 'ajv-formats';
import { FORMATS } from './formats.ts';
import { linearPattern, PatternError } from './linear-pattern.ts';
import type { Problem } from './ports/contract.ts';
import type { Json, JsonObject } from './ports/envelope.ts';
import { problemsOf } from './problems.ts';
import { declaredNames } from './references.ts';
import { patternsOf } from './schema-patterns.ts';

/** What is wrong with a value, in the value's order; [] when nothing is. At most `MOST_PROBLEMS`, the last of which then says that there are more. */
export type Check = (value: unknown) => readonly Problem[];

export interface CompileOptions {
  /** Schemas that `$ref` may speak of, each by its `$id`. */
  readonly schemas?: readonly JsonObject[];
  /** Writes the `default`s of the schema into the value itself. For settings; never for messages. */
  readonly defaults?: boolean;
  /**
   * `hidden`: a name that the schema does not know may be somebody's data, so that neither pointers nor sentences show it. For messages.
   * `shown`: pointers lead to the very field. For settings, manifests and whatever else an engineer wrote.
   */
  readonly names?: 'hidden' | 'shown';
}

/** A schema that cannot be used. For its author. */
export class SchemaError extends Error {
  constructor(name: string, what: string, cause?: unknown) {
    super(`${name}: ${what}`, { cause });
    this.name = 'SchemaError';
  }
}

/** Deeper is nobody's message; more parts than this are told of their first problem only, so that a hostile body costs no more than it brings. */
const DEEPEST = 64;
const MOST_PARTS = 5_000;

/** `x-sensitive`: personal · `x-secret`: never shown · `x-title-zh`, `x-unit`: for people · `x-expects`: `{zh, en}`, what a pattern or choice means. */
const ANNOTATIONS = ['x-sensitive', 'x-secret', 'x-title-zh', 'x-unit', 'x-expects'];

/**
 * @param schema JSON Schema 2020-12, strict; formats of `formats.ts` and the standard ones; its regular expressions run in linear time
 * @throws SchemaError when it is not one, refers to what is not there, or has a regular expression that cannot be run so
 */
export function compileSchema(schema: Json, options: CompileOptions = {}): Check {
  return schemaCompiler(options)(schema);
}

/** For many schemas with the same options: one ajv for all. Schemas given in `options.schemas` may be compiled themselves. */
export function schemaCompiler(options: CompileOptions = {}): (schema: Json) => Check {
  const { schemas = [], names = 'hidden' } = options;
  const every = lazily(() => makeAjv(options, true));
  const first = lazily(() => makeAjv(options, false));
  const shared = lazily(() => declaredNames(schemas));

  return (schema) => {
    const all = compiled(every(), schema);
    const one = lazily(() => compiled(first(), schema));
    const documents = [schema, ...schemas];
    const known = names === 'shown' ? undefined : new Set([...shared(), ...declaredNames([schema])]);
    return (value) => {
      const { deep, large } = measured(value);
      if (deep) return [TOO_DEEP];
      const validate = large ? one() : all;
      if (validate(value)) return [];
      const problems = problemsOf(validate.errors ?? [], value, { known, documents });
      return large ? [...problems, ONLY_FIRST] : problems;
    };
  };
}

const LONGEST_URL = 2_048;
/** In place of `new RegExp`: a schema may be anybody's. */
const LINEAR = Object.assign((pattern: string) => linearPattern(pattern), { code: 'linearPattern' });

function makeAjv({ schemas = [], defaults = false }: CompileOptions, allErrors: boolean): Ajv2020 {
  const ajv = new Ajv2020({
    allErrors,
    strict: true,
    // `anyOf: [{required: [a]}, {required: [b]}]` is how a choice is said.
    strictRequired: false,
    allowUnionTypes: true,
    useDefaults: defaults,
    // Halves the time of compiling; what runs is made fast by V8.
    code: { optimize: false, regExp: LINEAR },
    // For the schema's side of an error. The value's side, which comes with it, is dropped in problems.ts.
    verbose: true,
    logger: false,
  });
  (addStandardFormats as unknown as (ajv: Ajv2020) => void)(ajv);
  // The library's own takes time that grows with the square of the text's length.
  ajv.addFormat(
    'url',
    (text) => text.length <= LONGEST_URL && /^(?:https?|ftp):\/\//i.test(text) && URL.canParse(text),
  );
  for (const [name, { holds }] of Object.entries(FORMATS)) ajv.addFormat(name, holds);
  ajv.addVocabulary(ANNOTATIONS);
  for (const schema of schemas)
    guarded(schema, () => {
      refusePatterns(schema);
      ajv.addSchema(schema);
    });
  return ajv;
}

function compiled(ajv: Ajv2020, schema: Json): ValidateFunction {
  return guarded(schema, () => {
    if (schema === null || typeof schema !== 'object' || Array.isArray(schema)) {
      throw new Error('a schema is an object');
    }
    const known = typeof schema.$id === 'string' ? ajv.getSchema(schema.$id) : undefined;
    if (known !== undefined) return known;
    refusePatterns(schema);
    return ajv.compile(schema);
  }) as ValidateFunction;
}

/** All of them at once, each by its place. */
function refusePatterns(schema: Json): void {
  const mistakes = patternsOf(schema).flatMap(({ pointer, pattern }) => {
    try {
      linearPattern(pattern);
      return [];
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      return [`${pointer}: ${error.message}`];
    }
  });
  if (mistakes.length > 0) throw new Error(mistakes.join('; '));
}

function guarded<T>(schema: Json, run: () => T): T {
  try {
    return run();
  } catch (error) {
    const { $id, title } = (schema ?? {}) as { $id?: string; title?: string };
    const { missingRef } = error as { missingRef?: string };
    const what =
      missingRef === undefined
        ? (error as Error).message
        : `refers to ${missingRef}, which is not among the schemas it was given`;
    throw new SchemaError($id ?? title ?? 'schema', what, error);
  }
}

function measured(value: unknown): { readonly deep: boolean; readonly large: boolean } {
  let parts = 0;
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > DEEPEST) return { deep: true, large: true };
    parts += level.length;
    level = level.flatMap((part) => (part !== null && typeof part === 'object' ? Object.values(part) : []));
  }
  return { deep: false, large: parts > MOST_PARTS };
}

const TOO_DEEP: Problem = {
  pointer: '',
  code: 'tooDeep',
  zh: `嵌套不得超过 ${DEEPEST} 层`,
  en: `expected at most ${DEEPEST} levels of nesting`,
};
const ONLY_FIRST: Problem = {
  pointer: '',
  code: 'moreProblems',
  zh: '内容过大，只列出首先发现的问题，其余未检查',
  en: 'too large to be checked whole: only what was found first is told',
};

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
