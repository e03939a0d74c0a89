import {
  decodePDFRawStream,
  PDFArray,
  PDFDict,
  PDFDocument,
  type PDFFont,
  PDFName,
  PDFNull,
  PDFNumber,
  type PDFObject,
  PDFPageLeaf,
  PDFPageTree,
  PDFRawStream,
  PDFRef,
} from '@cantoo/pdf-lib';
import * as fontkit from 'fontkit';
import type { Words } from '../../../contracts/ports/envelope.ts';
import { band, type Layout, watermark } from './layout.ts';

/** What an annotated copy says it is for. */
export interface Stamp {
  readonly item: Words;
  readonly agency: string;
  /** YYYY-MM-DD */
  readonly date: string;
  readonly caseNo: string;
}

/** The original, and what is known of it. */
export interface Original {
  readonly bytes: Uint8Array;
  /** Lower-case hex; stands in the copy, so that the copy leads back to it. */
  readonly sm3: string;
}

/**
 * The content of all pages, in bytes, as far as it has to be put anew. One piece of content that many pages share is counted for each of them: a small file could
 * otherwise ask for a copy without bounds.
 */
const MOST_CONTENT = 64 * 2 ** 20;

/**
 * A copy with the stamp on every page: lightly and repeatedly across it, and in clear lines at its foot.
 *
 * The original page becomes one drawing (a form XObject) and the stamp is drawn over it: whatever the page's own operators leave open or displaced, a clip, a
 * matrix, a hidden layer, ends with that drawing and cannot take the stamp with it. Signatures do not hold in a copy and are left out; the pictures of the seals stay.
 *
 * @throws any error when the file cannot be read, or forbids the change
 */
export async function stamped(
  original: Original,
  stamp: Stamp,
  fontFile: Uint8Array,
  now: number,
): Promise<Uint8Array> {
  const pdf = await readPdf(original.bytes);
  withoutSignatures(pdf);
  const pages = pagesOf(pdf);
  pdf.registerFontkit(fontkit as never);
  // Parsed for each document anew, which costs little: parsed glyphs remember the text they were first used for.
  const font = await pdf.embedFont(fontFile, { subset: true });
  const words = wordsOf(stamp, new Set(font.getCharacterSet()));
  const content = new PageContent(pdf);
  const overlays = new Map<string, PDFRef>();
  for (const page of pages) {
    const { width, height, matrix } = uprightView(page);
    const size = `${width} ${height}`;
    const overlay = overlays.get(size) ?? overlayOf(pdf, font, width, height, words);
    overlays.set(size, overlay);
    content.cover(page, overlay, matrix);
  }
  content.dropReplaced();
  describe(pdf, original.sm3, now);
  return await pdf.save({ addDefaultPage: false, updateFieldAppearances: false });
}

/** Whole: what cannot be read is an error. */
export const readPdf = (bytes: Uint8Array, password?: string): Promise<PDFDocument> =>
  PDFDocument.load(bytes, {
    throwOnInvalidObject: true,
    updateMetadata: false,
    ...(password === undefined ? {} : { password }),
  });

/** What the font does not have is printed as 〓, as printers do for a type that is not in the case; a control character as a space. */
function wordsOf({ item, agency, date, caseNo }: Stamp, inFont: ReadonlySet<number>): Words {
  const printable = (text: string) =>
    Array.from(text.normalize('NFC').replace(/[\s\p{C}]+/gu, ' '), (one) =>
      inFont.has(one.codePointAt(0) ?? 0) ? one : '〓',
    ).join('');
  return {
    zh: printable(`仅供 ${item.zh} 使用 · ${agency} · ${date} · 办件 ${caseNo}`),
    en: printable(`only for ${item.en} · ${agency} · ${date} · case ${caseNo}`),
  };
}

/** Every page once, in order. What a reader might show and we could not stamp is an error. */
function pagesOf(pdf: PDFDocument): readonly PDFPageLeaf[] {
  const pages = new Set<PDFPageLeaf>();
  pdf.catalog.Pages().traverse((node) => {
    if (node instanceof PDFPageLeaf) pages.add(node);
    else if (!(node instanceof PDFPageTree)) throw new Error('something in the page tree is no page');
  });
  if (pages.size === 0) throw new Error('no page');
  return [...pages];
}

