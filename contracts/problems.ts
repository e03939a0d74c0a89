import type { ErrorObject } from 'ajv/dist/2020.js';
import { unwantedCharacters, withoutUnwanted } from './characters.ts';
import { countOf } from './count.ts';
import { FORMATS } from './formats.ts';
import { linearPattern } from './linear-pattern.ts';
import type { Problem } from './ports/contract.ts';
import type { Json, JsonObject } from './ports/envelope.ts';
import { allowedNames } from './references.ts';
import { listed, sentence } from './sentences.ts';

/** More is nobody's to read; what is left out is said. */
const MOST_PROBLEMS = 100;

export interface Telling {
  /** Names that may be shown; undefined: all. */
  readonly known: ReadonlySet<string> | undefined;
  readonly documents: readonly Json[];
}

/** ajv's errors as problems: each once, in the order of the value, told by the schema's side only. */
export function problemsOf(errors: readonly ErrorObject[], value: unknown, telling: Telling): readonly Problem[] {
  const problems = new Map<string, Problem>();
  const characters = unwanted(errors);
  const rest = errors.filter((error) => !characters.has(error) || stillWrong(error));
  for (const problem of [
    ...unknownFields(rest, value, telling),
    ...[...characters].map(([error, problem]) => ({
      ...problem,
      pointer: shownPointer(error.instancePath, value, telling.known),
    })),
    ...others(rest, value, telling),
  ]) {
    const key = `${problem.code} ${problem.pointer}`;
    if (!problems.has(key)) problems.set(key, problem);
  }
  const placed = [...problems.values()].map((problem) => ({ problem, place: placeIn(value, problem.pointer) }));
  const ordered = placed.sort((a, b) => compared(a.place, b.place)).map(({ problem }) => problem);
  if (ordered.length <= MOST_PROBLEMS) return ordered;
  const more = ordered.length - MOST_PROBLEMS + 1;
  return [
    ...ordered.slice(0, MOST_PROBLEMS - 1),
    { pointer: '', code: 'moreProblems', zh: `另有 ${more} 处问题未列出`, en: `and ${more} more problems` },
  ];
}

/** More places are not read one by one. */
const MOST_PLACES = 10;

/**
 * Texts of a wrong form in which something stands that nobody sees. A person who is told of the form alone finds nothing wrong with it, so told are the
 * place and the code point: they are no part of anybody's name.
 */
function unwanted(errors: readonly ErrorObject[]): ReadonlyMap<ErrorObject, Omit<Problem, 'pointer'>> {
  const found = new Map<ErrorObject, Omit<Problem, 'pointer'>>();
  for (const error of errors) {
    if ((error.keyword !== 'format' && error.keyword !== 'pattern') || typeof error.data !== 'string') continue;
    // The name of a field may be data, and is not counted through.
    if (error.propertyName !== undefined) continue;
    const places = unwantedCharacters(error.data);
    if (places.length === 0) continue;
    const shown = places.slice(0, MOST_PLACES);
    const more = places.length - shown.length;
    found.set(error, {
      code: 'characterNotAllowed',
      zh: `含有看不见、已丢失或不应出现的字符，请删去或重新录入：${shown.map(({ at, codePoint }) => `第 ${at} 个字符 ${codePoint}`).join('、')}${more > 0 ? `，另有 ${more} 处` : ''}`,
      en: `holds characters that are invisible, lost or out of place; remove them or write it anew: ${shown.map(({ at, codePoint }) => `character ${at} is ${codePoint}`).join(', ')}${more > 0 ? `, and ${more} more` : ''}`,
    });
  }
  return found;
}

/** Whether a text is of the wrong form also without the characters nobody sees: then both are told at once. */
function stillWrong({ keyword, params, data }: ErrorObject): boolean {
  const seen = withoutUnwanted(String(data));
  if (keyword === 'pattern') return !linearPattern(String(params.pattern)).test(seen);
  return FORMATS[String(params.format)]?.holds(seen) === false;
}

const UNKNOWN: ReadonlySet<string> = new Set(['additionalProperties', 'unevaluatedProperties']);

