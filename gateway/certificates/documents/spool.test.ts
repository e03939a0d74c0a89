import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { CertificateDocument, MediaType } from '../../../contracts/ports/certificate.ts';
import { Fault } from '../../../contracts/ports/fault.ts';
import { type SpoolOptions, spool } from './spool.ts';
import { sweep } from './spooled.ts';

const MB = 2 ** 20;
const PDF = Buffer.concat([Buffer.from('%PDF-1.7\n'), Buffer.alloc(3000, 'x'), Buffer.from('\nstartxref\n9\n%%EOF\n')]);
/** One empty entry, and the end of the central directory with a comment. */
const OFD = Buffer.concat([
  Buffer.from('PK\x03\x04', 'latin1'),
  Buffer.alloc(500),
  Buffer.from('PK\x05\x06', 'latin1'),
  Buffer.alloc(18),
  Buffer.from('a comment'),
]);

let folder = '';
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'spool-'));
});
after(() => rm(folder, { recursive: true }));

async function* chunked(bytes: Buffer, size = 512) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const pdf = (bytes: AsyncIterable<Uint8Array>): CertificateDocument => ({ mediaType: 'application/pdf', bytes });
const ofd = (bytes: AsyncIterable<Uint8Array>): CertificateDocument => ({ mediaType: 'application/ofd', bytes });
const how = (some: Partial<SpoolOptions> = {}): SpoolOptions => ({
  folder,
  maxBytes: 50 * MB,
  digest: null,
  signal: AbortSignal.timeout(10_000),
  ...some,
});

/** What it is refused with, and that nothing stays behind. */
async function refused(document: CertificateDocument, some: Partial<SpoolOptions> = {}): Promise<Fault> {
  const fault = await spool(document, how(some)).then(
    () => assert.fail('it was taken'),
    (error: unknown) => error,
  );
  assert.deepEqual(await readdir(folder), [], 'a file stayed behind');
  assert.ok(fault instanceof Fault, String(fault));
  return fault;
}

describe('a document on its way through', () => {
  for (const [mediaType, bytes] of [
    ['application/pdf', PDF],
    ['application/ofd', OFD],
  ] as const satisfies readonly [MediaType, Buffer][]) {
    test(`${mediaType}: on disk byte for byte, hashed, readable by nobody else, and gone when removed`, async () => {
      const one = await spool({ mediaType, bytes: chunked(bytes, 7) }, how());
      assert.deepEqual(await readFile(one.file), bytes);
      assert.equal(one.bytes, bytes.length);
      assert.equal(one.mediaType, mediaType);
      assert.equal(one.sm3, createHash('sm3').update(bytes).digest('hex'));
      assert.equal(one.sha256, createHash('sha256').update(bytes).digest('hex'));
      assert.equal((await stat(one.file)).mode & 0o777, 0o600);
      await one.remove();
      await one.remove();
      assert.deepEqual(await readdir(folder), []);
    });
  }

  test('the digest of the source holds, in either of its forms', async () => {
    for (const algorithm of ['sm3', 'sha256']) {
      const digest = `${algorithm}:${createHash(algorithm).update(PDF).digest('hex')}`;
      await (await spool(pdf(chunked(PDF)), how({ digest }))).remove();
    }
  });

  test('a chunk is asked for when all before it are on the disk', async () => {
    let given = 0;
    async function* watching() {
      for await (const chunk of chunked(PDF, 100)) {
        given += chunk.length;
        yield chunk;
        const [name = ''] = await readdir(folder);
        assert.equal((await stat(path.join(folder, name))).size, given);
      }
    }
    await (await spool(pdf(watching()), how())).remove();
    assert.equal(given, PDF.length);
  });
});

