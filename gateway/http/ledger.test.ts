import assert from 'node:assert/strict';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { after, before, describe, test } from 'node:test';
import type supertest from 'supertest';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { type Api, OFFICE, startApi } from '../../test/support/api.ts';
import { ledgerEntry } from '../../test/support/ledger-entry.ts';
import { listening } from '../../test/support/listening.ts';

const ID_CARD = '11100000000013127D001';
const HOUSE = '11331124QA0000057N433071500400501';
const DAY_MS = 86_400_000;
const auditor = { as: 'auditor-1' };

let api: Api;
before(async () => {
  api = await startApi();
});
after(() => api.close());

const search = (body: JsonObject) => api.call('POST', '/v1/certificates/ledger/searches', { ...auditor, body });
const remove = (body: JsonObject) => api.call('POST', '/v1/certificates/ledger/deletions', { as: 'operator-1', body });
const exported = (body: JsonObject) =>
  api.call('POST', '/v1/certificates/ledger/exports', { ...auditor, body }).buffer(true);

async function problem(status: number, code: string, answer: supertest.Test) {
  const { status: got, body, headers } = await answer;
  assert.deepEqual([got, body.code], [status, code], JSON.stringify(body));
  assert.match(String(headers['content-type']), /^application\/problem\+json/);
  assert.deepEqual(api.contracts.problems('problem@1', body), []);
  return body;
}
const ids = (rows: readonly { readonly id: string }[]) => rows.map(({ id }) => id).join(' ');

describe('the ledger is searched', () => {
  test('a citizen asks who looked: by the hash of the number, which never stands in a URL nor in an answer', async () => {
    const own = { holderHash: 'hash-of-331124198506150023', holderMasked: '李* 331124********0023' };
    const at = api.clock.now();
    await api.store.write([
      ledgerEntry('L1', { at, ...own }),
      ledgerEntry('L2', { at, ...own }),
      ledgerEntry('L3', { at, holderHash: 'hash-of-another' }),
    ]);
    const found = await search({ holder: { idNo: '331124198506150023' }, limit: 1 });
    assert.deepEqual(
      [found.body.rows[0].id, found.body.rows[0].holder, found.body.next],
      ['L1', '李* 331124********0023', 'L1'],
    );
    const rest = await search({ holder: { idType: '111', idNo: '331124198506150023' }, after: 'L1' });
    assert.deepEqual([ids(rest.body.rows), rest.body.next], ['L2', null]);
    assert.doesNotMatch(found.text, /hash-of/);
  });

  test('by whatever stands in it', async () => {
    const at = Date.parse('2025-03-04T10:00:00+08:00');
    const caseNo = '331124250304000001';
    await api.store.write([
      ledgerEntry('S1', { at, officerId: 'W-S', applicationNo: 'AS', itemCode: HOUSE, type: ID_CARD, source: null }),
      ledgerEntry('S2', {
        at: at + 1,
        officerId: 'W-S',
        applicationNo: null,
        caseNo,
        phase: 'document',
        state: 'found',
      }),
      ledgerEntry('S3', {
        at: at + DAY_MS,
        officerId: 'W-S',
        applicationNo: 'AS',
        state: 'none',
        source: 'tax',
        holderHash: 'hash-of-11331124QA0000057N',
      }),
    ]);
    for (const [body, expected] of [
      [{ officerId: 'W-S' }, 'S1 S2 S3'],
      [{ officerId: 'W-S', itemCode: HOUSE }, 'S1'],
      [{ officerId: 'W-S', type: ID_CARD, phase: 'asked', state: 'none' }, 'S3'],
      [{ officerId: 'W-S', phase: 'document' }, 'S2'],
      [{ officerId: 'W-S', source: 'tax' }, 'S3'],
      [{ caseNo, applicationNo: 'AS' }, 'S1 S2 S3'],
      [{ holder: { idType: '001', idNo: '11331124QA0000057N' } }, 'S3'],
      [{ from: '2025-03-04', until: '2025-03-05' }, 'S1 S2'],
      [{ from: '2025-03-04T10:00:00.001+08:00', until: '2025-03-06' }, 'S2 S3'],
    ] as const) {
      const { status, body: found } = await search(body);
      assert.equal(status, 200, JSON.stringify(found));
      assert.equal(ids(found.rows), expected, JSON.stringify(body));
    }
  });

  test('what is wrong with a search is told where it is, and never repeated', async () => {
    for (const [body, pointer] of [
      [{}, ''],
      [{ limit: 5 }, ''],
      [{ holder: {} }, '/holder/idNo'],
      [{ holder: { idNo: '331124198506150024' } }, '/holder/idNo'],
      [{ holder: { idType: '001', idNo: '11331124QA0000057M' } }, '/holder/idNo'],
      [{ holder: { idType: '414', idNo: 'E12345678' } }, '/holder/idType'],
      [{ caseNo: '1' }, '/caseNo'],
      [{ type: 'passport' }, '/type'],
      [{ itemCode: 'house' }, '/itemCode'],
      [{ state: 'lost' }, '/state'],
      [{ phase: 'sometime' }, '/phase'],
      [{ officerId: 'W', from: 'yesterday' }, '/from'],
      [{ officerId: 'W', until: '2025-02-30' }, '/until'],
      [{ officerId: 'W', from: '2025-02-03T25:00:00+08:00' }, '/from'],
      [{ officerId: 'W', limit: 0 }, '/limit'],
    ] as const) {
      const told = await problem(422, 'unfit', search(body));
      assert.ok(
        told.problems.some((one: { pointer: string }) => one.pointer === pointer),
        `${JSON.stringify(body)}: ${JSON.stringify(told.problems)}`,
      );
      assert.doesNotMatch(JSON.stringify(told), /331124198506150024|E12345678|yesterday/);
    }
    await problem(400, 'ledgerIdUnknown', search({ officerId: 'W', after: 'nobody' }));
  });
});

