import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadParties } from '../../adapters/load.ts';
import { loadSimulators } from '../../adapters/simulators.ts';
import { loadContracts } from '../../contracts/load.ts';
import { makeContracts } from '../../gateway/contracts/registry.ts';
import { adapterSuite } from './adapter-suite.ts';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const published = await loadContracts(path.join(root, 'contracts', 'schemas'));
const folders = await loadParties(undefined, new Set(published.map(({ name }) => name)));
const simulators = await loadSimulators();
const contracts = makeContracts([...published, ...folders.flatMap((folder) => folder.contracts)]);

test('every party has a simulator, and there are parties', () => {
  assert.ok(folders.length >= 8);
  assert.deepEqual(
    folders.map(({ party }) => party).filter((party) => !simulators.has(party)),
    [],
  );
});

// A new folder is in the suite by being there.
for (const folder of folders) {
  const make = simulators.get(folder.party);
  if (make !== undefined) adapterSuite(folder, make, path.join(root, 'adapters', folder.party), contracts);
}
