import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '../../console/client.ts';
import { startWorld } from '../support/world.ts';

test('a whole gateway with a port of its own for the metrics: strangers make no series there, and nothing is served twice', async (t) => {
  const world = await startWorld({ over: { adminPort: 0 } });
  t.after(() => world.stop());
  const admin = String(world.log.find(({ message }) => message === 'metrics are served')?.fields.url);
  const status = async (url: string, init: RequestInit = {}) => (await fetch(url, init)).status;
  assert.equal(await status(`${admin}/metrics`), 200);
  assert.equal(await status(`${world.gateway.url}/metrics`), 404);
  for (const url of [admin, world.gateway.url])
    for (const probe of ['/livez', '/readyz']) assert.equal(await status(`${url}${probe}`), 200);

  const series = async () =>
    (await (await fetch(`${admin}/metrics`)).text())
      .split('\n')
      .filter((line) => line.startsWith('onewindow_'))
      .map((line) => line.slice(0, line.lastIndexOf(' ')));
  assert.equal((await world.window.get('/v1/items')).status, 200);
  await series();
  const before = await series();
  const strangers = ['nobody', 'window-demo', '331124199001010011', 'constructor'];
  for (const key of strangers) {
    const stranger = new Client(world.gateway.url, { key, secret: 'not-the-secret' });
    assert.equal((await stranger.get('/v1/items')).status, 401);
    assert.equal((await stranger.post('/v1/cases', {})).status, 401);
  }
  for (const method of ['PUT', 'PROPFIND', 'DELETE'])
    assert.equal(await status(`${world.gateway.url}/v1/cases`, { method }), 405);
  for (const at of ['/v1/nothing', '/wp-login.php', `/v1/cases/${'1'.repeat(18)}/x`])
    assert.equal(await status(`${world.gateway.url}${at}`), 404);
  for (const party of ['real-estate', 'nobody'])
    await fetch(`${world.gateway.url}/v1/callbacks/${party}`, { method: 'POST', body: 'xml=1' });
  assert.deepEqual(await series(), before);
});
