import { countOf } from '../../contracts/count.ts';
import { replaceNumbers } from '../../contracts/digit-runs.ts';
import { maskIdNo, maskName } from '../../contracts/mask.ts';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';

/** First three and last four: 138****5678. */
const maskPhone = (phone: string): string => `${phone.slice(0, 3)}****${phone.slice(-4)}`;

/** The last four: ************1234. */
const maskAccount = (account: string): string => `************${account.slice(-4)}`;

/** To the street, or else the county: 松阳县西屏街道****. */
function maskAddress(address: string): string {
  return `${/^.*?(?:街道|镇|乡)/.exec(address)?.[0] ?? /^.*?[县区市]/.exec(address)?.[0] ?? ''}****`;
}

/** By the last word of a field's name, as our contracts and departments name them. */
const BY_FIELD: readonly (readonly [RegExp, (text: string) => string])[] = [
  [/^(?:name|holder|xm)$|(?:person|child|owner|holder|seller|buyer|father|mother|applicant|guardian)Name$/i, maskName],
  [/(?:idNo|householdNo|birthCertNo|zjhm|sfzh|sfzhm)$/i, maskIdNo],
  [/(?:mobile|phone|tel)$/i, maskPhone],
  [/(?:accountNo|cardNo)$/i, maskAccount],
  [/(?:address|^detail)$/i, maskAddress],
];

/** Numbers that give themselves away wherever they stand: of a resident (GB 11643), of a mobile telephone. */
const ID_NO = /^\d{17}[\dXx]$/;
const MOBILE = /^1[3-9]\d{9}$/;

/** Keys whose values are secrets: nothing of them is ever shown. */
const SECRET =
  /secret|passwo?r?d|token|authorization|signature|x-sign|(?:api|private|body|mac|sign|push|hash)Key$|cookie|queryCode/i;

/** Ids of a trace are hexadecimal digits by their standard: seventeen of them in a row are nobody's number. */
const TRACE = /^(?:traceparent|traceId)$/;
const HEX = /^[0-9a-f]{32}$|^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

const DEEPEST = 16;
const MOST_OF_A_LIST = 200;

/** Personal values inside a sentence, wherever they stand. */
function maskText(text: string): string {
  return replaceNumbers(text, (number) => {
    if (ID_NO.test(number)) return maskResident(number);
    return MOBILE.test(number) ? maskPhone(number) : number;
  });
}

/** A message's body with its people masked; its shape, codes and amounts stay. */
export function maskValues(body: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(body).map(([field, value]) => [field, masked(field, value)]));
}

function masked(field: string, value: Json): Json {
  if (Array.isArray(value)) return value.map((one) => masked(field, one));
  if (value !== null && typeof value === 'object') return maskValues(value);
  return typeof value === 'string' ? maskField(field, value) : value;
}

function maskField(field: string, text: string): string {
  const mask = BY_FIELD.find(([fields]) => fields.test(field))?.[1];
  return mask === undefined ? maskText(text) : mask(text);
}

/** Whatever a log line is given: people masked, secrets gone, errors told with their causes, and nothing without a bound. */
export function maskLine(value: unknown, field = '', depth = 0): unknown {
  if (value === null || value === undefined) return value;
  if (SECRET.test(field)) return '[secret]';
  if (typeof value === 'string') return TRACE.test(field) && HEX.test(value) ? value : maskField(field, value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object') return value;
  if (depth >= DEEPEST) return '[deeper]';
  if (value instanceof Uint8Array) return `[${countOf(value.length, 'byte')}]`;
  if (value instanceof Error) return maskError(value, depth);
  if (value instanceof Map || value instanceof Set) return maskLine([...value], field, depth + 1);
  if (Array.isArray(value)) return value.slice(0, MOST_OF_A_LIST).map((each) => maskLine(each, field, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, maskLine(inner, key, depth + 1)]));
}

/** Of an HTTP client's error the request and the response stay out: they hold the message itself. */
function maskError(error: Error, depth: number): object {
  const { name, message, stack, cause } = error;
  const { code, kind } = error as { code?: unknown; kind?: unknown };
  return {
    error: name,
    message: maskText(message),
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof kind === 'string' ? { kind } : {}),
    ...(stack === undefined ? {} : { stack: maskText(stack) }),
    ...(cause === undefined ? {} : { cause: maskLine(cause, 'cause', depth + 1) }),
  };
}

/** A case number has eighteen digits too: only where six digits of a birthday can stand is it a person. */
function maskResident(number: string): string {
  return /^\d{6}(?:19|20)\d\d(?:0[1-9]|1[0-2])/.test(number) ? maskIdNo(number) : number;
}
