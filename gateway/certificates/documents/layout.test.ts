import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { band, watermark, wrap } from './layout.ts';

/** As a Chinese font measures: an ideograph is as wide as high, a Latin letter about half of it. */
const measure = (text: string) =>
  Array.from(text, (one): number => (one < '\x7f' ? 0.5 : 1)).reduce((sum, one) => sum + one, 0);

describe('wrapping', () => {
  test('Chinese anywhere, Latin words whole', () => {
    assert.deepEqual(wrap('仅供不动产转移登记使用', 4, measure), ['仅供不动', '产转移登', '记使用']);
    assert.deepEqual(wrap('only for the sale of a house', 5, measure), ['only for', 'the sale', 'of a house']);
    assert.deepEqual(wrap('办件 331124261123000001', 9, measure), ['办件', '331124261123000001']);
  });
  test('a word longer than a line is divided', () => {
    assert.deepEqual(wrap('331124261123000001', 4, measure), ['33112426', '11230000', '01']);
  });
  test('nothing is lost, and no line is too long', () => {
    const text = fc.string({ unit: fc.constantFrom('仅', '供', 'a', '1', '-', ' ', '（'), maxLength: 60 });
    fc.assert(
      fc.property(text, fc.double({ min: 1, max: 20, noNaN: true }), (words, room) => {
        const lines = wrap(words, room, measure);
        assert.equal(lines.join('').replaceAll(' ', ''), words.replaceAll(' ', ''));
        for (const line of lines) assert.ok(measure(line) <= room, `"${line}" is wider than ${room}`);
      }),
    );
  });
});

const WORDS = {
  zh: '仅供 不动产转移登记（二手房买卖） 使用 · 示例县自然资源和规划局 · 2026-11-23 · 办件 331124261123000001',
  en: 'only for transfer of real estate · 示例县自然资源和规划局 · 2026-11-23 · case 331124261123000001',
};

const sides = fc.double({ min: 3, max: 14_400, noNaN: true });

describe('the foot of a page', () => {
  test('on A4 two lines of 9 points', () => {
    const { lines, size } = band(WORDS, 595, 842, measure);
    assert.equal(lines.length, 2);
    assert.ok(Math.abs(size - 9) < 0.1);
  });
  test('on any sheet it stays on the sheet, in its lower third', () => {
    fc.assert(
      fc.property(sides, sides, fc.integer({ min: 1, max: 8 }), (width, height, times) => {
        const words = { zh: WORDS.zh.repeat(times), en: WORDS.en.repeat(times) };
        const { lines, size, lineHeight, x, y, height: high } = band(words, width, height, measure);
        assert.ok(size > 0 && x > 0 && high <= height / 3 + 0.001);
        assert.ok(y < high && y - (lines.length - 1) * lineHeight > 0);
        for (const line of lines) assert.ok(x + measure(line) * size <= width);
      }),
    );
  });
});

describe('the watermark', () => {
  test('every sheet has some, none has hundreds', () => {
    fc.assert(
      fc.property(sides, sides, (width, height) => {
        const { places, angle, lines } = watermark(WORDS.zh, width, height, measure);
        const least = Math.max(width, height) / Math.min(width, height) < 3 ? 3 : 1;
        assert.ok(places.length >= least && places.length <= 36, `${places.length} places`);
        assert.ok(angle > 0 && angle <= Math.PI / 4);
        assert.equal(lines.join('').replaceAll(' ', ''), WORDS.zh.replaceAll(' ', ''));
      }),
    );
  });
});
