import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import {
  decodePDFRawStream,
  degrees,
  PDFDict,
  PDFDocument,
  PDFName,
  type PDFPage,
  PDFRawStream,
  PDFString,
  StandardFonts,
} from '@cantoo/pdf-lib';
import fc from 'fast-check';
import * as fontkit from 'fontkit';
import { wallClock } from '../../../contracts/ports/clock.ts';
import { Fault } from '../../../contracts/ports/fault.ts';
import { type Annotator, makeAnnotator } from './annotate.ts';
import type { Stamp } from './stamp.ts';

const WORDS: Stamp = {
  item: { zh: '不动产转移登记（二手房买卖）', en: 'transfer of real estate (second-hand house)' },
  agency: '示例县自然资源和规划局',
  date: '2026-11-23',
  caseNo: '331124261123000001',
};
const ZH = '仅供 不动产转移登记（二手房买卖） 使用 · 示例县自然资源和规划局 · 2026-11-23 · 办件 331124261123000001';
const EN =
  'only for transfer of real estate (second-hand house) · 示例县自然资源和规划局 · 2026-11-23 · case 331124261123000001';

let folder = '';
let annotator: Annotator;
before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'annotate-'));
  annotator = makeAnnotator({ clock: wallClock });
});
afterEach(async () => {
  for (const name of await readdir(folder)) await rm(path.join(folder, name));
});
after(async () => {
  await annotator.close();
  await rm(folder, { recursive: true });
});

const ORIGINAL = 'original.pdf';

async function original(bytes: Uint8Array): Promise<string> {
  const file = path.join(folder, ORIGINAL);
  await writeFile(file, bytes);
  return file;
}

async function copyOf(bytes: Uint8Array, words = WORDS): Promise<PDFDocument> {
  const copy = await annotator.annotate(await original(bytes), words);
  return PDFDocument.load(await readFile(copy.file), { throwOnInvalidObject: true, updateMetadata: false });
}

async function refused(bytes: Uint8Array, by = annotator): Promise<Fault> {
  const fault = await by.annotate(await original(bytes), WORDS).then(
    () => assert.fail('it was stamped'),
    (error: unknown) => error,
  );
  assert.ok(fault instanceof Fault, String(fault));
  assert.deepEqual(await readdir(folder), [ORIGINAL], 'a copy stayed behind');
  return fault;
}

async function pdfOf(pages: number, make: (page: PDFPage, at: number) => void = () => {}): Promise<PDFDocument> {
  const pdf = await PDFDocument.create();
  const font = await pdf.embedFont(StandardFonts.Helvetica);
  for (let at = 0; at < pages; at += 1) {
    const page = pdf.addPage([595, 842]);
    page.drawText(`original text ${at}`, { x: 50, y: 700, font });
    make(page, at);
  }
  return pdf;
}
const bytesOf = async (pages: number, make?: (page: PDFPage, at: number) => void) => (await pdfOf(pages, make)).save();

const contentOf = (stream: unknown): string => {
  assert.ok(stream instanceof PDFRawStream);
  return Buffer.from(decodePDFRawStream(stream).decode()).toString('latin1');
};

/** What a page is made of now: its two drawings, and where the second is put. */
function partsOf({ node }: PDFPage) {
  const place = contentOf(node.lookup(PDFName.of('Contents')));
  const [, numbers] = /^\/Page Do q ([-\d. ]+) cm \/Stamp Do Q$/.exec(place) ?? assert.fail(place);
  const drawings = node.Resources()?.lookup(PDFName.of('XObject'), PDFDict);
  const page = drawings?.lookup(PDFName.of('Page')) as PDFRawStream;
  const stamp = drawings?.lookup(PDFName.of('Stamp')) as PDFRawStream;
  return { matrix: numbers?.split(' ').map(Number) as number[], page, stamp };
}

