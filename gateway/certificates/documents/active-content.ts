import { PDFArray, PDFDict, type PDFDocument, PDFName, type PDFObject, PDFRawStream, PDFStream } from '@cantoo/pdf-lib';

/** What a document does beside being read, in words that say nothing of its content. */
export type ActiveContent =
  | 'script'
  | 'launch'
  | 'embeddedFile'
  | 'formSubmission'
  | 'remoteDocument'
  | 'media'
  | 'xfaForm'
  | 'automaticAction';

/** Keys whose presence is enough (ISO 32000-1: 7.11.3, 7.11.4, 12.6.3, 12.6.4.16, 12.7.8; ISO 32000-2: 13.7). */
const KEYS: { readonly [key: string]: ActiveContent } = {
  JS: 'script',
  JavaScript: 'script',
  AA: 'automaticAction',
  EF: 'embeddedFile',
  EmbeddedFiles: 'embeddedFile',
  XFA: 'xfaForm',
  RichMediaContent: 'media',
  RichMediaSettings: 'media',
};

/** Actions by their `S` (12.6.4, table 198). `GoTo` and `Named` turn pages; `URI` opens an address that a person clicks, and asks them first. */
const ACTIONS: { readonly [name: string]: ActiveContent } = {
  JavaScript: 'script',
  Launch: 'launch',
  SubmitForm: 'formSubmission',
  ImportData: 'formSubmission',
  GoToR: 'remoteDocument',
  GoToE: 'embeddedFile',
  Rendition: 'media',
  Movie: 'media',
  Sound: 'media',
  RichMediaExecute: 'media',
};

/** Annotations and streams by `Subtype` and `Type`. */
const KINDS: { readonly [name: string]: ActiveContent } = {
  FileAttachment: 'embeddedFile',
  EmbeddedFile: 'embeddedFile',
  RichMedia: 'media',
  Movie: 'media',
  Sound: 'media',
  Screen: 'media',
  '3D': 'media',
  Launch: 'launch',
};

/** Long enough not to come about by chance in compressed bytes. */
const IN_THE_BYTES: readonly (readonly [name: string, what: ActiveContent])[] = [
  ['/JavaScript', 'script'],
  ['/EmbeddedFile', 'embeddedFile'],
  ['/RichMedia', 'media'],
  ['/SubmitForm', 'formSubmission'],
  ['/ImportData', 'formSubmission'],
];

/**
 * What of a document is more than something to read: scripts, programs and other files that it starts, files that it carries, forms that send themselves. Every
 * object is looked at, whether the pages lead to it or not, those in compressed object streams too, and those of earlier states of the file that are still in it.
 * Names are compared as they are meant, however they are written (`/J#61vaScript`). Undefined: there is nothing of the kind.
 */
export function activeContentOf(pdf: PDFDocument, bytes: Uint8Array): ActiveContent | undefined {
  for (const [, object] of pdf.context.enumerateIndirectObjects()) {
    const found = activeIn(object);
    if (found !== undefined) return found;
  }
  const { Root, Info } = pdf.context.trailerInfo;
  for (const object of [Root, Info]) {
    const found = object === undefined ? undefined : activeIn(object);
    if (found !== undefined) return found;
  }
  return inBytes(bytes);
}

/** Objects within objects; what is only referred to is looked at where it stands itself. Not by recursion: how deep they lie is theirs to say. */
function activeIn(whole: PDFObject): ActiveContent | undefined {
  const left: PDFObject[] = [whole];
  for (let object = left.pop(); object !== undefined; object = left.pop()) {
    if (object instanceof PDFArray) left.push(...object.asArray());
    const dict =
      object instanceof PDFDict
        ? object
        : object instanceof PDFStream || object instanceof PDFRawStream
          ? object.dict
          : undefined;
    if (dict === undefined) continue;
    const found = activeInDict(dict);
    if (found !== undefined) return found;
    left.push(...dict.values());
  }
  return undefined;
}

function activeInDict(dict: PDFDict): ActiveContent | undefined {
  for (const key of dict.keys()) {
    const found = of(KEYS, key);
    if (found !== undefined) return found;
  }
  return (
    of(ACTIONS, dict.get(PDFName.of('S'))) ??
    of(KINDS, dict.get(PDFName.of('Subtype'))) ??
    of(KINDS, dict.get(PDFName.of('Type')))
  );
}

function of(table: { readonly [name: string]: ActiveContent }, name: PDFObject | undefined): ActiveContent | undefined {
  if (!(name instanceof PDFName)) return undefined;
  const text = name.decodeText();
  return Object.hasOwn(table, text) ? table[text] : undefined;
}

/** What a reader that follows the file's own table may find, and one that reads it from front to back does not: an object within the bytes of another. */
function inBytes(bytes: Uint8Array): ActiveContent | undefined {
  const text = unescaped(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return IN_THE_BYTES.find(([name]) => text.includes(name))?.[1];
}

/** With `#61` in place of each character that a name may be written with; as long as the file, or shorter. */
function unescaped(bytes: Buffer): Buffer {
  if (!bytes.includes('#')) return bytes;
  const plain = Buffer.allocUnsafe(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    const code = bytes[at] === 0x23 ? hexAt(bytes, at + 1) : undefined;
    plain[length] = code ?? (bytes[at] as number);
    if (code !== undefined) at += 2;
    length += 1;
  }
  return plain.subarray(0, length);
}

function hexAt(bytes: Buffer, at: number): number | undefined {
  const [high, low] = [hexDigit(bytes[at]), hexDigit(bytes[at + 1])];
  return high === undefined || low === undefined ? undefined : high * 16 + low;
}

function hexDigit(code = 0): number | undefined {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : undefined;
}
