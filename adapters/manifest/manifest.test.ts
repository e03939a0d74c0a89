import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import { loadParties } from '../load.ts';
import { ManifestError } from './manifest.ts';

const shipped = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'test', 'support', 'parties');

/** A part of a manifest by its keys. */
function at(manifest: Json, ...keys: readonly (string | number)[]): JsonObject {
  let part: Json | undefined = manifest;
  for (const key of keys) part = (part as { [key: string | number]: Json })[key];
  return part as JsonObject;
}

describe('a manifest is checked whole when it is read', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'parties-'));
    cpSync(shipped, folder, { recursive: true });
  });
  after(() => rmSync(folder, { recursive: true }));

  const original = (party: string) => readFileSync(path.join(shipped, party, 'manifest.yaml'), 'utf8');
  const write = (party: string, text: string): void => writeFileSync(path.join(folder, party, 'manifest.yaml'), text);
  async function mistakes(): Promise<readonly string[]> {
    try {
      await loadParties(folder);
    } catch (error) {
      assert.ok(error instanceof ManifestError, String(error));
      for (const mistake of error.mistakes) assert.ok(error.message.includes(mistake));
      return error.mistakes;
    }
    return [];
  }
  /** The mistakes of one manifest that was changed; it is put back afterwards. */
  async function mistaken(party: string, change: (manifest: JsonObject) => void): Promise<readonly string[]> {
    // Parts that YAML shares become parts of their own.
    const manifest = JSON.parse(JSON.stringify(parse(original(party), { merge: true }))) as JsonObject;
    change(manifest);
    write(party, JSON.stringify(manifest));
    try {
      return (await mistakes()).map((mistake) => mistake.replace(`${party}/manifest.yaml `, ''));
    } finally {
      write(party, original(party));
    }
  }

  test('as they are, they are right', async () => {
    assert.deepEqual(await mistakes(), []);
    assert.deepEqual(await mistaken('bakery', () => {}), []);
  });

  test('the example of its documentation is right, where a manifest stands around it', async () => {
    const docs = readFileSync(path.join(shipped, '..', '..', '..', 'docs', 'manifest.md'), 'utf8');
    const [, example = ''] = /^```yaml\n# checked\n([\s\S]*?)^```$/m.exec(docs) ?? [];
    const given = parse(example) as { [part: string]: JsonObject };
    assert.deepEqual(Object.keys(given), ['calls', 'answers', 'operations']);
    const told = await mistaken('archive', (manifest) => {
      for (const [part, more] of Object.entries(given)) Object.assign(at(manifest, part), more);
    });
    assert.deepEqual(told, []);
  });

  test('every wrong name at once, each with its place', async () => {
    const told = await mistaken('bakery', (manifest) => {
      manifest.party = 'butchery';
      at(manifest, 'calls', 'look').answers = 'signs';
      at(manifest, 'calls', 'menu', 'send').map = 'mapping/menu.jsonata';
      at(manifest, 'calls', 'ping', 'send').map = '{"a": }';
      Object.assign(at(manifest, 'calls', 'licence', 'send'), { as: 'fixed', layout: 'wide' });
      Object.assign(at(manifest, 'calls', 'taste', 'read'), { as: 'fixed' });
      at(manifest, 'operations', 'probe').calls = ['ping', 'pong'];
      at(manifest, 'operations', 'deliver', 'bakery.loaf@1').result = 'bakery.crumb@1';
      at(manifest, 'operations', 'queries', 'menu').reply = 'bakery.card@1';
      at(manifest, 'operations', 'collect', 'callback').answers = 'pushes';
      at(manifest, 'settings').type = 'objekt';
    });
    assert.deepEqual(told.map((mistake) => mistake.split(': ')[0]).sort(), [
      '/calls/licence/send/layout',
      '/calls/look/answers',
      '/calls/menu/send/map',
      '/calls/ping/send/map',
      '/calls/taste/read/layout',
      '/operations/collect/callback/answers',
      '/operations/deliver/bakery.loaf@1/result',
      '/operations/probe/calls/1',
      '/operations/queries/menu/reply',
      '/party',
      '/settings',
    ]);
    assert.ok(told.includes('/calls/menu/send/map: there is no file mapping/menu.jsonata'));
    assert.ok(told.includes('/operations/probe/calls/1: there is no call pong'));
  });

  test('every wrong shape at once', async () => {
    const told = await mistaken('bakery', (manifest) => {
      manifest.version = '1';
      manifest.colour = 'red';
      at(manifest, 'terms').deadlineMs = '5s';
      at(manifest, 'answers', 'means', 1, 'all', 0).in = [0];
      at(manifest, 'answers', 'means', 2).as = 'maybe';
      at(manifest, 'calls', 'ping', 'send').encoding = 'big5';
    });
    for (const place of [
      '/version',
      '/colour',
      '/terms/deadlineMs',
      '/answers/means/1/all/0/in/0',
      '/answers/means/2/as',
      '/calls/ping/send/encoding',
    ]) {
      assert.ok(
        told.some((mistake) => mistake.startsWith(`${place}:`)),
        `${place} in\n${told.join('\n')}`,
      );
    }
  });

  const lacks: readonly (readonly [string, string, (manifest: JsonObject) => void, string])[] = [
    [
      'who is not idempotent must be asked after silence',
      'bakery',
      (manifest) => delete at(manifest, 'operations', 'inquire')['bakery.cake@1'],
      '/operations/deliver/bakery.cake@1: a party that is not idempotent must be asked after silence: `inquire` is missing',
    ],
    [
      'who answers at once needs an answer',
      'bakery',
      (manifest) => delete at(manifest, 'operations', 'deliver', 'bakery.loaf@1').answer,
      '/operations/deliver/bakery.loaf@1: a party that answers at once needs an `answer`',
    ],
    [
      'and has it when asked, too',
      'bakery',
      (manifest) => delete at(manifest, 'operations', 'inquire', 'bakery.loaf@1').answer,
      '/operations/inquire/bakery.loaf@1: a party that answers at once has answered already: its inquiry needs an `answer`',
    ],
    [
      'who answers later must be fetched from',
      'bakery',
      (manifest) => delete at(manifest, 'operations').collect,
      '/operations/deliver/bakery.cake@1: its answer comes later, and neither `collect.ask` nor `collect.callback` fetches it',
    ],
    [
      'and somebody must say when',
      'bakery',
      (manifest) => {
        delete at(manifest, 'operations', 'collect').callback;
        delete at(manifest, 'terms').askAfterMs;
      },
      '/terms/askAfterMs: the answer to bakery.cake@1 is only ever asked for, and nothing says when',
    ],
    [
      'who never replies answers nothing',
      'dairy',
      (manifest) => void Object.assign(at(manifest, 'operations', 'deliver', 'dairy.milk@1'), { answer: '{}' }),
      '/operations/deliver/dairy.milk@1: who never replies has no `result` and no `answer`',
    ],
    [
      'a delivery ends in a write',
      'bakery',
      (manifest) => void Object.assign(at(manifest, 'calls', 'bake'), { write: false }),
      '/operations/deliver/bakery.loaf@1/calls/1: the last call of a delivery must be a write, and bake is none',
    ],
    [
      'what comes before the write is repeated, and has no effect',
      'bakery',
      (manifest) => void Object.assign(at(manifest, 'calls', 'taste'), { write: true }),
      '/operations/deliver/bakery.loaf@1/calls/0: taste is a write, and only the last call of a delivery may be one',
    ],
    [
      'a question has no effect',
      'bakery',
      (manifest) => void Object.assign(at(manifest, 'calls', 'menu'), { write: true }),
      '/operations/queries/menu/calls/0: menu is a write, and only the last call of a delivery may be one',
    ],
    [
      'nor has a log-in',
      'dairy',
      (manifest) => void Object.assign(at(manifest, 'calls', 'login'), { write: true }),
      '/session/login/calls/0: login is a write, and only the last call of a delivery may be one',
    ],
    [
      'an inquiry speaks of what is delivered',
      'bakery',
      (manifest) => void Object.assign(at(manifest, 'operations', 'inquire'), { 'bakery.pie@1': { calls: ['look'] } }),
      '/operations/inquire/bakery.pie@1: bakery.pie@1 is not delivered',
    ],
    [
      'http needs to know where',
      'bakery',
      (manifest) => delete at(manifest, 'settings', 'properties').baseUrl,
      '/settings/properties: this wire needs the setting baseUrl',
    ],
    [
      'so does a frame',
      'ferry',
      (manifest) => delete at(manifest, 'settings', 'properties').port,
      '/settings/properties: this wire needs the setting port',
    ],
    [
      'a backoff does not shrink',
      'ferry',
      (manifest) => void Object.assign(at(manifest, 'terms'), { backoffMs: { first: 10, max: 5 } }),
      '/terms/backoffMs/max: expected at least backoffMs.first',
    ],
    [
      'a push that only tells of changes fetches no answer',
      'bakery',
      (manifest) => {
        delete at(manifest, 'operations', 'collect').ask;
        const callback = at(manifest, 'operations', 'collect', 'callback');
        delete callback.about;
        delete callback.answer;
        callback.changed = 'reply.changes';
      },
      '/operations/deliver/bakery.cake@1: its answer comes later, and neither `collect.ask` nor `collect.callback` fetches it',
    ],
    [
      'who pushes that something changed says what',
      'bakery',
      (manifest) =>
        void (at(manifest, 'answers').means as Json[]).push({
          as: 'changed',
          all: [{ path: 'means', in: ['changed'] }],
        }),
      '/operations/collect/callback: a rule says `changed`, and no expression says what changed',
    ],
    [
      'a push is no file',
      'archive',
      (manifest) => void Object.assign(at(manifest, 'operations', 'collect', 'callback', 'read'), { as: 'bytes' }),
      '/operations/collect/callback/read/as: a push is read whole: `bytes` is for files',
    ],
    [
      'bytes are the end of a document',
      'archive',
      (manifest) => void (at(manifest, 'operations', 'documents', '11100000000013127D001').calls as Json[]).reverse(),
      '/operations/documents/11100000000013127D001/calls/0: scan hands on bytes, and only the last call of a document may do so',
    ],
    [
      'and of nothing else',
      'archive',
      (manifest) => void Object.assign(at(manifest, 'operations', 'verify'), { calls: ['scan'] }),
      '/operations/verify/calls/0: scan hands on bytes, and only the last call of a document may do so',
    ],
    [
      'a file is the reply, or stands in it',
      'archive',
      (manifest) => delete at(manifest, 'operations', 'documents', '*').base64,
      '/operations/documents/*: the file is the reply of the last call (`read: {as: bytes}`), or `base64` inside it: one of the two',
    ],
    [
      'and not both',
      'archive',
      (manifest) =>
        void Object.assign(at(manifest, 'operations', 'documents', '11100000000013127D001'), { base64: 'reply' }),
      '/operations/documents/11100000000013127D001: the file is the reply of the last call (`read: {as: bytes}`), or `base64` inside it: one of the two',
    ],
    [
      'a file of what it does not keep',
      'archive',
      (manifest) =>
        void Object.assign(at(manifest, 'operations', 'documents'), { '11100000MB03271699001': { calls: ['scan'] } }),
      '/operations/documents/11100000MB03271699001: 11100000MB03271699001 is no certificate of this party',
    ],
    [
      'frames hand no bytes on',
      'ferry',
      (manifest) => void Object.assign(at(manifest, 'calls', 'cross', 'read'), { as: 'bytes' }),
      '/calls/cross/read/as: only the http wire hands bytes on',
    ],
  ];
  for (const [what, party, change, mistake] of lacks) {
    test(what, async () => assert.ok((await mistaken(party, change)).includes(mistake)));
  }

  test('a mapping may not use what cannot be bounded, or is not given to it', async () => {
    for (const source of ['$now()', '$match(reply.a, /a(?=b)/)', '$eval("1")', '$random()']) {
      const [mistake] = await mistaken('bakery', (manifest) => {
        at(manifest, 'calls', 'ping', 'send').map = source;
      });
      assert.match(mistake ?? '', /^\/calls\/ping\/send\/map: /, source);
    }
  });

  test('a value of an envelope is fixed only where there is an envelope: every other place is told', async () => {
    const once = '$once("serial", 1)';
    const inBakery = await mistaken('bakery', (manifest) => {
      for (const call of ['menu', 'licence', 'ping']) at(manifest, 'calls', call, 'send').map = once;
      at(manifest, 'calls', 'taste', 'read').open = once;
      at(manifest, 'operations', 'queries', 'menu').answer = once;
      at(manifest, 'operations', 'certificates', '11100000000013127D001').answer = once;
      for (const part of ['verify', 'about', 'answer']) at(manifest, 'operations', 'collect', 'callback')[part] = once;
      at(manifest, 'operations', 'collect', 'callback', 'reply').text = once;
    });
    assert.deepEqual(inBakery.map((mistake) => mistake.split(': ')[0]).sort(), [
      '/calls/taste/read/open',
      '/operations/certificates/11100000000013127D001/answer',
      '/operations/certificates/11100000000013127D001/calls/0',
      '/operations/collect/callback/about',
      '/operations/collect/callback/answer',
      '/operations/collect/callback/reply/text',
      '/operations/collect/callback/verify',
      '/operations/probe/calls/0',
      '/operations/queries/menu/answer',
      '/operations/queries/menu/calls/0',
    ]);
    const inLogIn = await mistaken('dairy', (manifest) => {
      at(manifest, 'calls', 'login', 'send').seal = `{"headers": {"x": ${once}}}`;
      at(manifest, 'session', 'login').map = once;
    });
    assert.deepEqual(inLogIn.map((mistake) => mistake.split(': ')[0]).sort(), [
      '/session/login/calls/0',
      '/session/login/map',
    ]);
    const inArchive = await mistaken('archive', (manifest) => {
      at(manifest, 'operations', 'documents', '*').base64 = once;
      at(manifest, 'operations', 'verify').answer = once;
    });
    assert.deepEqual(inArchive.map((mistake) => mistake.split(': ')[0]).sort(), [
      '/operations/documents/*/base64',
      '/operations/verify/answer',
    ]);
    const everywhere = await mistaken('mill', (manifest) => {
      for (const [operation, parts] of [
        ['deliver', ['number']],
        ['inquire', ['number', 'answer', 'same']],
      ] as const)
        for (const part of parts) at(manifest, 'operations', operation, 'mill.grind@1')[part] = once;
      for (const part of ['answer', 'at', 'dedupe'])
        at(manifest, 'operations', 'collect', 'ask', 'mill.grind@1')[part] = once;
    });
    assert.deepEqual(everywhere, [], 'and all that is about an envelope may');
  });

  test('the names of such values are known when the manifest is read, and few', async () => {
    for (const source of [
      '$once(envelope.id, 1)',
      '$once("serial")',
      '$once("serial", 1, 2)',
      '"serial" ~> $once(1)',
      '($f := $once; $f("serial", 1))',
      '($once := function($a, $b) {1}; 1)',
      '$map([1], $once)',
      '$once("流水号", 1)',
      `$once("${'x'.repeat(41)}", 1)`,
      '{"a": [{"b": $once("", 1)}]}',
    ]) {
      const told = await mistaken('mill', (manifest) => {
        at(manifest, 'calls', 'store', 'send').map = source;
      });
      assert.equal(told.length, 1, `${source}: ${told.join('; ')}`);
      assert.match(told[0] ?? '', /^\/calls\/store\/send\/map: .*\$once/, source);
    }
    // Two more come from the inquiry.
    const many = await mistaken('mill', (manifest) => {
      const values = Array.from({ length: 15 }, (_, n) => `$once("name-${n}", 1)`);
      at(manifest, 'calls', 'store', 'send').map = `[${values.join(', ')}]`;
    });
    assert.deepEqual(many, [
      '/operations/deliver/mill.store@1: $once fixes 17 values of it, and at most 16 are kept',
      '/operations/deliver/mill.sift@1: $once fixes 17 values of it, and at most 16 are kept',
    ]);
  });

  test('a rest before "unknown" is believed is between nothing and a day, and a comparison is a mapping', async () => {
    const told = await mistaken('mill', (manifest) => {
      at(manifest, 'operations', 'inquire', 'mill.grind@1').settleMs = -1;
      at(manifest, 'operations', 'inquire', 'mill.sift@1').settleMs = 86_400_001;
      at(manifest, 'operations', 'inquire', 'mill.store@1').same = true;
      at(manifest, 'terms').settleMs = '1m';
    });
    assert.deepEqual(told.map((mistake) => mistake.split(': ')[0]).sort(), [
      '/operations/inquire/mill.grind@1/settleMs',
      '/operations/inquire/mill.sift@1/settleMs',
      '/operations/inquire/mill.store@1/same',
      '/terms/settleMs',
    ]);
    const [mistake] = await mistaken('mill', (manifest) => {
      at(manifest, 'operations', 'inquire', 'mill.grind@1').same = 'reply.a = ';
    });
    assert.match(mistake ?? '', /^\/operations\/inquire\/mill.grind@1\/same: not a mapping/);
  });

  test('no YAML, no object, and the mistakes of several folders at once', async () => {
    write('bakery', 'a: [1, 2\nb: }');
    write('dairy', '');
    write('ferry', original('ferry').replace('party: ferry', 'party: gateway'));
    assert.ok((await mistakes()).some((line) => /gateway stands for this gateway itself/.test(line)));
    write('ferry', original('ferry').replace('party: ferry', 'party: canoe'));
    const told = await mistakes();
    for (const party of ['bakery', 'dairy', 'ferry']) {
      assert.ok(
        told.some((mistake) => mistake.startsWith(`${party}/manifest.yaml`)),
        told.join('\n'),
      );
      write(party, original(party));
    }
  });
});
