import type { JsonObject, Millis } from './ports/envelope.ts';

/** `digest` is plain hex (SM3), `file` says by which function. */
const DIGEST = /^(?:sm3:|sha256:)?[0-9a-f]{64}$/;

/** SM3 and SHA-256 of a file without a single byte. */
const OF_NOTHING: ReadonlySet<string> = new Set([
  '1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b',
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
]);

/** How far the clock of a window may be ahead of ours: as far as that of a signature. */
const AHEAD_MS = 300_000;

/**
 * Whether an entry of `materials` (`common@1` Material) hands something in: a file by its digest (`digest`, `file`), or a paper original that an officer has
 * looked at (`seen`). A code, a name or a file name alone is nothing.
 */
export function isSupplied({ digest, file, seen }: JsonObject, now: Millis): boolean {
  return namesFile(digest) || namesFile(file) || (isSeen(seen) && !isSeenLater(seen, now));
}

/** Whether an entry says that an officer will have looked at the original at a time that has not come. */
export function isSeenLater(seen: unknown, now: Millis): boolean {
  const at = isSeen(seen) ? Date.parse(seen.at) : Number.NaN;
  return at > now + AHEAD_MS;
}

function namesFile(digest: unknown): boolean {
  return typeof digest === 'string' && DIGEST.test(digest) && !OF_NOTHING.has(digest.slice(-64));
}

function isSeen(seen: unknown): seen is { readonly officer: string; readonly at: string } {
  if (typeof seen !== 'object' || seen === null) return false;
  const { officer, at } = seen as { readonly officer?: unknown; readonly at?: unknown };
  return typeof officer === 'string' && officer !== '' && typeof at === 'string' && !Number.isNaN(Date.parse(at));
}
