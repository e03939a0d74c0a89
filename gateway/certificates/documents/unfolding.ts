import { decodePDFRawStream, PDFContext } from '@cantoo/pdf-lib';

/** Every filter of the library, chained ones too, writes into a buffer that grows by this method, to twice its size or more. */
interface Growing {
  buffer: Uint8Array;
  ensureBuffer(requested: number): Uint8Array;
}

/**
 * Counts what the compressed parts of a document unfold to, while they unfold, in this thread: a few kilobytes of compressed nothing can ask for gigabytes, and
 * would have them before anybody outside has looked. What goes beyond the bound is never allocated.
 */
export class Unfolding {
  #left = Number.POSITIVE_INFINITY;
  #passed = false;

  constructor() {
    const count = (more: number) => this.#count(more);
    const streams = growing();
    const grow = streams.ensureBuffer;
    streams.ensureBuffer = function (requested) {
      const { byteLength } = this.buffer;
      if (requested > byteLength) count(Math.max(requested, 2 * byteLength) - byteLength);
      return grow.call(this, requested);
    };
  }

  /** Of the next document; in bytes of all its parts together. */
  begin(most: number): void {
    this.#left = most;
    this.#passed = false;
  }

  /** Whether the document asked for more than it may: whatever the library made of the refusal. */
  get passed(): boolean {
    return this.#passed;
  }

  #count(more: number): void {
    this.#left -= more;
    if (this.#left >= 0) return;
    this.#passed = true;
    throw new Error('it unfolds to more than there is room for');
  }
}

/** What the library's streams have in common; it exports none of them. */
function growing(): Growing {
  const one = decodePDFRawStream(PDFContext.create().stream('', { Filter: 'RunLengthDecode' }));
  const common = Object.getPrototypeOf(Object.getPrototypeOf(one)) as Partial<Growing> | null;
  if (typeof common?.ensureBuffer !== 'function') throw new Error('the streams of @cantoo/pdf-lib grow otherwise now');
  return common as Growing;
}
