import assert from 'node:assert/strict';
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import type { Adapter, Call, Connected } from '../../contracts/ports/adapter.ts';
import type {
  Certificate,
  CertificateChange,
  CertificateDocument,
  CertificateQuery,
} from '../../contracts/ports/certificate.ts';
import { wallClock } from '../../contracts/ports/clock.ts';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { FarSide, type Saying } from '../../test/support/far-side.ts';
import { loadParties } from '../load.ts';

const parties = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'test', 'support', 'parties');
const folder = (await loadParties(parties)).find(({ party }) => party === 'archive') ?? assert.fail('no archive');
const PUSH_KEY = 'push-key-of-the-test';
const STREAMED = '11100000000013127D001';
const INSIDE = '11100000MB0143028R001';
const MIB = 1_048_576;
/** As the manifest has it. */
const LIMIT = 4 * MIB;
const HOLDER = { name: '张样例', idType: '111', idNo: '331124199001010011' };

const call = (signal = AbortSignal.timeout(5_000)): Call => ({ signal, attempt: 1, log: silent, traceparent: '' });
const query = (type = STREAMED): CertificateQuery => ({
  type,
  holder: HOLDER,
  purpose: { itemCode: 'an-item', clerk: { officerId: 'o' }, basis: 'b' },
  cause: 'A1 an item b',
  hints: {},
});
const certificate = (type = STREAMED): Certificate => ({
  type,
  identifier: null,
  number: 'A1',
  title: '档案',
  holder: HOLDER,
  state: '01',
  issuer: '档案馆',
  validFrom: null,
  validTo: null,
  fields: {},
  file: { mediaType: 'application/pdf', reference: 'R1', digest: null },
});
const faultOf = async (run: () => Promise<unknown>): Promise<Fault> => {
  try {
    await run();
  } catch (error) {
    assert.ok(error instanceof Fault, `only faults are thrown on purpose, this was ${String(error)}`);
    return error;
  }
  return assert.fail('it should have failed');
};
async function bytesOf({ bytes }: CertificateDocument): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}
const sm3 = (bytes: Uint8Array) => createHash('sm3').update(bytes).digest('hex');
const pdf = (raw: Uint8Array, headers = {}): Saying => ({
  raw,
  headers: { 'content-type': 'application/pdf', ...headers },
});

