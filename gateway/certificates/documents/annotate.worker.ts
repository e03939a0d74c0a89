import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { parentPort } from 'node:worker_threads';
import { PRIVATE } from '../../../config/private-files.ts';
import { type ActiveContent, activeContentOf } from './active-content.ts';
import { chineseFont } from './font.ts';
import { readPdf, type Stamp, stamped } from './stamp.ts';
import { Unfolding } from './unfolding.ts';

/** One document to look through, and to stamp where `stamp` says how: read here, written here, so that its bytes never cross the thread. */
export interface AnnotationJob {
  readonly from: string;
  readonly stamp: { readonly to: string; readonly words: Stamp; readonly now: number } | null;
  /** Bytes that its compressed parts may unfold to. */
  readonly mostUnfolded: number;
}

/** `active`: it does more than being read; `unfit`: it cannot be read or stamped; `unfolds`: to more than it may; `failed`: our own disk or installation. */
export type AnnotationEnd =
  | { readonly copy: { readonly bytes: number; readonly sm3: string; readonly sha256: string } }
  | { readonly inspected: true }
  | { readonly active: ActiveContent }
  | { readonly unfit: Error }
  | { readonly unfolds: true }
  | { readonly failed: Error };

const unfolding = new Unfolding();

/** The entry of the worker thread: one job, one answer; whoever posts the next one waits for it. */
parentPort?.on('message', async (job: AnnotationJob) => {
  parentPort?.postMessage(await annotated(job).catch((error: unknown) => ({ failed: plain(error) })));
});

async function annotated({ from, stamp, mostUnfolded }: AnnotationJob): Promise<AnnotationEnd> {
  const bytes = await readFile(from);
  unfolding.begin(mostUnfolded);
  const active = await activeIn(bytes).catch(plain);
  if (unfolding.passed) return { unfolds: true };
  if (active instanceof Error) return { unfit: active };
  if (active !== undefined) return { active };
  if (stamp === null) return { inspected: true };
  const { to, words, now } = stamp;
  const font = await chineseFont();
  unfolding.begin(mostUnfolded);
  const copy = await stamped({ bytes, sm3: hash('sm3', bytes) }, words, font, now).catch(plain);
  if (unfolding.passed) return { unfolds: true };
  if (copy instanceof Error) return { unfit: copy };
  await writeFile(to, copy, { flag: 'wx', mode: PRIVATE.file });
  return { copy: { bytes: copy.byteLength, sm3: hash('sm3', copy), sha256: hash('sha256', copy) } };
}

/** A file that is locked against changes, and that anybody may open, is opened as anybody does. */
async function activeIn(bytes: Uint8Array): Promise<ActiveContent | undefined> {
  const pdf = await readPdf(bytes, '');
  if (pdf.getPageCount() === 0) throw new Error('no page');
  return activeContentOf(pdf, bytes);
}

const hash = (algorithm: string, bytes: Uint8Array) => createHash(algorithm).update(bytes).digest('hex');

/** An error of the library may hold what cannot be posted, and in its message a piece of the document: its kind and place are enough for the log. */
function plain(error: unknown): Error {
  const { name, stack } = error instanceof Error ? error : new Error();
  const kept = new Error(`${name} in the annotating thread`);
  kept.stack = `${kept.message}\n${stack?.slice(stack.indexOf('\n    at ') + 1) ?? ''}`;
  return kept;
}