/** The text of a stamp, read as a searching reader does: through the ToUnicode map of its font. */
function textOf(stamp: PDFRawStream) {
  const font = stamp.dict
    .lookup(PDFName.of('Resources'), PDFDict)
    .lookup(PDFName.of('Font'), PDFDict)
    .lookup(PDFName.of('F'), PDFDict);
  const unicode = new Map<string, string>();
  for (const [, glyph = '', text = ''] of contentOf(font.lookup(PDFName.of('ToUnicode'))).matchAll(
    /<([0-9a-f]{4})> <([0-9a-f]+)>/gi,
  )) {
    unicode.set(glyph.toUpperCase(), Buffer.from(text, 'hex').swap16().toString('utf16le'));
  }
  const glyphs = new Map<number, string>();
  const read = (content: string) =>
    Array.from(content.matchAll(/<([0-9a-f]+)> Tj/gi), ([, hex = '']) =>
      (hex.match(/.{4}/g) ?? [])
        .map((glyph) => {
          const character = unicode.get(glyph.toUpperCase()) ?? assert.fail(`glyph ${glyph} has no text`);
          glyphs.set(Number.parseInt(glyph, 16), character);
          return character;
        })
        .join(''),
    );
  const [across = '', foot = ''] = contentOf(stamp).split('EMC');
  return { across: read(across), foot: read(foot), glyphs, font };
}

const squeezed = (lines: readonly string[]) => lines.join('').replaceAll(' ', '');