/** The names of unknown fields may be data: told is how many there are, and what would be allowed. */
function unknownFields(
  errors: readonly ErrorObject[],
  value: unknown,
  { known, documents }: Telling,
): readonly Problem[] {
  const unknown = errors.filter(({ keyword }) => UNKNOWN.has(keyword));
  if (known === undefined) {
    return unknown.map(({ instancePath, params, parentSchema }) => {
      const allowed = listed(allowedNames(parentSchema as JsonObject, documents));
      const name = String(params.additionalProperty ?? params.unevaluatedProperty);
      return {
        pointer: `${instancePath}/${escaped(name)}`,
        code: 'unknownField',
        zh: `没有这个字段；允许的字段：${allowed}`,
        en: `there is no such field; allowed are: ${allowed}`,
      };
    });
  }
  const byPlace = Map.groupBy(unknown, ({ instancePath }) => instancePath);
  return [...byPlace].map(([instancePath, here]) => {
    const names = new Set(here.map(({ params }) => params.additionalProperty ?? params.unevaluatedProperty));
    const allowed = listed(allowedNames(here[0]?.parentSchema as JsonObject, documents));
    return {
      pointer: shownPointer(instancePath, value, known),
      code: 'unknownField',
      zh: `有 ${names.size} 个未定义的字段；允许的字段：${allowed}`,
      en: `${countOf(names.size, 'unknown field')}; allowed are: ${allowed}`,
    };
  });
}

function others(errors: readonly ErrorObject[], value: unknown, { known }: Telling): readonly Problem[] {
  const wrongType = new Set(errors.filter(({ keyword }) => keyword === 'type').map(({ instancePath }) => instancePath));
  const choices = errors.filter(({ keyword }) => keyword === 'anyOf' || keyword === 'oneOf');
  return (
    errors
      .filter(({ keyword }) => !UNKNOWN.has(keyword))
      // What is wrong inside a branch of `if` is told by itself.
      .filter(({ keyword }) => keyword !== 'if')
      // A number is no member of a list of texts either: the type says it all.
      .filter(
        ({ keyword, instancePath }) => !(keyword === 'enum' || keyword === 'const') || !wrongType.has(instancePath),
      )
      // ajv also tells what is wrong with the name itself: the `propertyNames` error stands for it.
      .filter(({ propertyName }) => propertyName === undefined)
      // A choice that fails is one problem, not one for each way of failing it.
      .filter(({ schemaPath }) => !choices.some((choice) => schemaPath.startsWith(`${choice.schemaPath}/`)))
      .map((error) => {
        const { keyword, params, parentSchema } = error;
        return {
          pointer: shownPointer(pointerOf(error, known === undefined), value, known),
          code: codeOf(keyword, params),
          ...sentence({ keyword, params, schema: (parentSchema ?? {}) as JsonObject }),
        };
      })
  );
}

function codeOf(keyword: string, params: ErrorObject['params']): string {
  if (keyword === 'format') return `format.${params.format}`;
  if (keyword === 'dependentRequired') return 'required';
  return keyword === 'false schema' ? 'notAllowed' : keyword;
}

/** What is missing is told where it should be. */
function pointerOf({ keyword, instancePath, params }: ErrorObject, namesShown: boolean): string {
  if (keyword === 'required' || keyword === 'dependentRequired') {
    return `${instancePath}/${escaped(String(params.missingProperty))}`;
  }
  if (keyword === 'propertyNames' && namesShown) return `${instancePath}/${escaped(String(params.propertyName))}`;
  return instancePath;
}

/** Cut before the first name that no schema declares; places in a list are no names. */
function shownPointer(pointer: string, value: unknown, known: ReadonlySet<string> | undefined): string {
  if (known === undefined) return pointer;
  const steps = pointer.split('/').slice(1);
  let at = value;
  const hidden = steps.findIndex((step) => {
    const inList = Array.isArray(at);
    at = inside(at, step);
    return !inList && !known.has(unescaped(step));
  });
  return hidden === -1
    ? pointer
    : steps
        .slice(0, hidden)
        .map((step) => `/${step}`)
        .join('');
}

/** Where a pointer leads, as positions from outside to inside; what is not there comes after what is. */
function placeIn(value: unknown, pointer: string): readonly number[] {
  let at = value;
  return pointer
    .split('/')
    .slice(1)
    .map((step) => {
      const position = Array.isArray(at) ? Number(step) : Object.keys(Object(at)).indexOf(unescaped(step));
      at = inside(at, step);
      return position === -1 ? Number.MAX_SAFE_INTEGER : position;
    });
}

function inside(value: unknown, step: string): unknown {
  return value !== null && typeof value === 'object'
    ? (value as { readonly [name: string]: unknown })[unescaped(step)]
    : undefined;
}

function compared(a: readonly number[], b: readonly number[]): number {
  for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

const escaped = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1');
const unescaped = (step: string): string => step.replaceAll('~1', '/').replaceAll('~0', '~');
