import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Api, startApi } from '../../test/support/api.ts';

const NEW = 'the-new-secret-of-window-1';
const OLD = 'the-old-secret-of-window-1';

describe('while the secret of an app is rotated', () => {
  let api: Api;
  before(async () => {
    api = await startApi({
      apps: [
        { key: 'window-1', secrets: [NEW, OLD], role: 'window' },
        { key: 'window-2', secrets: ['the-only-secret-of-window-2'], role: 'window' },
      ],
    });
  });
  after(() => api.close());

  const status = async (as: string, secret: string): Promise<number> =>
    (await api.call('GET', '/v1/items', { as, secret })).status;
  const warnings = () => api.lines.filter(({ message }) => message.includes('previous secret'));

  test('both sign, under both digests, and no third', async () => {
    for (const secret of [NEW, OLD])
      for (const method of ['HMAC-SHA256', 'HMAC-SM3'] as const)
        assert.equal((await api.call('GET', '/v1/items', { as: 'window-1', secret, method })).status, 200);
    assert.equal(await status('window-1', 'the-only-secret-of-window-2'), 401);
    assert.equal(await status('window-2', OLD), 401);
  });

  test('the operator is told once an hour that the old one is in use, and of nothing else', async () => {
    api.clock.move(3_600_001);
    api.lines.length = 0;
    await status('window-1', NEW);
    await status('window-2', 'the-only-secret-of-window-2');
    assert.deepEqual(warnings(), []);
    for (let call = 0; call < 3; call += 1) await status('window-1', OLD);
    assert.deepEqual(
      warnings().map(({ level, fields }) => ({ level, fields })),
      [{ level: 'warn', fields: { app: 'window-1' } }],
    );
    api.clock.move(3_600_001);
    await status('window-1', OLD);
    assert.equal(warnings().length, 2);
    assert.doesNotMatch(JSON.stringify(api.lines), /secret-of-window/);
  });
});
