import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { makePrivateFile, makePrivateFolder, PRIVATE } from '../../../config/private-files.ts';

/** Where one process puts its files: nobody else does. */
export interface ProcessFolder {
  readonly folder: string;
  /** Removes the folder with all that is in it. */
  release(): Promise<void>;
}

const FOLDER = /^process-[0-9a-f-]{36}$/;
const LOCK_ENDING = '.lock';
/** Each try has a name of its own, so that even one that fails is next to impossible. */
const TRIES = 3;

/**
 * A folder of this process's own under `parent`, `process-<uuid>`, and beside it `process-<uuid>.lock`, a file that the process keeps locked for as long as it
 * lives. The operating system lets go of the lock with the process, however that ends: so whoever can take it knows that the owner is gone. A process's number
 * would not tell: it is given out again, and is another one in another container.
 *
 * @throws an error of the disk as it is
 */
export async function claimFolder(parent: string): Promise<ProcessFolder> {
  makePrivateFolder(parent);
  for (let tries = 1; ; tries += 1) {
    const folder = path.join(parent, `process-${randomUUID()}`);
    const unlock = await lock(folder + LOCK_ENDING);
    if (unlock !== undefined) {
      const release = () => removeOwned(folder, unlock);
      try {
        await mkdir(folder, { mode: PRIVATE.folder });
      } catch (error) {
        await release().catch(() => {});
        throw error;
      }
      return { folder, release };
    }
    if (tries === TRIES) throw new Error(`no folder under ${parent} could be locked`);
  }
}

/**
 * Removes the folders of processes that are gone, however short a time ago; those of living ones are left alone. How many were removed.
 *
 * @throws an error of the disk as it is, the first of several, when all others have been removed
 */
export async function removeAbandoned(parent: string): Promise<number> {
  const names = await readdir(parent).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const folders = new Set(names.map((name) => path.basename(name, LOCK_ENDING)).filter((name) => FOLDER.test(name)));
  let removed = 0;
  const errors: unknown[] = [];
  for (const name of folders) {
    const folder = path.join(parent, name);
    try {
      const unlock = await lock(folder + LOCK_ENDING);
      if (unlock === undefined) continue;
      await removeOwned(folder, unlock);
      removed += 1;
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
  return removed;
}

/** The lock is let go last, and its file is gone by then: whoever waited for it sees that it is another file, or none. */
async function removeOwned(folder: string, unlock: () => void): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true });
    await rm(folder + LOCK_ENDING, { force: true });
  } finally {
    unlock();
  }
}

/**
 * Undefined when another has it. Node has no file locks of its own; an open transaction of SQLite holds one on the whole file (POSIX advisory locks, which
 * also tell two owners within one process apart), and writes nothing.
 */
async function lock(file: string): Promise<(() => void) | undefined> {
  makePrivateFile(file);
  const db = openThere(file);
  if (db === undefined) return undefined;
  open.add(db);
  const unlock = () => {
    open.delete(db);
    db.close();
  };
  try {
    // A journal on the disk would be one file more to remove.
    db.exec('pragma journal_mode = memory; begin exclusive');
    // Who looks for abandoned folders may have locked and removed the file between the two: then this lock is on nothing that others see.
    await stat(file);
    return unlock;
  } catch (error) {
    unlock();
    const { code, errcode } = error as { code?: unknown; errcode?: unknown };
    if (code === 'ENOENT' || (typeof errcode === 'number' && (errcode & 0xff) === SQLITE_BUSY)) return undefined;
    throw error;
  }
}

/** Undefined where the file has been removed meanwhile: SQLite itself would make one that all can read. */
function openThere(file: string): DatabaseSync | undefined {
  const place = pathToFileURL(file);
  place.searchParams.set('mode', 'rw');
  try {
    return new DatabaseSync(place, { timeout: 0 });
  } catch (error) {
    const { errcode } = error as { errcode?: unknown };
    if (typeof errcode === 'number' && (errcode & 0xff) === SQLITE_CANTOPEN && !existsSync(file)) return undefined;
    throw error;
  }
}

/** What nobody refers to any more is closed by the garbage collector, and its lock with it: a folder is its owner's even if that has forgotten to release it. */
const open = new Set<DatabaseSync>();

/** https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5;
const SQLITE_CANTOPEN = 14;
