import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Mood } from '../../contracts/ports/simulator.ts';
import { Follower } from '../support/follow.ts';
import { birth, deedTax, flexibleEmployment, houseTransfer } from '../support/submissions.ts';
import { startWorld, until, type World } from '../support/world.ts';

describe('the window is one more party', () => {
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld({
      termsOf: {
        window: {
          deadlineMs: 300,
          backoffMs: { first: 30, max: 100 },
          breaker: { failures: 3, windowMs: 5_000, openMs: 200 },
        },
      },
    });
    hall = new Follower(world);
  });
  after(() => world.stop());

  for (const mood of ['deaf', 'forgetful', 'absent', 'busy', 'garbled'] as const satisfies readonly Mood[])
    test(`${mood} while the departments work: every notice comes once and in order, as soon as it listens`, async () => {
      await hall.mood('window', mood);
      const cases = await Promise.all(
        [houseTransfer(), birth(), flexibleEmployment(), deedTax()].map((one) => hall.submit(one)),
      );
      // The departments do not wait for the window.
      for (const caseNo of cases)
        await until(
          async () => ((await hall.look(caseNo)).decision?.outcome === 'approved' ? true : undefined),
          60_000,
          caseNo,
        );
      await hall.mood('window', 'well');
      if (mood === 'garbled') {
        // What answered nonsense is before a person: released, one after the other as they come up.
        await until(
          async () => {
            for (const { id } of await hall.envelopes('state=parked&party=window'))
              await world.operator.post(`/v1/envelopes/${id}/release`, {});
            return (
              cases.every((caseNo) => hall.notices(caseNo).some(({ what }) => what === 'case.result@1')) || undefined
            );
          },
          60_000,
          'all notices',
        );
      }
      for (const caseNo of cases) {
        await hall.ends(caseNo);
        await until(
          async () =>
            (await hall.envelopes(`caseNo=${caseNo}&party=window`)).every(({ state }) => state === 'delivered') ||
            undefined,
          60_000,
          `all notices of ${caseNo}`,
        );
        hall.inOrder(caseNo);
        assert.equal(
          (await hall.envelopes(`caseNo=${caseNo}&party=window`)).length,
          hall.notices(caseNo).length,
          'as many as were sent',
        );
      }
      hall.onceEach();
    });

  test('trap 10: another node of theirs takes a new token, which ends ours: logged in again, nothing lost', async () => {
    const caseNo = await hall.submit(deedTax());
    await hall.lever('window', 'stealToken', true);
    await hall.ends(caseNo);
    await hall.lever('window', 'stealToken', true);
    await hall.ends(await hall.submit(birth()));
    hall.inOrder(caseNo);
    hall.onceEach();
  });

  test('after all of it: what rang was meant to, nobody in the log', () => {
    hall.rang(/^parked: a person must look at it$/);
    hall.nobodyInTheLog();
  });
});