/**
 * An author's certification (DocMDP, ISO 32000-1 12.8.2.2) allows filling in and commenting at most, never new content on a page: such a file is left alone. Other
 * signatures are taken out, because a reader would call them broken; their fields and pictures remain.
 */
function withoutSignatures(pdf: PDFDocument): void {
  const { context, catalog } = pdf;
  if (catalog.lookupMaybe(PDFName.of('Perms'), PDFDict)?.has(PDFName.of('DocMDP')) === true)
    throw new Error('certified: its author allows no change of a page');
  for (const name of ['Perms', 'DSS']) catalog.delete(PDFName.of(name));
  for (const [ref, object] of context.enumerateIndirectObjects()) {
    if (!(object instanceof PDFDict)) continue;
    if (object.get(PDFName.of('FT')) === PDFName.of('Sig')) object.delete(PDFName.of('V'));
    if (object.has(PDFName.of('ByteRange'))) context.delete(ref);
  }
  catalog.lookupMaybe(PDFName.of('AcroForm'), PDFDict)?.delete(PDFName.of('SigFlags'));
}

/** What of a page is seen, and how it is turned: the matrix takes a point of the page as it is read, from its lower left corner, to the page's own place. */
function uprightView(page: PDFPageLeaf): { width: number; height: number; matrix: string } {
  const media = corners(page.MediaBox());
  const crop = page.CropBox();
  const seen = crop === undefined ? media : overlap(corners(crop), media);
  const [left, bottom, right, top] = seen;
  const [wide, high] = [right - left, top - bottom];
  if (!(wide > 0 && high > 0)) throw new Error('a page of no size');
  const turned = (((page.Rotate()?.asNumber() ?? 0) % 360) + 360) % 360;
  // ISO 32000-1 table 30: clockwise, in quarters; readers show a page with any other number as it lies.
  const [width, height, ...matrix] = {
    90: [high, wide, 0, 1, -1, 0, right, bottom],
    180: [wide, high, -1, 0, 0, -1, right, top],
    270: [high, wide, 0, -1, 1, 0, left, top],
  }[turned] ?? [wide, high, 1, 0, 0, 1, left, bottom];
  return { width: width as number, height: height as number, matrix: matrix.map(number).join(' ') };
}

type Corners = readonly [left: number, bottom: number, right: number, top: number];

function corners(box: PDFArray): Corners {
  const at = (index: number) => box.lookup(index, PDFNumber).asNumber();
  const [x, y] = [
    [at(0), at(2)],
    [at(1), at(3)],
  ];
  return [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)];
}

/** A crop box that lies beside the page is no crop box. */
function overlap(crop: Corners, media: Corners): Corners {
  const [left, bottom] = [Math.max(crop[0], media[0]), Math.max(crop[1], media[1])];
  const [right, top] = [Math.min(crop[2], media[2]), Math.min(crop[3], media[3])];
  return right > left && top > bottom ? [left, bottom, right, top] : media;
}

const CONTENTS = PDFName.of('Contents');
const RESOURCES = PDFName.of('Resources');

/** Puts the pages' own content into forms, one for the pages that share all of it. */
class PageContent {
  readonly #pdf: PDFDocument;
  readonly #forms = new Map<string, PDFRef>();
  readonly #replaced = new Set<PDFRef>();
  #bytes = 0;

  constructor(pdf: PDFDocument) {
    this.#pdf = pdf;
  }

  cover(page: PDFPageLeaf, overlay: PDFRef, matrix: string): void {
    const { context } = this.#pdf;
    const under = this.#formOf(page);
    const place = context.flateStream(`/Page Do q ${matrix} cm /Stamp Do Q`);
    page.set(CONTENTS, context.register(place));
    page.set(RESOURCES, context.obj({ XObject: { Page: under, Stamp: overlay } }));
  }

