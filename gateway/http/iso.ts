import type { Millis } from '../../contracts/ports/envelope.ts';

const OFFSET_MS = 8 * 3_600_000;

/** The county's time, ISO 8601: `2026-11-23T09:30:15.123+08:00`. */
export function iso(at: Millis): string {
  return `${new Date(at + OFFSET_MS).toISOString().slice(0, -1)}+08:00`;
}

export function isoOrNull(at: Millis | null): string | null {
  return at === null ? null : iso(at);
}
