import { rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../../../contracts/ports/clock.ts';
import type { Words } from '../../../contracts/ports/envelope.ts';
import { Fault } from '../../../contracts/ports/fault.ts';
import type { ActiveContent } from './active-content.ts';
import type { AnnotationEnd, AnnotationJob } from './annotate.worker.ts';
import { megabytes } from './megabytes.ts';
import { newFile, type Spooled } from './spooled.ts';
import type { Stamp } from './stamp.ts';

/** A PDF is held whole to be changed, several times over: hence bounds of its own, beside those of what is only passed on. */
export interface AnnotatorOptions {
  /** 20 MB unless told. */
  readonly maxBytes?: number;
  /** For one document, without the time it waits for its turn. 20 s unless told. */
  readonly timeLimitMs?: number;
  /**
   * What one thread may hold. What a document unfolds to is counted while it unfolds, and never goes beyond; all else is looked at twenty times a second, so it can
   * be passed for a moment. 512 MB unless told.
   */
  readonly maxMemory?: number;
  readonly clock: Clock;
}

export interface Annotator {
  /**
   * Looks a PDF through that is handed out as it is.
   *
   * @throws Fault malformed `activeContent` when it does more than being read (scripts, programs, files that it carries), `cannotInspect` when it cannot be looked
   * through: locked, broken, or too much for the limits; busy `annotatorBusy` when too many wait; an error of our own disk or installation as it is
   */
  inspect(file: string): Promise<void>;
  /**
   * An annotated copy (加注件) of a PDF, beside it in its folder; the original is left alone. Whatever fails leaves no copy.
   *
   * @throws Fault malformed `activeContent`; `cannotAnnotate` (encrypted, certified, broken, or too much for the limits), `tooLargeToAnnotate`; busy `annotatorBusy` when too many wait;
   * an error of our own disk or installation as it is
   */
  annotate(file: string, words: Stamp): Promise<Spooled>;
  /** Ends what is under way with `annotatorBusy`, and waits until no thread is left. */
  close(): Promise<void>;
}

/** Threads; each is started when it is first needed, and holds the font (10 MB) from then on. */
const WORKERS = 2;
/** Documents that wait for a thread: files on the disk, not in memory. */
const MOST_WAITING = 16;
const MB = 2 ** 20;
const LOOK_EVERY_MS = 50;

interface Waiting {
  readonly job: AnnotationJob;
  readonly end: (end: AnnotationEnd | Fault) => void;
}

export function makeAnnotator(options: AnnotatorOptions): Annotator {
  const { maxBytes = 20 * MB, timeLimitMs = 20_000, maxMemory = 512 * MB, clock } = options;
  const waiting: Waiting[] = [];
  const threads = new Set<Thread>();
  let closed = false;

  const turn = () => {
    for (const one of threads) if (one.ended && !one.busy) threads.delete(one);
    if (closed || waiting.length === 0) return;
    const thread = [...threads].find((one) => !one.busy && !one.ended) ?? another();
    if (thread !== undefined) run(thread, waiting.shift() as Waiting);
  };

  const another = () => {
    if (threads.size === WORKERS) return undefined;
    const thread = new Thread(clock, { timeLimitMs, maxMemory });
    threads.add(thread);
    return thread;
  };

  const run = (thread: Thread, { job, end }: Waiting) => {
    void thread.run(job).then((result) => {
      end(result);
      turn();
    });
  };

  const stampedBy = (job: AnnotationJob) =>
    new Promise<AnnotationEnd | Fault>((end) => {
      if (closed || waiting.length >= MOST_WAITING) return end(busy(clock.now() + timeLimitMs));
      waiting.push({ job, end });
      turn();
    });

  return {
    async inspect(file) {
      const end = await stampedBy({ from: file, stamp: null, mostUnfolded: maxMemory });
      if ('inspected' in end) return;
      if ('active' in end) throw activeContent(end.active);
      if (end instanceof Fault) throw end.kind === 'busy' ? end : cannotInspect(end);
      throw 'failed' in end ? end.failed : cannotInspect('unfit' in end ? end.unfit : undefined);
    },
    async annotate(file, words) {
      if ((await stat(file)).size > maxBytes) throw tooLarge(maxBytes);
      const to = newFile(path.dirname(file));
      const remove = () => rm(to, { force: true });
      const end = await stampedBy({ from: file, stamp: { to, words, now: clock.now() }, mostUnfolded: maxMemory });
      if ('copy' in end) return { file: to, ...end.copy, remove };
      await remove();
      if (end instanceof Fault) throw end;
      if ('unfolds' in end) throw tooMuch('memory');
      if ('active' in end) throw activeContent(end.active);
      if ('inspected' in end) throw new Error('a document was looked through and not stamped');
      throw 'unfit' in end ? cannotAnnotate(end.unfit) : end.failed;
    },
    async close() {
      closed = true;
      for (const { end } of waiting.splice(0)) end(busy(clock.now()));
      await Promise.all([...threads].map((thread) => thread.stop(busy(clock.now()))));
    },
  };
}

/** One worker thread, one document at a time. One that was stopped, whoever stopped it, is done with. */
class Thread {
  readonly #clock: Clock;
  readonly #limits: { readonly timeLimitMs: number; readonly maxMemory: number };
  readonly #worker: Worker;
  #end: ((end: AnnotationEnd | Fault) => void) | undefined;
  #stopping: Promise<void> | undefined;

  constructor(clock: Clock, limits: { readonly timeLimitMs: number; readonly maxMemory: number }) {
    this.#clock = clock;
    this.#limits = limits;
    this.#worker = new Worker(new URL('./annotate.worker.ts', import.meta.url), {
      // Far away, because V8 may end the whole process at a limit, not the thread: #watch comes before it.
      resourceLimits: { maxOldGenerationSizeMb: (4 * limits.maxMemory) / MB },
      // What the library prints of a document it dislikes is no line of ours.
      stdout: true,
      stderr: true,
    });
    this.#worker.stdout.resume();
    this.#worker.stderr.resume();
    this.#worker.on('message', (end: AnnotationEnd) => this.#end?.(end));
    this.#worker.on('error', (error: NodeJS.ErrnoException) => {
      void this.stop(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? tooMuch('memory') : { failed: error });
    });
    this.#worker.on('exit', () => void this.stop({ failed: new Error('the annotating thread ended by itself') }));
    // A thread without work keeps no process alive.
    this.#worker.unref();
  }

  get busy(): boolean {
    return this.#end !== undefined;
  }

  get ended(): boolean {
    return this.#stopping !== undefined;
  }

  async run(job: AnnotationJob): Promise<AnnotationEnd | Fault> {
    const { promise, resolve } = Promise.withResolvers<AnnotationEnd | Fault>();
    this.#end = resolve;
    this.#worker.ref();
    this.#worker.postMessage(job);
    const forgetLimit = this.#clock.after(this.#limits.timeLimitMs, () => void this.stop(tooMuch('time')));
    const forgetLook = this.#watch();
    try {
      return await promise;
    } finally {
      forgetLimit();
      forgetLook();
      this.#end = undefined;
      this.#worker.unref();
    }
  }

  /** From outside, because the thread itself is lost in its work; the heap and what is unpacked beside it. */
  #watch(): () => void {
    let watching = true;
    let forget = () => {};
    const look = async () => {
      // Rejects before the thread has begun, which takes a busy machine a second, and when it is gone, which is told elsewhere.
      const heap = await this.#worker.getHeapStatistics().catch(() => undefined);
      if (!watching) return;
      const held = heap === undefined ? 0 : heap.used_heap_size + heap.external_memory;
      if (held > this.#limits.maxMemory) return void this.stop(tooMuch('memory'));
      forget = this.#clock.after(LOOK_EVERY_MS, look);
    };
    forget = this.#clock.after(LOOK_EVERY_MS, look);
    return () => {
      watching = false;
      forget();
    };
  }

  /** Until the thread is gone it may still write its file: so nobody is told before. The first reason counts. */
  stop(why: AnnotationEnd | Fault): Promise<void> {
    this.#stopping ??= this.#worker.terminate().then(() => this.#end?.(why));
    return this.#stopping;
  }
}

