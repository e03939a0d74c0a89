import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { samplePdf } from '../../../adapters/wire/sample-pdf.ts';
import type { LedgerEntry } from '../../../contracts/ports/certificate.ts';
import type { JsonObject } from '../../../contracts/ports/envelope.ts';
import type { Catalogue } from '../../../contracts/ports/item.ts';
import { type Line, loggerInto } from '../../../test/support/api.ts';
import { HandClock } from '../../../test/support/hand-clock.ts';
import { until } from '../../../test/support/world.ts';
import { openStore } from '../../store/open.ts';
import { codeHash } from '../use-code.ts';
import { makeDocuments, type Ticket } from './hand-out.ts';
import { sealKeyOf } from './seal-key.ts';

const SOURCE = 'registry';
const TYPE = '11100000MB03271699001';
const CODE = 'A'.repeat(32);
const TICKET: Ticket = {
  ledgerId: 'L1',
  source: SOURCE,
  type: TYPE,
  material: '5-03',
  hints: {},
  use: 'duty',
  channel: 'window',
  requestId: null,
  purpose: { applicationNo: 'A1', itemCode: 'ITEM', clerk: { officerId: 'W07' }, basis: 'law' },
  certificate: {
    type: TYPE,
    identifier: null,
    number: 'N1',
    title: '不动产权证书',
    holder: { name: '张样例', idType: '111', idNo: '331124199001010011' },
    state: '01',
    issuer: '松阳县自然资源局',
    validFrom: null,
    validTo: null,
    fields: {},
    file: { mediaType: 'application/pdf', reference: 'R1', digest: null },
  },
};
const EMPTY: Catalogue = { get: () => undefined, list: () => [] };

/** `refuses`: of the ledger's writes, whether this one fails. */
async function documents(
  t: TestContext,
  refuses: (entry: LedgerEntry) => boolean = () => false,
  ticket = TICKET,
  pdf: Uint8Array = samplePdf(['A TITLE']),
) {
  const folder = await mkdtemp(path.join(tmpdir(), 'hand-out-'));
  const clock = new HandClock();
  const lines: Line[] = [];
  const store = await openStore({ file: ':memory:', clock, log: loggerInto(lines) });
  const files = makeDocuments({
    sources: () =>
      new Map([
        [
          SOURCE,
          {
            documents: [TYPE],
            document: (_certificate, _query, into) =>
              into(
                {
                  mediaType: 'application/pdf',
                  bytes: (async function* () {
                    yield pdf;
                  })(),
                },
                AbortSignal.timeout(5_000),
              ),
          },
        ],
      ]),
    tickets: store,
    mandates: store,
    files: store,
    ledger: {
      write: (entries) => (entries.some(refuses) ? Promise.reject(new Error('disk full')) : store.write(entries)),
    },
    catalogue: EMPTY,
    hashOf: (idNo) => `hash-of-${idNo}`,
    clock,
    log: loggerInto(lines),
    settings: { folder, documentBytes: 65_536, annotateBytes: 65_536 },
    sealKey: sealKeyOf('f'.repeat(64)),
  });
  t.after(async () => {
    await files.close();
    await store.close();
    await rm(folder, { recursive: true });
  });
  const issued = { codeHash: codeHash(CODE), appKey: 'window-1', expiresAt: clock.now() + 60_000 };
  await store.issue([{ ...issued, ticket: ticket as unknown as JsonObject }], clock.now());
  const handOut = (annotated = false, appKey = 'window-1') =>
    files.handOut({ useCode: CODE, annotated, appKey, traceparent: '00-1-1-01' });
  const rows = async () =>
    (await store.read({ phase: 'document', limit: 20 })).map(({ appKey, officerId, state, reason, of, holderHash }) => [
      appKey,
      officerId,
      state,
      reason,
      of,
      holderHash,
    ]);
  const left = async () =>
    (await readdir(folder, { recursive: true })).filter((name) => path.basename(name).startsWith('document-'));
  return { handOut, rows, store, clock, lines, left };
}

const HASH = `hash-of-${TICKET.certificate.holder.idNo}`;

