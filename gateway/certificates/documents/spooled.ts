import { randomUUID } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';

/** A document on our own disk, for the moment between its source and the clerk. */
export interface Spooled {
  readonly file: string;
  readonly bytes: number;
  /** Lower-case hex of the file's bytes. */
  readonly sm3: string;
  readonly sha256: string;
  /** May be called more than once. */
  remove(): Promise<void>;
}

const OURS = /^document-[0-9a-f-]{36}$/;

/** Nothing in a name says whose document it is, or of what kind. */
export const newFile = (folder: string): string => path.join(folder, `document-${randomUUID()}`);

/** Removes documents that stand in `folder` itself for longer than they can be in hand; all else, and a folder that is not there, is left alone. How many were removed. */
export async function sweep(folder: string, olderThanMs: number, now: number): Promise<number> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  let removed = 0;
  for (const name of names.filter((one) => OURS.test(one))) {
    const file = path.join(folder, name);
    // Its owner may remove it between the listing and the look at it.
    const age = await stat(file).then(
      ({ mtimeMs }) => now - mtimeMs,
      () => undefined,
    );
    if (age === undefined || age <= olderThanMs) continue;
    await rm(file, { force: true });
    removed += 1;
  }
  return removed;
}
