import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { loadSettings } from '../../config/load.ts';
import type { openStore } from '../../gateway/store/open.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const run = promisify(execFile);

const INSTALL_MS = 240_000;

/** A program of another commit, unpacked, with its packages. */
export interface OtherProgram {
  readonly killable: string;
  readonly loadSettings: typeof loadSettings;
  /** As that program has it: not all that it takes and gives is as here. */
  readonly openStore: typeof openStore;
  /** Terms of a party that it does not know: they are left out of its settings. */
  readonly lacksTerms: readonly string[];
  remove(): Promise<void>;
}

/** Takes a commit out of git, or says why it cannot be had: a shallow clone has no history. Where it is there and cannot be used, CI=true makes that a failure. */
export async function programAt({
  commit,
  lacksTerms,
}: {
  readonly commit: string;
  readonly lacksTerms: readonly string[];
}): Promise<OtherProgram | { readonly missing: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-program-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    await run('git', ['cat-file', '-e', `${commit}^{commit}`], { cwd: ROOT });
  } catch {
    await remove();
    return { missing: `this clone has no history: commit ${commit} is not in it` };
  }
  try {
    await unpack(commit, folder);
    if (await sameDependencies(folder))
      await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'), 'dir');
    else await install(folder);
    const { loadSettings: load } = await module<typeof import('../../config/load.ts')>(folder, 'config/load.ts');
    const store = await module<typeof import('../../gateway/store/open.ts')>(folder, 'gateway/store/open.ts');
    return {
      killable: path.join(folder, 'test/failure/killable.ts'),
      loadSettings: load,
      openStore: store.openStore,
      lacksTerms,
      remove,
    };
  } catch (error) {
    await remove();
    const why = `the program of ${commit} cannot be taken from git: ${(error as Error).message.split('\n')[0]}`;
    if (process.env.CI === 'true') throw new Error(why);
    return { missing: why };
  }
}

const module = async <T>(folder: string, file: string): Promise<T> =>
  (await import(pathToFileURL(path.join(folder, file)).href)) as T;

async function unpack(commit: string, folder: string): Promise<void> {
  const git = spawn('git', ['archive', commit], { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] });
  const tar = spawn('tar', ['-x', '-C', folder], { stdio: ['pipe', 'ignore', 'ignore'] });
  git.stdout.pipe(tar.stdin);
  for (const [code] of await Promise.all([once(git, 'exit'), once(tar, 'exit')]))
    if (code !== 0) throw new Error(`git archive ended with ${code}`);
}

/** Its own packages, by its own lock file. */
async function install(folder: string): Promise<void> {
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts', '--omit=dev', '--prefer-offline'];
  await run('npm', ['ci', ...quiet], { cwd: folder, timeout: INSTALL_MS });
}

/** Whether what it depends on is what is installed here. */
async function sameDependencies(folder: string): Promise<boolean> {
  const read = async (root: string): Promise<string> => {
    const { default: manifest } = (await import(pathToFileURL(path.join(root, 'package.json')).href, {
      with: { type: 'json' },
    })) as { default: { dependencies: object } };
    return JSON.stringify(manifest.dependencies);
  };
  return (await read(folder)) === (await read(ROOT));
}
