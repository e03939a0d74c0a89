import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import iconv from 'iconv-lite';
import { parse } from 'yaml';
import type { Adapter, PartyMeans, RawReply } from '../../contracts/ports/adapter.ts';
import type { CertificateChange } from '../../contracts/ports/certificate.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject, Message } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import { loadParties } from '../load.ts';
import { mappingFunctions } from './functions.ts';
import { ManifestError } from './manifest.ts';
import { namesUsed } from './names-used.ts';

const shipped = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'test', 'support', 'parties');
const KEY = 'the key of their pushes';
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };
const means: PartyMeans = { clock: { now: () => 1_000_000, after: () => () => {}, random: () => 0 }, log: silent };

const hmac = (bytes: string | Uint8Array, key = KEY): string => createHmac('sm3', key).update(bytes).digest('hex');

describe('who pushes is proved', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'parties-'));
    cpSync(path.join(shipped, 'bakery'), path.join(folder, 'bakery'), { recursive: true });
  });
  after(() => rmSync(folder, { recursive: true }));

  /** The bakery, its callback changed, and its settings' schema too. */
  async function load(callback: JsonObject, properties: JsonObject = {}) {
    const manifest = parse(readFileSync(path.join(shipped, 'bakery', 'manifest.yaml'), 'utf8'), { merge: true });
    const own = manifest.operations.collect.callback;
    for (const [name, value] of Object.entries(callback)) {
      if (value === null) delete own[name];
      else own[name] = value;
    }
    Object.assign(manifest.settings.properties, properties);
    manifest.answers.pushed = [{ as: 'changed', all: [{ path: 'means', in: ['changed'] }] }];
    writeFileSync(path.join(folder, 'bakery', 'manifest.yaml'), JSON.stringify(manifest));
    const [party] = await loadParties(folder);
    assert.ok(party);
    return party;
  }
  async function mistakes(callback: JsonObject, properties: JsonObject = {}): Promise<readonly string[]> {
    try {
      await load(callback, properties);
    } catch (error) {
      assert.ok(error instanceof ManifestError, String(error));
      return error.mistakes;
    }
    return [];
  }
  async function adapterOf(callback: JsonObject, properties: JsonObject = {}): Promise<Adapter> {
    return (await load(callback, properties)).connect({ baseUrl: 'http://127.0.0.1:1', pushKey: KEY }, means).adapter;
  }
  function settingsMistakes(party: Awaited<ReturnType<typeof load>>, settings: Json): readonly (readonly string[])[] {
    try {
      party.connect(settings, means);
    } catch (error) {
      assert.ok(error instanceof Unfit, String(error));
      return error.problems.map(({ pointer, code, zh }) => [pointer, code, zh]);
    }
    return [];
  }
  async function push(
    adapter: Adapter,
    body: Uint8Array | string,
    headers: { [name: string]: string } = {},
    query: { [name: string]: string } = {},
  ): Promise<{ reply: RawReply; kept: Message[]; changes: [CertificateChange, string][] }> {
    const kept: Message[] = [];
    const changes: [CertificateChange, string][] = [];
    const bytes = Buffer.from(body);
    const reply = await adapter.callback?.(
      {
        method: 'POST',
        path: '/v1/callbacks/bakery',
        query,
        headers: { 'x-sign': hmac(bytes), ...headers },
        body: bytes,
      },
      {
        async accept(message) {
          kept.push(message);
          return 'applied';
        },
        async changed(change, name) {
          changes.push([change, name]);
        },
      },
      { signal: new AbortController().signal, attempt: 1, traceparent: '', log: silent },
    );
    assert.ok(reply);
    return { reply, kept, changes };
  }
  const GOOD = JSON.stringify({ key: 'k-01', means: 'filed', slices: '8' });

  test('unsigned bytes are not read: what is inside them is not even opened', async () => {
    const adapter = await adapterOf({
      // Whoever comes so far ends the operation with a fault of another kind.
      read: { as: 'json', open: '$fault("unauthorized", "opened", "已打开", "it was opened")' },
      notTaken: { status: 400, contentType: 'text/plain', text: '"no"' },
    });
    const { reply } = await push(adapter, GOOD, { 'x-sign': 'f'.repeat(64) });
    assert.deepEqual([reply.status, reply.unverified], [400, true]);
    // Signed, it is opened: the fault is of what was opened, and who sent it is proved.
    const signed = await push(adapter, GOOD);
    assert.deepEqual([signed.reply.status, signed.reply.unverified], [400, undefined]);
  });

  test('what cannot be read is a stranger where it is not signed, and the party where it is', async () => {
    const adapter = await adapterOf({});
    for (const torn of ['', '{"key":', '[]', '\ufffd', '<a>', '['.repeat(1_000)]) {
      assert.equal((await push(adapter, torn, { 'x-sign': '' })).reply.unverified, true, torn);
      assert.equal((await push(adapter, torn)).reply.unverified, undefined, torn);
    }
  });

  test('a proof over the bytes themselves, whatever their encoding, and over several parts', async () => {
    const bytes = iconv.encode(JSON.stringify({ key: 'k-01', means: 'filed', slices: '八' }), 'gbk');
    const overBytes = await adapterOf({
      verify: '$hmacSm3(request.bytes, settings.pushKey) = request.headers."x-sign"',
      read: { as: 'json', encoding: 'gbk' },
    });
    const { kept } = await push(overBytes, bytes);
    assert.deepEqual(kept[0]?.answer, { outcome: 'done', result: { slices: '八' } });
    assert.equal(
      (await push(overBytes, Buffer.concat([bytes, Buffer.from(' ')]), { 'x-sign': hmac(bytes) })).reply.unverified,
      true,
    );
    // Half of a character is no text, and is signed all the same.
    assert.equal((await push(overBytes, bytes.subarray(0, -3))).reply.unverified, undefined);

    const overParts = await adapterOf({
      verify: '$sm3([settings.pushKey, request.headers."x-time", request.bytes]) = request.headers."x-sign"',
      read: { as: 'json', encoding: 'gbk' },
    });
    const { sm3 } = mappingFunctions({}) as unknown as { sm3(of: readonly (string | Uint8Array)[]): string };
    const headers = { 'x-time': '5', 'x-sign': sm3([KEY, '5', bytes]) };
    assert.equal((await push(overParts, bytes, headers)).kept.length, 1);
    assert.equal((await push(overParts, bytes, { ...headers, 'x-time': '6' })).kept.length, 0);
  });

  test('a proof of what was read: read first, and no more of it than 64 KiB', async () => {
    const verify = '$hmacSm3(reply.slices, settings.pushKey) = reply.sign';
    const adapter = await adapterOf({ verify });
    const body = (slices: string) => JSON.stringify({ key: 'k-01', means: 'filed', slices, sign: hmac(slices) });
    assert.equal((await push(adapter, body('8'))).kept.length, 1);
    assert.equal((await push(adapter, body('8').replace('"8"', '"9"'))).reply.unverified, true);
    const large = await push(adapter, body('8'.repeat(65_536)));
    assert.deepEqual([large.reply.status, large.reply.unverified, large.kept], [400, true, []]);
    // Where the bytes are proved, what is proved may be as large as `maxBytes` says.
    const overBytes = await adapterOf({ read: { as: 'json', maxBytes: 200_000 } });
    assert.equal((await push(overBytes, body('8'.repeat(65_536)))).kept.length, 1);
    assert.equal((await push(overBytes, body('8'.repeat(200_000)))).reply.unverified, true);
  });

  test('a time that is signed is held against a window, as the manifest says', async () => {
    const adapter = await adapterOf({
      verify:
        '$hmacSm3(request.headers."x-time" & text, settings.pushKey) = request.headers."x-sign" and $abs(now - $number(request.headers."x-time")) <= 300000',
    });
    const at = async (time: number) =>
      (await push(adapter, GOOD, { 'x-time': String(time), 'x-sign': hmac(`${time}${GOOD}`) })).kept.length;
    assert.deepEqual([await at(1_000_000), await at(1_300_000), await at(700_000)], [1, 1, 1]);
    assert.deepEqual([await at(1_300_001), await at(699_999)], [0, 0]);
  });

  test('the same bytes have the same name, whatever comes with them; so has what a change is told under', async () => {
    const adapter = await adapterOf({});
    const changing = await adapterOf({
      changed: '[{"identifier": reply.slices}, {"identifier": reply.key}]',
      answers: 'pushed',
    });
    const once = await push(adapter, GOOD, { 'content-type': 'application/json' }, { a: '1' });
    const again = await push(adapter, GOOD, { 'content-type': 'text/html', 'x-other': 'y' }, { b: '2' });
    assert.equal(once.kept.length, 1);
    assert.deepEqual(once.kept[0]?.dedupe, again.kept[0]?.dedupe);
    assert.deepEqual(again.reply, once.reply);
    const change = JSON.stringify({ means: 'changed', key: 'a', slices: 'b' });
    const told = (await push(changing, change)).changes;
    assert.deepEqual(told, (await push(changing, change, { 'content-type': 'text/html' }, { c: '3' })).changes);
    assert.deepEqual(
      told.map(([one, name]) => [one, /^[0-9a-f]{64}(#1)?$/.test(name)]),
      [
        [{ identifier: 'b' }, true],
        [{ identifier: 'a' }, true],
      ],
    );
  });

  test('what is proved in other bytes is the same push: with a mark in front, in another encoding, with other blanks', async () => {
    const overText = await adapterOf({ read: { as: 'json', encoding: 'auto' } });
    const text = JSON.stringify({ key: 'k-01', means: 'filed', slices: '八片面包' });
    const name = async (adapter: Adapter, bytes: Uint8Array | string, signed = text) => {
      const { kept, reply } = await push(adapter, bytes, { 'x-sign': hmac(signed) });
      assert.deepEqual([kept.length, reply.status], [1, 200]);
      return kept[0]?.dedupe;
    };
    const first = await name(overText, text);
    assert.equal(await name(overText, Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(text)])), first);
    assert.equal(await name(overText, iconv.encode(text, 'gb18030')), first);
    const other = text.replace('八', '九');
    assert.notEqual(await name(overText, other, other), first);

    const overReply = await adapterOf({ verify: '$hmacSm3(reply.slices, settings.pushKey) = reply.sign' });
    const body = { key: 'k-01', means: 'filed', slices: '8', sign: hmac('8') };
    const second = await name(overReply, JSON.stringify(body));
    assert.equal(await name(overReply, ` ${JSON.stringify(body, null, 2)}\n`), second);
    // Two stages under one signature are two pushes.
    assert.notEqual(await name(overReply, JSON.stringify({ ...body, key: 'k-02' })), second);
  });

  test('a name that is longer than a name is kept by its digest', async () => {
    const adapter = await adapterOf({ dedupe: 'reply.slices' });
    const named = async (slices: string) =>
      (await push(adapter, JSON.stringify({ key: 'k-01', means: 'filed', slices }))).kept[0]?.dedupe;
    assert.equal(await named('8'), '8');
    assert.match((await named('8'.repeat(10_000))) ?? '', /^sha256:[0-9a-f]{64}$/);
    assert.notEqual(await named('8'.repeat(10_000)), await named('8'.repeat(10_001)));
  });

  test('a verification that verifies nothing is refused when the manifest is read', async () => {
    const place = /^bakery\/manifest\.yaml \/operations\/collect\/callback\/verify: /;
    for (const verify of [
      'true',
      '1 = 1',
      '$exists(request.headers."x-sign")',
      'request.headers."x-sign" = "let me in"',
      '$md5(text) = request.headers."x-sign"',
      'settings.pushKey = settings.pushKey',
      'settings.pushKey = settings.pushKey and $length(text) > 5',
      '$exists(settings.pushKey)',
      'settings.pushKey != request.headers."x-sign"',
      'settings.pushKey = request.headers."x-sign" or true',
      '$not($hmacSm3(text, settings.pushKey) = request.headers."x-sign")',
      'settings.open or $hmacSm3(text, settings.pushKey) = request.headers."x-sign"',
      'settings.mode = "none" or $hmacSm3(text, settings.pushKey) = request.headers."x-sign"',
    ]) {
      const told = await mistakes(
        { verify },
        { open: { type: 'boolean' }, mode: { type: 'string', enum: ['hmac', 'none'] } },
      );
      assert.equal(told.length > 0 && told.every((mistake) => place.test(mistake)), true, `${verify}: ${told.join()}`);
    }
    assert.match((await mistakes({ verify: null }))[0] ?? '', /\/operations\/collect\/callback.*verify/);
  });

  test('what is not proved decides nothing: it is refused when the manifest is read', async () => {
    for (const [part, expression] of [
      ['dedupe', 'request.headers."x-id"'],
      ['at', '$number(request.query.time)'],
      ['about', '{"key": request.query.key}'],
      ['answer', '{"slices": request.(headers.slices)}'],
      ['changed', '{"identifier": request.path}'],
    ] as const) {
      const told = await mistakes({ [part]: expression });
      assert.ok(
        told.some((mistake) => mistake.includes(`/operations/collect/callback/${part}: uses request`)),
        told.join(),
      );
    }
    assert.deepEqual(
      await mistakes({
        verify: '$hmacSm3(request.headers."x-id" & text, settings.pushKey) = request.headers."x-sign"',
        dedupe: 'request.headers."x-id"',
      }),
      [],
    );
  });

  test('an empty key is refused at the start, by its name', async () => {
    const party = await load({}, { apiSecret: { type: 'string', 'x-secret': true } });
    const GIVEN = { baseUrl: 'http://127.0.0.1:1', pushKey: 'k' };
    assert.deepEqual(settingsMistakes(party, GIVEN), []);
    assert.deepEqual(settingsMistakes(party, { ...GIVEN, apiSecret: 's' }), []);
    for (const blank of ['', ' ', '\t\n', '\u3000', '\u200b', '\ufeff \u2060']) {
      assert.deepEqual(settingsMistakes(party, { ...GIVEN, pushKey: blank }), [
        ['/pushKey', 'emptyKey', '不得为空：推送以此验签'],
      ]);
      assert.deepEqual(settingsMistakes(party, { ...GIVEN, apiSecret: blank }), [
        ['/apiSecret', 'emptyKey', '密钥不得为空'],
      ]);
    }
    const several = await load(
      { verify: '$hmacSm3(text, settings.keys[0]) = request.headers."x-sign"' },
      { keys: { type: 'array', items: { type: 'string' } } },
    );
    for (const keys of [[''], ['a', ' '], []])
      assert.deepEqual(settingsMistakes(several, { ...GIVEN, keys }), [
        ['/keys', 'emptyKey', '不得为空：推送以此验签'],
      ]);
    // One that may be left out, and proves pushes, may not be.
    const other = await load(
      { verify: '$hmacSm3(text, settings.keys.push) = request.headers."x-sign"' },
      { keys: { type: 'object', properties: { push: { type: 'string' } } } },
    );
    assert.deepEqual(settingsMistakes(other, GIVEN), [['/keys/push', 'emptyKey', '不得为空：推送以此验签']]);
    assert.deepEqual(settingsMistakes(other, { ...GIVEN, keys: { push: 'x' } }), []);
  });

  test('nothing is signed or encrypted with an empty key', () => {
    const functions = mappingFunctions({}) as unknown as { [name: string]: (...given: unknown[]) => unknown };
    for (const key of ['', ' ', undefined, null])
      for (const [name, given] of [
        ['hmacSha256', ['x', key]],
        ['hmacSm3', ['x', key]],
        ['sm2Sign', ['x', key]],
        ['sm2Verify', ['x', '00', key]],
        ['sm2Encrypt', ['x', key]],
        ['sm2Decrypt', ['00', key]],
        ['sm4Encrypt', ['x', key]],
        ['sm4Decrypt', ['00', key]],
      ] as const)
        assert.throws(() => functions[name]?.(...given), /./, `${name} with ${String(key)}`);
  });

  test('the names that an expression takes', () => {
    for (const [source, settings, request, reply] of [
      ['$hmacSm3(text, settings.pushKey) = request.headers."x-sign"', [['pushKey']], [['headers', 'x-sign']], []],
      ['$$.settings.a & $.reply.x', [['a']], [], [['x']]],
      ['($k := settings.k.push; $md5($k & reply.a) = reply.sign)', [['k', 'push']], [], [['a'], ['sign']]],
      ['request.(headers.x)', [], [[]], []],
      ['$keys($)', [[]], [[]], [[]]],
      ['true', [], [], []],
    ] as const) {
      const used = namesUsed(source);
      assert.deepEqual([used.settings, used.request, used.reply], [settings, request, reply], source);
    }
  });
});