describe('the ledger is exported', () => {
  test('as a table for a spreadsheet, every row once, cells that would be calculated made harmless', async () => {
    const at = Date.parse('2024-05-06T07:08:09.010+08:00');
    const officerId = 'W-X';
    await api.store.write(
      Array.from({ length: 1_001 }, (_, i) => ledgerEntry(`X${i}`, { at: at + i, officerId, type: ID_CARD })),
    );
    await api.store.write(
      ['=1+1', '+1', '-1', '@sum', '契税法，"第十一条"'].map((basis, i) =>
        ledgerEntry(`Y${i}`, { at: at - i - 1, officerId, basis, state: 'found', cached: true }),
      ),
    );
    const { status, headers, text } = await exported({ officerId });
    assert.equal(status, 200);
    assert.equal(headers['content-type'], 'text/csv; charset=utf-8');
    assert.match(String(headers['content-disposition']), /^attachment; filename="ledger-\d{4}-\d\d-\d\d\.csv"$/);
    assert.equal(text.codePointAt(0), 0xfeff);
    const lines = text.slice(1).split('\r\n');
    assert.equal(lines.pop(), '');
    assert.match(lines[0] ?? '', /^时间 Time,环节 Phase,.*,校验值 Hash$/);
    assert.equal(lines.length, 1 + 5 + 1_001);
    assert.equal(new Set(lines).size, lines.length);
    assert.match(lines[1] ?? '', /,"契税法，""第十一条""",/);
    for (const [i, cell] of [",'@sum,", ",'-1,", ",'+1,", ",'=1+1,"].entries())
      assert.ok(lines[2 + i]?.includes(cell), lines[2 + i]);
    assert.match(lines[6] ?? '', /^2024-05-06T07:08:09\.010\+08:00,asked,window-demo,W-X,.*,居民身份证,张\*例,/);
    assert.doesNotMatch(text, /hhhhhhhh/);
    assert.ok(api.lines.some(({ message, fields }) => message === 'ledger exported' && fields.rows === 1_006));
  });

  test('of nothing it is the header; filters are checked as in a search', async () => {
    const { text } = await exported({ officerId: 'nobody' });
    assert.equal(text.trimEnd().split('\r\n').length, 1);
    const told = await problem(
      422,
      'unfit',
      api.call('POST', '/v1/certificates/ledger/exports', { ...auditor, body: { holder: { idNo: '1' } } }),
    );
    assert.equal(told.problems[0].pointer, '/holder/idNo');
  });

  test('a reader who is slow is waited for, and one who goes away ends the reading', async () => {
    let pages = 0;
    let given = 0;
    const endless = await startApi({
      ledger: {
        ...api.store,
        read: async ({ limit }) => {
          pages += 1;
          await new Promise(setImmediate);
          return Array.from({ length: limit }, () => ({ ...ledgerEntry(`E${given++}`), hash: 'e'.repeat(64) }));
        },
      },
    });
    const server = await listening(endless.app);
    const target = '/v1/certificates/ledger/exports';
    const body = Buffer.from('{}');
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = endless.headers('POST', target, { ...auditor, body: {} });
      httpRequest(`${server.url}${target}`, { method: 'POST', headers }, resolve).on('error', reject).end(body);
    });
    response.on('error', () => {});
    await new Promise((resolve) => response.once('readable', resolve));
    // Nobody reads on: what the sockets hold is soon full.
    const still = await settled(() => pages);
    assert.ok(still > 0 && still < 500, `${still} pages`);
    response.destroy();
    await ended(() => endless.lines.some(({ message }) => message === 'ledger exported'));
    assert.equal(await settled(() => pages), pages);
    assert.ok(endless.requests.includes(`POST ${target} 499`), endless.requests.join());
    assert.ok(!endless.lines.some(({ level }) => level === 'error'));
    await server.stop(0);
    await endless.close();
  });

  test('a store that fails in the middle breaks the answer off: half a table must not look like a whole one', async () => {
    let pages = 0;
    const failing = await startApi({
      ledger: {
        ...api.store,
        read: async ({ limit }) => {
          pages += 1;
          if (pages > 1) throw new Error('the disk is gone');
          return Array.from({ length: limit }, (_, i) => ({ ...ledgerEntry(`E${i}`), hash: 'e'.repeat(64) }));
        },
      },
    });
    await assert.rejects(
      failing
        .call('POST', '/v1/certificates/ledger/exports', { ...auditor, body: {} })
        .buffer(true)
        .then((answer) => answer),
      /aborted|socket hang up|ECONNRESET/,
    );
    assert.ok(failing.lines.some(({ level, message }) => level === 'error' && /nobody foresaw/.test(message)));
    await failing.close();
  });
});

