import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Fault } from '../../../contracts/ports/fault.ts';
import { buildXml, openXml } from './xml.ts';
import { rootOf } from './xml-root.ts';

const code = (text: string): string => {
  try {
    openXml(text);
    return 'read';
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    assert.equal(error.kind, 'malformed');
    return error.reason.code;
  }
};

/** ms of the quickest of three: what else runs on the machine is not what is measured. */
function quickest(run: () => void): number {
  const times = [1, 2, 3].map(() => {
    const began = performance.now();
    run();
    return performance.now() - began;
  });
  return Math.min(...times);
}

describe('the root of a document, found in one pass', () => {
  test('45 comments without text and an x: 316 bytes no longer hold the process', () => {
    const text = `${'<!---->'.repeat(45)}x`;
    assert.equal(text.length, 316);
    assert.equal(rootOf(text), undefined);
    assert.equal(rootOf(`${'<!---->'.repeat(45)}<a/>`), 'a');
    for (const part of ['<!---->', '<!-->', '<??>', '<!doctype>', ' ', '\n<?', '<!--', '<!doctype', '<a:', ':', '.'])
      assert.ok(quickest(() => rootOf(part.repeat(150_000))) < 100, part);
  });

  test('what may stand before it: a declaration, comments, a DOCTYPE, white space', () => {
    for (const [text, root] of [
      ['<service/>', 'service'],
      ['\n <?xml version="1.0" encoding="GBK"?>\n<!-- a > b --><soap:Envelope xmlns:soap="x">', 'Envelope'],
      ['<!DOCTYPE html>\n<HTML><body>', 'HTML'],
      ['\ufeff<a>', 'a'],
      ['<ns:_a-1.2 >', '_a-1.2'],
      ['<a:>', 'a'],
    ] as const)
      assert.equal(rootOf(text), root, text);
    for (const text of ['', 'x', '{"a": 1}', '<', '<1>', '< a>', '</a>', '<?xml', '<!-- x', '<!ELEMENT a>', 'x<a>'])
      assert.equal(rootOf(text), undefined, text);
  });
});

describe('XML as JSON', () => {
  test('texts stay as they were written; attributes, lists, CDATA and prefixes have their places', () => {
    assert.deepEqual(
      openXml(
        '\n<?xml version="1.0" encoding="GBK"?><s:service xmlns:s="u" s:k=" 1 "><ROW>0012</ROW><ROW a="&lt;">x&#x4e2d;&nbsp;</ROW><e/><w> </w>\n<c><![CDATA[<x>]]>y<!-- n -->z</c></s:service>\n',
        { lists: ['e'] },
      ),
      {
        service: {
          '@k': ' 1 ',
          ROW: ['0012', { '@a': '<', '#text': 'x中\u00a0' }],
          e: [''],
          w: ' ',
          c: '<x>yz',
        },
      },
    );
  });

  test('names that objects have by themselves are names like any other', () => {
    const read = openXml('<a><constructor>1</constructor><toString/><__proto__>2</__proto__>&constructor;</a>');
    assert.deepEqual(Object.entries(read.a as object), [
      ['constructor', '1'],
      ['toString', ''],
      ['#__proto__', '2'],
      ['#text', '&constructor;'],
    ]);
  });

  test('what is torn, twice, or no XML is malformed, and is never quoted', () => {
    for (const text of [
      '',
      'x',
      '<a>',
      '<a><b></a>',
      '<a/><b/>',
      '<a/>x',
      '<a b/>',
      '<a b=1/>',
      '<a b="1" b="2"/>',
      '<a',
    ])
      assert.equal(code(text), 'xml', text);
    assert.equal(code(`<!DOCTYPE a><a/>`), 'doctype');
    assert.equal(code('<a>'.repeat(65)), 'tooDeep');
    assert.equal(code(`${'<a>'.repeat(64)}${'</a>'.repeat(64)}`), 'read');
    assert.throws(
      () => openXml('<a>张三</b>'),
      (error) => error instanceof Fault && !/张三|</.test(error.reason.zh + error.reason.en),
    );
  });

  test('written and read again: the same', () => {
    const text = fc.string({ unit: 'grapheme' }).map((one) => one.replaceAll(/[^\u0020-\ud7ff]/g, '').trim());
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('a', 'b', 'ROW', '@k'), text, { minKeys: 1 }), (fields) => {
        const document = { root: fields };
        assert.deepEqual(openXml(buildXml({ root: { ...fields, end: 'x' } })), {
          root: { ...document.root, end: 'x' },
        });
      }),
      { seed: 7, numRuns: 300 },
    );
  });

  test('hostile bytes of the greatest size: read or refused in time that grows with their length only', () => {
    for (const hostile of HOSTILE) assert.ok(quickest(() => code(hostile)) < 1_000, hostile.slice(0, 24));
  });

  test('any text: read, or malformed; nothing else is thrown', () => {
    const parts = fc.constantFrom(
      '<',
      '>',
      '</',
      'a',
      ' ',
      '=',
      '"',
      '&',
      ';',
      '#',
      '<!--',
      '-->',
      '<![CDATA[',
      ']]>',
      '<?',
      '?>',
      '中',
      '\ud800',
      '\0',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.array(parts, { maxLength: 40 }).map((all) => all.join('')),
        ),
        (text) => {
          code(text);
          rootOf(text);
        },
      ),
      { seed: 7, numRuns: 3_000 },
    );
  });
});

const MIB = 1_048_576;
const filled = (unit: string, before = '', after = ''): string =>
  before + unit.repeat(Math.floor((MIB - before.length - after.length) / unit.length)) + after;
const HOSTILE = [
  filled('<!---->'),
  filled('<!---->', '<a>', '</a>'),
  filled('<![CDATA[', '<a>'),
  filled('<![CDATA[]]>', '<a>', '</a>'),
  filled(']]>', '<a>', '</a>'),
  filled('&a;', '<a>', '</a>'),
  filled('&', '<a>', '</a>'),
  filled('&#x41;', '<a>', '</a>'),
  filled('<a>'),
  filled('<'),
  filled('<b/>', '<a>', '</a>'),
  filled('x<b/>', '<a>', '</a>'),
  filled(' ', '<a ', '/>'),
  filled('x', '<a b="'),
  filled('a ', '<a ', '/>'),
  filled('</a>', '<a>'),
  filled(':', '<a', '/>'),
  `<a${Array.from({ length: 80_000 }, (_, at) => ` a${at}="1"`).join('')}/>`,
];
