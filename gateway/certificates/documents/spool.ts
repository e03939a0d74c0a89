import { createHash } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { makePrivateFolder, PRIVATE } from '../../../config/private-files.ts';
import type { CertificateDocument, MediaType } from '../../../contracts/ports/certificate.ts';
import { Fault } from '../../../contracts/ports/fault.ts';
import { megabytes } from './megabytes.ts';
import { newFile, type Spooled } from './spooled.ts';

export interface SpoolOptions {
  readonly folder: string;
  readonly maxBytes: number;
  /** What the source says of the file: `sm3:` or `sha256:` and hex; null: not told. */
  readonly digest: string | null;
  readonly signal: AbortSignal;
}

/**
 * A document from its source onto our disk, hashed on the way and looked at before anybody gets it. One chunk is in memory at a time, and the next is asked for
 * when the last is written. Whatever fails ends the stream and leaves no file.
 *
 * @throws Fault malformed `tooLarge`, `notPdf`, `notOfd`, `digestMismatch`; unreachable `unreachable` when the stream breaks or `signal` ends it; a Fault of the
 * stream itself as it is; an error of our own disk as it is, because it says nothing of the source
 */
export async function spool(
  document: CertificateDocument,
  how: SpoolOptions,
): Promise<Spooled & { readonly mediaType: MediaType }> {
  const { mediaType } = document;
  const chunks = document.bytes[Symbol.asyncIterator]();
  const file = newFile(how.folder);
  const remove = () => rm(file, { force: true });
  const sm3 = createHash('sm3');
  const sha256 = createHash('sha256');
  let bytes = 0;
  try {
    makePrivateFolder(how.folder);
    await using handle = await open(file, 'wx+', PRIVATE.file);
    for (let chunk = await next(chunks, how.signal); chunk !== undefined; chunk = await next(chunks, how.signal)) {
      bytes += chunk.byteLength;
      if (bytes > how.maxBytes) throw tooLarge(how.maxBytes);
      sm3.update(chunk);
      sha256.update(chunk);
      await handle.writeFile(chunk);
    }
    if (!(await LOOKS_LIKE[mediaType](handle, bytes))) throw NOT_WHAT_IT_SAYS[mediaType]();
    const digests = { sm3: sm3.digest('hex'), sha256: sha256.digest('hex') };
    const told = how.digest?.toLowerCase();
    if (told !== undefined && told !== `sm3:${digests.sm3}` && told !== `sha256:${digests.sha256}`) throw mismatch();
    return { file, bytes, ...digests, mediaType, remove };
  } catch (error) {
    // Not waited for: a stream that stands still in the middle of a chunk would never say that it ended.
    Promise.resolve(chunks.return?.()).catch(() => {});
    // What went wrong first is what is told.
    await remove().catch(() => {});
    throw error;
  }
}

/** The next chunk, undefined at the end. The signal ends the waiting, also when the source never speaks again. */
async function next(chunks: AsyncIterator<Uint8Array>, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const end = () => reject(signal.reason);
  try {
    signal.throwIfAborted();
    signal.addEventListener('abort', end, { once: true });
    const { done, value } = await Promise.race([chunks.next(), ended]);
    return done === true ? undefined : value;
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw new Fault('unreachable', {
      reason: { code: 'unreachable', zh: '证照文件没有传完', en: "the certificate's file did not come to its end" },
      cause,
    });
  } finally {
    signal.removeEventListener('abort', end);
  }
}

/** ISO 32000-1 annex H, notes 13 and 18: readers take a header in the first and an end mark in the last 1024 bytes. */
const PDF_MARGIN = 1024;
/** Of a ZIP: a record of 22 bytes and a comment of at most 65,535, at the very end. */
const ZIP_MARGIN = 22 + 65_535;
const ZIP_ENTRY = Buffer.from('PK\x03\x04', 'latin1');
const ZIP_END = Buffer.from('PK\x05\x06', 'latin1');

/** By the first and last bytes only: whether the rest can be read is the reader's affair. An OFD is a ZIP (GB/T 33190). */
const LOOKS_LIKE: Record<MediaType, (handle: FileHandle, bytes: number) => Promise<boolean>> = {
  'application/pdf': async (handle, bytes) =>
    (await head(handle, PDF_MARGIN)).includes('%PDF-') && (await tail(handle, bytes, PDF_MARGIN)).includes('%%EOF'),
  'application/ofd': async (handle, bytes) =>
    (await head(handle, ZIP_ENTRY.length)).equals(ZIP_ENTRY) &&
    (await tail(handle, bytes, ZIP_MARGIN)).includes(ZIP_END),
};

const head = (handle: FileHandle, length: number) => read(handle, 0, length);
const tail = (handle: FileHandle, bytes: number, length: number) => read(handle, Math.max(0, bytes - length), length);

async function read(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

const NOT_WHAT_IT_SAYS: Record<MediaType, () => Fault> = {
  'application/pdf': () =>
    malformed('notPdf', '来源给出的文件不是完整的 PDF', 'the file of the source is no whole PDF'),
  'application/ofd': () =>
    malformed('notOfd', '来源给出的文件不是完整的 OFD', 'the file of the source is no whole OFD'),
};

const tooLarge = (maxBytes: number) =>
  malformed(
    'tooLarge',
    `证照文件超过 ${megabytes(maxBytes)} MB 的上限`,
    `the certificate's file is larger than the limit of ${megabytes(maxBytes)} MB`,
  );

const mismatch = () =>
  malformed(
    'digestMismatch',
    '证照文件的摘要与来源所给的不一致',
    "the digest of the certificate's file is not the one its source gave",
  );

const malformed = (code: string, zh: string, en: string) => new Fault('malformed', { reason: { code, zh, en } });
