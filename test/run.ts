/**
 * `npm test`: every check of the project, fast ones first, and one plain line at the end.
 * `npm test -- <part of a path> …` runs only the test files whose path contains one of the words.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { COMBINATIONS, lacking, nameOf } from './support/engines.ts';
import { postgres, rabbitmq } from './support/services.ts';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const only = process.argv.slice(2).filter((word) => !word.startsWith('-'));
if (process.argv.includes('--help')) {
  console.log(
    'npm test                 every check and every test\nnpm test -- store flow   only test files whose path contains one of the words',
  );
  process.exit(0);
}

const tally = { passed: 0, failed: 0, skipped: 0 };

/** Checks of the sources as a whole; each counts as one test. */
const checks: readonly (readonly [string, readonly string[]])[] = [
  ['types (tsc)', ['node_modules/typescript/bin/tsc', '-p', '.']],
  [
    'format and lint (biome)',
    ['node_modules/@biomejs/biome/bin/biome', 'ci', '--colors=off', '--error-on-warnings', '.'],
  ],
  ['nothing unused (knip)', ['node_modules/knip/bin/knip.js']],
  ['generated types are current', ['contracts/generate.ts', '--check']],
];
if (only.length === 0) {
  for (const [name, args] of checks) {
    const started = performance.now();
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    const ok = status === 0;
    tally[ok ? 'passed' : 'failed'] += 1;
    console.log(`${ok ? '✔' : '✖'} ${name} (${Math.round(performance.now() - started)} ms)`);
    if (!ok) console.log(`${stdout}${stderr}`);
  }
}

/** Fast ones first: units, then contracts and conformance, then whole flows, then failures. */
const ORDER = [
  'gateway/',
  'adapters/',
  'contracts/',
  'config/',
  'console/',
  'test/architecture',
  'test/contracts',
  'test/conformance',
  'test/flow',
  'test/cluster',
  // The longest first, so that nothing runs alone at the end.
  'test/failure/cluster.test',
  'test/failure/kill',
  'test/failure',
];
const rank = (file: string): number => ORDER.findIndex((prefix) => file.startsWith(prefix));
const files = globSync('{gateway,adapters,contracts,config,console,bench,test}/**/*.test.ts', { cwd: root })
  .filter((file) => only.length === 0 || only.some((word) => file.includes(word)))
  .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
if (files.length === 0) {
  console.log(`no test file matches ${only.join(' ')}`);
  process.exit(1);
}

/** A file that hangs is ended, and so is the whole run: whoever waits for it learns where it stood. */
const FILE_MS = 900_000;
const WHOLE_MS = 3_600_000;
const overtime = new AbortController();
const underWay = new Set<string>();
setTimeout(() => {
  console.log(`\nthe time of the whole run is over (${WHOLE_MS / 60_000} min); under way: ${[...underWay].join(', ')}`);
  tally.failed += 1;
  overtime.abort();
  setTimeout(() => {
    console.log(`\n${tally.passed} passed, ${tally.failed} failed`);
    process.exit(1);
  }, 30_000).unref();
}, WHOLE_MS).unref();

/** Found or started once, for all test files; each of those would look for itself otherwise. */
const env: Record<string, string | undefined> = { ...process.env };
if (files.some((file) => /^test\/(conformance|flow|cluster|failure)/.test(file))) {
  for (const [name, engine] of [
    ['TEST_DATABASE_URL', await postgres()],
    ['TEST_AMQP_URL', await rabbitmq()],
  ] as const)
    if ('url' in engine) env[name] = engine.url;
}

async function tested(some: readonly string[], more: Record<string, string> = {}): Promise<void> {
  if (some.length === 0 || overtime.signal.aborted) return;
  const stream = run({
    files: some.map((file) => path.join(root, file)),
    cwd: root,
    concurrency: Math.max(2, availableParallelism()),
    timeout: FILE_MS,
    signal: overtime.signal,
    execArgv: ['--import', new URL('support/exit.ts', import.meta.url).href],
    env: { ...env, ...more },
  });
  stream.on('test:dequeue', ({ file, nesting }) => {
    if (nesting === 0 && file !== undefined) underWay.add(path.relative(root, file));
  });
  stream.on('test:summary', ({ file }) => {
    if (file !== undefined) underWay.delete(path.relative(root, file));
  });
  stream.on('test:pass', ({ details, skip, todo }) => {
    if (details.type === 'suite') return;
    if (skip !== undefined || todo !== undefined) tally.skipped += 1;
    else tally.passed += 1;
  });
  stream.on('test:fail', ({ details }) => {
    // A suite fails with its tests; those are counted themselves.
    if (details.type !== 'suite') tally.failed += 1;
  });
  await new Promise((resolve) => {
    stream.compose(spec).on('end', resolve).pipe(process.stdout, { end: false });
  });
}

/** Whole flows once more, on every other combination of store and bus. */
const flows = files.filter((file) => file.startsWith('test/flow'));
await tested(files.filter((file) => !file.startsWith('test/failure')));
for (const engines of flows.length === 0 ? [] : COMBINATIONS.slice(1)) {
  const reason = await lacking(engines);
  console.log(`\n── whole flows on ${nameOf(engines)}${reason === false ? '' : `: left out, ${reason}`}`);
  if (reason !== false) tally.skipped += flows.length;
  else await tested(flows, { ENGINES: nameOf(engines) });
}
await tested(files.filter((file) => file.startsWith('test/failure')));

const skipped = tally.skipped > 0 ? `, ${tally.skipped} skipped` : '';
console.log(`\n${tally.passed} passed, ${tally.failed} failed${skipped}`);
process.exit(tally.failed > 0 || tally.passed === 0 ? 1 : 0);
