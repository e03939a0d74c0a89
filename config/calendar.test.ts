import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { calendar, deadline, isWorkingDay, localDate, readCalendar } from './calendar.ts';

const DAY = 86_400_000;
const at = (local: string): number => Date.parse(`${local}+08:00`);
const due = (start: string, limit: number, unit: 'wd' | 'day' = 'wd'): string => {
  const { at: end, provisional } = deadline(at(start), { limit, unit }, calendar);
  return localDate(end) + (provisional ? ' provisional' : '');
};

describe('working-day calendar', () => {
  test('gives the deadlines of the published vectors', () => {
    const vectors: readonly [string, number, string][] = [
      ['2026-02-13', 1, '2026-02-14'],
      ['2026-02-13', 2, '2026-02-24'],
      ['2026-02-13', 7, '2026-03-02'],
      ['2026-04-30', 5, '2026-05-11'],
      ['2026-09-18', 1, '2026-09-20'],
      ['2026-09-30', 1, '2026-10-08'],
      ['2025-01-24', 1, '2025-01-26'],
      ['2025-01-27', 1, '2025-02-05'],
      ['2025-12-31', 1, '2026-01-04'],
      ['2026-11-23', 20, '2026-12-21'],
      ['2026-11-23', 28, '2026-12-31'],
      ['2026-11-23', 30, '2027-01-04 provisional'],
    ];
    for (const [start, limit, expected] of vectors)
      assert.equal(due(`${start}T10:00:00`, limit), expected, `${start} + ${limit}`);
  });

  test('counts 248 working days in each year it covers', () => {
    for (const year of [2025, 2026]) {
      const first = Date.parse(`${year}-01-01T00:00:00Z`) / DAY;
      const days = Array.from({ length: 365 }, (_, index) => first + index);
      assert.equal(days.filter((day) => isWorkingDay(day, calendar)).length, 248, String(year));
    }
  });

  test('ends with the last millisecond of the day, in local time', () => {
    assert.equal(
      deadline(at('2026-11-23T10:00:00'), { limit: 0, unit: 'wd' }, calendar).at,
      at('2026-11-23T23:59:59.999'),
    );
    assert.equal(due('2026-11-23T00:00:00', 1), '2026-11-24');
    assert.equal(due('2026-11-23T07:59:59', 1), '2026-11-24', 'still the day before in UTC');
  });

  test('counts what happens after 17:00 or on a day off as made on the next working day', () => {
    assert.equal(due('2026-11-23T17:00:00', 0), '2026-11-23');
    assert.equal(due('2026-11-23T17:00:00.001', 0), '2026-11-24');
    assert.equal(due('2026-11-20T18:00:00', 1), '2026-11-24', 'Friday evening counts as Monday');
    assert.equal(due('2026-11-21T09:00:00', 1), '2026-11-24', 'Saturday counts as Monday');
    assert.equal(due('2026-02-14T09:00:00', 0), '2026-02-14', 'a Saturday that is worked');
  });

  test('counts calendar days where the item says so', () => {
    assert.equal(due('2026-02-13T10:00:00', 3, 'day'), '2026-02-16');
    assert.equal(due('2026-11-21T10:00:00', 3, 'day'), '2026-11-26');
    assert.equal(due('2026-12-30T10:00:00', 30, 'day'), '2027-01-29', 'needs no working day it does not know');
  });

  test('says provisional of days the table does not cover', () => {
    assert.equal(due('2024-12-31T10:00:00', 1), '2025-01-02 provisional');
    assert.equal(due('2026-12-31T18:00:00', 0), '2027-01-01 provisional');
    assert.equal(due('2031-05-05T10:00:00', 1, 'day'), '2031-05-06 provisional');
  });

  const moments = fc.integer({ min: at('2024-06-01T00:00:00'), max: at('2028-06-01T00:00:00') });
  const limits = fc.integer({ min: 0, max: 60 });

  test('never gives less time for a longer limit, nor an earlier end for a later start', () => {
    fc.assert(
      fc.property(
        moments,
        moments,
        limits,
        limits,
        fc.constantFrom('wd' as const, 'day' as const),
        (a, b, m, n, unit) => {
          const end = (start: number, limit: number) => deadline(start, { limit, unit }, calendar).at;
          const [early, later] = a <= b ? [a, b] : [b, a];
          const [short, long] = m <= n ? [m, n] : [n, m];
          assert.ok(end(early, short) <= end(early, long));
          assert.ok(end(early, short) <= end(later, short));
          assert.ok(end(early, short) >= early);
          if (short < long) assert.ok(end(early, short) < end(early, long));
        },
      ),
    );
  });

  test('ends a limit in working days on a working day, with that many of them since the start', () => {
    fc.assert(
      fc.property(moments, limits, (start, limit) => {
        const counted = Math.floor((deadline(start, { limit: 0, unit: 'wd' }, calendar).at + 8 * 3_600_000) / DAY);
        const end = Math.floor((deadline(start, { limit, unit: 'wd' }, calendar).at + 8 * 3_600_000) / DAY);
        assert.ok(isWorkingDay(end, calendar));
        let between = 0;
        for (let day = counted + 1; day <= end; day++) if (isWorkingDay(day, calendar)) between++;
        assert.equal(between, limit);
      }),
    );
  });

  test('refuses a table that contradicts itself', () => {
    const table = { coveredFrom: '2026-01-01', coveredThrough: '2026-12-31', daysOff: ['2026-01-01'], makeUpDays: [] };
    assert.throws(() => readCalendar({ ...table, daysOff: ['2026-02-30'] }), /2026-02-30.*no date/);
    assert.throws(() => readCalendar({ ...table, daysOff: ['2027-01-01'] }), /outside/);
    assert.throws(() => readCalendar({ ...table, daysOff: ['2026-01-03/2026-01-01'] }), /before it begins/);
    assert.throws(() => readCalendar({ ...table, makeUpDays: ['2026-01-01'] }), /both/);
  });
});