describe('an annotated copy', () => {
  test('says on every page what it is for, clearly at the foot and repeatedly across', async () => {
    const copy = await copyOf(await bytesOf(3));
    assert.equal(copy.getPageCount(), 3);
    for (const [at, page] of copy.getPages().entries()) {
      const parts = partsOf(page);
      const { foot, across } = textOf(parts.stamp);
      assert.deepEqual(foot, [ZH, EN]);
      const once = squeezed([ZH]);
      assert.equal(squeezed(across), once.repeat(squeezed(across).length / once.length));
      assert.ok(squeezed(across).length >= 3 * once.length);
      assert.match(contentOf(parts.page), /Tj/, `page ${at} lost its own text`);
    }
  });

  test('every glyph of it has an outline in the embedded font', async () => {
    const [page] = (await copyOf(await bytesOf(1))).getPages();
    const { glyphs, font } = textOf(partsOf(page as PDFPage).stamp);
    const descendant = font.lookup(PDFName.of('DescendantFonts')) as unknown as { lookup(at: number): PDFDict };
    const file = descendant.lookup(0).lookup(PDFName.of('FontDescriptor'), PDFDict).lookup(PDFName.of('FontFile2'));
    assert.ok(file instanceof PDFRawStream);
    const bytes = Buffer.from(decodePDFRawStream(file).decode());
    const embedded = fontkit.create(bytes) as fontkit.Font;
    assert.ok(bytes.length < 200_000, `${bytes.length} bytes: that is no subset`);
    assert.ok(glyphs.size > 40);
    for (const [glyph, character] of glyphs) {
      if (character === ' ') continue;
      assert.ok(embedded.getGlyph(glyph).path.commands.length > 3, `${character} has no outline`);
    }
  });

  test('a long item title is wrapped, and whole', async () => {
    const item = {
      zh: '县级以上地方人民政府部门办理的不动产转移登记事项'.repeat(8),
      en: 'a very long title '.repeat(15),
    };
    const [page] = (await copyOf(await bytesOf(1), { ...WORDS, item })).getPages();
    const { foot } = textOf(partsOf(page as PDFPage).stamp);
    assert.ok(foot.length > 4);
    assert.ok(squeezed(foot).includes(item.zh));
    assert.ok(squeezed(foot).includes(item.en.replaceAll(' ', '')));
  });

  test('what the font lacks is seen to be lacking', async () => {
    const item = { zh: '甲\u{1F600}乙\n丙', en: 'a\u0000b' };
    const [page] = (await copyOf(await bytesOf(1), { ...WORDS, item })).getPages();
    const text = squeezed(textOf(partsOf(page as PDFPage).stamp).foot);
    assert.ok(text.includes('仅供甲〓乙丙使用'), text);
    assert.ok(text.includes('onlyforab·'), text);
  });

  test('leads back to its original, which is left alone', async () => {
    const bytes = await bytesOf(1);
    const file = await original(bytes);
    const copy = await annotator.annotate(file, WORDS);
    const stored = await readFile(copy.file);
    assert.deepEqual(await readFile(file), Buffer.from(bytes));
    assert.equal(path.dirname(copy.file), folder);
    assert.equal((await stat(copy.file)).mode & 0o777, 0o600);
    assert.equal(copy.bytes, stored.length);
    for (const algorithm of ['sm3', 'sha256'] as const) {
      assert.equal(copy[algorithm], createHash(algorithm).update(stored).digest('hex'));
    }
    const read = await PDFDocument.load(stored, { updateMetadata: false });
    const sm3 = createHash('sm3').update(bytes).digest('hex');
    assert.ok(read.getSubject()?.includes(`sm3:${sm3}`));
    assert.equal(read.getKeywords(), `sm3:${sm3}`);
    await copy.remove();
    await copy.remove();
    assert.deepEqual(await readdir(folder), [ORIGINAL]);
  });

  test('200 pages of one size share one stamp', async () => {
    const bytes = await bytesOf(200);
    const copy = await copyOf(bytes);
    assert.equal(copy.getPageCount(), 200);
    const stamps = new Set(copy.getPages().map((page) => partsOf(page).stamp));
    assert.equal(stamps.size, 1);
    const size = (await readdir(folder)).map((name) => stat(path.join(folder, name)));
    const largest = Math.max(...(await Promise.all(size)).map((one) => one.size));
    assert.ok(largest < bytes.length + 150_000, `${largest} bytes of ${bytes.length}`);
  });

  test('content in several streams, shared streams, and pages without any', async () => {
    const pdf = await pdfOf(4);
    const { context } = pdf;
    const [first, second, third, fourth] = pdf.getPages().map(({ node }) => node);
    const part = (text: string) => context.register(context.flateStream(text));
    const shared = part('0 0 10 10 re f');
    first?.set(PDFName.of('Contents'), context.obj([part('q 1 0 0'), part('1 5 5 cm Q'), shared]));
    second?.set(PDFName.of('Contents'), shared);
    third?.delete(PDFName.of('Contents'));
    fourth?.set(PDFName.of('Contents'), context.obj([]));
    const copy = await copyOf(await pdf.save());
    const contents = copy.getPages().map((page) => contentOf(partsOf(page).page).trim());
    assert.deepEqual(contents, ['q 1 0 0\n1 5 5 cm Q\n0 0 10 10 re f', '0 0 10 10 re f', '', '']);
  });

  test('what a page leaves open or displaced ends with the page', async () => {
    const pdf = await pdfOf(1);
    const hostile = 'Q Q 1000 0 0 1000 9999 9999 cm /OC /Hidden BDC 0 0 1 1 re W n q BT';
    pdf.getPage(0).node.set(PDFName.of('Contents'), pdf.context.register(pdf.context.flateStream(hostile)));
    // partsOf asserts that the stamp stands outside of the page's own drawing.
    const parts = partsOf((await copyOf(await pdf.save())).getPage(0));
    assert.equal(contentOf(parts.page), hostile);
  });
});