describe('the file of a certificate', () => {
  const far = new FarSide();
  let live: Connected;
  let adapter: Adapter;
  before(async () => {
    live = folder.connect({ baseUrl: await far.open(), pushKey: PUSH_KEY }, { clock: wallClock, log: silent });
    ({ adapter } = live);
  });
  after(async () => {
    await adapter.close();
    await far.close();
  });
  beforeEach(() => {
    far.forget();
    far.says('/login', { means: 'filed', token: 'T1' });
    far.says('/choose', { means: 'filed', slip: 'S1' });
  });
  const document = async (type = STREAMED, signal?: AbortSignal): Promise<CertificateDocument> =>
    (await adapter.document?.(certificate(type), query(type), call(signal))) ?? assert.fail('it hands out files');

  test('facts: which types have one, and that it verifies', () => {
    assert.deepEqual(
      [live.facts.documents, live.facts.verifies, live.facts.takesCallbacks],
      [[STREAMED, INSIDE], true, true],
    );
  });

  describe('as it comes over the wire', () => {
    test('whole, and byte for byte; its calls see the question, the file and what was read before', async () => {
      const file = randomBytes(300_000);
      far.says('/scan', pdf(file));
      const given = await document();
      assert.equal(given.mediaType, 'application/pdf');
      assert.equal(sm3(await bytesOf(given)), sm3(file));
      assert.deepEqual(JSON.parse(far.on('/scan')[0]?.body ?? ''), {
        slip: 'S1',
        document: { identifier: null, number: 'A1', reference: 'R1', mediaType: 'application/pdf', digest: null },
        why: 'an-item',
      });
      assert.equal(far.on('/scan')[0]?.headers['x-token'], 'T1');
    });

    test('with a content type that says nothing, and compressed on the way', async () => {
      const file = randomBytes(1_000);
      for (const saying of [
        { raw: file, headers: { 'content-type': 'application/octet-stream' } },
        { raw: file, headers: { 'content-type': '' } },
        pdf(gzipSync(file), { 'content-encoding': 'gzip', 'content-length': String(gzipSync(file).length) }),
      ]) {
        far.says('/scan', saying);
        assert.equal(sm3(await bytesOf(await document())), sm3(file));
      }
    });

    test('in its place a page that the session is over: logged in again, and asked once more', async () => {
      const lost: readonly Saying[] = [
        { raw: '<html>请登录</html>', headers: { 'content-type': 'text/html' } },
        { means: 'lost' },
      ];
      for (const saying of lost) {
        far.forget();
        let logIns = 0;
        far.says('/login', () => ({ means: 'filed', token: `T${++logIns}` }));
        far.says('/choose', { means: 'filed', slip: 'S1' });
        far.says('/ping', { means: 'filed' });
        await adapter.probe(call());
        logIns = 0;
        let asked = 0;
        far.says('/scan', () => (++asked === 1 ? (saying as JsonObject) : (pdf(Buffer.from('%PDF-')) as JsonObject)));
        assert.equal((await bytesOf(await document())).toString(), '%PDF-');
        assert.deepEqual([far.on('/scan').length, logIns], [2, 1]);
        far.says('/scan', saying);
        assert.equal((await faultOf(() => document())).kind, 'unauthorized');
      }
    });

    const page = (raw: string, contentType: string, status = 200): Saying => ({
      raw,
      status,
      headers: { 'content-type': contentType },
    });
    const instead: readonly (readonly [string, Saying, string, string?])[] = [
      ['a refusal', { means: 'refused', code: 'E7', words: '未授权下载' }, 'refused', 'E7'],
      [
        'a refusal under a status of its own',
        page('{"means":"refused","code":"E7"}', 'application/problem+json', 403),
        'refused',
        'E7',
      ],
      ['they hold no such file', { means: 'none' }, 'refused', 'noDocument'],
      ['come back later, known by its head, whatever it says it is', page('%PDF-', 'application/pdf', 429), 'busy'],
      ['all is well, and no file', { means: 'filed' }, 'malformed', 'notAFile'],
      ['words that no rule knows', page('ORA-00942', 'text/plain'), 'malformed'],
      ['torn JSON', page('{"means":"fil', 'application/json'), 'malformed'],
      ['XML that no rule knows', page('<a/>', 'application/xml'), 'malformed'],
      ['nothing', page('', 'application/pdf', 204), 'malformed'],
      ['a failure of their server', page('oops', 'application/pdf', 500), 'unreachable'],
      ['hung up', 'hangUp', 'unreachable'],
    ];
    for (const [what, saying, kind, code] of instead) {
      test(`in its place ${what}: ${kind}, before a byte is handed on`, async () => {
        far.says('/scan', saying);
        const fault = await faultOf(() => document());
        assert.equal(fault.kind, kind, fault.message);
        if (code !== undefined) assert.equal(fault.reason.code, code);
      });
    }

    test('words without end are read to a bound, and no further', async () => {
      let sent = 0;
      far.says('/scan', {
        write(response: ServerResponse) {
          response.writeHead(200, { 'content-type': 'text/plain' });
          const more = (): void => {
            while (!response.destroyed && sent < 64 * MIB) {
              sent += 65_536;
              if (!response.write('a'.repeat(65_536))) return void response.once('drain', more);
            }
          };
          more();
        },
      });
      assert.equal((await faultOf(() => document())).kind, 'malformed');
      assert.ok(sent < 8 * MIB, `${sent} bytes were taken`);
    });

    for (const [what, headers] of [
      ['announced', { 'content-length': '100000' }],
      ['not announced', {}],
    ] as const) {
      test(`cut off in the middle, its length ${what}: unreachable`, async () => {
        let cut = () => {};
        far.says('/scan', {
          write(response: ServerResponse) {
            response.writeHead(200, { 'content-type': 'application/pdf', ...headers });
            response.write(Buffer.alloc(50_000));
            cut = () => response.destroy();
          },
        });
        let came = 0;
        const fault = await faultOf(async () => {
          for await (const chunk of (await document()).bytes) {
            came += chunk.byteLength;
            if (came === 50_000) cut();
          }
        });
        assert.deepEqual([fault.kind, came], ['unreachable', 50_000]);
      });
    }

    /** Writes without end, and tells when whoever took it has let go. */
    function endless(): { readonly saying: Saying; readonly closed: Promise<unknown> } {
      const { promise: closed, resolve } = Promise.withResolvers<void>();
      return {
        closed,
        saying: {
          write(response: ServerResponse) {
            response.socket?.once('close', () => resolve());
            response.writeHead(200, { 'content-type': 'application/pdf' });
            response.write(Buffer.alloc(1_000));
          },
        },
      };
    }
    const soon = (closed: Promise<unknown>) =>
      Promise.race([
        closed,
        new Promise((_, reject) => setTimeout(() => reject(new Error('its socket is still open')), 30_000).unref()),
      ]);

    test('the deadline ends the stream and its socket: before the first chunk, and while the next does not come', async () => {
      for (const taken of [0, 1]) {
        const { saying, closed } = endless();
        far.says('/scan', saying);
        const own = new AbortController();
        const chunks = (await document(STREAMED, own.signal)).bytes[Symbol.asyncIterator]();
        for (let at = 0; at < taken; at += 1) await chunks.next();
        const next = taken === 0 ? undefined : faultOf(() => chunks.next());
        own.abort();
        const fault = await (next ?? faultOf(() => chunks.next()));
        assert.deepEqual([fault.kind, fault.reason.code], ['unreachable', 'silence']);
        await soon(closed);
      }
    });

    test('whoever stops reading ends it: before the first chunk, after it, and while the next does not come', async () => {
      for (const taken of [0, 1, 2]) {
        const { saying, closed } = endless();
        far.says('/scan', saying);
        const chunks = (await document()).bytes[Symbol.asyncIterator]();
        if (taken > 0) await chunks.next();
        const waiting = taken > 1 ? faultOf(() => chunks.next()) : undefined;
        await chunks.return?.();
        assert.ok(waiting === undefined || (await waiting).kind === 'unreachable');
        await soon(closed);
      }
    });

    test('too large: told in both languages, at once where it is announced, else when it is reached', async () => {
      far.says('/scan', pdf(Buffer.from('%PDF-'), { 'content-length': String(LIMIT + 1) }));
      const announced = await faultOf(async () => bytesOf(await document()));
      far.says('/scan', chunked(LIMIT + MIB));
      let came = 0;
      const reached = await faultOf(async () => {
        for await (const chunk of (await document()).bytes) came += chunk.byteLength;
      });
      assert.ok(came <= LIMIT);
      for (const { kind, reason } of [announced, reached]) {
        assert.deepEqual([kind, reason.code], ['malformed', 'tooLarge']);
        assert.match(reason.zh, /上限/);
        assert.match(reason.en, /limit/);
      }
    });
  });

  describe('as base64 inside a reply', () => {
    test('whole, a piece at a time, whatever lines it is broken into', async () => {
      const file = randomBytes(200_000);
      const text = file.toString('base64');
      for (const content of [text, text.replaceAll(/.{76}/g, '$&\r\n')]) {
        far.says('/inline', { means: 'filed', content });
        const given = await document(INSIDE);
        let pieces = 0;
        const hash = createHash('sm3');
        for await (const chunk of given.bytes) {
          pieces += 1;
          hash.update(chunk);
        }
        assert.equal(hash.digest('hex'), sm3(file));
        assert.ok(pieces > 2);
      }
    });

    test('what is no base64, or nothing, is told at once', async () => {
      for (const content of ['', 'null', null, '您无权下载', 'abc', 'ab=c', 'JVBERi0=JVBE', {}, undefined]) {
        far.says('/inline', { means: 'filed', ...(content === undefined ? {} : { content }) } as JsonObject);
        const fault = await faultOf(() => document(INSIDE));
        assert.deepEqual([fault.kind, fault.reason.code], ['malformed', 'noBase64'], String(content));
      }
    });
  });

  test('who has none is not asked for one', async () => {
    const { file: _, ...without } = certificate();
    const fault = await faultOf(async () => adapter.document?.(without, query(), call()));
    assert.deepEqual([fault.kind, fault.reason.code, far.asked.length], ['refused', 'noDocument', 0]);
  });

  describe('what a source says of it', () => {
    const said = async (file?: Json): Promise<Certificate> => {
      far.says('/look', {
        means: 'filed',
        holder: { name: '张样例', idNo: HOLDER.idNo },
        ...(file === undefined ? {} : { file }),
      });
      const [found] = (await adapter.certificates?.(query(), call())) ?? [];
      return found ?? assert.fail('none found');
    };
    const digest = `sm3:${'a'.repeat(64)}`;

    test('all of it, and only that it has one', async () => {
      const whole = { mediaType: 'application/pdf', reference: 'R1', digest };
      assert.deepEqual((await said(whole)).file, whole);
      assert.deepEqual((await said({ mediaType: 'application/ofd' })).file, {
        mediaType: 'application/ofd',
        reference: null,
        digest: null,
      });
      assert.equal(
        (await said({ ...whole, digest: `sha256:${'0'.repeat(64)}` })).file?.digest,
        `sha256:${'0'.repeat(64)}`,
      );
    });

    test('nothing, in whichever way it is written', async () => {
      for (const none of [undefined, null, '', 'null']) assert.ok(!('file' in (await said(none))), String(none));
    });

    test('what is none is a mistake', async () => {
      for (const wrong of [
        'R1',
        {},
        { reference: 'R1' },
        { mediaType: 'image/png' },
        { mediaType: 'application/pdf', digest: 'a'.repeat(64) },
        { mediaType: 'application/pdf', digest: `md5:${'a'.repeat(32)}` },
        { mediaType: 'application/pdf', digest: digest.toUpperCase() },
        { mediaType: 'application/pdf', digest: digest.slice(0, -1) },
      ]) {
        const fault = await faultOf(() => said(wrong));
        assert.deepEqual([fault.kind, fault.reason.code], ['malformed', 'certificateFile'], JSON.stringify(wrong));
      }
    });
  });

  describe('verification', () => {
    const verify = async (claim: { identifier: string } | { type: string; number: string }) =>
      adapter.verify?.(claim, call());

    test('valid, invalid with its state, unknown; by identifier, and by number with its type', async () => {
      far.says('/check', { means: 'filed', verdict: 'valid', state: '01' });
      assert.deepEqual(await verify({ identifier: 'I1' }), { verdict: 'valid', state: '01' });
      far.says('/check', { means: 'filed', verdict: 'invalid', state: '04' });
      assert.deepEqual(await verify({ type: STREAMED, number: 'A1' }), { verdict: 'invalid', state: '04' });
      far.says('/check', { means: 'filed', verdict: 'unknown', state: 'lost in the fire' });
      assert.deepEqual(await verify({ identifier: 'I1' }), { verdict: 'unknown', state: null });
      far.says('/check', { means: 'none' });
      assert.deepEqual(await verify({ identifier: 'I1' }), { verdict: 'unknown', state: null });
      assert.deepEqual(
        far
          .on('/check')
          .map(({ body }) => (JSON.parse(body) as JsonObject).claim)
          .slice(0, 2),
        [{ identifier: 'I1' }, { type: STREAMED, number: 'A1' }],
      );
    });

    test('who cannot say is a fault, and no verdict', async () => {
      for (const [saying, kind] of [
        [{ means: 'filed' }, 'malformed'],
        [{ means: 'filed', verdict: 'perhaps' }, 'malformed'],
        [{ means: 'refused' }, 'refused'],
        [{ means: 'busy' }, 'busy'],
        ['hangUp', 'unreachable'],
      ] as const) {
        far.says('/check', saying);
        assert.equal((await faultOf(() => verify({ identifier: 'I1' }))).kind, kind);
      }
    });
  });

  describe('a push that something changed', () => {
    async function pushed(changes: Json | undefined, keep: () => Promise<void> = async () => {}) {
      const body = Buffer.from(JSON.stringify({ means: 'changed', ...(changes === undefined ? {} : { changes }) }));
      const told: CertificateChange[] = [];
      const inbox = {
        accept: async () => assert.fail('it is about no envelope'),
        async changed(change: CertificateChange) {
          await keep();
          told.push(change);
        },
      };
      const headers = { 'x-sign': createHmac('sm3', PUSH_KEY).update(body).digest('hex') };
      const request = { method: 'POST', path: '/', query: {}, headers, body };
      const reply = await adapter.callback?.(request, inbox, call());
      return { said: Buffer.from(reply?.body ?? '').toString(), told };
    }
    const whose = { type: STREAMED, holder: { idType: '111', idNo: HOLDER.idNo } };

    test('by holder and type, by identifier, one or several; taken when all were told', async () => {
      assert.deepEqual(await pushed(whose), { said: '{"code":"S"}', told: [whose] });
      assert.deepEqual((await pushed({ type: STREAMED, holder: { idNo: HOLDER.idNo } })).told, [whose]);
      assert.deepEqual((await pushed([{ identifier: 'I1' }, whose])).told, [{ identifier: 'I1' }, whose]);
      let told = false;
      const late = pushed(whose, async () => {
        await new Promise((resolve) => setTimeout(resolve, 30));
        told = true;
      });
      await late;
      assert.ok(told);
    });

    test('not told on, or saying of none: not taken', async () => {
      const busy = new Fault('busy', { reason: { code: 'notKept', zh: '-', en: '-' } });
      assert.deepEqual(await pushed(whose, () => Promise.reject(busy)), { said: '{"code":"F"}', told: [] });
      for (const wrong of [
        undefined,
        null,
        [],
        {},
        'I1',
        { type: STREAMED },
        { holder: whose.holder },
        { identifier: '' },
        { ...whose, type: '' },
      ])
        assert.equal((await pushed(wrong)).said, '{"code":"F"}', JSON.stringify(wrong));
    });
  });
});

const PIECE = randomBytes(65_536);

/** A file of so many bytes, from one piece again and again, as fast as it is taken. */
function chunked(bytes: number): Saying {
  return {
    write(response: ServerResponse) {
      response.writeHead(200, { 'content-type': 'application/pdf' });
      const send = async (): Promise<void> => {
        // Whoever let go will never drain it.
        const closed = new AbortController();
        response.once('close', () => closed.abort());
        for (let sent = 0; sent < bytes && !response.destroyed; sent += PIECE.length)
          if (!response.write(PIECE)) await once(response, 'drain', closed);
        response.end();
      };
      send().catch(() => response.destroy());
    },
  };
}
