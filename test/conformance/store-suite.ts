import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { EnvelopeView, Parked } from '../../contracts/ports/case.ts';
import type {
  IssuedCertificate,
  LedgerCount,
  LedgerEntry,
  LedgerFilter,
  Mandate,
} from '../../contracts/ports/certificate.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Answer, KeptMessage, Message, Party } from '../../contracts/ports/envelope.ts';
import { MOST_VALUE_BYTES, MOST_VALUE_NAMES } from '../../contracts/ports/once-values.ts';
import { MOST_PUBLISHED, type PublicEvent, type Publicly } from '../../contracts/ports/public-event.ts';
import { type Committed, type Lease, PUBLIC_EVENTS, type Store } from '../../contracts/ports/store.ts';
import { HandClock } from '../support/hand-clock.ts';
import { leaseModel } from '../support/lease-model.ts';
import { ledgerEntry } from '../support/ledger-entry.ts';
import {
  change,
  envelope,
  event,
  fault,
  HOLD,
  newCase,
  nothing,
  PREFIX,
  reason,
  type Sample,
  stepIn,
} from '../support/sample-case.ts';

/** Somewhere stores can be opened, one after the other, on the same data. */
export interface Storage {
  open(means: {
    readonly clock: HandClock;
    readonly committed?: Committed;
    readonly publicly?: Publicly;
  }): Promise<Store>;
  /** Several may be open at once. */
  readonly shared?: true;
  discard(): Promise<void>;
}

const MINUTE = 60_000;
const receipt = (number: string | null = null) => ({ number, duplicate: false });
const DONE: Answer = { outcome: 'done', result: { ok: 'yes' } };
const message = (from: Party, about: Message['about'], dedupe: string, answer: Answer = DONE): Message => ({
  from,
  about,
  dedupe,
  at: 5,
  answer,
});
/** The step of the envelope is done, by whatever party says so. */
const finish = () => async (record: Parameters<typeof stepIn>[0]) =>
  change({ steps: [stepIn(record, '01', 'DONE')], events: [event('answered')] });

const unfit = (status: number) => (error: unknown) => error instanceof Unfit && error.status === status;