/** Its value, once it has not changed for a while. */
async function settled(look: () => number): Promise<number> {
  for (let last = -1; ; ) {
    const now = look();
    if (now === last) return now;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

async function ended(look: () => boolean): Promise<void> {
  const end = Date.now() + 60_000;
  while (!look()) {
    assert.ok(Date.now() < end, 'it did not come about within 60 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('the ledger is kept', () => {
  test('what is younger than it must be kept is not deleted, and the day that may be is named', async () => {
    const told = await problem(422, 'tooEarly', remove({ before: '2023-11-25' }));
    assert.equal(told.problems[0].pointer, '/before');
    for (const words of [told.zh, told.en]) assert.match(words, /1095.*2023-11-24/);
    for (const before of ['2023-11-31', 'tomorrow', 20_231_124]) {
      const { problems } = await problem(422, 'unfit', remove({ before }));
      assert.equal(problems[0].pointer, '/before');
    }
    await problem(422, 'unfit', remove({}));
  });

  test('what is older is deleted, by a line in the log, and the rest is still a chain', async () => {
    const own = await startApi();
    const day = (text: string) => Date.parse(`${text}T00:00:00+08:00`);
    await own.store.write([
      ledgerEntry('K1', { at: day('2020-01-01') }),
      ledgerEntry('K2', { at: day('2023-11-24') - 1 }),
      ledgerEntry('K3', { at: day('2023-11-24') }),
    ]);
    const deleted = await own.call('POST', '/v1/certificates/ledger/deletions', {
      as: 'operator-1',
      body: { before: '2023-11-24' },
    });
    assert.deepEqual([deleted.status, deleted.body], [200, { before: '2023-11-24', rows: 2 }]);
    const line = own.lines.find(({ message }) => message === 'rows of the access ledger were deleted');
    assert.deepEqual(line?.fields, { app: 'operator-1', before: '2023-11-24', rows: 2 });
    const { body } = await own.call('GET', '/v1/certificates/ledger/check', auditor);
    assert.deepEqual(body, { rows: 1, intact: true, brokenAt: null });
    const since = (id: string) => own.call('GET', `/v1/certificates/ledger/check?from=${id}`, auditor);
    assert.deepEqual((await since('K3')).body, { rows: 1, intact: true, brokenAt: null });
    await problem(400, 'ledgerIdUnknown', since('K1'));
    await own.close();
  });

  test('a row that is not as it was written is named, and rings', async () => {
    const broken = await startApi({
      ledger: { ...api.store, check: async () => ({ rows: 3, brokenAt: 'L4' }) },
    });
    const { body } = await broken.call('GET', '/v1/certificates/ledger/check', auditor);
    assert.deepEqual(body, { rows: 3, intact: false, brokenAt: 'L4' });
    assert.ok(broken.lines.some(({ level, fields }) => level === 'error' && fields.brokenAt === 'L4'));
    await broken.close();
  });
});

describe('the ledger is counted', () => {
  const figures = (query: string) =>
    api.call('GET', `/v1/certificates/statistics${query === '' ? '' : `?${query}`}`, auditor);

  test('for a range, with titles, rates and minutes; by month a matter of two months stands in both', async () => {
    const at = (text: string) => Date.parse(`${text}T00:00:00+08:00`);
    const row = (id: string, on: string, more: object = {}) =>
      ledgerEntry(id, { at: at(on), applicationNo: 'C1', itemCode: HOUSE, type: ID_CARD, source: null, ...more });
    const found = { phase: 'answered', of: 'x', state: 'found', source: OFFICE } as const;
    await api.store.write([
      row('C1', '2019-12-31'),
      row('C2', '2019-12-31', found),
      row('C3', '2020-01-01'),
      row('C4', '2020-01-01', { ...found, cached: true }),
      row('C5', '2020-01-02', { applicationNo: 'C2', type: 'unheard-of' }),
      row('C6', '2020-01-02', { ...found, applicationNo: 'C2', type: 'unheard-of' }),
      row('C7', '2020-01-31', { applicationNo: 'C3' }),
      row('C8', '2020-01-31', { applicationNo: 'C3', phase: 'answered', of: 'C7', state: 'unavailable' }),
      row('C9', '2020-02-01', { applicationNo: 'C9' }),
    ]);
    const total = { matters: 3, calls: 4, fetched: 3, hitRate: 0.75, cachedRate: 0.3333, minutesSaved: 90 };
    const year = { from: '2019-12-01', until: '2020-02-01' };
    const byMonth = await figures(`from=${year.from}&until=${year.until}&by=month`);
    const one = { matters: 1, calls: 1, fetched: 1, hitRate: 1, cachedRate: 0, minutesSaved: 30 };
    assert.deepEqual(byMonth.body, {
      ...year,
      by: 'month',
      total,
      rows: [
        { key: '2019-12', title: { zh: '2019-12', en: '2019-12' }, ...one },
        {
          key: '2020-01',
          title: { zh: '2020-01', en: '2020-01' },
          matters: 3,
          calls: 3,
          fetched: 2,
          hitRate: 0.6667,
          cachedRate: 0.5,
          minutesSaved: 60,
        },
      ],
    });
    const byType = (await figures(`from=${year.from}&until=${year.until}`)).body;
    assert.deepEqual(
      byType.rows.map(({ key, title, fetched }: { key: string; title: { zh: string }; fetched: number }) => [
        key,
        title.zh,
        fetched,
      ]),
      [
        [ID_CARD, '居民身份证', 2],
        ['unheard-of', 'unheard-of', 1],
      ],
    );
    const byItem = (await figures(`from=${year.from}&until=${year.until}&by=item`)).body;
    assert.deepEqual([byItem.total, byItem.rows.length, byItem.rows[0].title.en], [total, 1, titleOf(HOUSE)]);
    const bySource = (await figures(`from=${year.from}&until=${year.until}&by=source`)).body;
    assert.deepEqual(
      bySource.rows.map(({ key, title }: { key: string | null; title: { en: string } }) => [key, title.en]),
      [
        [OFFICE, 'Sample office'],
        [null, 'no source had it'],
      ],
    );
    const nothing = (await figures('from=2001-01-01&until=2001-02-01&by=month')).body;
    assert.deepEqual(nothing.total, {
      matters: 0,
      calls: 0,
      fetched: 0,
      hitRate: null,
      cachedRate: null,
      minutesSaved: 0,
    });
  });

  test('a range that is none is refused', async () => {
    for (const [query, pointer] of [
      ['', '?from'],
      ['from=2026-01-01', '?until'],
      ['until=2026-01-01', '?from'],
      ['from=2026-01-01&until=2026-01-01', '?until'],
      ['from=2000-01-01&until=2026-01-01', '?until'],
      ['from=2026-01-01T00:00:00Z&until=2026-02-01', '?from'],
      ['from=2026-01-01&until=2026-02-01&by=clerk', '?by'],
    ]) {
      const told = await problem(400, 'parameters', figures(query ?? ''));
      assert.equal(told.problems[0].pointer, pointer, query);
    }
  });
});

const titleOf = (code: string) => api.catalogue.get(code)?.title.en;