describe('pages as they are read', () => {
  /** Where a reader shows a point of a page that is turned clockwise, from the lower left corner of what is seen. */
  function shown([x, y]: readonly [number, number], box: readonly number[], turned: number): [number, number] {
    const angle = (-turned * Math.PI) / 180;
    const turn = (u: number, v: number): [number, number] => [
      u * Math.cos(angle) - v * Math.sin(angle),
      u * Math.sin(angle) + v * Math.cos(angle),
    ];
    const [left = 0, bottom = 0, right = 0, top = 0] = box;
    const corners = [turn(left, bottom), turn(right, bottom), turn(left, top), turn(right, top)];
    const [u, v] = turn(x, y);
    return [u - Math.min(...corners.map(([one]) => one)), v - Math.min(...corners.map(([, one]) => one))];
  }

  for (const turned of [0, 90, 180, 270, -90, 450]) {
    test(`turned by ${turned}°, and cropped: the stamp lies upright on what is seen`, async () => {
      const bytes = await bytesOf(1, (page) => {
        page.setRotation(degrees(turned));
        page.setCropBox(20, 30, 400, 600);
      });
      const { matrix, stamp } = partsOf((await copyOf(bytes)).getPage(0));
      const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = matrix;
      const sideways = turned % 180 !== 0;
      const size = sideways ? [600, 400] : [400, 600];
      assert.equal(stamp.dict.get(PDFName.of('BBox'))?.toString(), `[ 0 0 ${size.join(' ')} ]`);
      const [width = 0, height = 0] = size;
      for (const [u, v] of [
        [0, 0],
        [width, 0],
        [0, height],
        [width, height],
        [17, 5],
      ] as const) {
        const [x, y] = shown([a * u + c * v + e, b * u + d * v + f], [20, 30, 420, 630], turned);
        assert.ok(Math.abs(x - u) < 1e-6 && Math.abs(y - v) < 1e-6, `(${u}, ${v}) is shown at (${x}, ${y})`);
      }
    });
  }

  test('rotation and size that stand in the page tree', async () => {
    const pdf = await pdfOf(1);
    const { node } = pdf.getPage(0);
    pdf.catalog.Pages().set(PDFName.of('Rotate'), pdf.context.obj(90));
    pdf.catalog.Pages().set(PDFName.of('MediaBox'), pdf.context.obj([300, 200, 0, 0]));
    node.delete(PDFName.of('MediaBox'));
    const { matrix, stamp } = partsOf((await copyOf(await pdf.save())).getPage(0));
    assert.deepEqual(matrix, [0, 1, -1, 0, 300, 0]);
    assert.equal(stamp.dict.get(PDFName.of('BBox'))?.toString(), '[ 0 0 200 300 ]');
  });

  test('of any size', async () => {
    const sizes = [
      [30, 40],
      [200, 100],
      [2384, 3370],
      [14_400, 60],
    ] as const;
    const copy = await copyOf(
      await bytesOf(sizes.length, (page, at) => page.setSize(sizes[at]?.[0] ?? 0, sizes[at]?.[1] ?? 0)),
    );
    for (const page of copy.getPages()) assert.ok(squeezed(textOf(partsOf(page).stamp).foot).startsWith('仅供'));
  });
});

