import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Coordination } from '../../contracts/ports/coordination.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import { openStore } from '../store/open.ts';
import { sessionBook } from './session-book.ts';

const KEY = '0f'.repeat(32);
const DAIRY = { party: 'dairy', account: 'first' };
const KEPT = { no: 7, session: { token: '令牌-secret' } };

async function books(t: TestContext) {
  const clock = new HandClock();
  const store = await openStore({ file: ':memory:', clock, log: silent });
  t.after(() => store.close());
  const written: { place: string; value: string }[] = [];
  const shared: Coordination = {
    ...store,
    keep: (place, value, until) => {
      written.push({ place, value });
      return store.keep(place, value, until);
    },
  };
  const book = (node: string, key = KEY) => sessionBook({ shared, clock, node, key });
  return { clock, store, written, book };
}

test('what one node keeps another opens, until it ends; nobody reads it in the store', async (t) => {
  const { clock, written, book } = await books(t);
  const until = clock.now() + 1_000;
  await book('one').keep(DAIRY, KEPT, until);
  assert.deepEqual(await book('two').kept(DAIRY), KEPT);
  assert.equal(await book('two').kept({ ...DAIRY, account: 'other' }), undefined);
  const stored = written
    .map(({ place, value }) => `${place} ${Buffer.from(value, 'base64').toString('latin1')}`)
    .join();
  assert.doesNotMatch(stored, /secret|token|first/);
  clock.move(1_000);
  assert.equal(await book('two').kept(DAIRY), undefined);
});

test('what was changed, moved to another place, cut, or sealed under another key is not there', async (t) => {
  const { clock, store, written, book } = await books(t);
  const until = clock.now() + 1_000;
  await book('one').keep(DAIRY, KEPT, until);
  await book('one').keep({ party: 'bakery', account: 'first' }, KEPT, until);
  const [dairy, bakery] = written as [{ place: string; value: string }, { place: string; value: string }];
  assert.equal(await book('one', 'f0'.repeat(32)).kept(DAIRY), undefined);
  const bytes = Buffer.from(dairy.value, 'base64');
  const flipped = bytes.map((byte, at) => (at === 20 ? byte ^ 1 : byte));
  for (const value of [
    bakery.value,
    Buffer.from(flipped).toString('base64'),
    bytes.subarray(0, 30).toString('base64'),
    '',
  ]) {
    await store.keep(dairy.place, value, until);
    assert.equal(await book('one').kept(DAIRY), undefined);
  }
});

test('one node at a time has the right to log in', async (t) => {
  const { clock, book } = await books(t);
  const [one, two] = [book('one'), book('two')];
  assert.deepEqual(await Promise.all([one.claim(DAIRY, 500), two.claim(DAIRY, 500)]), [true, false]);
  await one.unclaim(DAIRY);
  assert.equal(await two.claim(DAIRY, 500), true);
  clock.move(500);
  assert.equal(await one.claim(DAIRY, 500), true);
});
