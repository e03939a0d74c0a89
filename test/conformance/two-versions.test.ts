import assert from 'node:assert/strict';
import { after, describe, type TestContext, test } from 'node:test';
import type { Advance } from '../../contracts/ports/case.ts';
import type { Message } from '../../contracts/ports/envelope.ts';
import type { Fault } from '../../contracts/ports/fault.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { Lease, Recorded, Store } from '../../contracts/ports/store.ts';
import { openStore } from '../../gateway/store/open.ts';
import { programAt } from '../failure/other-program.ts';
import { HandClock } from '../support/hand-clock.ts';
import { change, event, fault, HOLD, newCase, nothing, stepIn } from '../support/sample-case.ts';
import * as services from '../support/services.ts';
import before from './released/before.json' with { type: 'json' };

const TEA = 'tea-office';
const LEASE_MS = 60_000;
const DATABASE = { poolSize: 4, connectTimeoutMs: 5_000, statementTimeoutMs: 10_000, lockTimeoutMs: 200 };
const engine = await services.postgres();
const program = 'missing' in engine ? engine : await programAt(before);
const skip = 'missing' in program ? program.missing : false;
after(() => ('missing' in program ? undefined : program.remove()));

/** The store of the version before, where it is called otherwise than this one. */
interface StoreBefore
  extends Pick<Store, 'accept' | 'lease' | 'delivered' | 'returned' | 'awaiting' | 'collected' | 'changed' | 'close'> {
  postponed(
    lease: Lease,
    fault: Fault,
    when: { readonly notBefore: number; readonly costsAttempt: boolean; readonly inDoubt: boolean },
    advance: Advance,
  ): Promise<Recorded>;
  parked(lease: Lease, fault: Fault, advance: Advance): Promise<Recorded>;
}

/** A store of the version before on a database of its own, and one of this version beside it. */
async function both(t: TestContext) {
  if ('missing' in engine || 'missing' in program) return assert.fail();
  const { url, drop } = await services.freshDatabase(engine.url);
  const clock = new HandClock();
  const where = { databaseUrl: url, database: DATABASE, clock, log: silent };
  const old = (await program.openStore(where)) as unknown as StoreBefore;
  const open = [await openStore(where)];
  const now = open[0] as Store;
  t.after(async () => {
    await Promise.all([old, ...open].map((store) => store.close()));
    await drop();
  });
  /** Another node of this version. */
  const another = async (): Promise<void> => void open.push(await openStore(where));
  return { old, now, clock, another };
}

async function leased(store: Pick<Store, 'lease'>, clock: HandClock): Promise<Lease> {
  const leases = await store.lease({ lanes: [{ lane: TEA, limit: 9 }], forMs: LEASE_MS, now: clock.now() });
  return leases[0] ?? assert.fail('nothing to lease');
}

