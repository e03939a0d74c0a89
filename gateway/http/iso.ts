import { localDay, localTime } from '../../contracts/local-time.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';

export { localDay as isoDay, localTime as iso };

export function isoOrNull(at: Millis | null): string | null {
  return at === null ? null : localTime(at);
}

const DAY_OR_TIME = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/;

/** ISO 8601 with its offset, or a day, which begins at 00:00+08:00. Undefined: neither. */
export function fromIso(text: string): Millis | undefined {
  if (!DAY_OR_TIME.test(text)) return undefined;
  const at = Date.parse(text.length === 10 ? `${text}T00:00:00+08:00` : text);
  return Number.isNaN(at) ? undefined : at;
}