  /** The streams whose content now stands in forms would otherwise be written a second time. */
  dropReplaced(): void {
    for (const ref of this.#replaced) this.#pdf.context.delete(ref);
  }

  #formOf(page: PDFPageLeaf): PDFRef {
    const { context } = this.#pdf;
    const contents = page.get(CONTENTS);
    const resources = page.getInheritableAttribute(RESOURCES) ?? context.obj({});
    const box = corners(page.MediaBox());
    // Only what is known by its number is known to be the same.
    const key =
      contents instanceof PDFRef && resources instanceof PDFRef
        ? `${contents.tag} ${resources.tag} ${box.join(' ')}`
        : undefined;
    const known = key === undefined ? undefined : this.#forms.get(key);
    if (known !== undefined) return known;

    const form = this.#asOne(contents);
    this.#bytes += form.contents.byteLength;
    if (this.#bytes > MOST_CONTENT) throw new Error('its pages ask for too much content');
    const entries = { Type: 'XObject', Subtype: 'Form', FormType: 1, BBox: [...box], Resources: resources };
    for (const [name, value] of Object.entries(entries)) form.dict.set(PDFName.of(name), context.obj(value as never));
    const ref = context.register(form);
    if (key !== undefined) this.#forms.set(key, ref);
    return ref;
  }

  /** One stream is taken as it lies, still compressed; several are one content (7.8.2), divided between words. */
  #asOne(contents: PDFObject | undefined): PDFRawStream {
    const { context } = this.#pdf;
    const whole = context.lookup(contents);
    const parts =
      whole instanceof PDFArray ? whole.asArray() : whole === undefined || whole === PDFNull ? [] : [contents];
    for (const part of [contents, ...parts]) if (part instanceof PDFRef) this.#replaced.add(part);
    const streams = parts.map((part) => {
      const stream = context.lookup(part);
      if (stream instanceof PDFRawStream) return stream;
      throw new Error("a page's content is no stream");
    });
    const [only] = streams;
    if (only !== undefined && streams.length === 1) return PDFRawStream.of(only.dict.clone(context), only.contents);
    return context.flateStream(Buffer.concat(streams.flatMap((one) => [decodePDFRawStream(one).decode(), NEWLINE])));
  }
}

const NEWLINE = Buffer.from('\n');

/** The stamp for all pages of one size, as they are read. */
function overlayOf(pdf: PDFDocument, font: PDFFont, width: number, height: number, words: Words): PDFRef {
  const measure = (text: string) => font.widthOfTextAtSize(text, 1);
  const foot = band(words, width, height, measure);
  const across = watermark(words.zh, width, height, measure);
  const show = ({ lines, lineHeight }: Layout) =>
    lines.map((line) => `${font.encodeText(line).toString()} Tj 0 -${number(lineHeight)} Td`).join('\n');
  const write = (layout: Layout, matrix: readonly number[]) =>
    `BT /F ${number(layout.size)} Tf ${matrix.map(number).join(' ')} Tm\n${show(layout)} ET`;
  const [cos, sin] = [Math.cos(across.angle), Math.sin(across.angle)];
  const marks = across.places.map(({ x, y }) => write(across, [cos, sin, -sin, cos, x, y]));
  const content = [
    '/Artifact <</Type /Pagination /Subtype /Watermark>> BDC q /Light gs 0.55 0.1 0.1 rg',
    ...marks,
    'Q EMC',
    `q /Ground gs 1 g 0 0 ${number(width)} ${number(foot.height)} re f Q`,
    `q 0.45 0 0 rg ${write(foot, [1, 0, 0, 1, foot.x, foot.y])} Q`,
  ].join('\n');
  const { context } = pdf;
  const form = context.flateStream(content, {
    Type: 'XObject',
    Subtype: 'Form',
    FormType: 1,
    BBox: [0, 0, width, height],
    Resources: {
      Font: { F: font.ref },
      ExtGState: { Light: { Type: 'ExtGState', ca: 0.16 }, Ground: { Type: 'ExtGState', ca: 0.75 } },
    },
  });
  return context.register(form);
}

/** PDF knows no exponents. */
const number = (value: number): string => String(Number(value.toFixed(4)));

/** XMP and the structure tree spoke of the original's pages; they are not true of the copy's. */
function describe(pdf: PDFDocument, sm3: string, now: number): void {
  for (const name of ['Metadata', 'StructTreeRoot', 'MarkInfo']) pdf.catalog.delete(PDFName.of(name));
  pdf.setSubject(`加注件 annotated copy of sm3:${sm3}`);
  pdf.setKeywords([`sm3:${sm3}`]);
  pdf.setProducer('Onewindow 一窗总线');
  pdf.setModificationDate(new Date(now));
}
