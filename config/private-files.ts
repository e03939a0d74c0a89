import { closeSync, type Dirent, mkdirSync, openSync } from 'node:fs';
import { chmod, lstat, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from '../contracts/ports/logger.ts';

/** For the user alone that the gateway runs as. A umask only takes rights away, so that these are the most there can be. */
export const PRIVATE = { file: 0o600, folder: 0o700 } as const;
const OF_OTHERS = 0o077;
const STICKY = 0o1000;

/** Makes a folder, and what is missing above it, unless it is there already. */
export function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: PRIVATE.folder });
}

/**
 * Makes an empty file unless there is one already: for a library that would make it readable by all. One that is there is not even opened, because to close it
 * again would let go of the locks that this process has on it (POSIX advisory locks).
 */
export function makePrivateFile(file: string): void {
  try {
    closeSync(openSync(file, 'wx', PRIVATE.file));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** What the gateway itself puts into `dataDir`; also a copy that somebody made beside it. */
const OWN_NAMES = /^(?:onewindow|holder-hash)/;
const OWN_FOLDERS: readonly string[] = ['documents'];
/** Made by the file system. */
const NOBODYS: readonly string[] = ['lost+found'];
/** Names that one log line tells. */
const MOST_TOLD = 10;

/**
 * Takes from everybody else whatever rights they have on the data folder and on what the gateway put into it, as versions before left them: to be called before
 * the store is opened, whose further files get the rights of the first. What belongs to another user, and a folder that others have things in, is left as it is;
 * both are told in the log.
 */
export async function closeToOthers(dataDir: string, log: Logger): Promise<void> {
  const own = process.getuid?.();
  if (own === undefined) return;
  const closed: string[] = [];
  const open: string[] = [];
  const entries = await entriesOf(dataDir);
  const close = async (name: string): Promise<void> => {
    const place = path.join(dataDir, name);
    try {
      const found = await lstat(place);
      if ((found.mode & OF_OTHERS) === 0) return;
      if (found.uid === own) await chmod(place, found.isDirectory() ? PRIVATE.folder : PRIVATE.file);
      // Where the file system has no rights of users, it took the change and changed nothing.
      const still = ((await lstat(place)).mode & OF_OTHERS) !== 0;
      (still ? open : closed).push(name);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Another node that shares the folder has removed it meanwhile.
      if (code === 'ENOENT') return;
      if (code !== 'EPERM' && code !== 'EROFS') throw error;
      open.push(name);
    }
  };
  for (const entry of entries) {
    if (entry.isFile() && OWN_NAMES.test(entry.name)) await close(entry.name);
    if (!entry.isDirectory() || !OWN_FOLDERS.includes(entry.name)) continue;
    await close(entry.name);
    for (const below of await entriesOf(path.join(dataDir, entry.name), true))
      if (below.isFile() || below.isDirectory())
        await close(path.relative(dataDir, path.join(below.parentPath, below.name)));
  }
  const folder = await stat(dataDir).catch(() => undefined);
  if (folder !== undefined && (folder.mode & OF_OTHERS) !== 0) {
    if ((folder.mode & STICKY) === 0 && !(await isShared(dataDir, entries, own))) await close('.');
    else open.push('.');
  }
  const told = (names: readonly string[]) => ({
    dataDir,
    count: names.length,
    names: names.slice(0, MOST_TOLD),
  });
  if (closed.length > 0) log.warn('others could read files of DATA_DIR: they no longer can', told(closed));
  if (open.length > 0)
    log.warn(
      'others can read DATA_DIR, and it is not for this process to change that: see docs/deployment.md',
      told(open),
    );
}

/** Nothing where it cannot be read: whoever needs it says so later, with the reason; or is away, as a folder of another process while it ends. */
const entriesOf = (folder: string, recursive = false): Promise<Dirent[]> =>
  readdir(folder, { withFileTypes: true, recursive }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'EACCES') return [];
    throw error;
  });

/** Whether somebody else has things in it, or may look for things in it: to close it would take them away. */
async function isShared(
  dataDir: string,
  entries: readonly { readonly name: string; isDirectory(): boolean }[],
  own: number,
): Promise<boolean> {
  for (const entry of entries) {
    if (NOBODYS.includes(entry.name)) continue;
    if (entry.isDirectory() && !OWN_FOLDERS.includes(entry.name)) return true;
    const found = await lstat(path.join(dataDir, entry.name)).catch(() => undefined);
    if (found !== undefined && found.uid !== own) return true;
  }
  return false;
}
