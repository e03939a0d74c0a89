import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { HELP } from '../../config/load.ts';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));

interface Service {
  readonly environment?: { readonly [name: string]: string };
  readonly volumes?: readonly string[];
  readonly depends_on?: readonly string[] | { readonly [service: string]: { readonly condition: string } };
  readonly healthcheck?: object;
  readonly deploy?: { readonly resources: { readonly limits: { readonly memory: string } } };
}

/** No container engine runs it here, so at least it must not name what is not there. */
test('docker-compose.yml and nginx.conf agree with each other and with the program', async () => {
  const composed = parse(await readFile(path.join(root, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
    readonly services: { readonly [name: string]: Service };
    readonly volumes: object;
  };
  const { services } = composed;
  const nodes = Object.keys(services).filter((name) => name.startsWith('node-'));
  assert.equal(nodes.length, 3);
  for (const [name, { volumes = [], depends_on = [], healthcheck, deploy }] of Object.entries(services)) {
    assert.ok(healthcheck !== undefined && deploy?.resources.limits.memory !== undefined, name);
    for (const other of Array.isArray(depends_on) ? depends_on : Object.keys(depends_on))
      assert.ok(other in services, `${name} depends on ${other}`);
    for (const [from = ''] of volumes.map((volume) => volume.split(':'))) {
      // Written by whoever sets it up.
      if (from === './gateway.yaml') continue;
      assert.ok(
        from.startsWith('.') ? existsSync(path.join(root, from)) : from in composed.volumes,
        `${name}: ${from}`,
      );
    }
  }
  for (const name of nodes)
    for (const variable of Object.keys(services[name]?.environment ?? {}))
      assert.match(HELP, new RegExp(`\\b${variable}\\b`));

  const front = await readFile(path.join(root, 'config/nginx.conf'), 'utf8');
  const { PORT } = services[nodes[0] ?? '']?.environment ?? {};
  assert.deepEqual(
    [...front.matchAll(/server (node-\d+:\d+)/g)].map(([, server]) => server),
    nodes.map((name) => `${name}:${PORT}`),
  );
});
