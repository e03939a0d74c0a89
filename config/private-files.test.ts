import assert from 'node:assert/strict';
import { chmod, chown, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { LogFields, Logger } from '../contracts/ports/logger.ts';
import { silent } from '../contracts/ports/logger.ts';
import { closeToOthers } from './private-files.ts';

const NOBODY = 65_534;
const root = process.getuid?.() === 0;

async function dataFolder(t: TestContext): Promise<string> {
  const above = await mkdtemp(path.join(tmpdir(), 'onewindow-modes-'));
  t.after(() => rm(above, { recursive: true, force: true }));
  const dataDir = path.join(above, 'data');
  await mkdir(dataDir);
  await chmod(dataDir, 0o755);
  return dataDir;
}

async function file(place: string, mode: number): Promise<string> {
  await writeFile(place, 'x');
  await chmod(place, mode);
  return place;
}

async function folder(place: string, mode: number): Promise<string> {
  await mkdir(place, { recursive: true });
  await chmod(place, mode);
  return place;
}

const modeOf = async (place: string): Promise<string> => ((await stat(place)).mode & 0o7777).toString(8);

function listening(): { readonly log: Logger; readonly lines: { message: string; fields: LogFields }[] } {
  const lines: { message: string; fields: LogFields }[] = [];
  return { lines, log: { ...silent, warn: (message, fields = {}) => void lines.push({ message, fields }) } };
}

describe('a data folder that others could read', () => {
  test('is closed to them with all that the gateway put into it, and one line says so', async (t) => {
    const dataDir = await dataFolder(t);
    const database = await file(path.join(dataDir, 'onewindow.db'), 0o644);
    const others = [
      await file(path.join(dataDir, 'onewindow.db-wal'), 0o664),
      await file(path.join(dataDir, 'onewindow.db-shm'), 0o666),
      await file(path.join(dataDir, 'onewindow.db.before'), 0o640),
      await file(path.join(dataDir, 'holder-hash.key'), 0o604),
    ];
    const documents = await folder(path.join(dataDir, 'documents'), 0o755);
    const own = await folder(path.join(documents, 'process-1'), 0o777);
    const document = await file(path.join(own, 'document-1'), 0o644);
    const { log, lines } = listening();
    await closeToOthers(dataDir, log);
    for (const place of [database, ...others, document]) assert.equal(await modeOf(place), '600', place);
    for (const place of [dataDir, documents, own]) assert.equal(await modeOf(place), '700', place);
    assert.deepEqual(
      lines.map(({ message, fields }) => [message, fields.count]),
      [['others could read files of DATA_DIR: they no longer can', 9]],
    );
    await closeToOthers(dataDir, log);
    assert.equal(lines.length, 1, 'nothing is left to tell');
  });

  test('is left open, and told of, where others have things in it: what the gateway put there is closed all the same', async (t) => {
    const dataDir = await dataFolder(t);
    const database = await file(path.join(dataDir, 'onewindow.db'), 0o644);
    const exchange = await folder(path.join(dataDir, 'exchange'), 0o777);
    const given = await file(path.join(exchange, 'onewindow.csv'), 0o644);
    const { log, lines } = listening();
    await closeToOthers(dataDir, log);
    assert.equal(await modeOf(database), '600');
    assert.deepEqual([await modeOf(dataDir), await modeOf(exchange), await modeOf(given)], ['755', '777', '644']);
    assert.deepEqual(
      lines.map(({ message, fields }) => [message.split(/[,:]/)[0], fields.names]),
      [
        ['others could read files of DATA_DIR', ['onewindow.db']],
        ['others can read DATA_DIR', ['.']],
      ],
    );
  });

  test('is never closed where everybody may write, as in /tmp', async (t) => {
    const dataDir = await dataFolder(t);
    await chmod(dataDir, 0o1777);
    const { log, lines } = listening();
    await closeToOthers(dataDir, log);
    assert.equal(await modeOf(dataDir), '1777');
    assert.equal(lines.length, 1);
  });

  test('keeps what belongs to another user', { skip: !root && 'only root can give a file away' }, async (t) => {
    const dataDir = await dataFolder(t);
    const theirs = await file(path.join(dataDir, 'onewindow.db'), 0o644);
    await chown(theirs, NOBODY, NOBODY);
    const { log, lines } = listening();
    await closeToOthers(dataDir, log);
    assert.equal(await modeOf(theirs), '644');
    assert.deepEqual(
      lines.map(({ fields }) => fields.names),
      [['onewindow.db', '.']],
    );
  });

  test('leads to nothing outside: a link in it is not followed', async (t) => {
    const dataDir = await dataFolder(t);
    const outside = await file(path.join(path.dirname(dataDir), 'outside'), 0o644);
    await symlink(outside, path.join(dataDir, 'onewindow.db'));
    await symlink(path.dirname(dataDir), path.join(dataDir, 'documents'));
    await closeToOthers(dataDir, silent);
    assert.equal(await modeOf(outside), '644');
  });
});
