import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMBINATIONS, lacking, nameOf } from '../support/engines.ts';
import { Follower } from '../support/follow.ts';
import { asked } from '../support/services.ts';
import { deedTax } from '../support/submissions.ts';
import { startWorld, until } from '../support/world.ts';

for (const engines of COMBINATIONS.filter(({ store }) => store === 'PostgreSQL'))
  test(`whoever may connect to the database may notify: forged breaker state stops no lane (${nameOf(engines)})`, async (t) => {
    const skip = await lacking(engines);
    if (skip !== false) return t.skip(skip);
    const world = await startWorld({ engines });
    t.after(() => world.stop());
    const { databaseUrl = assert.fail() } = world.settings;
    const forged = ['tax', 'window', 'real-estate'].flatMap((party) =>
      ['deliver', 'query', 'certificates'].map((group) => ({
        kind: 'breakerOpened',
        body: { party, node: 'a stranger', group, until: Date.now() + 3_600_000 },
      })),
    );
    const texts = [
      ...forged.map((one) => JSON.stringify(one)),
      JSON.stringify({ kind: 'certificateChanged', body: { identifier: { toString: 1 } } }),
      JSON.stringify({ kind: 'slotsWanted', body: { party: 'tax', node: 'a stranger' } }),
    ];
    for (const text of texts) await asked(databaseUrl, `select pg_notify('onewindow_news', '${text}')`);
    for (const text of ['{', '[]', '"x"', '{"kind":1,"body":{}}', `${'['.repeat(7_000)}`])
      await asked(databaseUrl, `select pg_notify('onewindow_news', '${text}')`);
    const lines = (message: string) => world.log.filter((line) => line.message.startsWith(message));
    await until(() => lines('news that cannot be read').length === 5 || undefined, 60_000, 'the last');
    assert.equal(lines('news that no node of ours has told now').length, texts.length);
    const { body } = await world.operator.get<{ rows: { breakers: Record<string, { state: string }> }[] }>(
      '/v1/departments',
    );
    const states = body.rows.flatMap(({ breakers }) => Object.values(breakers).map(({ state }) => state));
    assert.deepEqual(new Set(states), new Set(['closed']));
    const hall = new Follower(world);
    await hall.ends(await hall.submit(deedTax()));
    assert.deepEqual(
      world.log.filter(({ level }) => level === 'error'),
      [],
    );
  });