describe('a PDF that cannot be annotated', () => {
  const cannot = async (bytes: Uint8Array) => {
    const fault = await refused(bytes);
    assert.deepEqual([fault.kind, fault.reason.code, fault.ours], ['malformed', 'cannotAnnotate', false]);
    return fault;
  };

  test('broken ones', async () => {
    const whole = Buffer.from(await (await pdfOf(2)).save({ useObjectStreams: false }));
    const without = (text: string, by = '') =>
      Buffer.from(whole.toString('latin1').replace(text, by.padEnd(text.length)), 'latin1');
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from('%'),
      Buffer.from('%PDF-1.7\n%%EOF'),
      Buffer.concat([Buffer.from('%PDF-1.7\n'), Buffer.alloc(5000, 0xa7), Buffer.from('%%EOF')]),
      whole.subarray(0, whole.length / 3),
      without('/Type /Catalog'),
      without('/MediaBox'),
    ]) {
      await cannot(bytes);
    }
  });

  test('whatever is damaged: a clear refusal, or every page that can be read is stamped', async () => {
    const whole = Buffer.from(await (await pdfOf(3)).save({ useObjectStreams: false }));
    const pieces = fc.constantFrom(
      '/Kids',
      '/Page ',
      '/Pages',
      ' 0 R',
      '>>',
      '<<',
      '[',
      ']',
      'stream',
      '-1',
      '/Contents',
    );
    const damage = fc.array(fc.tuple(fc.nat(whole.length - 20), pieces), { minLength: 1, maxLength: 4 });
    const ends = { stamped: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(damage, async (places) => {
        const bytes = Buffer.from(whole);
        for (const [at, piece] of places) bytes.write(piece, at, 'latin1');
        const end = await annotator.annotate(await original(bytes), WORDS).catch((error: unknown) => error as Fault);
        if (end instanceof Fault) {
          ends.refused += 1;
          return assert.equal(end.reason.code, 'cannotAnnotate');
        }
        ends.stamped += 1;
        const copy = await PDFDocument.load(await readFile(end.file), { updateMetadata: false });
        for (const page of copy.getPages()) assert.deepEqual(textOf(partsOf(page).stamp).foot, [ZH, EN]);
        await end.remove();
      }),
      { numRuns: 60 },
    );
    assert.ok(ends.stamped > 0 && ends.refused > 0, JSON.stringify(ends));
  });

  test('encrypted ones, also when anybody may open them', async () => {
    for (const userPassword of ['secret', '']) {
      const pdf = await pdfOf(1);
      pdf.encrypt({ userPassword, ownerPassword: 'owner', permissions: { modifying: false } });
      await cannot(await pdf.save({ useObjectStreams: false }));
    }
  });

  test('one that its author certified; a mere signature is left out, and its field stays', async () => {
    const signed = async (certified: boolean) => {
      const pdf = await pdfOf(1);
      const { context, catalog } = pdf;
      const signature = context.register(
        context.obj({ Type: 'Sig', ByteRange: [0, 1, 2, 3], Contents: PDFString.of('x') }),
      );
      const field = context.register(context.obj({ FT: 'Sig', T: PDFString.of('seal'), V: signature }));
      catalog.set(PDFName.of('AcroForm'), context.obj({ Fields: [field], SigFlags: 3 }));
      if (certified) catalog.set(PDFName.of('Perms'), context.obj({ DocMDP: signature }));
      return pdf.save();
    };
    await cannot(await signed(true));
    const copy = await copyOf(await signed(false));
    const [field] = copy.getForm().getFields();
    assert.equal(field?.getName(), 'seal');
    assert.ok(!field?.acroField.dict.has(PDFName.of('V')));
  });

  test('one with something else among its pages, or with no page', async () => {
    const pdf = await pdfOf(2);
    const { context } = pdf;
    const odd = context.register(context.obj({ Type: 'Odd', MediaBox: [0, 0, 100, 100] }));
    pdf.catalog.Pages().Kids().push(odd);
    await cannot(await pdf.save());
    const empty = await PDFDocument.create();
    await cannot(await empty.save({ addDefaultPage: false }));
  });

  test('one whose page tree runs in a circle', async () => {
    const pdf = await pdfOf(1);
    pdf.catalog
      .Pages()
      .Kids()
      .push(pdf.catalog.get(PDFName.of('Pages')) as never);
    await cannot(await pdf.save({ updateFieldAppearances: false }));
  });

  test('one that unfolds to more memory than there is, and the next is annotated', async () => {
    const bomb = async () => {
      const pdf = await pdfOf(1);
      const { context } = pdf;
      const nothing = deflateSync(Buffer.alloc(200 * 2 ** 20, ' '));
      const part = () => context.register(context.stream(nothing, { Filter: 'FlateDecode' }));
      pdf.getPage(0).node.set(PDFName.of('Contents'), context.obj([part(), part(), part()]));
      return pdf.save();
    };
    // Nobody looks from outside: what unfolds is counted where it unfolds.
    const blind = {
      ...wallClock,
      after: (ms: number, then: () => void) => wallClock.after(ms === 50 ? 1e9 : ms, then),
    };
    const small = makeAnnotator({ clock: blind, timeLimitMs: 60_000, maxMemory: 96 * 2 ** 20 });
    try {
      const fault = await refused(await bomb(), small);
      assert.equal(fault.reason.code, 'cannotAnnotate');
      assert.match(fault.reason.en, /more memory/);
      await (await small.annotate(await original(await bytesOf(1)), WORDS)).remove();
    } finally {
      await small.close();
    }
  });

  test('one that fills the heap, and the next is annotated', async () => {
    // The first look is before the thread has begun, as on a busy machine; the next ones must come all the same.
    let looks = 0;
    const early = {
      ...wallClock,
      after: (ms: number, then: () => void) => wallClock.after(ms === 50 && looks++ === 0 ? 1 : ms, then),
    };
    const small = makeAnnotator({ clock: early, timeLimitMs: 60_000, maxMemory: 96 * 2 ** 20 });
    try {
      const pdf = await pdfOf(1);
      pdf.catalog.set(PDFName.of('Filler'), PDFString.of('HERE'));
      const [before = '', after = ''] = Buffer.from(await pdf.save({ useObjectStreams: false }))
        .toString('latin1')
        .split('(HERE)');
      const fault = await refused(Buffer.from(`${before}[${'[1]'.repeat(700_000)}]${after}`, 'latin1'), small);
      assert.equal(fault.reason.code, 'cannotAnnotate');
      assert.match(fault.reason.en, /more memory/);
      await (await small.annotate(await original(await bytesOf(1)), WORDS)).remove();
    } finally {
      await small.close();
    }
  });

  test('one that takes too long, and the next is annotated', async () => {
    let limit = 200;
    const clock = {
      ...wallClock,
      after: (ms: number, then: () => void) => wallClock.after(ms === 7777 ? limit : ms, then),
    };
    const hurried = makeAnnotator({ clock, timeLimitMs: 7777 });
    try {
      const fault = await refused(await bytesOf(3000, (page, at) => page.setSize(500 + at / 8, 700)), hurried);
      assert.equal(fault.reason.code, 'cannotAnnotate');
      assert.match(fault.reason.en, /more time/);
      limit = 60_000;
      await (await hurried.annotate(await original(await bytesOf(1)), WORDS)).remove();
    } finally {
      await hurried.close();
    }
  });

  test('one that is not there is no broken one', async () => {
    const error: unknown = await annotator.annotate(path.join(folder, 'nowhere'), WORDS).catch((why: unknown) => why);
    assert.ok(!(error instanceof Fault));
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOENT');
  });

  test('one above the bound, without a look at it', async () => {
    const narrow = makeAnnotator({ clock: wallClock, maxBytes: 1000 });
    const fault = await refused(Buffer.alloc(1001), narrow);
    assert.deepEqual([fault.kind, fault.reason.code, fault.ours], ['malformed', 'tooLargeToAnnotate', false]);
    await narrow.close();
  });
});

