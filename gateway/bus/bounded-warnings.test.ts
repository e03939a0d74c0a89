import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HandClock } from '../../test/support/hand-clock.ts';
import { type LogLine, logInto } from '../../test/support/party.ts';
import { BoundedWarnings } from './bounded-warnings.ts';

test('some warnings of each minute are told, and of the rest how many there were', () => {
  const lines: LogLine[] = [];
  const clock = new HandClock();
  const warnings = new BoundedWarnings(clock, logInto(lines), { lane: 'tax' });
  for (let n = 0; n < 1_000; n += 1) warnings.warn('forged', { n });
  assert.equal(lines.length, 20);
  clock.move(60_000);
  warnings.warn('forged', { n: 1_000 });
  assert.deepEqual(
    lines.slice(20).map(({ level, message, fields }) => [level, message, fields]),
    [
      ['warn', 'more of the same was not told one by one', { lane: 'tax', count: 980 }],
      ['warn', 'forged', { n: 1_000 }],
    ],
  );
});