test('a code used twice, by another caller, late, or made up, stands in the ledger', async (t) => {
  const { handOut, rows, clock } = await documents(t);
  await assert.rejects(handOut(false, 'window-2'), { status: 403, code: 'useCodeNotYours' });
  await handOut();
  await assert.rejects(handOut(), { status: 410, code: 'useCodeUsed' });
  clock.move(2 * 86_400_000);
  await assert.rejects(handOut(), { status: 404, code: 'useCodeUnknown' });
  assert.deepEqual(await rows(), [
    // Whose clerk it was there is not known; who retrieved stands in the row that it is of.
    ['window-2', '', 'notPermitted', 'useCodeNotYours', 'L1', HASH],
    ['window-1', 'W07', null, null, 'L1', HASH],
    ['window-1', 'W07', 'found', null, 'L1', HASH],
    ['window-1', 'W07', 'notPermitted', 'useCodeUsed', 'L1', HASH],
    ['window-1', '', 'notPermitted', 'useCodeUnknown', null, ''],
  ]);
});

test('a consent that was revoked, or ran out, since the retrieval: nothing is handed out by it', async (t) => {
  const purpose = { ...TICKET.purpose, use: 'mandate', mandateId: 'M1' } as const;
  for (const ends of ['mandateRevoked', 'mandateExpired'] as const) {
    const { handOut, rows, store, clock } = await documents(t, undefined, { ...TICKET, use: 'mandate', purpose });
    await store.record({
      id: 'M1',
      appKey: 'window-1',
      holderMasked: '',
      holderHash: HASH,
      agentMasked: '',
      itemCode: 'ITEM',
      types: [],
      evidence: 'SQ-1',
      officerId: 'W07',
      from: 0,
      until: clock.now() + 1_000,
      revoked: null,
    });
    if (ends === 'mandateExpired') clock.move(1_001);
    else await store.revoke('M1', { at: clock.now(), by: 'window-1', reason: '本人撤回' });
    await assert.rejects(handOut(), { status: 403, code: ends });
    assert.deepEqual(await rows(), [['window-1', 'W07', 'notPermitted', ends, 'L1', HASH]]);
  }
});

for (const annotated of [false, true]) {
  test(`when the answer cannot be written down, no file stays (annotated: ${annotated}), and the code may be used again`, async (t) => {
    let broken = true;
    const { handOut, left } = await documents(t, ({ state }) => broken && state === 'found');
    await assert.rejects(handOut(annotated), { status: 503, code: 'ledgerDown' });
    assert.deepEqual(await left(), []);
    broken = false;
    await handOut(annotated);
  });
}

test('no ledger, no call: without its first row nothing is fetched, and the code may be used again', async (t) => {
  let broken = true;
  const { handOut, left } = await documents(t, () => broken);
  await assert.rejects(handOut(), { status: 503, code: 'ledgerDown' });
  assert.deepEqual(await left(), []);
  broken = false;
  assert.equal((await handOut()).bytes, samplePdf(['A TITLE']).length);
});

test('the file is gone when it was read, and when whoever asked went away before its first byte', async (t) => {
  const { handOut, left, store } = await documents(t);
  const read: Uint8Array[] = [];
  for await (const chunk of (await handOut()).content) read.push(chunk);
  assert.deepEqual(Buffer.concat(read), samplePdf(['A TITLE']));
  await until(async () => (await left()).length === 0 || undefined);
  await store.giveBack(codeHash(CODE));
  const { content } = await handOut();
  assert.equal((await left()).length, 1);
  (content as Readable).destroy();
  await until(async () => (await left()).length === 0 || undefined);
});

test('a file with a script is not handed out, as it is or annotated; the code is spent, and the ledger says why', async (t) => {
  const script = Buffer.from(
    samplePdf(['A TITLE'])
      .toString('latin1')
      .replace('/Type /Catalog', '/Type /Catalog /OpenAction << /S /JavaScript /JS (app.alert(1)) >>'),
    'latin1',
  );
  for (const annotated of [false, true]) {
    const { handOut, rows, left, lines } = await documents(t, undefined, TICKET, script);
    await assert.rejects(handOut(annotated), { status: 502, code: 'activeContent' });
    await assert.rejects(handOut(annotated), { status: 410, code: 'useCodeUsed' });
    assert.deepEqual(
      (await rows()).map(([, , state, reason]) => [state, reason]),
      [
        [null, null],
        ['unavailable', 'activeContent'],
        ['notPermitted', 'useCodeUsed'],
      ],
    );
    assert.deepEqual(await left(), []);
    assert.ok(lines.some(({ level, fields }) => level === 'error' && fields.code === 'activeContent'));
  }
});
