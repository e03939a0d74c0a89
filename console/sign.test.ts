import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { demoApps } from '../config/demo.ts';
import { wallClock } from '../contracts/ports/clock.ts';
import type { Listening } from '../gateway/http/server.ts';
import { type Api, startApi } from '../test/support/api.ts';
import { listening } from '../test/support/listening.ts';

const script = fileURLToPath(new URL('sign.ts', import.meta.url));

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function run(command: string, args: readonly string[], input = ''): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { timeout: 20_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
    });
    // A child that reads no input may have ended before it is offered any.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

const sign = (args: readonly string[], input?: string) => run(process.execPath, [script, ...args], input);

describe('npm run sign', () => {
  let api: Api;
  let gateway: Listening;
  let folder: string;
  before(async () => {
    // On the wall clock, as the command itself is.
    api = await startApi({ clock: wallClock, apps: demoApps });
    gateway = await listening(api.app);
    folder = await mkdtemp(path.join(tmpdir(), 'onewindow-sign-'));
  });
  after(async () => {
    await gateway.stop(0);
    await api.close();
    await rm(folder, { recursive: true });
  });

  test('sends a signed call, from a file or from standard input, under either method', async () => {
    const file = path.join(folder, 'it’s a case.json');
    await writeFile(file, JSON.stringify({ applicationNo: 'A1' }));
    const to = ['--url', gateway.url, '--send'];
    for (const method of ['SHA256', 'sm3']) {
      const { code, out, err } = await sign(['POST', '/v1/cases/precheck', file, '--method', method, ...to]);
      assert.deepEqual([code, err.trim(), JSON.parse(out).acceptable], [0, '200 OK', false]);
    }
    const piped = await sign(['post', '/v1/cases/precheck', '-', ...to], '{}');
    assert.equal(piped.code, 0, piped.err);
    const refused = await sign(['GET', '/v1/envelopes?state=parked', ...to]);
    assert.deepEqual([refused.code, JSON.parse(refused.out).code], [1, 'roleNotAllowed']);
    const operator = await sign(['GET', '/v1/envelopes?state=parked', '--app', 'operator-demo', ...to]);
    assert.equal(operator.code, 0, operator.err);
    const wrong = await sign(['GET', '/v1/items', '--secret', 'another', ...to]);
    assert.equal(JSON.parse(wrong.out).code, 'badSignature');
  });

  test('prints a command that a shell can run', async () => {
    const file = path.join(folder, "it's quoted.json");
    await writeFile(file, '{"张": "样例"}');
    const { code, out } = await sign(['POST', '/v1/cases/precheck', file, '--url', gateway.url]);
    assert.equal(code, 0);
    assert.match(out, /^curl -sS /);
    // A shell alone, with what it would call `curl` put in its place: its arguments, one a line.
    const { out: args } = await run('/bin/sh', ['-c', `curl() { printf '%s\\n' "$@"; }; ${out}`]);
    const lines = args.split('\n');
    assert.ok(lines.includes(`@${file}`));
    assert.ok(lines.includes(`${gateway.url}/v1/cases/precheck`));
    assert.equal(lines.filter((line) => /^X-(?:App-Key|Timestamp|Nonce|Signature): /.test(line)).length, 4);
  });

  test('explains itself, and what went wrong', async () => {
    assert.match((await sign(['--help'])).out, /为一次接口调用签名/);
    assert.equal((await sign([])).code, 2);
    for (const args of [
      ['GET', '/', '--method', 'MD5'],
      ['POST', '/', 'no-such-file.json'],
      ['GET', '/', '--unknown'],
      ['GET', '/', '--url', 'x'],
    ]) {
      const { code, err } = await sign(args);
      assert.equal(code, 2);
      assert.match(err, /^[^\n]+\n$/);
    }
  });
});
