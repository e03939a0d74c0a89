import { execFile } from 'node:child_process';
import { chmod, mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A disk of its own for one test to fill, in memory; it needs the right to mount. */
export async function smallDisk(
  megabytes: number,
): Promise<{ readonly folder: string; discard(): Promise<void> } | { readonly missing: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-disk-'));
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder]);
  } catch (error) {
    await rmdir(folder);
    // Containers often have no such right, so this alone is no failure anywhere.
    return { missing: `no disk of its own can be mounted here: ${(error as Error).message.split('\n')[0]}` };
  }
  // Whose server is to write there is not root.
  await chmod(folder, 0o777);
  return {
    folder,
    async discard() {
      await run('umount', [folder]);
      await rmdir(folder);
    },
  };
}
