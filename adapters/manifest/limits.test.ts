import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { valuesAt } from '../../contracts/text-limits.ts';
import { requestOf } from './call.ts';
import { mappingFunctions } from './functions.ts';
import { limitsOf, type PartyLimits } from './limits.ts';
import { type Manifest, readManifest } from './manifest.ts';

const text: JsonObject = { type: 'string', minLength: 1, maxLength: 500 };
const person: JsonObject = { type: 'object', required: ['name'], properties: { name: text, nick: text } };
const SCHEMA: JsonObject = {
  $id: 'mill.grind@1',
  type: 'object',
  properties: {
    kind: { type: 'string', enum: ['wheat', 'rye'] },
    owner: person,
    wheat: text,
    rye: text,
    cut: text,
    replaced: text,
    trimmed: text,
    street: text,
    price: text,
    counted: text,
    unused: text,
    workers: { type: 'array', items: person },
    shared: { $ref: 'shared@1#/$defs/Name' },
  },
};
const SHARED: JsonObject = { $id: 'shared@1', $defs: { Name: text } };

const FIELDS = {
  name: 'envelope.body.owner.name',
  nick: 'envelope.body.owner.nick ? envelope.body.owner.nick : "-"',
  grain: 'envelope.body.kind = "wheat" ? envelope.body.wheat : envelope.body.rye',
  cut: '$substring(envelope.body.cut, 0, 10)',
  replaced: '$replace(envelope.body.replaced, "•", "·")',
  trimmed: '$trim(envelope.body.trimmed)',
  street: '"松阳县" & envelope.body.street & "号"',
  price: '$fen(envelope.body.price)',
  counted: '$string($length(envelope.body.counted))',
  first: 'envelope.body.workers[0].name',
  all: '$join(envelope.body.workers.name, "、")',
  shared: 'envelope.body.shared',
  seq: '$sequence(6)',
  code: '$code("kinds", envelope.body.kind)',
};
const expression = (fields: { readonly [name: string]: string }): string =>
  `{${Object.entries(fields)
    .map(([name, source]) => `"${name}": ${source}`)
    .join(', ')}}`;

const manifest = (send: string): string => `
manifest: 1
party: mill
title: { zh: 磨坊, en: Mill }
owner: 样例
version: 1.0.0
settings: { type: object, properties: { baseUrl: { type: string } } }
terms: { idempotent: true }
wire: { kind: http }
codes: { kinds: { wheat: "1", rye: "2" } }
layouts:
  grind:
${Object.keys(FIELDS)
  .map((name) => `    - { name: ${name}, bytes: 40 }`)
  .join('\n')}
calls:
  grind:
    write: true
    send: ${send}
    read: { as: json }
    answers: any
  ping:
    send: { as: none, map: "null" }
    read: { as: json }
    answers: any
answers: { any: [{ as: filed, any: [{ status: [200] }] }] }
operations:
  deliver: { mill.grind@1: { calls: [grind], replies: never } }
  probe: { calls: [ping] }
`;

