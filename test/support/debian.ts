import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Test files run side by side, and two of them may miss the same package. */
const TURN = path.join(tmpdir(), 'onewindow-apt.lock');

/** Installs a package of Debian's, as root. The list of packages is fetched first: a fresh machine has none. */
export async function installed(name: string): Promise<void> {
  const apt = (...args: string[]) =>
    run('flock', [TURN, 'apt-get', '-o', 'DPkg::Lock::Timeout=120', ...args], {
      timeout: 600_000,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  await apt('update');
  await apt('install', '-y', '--no-install-recommends', name);
}
