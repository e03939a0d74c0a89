import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { opensAt } from './hours.ts';

/** Local time (+08:00) of a day in November. */
const at = (day: number, time: string) => Date.parse(`2026-11-${day}T${time}:00+08:00`);

describe('closed hours, in local time', () => {
  test('a span of the day is closed from its first minute to before its last', () => {
    const lunch = ['12:00-13:30'];
    assert.equal(opensAt(lunch, at(23, '11:59')), null);
    assert.equal(opensAt(lunch, at(23, '12:00')), at(23, '13:30'));
    assert.equal(opensAt(lunch, at(23, '13:30')), null);
  });

  test('a span may pass midnight: the evening opens tomorrow, the early morning today', () => {
    const night = ['18:00-08:00'];
    assert.equal(opensAt(night, at(23, '17:59')), null);
    assert.equal(opensAt(night, at(23, '18:00')), at(24, '08:00'));
    assert.equal(opensAt(night, at(24, '00:00')), at(24, '08:00'));
    assert.equal(opensAt(night, at(24, '07:59')), at(24, '08:00'));
    assert.equal(opensAt(night, at(24, '08:00')), null);
  });

  test('where one span ends in another, it opens at the end of the last', () => {
    const spans = ['22:00-24:00', '00:00-06:00', '05:00-07:30'];
    assert.equal(opensAt(spans, at(23, '23:00')), at(24, '07:30'));
    assert.equal(opensAt(spans, at(23, '08:00')), null);
  });

  test('without spans it never closes', () => {
    assert.equal(opensAt([], at(23, '03:00')), null);
  });
});