describe(`the store of the version before (${before.commit.slice(0, 7)}) and this one on one database`, {
  skip,
}, () => {
  test('case numbers of both are never the same', async (t) => {
    const { old, now } = await both(t);
    const stores = [old, now];
    const cases = await Promise.all(
      Array.from({ length: 250 }, (_, n) => stores[n % 2]?.accept(newCase({ applicationNo: `A${n}` }))),
    );
    assert.equal(new Set(cases.map((one) => one?.record.caseNo)).size, 250);
  });

  test('the same application at both is one case', async (t) => {
    const { old, now } = await both(t);
    const [one, other] = await Promise.all([old, now].map((store) => store.accept(newCase({ applicationNo: 'same' }))));
    assert.equal(one?.record.caseNo, other?.record.caseNo);
  });

  test('an answer that could not be read here and was brought in by the version before: nobody has to look at it any more', async (t) => {
    const { old, now, clock, another } = await both(t);
    const { record } = await now.accept(newCase({ applicationNo: 'unanswered' }));
    const lease = await leased(now, clock);
    await now.delivered(lease, { number: 'N1', duplicate: false }, nothing, clock.now());
    assert.equal(await now.answerFailed(lease.envelope.id, fault('malformed'), () => nothing), true);
    const [awaited] = await old.awaiting({ party: TEA, limit: 9, now: clock.now(), scheduleMs: [1_000] });
    assert.equal(awaited?.envelope.id, lease.envelope.id);
    const word: Message = {
      from: TEA,
      about: { number: 'N1' },
      dedupe: 'word',
      at: clock.now(),
      answer: { outcome: 'done', result: {} },
    };
    const finish = () => async (current: Parameters<typeof stepIn>[0]) =>
      change({ steps: [stepIn(current, '01', 'DONE')], events: [event('answered')] });
    assert.equal(await old.collected(word, finish), 'applied');
    // Where the last node of the version before was, one of this version is started.
    await another();
    assert.equal((await now.envelope(`${record.caseNo}-01`))?.state, 'delivered');
    assert.equal((await now.lanes()).find(({ lane }) => lane === TEA)?.parked, 0);
  });
  test('what the version before has put in doubt is in doubt since then, and not since an earlier doubt of this one', async (t) => {
    const { old, now, clock } = await both(t);
    await now.accept(newCase({ applicationNo: 'doubted' }));
    const doubt = () => ({ notBefore: clock.now(), tried: true, doubtedAt: clock.now() });
    assert.equal(await now.postponed(await leased(now, clock), fault('inDoubt'), doubt(), nothing), 'recorded');
    const first = clock.now();
    clock.move(5_000);
    assert.equal(
      (await now.returned(await leased(now, clock))) && (await leased(now, clock)).doubtedAt,
      first,
      'its own',
    );
    clock.move(LEASE_MS);
    // It asked, was told that they do not know it, sent it again, and heard nothing.
    const sentAgain = clock.now();
    const word = { notBefore: sentAgain, costsAttempt: true, inDoubt: true };
    assert.equal(await old.postponed(await leased(old, clock), fault('inDoubt'), word, nothing), 'recorded');
    clock.move(1_000);
    const lease = await leased(now, clock);
    assert.deepEqual([lease.inDoubt, lease.doubtedAt], [true, sentAgain]);
    await now.parked(lease, fault('malformed', true), true, nothing);
    assert.equal((await now.envelope(lease.envelope.id))?.inDoubt, true);
  });

  test('a lease of the version before that ran out, and one of this that it let run out: in doubt since that was seen', async (t) => {
    const { old, now, clock } = await both(t);
    await now.accept(newCase({ applicationNo: 'died' }));
    await leased(old, clock);
    clock.move(LEASE_MS);
    const lease = await leased(now, clock);
    assert.deepEqual([lease.inDoubt, lease.doubtedAt], [true, clock.now()]);
    clock.move(LEASE_MS);
    const seen = clock.now();
    // It wakes it, and gives it back unsent.
    await old.returned(await leased(old, clock));
    clock.move(1_000);
    assert.deepEqual([(await leased(now, clock)).doubtedAt], [seen]);
  });

  test('a lease of the version before cannot be begun here, and what it leaves behind is in doubt; one of this version that nobody began is not', async (t) => {
    const { old, now, clock } = await both(t);
    const name = ({ envelope: { id }, fence }: Lease) => ({ lane: TEA, id, fence });
    const toBegin = async () => {
      const request = { lanes: [{ lane: TEA, limit: 9 }], forMs: LEASE_MS, now: clock.now(), toBegin: true };
      return (await now.lease(request))[0] ?? assert.fail('nothing to lease');
    };
    await now.accept(newCase({ applicationNo: 'begun' }));
    await toBegin();
    clock.move(LEASE_MS);
    // Nobody began the first: the next is in no doubt by it, until a program sees it that knows nothing of this.
    const second = await toBegin();
    assert.deepEqual([second.inDoubt, second.firstSentAt], [false, clock.now()]);
    await now.returned(second);
    const theirs = await leased(old, clock);
    assert.equal(await now.begin(name(theirs)), undefined);
    clock.move(LEASE_MS);
    const third = await toBegin();
    assert.equal(third.inDoubt, true, 'it may have been sent without having been begun');
    clock.move(LEASE_MS);
    assert.equal((await leased(old, clock)).inDoubt, true);
  });

  test('certain again by the word of the version before: no doubt is left', async (t) => {
    const { old, now, clock } = await both(t);
    await now.accept(newCase({ applicationNo: 'certain' }));
    const doubted = { notBefore: clock.now(), tried: true, doubtedAt: clock.now() };
    await now.postponed(await leased(now, clock), fault('inDoubt'), doubted, nothing);
    const word = { notBefore: clock.now(), costsAttempt: true, inDoubt: false };
    await old.postponed(await leased(old, clock), fault('unreachable'), word, nothing);
    const lease = await leased(now, clock);
    assert.deepEqual([lease.inDoubt, lease.doubtedAt], [false, null]);
  });

  test('what it parked after sending is in doubt, though it wrote down neither attempts nor the first sending', async (t) => {
    const { old, now, clock } = await both(t);
    const { record } = await now.accept(newCase({ applicationNo: 'parked' }));
    await old.parked(await leased(old, clock), fault('malformed', true), nothing);
    const view = await now.envelope(`${record.caseNo}-01`);
    assert.deepEqual([view?.state, view?.inDoubt, view?.attempts, view?.firstSentAt], ['parked', true, 0, null]);
    assert.equal(await now.settled(`${record.caseNo}-01`, null, null, () => nothing), 'settled');
    assert.equal((await leased(now, clock)).inDoubt, false);
  });

  test('two changes of a case at once, one by each: neither is lost', async (t) => {
    const { old, now } = await both(t);
    const { record } = await now.accept(newCase({ applicationNo: 'changed' }));
    const add =
      (kind: 'supplied' | 'note'): Advance =>
      async (current) =>
        change({
          submission: { ...current.submission, form: { ...current.submission.form, [kind]: 'yes' } },
          events: [event('answered')],
        });
    await Promise.all([now.changed(record.caseNo, add('supplied')), old.changed(record.caseNo, add('note'))]);
    const after = await now.caseOf(record.caseNo);
    assert.deepEqual([after?.submission.form.supplied, after?.submission.form.note], ['yes', 'yes']);
  });

  test('a case that is held here stays so for the version before, with who did it and why', async (t) => {
    const { old, now, clock } = await both(t);
    const { record } = await now.accept(newCase({ applicationNo: 'held' }));
    assert.equal(await now.held(record.caseNo, HOLD, nothing), true);
    await old.changed(record.caseNo, nothing);
    assert.deepEqual(await old.lease({ lanes: [{ lane: TEA, limit: 9 }], forMs: LEASE_MS, now: clock.now() }), []);
    assert.deepEqual((await now.caseOf(record.caseNo))?.held, HOLD);
  });
});
