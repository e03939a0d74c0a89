import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FAULT_POLICY, Fault, type FaultDetail, type FaultKind } from '../../contracts/ports/fault.ts';
import { type Circumstances, outcome, waitUntil } from './outcome.ts';

const NOW = 1_000_000;
const DAY = 86_400_000;
const terms = { backoffMs: { first: 1_000, max: 60_000 } };
const fault = (kind: FaultKind, detail: Partial<FaultDetail> = {}) =>
  new Fault(kind, { reason: { code: 'E42', zh: '对方原话', en: 'their words' }, ...detail });
const after = (kind: FaultKind, vary: Partial<Circumstances> = {}, detail: Partial<FaultDetail> = {}) =>
  outcome(fault(kind, detail), {
    attempts: 0,
    inDoubt: false,
    waitUntil: NOW + 30 * DAY,
    terms,
    now: NOW,
    random: 0.5,
    ...vary,
  });

describe('the fault table', () => {
  test('refused advances the case', () => {
    assert.equal(after('refused').next, 'refused');
  });

  test('malformed is parked at once', () => {
    assert.equal(after('malformed').next, 'parked');
  });

  test('unauthorized stops the lane; what was in doubt stays so', () => {
    const next = after('unauthorized', { inDoubt: true });
    assert.ok(next.next === 'postponed');
    assert.deepEqual([next.parkLane, next.inDoubt], [true, true]);
  });

  test('busy waits as asked, however often', () => {
    const next = after('busy', { attempts: 99 }, { until: NOW + 5_000 });
    assert.ok(next.next === 'postponed');
    assert.deepEqual([next.notBefore, next.inDoubt], [NOW + 5_000, false]);
  });

  test('a party that is busy and says not until when rests a minute; one that says "now" is not asked without end', () => {
    const silent = after('busy');
    const now = after('busy', {}, { until: NOW - 1 });
    assert.ok(silent.next === 'postponed' && now.next === 'postponed');
    assert.equal(silent.notBefore, NOW + 60_000);
    assert.equal(now.notBefore, NOW + 1_000);
  });

  test('unreachable is sent again after a backoff, and is in no doubt', () => {
    const next = after('unreachable', { attempts: 1 });
    assert.ok(next.next === 'postponed');
    assert.deepEqual([next.notBefore, next.inDoubt], [NOW + 1_000, false]);
  });

  test('unreachable, when we only wanted to ask about it, leaves the doubt', () => {
    const next = after('unreachable', { inDoubt: true });
    assert.ok(next.next === 'postponed');
    assert.equal(next.inDoubt, true);
  });

  test('trap 9: in doubt is looked at again, and the next lease has to inquire', () => {
    const next = after('inDoubt');
    assert.ok(next.next === 'postponed');
    assert.equal(next.inDoubt, true);
  });

  test('in doubt, and not to be asked before some time: not looked at before it', () => {
    const next = after('inDoubt', {}, { until: NOW + 90_000 });
    assert.ok(next.next === 'postponed');
    assert.equal(next.notBefore, NOW + 90_000);
  });

  for (const kind of ['unreachable', 'inDoubt', 'busy'] as const)
    test(`${kind}: an outage is not a person's work, however often it was tried; it is parked when the case may wait no longer`, () => {
      assert.equal(after(kind, { attempts: 100_000 }).next, 'postponed');
      assert.equal(after(kind, { attempts: 100_000, waitUntil: NOW + 1 }).next, 'postponed');
      const last = after(kind, { attempts: 6, waitUntil: NOW });
      assert.ok(last.next === 'parked');
      assert.equal(last.fault.kind, kind);
      assert.deepEqual(last.fault.reason, {
        code: 'E42',
        zh: '等待期限已到，共尝试 7 次仍未成功，请人工处理：对方原话',
        en: 'waited for as long as the case allows, tried 7 times; the last time: their words',
      });
    });

  test('parked after all, what was in doubt stays so', () => {
    const last = after('unreachable', { inDoubt: true, waitUntil: NOW });
    assert.ok(last.next === 'parked' && last.fault.maybeArrived);
  });

  test('waited for until the statutory date, and 30 days after the first sending at least', () => {
    assert.equal(waitUntil(NOW + 5 * DAY, NOW), NOW + 30 * DAY);
    assert.equal(waitUntil(NOW + 90 * DAY, NOW), NOW + 90 * DAY);
  });
});

test('GovStack: messages that fail delivery "should be dropped": whatever happens, there is a next thing to do, and doubt is never forgotten', () => {
  const kinds = Object.keys(FAULT_POLICY) as FaultKind[];
  const any = fc.record({
    kind: fc.constantFrom(...kinds),
    attempts: fc.nat(20),
    inDoubt: fc.boolean(),
    waitUntil: fc.integer({ min: 0, max: 2 * NOW }),
    maybeArrived: fc.option(fc.boolean(), { nil: undefined }),
    until: fc.option(fc.integer({ min: 0, max: 2 * NOW }), { nil: undefined }),
    random: fc.nat(999).map((n) => n / 1_000),
  });
  fc.assert(
    fc.property(any, ({ kind, attempts, inDoubt, waitUntil: most, maybeArrived, until, random }) => {
      const why = fault(kind, {
        ...(maybeArrived === undefined ? {} : { maybeArrived }),
        ...(until === undefined ? {} : { until }),
      });
      const next = outcome(why, {
        attempts,
        inDoubt,
        waitUntil: most,
        terms,
        now: NOW,
        random,
      });
      assert.equal(next.fault.reason.code, 'E42');
      if (next.next === 'parked' && kind !== 'malformed')
        assert.ok(NOW >= most && (!inDoubt || next.fault.maybeArrived));
      if (next.next !== 'postponed') return;
      assert.ok(next.notBefore > NOW, 'never at once');
      assert.ok(!inDoubt || next.inDoubt);
      assert.ok(!why.maybeArrived || next.inDoubt);
    }),
  );
});
