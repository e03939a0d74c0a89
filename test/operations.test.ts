import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const LINE = /\b(?:log|line)\s*\.(error|warn)\(\s*(['"])(.+?)\2/gi;

interface Said {
  readonly file: string;
  readonly level: string;
  readonly message: string;
}

test('whoever is rung finds the line in docs/operations.md, and what to do; and so for every warning of the store and the bus', async () => {
  const page = await readFile(path.join(root, 'docs/operations.md'), 'utf8');
  const files = globSync('{gateway,adapters}/**/*.ts', { cwd: root, exclude: (name) => name.endsWith('.test.ts') });
  const said: Said[] = [];
  for (const file of files) {
    const text = await readFile(path.join(root, file), 'utf8');
    for (const [, level = '', , message = ''] of text.matchAll(LINE)) said.push({ file, level, message });
  }
  const needed = said.filter(({ file, level }) => level === 'error' || /^gateway\/(store|bus)\//.test(file));
  assert.ok(needed.length > 40, `${needed.length} lines were seen`);
  assert.deepEqual(
    needed.filter(({ message }) => !page.includes(`| \`${message}\` `)),
    [],
  );
});
