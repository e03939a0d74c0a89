import { replaceNumbers } from '../../contracts/digit-runs.ts';
import type { Json } from '../../contracts/ports/envelope.ts';

/** Fields of our contracts that say who somebody is, or how to reach him. */
const WHO = /^(?:name|holder|idNo|mobile|accountNo|birthCertNo|householdNo|houseAddress|detail)$/;
/** Numbers that give themselves away: of a resident (GB 11643; a case number of eighteen digits has no birthday in it), of a mobile telephone. */
const NUMBERS = /^(?:\d{6}(?:19|20)\d\d(?:0[1-9]|1[0-2])\d{5}[\dXx]|1[3-9]\d{9})$/;

/** A party's own sentence without the people in it: those of the message it answers, and whatever number is plainly a person's. */
export function impersonal(sentence: string, about: unknown): string {
  const known = [...new Set(who(about))].sort((one, other) => other.length - one.length);
  const told = known.reduce((text, value) => text.replaceAll(value, '***'), sentence);
  return replaceNumbers(told, (number) => (NUMBERS.test(number) ? '***' : number));
}

function who(value: unknown, field = ''): string[] {
  if (typeof value === 'string') return WHO.test(field) && value.trim().length > 1 ? [value.trim()] : [];
  if (Array.isArray(value)) return (value as Json[]).flatMap((each) => who(each, field));
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([name, inner]) => who(inner, name));
}
