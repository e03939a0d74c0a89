import { comparableIdNo, storedCitizenId } from '../contracts/identifiers.ts';
import { compileMapping } from '../contracts/mapping.ts';
import type { Holder } from '../contracts/ports/certificate.ts';
import type { Json, JsonObject } from '../contracts/ports/envelope.ts';
import type { Expression, Facts } from '../contracts/ports/item.ts';

/** What an item's expressions may call besides JSONata's own. Pure. */
const FUNCTIONS = { hundredths, person, owner, identity };
export const FUNCTION_NAMES: ReadonlySet<string> = new Set(Object.keys(FUNCTIONS));

/**
 * Compiles an expression of the catalogue; `as` says what its value is taken for:
 *
 *   holds    true, and nothing else, is true: a value that is missing or merely truthy is not
 *   holders  one person or a list of them, as [{name, idType, idNo}], each once; what has no name or number is left out
 *   hints    an object; missing is {}
 *   body     an object
 *   text     a text
 *
 * The compiled one throws Error (never naming a value) when it cannot be evaluated, or gives no object or text where one is due.
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
  text: (name: string, source: string): Expression<string> => evaluated(name, source, (value) => text(name, value)),
};

function evaluated<T extends Json>(name: string, source: string, take: (value: Json | undefined) => T): Expression<T> {
  const mapping = compileMapping(name, source, FUNCTIONS);
  return async (facts: Facts) => take(await mapping(facts));
}

function object(name: string, value: Json | undefined): JsonObject {
  if (isObject(value)) return value;
  throw new Error(`${name}: did not give an object`);
}

function text(name: string, value: Json | undefined): string {
  if (typeof value === 'string') return value;
  throw new Error(`${name}: did not give a text`);
}

function holders(value: Json | undefined): Json[] {
  const seen = new Map<string, JsonObject>();
  for (const one of Array.isArray(value) ? value : [value]) {
    const holder = holderOf(one);
    if (holder !== undefined) seen.set(`${holder.idType} ${holder.idNo}`, holder);
  }
  return [...seen.values()];
}

function isObject(value: Json | undefined): value is JsonObject {
  return value !== undefined && value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** Resident identity card: what a person's number is when nothing else is said. */
const RESIDENT = '111';

/** `$hundredths("33.33")` = 3333: a decimal of at most two places as a whole number, so that sums are exact. Anything else gives nothing. */
function hundredths(decimal: unknown): number | undefined {
  const parts = typeof decimal === 'string' ? /^(\d{1,13})(?:\.(\d{1,2}))?$/.exec(decimal) : null;
  if (parts === null) return undefined;
  return Number(parts[1]) * 100 + Number((parts[2] ?? '').padEnd(2, '0'));
}

/** `$person(form.father)`: of a person of the form, what departments know a person by. Gives nothing for nothing. */
function person(someone: unknown): JsonObject | undefined {
  const holder = holderOf(someone);
  const { mobile } = (someone ?? {}) as JsonObject;
  return holder === undefined || mobile === undefined ? holder : { ...holder, mobile };
}

/** `$owner(form.buyers[0])`: a person, and the share in per cent with its two decimals, as every department writes it: "50" is "50.00". */
function owner(someone: unknown): JsonObject | undefined {
  const known = person(someone);
  const share = hundredths((someone as JsonObject | undefined)?.share);
  if (known === undefined || share === undefined) return known;
  const digits = String(share).padStart(3, '0');
  return { ...known, share: `${digits.slice(0, -2)}.${digits.slice(-2)}` };
}

/**
 * `$identity(form.buyers[0])`: by which two entries are known to be the same person, however the number is written: full-width, with a small x, with the fifteen
 * digits of old, with or without brackets and dashes; and the number of a resident whatever document it is said to be of. Gives nothing for what is no person.
 */
function identity(someone: unknown): string | undefined {
  const known = holderOf(someone);
  if (known === undefined) return undefined;
  const number = comparableIdNo(known.idNo);
  return storedCitizenId(number) === undefined
    ? `${known.idType} ${number.replaceAll(/[()/-]/g, '')}`
    : `${RESIDENT} ${number}`;
}

/** The number of a resident is stored as the standard writes it: 18 characters, the check character in upper case. */
function holderOf(someone: unknown): (Holder & JsonObject) | undefined {
  if (someone === null || typeof someone !== 'object') return undefined;
  const { name, idType = RESIDENT, idNo } = someone as JsonObject;
  if (typeof name !== 'string' || typeof idType !== 'string' || typeof idNo !== 'string') return undefined;
  return { name, idType, idNo: idType === RESIDENT ? (storedCitizenId(idNo) ?? idNo) : idNo };
}
