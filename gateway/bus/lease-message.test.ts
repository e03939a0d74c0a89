import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LONGEST, PROPERTIES, read, write } from './lease-message.ts';

const digits = (n: number) => fc.stringMatching(new RegExp(`^\\d{${n}}$`));
const name = fc.record({
  lane: fc.stringMatching(/^[a-z][a-z0-9-]{1,30}$/),
  id: fc
    .tuple(
      digits(18),
      fc.oneof(
        digits(2),
        fc.tuple(digits(2), fc.integer({ min: 2, max: 999_999 })).map(([no, revision]) => `${no}.${revision}`),
        fc.integer({ min: 1, max: 999_999 }).map((n) => `W${n}`),
      ),
    )
    .map(([caseNo, suffix]) => `${caseNo}-${suffix}`),
  fence: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
});

test('a name is read as it was written, in its own lane, and is short', () => {
  fc.assert(
    fc.property(name, (one) => {
      const content = write(one);
      assert.ok(content.length <= LONGEST);
      assert.deepEqual(read({ content, properties: PROPERTIES }, one.lane), { ...one });
      assert.deepEqual(read({ content, properties: PROPERTIES }, `${one.lane}x`), {
        unreadable: 'it is of another lane',
      });
    }),
  );
});

test('whatever else comes is refused, and nothing of it is said', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
        fc.json().map((text) => Buffer.from(text)),
        // One byte of a true one, changed, put in or left out.
        fc.tuple(name, fc.nat(), fc.nat(255), fc.nat(2)).map(([one, at, byte, how]) => {
          const content = write(one);
          const place = at % content.length;
          return Buffer.concat([
            content.subarray(0, place),
            Buffer.from(how === 2 ? [] : [byte]),
            content.subarray(place + (how === 0 ? 0 : 1)),
          ]);
        }),
      ),
      (content) => {
        const got = read({ content, properties: PROPERTIES }, 'tax');
        if ('unreadable' in got)
          assert.match(got.unreadable, /^(it is|it names|there is)[a-z ]+JSON$|^(it is|it names|there is)[a-z ]+$/);
        // Changed into another name: that it is a true one only the store knows.
        else assert.deepEqual(write(got), content);
      },
    ),
    { numRuns: 2_000 },
  );
});

test('properties that are not ours are refused', () => {
  const content = write({ lane: 'tax', id: '331124261123000001-01', fence: 1 });
  for (const properties of [
    {},
    { ...PROPERTIES, type: 'onewindow.news' },
    { ...PROPERTIES, contentType: undefined },
    { ...PROPERTIES, headers: undefined },
    { ...PROPERTIES, headers: { 'x-onewindow-version': 2 } },
    { ...PROPERTIES, headers: { 'x-onewindow-version': [3] } },
  ])
    assert.ok('unreadable' in read({ content, properties }, 'tax'), JSON.stringify(properties));
});
