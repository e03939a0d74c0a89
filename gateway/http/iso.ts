import type { Millis } from '../../contracts/ports/envelope.ts';

const OFFSET_MS = 8 * 3_600_000;

/** The county's time, ISO 8601: `2026-11-23T09:30:15.123+08:00`. */
export function iso(at: Millis): string {
  return `${new Date(at + OFFSET_MS).toISOString().slice(0, -1)}+08:00`;
}

export function isoOrNull(at: Millis | null): string | null {
  return at === null ? null : iso(at);
}

const DAY_OR_TIME = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/;

/** ISO 8601 with its offset, or a day, which begins at 00:00+08:00. Undefined: neither. */
export function fromIso(text: string): Millis | undefined {
  if (!DAY_OR_TIME.test(text)) return undefined;
  const at = Date.parse(text.length === 10 ? `${text}T00:00:00+08:00` : text);
  return Number.isNaN(at) ? undefined : at;
}

/** The county's day: `2026-11-23`. */
export const isoDay = (at: Millis): string => iso(at).slice(0, 10);
