import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { partyFolders, readParties } from '../../adapters/load.ts';
import { loadContracts } from '../../contracts/load.ts';
import type { Adapter } from '../../contracts/ports/adapter.ts';
import { wallClock } from '../../contracts/ports/clock.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };

/** The greatest body that the gateway takes at a callback. */
const MIB = 1_048_576;
/** So long a push that nobody signed may keep everybody else waiting, ms. */
const LONGEST_MS = 250;

const filled = (unit: string | Buffer, before = '', after = ''): Buffer => {
  const [one, head, tail] = [Buffer.from(unit), Buffer.from(before), Buffer.from(after)];
  const times = Math.floor((MIB - head.length - tail.length) / one.length);
  return Buffer.concat([head, ...Array.from({ length: times }, () => one), tail]);
};

const HOSTILE: { readonly [what: string]: Buffer } = {
  'comments and an x': Buffer.from(`${'<!---->'.repeat(45)}x`),
  'comments without end': filled('<!---->', '', 'x'),
  'a DOCTYPE again and again': filled('<!DOCTYPE '),
  'declarations without end': filled('<?'),
  'CDATA never closed': filled('<![CDATA[', '<a>'),
  'CDATA closed again and again': filled('<![CDATA[]]>', '<a>', '</a>'),
  'entities nobody knows': filled('&x;', '<a>', '</a>'),
  'entities of characters': filled('&#x41;', '<a>', '</a>'),
  'an attribute without end': filled('x', '<a b="'),
  'attributes without end': filled(' b=""', '<a'),
  'many attributes': Buffer.from(`<a${Array.from({ length: 80_000 }, (_, at) => ` a${at}="1"`).join('')}/>`),
  'elements in elements': filled('<a>'),
  'many elements': filled('<b/>', '<a>', '</a>'),
  'lists in lists': filled('['),
  'many lists': filled('[],', '[', '0]'),
  'many numbers': filled('1,', '[', '1]'),
  'one long number': filled('9'),
  'many texts': filled('"",', '[', '""]'),
  'a text never closed': filled('\\u0041', '"'),
  'fields of a form': filled('a=%D5%C5&'),
  'a form torn at its end': filled('%D5', 'a=', '%'),
  'white space': filled(' '),
  'halves of GBK': filled(Buffer.from([0x81])),
  'what is neither': filled(Buffer.from([0xff])),
  'GB18030 of four bytes': filled(Buffer.from([0x81, 0x30, 0x81, 0x30])),
  'Han characters': filled('中'),
};

/** The longest time for which nothing else came to its turn while this ran, ms; the shortest of three, for others use the machine too. */
async function longestStall(run: () => Promise<unknown>): Promise<number> {
  const stalls: number[] = [];
  for (let turn = 0; turn < 3; turn += 1) {
    let last = performance.now();
    let longest = 0;
    const beat = setInterval(() => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
    }, 1);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await run();
    longest = Math.max(longest, performance.now() - last);
    clearInterval(beat);
    stalls.push(longest);
    if (longest < LONGEST_MS) break;
  }
  return Math.min(...stalls);
}

describe('a push that nobody signed keeps nobody waiting', async () => {
  const published = new Set((await loadContracts(path.join(root, 'contracts', 'schemas'))).map(({ name }) => name));
  const adapters = path.join(root, 'adapters');
  const { parties } = await readParties(adapters, published);
  const pushing = (await partyFolders(adapters)).flatMap((party) => {
    const manifest = parse(readFileSync(path.join(adapters, party, 'manifest.yaml'), 'utf8'), { merge: true });
    return manifest.operations.collect?.callback === undefined
      ? []
      : [{ party, settings: manifest.settings as JsonObject }];
  });

  test('there are parties that push', () => assert.ok(pushing.length > 0));

  for (const { party, settings } of pushing) {
    test(party, async () => {
      const given = Object.fromEntries(
        (settings.required as string[]).map((name) => [
          name,
          name === 'baseUrl' ? 'http://127.0.0.1:1' : '5a'.repeat(16),
        ]),
      );
      const { adapter } =
        parties.find((one) => one.party === party)?.connect(given, { clock: wallClock, log: silent }) ?? assert.fail();
      try {
        for (const [what, body] of Object.entries(HOSTILE))
          for (const type of ['application/json', 'text/xml; charset=GBK', 'application/x-www-form-urlencoded']) {
            assert.ok(body.length <= MIB);
            const stall = await longestStall(() => push(adapter, body, type));
            assert.ok(stall < LONGEST_MS, `${what} as ${type}: ${Math.round(stall)} ms`);
          }
      } finally {
        await adapter.close();
      }
    });
  }
});

async function push(adapter: Adapter, body: Buffer, type: string): Promise<void> {
  const reply = await adapter.callback?.(
    { method: 'POST', path: '/', query: {}, headers: { 'content-type': type, 'x-bdc-sign': 'f'.repeat(64) }, body },
    { accept: () => assert.fail('nobody signed it'), changed: () => assert.fail('nobody signed it') },
    { signal: new AbortController().signal, attempt: 1, traceparent: '', log: silent },
  );
  assert.equal(reply?.unverified, true);
}
