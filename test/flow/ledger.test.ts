import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { LedgerEntry } from '../../contracts/ports/certificate.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Store } from '../../contracts/ports/store.ts';
import type { ProblemSeen } from '../support/follow.ts';
import { ledgerEntry } from '../support/ledger-entry.ts';
import { startWorld, type World } from '../support/world.ts';

/** The county's own year (全域一证通办): matters handled, certificates fetched. */
const MATTERS = 15_851;
const CERTIFICATES = 22_636;
const YEAR = { from: '2025-01-01', until: '2026-01-01' };
const DAY_MS = 86_400_000;

const ID_CARD = '11100000000013127D001';
const TITLE = '11100000MB03271699001';
const HOUSE = '11331124QA0000057N433071500400501';
const BIRTH = '11331124QA0000049U433070900200101';

interface Figures {
  readonly matters: number;
  readonly calls: number;
  readonly fetched: number;
  readonly hitRate: number;
  readonly cachedRate: number;
  readonly minutesSaved: number;
}
interface Statistics {
  readonly total: Figures;
  readonly rows: readonly (Figures & { readonly key: string })[];
}
interface Row {
  readonly id: string;
  readonly phase: string;
  readonly of: string | null;
  readonly officerId: string;
  readonly applicationNo: string | null;
  readonly caseNo: string | null;
  readonly state: string | null;
}

describe('the access ledger of a year', () => {
  let world: World;
  let store: Store;
  before(async () => {
    world = await startWorld({
      means: {
        aroundStore: (inner) => {
          store = inner;
          return inner;
        },
      },
    });
  });
  after(() => world.stop());

  const count = async (by: string) =>
    (await world.auditor.get<Statistics>(`/v1/certificates/statistics?from=${YEAR.from}&until=${YEAR.until}&by=${by}`))
      .body;
  const search = async (body: JsonObject) =>
    (await world.auditor.post<{ rows: readonly Row[] }>('/v1/certificates/ledger/searches', body)).body.rows;

  test('the county’s two figures come out of it: 15,851 matters, 22,636 certificates fetched, 1.43 each', async () => {
    await write(year());
    const began = performance.now();
    const byType = await count('type');
    const ms = performance.now() - began;
    assert.equal(byType.total.matters, MATTERS);
    assert.equal(byType.total.fetched, CERTIFICATES);
    assert.equal((byType.total.fetched / byType.total.matters).toFixed(2), '1.43');
    // A tenth of this on a machine that does nothing else: a walk for each certificate would take minutes.
    assert.ok(ms < 20_000, `${Math.round(ms)} ms`);
    assert.ok(byType.total.calls > CERTIFICATES && byType.total.hitRate < 1);
    const [idCard, title] = [ID_CARD, TITLE].map((key) => byType.rows.find((row) => row.key === key));
    assert.equal((idCard?.fetched ?? 0) + (title?.fetched ?? 0), CERTIFICATES);

    const byMonth = await count('month');
    assert.equal(byMonth.rows.length, 12);
    assert.deepEqual(byMonth.total, byType.total);
    assert.equal(
      byMonth.rows.reduce((sum, { fetched }) => sum + fetched, 0),
      CERTIFICATES,
    );
    const byItem = await count('item');
    assert.equal(
      byItem.rows.reduce((sum, { matters }) => sum + matters, 0),
      MATTERS,
    );
  });

  test('what is fetched, refused and asked about through the gateway is found, exported and intact', async () => {
    const retrieval = await world.window.post<{ results: readonly { ledgerId: string; state: string }[] }>(
      '/v1/certificates/retrievals',
      {
        holder: { name: '张样例', idType: '111', idNo: '331124199001010011' },
        types: [ID_CARD],
        purpose: {
          applicationNo: 'YC-LEDGER-1',
          itemCode: HOUSE,
          clerk: { officerId: 'CK-LEDGER' },
          basis: '不动产登记暂行条例第十六条',
        },
      },
    );
    const [result] = retrieval.body.results;
    assert.equal(result?.state, 'found');
    for (const filter of [
      { holder: { idNo: '331124199001010011' } },
      { officerId: 'CK-LEDGER' },
      { applicationNo: 'YC-LEDGER-1', caseNo: '331124261123999999' },
    ]) {
      const rows = await search(filter);
      assert.deepEqual(
        rows.map(({ phase, state }) => [phase, state]),
        [
          ['asked', null],
          ['answered', 'found'],
        ],
      );
      assert.deepEqual([rows[0]?.id, rows[1]?.of], [result?.ledgerId, result?.ledgerId]);
    }
    const check = await world.auditor.get<JsonObject>('/v1/certificates/ledger/check');
    assert.equal(check.body.intact, true);
  });

  test('who is no auditor neither searches nor counts, and who is no operator deletes nothing', async () => {
    for (const caller of [world.window, world.operator]) {
      assert.equal((await caller.post('/v1/certificates/ledger/exports', {})).status, 403);
      assert.equal((await caller.get('/v1/certificates/ledger/check')).status, 403);
    }
    assert.equal((await world.auditor.post('/v1/certificates/ledger/deletions', { before: '2020-01-01' })).status, 403);
  });

  test('the year is kept for three; a longer or shorter time is a setting, but never less than 180 days', async () => {
    const before = dayOf(Date.now() - 400 * DAY_MS);
    const early = await world.operator.post<ProblemSeen & { en: string }>('/v1/certificates/ledger/deletions', {
      before,
    });
    assert.equal(early.status, 422);
    assert.deepEqual(
      early.body.problems?.map(({ code, pointer }) => [code, pointer]),
      [['tooEarly', '/before']],
    );
    assert.ok(early.body.en.includes(dayOf(Date.now() - 1_095 * DAY_MS)), early.body.en);

    const { certificates } = world.settings;
    await world.restart({ ...world.settings, certificates: { ...certificates, ledgerDays: 200 } });
    await store.write([entry('KEPT-1', Date.now() - 500 * DAY_MS), entry('KEPT-2', Date.now() - 5 * DAY_MS)]);
    const expected = (await store.read({ limit: 100_000 })).filter(
      ({ at }) => at < Date.parse(`${before}T00:00:00+08:00`),
    );
    assert.ok(expected.length > 0);
    const deleted = await world.operator.post<{ rows: number }>('/v1/certificates/ledger/deletions', { before });
    assert.equal(deleted.status, 200, JSON.stringify(deleted.body));
    // KEPT-1 stands behind rows that are kept, and waits for them: the chain has no gaps.
    assert.equal(deleted.body.rows, expected.length - 1);
    assert.ok((await search({ applicationNo: 'A1', until: before })).some(({ id }) => id === 'KEPT-1'));
    const check = await world.auditor.get<{ rows: number; intact: boolean }>('/v1/certificates/ledger/check');
    assert.equal(check.body.intact, true);
    assert.ok(
      world.log.some(({ message, fields }) => /were deleted/.test(message) && fields.rows === deleted.body.rows),
    );
  });

  async function write(entries: Generator<LedgerEntry>): Promise<void> {
    let batch: LedgerEntry[] = [];
    for (const one of entries) {
      batch.push(one);
      if (batch.length < 1_000) continue;
      await store.write(batch);
      batch = [];
    }
    await store.write(batch);
  }
});