describe('what a party cannot hold, derived from its manifest', () => {
  let home: string;
  before(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'onewindow-limits-'));
  });
  after(() => rm(home, { recursive: true, force: true }));

  async function traced(send: string): Promise<{ read: Manifest; limits: PartyLimits }> {
    const folder = path.join(await mkdtemp(path.join(home, 'of-')), 'mill');
    await mkdir(folder);
    await writeFile(path.join(folder, 'manifest.yaml'), manifest(send));
    await writeFile(path.join(folder, 'map.jsonata'), expression(FIELDS));
    const read = readManifest(folder, mappingFunctions, new Set(['mill.grind@1']));
    return { read, limits: await limitsOf(read, [SCHEMA, SHARED]) };
  }
  const shown = ({ deliver }: PartyLimits): readonly string[] =>
    (deliver['mill.grind@1'] ?? []).map(({ pointer, maxBytes }) => `${pointer} ${maxBytes}`).sort();

  test('of a record: a field that a text fills, with others beside it, rewritten, through a reference; and nothing for what is cut or chosen', async () => {
    const { limits } = await traced('{ as: fixed, encoding: gbk, layout: grind, map: map.jsonata }');
    assert.deepEqual(shown(limits), [
      '/owner/name 40',
      '/owner/nick 40',
      '/price 40',
      '/shared 40',
      '/street 32',
      '/trimmed 40',
      '/workers/*/name 40',
      '/workers/0/name 40',
    ]);
    const of = (pointer: string) =>
      limits.deliver['mill.grind@1']?.find((one) => one.pointer === pointer) ?? assert.fail(pointer);
    assert.deepEqual(of('/owner/name').measure('样•㙓a'), {
      bytes: 3,
      notHeld: [
        { at: 2, codePoint: 'U+2022' },
        { at: 3, codePoint: 'U+3653' },
      ],
    });
    assert.deepEqual(of('/price').measure('12.30'), { bytes: 4, notHeld: [] });
    assert.deepEqual(of('/price').measure('no amount'), { bytes: 0, notHeld: [] });
  });

  test('of a text in an encoding that lacks characters: those alone, whatever they stand beside', async () => {
    const seal = `'{"text": $xml({"Envelope": {"#cdata": text}})}'`;
    const whole = expression({ name: FIELDS.name, all: FIELDS.all, cut: FIELDS.cut });
    for (const as of ['xml', 'json'])
      for (const more of ['', `, seal: ${seal}`]) {
        const { limits } = await traced(`{ as: ${as}, encoding: gbk, onLoss: refuse, map: '{"a": ${whole}}'${more} }`);
        assert.deepEqual(shown(limits), ['/owner/name null', '/workers/*/name null'], `${as}${more}`);
      }
    const { limits } = await traced(`{ as: form, encoding: gbk, map: '${whole}' }`);
    assert.deepEqual(shown(limits), ['/owner/name null', '/workers/*/name null']);
  });

  test('of an encoding that has every character, or of a text that is hidden before it is encoded: nothing', async () => {
    const whole = expression({ name: FIELDS.name });
    for (const send of [
      `{ as: json, map: '${whole}' }`,
      `{ as: xml, encoding: gbk, onLoss: gb18030, map: '{"a": ${whole}}' }`,
      `{ as: xml, encoding: gb18030, map: '{"a": ${whole}}' }`,
      `{ as: json, encoding: gbk, map: '${whole}', seal: '{"text": $base64(text)}' }`,
      `{ as: json, encoding: gbk, map: '${whole}', seal: '{"text": $sm4Encrypt(text, settings.key)}' }`,
    ])
      assert.deepEqual(shown((await traced(send)).limits), [], send);
  });

  test('a mapping that makes no message of any probe has no limits, and hinders nobody', async () => {
    const { limits } = await traced(`{ as: fixed, encoding: gbk, layout: grind, map: '$error(envelope.body.cut)' }`);
    assert.deepEqual(shown(limits), []);
  });

  test('what is told is refused by the delivery, and what is refused for a text that can be followed is told', async () => {
    const { read, limits } = await traced('{ as: fixed, encoding: gbk, layout: grind, map: map.jsonata }');
    const grind = read.calls.grind ?? assert.fail();
    const held = fc.string({ unit: fc.constantFrom('样', 'a'), minLength: 1, maxLength: 9 });
    const nasty = fc.string({
      unit: fc.constantFrom('样', '例', 'a', '1', '㙓', '•', '·', '（', '𠮷', ' '),
      minLength: 1,
      maxLength: 50,
    });
    const name = fc.oneof({ weight: 9, arbitrary: held }, nasty, fc.constantFrom('样'.repeat(16), '样'.repeat(20)));
    const body = fc.record({
      kind: fc.constantFrom('wheat', 'rye'),
      owner: fc.record({ name, nick: name }, { requiredKeys: ['name'] }),
      // Chosen, cut or counted by the mapping: these are the delivery's to tell, so here they fit.
      wheat: held,
      rye: held,
      cut: held,
      replaced: held,
      counted: name,
      unused: name,
      trimmed: name.filter((one) => one.trim() === one),
      street: name,
      price: fc.oneof(fc.nat(), fc.bigInt(1n, 10n ** 60n)).map(String),
      workers: fc.oneof(
        fc.array(fc.record({ name: held }), { minLength: 1, maxLength: 2 }),
        fc.record({ name }).map((one) => [one]),
      ),
      shared: name,
    });
    let [told, taken] = [0, 0];
    await fc.assert(
      fc.asyncProperty(body, async (one) => {
        const beyond = (limits.deliver['mill.grind@1'] ?? []).filter(({ pointer, maxBytes, measure }) =>
          valuesAt(one as JsonObject, pointer).some(({ value }) => {
            const { bytes, notHeld } = measure(String(value));
            return notHeld.length > 0 || (bytes !== null && maxBytes !== null && bytes > maxBytes);
          }),
        );
        const input = { settings: {}, now: 0, replies: {}, envelope: { id: '1-01', body: one as JsonObject } };
        const functions = { sequence: (digits: number) => '0'.repeat(digits) } as never;
        const refused = await requestOf(grind, input, functions).then(
          () => undefined,
          (error: unknown) => (error instanceof Fault ? error.reason.code : assert.fail(String(error))),
        );
        if (beyond.length > 0) told += 1;
        else taken += 1;
        assert.equal(refused !== undefined, beyond.length > 0, `${refused}: ${JSON.stringify(beyond)}`);
      }),
      { numRuns: 400 },
    );
    assert.ok(told > 50 && taken > 5, `${told} told, ${taken} taken: the property looked at one side only`);
  });
});
