import { compileMapping } from '../contracts/mapping.ts';
import type { Holder } from '../contracts/ports/certificate.ts';
import type { Json, JsonObject } from '../contracts/ports/envelope.ts';
import type { Expression, Facts } from '../contracts/ports/item.ts';

/** What an item's expressions may call besides JSONata's own. Pure. */
const FUNCTIONS = { hundredths, person };

/**
 * Compiles an expression of the catalogue; `as` says what its value is taken for:
 *
 *   holds    true, and nothing else, is true: a value that is missing or merely truthy is not
 *   holders  one person or a list of them, as [{name, idType, idNo}], each once; what has no name or number is left out
 *   hints    an object; missing is {}
 *   body     an object
 *
 * The compiled one throws Error (never naming a value) when it cannot be evaluated, or gives no object where one is due.
 *
 * @throws MappingError when the source does not compile
 */
export const compileExpression = {
  holds: (name: string, source: string): Expression<boolean> => evaluated(name, source, (value) => value === true),
  holders: (name: string, source: string): Expression<Json[]> => evaluated(name, source, holders),
  hints: (name: string, source: string): Expression<JsonObject> =>
    evaluated(name, source, (value) => (value === undefined ? {} : object(name, value))),
  body: (name: string, source: string): Expression<JsonObject> =>
    evaluated(name, source, (value) => object(name, value)),
};

function evaluated<T extends Json>(name: string, source: string, take: (value: Json | undefined) => T): Expression<T> {
  const mapping = compileMapping(name, source, FUNCTIONS);
  return async (facts: Facts) => take(await mapping(facts));
}

function object(name: string, value: Json | undefined): JsonObject {
  if (isObject(value)) return value;
  throw new Error(`${name}: did not give an object`);
}

function holders(value: Json | undefined): Json[] {
  const seen = new Map<string, JsonObject>();
  for (const one of Array.isArray(value) ? value : [value]) {
    if (!isObject(one) || typeof one.name !== 'string' || typeof one.idNo !== 'string') continue;
    const idType = typeof one.idType === 'string' ? one.idType : DEFAULT_ID_TYPE;
    const holder = { name: one.name, idType, idNo: one.idNo } satisfies Holder;
    seen.set(`${idType} ${one.idNo}`, holder);
  }
  return [...seen.values()];
}

function isObject(value: Json | undefined): value is JsonObject {
  return value !== undefined && value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** Resident identity card: what a person's number is when nothing else is said. */
const DEFAULT_ID_TYPE = '111';

/** `$hundredths("33.33")` = 3333: a decimal of at most two places as a whole number, so that sums are exact. Anything else gives nothing. */
function hundredths(decimal: unknown): number | undefined {
  const parts = typeof decimal === 'string' ? /^(\d{1,13})(?:\.(\d{1,2}))?$/.exec(decimal) : null;
  if (parts === null) return undefined;
  return Number(parts[1]) * 100 + Number((parts[2] ?? '').padEnd(2, '0'));
}

/** `$person(form.father)`: of a person of the form, what departments know a person by. Gives nothing for nothing. */
function person(someone: unknown): JsonObject | undefined {
  if (someone === null || typeof someone !== 'object') return undefined;
  const { name, idType = DEFAULT_ID_TYPE, idNo, mobile } = someone as JsonObject;
  if (name === undefined || idNo === undefined) return undefined;
  return mobile === undefined ? { name, idType, idNo } : { name, idType, idNo, mobile };
}