const dayOf = (at: number): string => new Date(at + 8 * 3_600_000).toISOString().slice(0, 10);
const entry = (id: string, at: number, more: Partial<LedgerEntry> = {}): LedgerEntry =>
  ledgerEntry(id, { at, source: null, ...more });

/** In the order of time, with all that must not be counted: refusals, misses, documents, verifications, and the years beside it. */
function* year(): Generator<LedgerEntry> {
  const from = Date.parse(`${YEAR.from}T00:00:00+08:00`);
  const until = Date.parse(`${YEAR.until}T00:00:00+08:00`);
  const step = (until - from) / MATTERS;
  function* fetched(id: string, at: number, own: Partial<LedgerEntry>) {
    yield entry(id, at, own);
    yield entry(`${id}a`, at, { ...own, phase: 'answered', of: id, source: 'real-estate', state: 'found' });
  }
  yield* fetched('BEFORE', from - 1, { applicationNo: 'BEFORE', type: ID_CARD });
  for (let matter = 0; matter < MATTERS; matter += 1) {
    const at = Math.floor(from + matter * step);
    const applicationNo = `YC-2025-${matter}`;
    const item = matter % 5 === 0 ? BIRTH : HOUSE;
    const own = { itemCode: item, applicationNo };
    const twice = matter < CERTIFICATES - MATTERS;
    for (const type of twice ? [ID_CARD, TITLE] : [ID_CARD])
      yield* fetched(`M${matter}-${type}`, at, { ...own, type, cached: matter % 3 === 0 });
    if (matter % 100 === 0) {
      yield entry(`N${matter}`, at, { ...own, type: TITLE });
      yield entry(`N${matter}a`, at, { ...own, type: TITLE, phase: 'answered', of: `N${matter}`, state: 'none' });
      yield entry(`R${matter}`, at, {
        ...own,
        applicationNo: `NOSY-${matter}`,
        state: 'notPermitted',
        reason: 'notInItem',
      });
      yield entry(`D${matter}`, at, { ...own, type: ID_CARD, phase: 'document', of: `M${matter}`, state: 'found' });
      yield entry(`V${matter}`, at, { phase: 'verified', applicationNo: null, itemCode: '', reason: 'valid' });
    }
  }
  yield* fetched('AFTER', until, { applicationNo: 'AFTER', type: ID_CARD });
}
