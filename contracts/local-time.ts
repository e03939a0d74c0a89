import type { Millis } from './ports/envelope.ts';

const OFFSET_MS = 8 * 3_600_000;

/** A time as it is shown to others, in the API, to the window and in events: the county's, ISO 8601, `2026-11-23T09:30:15.123+08:00`. */
export const localTime = (at: Millis): string => `${new Date(at + OFFSET_MS).toISOString().slice(0, -1)}+08:00`;

/** The county's day: `2026-11-23`. */
export const localDay = (at: Millis): string => localTime(at).slice(0, 10);
