import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { birth, flexibleEmployment, houseTransfer } from '../support/submissions.ts';
import { Hall } from './hall.ts';
import { survived, trials } from './trials.ts';

describe('killed with SIGKILL', () => {
  test(
    'OpenFn: lost runs: at every commit point, in every mood: nothing lost, doubled, out of order or stuck',
    {
      timeout: 900_000,
    },
    (t) => survived(t, trials(), { halls: 2 }),
  );

  test('stopped with SIGTERM under load: it drains, and whoever comes after has no doubt about anything', async () => {
    const hall = await Hall.open();
    try {
      const submissions = Array.from({ length: 12 }, (_, at) =>
        at % 3 === 0 ? houseTransfer() : at % 3 === 1 ? birth() : flexibleEmployment(),
      );
      const matters = await Promise.all(submissions.map((one) => hall.submit(one)));
      assert.ok(matters.every(({ caseNo }) => caseNo !== undefined));
      assert.equal(await hall.terminate(), 0);
      await hall.start();
      assert.deepEqual(await hall.heal(matters), { lost: [], doubled: [], outOfOrder: [], stuck: [] });
      assert.deepEqual(hall.inquired, []);
      assert.deepEqual(hall.rang, []);
    } finally {
      await hall.close();
    }
  });
});
