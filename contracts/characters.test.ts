import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { toHalfWidth, toUpperLetters, unwantedCharacters, withNameDots, withoutUnwanted } from './characters.ts';

describe('characters that nobody means to write', () => {
  const unwanted = [
    ...[0x00, 0x09, 0x0a, 0x1f, 0x7f, 0x85, 0x9f, 0xa0, 0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x1680, 0x180e],
    ...[0x2000, 0x2007, 0x200a, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x202f],
    ...[0x205f, 0x2060, 0x2064, 0x2066, 0x2069, 0x2800, 0x3000, 0x3164, 0xe000, 0xe5e5, 0xf8ff, 0xfdd0, 0xfe00],
    ...[0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0xfffc, 0xfffd, 0xfffe, 0xffff, 0x1d173, 0x1fffe, 0x2ffff, 0x3fffe],
    ...[0x40000, 0xe0001, 0xe0100, 0xe01ef, 0xf0000, 0x10fffd, 0x10ffff],
  ];
  for (const code of unwanted) {
    const name = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
    test(`${name} is told with its place, inside and at either end`, () => {
      const character = String.fromCodePoint(code);
      assert.deepEqual(unwantedCharacters(`𠮷${character}样例`), [{ at: 2, codePoint: name }]);
      assert.deepEqual(unwantedCharacters(`${character}样例`), [{ at: 1, codePoint: name }]);
      assert.deepEqual(unwantedCharacters(`样例${character}`), [{ at: 3, codePoint: name }]);
    });
  }

  test('half a surrogate pair is told, on either side', () => {
    assert.deepEqual(unwantedCharacters('张\ud842'), [{ at: 2, codePoint: 'U+D842' }]);
    assert.deepEqual(unwantedCharacters('\udfb7张'), [{ at: 1, codePoint: 'U+DFB7' }]);
  });

  test('rare Han characters of all planes, compatibility forms, foreign letters, accents and the middle dot are names', () => {
    for (const name of [
      '王㙓',
      '陈𠮷',
      '䶮样例',
      '阿依努尔·样例',
      '欧阳样例',
      '丂鿿',
      '金龜',
      'José Ñandú',
      'J. R. Smith',
    ])
      assert.deepEqual(unwantedCharacters(name), [], name);
    for (const code of [0x3400, 0x4e00, 0x9fff, 0x20000, 0x2a6df, 0x2ebf0, 0x2f800, 0x30000, 0x31350, 0x323b0, 0x33479])
      assert.deepEqual(unwantedCharacters(String.fromCodePoint(code)), [], code.toString(16));
  });

  test('without them nothing of that kind is left, and nothing else is gone', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const rest = withoutUnwanted(text);
        assert.deepEqual(unwantedCharacters(rest), []);
        assert.equal(Array.from(rest).length, Array.from(text).length - unwantedCharacters(text).length);
      }),
    );
  });
});

describe('the dot of a name', () => {
  for (const dot of ['•', '・', '‧', '･', '∙', '⋅', '．', '.', '﹒', '․', '⸱', '·'])
    test(`U+${dot.charCodeAt(0).toString(16)} between letters is read as the middle dot`, () => {
      assert.equal(withNameDots(`阿依古丽${dot}买买提`), '阿依古丽·买买提');
      assert.equal(withNameDots(`阿${dot}依${dot}古`), '阿·依·古');
      assert.equal(withNameDots(`阿依古丽 ${dot} 买买提`), '阿依古丽 · 买买提');
      assert.equal(withNameDots(`𠮷${dot}㙓`), '𠮷·㙓');
    });

  test('a full stop between Latin letters is a full stop, and a dot at an end is no dot of a name', () => {
    for (const name of ['J.R. Smith', 'St.John', '张样例•', '•张样例', '张1•2例', '•', ''])
      assert.equal(withNameDots(name), name);
    assert.equal(withNameDots('Anna•Maria'), 'Anna·Maria');
  });

  test('is read once: what was read is read the same again', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => withNameDots(withNameDots(text)) === withNameDots(text)),
    );
  });

  test('is read in time that grows with the text only', () => {
    const started = process.cpuUsage().user;
    withNameDots(`张${' •'.repeat(200_000)} 例`);
    assert.ok(process.cpuUsage().user - started < 5_000_000);
  });
});

test('full-width ASCII is half-width in numbers, and nothing else changes', () => {
  assert.equal(toHalfWidth('３３１１２４１９６８０９０９００９ｘ'), '33112419680909009x');
  assert.equal(toHalfWidth('浙（２０２６）松阳县不动产权第０００１２３４号'), '浙(2026)松阳县不动产权第0001234号');
  assert.equal(toHalfWidth('９５００００．００'), '950000.00');
  assert.equal(toHalfWidth('㈠①Ⅷ，。·𝟙\u3000'), '㈠①Ⅷ，。·𝟙\u3000'.replace('，', ','));
  assert.equal(toUpperLetters('33112419680909009xßé'), '33112419680909009Xßé');
});
