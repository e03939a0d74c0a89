import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Follower } from '../support/follow.ts';
import { deedTax, flexibleEmployment } from '../support/submissions.ts';
import { startWorld, until, type World } from '../support/world.ts';

interface Shown {
  readonly id: string;
  readonly state: string;
  readonly attempts: number;
  readonly fault: string | null;
}

/** `attempts`: how often the envelope went to the party, whatever came of it. 1 after one. */
describe('attempts shown are the tries that went to the party', () => {
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld({
      terms: {
        attempts: 1_000,
        backoffMs: { first: 100, max: 200 },
        breaker: { failures: 1_000, windowMs: 10_000, openMs: 300 },
      },
    });
    hall = new Follower(world);
  });
  after(() => world.stop());

  async function shown(id: string): Promise<Shown> {
    const { status, body } = await world.operator.get<Shown>(`/v1/envelopes/${id}`);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  }
  const inState = (id: string, state: string): Promise<Shown> =>
    until(
      async () => {
        const one = await shown(id);
        return one.state === state ? one : undefined;
      },
      30_000,
      `${id} ${state}`,
    );

  test('delivered at the first try: 1; and so is what the window was told', async () => {
    const caseNo = await hall.submit(deedTax());
    await hall.ends(caseNo, 30_000);
    assert.equal((await inState(`${caseNo}-01`, 'delivered')).attempts, 1);
    assert.equal((await inState(`${caseNo}-W1`, 'delivered')).attempts, 1);
    const rows = (await hall.envelopes(`caseNo=${caseNo}`)) as unknown as readonly Shown[];
    assert.equal(rows.find(({ id }) => id === `${caseNo}-01`)?.attempts, 1, 'in the list as well');
  });

  test('refused at the first try: 1', async () => {
    await hall.mood('social-security', 'refuses');
    const caseNo = await hall.submit(flexibleEmployment());
    const { attempts } = await inState(`${caseNo}-01`, 'refused');
    await hall.mood('social-security', 'well');
    assert.equal(attempts, 1);
  });

  test('parked at the first try, because the answer means nothing: 1; released and delivered then: 2', async () => {
    await hall.mood('social-security', 'garbled');
    const caseNo = await hall.submit(flexibleEmployment());
    const parked = await inState(`${caseNo}-01`, 'parked');
    await hall.mood('social-security', 'well');
    assert.equal(parked.attempts, 1);
    await world.operator.post(`/v1/envelopes/${caseNo}-01/release`, {});
    assert.equal((await inState(`${caseNo}-01`, 'delivered')).attempts, 2);
  });

  test('told to come back later: each try counts, though none has failed', async () => {
    await hall.mood('tax', 'busy');
    const caseNo = await hall.submit(deedTax());
    const { attempts } = await until(async () => {
      const one = await shown(`${caseNo}-01`);
      return one.fault === 'busy' ? one : undefined;
    }, 30_000);
    await hall.mood('tax', 'well');
    assert.ok(attempts >= 1, `attempts: ${attempts}`);
  });

  test('the party is away: each try counts, and the one that is taken in the end too', async () => {
    await hall.mood('tax', 'absent');
    const caseNo = await hall.submit(deedTax());
    const waiting = await until(async () => {
      const one = await shown(`${caseNo}-01`);
      return one.attempts >= 2 ? one : undefined;
    }, 30_000);
    await hall.mood('tax', 'well');
    const delivered = await inState(`${caseNo}-01`, 'delivered');
    assert.ok(delivered.attempts > waiting.attempts, `${delivered.attempts} after ${waiting.attempts}`);
  });

  test('what was never sent shows 0: the lane is paused', async () => {
    await world.operator.post('/v1/departments/tax/pause', { reason: '割接' });
    const caseNo = await hall.submit(deedTax());
    assert.equal((await inState(`${caseNo}-01`, 'waiting')).attempts, 0);
    await world.operator.post('/v1/departments/tax/resume', {});
    assert.equal((await inState(`${caseNo}-01`, 'delivered')).attempts, 1);
  });
});