const ACTIVE: { readonly [what in ActiveContent]: Words } = {
  script: { zh: '脚本', en: 'a script' },
  launch: { zh: '启动程序的动作', en: 'an action that starts a program' },
  embeddedFile: { zh: '嵌入的文件', en: 'an embedded file' },
  formSubmission: { zh: '提交表单的动作', en: 'an action that submits a form' },
  remoteDocument: { zh: '打开其他文件的动作', en: 'an action that opens another file' },
  media: { zh: '多媒体内容', en: 'media that play' },
  xfaForm: { zh: 'XFA 表单', en: 'an XFA form' },
  automaticAction: { zh: '自动执行的动作', en: 'an action that runs by itself' },
};

const activeContent = (what: ActiveContent) =>
  new Fault('malformed', {
    reason: {
      code: 'activeContent',
      zh: `来源给出的 PDF 含有${ACTIVE[what].zh}，不予提供；去除后摘要将与来源不一致`,
      en: `the PDF of the source has ${ACTIVE[what].en}, and is not handed out: without it the digest would not be the source's`,
    },
  });

const cannotInspect = (cause: unknown) =>
  new Fault('malformed', {
    reason: {
      code: 'cannotInspect',
      zh: '来源给出的 PDF 已加密、已损坏或过于复杂，无法检查是否含有脚本或嵌入文件，不予提供',
      en: 'the PDF of the source is locked, broken or too much to be looked through for scripts and embedded files, and is not handed out',
    },
    cause,
  });

const cannotAnnotate = (cause: unknown) =>
  new Fault('malformed', {
    reason: {
      code: 'cannotAnnotate',
      zh: '该 PDF 已加密、已由签发人锁定或已损坏，不能制作加注件',
      en: 'this PDF is encrypted, locked by its author or broken: no annotated copy can be made of it',
    },
    cause,
  });

const tooMuch = (what: 'time' | 'memory') =>
  new Fault('malformed', {
    reason: {
      code: 'cannotAnnotate',
      zh: `制作该 PDF 的加注件所需的${{ time: '时间', memory: '内存' }[what]}超过上限`,
      en: `an annotated copy of this PDF takes more ${what} than there is for one`,
    },
  });

const tooLarge = (maxBytes: number) =>
  new Fault('malformed', {
    reason: {
      code: 'tooLargeToAnnotate',
      zh: `PDF 超过 ${megabytes(maxBytes)} MB，不能制作加注件`,
      en: `the PDF is larger than ${megabytes(maxBytes)} MB: no annotated copy can be made of it`,
    },
  });

const busy = (until: number) =>
  new Fault('busy', {
    until,
    reason: {
      code: 'annotatorBusy',
      zh: '正在制作的加注件过多，请稍后再试',
      en: 'too many annotated copies are being made: try again shortly',
    },
  });
