import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { loadContracts } from './load.ts';

describe('a folder of contracts', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'contracts-'));
  });
  after(() => rm(folder, { recursive: true }));
  const write = (file: string, text: string) => writeFile(path.join(folder, file), text);

  test('one that is not there holds none', async () => {
    assert.deepEqual(await loadContracts(path.join(folder, 'nowhere')), []);
  });

  test('names come from the files, titles from the schemas; folders inside are not read', async () => {
    await mkdir(path.join(folder, 'samples'));
    await write('samples/x.json', '{');
    await write('b.two@12.json', '{"title": "Two", "x-title-zh": "二", "$id": "b.two@12"}');
    await write('a.one-more@1.json', '{"title": "One", "x-title-zh": "一"}');
    assert.deepEqual(await loadContracts(folder), [
      {
        name: 'a.one-more@1',
        title: { zh: '一', en: 'One' },
        schema: { title: 'One', 'x-title-zh': '一', $id: 'a.one-more@1' },
      },
      {
        name: 'b.two@12',
        title: { zh: '二', en: 'Two' },
        schema: { title: 'Two', 'x-title-zh': '二', $id: 'b.two@12' },
      },
    ]);
  });

  test('every file that is no contract is told, with its reason', async () => {
    await write('c.json', '{}');
    await write('d@1.json', '{');
    await write('e@1.json', '[]');
    await write('f@1.json', '{"title": "F"}');
    await write('g@1.json', '{"title": "G", "x-title-zh": "庚", "$id": "h@1"}');
    await assert.rejects(loadContracts(folder), (error: Error) => {
      assert.deepEqual(error.message.split('\n').slice(1), [
        '  c.json: expected a name like tax.house-deed@1.json',
        '  d@1.json: not JSON',
        '  e@1.json: expected a schema object',
        '  f@1.json: expected the texts title (English) and x-title-zh',
        '  g@1.json: expected $id to be g@1, or to be left out',
      ]);
      return true;
    });
  });
});