describe('a document that is not taken', () => {
  test('200 MB against a limit of 50: ended there, with the limit in both languages', async () => {
    let given = 0;
    let ended = false;
    async function* endless() {
      try {
        yield Buffer.from('%PDF-1.7\n');
        const chunk = Buffer.alloc(MB);
        for (; given < 200; given += 1) yield chunk;
      } finally {
        ended = true;
      }
    }
    const before = process.memoryUsage().arrayBuffers;
    const fault = await refused(pdf(endless()));
    assert.equal(fault.kind, 'malformed');
    assert.equal(fault.ours, false);
    assert.equal(fault.reason.code, 'tooLarge');
    assert.match(fault.reason.zh, /50 MB/);
    assert.match(fault.reason.en, /50 MB/);
    assert.ok(given <= 50, `${given} MB were taken`);
    assert.ok(ended, 'the stream was not ended');
    assert.ok(process.memoryUsage().arrayBuffers - before < 20 * MB, 'it was held in memory');
  });

  test('exactly the limit is taken, one byte more is not', async () => {
    await (await spool(pdf(chunked(PDF)), how({ maxBytes: PDF.length }))).remove();
    assert.equal((await refused(pdf(chunked(PDF)), { maxBytes: PDF.length - 1 })).reason.code, 'tooLarge');
  });

  const late = Buffer.concat([Buffer.alloc(1020, ' '), PDF]);
  const NOT_PDF: readonly [string, Buffer][] = [
    ['empty', Buffer.alloc(0)],
    ['one byte', Buffer.from('%')],
    ['a web page', Buffer.from('<html>会话超时</html>')],
    ['cut off', PDF.subarray(0, -12)],
    ['with its end mark too early', Buffer.concat([PDF, Buffer.alloc(1100)])],
    ['with its header too late', late],
    ['an OFD', OFD],
  ];
  for (const [name, bytes] of NOT_PDF) {
    test(`no PDF: ${name}`, async () => {
      const fault = await refused(pdf(chunked(bytes)));
      assert.deepEqual([fault.kind, fault.ours, fault.reason.code], ['malformed', false, 'notPdf']);
    });
  }
  test('a header within the first 1024 bytes is one', async () => {
    await (await spool(pdf(chunked(late.subarray(10))), how())).remove();
  });

  const NOT_OFD: readonly [string, Buffer][] = [
    ['empty', Buffer.alloc(0)],
    ['a PDF', PDF],
    ['cut off', OFD.subarray(0, 400)],
    ['something before its first entry', Buffer.concat([Buffer.from(' '), OFD])],
    ['its end too early', Buffer.concat([OFD, Buffer.alloc(66_000)])],
  ];
  for (const [name, bytes] of NOT_OFD) {
    test(`no OFD: ${name}`, async () => {
      const fault = await refused(ofd(chunked(bytes)));
      assert.deepEqual([fault.kind, fault.ours, fault.reason.code], ['malformed', false, 'notOfd']);
    });
  }

  test('another digest than its source gave, or one of no known kind', async () => {
    const other = createHash('sm3').update('another').digest('hex');
    const md5 = createHash('md5').update(PDF).digest('hex');
    for (const digest of [`sm3:${other}`, `sha256:${other}`, `md5:${md5}`, '']) {
      assert.equal((await refused(pdf(chunked(PDF)), { digest })).reason.code, 'digestMismatch', digest);
    }
  });

  test('a stream that breaks', async () => {
    async function* broken() {
      yield PDF;
      throw new Error('socket hang up');
    }
    const fault = await refused(pdf(broken()));
    assert.deepEqual([fault.kind, fault.reason.code], ['unreachable', 'unreachable']);
    assert.equal((fault.cause as Error).message, 'socket hang up');
  });

  test("the stream's own fault is passed on as it is", async () => {
    const theirs = new Fault('refused', { reason: { code: 'E42', zh: '已过期', en: 'lapsed' } });
    const broken = async function* () {
      yield PDF;
      throw theirs;
    };
    assert.equal(await refused(pdf(broken())), theirs);
  });

  test('a source that never speaks again ends with the signal', async () => {
    const ending = new AbortController();
    async function* silent() {
      yield PDF;
      setImmediate(() => ending.abort(new Error('enough')));
      await new Promise(() => {});
    }
    const fault = await refused(pdf(silent()), { signal: ending.signal });
    assert.deepEqual([fault.kind, (fault.cause as Error).message], ['unreachable', 'enough']);
    assert.equal((await refused(pdf(silent()), { signal: AbortSignal.abort() })).kind, 'unreachable');
  });

  test('a disk that cannot be written to is no fault of the source', async () => {
    const file = path.join(folder, 'no-folder');
    await writeFile(file, '');
    const error: unknown = await spool(pdf(chunked(PDF)), how({ folder: file })).catch((why: unknown) => why);
    await rm(file);
    assert.ok(!(error instanceof Fault));
    assert.equal((error as NodeJS.ErrnoException).code, 'EEXIST');
  });
});

test('what a killed process left is removed, and nothing else', async () => {
  const kept = path.join(folder, 'readme');
  await writeFile(kept, '');
  const [old, young] = [await spool(pdf(chunked(PDF)), how()), await spool(pdf(chunked(PDF)), how())];
  const now = Date.now();
  for (const file of [old.file, kept]) await utimes(file, (now - 60_000) / 1000, (now - 60_000) / 1000);
  assert.equal(await sweep(folder, 30_000, now), 1);
  assert.deepEqual((await readdir(folder)).sort(), [path.basename(young.file), 'readme'].sort());
  await young.remove();
  await rm(kept);
  assert.equal(await sweep(path.join(folder, 'never-made'), 0, now), 0);
});
