import { Unfit } from '../../contracts/ports/contract.ts';
import type { Cursor, Page } from '../../contracts/ports/store.ts';

/** Where a page ended: the sort key of its last row. Opaque to callers, and checked when it comes back. */
export function cursorOf(key: readonly number[]): Cursor {
  return Buffer.from(JSON.stringify(key)).toString('base64url');
}

/** Throws `Unfit` 400 for anything we did not give out. */
export function keyOf(cursor: Cursor, length: number): readonly number[] {
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (Array.isArray(key) && key.length === length && key.every((part) => Number.isSafeInteger(part))) return key;
  } catch {
    // Told below, like every other wrong cursor.
  }
  throw new Unfit(400, 'cursorInvalid', { zh: '分页游标无效', en: 'the cursor is not one of ours' });
}

/** `rows`: one more than `limit` was asked for, so that the end is known without another question. */
export function paged<R, T>(
  rows: readonly R[],
  limit: number,
  show: (row: R) => T,
  key: (row: R) => readonly number[],
): Page<T> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return { rows: shown.map(show), next: rows.length > limit && last !== undefined ? cursorOf(key(last)) : null };
}
