import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { claimFolder, removeAbandoned } from './process-folder.ts';

const OWNER = fileURLToPath(new URL('../../../test/support/folder-owner.ts', import.meta.url));

let parent = '';
before(async () => {
  parent = await mkdtemp(path.join(tmpdir(), 'process-folder-'));
});
afterEach(async () => {
  for (const name of await readdir(parent)) await rm(path.join(parent, name), { recursive: true });
});
after(() => rm(parent, { recursive: true }));

/** A process that has claimed a folder and put a file into it. */
async function owner(t: TestContext) {
  const child = fork(OWNER, [parent], { execArgv: ['--expose-gc'] });
  t.after(() => child.kill('SIGKILL'));
  const [file] = (await once(child, 'message')) as [string];
  return {
    file,
    async collectGarbage() {
      const done = once(child, 'message');
      child.send('collect');
      await done;
    },
    async kill() {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

const exists = (file: string) =>
  stat(file).then(
    () => true,
    () => false,
  );

describe('a folder of one process', () => {
  test('holds nothing that others can read, and leaves nothing when it is released', async () => {
    const own = await claimFolder(parent);
    assert.equal((await stat(own.folder)).mode & 0o777, 0o700);
    await writeFile(path.join(own.folder, 'one'), '');
    await own.release();
    assert.deepEqual(await readdir(parent), []);
  });

  test('what a killed process left is removed at once, and what a living one has is not', async (t) => {
    const [killed, living] = await Promise.all([owner(t), owner(t)]);
    await killed.kill();
    assert.deepEqual([await exists(killed.file), await exists(living.file)], [true, true]);
    assert.equal(await removeAbandoned(parent), 1);
    assert.deepEqual([await exists(killed.file), await exists(living.file)], [false, true]);
    assert.equal((await readdir(parent)).length, 2, 'the folder of the living one, and its lock');
    await living.kill();
    assert.equal(await removeAbandoned(parent), 1);
    assert.deepEqual(await readdir(parent), []);
  });

  test('two owners within one process are two: neither removes the other’s', async () => {
    const [one, another] = [await claimFolder(parent), await claimFolder(parent)];
    assert.equal(await removeAbandoned(parent), 0);
    await one.release();
    assert.equal(await removeAbandoned(parent), 0);
    assert.ok(await exists(another.folder));
    await another.release();
    assert.deepEqual(await readdir(parent), []);
  });

  test('an owner that keeps no hold of what it claimed has its folder all the same: no garbage collection lets go of it', async (t) => {
    const living = await owner(t);
    await living.collectGarbage();
    assert.equal(await removeAbandoned(parent), 0);
    assert.ok(await exists(living.file));
  });

  test('many that claim while others remove: each that was claimed stays', async () => {
    const removing = Promise.all(Array.from({ length: 200 }, () => removeAbandoned(parent)));
    const claimed = await Promise.all(Array.from({ length: 20 }, () => claimFolder(parent)));
    await removing;
    assert.deepEqual(await Promise.all(claimed.map(({ folder }) => exists(folder))), Array(20).fill(true));
    assert.equal(await removeAbandoned(parent), 0);
    await Promise.all(claimed.map((one) => one.release()));
    assert.deepEqual(await readdir(parent), []);
  });

  test('whatever else stands there is left alone, and a parent that is not there has nothing', async () => {
    await writeFile(path.join(parent, 'readme'), '');
    await mkdir(path.join(parent, 'process-of-old'));
    assert.equal(await removeAbandoned(parent), 0);
    assert.deepEqual((await readdir(parent)).sort(), ['process-of-old', 'readme']);
    assert.equal(await removeAbandoned(path.join(parent, 'never-made')), 0);
  });

  test('a disk that cannot be written to says so', async () => {
    const file = path.join(parent, 'a-file');
    await writeFile(file, '');
    await assert.rejects(claimFolder(path.join(file, 'below')), { code: 'ENOTDIR' });
  });
});
