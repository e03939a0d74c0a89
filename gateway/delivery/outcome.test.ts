import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FAULT_POLICY, Fault, type FaultDetail, type FaultKind } from '../../contracts/ports/fault.ts';
import { type Circumstances, outcome } from './outcome.ts';

const NOW = 1_000_000;
const terms = { attempts: 3, backoffMs: { first: 1_000, max: 60_000 }, idempotent: false };
const fault = (kind: FaultKind, detail: Partial<FaultDetail> = {}) =>
  new Fault(kind, { reason: { code: 'E42', zh: '对方原话', en: 'their words' }, ...detail });
const after = (kind: FaultKind, vary: Partial<Circumstances> = {}, detail: Partial<FaultDetail> = {}) =>
  outcome(fault(kind, detail), {
    attempts: 0,
    inDoubt: false,
    canInquire: true,
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

  test('unauthorized parks the lane and costs nothing; what was in doubt stays so', () => {
    const next = after('unauthorized', { inDoubt: true });
    assert.ok(next.next === 'postponed');
    assert.deepEqual([next.parkLane, next.costsAttempt, next.inDoubt], [true, false, true]);
  });

  test('busy waits as asked and costs nothing, however often', () => {
    const next = after('busy', { attempts: 99 }, { until: NOW + 5_000 });
    assert.ok(next.next === 'postponed');
    assert.deepEqual([next.notBefore, next.costsAttempt, next.inDoubt], [NOW + 5_000, false, false]);
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
    assert.deepEqual([next.notBefore, next.costsAttempt, next.inDoubt], [NOW + 1_000, true, false]);
  });

  test('unreachable, when we only wanted to ask about it, leaves the doubt', () => {
    const next = after('unreachable', { inDoubt: true });
    assert.ok(next.next === 'postponed');
    assert.equal(next.inDoubt, true);
  });

  test('trap 9: in doubt is looked at again, and the next lease has to inquire', () => {
    const next = after('inDoubt');
    assert.ok(next.next === 'postponed');
    assert.deepEqual([next.inDoubt, next.costsAttempt], [true, true]);
  });

  test('in doubt, and they can be asked nothing: parked at once, unless the same twice takes effect once', () => {
    const next = after('inDoubt', { canInquire: false });
    assert.ok(next.next === 'parked');
    assert.match(next.fault.reason.zh, /请人工核实：对方原话/);
    assert.equal(next.fault.maybeArrived, true);
    assert.equal(after('inDoubt', { canInquire: false, terms: { ...terms, idempotent: true } }).next, 'postponed');
  });

  for (const kind of ['unreachable', 'inDoubt'] as const)
    test(`${kind}: when the attempts have run out it is parked, and the reason says how often and why`, () => {
      assert.equal(after(kind, { attempts: 1 }).next, 'postponed');
      const last = after(kind, { attempts: 2 });
      assert.ok(last.next === 'parked');
      assert.equal(last.fault.kind, kind);
      assert.deepEqual(last.fault.reason, {
        code: 'E42',
        zh: '已尝试 3 次仍未成功：对方原话',
        en: '3 attempts failed, the last one because: their words',
      });
    });
});

test('GovStack: messages that fail delivery "should be dropped": whatever happens, there is a next thing to do, and doubt is never forgotten', () => {
  const kinds = Object.keys(FAULT_POLICY) as FaultKind[];
  const any = fc.record({
    kind: fc.constantFrom(...kinds),
    attempts: fc.nat(20),
    inDoubt: fc.boolean(),
    canInquire: fc.boolean(),
    idempotent: fc.boolean(),
    maybeArrived: fc.option(fc.boolean(), { nil: undefined }),
    until: fc.option(fc.integer({ min: 0, max: 2 * NOW }), { nil: undefined }),
    random: fc.nat(999).map((n) => n / 1_000),
  });
  fc.assert(
    fc.property(any, ({ kind, attempts, inDoubt, canInquire, idempotent, maybeArrived, until, random }) => {
      const why = fault(kind, {
        ...(maybeArrived === undefined ? {} : { maybeArrived }),
        ...(until === undefined ? {} : { until }),
      });
      const next = outcome(why, {
        attempts,
        inDoubt,
        canInquire,
        terms: { ...terms, idempotent },
        now: NOW,
        random,
      });
      assert.equal(next.fault.reason.code, 'E42');
      if (next.next !== 'postponed') return;
      assert.ok(next.notBefore > NOW, 'never at once');
      assert.ok(!inDoubt || next.inDoubt);
      assert.ok(!why.maybeArrived || next.inDoubt);
      assert.ok(!next.costsAttempt || attempts + 1 < terms.attempts);
    }),
  );
});
