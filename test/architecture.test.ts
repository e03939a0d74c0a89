import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Imports go down only (docs/architecture.md, "Floors"). Tests may look at everything. */
const RULES = [
  {
    name: 'contracts import nothing of ours',
    from: { path: '^contracts/' },
    to: { path: '^(gateway|adapters|config|console|bench|test)/' },
  },
  {
    name: 'config looks down only',
    from: { path: '^config/' },
    to: { path: '^(gateway|adapters|console|bench|test)/' },
  },
  {
    name: 'adapters look down only',
    from: { path: '^adapters/' },
    to: { path: '^(gateway|config|console|bench|test)/' },
  },
  {
    name: 'wires know no manifest and no party',
    from: { path: '^adapters/wire/' },
    to: { path: '^adapters/(?!wire/)' },
  },
  {
    name: 'the manifest language knows no party',
    from: { path: '^adapters/manifest/' },
    to: { path: '^adapters/(?!wire/|manifest/)' },
  },
  {
    name: 'parties are strangers to each other',
    from: { path: '^adapters/([^/]+)/' },
    to: { path: '^adapters/[^/]+/', pathNot: '^adapters/($1|wire|manifest)/' },
  },
  {
    name: 'the gateway never imports adapters',
    from: { path: '^gateway/', pathNot: '^gateway/main[.]ts$' },
    to: { path: '^adapters/' },
  },
  {
    name: 'siblings of floor 2 meet in main.ts only',
    from: { path: '^gateway/(intake|routing|delivery|certificates|contracts|store|bus|observe)/' },
    to: { path: '^gateway/', pathNot: '^gateway/$1/' },
  },
  {
    name: 'only main.ts sees main.ts',
    from: { path: '^(gateway|adapters|contracts|config)/' },
    to: { path: '^gateway/main[.]ts$' },
  },
  { name: 'nobody below imports http', from: { path: '^gateway/(?!http/|main[.]ts)' }, to: { path: '^gateway/http/' } },
  {
    name: 'the product imports no test, bench or console',
    from: { path: '^(gateway|adapters|contracts|config)/' },
    to: { path: '^(test|bench|console)/' },
  },
  { name: 'no circles', from: {}, to: { circular: true } },
  {
    name: 'ajv in one file',
    from: { pathNot: '^contracts/compile[.]ts$' },
    to: { path: 'node_modules/ajv', dependencyTypesNot: ['type-only'] },
  },
  { name: 'jsonata in one file', from: { pathNot: '^contracts/mapping[.]ts$' }, to: { path: 'node_modules/jsonata' } },
  {
    name: 're2js in one file',
    from: { pathNot: '^contracts/linear-pattern[.]ts$' },
    to: { path: 'node_modules/re2js' },
  },
  { name: 'saxes in one file', from: { pathNot: '^adapters/wire/text/xml[.]ts$' }, to: { path: 'node_modules/saxes' } },
  {
    name: 'opossum in one file',
    from: { pathNot: '^gateway/delivery/guard[.]ts$' },
    to: { path: 'node_modules/opossum' },
  },
  {
    name: 'node-cache in one file',
    from: { pathNot: '^gateway/certificates/cache[.]ts$' },
    to: { path: 'node_modules/node-cache' },
  },
  {
    name: 'pdf-lib in three files',
    from: { pathNot: '^gateway/certificates/documents/(active-content|stamp|unfolding)[.]ts$' },
    to: { path: 'node_modules/@cantoo/pdf-lib/' },
  },
  {
    name: 'saxes in one file',
    from: { path: '^(gateway|adapters|contracts|config)/', pathNot: '^adapters/wire/text/xml[.]ts$' },
    to: { path: 'node_modules/saxes/' },
  },
  {
    name: 're2js in one file',
    from: { path: '^(gateway|adapters|contracts|config)/', pathNot: '^contracts/linear-pattern[.]ts$' },
    to: { path: 'node_modules/re2js/' },
  },
  {
    name: 'fontkit in one file',
    from: { pathNot: '^gateway/certificates/documents/stamp[.]ts$' },
    to: { path: 'node_modules/fontkit/' },
  },
  {
    name: 'csv-stringify in one file',
    from: { pathNot: '^gateway/http/csv[.]ts$' },
    to: { path: 'node_modules/csv-stringify' },
  },
  {
    name: 'winston in one file',
    from: { pathNot: '^gateway/observe/log[.]ts$' },
    to: { path: 'node_modules/winston' },
  },
  {
    name: 'amqplib in one file',
    from: { path: '^(gateway|adapters|contracts|config)/', pathNot: '^gateway/bus/connection[.]ts$' },
    to: { path: 'node_modules/amqplib' },
  },
  {
    name: 'axios in the http wire',
    from: { path: '^(gateway|adapters|contracts|config)/', pathNot: '^adapters/wire/http[.]ts$' },
    to: { path: 'node_modules/axios' },
  },
] as const;

test('imports go down only, and the cruise saw the whole house', async () => {
  const result = await cruise(
    ['gateway', 'adapters', 'contracts', 'config', 'console', 'bench'],
    {
      baseDir: root,
      validate: true,
      ruleSet: { forbidden: RULES.map((rule) => ({ severity: 'error' as const, ...rule })) as never },
      exclude: { path: '[.]test[.]ts$' },
      doNotFollow: { path: 'node_modules' },
      tsPreCompilationDeps: true,
      enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
    },
    undefined,
    { tsConfig: extractTSConfig(path.join(root, 'tsconfig.json')) },
  );
  const { modules, summary } = result.output as ICruiseResult;
  const seen = modules.map(({ source }) => source);
  // A cruise that cannot read TypeScript sees no module and reports success.
  for (const file of [
    'gateway/main.ts',
    'gateway/routing/routing.ts',
    'adapters/manifest/interpret.ts',
    'contracts/ports/envelope.ts',
  ]) {
    assert.ok(seen.includes(file), `the cruise did not see ${file}`);
  }
  const main = modules.find(({ source }) => source === 'gateway/main.ts');
  assert.ok((main?.dependencies.length ?? 0) > 10, 'the cruise did not follow the imports of gateway/main.ts');
  assert.deepEqual(
    summary.violations.map(({ from, to, rule }) => `${rule.name}: ${from} → ${to}`),
    [],
  );
});
