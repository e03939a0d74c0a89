import { type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { JsonObject, Millis, Words } from '../../contracts/ports/envelope.ts';
import { fromIso } from './iso.ts';

/** One parameter of a query string. */
export interface Parameter<T> {
  readonly words: Words;
  readonly schema: JsonObject;
  /** Undefined: it does not fit. */
  read(text: string): T | undefined;
}

export type Parameters = { readonly [name: string]: Parameter<unknown> };
type Values<P extends Parameters> = { readonly [N in keyof P]?: P[N] extends Parameter<infer T> ? T : never };

export function oneOf<T extends string>(words: Words, values: readonly T[]): Parameter<T> {
  return {
    words,
    schema: { enum: [...values] },
    read: (text) => values.find((value) => value === text),
  };
}

/** A number or name in visible characters, at most 128 of them. */
export function term(words: Words): Parameter<string> {
  return {
    words,
    schema: { type: 'string', minLength: 1, maxLength: 128 },
    read: (text) => (/^[^\p{Cc}\p{Cs}]{1,128}$/u.test(text) ? text : undefined),
  };
}

/** ISO 8601 with its offset, or a day, which begins at 00:00+08:00. */
export function time(words: Words): Parameter<Millis> {
  return {
    words,
    schema: { type: 'string', examples: ['2026-11-23', '2026-11-23T09:30:00+08:00'] },
    read: fromIso,
  };
}

/** Its beginning, at 00:00+08:00. */
export function day(words: Words): Parameter<Millis> {
  return {
    words,
    schema: { type: 'string', format: 'date' },
    read: (text) => (text.length === 10 ? fromIso(text) : undefined),
  };
}

const MOST_ROWS = 200;
export const ROWS = 50;

/** Of every list. */
export const paging = {
  cursor: term({ zh: '上一页返回的 next', en: '`next` of the page before' }),
  limit: {
    words: { zh: `每页条数，1–${MOST_ROWS}，默认 ${ROWS}`, en: `rows on a page, 1–${MOST_ROWS}; ${ROWS} unless given` },
    schema: { type: 'integer', minimum: 1, maximum: MOST_ROWS, default: ROWS },
    read: (text) =>
      /^\d{1,3}$/.test(text) && Number(text) >= 1 && Number(text) <= MOST_ROWS ? Number(text) : undefined,
  } satisfies Parameter<number>,
};

/** Throws `Unfit` 400 with every parameter that is unknown, given twice or unfit; `pointer` is `?name`. */
export function readQuery<P extends Parameters>(parameters: P, search: string): Values<P> {
  const values: { [name: string]: unknown } = {};
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const [name, text] of new URLSearchParams(search)) {
    const parameter = Object.hasOwn(parameters, name) ? parameters[name] : undefined;
    if (parameter === undefined) {
      const known = Object.keys(parameters).join(', ') || '–';
      problems.push({
        pointer: '?',
        code: 'parameterUnknown',
        zh: `查询参数只能是：${known}`,
        en: `the parameters are: ${known}`,
      });
      continue;
    }
    if (seen.has(name))
      problems.push({ pointer: `?${name}`, code: 'parameterTwice', zh: '查询参数重复', en: 'given more than once' });
    seen.add(name);
    const value = parameter.read(text);
    if (value === undefined) {
      const { zh, en } = parameter.words;
      problems.push({
        pointer: `?${name}`,
        code: 'parameterUnfit',
        zh: `查询参数有误：${zh}`,
        en: `does not fit: ${en}`,
      });
    } else values[name] = value;
  }
  if (problems.length > 0)
    throw new Unfit(400, 'parameters', { zh: '查询参数有误', en: 'the query parameters are not right' }, problems);
  return values as Values<P>;
}
