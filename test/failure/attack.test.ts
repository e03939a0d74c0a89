import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

const script = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'console', 'attack.ts');

test('npm run attack: all that strangers have done to the door is done again, and holds', {
  timeout: 600_000,
}, async (t) => {
  const child = spawn(process.execPath, [script, '--requests', '1500', '--seed', '7'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGTERM'));
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (out += chunk.toString()));
  const code = await new Promise((resolve) => child.once('close', resolve));
  const lines = stripVTControlCharacters(out).split('\n');
  for (const line of lines) if (line.startsWith('    ')) t.diagnostic(line.trim());
  assert.deepEqual(
    lines.filter((line, at) => line.startsWith('✘') || lines[at - 1]?.startsWith('✘')),
    [],
  );
  assert.equal(code, 0, out);
});