describe('many at once', () => {
  test('more than can wait are told to come back', async () => {
    const file = await original(await bytesOf(1));
    const ends = await Promise.allSettled(Array.from({ length: 25 }, () => annotator.annotate(file, WORDS)));
    const made = ends.filter((end) => end.status === 'fulfilled');
    const faults = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as Fault] : []));
    assert.ok(made.length >= 18 && faults.length >= 1, `${made.length} made, ${faults.length} not`);
    for (const fault of faults) assert.deepEqual([fault.kind, fault.reason.code], ['busy', 'annotatorBusy']);
    assert.ok(faults.every(({ until }) => until !== undefined && until > Date.now() - 60_000));
  });

  test('closing ends what is under way and leaves no file', async () => {
    const closing = makeAnnotator({ clock: wallClock });
    // More than any machine stamps before it is closed: each of these takes seconds.
    const file = await original(await bytesOf(3000, (page, at) => page.setSize(500 + at / 8, 700)));
    const ends = Promise.allSettled(Array.from({ length: 4 }, () => closing.annotate(file, WORDS)));
    await new Promise((resolve) => setTimeout(resolve, 200));
    await closing.close();
    for (const end of await ends) {
      assert.ok(end.status === 'rejected');
      assert.equal((end.reason as Fault).reason.code, 'annotatorBusy');
    }
    assert.deepEqual(await readdir(folder), [ORIGINAL]);
    assert.equal((await refused(await bytesOf(1), closing)).kind, 'busy');
    await closing.close();
  });
});