/** Every promise of `contracts/ports/store.ts`, over whatever implements it. */
export function storeSuite(name: string, storageFor: () => Promise<Storage>): void {
  describe(`store conformance: ${name}`, () => {
    let storage: Storage;
    let store: Store;
    const clock = new HandClock();
    const woken: Party[][] = [];
    const toldParked: Parked[] = [];
    const means: Parameters<Storage['open']>[0] = {
      clock,
      committed(lanes, _, parked) {
        woken.push([...lanes]);
        toldParked.push(...parked);
      },
    };
    let made = 0;

    before(async () => {
      storage = await storageFor();
      store = await storage.open(means);
    });
    after(async () => {
      await store.close();
      await storage.discard();
    });

    /** Tests share a store, as callers do: each takes names of its own. */
    const fresh = (word: string) => `${word}-${++made}`;
    async function accepted(sample: Partial<Sample> = {}) {
      const one = newCase({ applicationNo: fresh('A'), acceptedAt: clock.now(), ...sample });
      return (await store.accept(one)).record;
    }
    const leased = (lane: Party, limit = 10, forMs = MINUTE) =>
      store.lease({ lanes: [{ lane, limit }], forMs, now: clock.now() });
    async function only(lane: Party): Promise<Lease> {
      const [lease, ...more] = await leased(lane, 1);
      assert.ok(lease !== undefined && more.length === 0, `one envelope of ${lane} to lease`);
      return lease;
    }
    const ids = (leases: readonly Lease[]) => leases.map((lease) => lease.envelope.id);
    const stateOf = async (id: string) => (await store.envelope(id))?.state;
    const kinds = async (caseNo: string) => (await store.timeline(caseNo, undefined, 100)).rows.map(({ kind }) => kind);
    async function reopen(): Promise<void> {
      await store.close();
      store = await storage.open(means);
    }

    describe('accept', () => {
      test('a case is stored whole: record, first events and first envelopes', async () => {
        const lane = fresh('lane');
        const record = await accepted({ parties: [lane, 'other'] });
        assert.match(record.caseNo, new RegExp(`^${PREFIX}\\d{6}$`));
        assert.equal(record.steps[0]?.state, 'SENT');
        assert.deepEqual(await store.caseOf(record.caseNo), record);
        assert.deepEqual(await kinds(record.caseNo), ['accepted', 'sent']);
        assert.deepEqual((await store.envelope(`${record.caseNo}-01`))?.envelope, {
          ...envelope(record.caseNo, '01', lane, clock.now()),
        });
        assert.equal(await store.caseOf('nobody'), undefined);
        assert.equal(await store.envelope('nobody'), undefined);
      });

      test('the same application again is the same case, another body a conflict that stores nothing', async () => {
        const applicationNo = fresh('A');
        const record = await accepted({ applicationNo });
        const again = await store.accept(newCase({ applicationNo }));
        assert.deepEqual(again, { record, seenBefore: true, conflict: false });
        const other = await store.accept(newCase({ applicationNo, bodyHash: 'b'.repeat(64) }));
        assert.deepEqual(other, { record, seenBefore: false, conflict: true });
        assert.equal((await store.cases({ applicationNo, limit: 10 })).rows.length, 1);
        const found = await store.byApplication('window-demo', applicationNo);
        assert.deepEqual(found, { record, bodyHash: 'a'.repeat(64) });
        assert.equal(await store.byApplication('terminal-demo', applicationNo), undefined);
      });

      test('the same application many times in one turn is one case', async () => {
        const applicationNo = fresh('A');
        const hashes = ['a', 'a', 'b', 'a'].map((letter) => letter.repeat(64));
        const all = await Promise.all(
          hashes.map((bodyHash) => store.accept(newCase({ applicationNo, bodyHash, acceptedAt: clock.now() }))),
        );
        assert.equal(new Set(all.map(({ record }) => record.caseNo)).size, 1);
        assert.deepEqual(
          all.map(({ seenBefore, conflict }) => [seenBefore, conflict]),
          [
            [false, false],
            [true, false],
            [false, true],
            [true, false],
          ],
        );
        assert.deepEqual(await kinds(all[0]?.record.caseNo ?? ''), ['accepted', 'sent']);
        const stored = await store.envelopes({ caseNo: all[0]?.record.caseNo ?? '', limit: 10 });
        assert.equal(stored.rows.length, 1);
      });

      test('another caller may use the same application number', async () => {
        const applicationNo = fresh('A');
        const mine = await accepted({ applicationNo });
        const theirs = await accepted({ applicationNo, appKey: 'terminal-demo' });
        assert.notEqual(mine.caseNo, theirs.caseNo);
      });

      test('numbers are unique over many that arrive together, with any number of envelopes', async () => {
        const all = await Promise.all(
          Array.from({ length: 300 }, (_, i) =>
            accepted({ sends: Array.from({ length: i % 4 }, (_, j) => [`W${j + 1}`, 'many-lane'] as const) }),
          ),
        );
        assert.equal(new Set(all.map(({ caseNo }) => caseNo)).size, 300);
        for (const [i, { caseNo, messages }] of all.entries()) {
          assert.equal(messages, i % 4);
          assert.equal((await store.envelopes({ caseNo, limit: 10 })).rows.length, i % 4);
        }
      });

      test('one that fails among many that arrive together harms nobody', async () => {
        const bad = fresh('A');
        const good = Array.from({ length: 20 }, () => fresh('A'));
        const failing = { ...newCase({ applicationNo: bad }), open: () => Promise.reject(new Error('no route')) };
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const [refused, broken, ...rest] = await Promise.allSettled([
          store.accept(failing),
          store.changed(caseNo, async () => {
            throw new Error('no such item');
          }),
          ...good.map((applicationNo) => accepted({ applicationNo })),
        ]);
        assert.ok(refused?.status === 'rejected' && refused.reason.message === 'no route');
        assert.ok(broken?.status === 'rejected' && broken.reason.message === 'no such item');
        assert.ok(rest.every(({ status }) => status === 'fulfilled'));
        assert.equal(await store.byApplication('window-demo', bad), undefined);
        for (const applicationNo of good) {
          assert.equal((await store.cases({ applicationNo, limit: 10 })).rows.length, 1, 'stored once');
        }
      });

      test('an advance that never ends is given up in time; other cases never wait for it, and its own goes on after it', async () => {
        const { caseNo } = await accepted();
        let began = 0;
        const stuck = store.changed(caseNo, () => {
          began += 1;
          return new Promise(() => {});
        });
        const refused = assert.rejects(stuck, /nothing of it was written/);
        const behind = store.changed(caseNo, async () => change({ events: [event('told')] }));
        while (began === 0) await new Promise(setImmediate);
        await accepted({ applicationNo: fresh('A') });
        clock.move(MINUTE);
        await Promise.all([refused, behind]);
        assert.equal(began, 1);
        assert.deepEqual(await kinds(caseNo), ['accepted', 'sent', 'told']);
      });

      test('what would break the store is rejected alone, and leaves nothing', async () => {
        const record = await accepted();
        const bad = fresh('A');
        const good = fresh('A');
        const twice = newCase({ applicationNo: bad, outbox: () => [envelope(record.caseNo, '01', 'tea-office')] });
        const [one, two] = await Promise.allSettled([store.accept(twice), accepted({ applicationNo: good })]);
        assert.deepEqual([one.status, two.status], ['rejected', 'fulfilled']);
        assert.equal(await store.byApplication('window-demo', bad), undefined);
        assert.notEqual(await store.byApplication('window-demo', good), undefined);
      });

      test('too many waiting are told to come again', async () => {
        const all = await Promise.allSettled(Array.from({ length: 5000 }, () => store.changed('nobody', nothing)));
        const turnedAway = all.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
        assert.ok(turnedAway.length > 0 && turnedAway.length < 5000);
        assert.ok(turnedAway.every((one) => unfit(503)(one.reason) && one.reason.retryAfter > 0));
        await accepted();
      });

      test('what arrives together shares one commit', async () => {
        woken.length = 0;
        await Promise.all(Array.from({ length: 50 }, () => accepted()));
        assert.equal(woken.length, 1);
      });

      test('the wake-up names the lanes that got work, after the commit', async () => {
        const lane = fresh('lane');
        woken.length = 0;
        await accepted({ parties: [lane] });
        assert.deepEqual(woken, [[lane]]);
      });
    });

    describe('lease', () => {
      test('gives the oldest first, at most `limit` in flight over all rounds', async () => {
        const lane = fresh('lane');
        const cases = await Promise.all(Array.from({ length: 5 }, () => accepted({ parties: [lane] })));
        const expected = cases.map(({ caseNo }) => `${caseNo}-01`);
        const first = await leased(lane, 3);
        assert.deepEqual(ids(first), expected.slice(0, 3));
        assert.deepEqual(await leased(lane, 3), []);
        await store.delivered(first[0] as Lease, receipt(), nothing, null);
        assert.deepEqual(ids(await leased(lane, 3)), expected.slice(3, 4));
        assert.deepEqual(ids(await leased(lane, 10)), expected.slice(4));
        assert.equal(first[0]?.attempts, 0);
        assert.equal(first[0]?.inDoubt, false);
        assert.equal(first[0]?.until, clock.now() + MINUTE);
      });

      test('an older one that was postponed goes before a younger one once it is due', async () => {
        const lane = fresh('lane');
        const old = await accepted({ parties: [lane] });
        const when = { notBefore: clock.now() + 100, tried: true, doubtedAt: null };
        await store.postponed(await only(lane), fault('unreachable'), when, nothing);
        const young = await accepted({ parties: [lane] });
        clock.move(100);
        assert.deepEqual(ids(await leased(lane)), [`${old.caseNo}-01`, `${young.caseNo}-01`]);
      });

      test('rounds at the same time never give one envelope twice', async () => {
        const lane = fresh('lane');
        await Promise.all(Array.from({ length: 20 }, () => accepted({ parties: [lane] })));
        const rounds = await Promise.all(Array.from({ length: 6 }, () => leased(lane, 4)));
        assert.equal(rounds.flat().length, 4);
      });

      for (const end of ['delivered', 'refused', 'cancelled'] as const) {
        test(`a later envelope of the same case and lane waits until the earlier is ${end}`, async () => {
          const lane = fresh('lane');
          const sends = ['W1', 'W2'].map((suffix) => [suffix, lane] as const);
          const { caseNo } = await accepted({ sends });
          const first = await only(lane);
          assert.equal(first.envelope.id, `${caseNo}-W1`);
          assert.deepEqual(await leased(lane), [], 'leased');
          const when = { notBefore: clock.now() + 1000, tried: true, doubtedAt: null };
          await store.postponed(first, fault('unreachable'), when, nothing);
          assert.deepEqual(await leased(lane), [], 'asleep');
          clock.move(1000);
          const again = await only(lane);
          assert.equal(again.envelope.id, `${caseNo}-W1`);
          if (end === 'delivered') await store.delivered(again, receipt(), nothing, null);
          if (end === 'refused') await store.refused(again, fault('refused'), nothing);
          if (end === 'cancelled') {
            await store.parked(again, fault('malformed'), true, nothing);
            assert.deepEqual(await leased(lane), [], 'parked');
            assert.equal(await store.cancelled(`${caseNo}-W1`, () => nothing), 'cancelled');
          }
          assert.equal(await stateOf(`${caseNo}-W1`), end);
          assert.deepEqual(ids(await leased(lane)), [`${caseNo}-W2`]);
        });
      }

      test('one case keeps nobody else back, nor its own other lanes', async () => {
        const lane = fresh('lane');
        const other = fresh('lane');
        const sends = [
          ['01', lane],
          ['02', other],
        ] as const;
        await accepted({ sends, parties: [lane, other] });
        await store.parked(await only(lane), fault('malformed'), true, nothing);
        const next = await accepted({ parties: [lane] });
        assert.deepEqual(ids(await leased(lane)), [`${next.caseNo}-01`]);
        assert.equal((await leased(other)).length, 1);
      });

      test('a lease that ran out is given again, in doubt, under a higher fence; the overtaken one writes nothing', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const late = await only(lane);
        clock.move(MINUTE - 1);
        assert.deepEqual(await leased(lane), [], 'not yet');
        clock.move(1);
        const held = await only(lane);
        assert.equal(held.inDoubt, true);
        assert.ok(held.fence > late.fence);
        const before = [await store.caseOf(caseNo), await store.envelope(`${caseNo}-01`), await kinds(caseNo)];
        const never = async () => change({ state: 'DECIDED', events: [event('decided')] });
        const when = { notBefore: 0, tried: true, doubtedAt: null };
        for (const word of [
          () => store.delivered(late, receipt('N'), never, null),
          () => store.refused(late, fault('refused'), never),
          () => store.postponed(late, fault('busy'), when, never),
          () => store.parked(late, fault('malformed'), true, never),
          () => store.returned(late),
        ]) {
          assert.equal(await word(), 'overtaken');
        }
        assert.deepEqual(
          [await store.caseOf(caseNo), await store.envelope(`${caseNo}-01`), await kinds(caseNo)],
          before,
        );
        assert.equal(await store.delivered(held, receipt(), nothing, null), 'recorded');
        assert.equal(await store.delivered(held, receipt(), nothing, null), 'overtaken', 'a word counts once');
      });

      test('a lease to be begun is given to whoever names it first, whole, and to nobody a second time', async () => {
        const lane = fresh('lane');
        await Promise.all(Array.from({ length: 3 }, () => accepted({ parties: [lane] })));
        const request = { lanes: [{ lane, limit: 3 }], forMs: MINUTE, now: clock.now(), toBegin: true };
        const leases = await store.lease(request);
        const names = leases.map(({ envelope: { id }, fence }) => ({ lane, id, fence }));
        const [first = assert.fail(), second = assert.fail(), third = assert.fail()] = names;
        const all = await Promise.all([first, second, first, second].map((name) => store.begin(name)));
        assert.deepEqual(all, [leases[0], leases[1], undefined, undefined]);
        assert.equal(await store.begin(first), undefined);
        clock.move(MINUTE);
        assert.equal(await store.begin(third), undefined, 'its time is over');
      });

      test('a lease is begun by nothing but its own name: of its lane, its envelope and its fence', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const request = { lanes: [{ lane, limit: 1 }], forMs: MINUTE, now: clock.now(), toBegin: true };
        const [lease = assert.fail()] = await store.lease(request);
        const { fence, envelope } = lease;
        const { id } = envelope;
        const others = [
          { lane, id, fence: fence + 1 },
          { lane, id, fence: fence - 1 },
          { lane, id: `${caseNo}-02`, fence },
          { lane: fresh('lane'), id, fence },
          { lane: '', id: '', fence: 0 },
          { lane, id: `${id}' or '1' = '1`, fence },
        ];
        // With the true one among them: what others name spoils it for nobody.
        const got = await Promise.all([...others, { lane, id, fence }].map((name) => store.begin(name)));
        assert.deepEqual(got, [...others.map(() => undefined), lease]);
        await store.returned(lease);
        assert.equal(await store.begin({ lane, id, fence }), undefined, 'it was given back');
      });

      test('a lease that was not given to be begun cannot be: whoever holds it may be sending', async () => {
        const lane = fresh('lane');
        await accepted({ parties: [lane] });
        const { envelope, fence } = await only(lane);
        assert.equal(await store.begin({ lane, id: envelope.id, fence }), undefined);
      });

      test('a lease that ran out and that nobody began puts nothing in doubt; a doubt from before stays as old as it is', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const toBegin = async (): Promise<Lease> => {
          const request = { lanes: [{ lane, limit: 1 }], forMs: MINUTE, now: clock.now(), toBegin: true };
          return (await store.lease(request))[0] ?? assert.fail('nothing to lease');
        };
        const first = await toBegin();
        clock.move(MINUTE);
        await leased(fresh('lane'));
        const view = await store.envelope(`${caseNo}-01`);
        assert.deepEqual([view?.state, view?.inDoubt, view?.firstSentAt], ['waiting', false, null]);
        assert.equal(await store.begin({ lane, id: first.envelope.id, fence: first.fence }), undefined);
        const second = await toBegin();
        assert.deepEqual([second.inDoubt, second.firstSentAt, second.fence], [false, clock.now(), first.fence + 1]);
        assert.deepEqual(await store.begin({ lane, id: second.envelope.id, fence: second.fence }), second);
        const doubtedAt = clock.now();
        await store.postponed(second, fault('inDoubt'), { notBefore: 0, tried: true, doubtedAt }, nothing);
        const third = await toBegin();
        assert.deepEqual([third.inDoubt, third.doubtedAt], [true, doubtedAt]);
        clock.move(MINUTE);
        const fourth = await toBegin();
        assert.deepEqual([fourth.inDoubt, fourth.doubtedAt], [true, doubtedAt]);
        await store.begin({ lane, id: fourth.envelope.id, fence: fourth.fence });
        clock.move(MINUTE);
        assert.equal((await only(lane)).doubtedAt, clock.now(), 'this one was begun');
      });

      test('a late word counts while nobody else was given the envelope', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const late = await only(lane);
        clock.move(2 * MINUTE);
        await leased(fresh('lane'));
        assert.equal(await store.delivered(late, receipt(), nothing, null), 'recorded');
        assert.equal(await stateOf(`${caseNo}-01`), 'delivered');
        assert.deepEqual(await leased(lane), []);
      });

      test('what is returned unsent is in doubt only when it was before', async () => {
        const lane = fresh('lane');
        await accepted({ parties: [lane] });
        assert.equal(await store.returned(await only(lane)), 'recorded');
        const again = await only(lane);
        assert.equal(again.inDoubt, false);
        assert.equal(again.attempts, 0);
        const when = { notBefore: clock.now(), tried: true, doubtedAt: clock.now() };
        await store.postponed(again, fault('inDoubt'), when, nothing);
        const doubtful = await only(lane);
        assert.deepEqual([doubtful.inDoubt, doubtful.attempts], [true, 1]);
        await store.returned(doubtful);
        assert.equal((await only(lane)).inDoubt, true);
      });

      test('a lease that ran out and is returned unsent after all leaves no doubt', async () => {
        const lane = fresh('lane');
        await accepted({ parties: [lane] });
        const lease = await only(lane);
        clock.move(2 * MINUTE);
        await leased(fresh('lane'));
        assert.equal(await store.returned(lease), 'recorded');
        assert.equal((await only(lane)).inDoubt, false);
      });

      test('parked for something else, an envelope keeps the doubt it had', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const when = { notBefore: clock.now(), tried: true, doubtedAt: clock.now() };
        await store.postponed(await only(lane), fault('inDoubt'), when, nothing);
        await store.parked(await only(lane), fault('malformed'), true, nothing);
        await store.released(`${caseNo}-01`, () => nothing);
        assert.equal((await only(lane)).inDoubt, true);
      });

      test('due tells what time will make work of, and null where nothing waits', async () => {
        const alone = await storageFor();
        const own = await alone.open({ clock });
        try {
          assert.deepEqual(await own.due(), { envelopes: null, ready: false, answers: null, kept: false, owed: null });
          await own.accept(newCase({ applicationNo: 'A', parties: ['lane'] }));
          assert.equal((await own.due()).ready, true);
          const at = clock.now();
          const [lease] = await own.lease({ lanes: [{ lane: 'lane', limit: 1 }], forMs: 500, now: at });
          assert.deepEqual(await own.due(), {
            envelopes: at + 500,
            ready: false,
            answers: null,
            kept: false,
            owed: null,
          });
          const when = { notBefore: at + 300, tried: false, doubtedAt: null };
          await own.postponed(lease as Lease, fault('busy'), when, nothing);
          assert.equal((await own.due()).envelopes, at + 300);
          clock.move(300);
          const [again] = await own.lease({ lanes: [{ lane: 'lane', limit: 1 }], forMs: 500, now: clock.now() });
          await own.delivered(again as Lease, receipt(), nothing, at + 9000);
          assert.deepEqual(await own.due(), {
            envelopes: null,
            ready: false,
            answers: at + 9000,
            kept: false,
            owed: null,
          });
          await own.collected(message('lane', { number: 'nobody' }, 'k1'), () => nothing);
          assert.equal((await own.due()).kept, true);
        } finally {
          await own.close();
          await alone.discard();
        }
      });

      test('a sleeper of another lane that time has woken is told to its relay', async () => {
        const lane = fresh('lane');
        await accepted({ parties: [lane] });
        const when = { notBefore: clock.now() + 50, tried: false, doubtedAt: null };
        await store.postponed(await only(lane), fault('busy'), when, nothing);
        clock.move(50);
        woken.length = 0;
        await leased(fresh('lane'));
        assert.ok(woken.flat().includes(lane));
      });
    });

    describe('outcomes', () => {
      test('a delivery, its step, its events and the next envelopes are one transaction', async () => {
        const lane = fresh('lane');
        const next = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane, next] });
        const lease = await only(lane);
        const advance = async (record: Parameters<typeof stepIn>[0]) => {
          assert.equal(record.steps[0]?.state, 'SENT', 'the case as it is now');
          return change({
            state: 'HANDLING',
            steps: [{ ...stepIn(record, '01', 'DONE'), number: 'N7', result: { fee: '1.00' } }],
            events: [event('delivered'), event('answered')],
            outbox: [envelope(caseNo, '02', next), envelope(caseNo, 'W1', 'hall'), envelope(caseNo, 'W2', 'hall')],
          });
        };
        assert.equal(await store.delivered(lease, receipt('N7'), advance, null), 'recorded');
        const record = await store.caseOf(caseNo);
        assert.deepEqual([record?.state, record?.messages], ['HANDLING', 2]);
        assert.deepEqual([record?.steps[0]?.state, record?.steps[0]?.result], ['DONE', { fee: '1.00' }]);
        assert.deepEqual(await kinds(caseNo), ['accepted', 'sent', 'delivered', 'answered']);
        const view = await store.envelope(`${caseNo}-01`);
        assert.deepEqual([view?.state, view?.number, view?.fault], ['delivered', 'N7', null]);
        assert.deepEqual(ids(await leased(next)), [`${caseNo}-02`]);
      });

      test('an advance that throws rolls its own happening back, and no other', async () => {
        const lane = fresh('lane');
        const cases = await Promise.all(Array.from({ length: 4 }, () => accepted({ parties: [lane] })));
        const leases = await leased(lane);
        const words = await Promise.allSettled(
          leases.map((lease, i) =>
            store.delivered(
              lease,
              receipt(`N${i}`),
              async () => {
                if (i === 2) throw new Error('no such item');
                return change({ events: [event('delivered')] });
              },
              null,
            ),
          ),
        );
        assert.deepEqual(
          words.map(({ status }) => status),
          ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
        );
        for (const [i, { caseNo }] of cases.entries()) {
          assert.equal(await stateOf(`${caseNo}-01`), i === 2 ? 'leased' : 'delivered');
          assert.deepEqual(await kinds(caseNo), ['accepted', 'sent', ...(i === 2 ? [] : ['delivered'])], 'once');
        }
        assert.equal(await store.delivered(leases[2] as Lease, receipt(), nothing, null), 'recorded');
      });

      test('many outcomes of one case in one turn all count, one after the other', async () => {
        const lane = fresh('lane');
        const lanes = Array.from({ length: 6 }, (_, i) => `${lane}-${i}`);
        const { caseNo } = await accepted({ sends: lanes.map((to, i) => [`0${i + 1}`, to] as const) });
        const leases = (await Promise.all(lanes.map((to) => leased(to)))).flat();
        await Promise.all(
          leases.map((lease, i) =>
            store.delivered(
              lease,
              receipt(),
              async (record) =>
                change({
                  events: [event('told')],
                  outbox: [envelope(caseNo, `W${record.messages + 1}`, `${lane}-hall`, i)],
                }),
              null,
            ),
          ),
        );
        assert.equal((await store.caseOf(caseNo))?.messages, 6);
        const told: string[] = [];
        for (let i = 0; i < 6; i++) {
          const lease = await only(`${lane}-hall`);
          told.push(lease.envelope.id);
          await store.delivered(lease, receipt(), nothing, null);
        }
        assert.deepEqual(
          told,
          [1, 2, 3, 4, 5, 6].map((n) => `${caseNo}-W${n}`),
        );
      });

      test('a refusal ends the envelope with its reason', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        await store.refused(await only(lane), fault('refused'), nothing);
        const view = await store.envelope(`${caseNo}-01`);
        assert.deepEqual([view?.state, view?.fault, view?.reason], ['refused', 'refused', reason('refused')]);
        clock.move(2 * MINUTE);
        assert.deepEqual(await leased(lane), []);
      });

      test('an envelope that may not go out is stored parked', async () => {
        const lane = fresh('lane');
        const parked = { kind: 'malformed' as const, reason: reason('contractBroken') };
        const { caseNo } = await accepted({
          outbox: (no) => [{ ...envelope(no, '01', lane), parked }, envelope(no, 'W1', lane)],
        });
        const view = await store.envelope(`${caseNo}-01`);
        assert.deepEqual([view?.state, view?.fault, view?.reason], ['parked', 'malformed', parked.reason]);
        assert.deepEqual(await leased(lane), [], 'and those behind it wait');
        assert.deepEqual(
          toldParked.at(-1),
          { id: `${caseNo}-01`, party: lane, reason: parked.reason },
          'somebody is told',
        );
        const remade = { id: `${caseNo}-01`, body: { of: 'made anew' } };
        await store.released(`${caseNo}-01`, () => async () => change({ remade }));
        assert.deepEqual((await only(lane)).envelope.body, remade.body);
      });
    });

    describe('answers', () => {
      const schedule = [100, 200, 1000];

      test('what is due is asked by schedule, until its step has ended', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const start = clock.now();
        await store.delivered(await only(lane), receipt('N1'), nothing, start + 100);
        const asked: number[] = [];
        for (let i = 0; i < 60; i++) {
          const due = await store.awaiting({ party: lane, limit: 5, now: clock.now(), scheduleMs: schedule });
          if (due.length > 0) {
            asked.push(clock.now() - start);
            assert.deepEqual(due[0], { envelope: due[0]?.envelope, number: 'N1', deliveredAt: start });
            assert.equal(due[0]?.envelope.id, `${caseNo}-01`);
          }
          clock.move(50);
        }
        assert.deepEqual(asked, [100, 300, 1300, 2300]);
        await store.collected(message(lane, { number: 'N1' }, 'r1'), finish);
        clock.move(10_000);
        assert.deepEqual(await store.awaiting({ party: lane, limit: 5, now: clock.now(), scheduleMs: schedule }), []);
      });

      test('two nodes that ask at once do not get the same answer to ask for', async () => {
        const lane = fresh('lane');
        await Promise.all(Array.from({ length: 6 }, () => accepted({ parties: [lane] })));
        for (const lease of await leased(lane)) await store.delivered(lease, receipt(), nothing, clock.now());
        const ask = { party: lane, limit: 4, now: clock.now(), scheduleMs: schedule };
        const [one, two] = await Promise.all([store.awaiting(ask), store.awaiting(ask)]);
        assert.deepEqual([one.length, two.length], [4, 2]);
        assert.equal(new Set([...one, ...two].map((due) => due.envelope.id)).size, 6);
      });

      test('an answer that overtakes the receipt leaves nothing due', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const lease = await only(lane);
        assert.equal(await store.collected(message(lane, { key: `${caseNo}-01` }, 'early'), finish), 'applied');
        assert.equal(await store.delivered(lease, receipt('N2'), nothing, clock.now()), 'recorded');
        assert.deepEqual(await store.awaiting({ party: lane, limit: 5, now: clock.now() + 1, scheduleMs: [1] }), []);
        assert.equal((await store.envelope(`${caseNo}-01`))?.number, 'N2');
      });

      test('a message counts once, by key or by number', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        await store.delivered(await only(lane), receipt('N3'), nothing, null);
        const words = [message(lane, { number: 'N3' }, 'm1'), message(lane, { key: `${caseNo}-01` }, 'm2')];
        const note = () => async () => change({ events: [event('answered')] });
        for (const word of words) {
          assert.equal(await store.collected(word, note), 'applied');
          assert.equal(await store.collected(word, note), 'seenBefore');
        }
        assert.deepEqual(await Promise.all(words.map((word) => store.collected(word, note))), [
          'seenBefore',
          'seenBefore',
        ]);
        assert.deepEqual(await kinds(caseNo), ['accepted', 'sent', 'answered', 'answered']);
      });

      test('the same message twice in one turn counts once', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const word = message(lane, { key: `${caseNo}-01` }, 'twice');
        const both = await Promise.all([store.collected(word, finish), store.collected(word, finish)]);
        assert.deepEqual(both.toSorted(), ['applied', 'seenBefore']);
      });

      test('a message that cannot be applied is not taken for seen', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const word = message(lane, { key: `${caseNo}-01` }, 'again');
        await assert.rejects(
          store.collected(word, () => () => Promise.reject(new Error('no such item'))),
          /no such item/,
        );
        assert.equal(await store.collected(word, finish), 'applied');
      });

      test('a message before our own commit is kept, and matched afterwards', async () => {
        const lane = fresh('lane');
        const word = message(lane, { number: 'N9' }, 'before');
        const { caseNo } = await accepted({ parties: [lane] });
        const lease = await only(lane);
        assert.equal(await store.collected(word, finish), 'unmatched');
        assert.equal(await store.collected(word, finish), 'unmatched', 'and once');
        const [kept, ...more] = (await store.unmatched({ party: lane, limit: 10 })).rows;
        assert.deepEqual([kept, more], [{ ...word, id: kept?.id, receivedAt: clock.now(), problem: null }, []]);
        const about = { party: lane, key: lease.envelope.id, number: 'N9' };
        assert.equal(await store.rematch(about, finish), 0);
        await store.delivered(lease, receipt('N9'), nothing, clock.now());
        assert.equal(await store.rematch({ ...about, party: fresh('lane') }, finish), 0, 'another party');
        assert.equal(await store.rematch({ ...about, number: 'N8' }, finish), 0, 'another number');
        assert.equal(await store.rematch(about, finish), 1);
        assert.deepEqual((await store.unmatched({ party: lane, limit: 10 })).rows, []);
        assert.equal((await store.caseOf(caseNo))?.steps[0]?.state, 'DONE');
        assert.equal(await store.collected(word, finish), 'seenBefore');
      });

      test('a message that is kept while its envelope is written down as delivered finds it all the same', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const lease = await only(lane);
        // Whoever delivers looks for messages before this one is kept, and this one for its envelope before it is delivered.
        const [word, , found] = await Promise.all([
          store.collected(message(lane, { number: 'N10' }, 'meanwhile'), finish),
          store.delivered(lease, receipt('N10'), nothing, null),
          store.rematch({ party: lane, key: lease.envelope.id, number: 'N10' }, finish),
        ]);
        const later = await store.rematch({ party: lane, key: lease.envelope.id, number: 'N10' }, finish);
        assert.equal((word === 'applied' ? 1 : 0) + found + later, 1);
        assert.equal((await store.caseOf(caseNo))?.steps[0]?.state, 'DONE');
      });

      test('what is kept is tried again a page at a time, and past one that cannot be applied, which says why', async () => {
        const lane = fresh('lane');
        const cases = await Promise.all(Array.from({ length: 150 }, () => accepted({ parties: [lane] })));
        const words = cases.map(({ caseNo }) => message(lane, { number: `N-${caseNo}` }, caseNo));
        assert.ok(
          (await Promise.all(words.map((word) => store.collected(word, finish)))).every((w) => w === 'unmatched'),
        );
        for (const lease of await leased(lane, 150)) {
          await store.delivered(lease, receipt(`N-${lease.envelope.caseNo}`), nothing, null);
        }
        const poisoned = cases[3]?.caseNo;
        const tryAll = async (advance: Parameters<Store['retryKept']>[1]) => {
          const pages: number[] = [];
          for (let after: KeptMessage | null = null; ; ) {
            const { applied, next } = await store.retryKept(after, advance);
            pages.push(applied);
            if (next === null) return pages;
            after = next;
          }
        };
        const pages = await tryAll((of) =>
          of.caseNo === poisoned ? () => Promise.reject(fault('malformed')) : finish(),
        );
        assert.equal(
          pages.reduce((sum, applied) => sum + applied, 0),
          149,
        );
        assert.ok(pages.length > 1 && pages.every((applied) => applied <= 100), `${pages}`);
        const { rows } = await store.unmatched({ party: lane, limit: 200 });
        assert.deepEqual(
          rows.map(({ dedupe, problem }) => [dedupe, problem]),
          [[poisoned, reason('malformed')]],
        );
        assert.equal(Math.max(...(await tryAll(finish))), 1);
        assert.deepEqual((await store.unmatched({ party: lane, limit: 200 })).rows, []);
      });

      test('what is kept is listed in pages, each once, and one by its id', async () => {
        const lane = fresh('lane');
        const sent = ['一', '二', '三/..', 'x'.repeat(300), '五'];
        for (const [i, dedupe] of sent.entries()) {
          await store.collected(
            message(lane, i === 2 ? { key: 'nothing-01' } : { number: `none-${i}` }, dedupe),
            finish,
          );
          if (i % 2 === 0) clock.move(1);
        }
        const ids: string[] = [];
        const seen: string[] = [];
        for (let cursor: string | undefined; ; ) {
          const page = await store.unmatched({ party: lane, limit: 2, ...(cursor === undefined ? {} : { cursor }) });
          for (const { id, dedupe } of page.rows) {
            ids.push(id);
            seen.push(dedupe);
          }
          if (page.next === null) break;
          cursor = page.next;
        }
        assert.deepEqual(seen.toSorted(), sent.toSorted());
        for (const [i, id] of ids.entries()) {
          assert.match(id, /^[0-9a-f]{32}$/);
          const one = await store.message(id);
          assert.ok(one?.state === 'unmatched');
          assert.equal(one.message.dedupe, seen[i]);
        }
        assert.equal(await store.message('0'.repeat(32)), undefined);
        for (const cursor of ['x', '1-2', `1-${'0'.repeat(33)}`, ''])
          await assert.rejects(store.unmatched({ party: lane, limit: 2, cursor }), unfit(400));
      });

      async function strayOf(lane: Party, about: Message['about'] = { number: 'nobody knows' }) {
        const word = message(lane, about, fresh('stray'));
        assert.equal(await store.collected(word, finish), 'unmatched');
        const { rows } = await store.unmatched({ party: lane, limit: 200 });
        const { id } = rows.find(({ dedupe }) => dedupe === word.dedupe) ?? assert.fail('it is not kept');
        return { word, id };
      }
      const by = 'operator-demo';

      test('a person attaches a message to its envelope, once, and as if it had been matched', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const envelopeId = `${caseNo}-01`;
        await store.parked(await only(lane), fault('inDoubt'), true, nothing);
        const { word, id } = await strayOf(lane);
        const to = { envelopeId, by, reason: 'by telephone' };
        const other = await accepted({ parties: [fresh('lane')] });
        assert.equal(await store.attached(id, { ...to, envelopeId: `${other.caseNo}-01` }, finish), undefined);
        assert.equal(await store.attached(id, { ...to, envelopeId: 'nothing' }, finish), undefined);
        assert.equal(await store.attached('0'.repeat(32), to, finish), undefined);
        const told: Message[] = [];
        const both = await Promise.all(
          [1, 2].map(() =>
            store.attached(id, to, (_, said) => {
              told.push(said);
              return finish();
            }),
          ),
        );
        assert.deepEqual(both.toSorted(), ['attached', 'ended']);
        assert.deepEqual(told[0], word);
        assert.equal((await store.caseOf(caseNo))?.steps[0]?.state, 'DONE');
        const view = await store.envelope(envelopeId);
        assert.deepEqual([view?.state, view?.inDoubt, view?.number], ['delivered', false, 'nobody knows']);
        assert.deepEqual(await store.message(id), { state: 'attached', from: lane, envelopeId });
        assert.equal(await store.collected(word, finish), 'seenBefore');
        assert.equal(await store.discarded(id, by, 'no use'), 'ended');
        assert.deepEqual(await kinds(caseNo), ['accepted', 'sent', 'answered']);
      });

      test('attached to what was delivered under another number: that number stays', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        await store.delivered(await only(lane), receipt('theirs'), nothing, null);
        const { id } = await strayOf(lane);
        assert.equal(await store.attached(id, { envelopeId: `${caseNo}-01`, by, reason: 'r' }, finish), 'attached');
        assert.equal((await store.envelope(`${caseNo}-01`))?.number, 'theirs');
      });

      test('a person discards a message: it is seen before from then on, and cannot be attached', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const { word, id } = await strayOf(lane);
        assert.equal(await store.discarded(id, by, 'no use'), 'discarded');
        assert.equal(await store.discarded(id, by, 'no use'), 'ended');
        assert.equal(await store.discarded('0'.repeat(32), by, 'no use'), undefined);
        assert.deepEqual(await store.message(id), { state: 'discarded', from: lane });
        assert.equal(await store.attached(id, { envelopeId: `${caseNo}-01`, by, reason: 'r' }, finish), 'ended');
        assert.equal(await store.collected(word, finish), 'seenBefore');
        assert.deepEqual((await store.unmatched({ party: lane, limit: 9 })).rows, []);
      });

      test('one that was kept and then found its envelope is of no more use to a person', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const { id } = await strayOf(lane, { number: 'N11' });
        await store.delivered(await only(lane), receipt('N11'), nothing, null);
        assert.equal(await store.rematch({ party: lane, key: `${caseNo}-01`, number: 'N11' }, finish), 1);
        assert.deepEqual(await store.message(id), { state: 'applied', from: lane });
        assert.equal(await store.discarded(id, by, 'no use'), 'ended');
      });

      test('messages end after their time, the oldest first, a batch at a time; the same again is a new one', async () => {
        const [lane, other] = [fresh('lane'), fresh('lane')];
        const { word } = await strayOf(lane);
        await Promise.all(
          Array.from({ length: 600 }, (_, i) =>
            store.collected(message(lane, { number: `no-${i}` }, `no-${i}`), finish),
          ),
        );
        clock.move(1);
        const before = clock.now();
        await strayOf(other);
        const ended: number[] = [];
        for (;;) {
          const counts = await store.endMessages(before);
          assert.equal(counts.get(other), undefined);
          if (counts.size === 0) break;
          ended.push([...counts.values()].reduce((sum, n) => sum + n, 0));
        }
        assert.ok(ended.length > 1 && ended.every((n) => n <= 500), `${ended}`);
        assert.deepEqual((await store.unmatched({ party: lane, limit: 9 })).rows, []);
        assert.equal((await store.unmatched({ party: other, limit: 9 })).rows.length, 1);
        assert.equal(await store.collected(word, finish), 'unmatched');
      });

      test('names of messages are forgotten when nobody repeats them any more, and no message that is kept', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const used = message(lane, { key: `${caseNo}-01` }, 'used');
        assert.equal(await store.collected(used, finish), 'applied');
        await strayOf(lane);
        clock.move(1);
        while ((await store.forgetSeen(clock.now())) > 0);
        assert.equal(await store.forgetSeen(clock.now()), 0);
        assert.equal((await store.unmatched({ party: lane, limit: 9 })).rows.length, 1);
        assert.equal(await store.collected(used, () => nothing), 'applied', 'it is a new one');
        assert.equal(await store.forgetSeen(clock.now()), 0, 'which is young');
      });

      test('a party with too many messages that match nothing is told to come again', async () => {
        const lane = fresh('lane');
        const words = Array.from({ length: 1001 }, (_, i) => message(lane, { number: `none-${i}` }, `none-${i}`));
        const kept = await Promise.allSettled(words.map((word) => store.collected(word, finish)));
        const turnedAway = kept.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
        assert.equal(turnedAway.length, 1);
        assert.ok(unfit(503)(turnedAway[0]?.reason));
        assert.equal(await store.collected(words[0] as Message, finish), 'unmatched', 'one already kept is no other');
        assert.equal(await store.collected(message(fresh('lane'), { number: 'x' }, 'x'), finish), 'unmatched');
      });

      test('a party speaks only for what was sent to it', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        await store.delivered(await only(lane), receipt('N4'), nothing, null);
        const stranger = fresh('lane');
        assert.equal(await store.collected(message(stranger, { key: `${caseNo}-01` }, 's1'), finish), 'unmatched');
        assert.equal(await store.collected(message(stranger, { number: 'N4' }, 's2'), finish), 'unmatched');
      });

      test('a parked envelope about which the party has decided is settled, and lets those behind it go', async () => {
        const lane = fresh('lane');
        const sends = ['01', 'W1'].map((suffix) => [suffix, lane] as const);
        const { caseNo } = await accepted({ parties: [lane], sends });
        await store.parked(await only(lane), fault('inDoubt'), true, nothing);
        await store.collected(message(lane, { key: `${caseNo}-01` }, 'after all'), finish);
        assert.equal(await stateOf(`${caseNo}-01`), 'delivered');
        assert.deepEqual(ids(await leased(lane)), [`${caseNo}-W1`]);
      });
    });

    describe('the desk', () => {
      test('a paused lane and a held case stand still, over a restart too', async () => {
        const lane = fresh('lane');
        const other = fresh('lane');
        await accepted({ parties: [lane] });
        const held = await accepted({ parties: [other] });
        await store.paused(lane, 'operator-demo', 'moving house');
        assert.equal(await store.held(held.caseNo, HOLD, async () => change({ events: [event('held')] })), true);
        assert.equal(await store.held('nobody', HOLD, nothing), false);
        for (const _ of ['before', 'after']) {
          assert.deepEqual(await leased(lane), []);
          assert.deepEqual(await leased(other), []);
          const state = (await store.lanes()).find((one) => one.lane === lane);
          assert.deepEqual(state?.paused, { by: 'operator-demo', reason: 'moving house', at: clock.now() });
          assert.deepEqual((await store.caseOf(held.caseNo))?.held, HOLD);
          await reopen();
        }
        woken.length = 0;
        await store.resumed(lane, 'operator-demo');
        assert.deepEqual(woken, [[lane]]);
        assert.equal((await leased(lane)).length, 1);
        await store.held(held.caseNo, null, async () => change({ events: [event('resumed')] }));
        assert.equal((await leased(other)).length, 1);
        assert.deepEqual(await kinds(held.caseNo), ['accepted', 'sent', 'held', 'resumed']);
      });

      test('what a held case is sent meanwhile waits as well, and a lease that runs out does not escape', async () => {
        const lane = fresh('lane');
        const later = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        await leased(lane);
        await store.held(caseNo, HOLD, nothing);
        await store.changed(caseNo, async () => change({ outbox: [envelope(caseNo, '02', later)] }));
        clock.move(2 * MINUTE);
        assert.deepEqual([...(await leased(lane)), ...(await leased(later))], []);
        await store.held(caseNo, null, nothing);
        const again = await only(lane);
        assert.equal(again.inDoubt, true);
        assert.equal((await leased(later)).length, 1);
      });

      test('released: goes again, and keeps its doubt and the count of its attempts', async () => {
        const lane = fresh('lane');
        for (const kind of ['inDoubt', 'malformed'] as const) {
          const { caseNo } = await accepted({ parties: [lane] });
          const id = `${caseNo}-01`;
          const when = { notBefore: clock.now(), tried: true, doubtedAt: null };
          await store.postponed(await only(lane), fault('unreachable'), when, nothing);
          await store.parked(await only(lane), fault(kind), true, nothing);
          assert.equal(await stateOf(id), 'parked');
          let told = '';
          const advance = (of: EnvelopeView) => {
            told = of.envelope.id;
            return async () => change({ events: [event('released')] });
          };
          assert.equal(await store.released(id, advance), 'released');
          assert.equal(told, id);
          assert.equal(await store.released(id, advance), 'notParked');
          const lease = await only(lane);
          assert.deepEqual([lease.envelope.id, lease.inDoubt, lease.attempts], [id, kind === 'inDoubt', 2]);
          assert.deepEqual(await kinds(caseNo), ['accepted', 'sent', 'released']);
          await store.delivered(lease, receipt(), nothing, null);
        }
        assert.equal(await store.released('nobody', () => nothing), undefined);
      });

      test('cancelled: only what waits or is parked', async () => {
        const lane = fresh('lane');
        const { caseNo } = await accepted({ parties: [lane] });
        const id = `${caseNo}-01`;
        const lease = await only(lane);
        assert.equal(await store.cancelled(id, () => nothing), 'tooLate');
        await store.returned(lease);
        const advance = () => async () => change({ events: [event('cancelled')] });
        assert.equal(await store.cancelled(id, advance), 'cancelled');
        assert.equal(await store.cancelled(id, advance), 'tooLate');
        assert.equal(await stateOf(id), 'cancelled');
        assert.equal(await store.cancelled('nobody', advance), undefined);
        assert.equal(await store.delivered(lease, receipt(), nothing, null), 'overtaken');
        assert.deepEqual(await kinds(caseNo), ['accepted', 'sent', 'cancelled']);
      });

      test('changed: a correction or a withdrawal, whatever advance makes of it', async () => {
        const { caseNo, submission } = await accepted();
        const decision = { outcome: 'withdrawn' as const, by: null, reason: null, at: 7 };
        const after = await store.changed(caseNo, async () =>
          change({ state: 'WITHDRAWN', decision, submission: { ...submission, form: { house: '演示路 2 号' } } }),
        );
        assert.deepEqual(await store.caseOf(caseNo), after);
        assert.deepEqual([after?.state, after?.decision], ['WITHDRAWN', decision]);
        assert.equal(after?.submission.form.house, '演示路 2 号');
        assert.equal(await store.changed('nobody', nothing), undefined);
      });

      test('changed: a step that will be nobody’s takes what waits of it back, and what is leased as soon as it is not', async () => {
        const [near, far] = [fresh('lane'), fresh('lane')];
        const { caseNo } = await accepted({
          parties: [near, far, far],
          sends: [
            ['01', near],
            ['02', far],
            ['03', far],
          ],
        });
        const lease = await only(far);
        await store.changed(caseNo, async (record) =>
          change({ steps: ['02', '03'].map((no) => stepIn(record, no, 'SKIPPED')) }),
        );
        assert.deepEqual(
          [await stateOf(`${caseNo}-01`), await stateOf(`${caseNo}-02`), await stateOf(`${caseNo}-03`)],
          ['waiting', 'leased', 'cancelled'],
        );
        const when = { notBefore: clock.now(), tried: true, doubtedAt: null };
        assert.equal(await store.postponed(lease, fault('unreachable'), when, nothing), 'recorded');
        assert.equal(await stateOf(`${caseNo}-02`), 'cancelled');
        assert.deepEqual(await leased(far), []);
      });
    });

    describe('reads', () => {
      test('pages by cursor give every row exactly once, in order', async () => {
        const itemCode = fresh('item');
        const party = fresh('lane');
        const cases = [];
        for (let i = 0; i < 11; i++) {
          if (i % 3 === 0) clock.move(1);
          cases.push(await accepted({ itemCode, parties: [party], sends: [['01', party]] }));
        }
        const read: string[] = [];
        for (let cursor: string | undefined; ; ) {
          const page = await store.cases({ itemCode, limit: 4, ...(cursor === undefined ? {} : { cursor }) });
          read.push(...page.rows.map(({ caseNo }) => caseNo));
          // One that comes in while somebody reads moves nothing.
          await accepted({ itemCode: fresh('item') });
          if (page.next === null) break;
          cursor = page.next;
        }
        assert.deepEqual(read, cases.map(({ caseNo }) => caseNo).toReversed());

        const envelopes: string[] = [];
        for (let cursor: string | undefined; ; ) {
          const page = await store.envelopes({ party, limit: 3, ...(cursor === undefined ? {} : { cursor }) });
          envelopes.push(...page.rows.map((view) => view.envelope.id));
          if (page.next === null) break;
          cursor = page.next;
        }
        assert.deepEqual(
          envelopes,
          cases.map(({ caseNo }) => `${caseNo}-01`),
        );

        const { caseNo } = cases[0] as { caseNo: string };
        const one = await store.timeline(caseNo, undefined, 1);
        const two = await store.timeline(caseNo, one.next ?? '', 1);
        assert.deepEqual([one.rows[0]?.kind, two.rows[0]?.kind, two.next], ['accepted', 'sent', null]);
      });

      test('a cursor that is not ours is told so', async () => {
        for (const cursor of ['', 'x', '!!!', Buffer.from('["a",1]').toString('base64url')]) {
          await assert.rejects(store.cases({ cursor, limit: 1 }), unfit(400));
          await assert.rejects(store.envelopes({ cursor, limit: 1 }), unfit(400));
          await assert.rejects(store.timeline('x', cursor, 1), unfit(400));
        }
      });

      test('cases by every filter', async () => {
        const itemCode = fresh('item');
        const since = clock.now();
        const one = await accepted({ itemCode, parties: ['p-one', 'p-two'], appKey: 'window-demo' });
        clock.move(1000);
        const two = await accepted({ itemCode, parties: ['p-two'], appKey: 'terminal-demo' });
        await store.changed(two.caseNo, async () => change({ state: 'HANDLING' }));
        const found = async (more: object) =>
          (await store.cases({ itemCode, limit: 10, ...more })).rows.map(({ caseNo }) => caseNo);
        assert.deepEqual(await found({}), [two.caseNo, one.caseNo]);
        assert.deepEqual(await found({ state: 'HANDLING' }), [two.caseNo]);
        assert.deepEqual(await found({ appKey: 'window-demo' }), [one.caseNo]);
        assert.deepEqual(await found({ party: 'p-one' }), [one.caseNo]);
        assert.deepEqual(await found({ party: 'p-two' }), [two.caseNo, one.caseNo]);
        assert.deepEqual(await found({ party: 'p-t' }), []);
        assert.deepEqual(await found({ since: since + 1 }), [two.caseNo]);
        assert.deepEqual(await found({ until: since + 1000 }), [one.caseNo]);
        assert.deepEqual(await found({ applicationNo: one.submission.applicationNo }), [one.caseNo]);
      });

      test('lanes tell depth, age and last delivery; envelopes are found by state', async () => {
        const lane = fresh('lane');
        const at = clock.now();
        for (let i = 0; i < 6; i++) {
          await accepted({ parties: [lane] });
          clock.move(1);
        }
        const [one, two, three] = (await leased(lane, 3)) as [Lease, Lease, Lease];
        await store.delivered(one, receipt(), nothing, null);
        await store.parked(two, fault('malformed'), true, nothing);
        const when = { notBefore: clock.now() + 500, tried: true, doubtedAt: null };
        await store.postponed(three, fault('unreachable'), when, nothing);
        await leased(lane, 1);
        await store.collected(message(lane, { number: 'nobody' }, 'lost'), finish);
        assert.deepEqual(
          (await store.lanes()).find((state) => state.lane === lane),
          {
            lane,
            paused: null,
            away: null,
            waiting: 3,
            leased: 1,
            parked: 1,
            oldestWaiting: at + 2,
            lastDelivered: clock.now(),
            unmatched: 1,
          },
        );
        const count = async (state: 'waiting' | 'leased' | 'delivered' | 'refused' | 'parked' | 'cancelled') =>
          (await store.envelopes({ party: lane, state, limit: 10 })).rows.length;
        assert.deepEqual(
          [await count('waiting'), await count('leased'), await count('delivered'), await count('parked')],
          [3, 1, 1, 1],
        );
        assert.deepEqual([await count('refused'), await count('cancelled')], [0, 0]);
        const view = await store.envelope(three.envelope.id);
        assert.deepEqual([view?.attempts, view?.notBefore, view?.fault], [1, when.notBefore, 'unreachable']);
      });
    });

    describe('what the certificate service has to remember', () => {
      const TYPE = '11100000MB03271699001';
      const issued = (caseNo: string, holderHash: string, number: string): IssuedCertificate => ({
        certificate: {
          type: TYPE,
          identifier: `ID ${number}`,
          number,
          title: '不动产权证书',
          holder: { name: '张样例', idType: '111', idNo: '331124199001010011' },
          state: '01',
          issuer: '松阳县自然资源局',
          validFrom: null,
          validTo: null,
          fields: { certNo: number },
        },
        holderHash,
        issuedAt: clock.now(),
        caseNo,
        stepNo: '03',
      });
      async function register(holderHash: string, ...numbers: readonly string[]): Promise<void> {
        const { caseNo } = await accepted();
        for (const number of numbers)
          await store.changed(caseNo, async () => change({ issued: [issued(caseNo, holderHash, number)] }));
      }
      const states = async (holderHash: string) =>
        (await store.issuedTo(holderHash, TYPE)).map(({ certificate: { number, state } }) => [number, state]);

      test('what a case issued, by its holder, the newest first, by identifier and by number', async () => {
        const [holder, one, two] = [fresh('holder'), fresh('N'), fresh('N')];
        await register(holder, one, two);
        assert.deepEqual(await states(holder), [
          [two, '01'],
          [one, '01'],
        ]);
        for (const claim of [{ identifier: `ID ${one}` }, { type: TYPE, number: one }]) {
          const [found, ...more] = await store.issuedAs(claim);
          assert.deepEqual([found?.certificate.number, found?.holderHash, more.length], [one, holder, 0]);
        }
        assert.deepEqual(await store.issuedTo(holder, 'another type'), []);
        assert.deepEqual(await store.issuedAs({ identifier: 'ID of nobody' }), []);
      });

      test('what a case ended is cancelled: that number, or all of a holder', async () => {
        const [holder, one, two, three] = [fresh('holder'), fresh('N'), fresh('N'), fresh('N')];
        await register(holder, one, two, three);
        const { caseNo } = await accepted();
        const end = (number: string | null) =>
          store.changed(caseNo, async () =>
            change({ ended: [{ stepNo: '03', type: TYPE, holderHash: holder, number }] }),
          );
        await end(two);
        assert.deepEqual(await states(holder), [
          [three, '01'],
          [two, '04'],
          [one, '01'],
        ]);
        await end(null);
        assert.deepEqual(
          (await states(holder)).map(([, state]) => state),
          ['04', '04', '04'],
        );
      });

      test('what its keeper has spoken of is not told any more, by whatever it is asked for; of others nothing changes', async () => {
        const [holder, other, one, two, three] = [fresh('holder'), fresh('holder'), fresh('N'), fresh('N'), fresh('N')];
        await register(holder, one, two);
        await register(other, three);
        await store.spokenOf({ identifier: `ID ${one}` });
        assert.deepEqual(await states(holder), [[two, '01']]);
        assert.deepEqual(await store.issuedAs({ identifier: `ID ${one}` }), []);
        assert.deepEqual(await store.issuedAs({ type: TYPE, number: one }), []);
        await store.spokenOf({ type: TYPE, holderHash: holder });
        assert.deepEqual(await states(holder), []);
        assert.deepEqual(await states(other), [[three, '01']]);
      });

      test('a use code is good once, for its caller, in its time; whoever is refused, it is known what it stood for', async () => {
        const ticket = { of: fresh('ledger') };
        const [codeHash, late] = [fresh('code'), fresh('code')];
        const now = clock.now();
        await store.issue(
          [
            { codeHash, appKey: 'window-1', expiresAt: now + MINUTE, ticket },
            { codeHash: late, appKey: 'window-1', expiresAt: now, ticket },
          ],
          now,
        );
        const redeem = async (code: string, appKey = 'window-1') => {
          const redeemed = await store.redeem(code, appKey, now);
          return [redeemed.refused, 'ticket' in redeemed ? redeemed.ticket.ticket : undefined];
        };
        assert.deepEqual(await redeem('nobody’s'), ['unknown', undefined]);
        assert.deepEqual(await redeem(codeHash, 'window-2'), ['notYours', ticket]);
        assert.deepEqual(await redeem(late), ['expired', ticket]);
        const ten = await Promise.all(Array.from({ length: 10 }, () => redeem(codeHash)));
        assert.deepEqual(ten.map(([refused]) => refused).toSorted(), [null, ...Array(9).fill('used')]);
        await store.giveBack(codeHash);
        assert.deepEqual(await redeem(codeHash), [null, ticket]);
      });

      test('what a use code stood for is forgotten a day after its end, also when no code is ever redeemed', async () => {
        const codeHash = fresh('code');
        const ticket = { codeHash, appKey: 'window-1', expiresAt: clock.now(), ticket: {} };
        await store.issue([ticket], clock.now());
        clock.move(25 * 60 * MINUTE);
        await store.issue([{ ...ticket, codeHash: fresh('code'), expiresAt: clock.now() }], clock.now());
        assert.equal((await store.redeem(codeHash, 'window-1', 0)).refused, 'unknown');
      });

      test('a consent, until it is revoked, once', async () => {
        const mandate: Mandate = {
          id: fresh('mandate'),
          appKey: 'window-1',
          holderMasked: '张* 331124********0011',
          holderHash: fresh('holder'),
          agentMasked: '李* 331124********0023',
          itemCode: 'ITEM',
          types: [TYPE],
          evidence: 'SQ-1',
          officerId: 'W07',
          from: clock.now(),
          until: clock.now() + MINUTE,
          revoked: null,
        };
        await store.record(mandate);
        assert.deepEqual(await store.mandate(mandate.id), mandate);
        const revoked = { at: clock.now(), by: 'window-1', reason: '本人撤回' };
        const twice = await Promise.all([store.revoke(mandate.id, revoked), store.revoke(mandate.id, revoked)]);
        assert.deepEqual(twice.toSorted(), [false, true]);
        assert.deepEqual(await store.mandate(mandate.id), { ...mandate, revoked });
        assert.equal(await store.mandate('nobody’s'), undefined);
        assert.equal(await store.revoke('nobody’s', revoked), false);
      });

      test('a file that was handed out is known by its digest, as it was the first time', async () => {
        const file = {
          sm3: fresh('sm3'),
          originalSm3: 'of the original',
          identifier: null,
          type: TYPE,
          number: 'N-1',
          validTo: '20361231',
          caseNo: null,
          applicationNo: 'A1',
          at: clock.now(),
          annotated: true,
        };
        await store.handedOut(file);
        await store.handedOut({ ...file, applicationNo: 'A2' });
        assert.deepEqual(await store.handedOutAs(file.sm3), file);
        assert.equal(await store.handedOutAs('of another'), undefined);
        const unnumbered = { ...file, sm3: fresh('sm3'), identifier: 'ID-1', number: null, validTo: null };
        await store.handedOut(unnumbered);
        assert.deepEqual(await store.handedOutAs(unnumbered.sm3), unnumbered);
      });
    });

    describe('ledger and nonces', () => {
      test('the ledger is read back in the order written, by holder, by case, onward from an entry', async () => {
        const holderHash = fresh('holder');
        const caseNo = fresh('case');
        const names = Array.from({ length: 5 }, () => fresh('entry'));
        await Promise.all([
          store.write(names.slice(0, 2).map((id) => ledgerEntry(id, { holderHash, caseNo }))),
          store.write(names.slice(2).map((id) => ledgerEntry(id, { holderHash }))),
        ]);
        const found = async (filter: object) => (await store.read({ limit: 10, ...filter })).map(({ id }) => id);
        assert.deepEqual(await found({ holderHash }), names);
        assert.deepEqual(await found({ caseNo }), names.slice(0, 2));
        assert.deepEqual(await found({ holderHash, after: names[1] }), names.slice(2));
        assert.deepEqual(await found({ holderHash, limit: 2 }), names.slice(0, 2));
        await assert.rejects(store.read({ holderHash, after: 'nobody', limit: 1 }), unfit(400));
        const [first] = await store.read({ holderHash, limit: 1 });
        const { hash, ...entry } = first as typeof first & { hash: string };
        assert.deepEqual(entry, ledgerEntry(names[0] as string, { holderHash, caseNo }));
        assert.match(hash, /^[0-9a-f]{64}$/);
      });

      test('the ledger is found by each of its filters, and by several together, in the order of time', async () => {
        const [itemCode, other, officerId] = [fresh('item'), fresh('item'), fresh('officer')];
        const [caseNo, applicationNo, source] = [fresh('case'), fresh('application'), fresh('source')];
        await store.write([
          ledgerEntry('f1', { at: 40, itemCode, officerId, caseNo, type: 'T2', phase: 'answered', of: 'f2' }),
          ledgerEntry('f2', { at: 10, itemCode, officerId, applicationNo, type: 'T1', source: null }),
          ledgerEntry('f3', { at: 20, itemCode, source, state: 'none', phase: 'answered', caseNo, applicationNo }),
          ledgerEntry('f4', { at: 30, itemCode, state: 'found', phase: 'document', type: 'T1', cached: true }),
          ledgerEntry('f5', { at: 30, itemCode: other, caseNo, phase: 'verified' }),
        ]);
        const found = async (filter: LedgerFilter) =>
          (await store.read({ itemCode, ...filter, limit: 10 })).map(({ id }) => id).join(' ');
        for (const [filter, ids] of [
          [{}, 'f2 f3 f4 f1'],
          [{ officerId }, 'f2 f1'],
          [{ type: 'T1' }, 'f2 f4'],
          [{ source }, 'f3'],
          [{ state: 'none' }, 'f3'],
          [{ phase: 'document' }, 'f4'],
          [{ caseNo }, 'f3 f1'],
          [{ applicationNo }, 'f2 f3'],
          [{ caseNo, applicationNo }, 'f2 f3 f1'],
          [{ from: 20, until: 40 }, 'f3 f4'],
          [{ from: 41 }, ''],
          [{ officerId, type: 'T1', from: 10, until: 11, phase: 'asked' }, 'f2'],
          [{ officerId, state: 'found' }, ''],
        ] as const satisfies readonly (readonly [LedgerFilter, string])[])
          assert.equal(await found(filter), ids, JSON.stringify(filter));
        const next = (await store.read({ itemCode, after: 'f3', limit: 1 })).map(({ id }) => id);
        assert.deepEqual(next, ['f4']);
      });

      test('what was fetched is counted: matters once, only permitted calls, copies apart', async () => {
        const [item, other] = [fresh('item'), fresh('item')];
        const at = 5_000_000;
        const row = (more: Partial<LedgerEntry>) =>
          ledgerEntry(fresh('count'), { at, itemCode: item, source: null, ...more });
        const { caseNo, submission } = await accepted();
        const { applicationNo } = submission;
        const answered = { phase: 'answered', of: 'x', source: 'tea-office' } as const;
        await store.write([
          // One matter, before it had a case number and after.
          row({ applicationNo, type: 'T1' }),
          row({ applicationNo, type: 'T1', ...answered, state: 'found' }),
          row({ applicationNo: null, caseNo, type: 'T2' }),
          row({ applicationNo: null, caseNo, type: 'T2', ...answered, state: 'found', cached: true }),
          // Another, of which nobody knows the application.
          row({ applicationNo: null, caseNo: 'nowhere', type: 'T2' }),
          row({ applicationNo: null, caseNo: 'nowhere', type: 'T2', phase: 'answered', of: 'x', state: 'none' }),
          row({ applicationNo: 'nosy', state: 'notPermitted', reason: 'notInItem' }),
          row({ applicationNo, type: 'T1', phase: 'document', of: 'x', state: 'found' }),
          row({ itemCode: other, applicationNo, type: 'T1' }),
          row({ at: at - 1, applicationNo: 'before' }),
          row({ at: at + 1, applicationNo: 'after' }),
        ]);
        const range = { from: at, until: at + 1 };
        const t1 = { type: 'T1', fetched: 1, cached: 0 };
        const t2 = { type: 'T2', fetched: 1, cached: 1 };
        const total = { matters: 2, calls: 4, fetched: [t1, t2] };
        const byType = (one: LedgerCount) => ({
          ...one,
          fetched: [...one.fetched].sort((a, b) => (a.type < b.type ? -1 : 1)),
        });
        const counted = async (by: 'item' | 'type' | 'source') => {
          const counts = await store.count({ ...range, by });
          return { total: byType(counts.total), rows: counts.rows.map((one) => ({ ...byType(one), key: one.key })) };
        };
        assert.deepEqual(await counted('item'), {
          total,
          rows: [
            { key: item, matters: 2, calls: 3, fetched: [t1, t2] },
            { key: other, matters: 1, calls: 1, fetched: [] },
          ],
        });
        assert.deepEqual(await counted('type'), {
          total,
          rows: [
            { key: 'T1', matters: 1, calls: 2, fetched: [t1] },
            { key: 'T2', matters: 2, calls: 2, fetched: [t2] },
          ],
        });
        assert.deepEqual(await counted('source'), {
          total,
          rows: [
            { key: 'tea-office', matters: 1, calls: 2, fetched: [t1, t2] },
            { key: null, matters: 1, calls: 1, fetched: [] },
          ],
        });
        assert.deepEqual(await store.count({ from: 1, until: 1, by: 'item' }), {
          total: { matters: 0, calls: 0, fetched: [] },
          rows: [],
        });
      });

      test('the chain is whole over all that was written at once, from any row on', async () => {
        const { rows, brokenAt } = await store.check();
        assert.ok(rows >= 7);
        assert.equal(brokenAt, null);
        const [first] = await store.read({ limit: 1 });
        assert.equal((await store.check(first?.id)).brokenAt, null);
        await assert.rejects(store.check('nobody'), unfit(400));
      });

      test('the oldest rows are deleted up to the first that is kept; a young one never, with all that stood before it in the batch', async () => {
        const DAY = 24 * 60 * MINUTE;
        const own = await storageFor();
        const ledger = await own.open({ clock });
        const now = Date.now();
        const old = ledgerEntry('d3', { at: now - 200 * DAY });
        await ledger.write([
          ledgerEntry('d1', { at: now - 300 * DAY }),
          ledgerEntry('d2', { at: now - 300 * DAY }),
          old,
          ledgerEntry('d4', { at: now - 300 * DAY }),
          ledgerEntry('d5', { at: now }),
        ]);
        const left = async () =>
          (await ledger.read({ limit: 9 }))
            .map(({ id }) => id)
            .sort()
            .join(' ');
        assert.equal(await ledger.deleteBefore(now - 250 * DAY), 2);
        assert.equal(await left(), 'd3 d4 d5');
        assert.deepEqual(await ledger.check(), { rows: 3, brokenAt: null });
        await assert.rejects(ledger.deleteBefore(now + DAY));
        assert.equal(await left(), 'd3 d4 d5');
        assert.equal(await ledger.deleteBefore(now - 100 * DAY), 2);
        await ledger.write([ledgerEntry('d6', { at: now })]);
        assert.deepEqual(await ledger.check(), { rows: 2, brokenAt: null });
        await ledger.close();
        await own.discard();
      });

      test('an entry whose id is taken is refused with all that came with it', async () => {
        const [a, b] = [fresh('entry'), fresh('entry')];
        await store.write([ledgerEntry(a)]);
        await assert.rejects(store.write([ledgerEntry(b), ledgerEntry(a)]));
        assert.ok(!(await store.read({ limit: 1000 })).some(({ id }) => id === b));
      });

      test('a nonce is new once for each caller, until it may be forgotten, over a restart too', async () => {
        const nonce = fresh('nonce-0123456789');
        const until = clock.now() + 5 * MINUTE;
        assert.equal(await store.firstUse('window-demo', nonce, until), true);
        assert.equal(await store.firstUse('window-demo', nonce, until), false);
        assert.equal(await store.firstUse('tax-demo', nonce, until), true);
        await reopen();
        assert.equal(await store.firstUse('window-demo', nonce, until), false);
        clock.move(5 * MINUTE + 1);
        assert.equal(await store.firstUse('window-demo', nonce, clock.now() + 5 * MINUTE), true);
      });
    });

    describe('what all nodes share', () => {
      const HOUR = 60 * MINUTE;

      test('a quota is given out in blocks and never beyond its limit, however many ask at once', async () => {
        const party = fresh('lane');
        const blocks = await Promise.all(Array.from({ length: 40 }, () => store.allot(party, '2026-11-23', 100, 7)));
        assert.equal(
          blocks.reduce((sum, block) => sum + block, 0),
          100,
        );
        assert.deepEqual(
          [...new Set(blocks)].sort((a, b) => a - b),
          [0, 2, 7],
        );
        assert.equal(await store.allotted(party, '2026-11-23'), 100);
        assert.equal(await store.allotted(party, '2026-11-24'), 0);
        assert.equal(await store.allot(party, '2026-11-24', 100, 7), 7);
        assert.equal(await store.allot(fresh('lane'), '2026-11-23', 100, 7), 7);
      });

      test('what was taken stays taken over a restart, and when the limit was lowered', async () => {
        const party = fresh('lane');
        assert.equal(await store.allot(party, '2026-11-23T09:15', 5, 3), 3);
        await reopen();
        assert.equal(await store.allotted(party, '2026-11-23T09:15'), 3);
        assert.equal(await store.allot(party, '2026-11-23T09:15', 2, 1), 0);
        assert.equal(await store.allot(party, '2026-11-23T09:15', 5, 3), 2);
        assert.equal(await store.allot(party, '2026-11-23T09:15', 5, 3), 0);
        assert.equal(await store.allot(fresh('lane'), '2026-11-23', 2, 3), 2);
        assert.equal(await store.allot(fresh('lane'), '2026-11-23', 0, 3), 0);
      });

      test('a right is one holder’s until it ends or is given back; he may ask again', async () => {
        const what = fresh('trial');
        const now = clock.now();
        const got = await Promise.all(['a', 'b', 'c', 'd'].map((node) => store.claim(what, node, now, now + 1_000)));
        assert.equal(got.filter((each) => each).length, 1);
        const holder = ['a', 'b', 'c', 'd'][got.indexOf(true)] as string;
        assert.equal(await store.claim(what, 'e', now + 999, now + 5_000), false);
        assert.equal(await store.claim(what, holder, now + 999, now + 3_000), true);
        await store.unclaim(what, 'e');
        assert.equal(await store.claim(what, 'e', now + 2_999, now + 5_000), false);
        assert.equal(await store.claim(what, 'e', now + 3_000, now + 5_000), true);
        assert.equal(await store.claim(what, holder, now + 3_000, now + 5_000), false);
        await reopen();
        await store.unclaim(what, 'e');
        assert.equal(await store.claim(what, holder, now + 3_000, now + 5_000), true);
        assert.equal(await store.claim(fresh('trial'), 'f', now, now + 1), true);
      });

      test('a value is kept until its end, the last one wins, over a restart too', async () => {
        const key = fresh('session');
        const now = clock.now();
        assert.equal(await store.kept(key, now), undefined);
        await store.keep(key, 'first', now + 1_000);
        await store.keep(key, '第二', now + 2_000);
        await reopen();
        assert.deepEqual(await store.kept(key, now + 1_999), { value: '第二', until: now + 2_000 });
        assert.equal(await store.kept(key, now + 2_000), undefined);
      });

      test('a number is given to nobody twice, and none below what is asked for', async () => {
        const name = fresh('sequence');
        const firsts = await Promise.all(Array.from({ length: 30 }, () => store.reserve(name, 500, 10)));
        assert.deepEqual(
          firsts.sort((a, b) => a - b),
          Array.from({ length: 30 }, (_, i) => 500 + i * 10),
        );
        await reopen();
        assert.equal(await store.reserve(name, 0, 1), 800);
        assert.equal(await store.reserve(name, 1_764_000_000_000, 100), 1_764_000_000_000);
        assert.equal(await store.reserve(name, 801, 1), 1_764_000_000_100);
      });

      test('a value of an envelope is fixed by the first who gives one: for everybody, and over a restart', async () => {
        const { caseNo } = await accepted();
        const id = `${caseNo}-01`;
        assert.deepEqual(await store.onceValues(id), {});
        const given = await Promise.all(Array.from({ length: 20 }, (_, i) => store.once(id, 'serial', `00000${i}`)));
        assert.equal(new Set(given).size, 1, 'all get the same');
        const [serial = ''] = given;
        await reopen();
        assert.equal(await store.once(id, 'serial', 'another'), serial);
        const rich = { day: '20261123', parts: ['一', 2, null, true], deep: { n: '0012' } };
        assert.deepEqual(await store.once(id, 'rich', rich), rich);
        assert.equal(await store.once(id, 'nothing', null), null);
        assert.deepEqual(await store.onceValues(id), { serial, rich, nothing: null });
        assert.deepEqual(await store.onceValues(`${caseNo}-02`), {}, 'of no other envelope');
      });

      test('values of an envelope have a bound, in size and in number', async () => {
        const id = fresh('331124261123999999-01');
        await assert.rejects(store.once(id, 'long', 'x'.repeat(MOST_VALUE_BYTES)));
        for (let n = 0; n < MOST_VALUE_NAMES; n += 1) await store.once(id, `name${n}`, n);
        await assert.rejects(store.once(id, 'one more', 0));
        assert.equal(await store.once(id, 'name3', 'another'), 3, 'what is kept is given all the same');
      });

      test('values of envelopes that ended long ago are swept, those of open ones never', async () => {
        const lane = fresh('lane');
        const [open, done, refused] = await Promise.all([0, 1, 2].map(() => accepted({ parties: [lane] })));
        const ids = [open, done, refused].map((record) => `${record?.caseNo}-01`);
        const [openId = '', doneId = '', refusedId = ''] = ids;
        for (const id of [...ids, 'no-such-envelope']) await store.once(id, 'serial', '000001');
        const leases = await store.lease({ lanes: [{ lane, limit: 3 }], forMs: MINUTE, now: clock.now() });
        const leaseOf = (id: string) => leases.find(({ envelope: { id: own } }) => own === id) ?? assert.fail(id);
        await store.delivered(leaseOf(doneId), receipt(), nothing, null);
        await store.refused(leaseOf(refusedId), fault('refused'), nothing);
        await store.parked(leaseOf(openId), fault('malformed'), true, nothing);
        clock.move(60 * 24 * HOUR);
        await store.once(openId, 'another', 1);
        assert.deepEqual(await store.onceValues(doneId), { serial: '000001' });
        clock.move(31 * 24 * HOUR);
        await store.once(openId, 'third', 1);
        for (const id of [doneId, refusedId, 'no-such-envelope']) assert.deepEqual(await store.onceValues(id), {}, id);
        assert.deepEqual(await store.onceValues(openId), { serial: '000001', another: 1, third: 1 });
      });

      test('what has ended is swept, and nothing else', async () => {
        const [party, what, key, lasting] = [fresh('lane'), fresh('trial'), fresh('session'), fresh('session')];
        const then = clock.now();
        await store.allot(party, '2026-11-23', 9, 9);
        await store.claim(what, 'a', then, then + 1_000);
        await store.keep(key, 'x', then + 1_000);
        await store.keep(lasting, 'x', then + 96 * HOUR);
        clock.move(HOUR);
        await store.keep(fresh('session'), 'x', clock.now());
        assert.equal((await store.kept(key, then))?.value, 'x', 'a node whose clock is behind still finds it');
        clock.move(50 * HOUR);
        await store.keep(fresh('session'), 'x', clock.now());
        assert.equal(await store.kept(key, then), undefined);
        assert.equal(await store.allotted(party, '2026-11-23'), 0);
        assert.equal(await store.claim(what, 'b', then, then + 1), true);
        assert.equal((await store.kept(lasting, clock.now()))?.value, 'x');
      });
    });

    test('nothing is written for others where nobody publishes', async () => {
      const { caseNo } = await accepted();
      await store.changed(caseNo, async (record) => change({ steps: [stepIn(record, '01', 'DONE')] }));
      assert.deepEqual(await store.unpublished(MOST_PUBLISHED), []);
    });

    describe('events for others', () => {
      let publishing: Storage;
      let own: Store;
      const wakes: string[] = [];
      let count = 0;
      const said = (subject: string, sequence: string | null): PublicEvent => ({
        id: `e${++count}`,
        kind: 'case.progressed',
        subject,
        sequence,
        time: '2026-11-23T09:00:00.000+08:00',
        traceparent: null,
        keys: ['case.progressed.tea-office'],
        data: { text: '茶 ]]> 𠮷' },
      });
      /** One for each step that a happening changes. */
      const publicly: Publicly = ({ before, lines, change: { steps = [] } }) =>
        steps.map(({ no }) => said(before.caseNo, `${lines} ${no}`));
      const opened = () => publishing.open({ clock, publicly, committed: (lanes) => void wakes.push(...lanes) });
      before(async () => {
        publishing = await storageFor();
        own = await opened();
      });
      after(async () => {
        await own.close();
        await publishing.discard();
      });
      const accept = async (parties = ['tea-office']) =>
        (await own.accept(newCase({ applicationNo: fresh('A'), parties, acceptedAt: clock.now() }))).record.caseNo;
      const move = (caseNo: string, ...nos: readonly string[]) =>
        own.changed(caseNo, async (record) =>
          change({ steps: nos.map((no) => stepIn(record, no, 'DONE')), events: [event('answered')] }),
        );
      const waiting = (limit = MOST_PUBLISHED) => own.unpublished(limit);
      const forgetAll = async (): Promise<void> => {
        for (let rows = await waiting(); rows.length > 0; rows = await waiting())
          await own.published(rows.map(({ seq }) => seq));
      };

      test('are there with their happening, in the order of their case, and wake whoever publishes', async () => {
        await forgetAll();
        wakes.length = 0;
        const [one, two] = [await accept(['tea-office', 'rice-office']), await accept()];
        assert.ok(wakes.includes(PUBLIC_EVENTS));
        await Promise.all([move(one, '01', '02'), move(two, '01')]);
        await move(one, '01');
        const rows = await waiting();
        const of = (caseNo: string) => rows.flatMap(({ event: e }) => (e.subject === caseNo ? [e.sequence] : []));
        assert.deepEqual(of(one), ['0 01', '2 01', '2 02', '3 01']);
        assert.deepEqual(of(two), ['0 01', '2 01']);
        assert.deepEqual(rows[0]?.event.data, { text: '茶 ]]> 𠮷' });
      });

      test('are not there when the happening is not: a change that fails, an application seen before', async () => {
        await forgetAll();
        const applicationNo = fresh('A');
        const twice = [1, 2].map(() => own.accept(newCase({ applicationNo, acceptedAt: clock.now() })));
        const [first] = await Promise.all(twice);
        await own.accept(newCase({ applicationNo, bodyHash: 'b'.repeat(64) }));
        const failing = own.changed(first?.record.caseNo ?? '', async () => {
          throw new Error('no');
        });
        await Promise.allSettled([failing, move(first?.record.caseNo ?? '', '01')]);
        const sequences = (await waiting()).map(({ event: e }) => [e.subject, e.sequence]);
        assert.deepEqual(
          sequences,
          ['0 01', '2 01'].map((sequence) => [first?.record.caseNo, sequence]),
        );
      });

      test('those that were published are forgotten, and no others; over a restart as well', async () => {
        await forgetAll();
        const caseNos: string[] = [];
        for (let n = 0; n < 5; n += 1) caseNos.push(await accept());
        const rows = await waiting(4);
        assert.deepEqual(
          rows.map(({ event: e }) => e.subject),
          caseNos.slice(0, 4),
        );
        await own.published([rows[0], rows[2]].flatMap((row) => (row === undefined ? [] : [row.seq])));
        await own.published([]);
        await own.close();
        own = await opened();
        const left = (await waiting()).map(({ event: e }) => e.subject);
        assert.deepEqual(left, [caseNos[1], caseNos[3], caseNos[4]]);
      });

      test('a whole batch is forgotten at once', async () => {
        await forgetAll();
        await Promise.all(Array.from({ length: MOST_PUBLISHED + 3 }, () => accept()));
        const rows = await waiting();
        assert.equal(rows.length, MOST_PUBLISHED);
        await own.published(rows.map(({ seq }) => seq));
        assert.equal((await waiting()).length, 3);
      });

      test('those of no case are told by themselves', async () => {
        await forgetAll();
        wakes.length = 0;
        await own.tell([said('x', null), said('y', null)]);
        assert.deepEqual(wakes, [PUBLIC_EVENTS]);
        assert.deepEqual(
          (await waiting()).map(({ event: e }) => e.subject),
          ['x', 'y'],
        );
      });

      test('a certificate change is told once under its name, however often and at once it is said', async () => {
        await forgetAll();
        const name = { party: 'tea-office', dedupe: fresh('change') };
        assert.equal(await own.changeKnown(name), false);
        await Promise.all([1, 2, 3].map((n) => own.changeTold(name, [said(`c${n}`, null)])));
        assert.equal(await own.changeKnown(name), true);
        await own.changeTold(name, [said('later', null)]);
        assert.equal((await waiting()).length, 1);
        assert.equal(await own.changeKnown({ ...name, party: 'another' }), false);
        // It is no message, and nobody's to look at.
        assert.equal((await own.due()).kept, false);
      });

      test('of too many the oldest are given up, and of few none', async () => {
        await forgetAll();
        await own.tell(Array.from({ length: 20 }, (_, n) => said(String(n), null)));
        assert.equal(await own.giveUp(20), 0);
        assert.equal(await own.giveUp(5), 15);
        assert.deepEqual(
          (await waiting()).map(({ event: e }) => e.subject),
          ['15', '16', '17', '18', '19'],
        );
        assert.equal(await own.giveUp(5), 0);
      });
    });

    describe('versions of items', () => {
      const version = (code: string, of: string) => ({ code, version: of, definition: `{"of": "${of}"}` });

      test('a definition is kept whole, over restarts; the newest is the one that was current last', async () => {
        const code = fresh('item');
        await store.keepItemVersions([version(code, 'a')], 1);
        await store.keepItemVersions([version(code, 'b')], 2);
        await reopen();
        assert.deepEqual(await store.itemVersion(code, 'a'), version(code, 'a'));
        assert.equal((await store.itemVersion(code, null))?.version, 'b');
        await store.keepItemVersions([{ ...version(code, 'a'), definition: 'never changed' }], 3);
        assert.deepEqual(await store.itemVersion(code, null), version(code, 'a'));
        assert.equal(await store.itemVersion(code, 'c'), undefined);
        assert.equal(await store.itemVersion(fresh('item'), null), undefined);
      });

      test('a case keeps the version that it began with; those not decided are counted by it', async () => {
        const itemCode = fresh('item');
        const under = async (itemVersion: string | null) => {
          const sample = newCase({ applicationNo: fresh('A'), itemCode });
          const { record } = await store.accept({
            ...sample,
            async open(caseNo) {
              const opened = await sample.open(caseNo);
              return { ...opened, record: { ...opened.record, itemVersion } };
            },
          });
          return record.caseNo;
        };
        const [first] = [await under('v1'), await under('v1'), await under('v2'), await under(null)];
        await store.changed(first, async () => change({ state: 'CORRECTING' }));
        assert.equal((await store.caseOf(first))?.itemVersion, 'v1');
        const counted = async () =>
          (await store.undecidedCases())
            .filter(({ code }) => code === itemCode)
            .map(({ version: of, cases }) => `${of} ${cases}`)
            .sort();
        assert.deepEqual(await counted(), ['null 1', 'v1 2', 'v2 1']);
        const decision = { outcome: 'approved' as const, by: null, reason: null, at: 1 };
        await store.changed(first, async () => change({ state: 'DECIDED', decision }));
        assert.deepEqual(await counted(), ['null 1', 'v1 1', 'v2 1']);
        await reopen();
        assert.equal((await store.caseOf(first))?.itemVersion, 'v1');
      });
    });

    test('any course of leases and outcomes gives what a plain list would', async () => {
      if (!storage.shared) return leaseModel([store], clock, fresh);
      const other = await storage.open({ clock });
      try {
        await leaseModel([store, other], clock, fresh);
      } finally {
        await other.close();
      }
    });

    test('a closed store takes nothing more, and finished what it had taken', async () => {
      const applicationNo = fresh('A');
      const last = accepted({ applicationNo });
      await reopen();
      const { caseNo } = await last;
      assert.equal((await store.byApplication('window-demo', applicationNo))?.record.caseNo, caseNo);
      const alone = await storageFor();
      const own = await alone.open({ clock });
      await own.close();
      await assert.rejects(own.accept(newCase({ applicationNo: 'A' })), /closed/);
      await alone.discard();
    });
  });
}
