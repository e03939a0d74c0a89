import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import supertest from 'supertest';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { type Api, OFFICE, type Sent, startApi } from '../../test/support/api.ts';
import { listening } from '../../test/support/listening.ts';
import { newCase, reason } from '../../test/support/sample-case.ts';
import { houseTransfer } from '../../test/support/submissions.ts';

let api: Api;
before(async () => {
  api = await startApi();
});
after(() => api.close());

/** Stores a case whose route has the office, as an intake would. */
async function officeCase(applicationNo: string, appKey = 'window-1'): Promise<string> {
  const parties = [OFFICE, 'other-office'];
  const { record } = await api.store.accept(newCase({ applicationNo, appKey, parties, acceptedAt: api.clock.now() }));
  return record.caseNo;
}

async function problem(status: number, code: string, answer: supertest.Test) {
  const { status: got, body, headers } = await answer;
  assert.deepEqual([got, body.code], [status, code], JSON.stringify(body));
  assert.match(String(headers['content-type']), /^application\/problem\+json/);
  assert.deepEqual(api.contracts.problems('problem@1', body), []);
  return { body, headers };
}

describe('cases', () => {
  test('a submission is accepted once, known again, and refused under the same number with another body', async () => {
    const submission = houseTransfer({ at: api.clock.now() });
    const first = await api.call('POST', '/v1/cases', { body: submission });
    assert.equal(first.status, 202);
    assert.deepEqual(api.contracts.problems('case.accepted@1', first.body), []);
    assert.equal(first.body.seenBefore, false);
    assert.equal(first.headers.location, `/v1/cases/${first.body.caseNo}`);

    // The same JSON in other bytes is the same submission.
    const again = await api.call('POST', '/v1/cases', { body: Buffer.from(JSON.stringify(submission, null, 2)) });
    assert.deepEqual([again.status, again.body.seenBefore, again.body.caseNo], [200, true, first.body.caseNo]);

    const other = { ...submission, channel: 'web' };
    await problem(409, 'applicationConflict', api.call('POST', '/v1/cases', { body: other }));
  });

  test('a precheck tells all that is missing at once, and stores nothing', async () => {
    const { applicationNo, ...rest } = houseTransfer({ applicationNo: 'PRE-1', form: { price: 'x' } });
    const { status, body } = await api.call('POST', '/v1/cases/precheck', {
      body: { ...rest, applicationNo: applicationNo ?? '', channel: 'post' },
    });
    assert.equal(status, 200);
    assert.equal(body.acceptable, false);
    assert.deepEqual(body.problems.map(({ pointer }: { pointer: string }) => pointer).sort(), [
      '/channel',
      '/form/price',
    ]);
    assert.equal((await api.call('GET', '/v1/cases?applicationNo=PRE-1')).body.rows.length, 0);
  });

  test('a window sees its own, a department those it is in and there its own part, others all: masked', async () => {
    const mine = await officeCase('MINE-1');
    const theirs = await officeCase('THEIRS-1', 'window-2');

    assert.equal((await api.call('GET', `/v1/cases/${mine}`)).body.applicant.name, '张样例');
    assert.equal((await api.call('GET', `/v1/cases/${mine}`)).body.queryCode, '123456');
    await problem(404, 'caseUnknown', api.call('GET', `/v1/cases/${theirs}`));
    await problem(404, 'caseUnknown', api.call('GET', `/v1/cases/${theirs}/timeline`));

    const office = await api.call('GET', `/v1/cases/${theirs}`, { as: 'office-1' });
    assert.deepEqual(
      office.body.steps.map(({ party }: { party: string }) => party),
      [OFFICE],
    );
    assert.deepEqual(office.body.certificates, []);
    for (const as of ['office-1', 'operator-1', 'auditor-1']) {
      const one = await api.call('GET', `/v1/cases/${mine}`, { as });
      const list = await api.call('GET', '/v1/cases?applicationNo=MINE-1', { as });
      assert.deepEqual(
        list.body.rows.map(({ caseNo }: { caseNo: string }) => caseNo),
        [mine],
      );
      for (const text of [one.text, list.text]) assert.doesNotMatch(text, /张样例|331124199001010011|123456/);
    }
    const listed = await api.call('GET', '/v1/cases?limit=200');
    assert.ok(!listed.text.includes(theirs));
    await problem(404, 'caseUnknown', api.call('GET', '/v1/cases/331124261123999999', { as: 'operator-1' }));
  });

  test('a department without the case on its desk does not find it, nor by asking for another party', async () => {
    const accepted = await api.call('POST', '/v1/cases', { body: houseTransfer({ at: api.clock.now() }) });
    await problem(404, 'caseUnknown', api.call('GET', `/v1/cases/${accepted.body.caseNo}`, { as: 'office-1' }));
    const party = accepted.body.steps[0].party;
    const { body } = await api.call('GET', `/v1/cases?party=${party}&limit=200`, { as: 'office-1' });
    assert.ok(!JSON.stringify(body).includes(accepted.body.caseNo));
  });

  test('lists are paged to their end by a cursor, each row once', async () => {
    const numbers = new Set<string>();
    for (let i = 0; i < 7; i += 1) numbers.add(await officeCase(`PAGE-${i}`, 'window-2'));
    const seen: string[] = [];
    let cursor = '';
    do {
      const { body } = await api.call('GET', `/v1/cases?limit=3${cursor}`, { as: 'window-2' });
      assert.ok(body.rows.length <= 3);
      seen.push(...body.rows.map(({ caseNo }: { caseNo: string }) => caseNo));
      cursor = body.next === null ? '' : `&cursor=${encodeURIComponent(body.next)}`;
    } while (cursor !== '');
    assert.equal(new Set(seen).size, seen.length);
    for (const caseNo of numbers) assert.ok(seen.includes(caseNo));
  });

  test('a timeline is in order, paged, and a department’s own', async () => {
    const caseNo = await officeCase('TIME-1');
    const first = await api.call('GET', `/v1/cases/${caseNo}/timeline?limit=1`);
    assert.deepEqual(
      first.body.rows.map(({ kind }: { kind: string }) => kind),
      ['accepted'],
    );
    const second = await api.call('GET', `/v1/cases/${caseNo}/timeline?cursor=${encodeURIComponent(first.body.next)}`);
    assert.deepEqual(
      [second.body.rows[0].kind, second.body.rows[0].at, second.body.next],
      ['sent', '2026-11-23T09:00:00.000+08:00', null],
    );
    assert.deepEqual((await api.call('GET', `/v1/cases/${caseNo}/timeline`, { as: 'office-1' })).body.rows, []);
  });

  test('OpenHIM: retries that cannot be stopped: an operator stops a case and lets it go on', async () => {
    const caseNo = await officeCase('HOLD-1');
    const held = await api.call('POST', `/v1/cases/${caseNo}/pause`, { as: 'operator-1', body: { reason: '核实' } });
    assert.deepEqual(held.body, { caseNo, held: true });
    assert.equal((await api.call('GET', `/v1/cases/${caseNo}`)).body.held, true);
    await api.call('POST', `/v1/cases/${caseNo}/resume`, { as: 'operator-1' });
    assert.equal((await api.call('GET', `/v1/cases/${caseNo}`)).body.held, false);
    await problem(404, 'caseUnknown', api.call('POST', '/v1/cases/331124261123999999/resume', { as: 'operator-1' }));
    await problem(
      422,
      'unfit',
      api.call('POST', `/v1/cases/${caseNo}/pause`, { as: 'operator-1', body: { reason: '' } }),
    );
  });

  test('a withdrawal and a correction reach the intake with the caller', async () => {
    const accepted = await api.call('POST', '/v1/cases', { body: houseTransfer({ at: api.clock.now() }) });
    const { caseNo } = accepted.body;
    await problem(
      404,
      'caseUnknown',
      api.call('POST', `/v1/cases/${caseNo}/withdrawal`, { as: 'window-2', body: { reason: '不办了' } }),
    );
    await problem(422, 'unfit', api.call('POST', `/v1/cases/${caseNo}/corrections`, { body: {} }));
    const withdrawn = await api.call('POST', `/v1/cases/${caseNo}/withdrawal`, { body: { reason: '不办了' } });
    assert.deepEqual([withdrawn.status, withdrawn.body.state], [200, 'WITHDRAWN']);
  });
});

describe('departments', () => {
  test('are seen by all, a department sees itself', async () => {
    assert.equal((await api.call('GET', '/v1/departments')).body.rows.length, 2);
    const own = await api.call('GET', '/v1/departments', { as: 'office-1' });
    assert.deepEqual(
      own.body.rows.map(({ party }: { party: string }) => party),
      [OFFICE],
    );
    assert.equal((await api.call('GET', `/v1/departments/${OFFICE}`, { as: 'office-1' })).status, 200);
    await problem(404, 'departmentUnknown', api.call('GET', '/v1/departments/other-office', { as: 'office-1' }));
    await problem(404, 'departmentUnknown', api.call('GET', '/v1/departments/nobody'));
  });

  test('are stopped and started by an operator, with the reason', async () => {
    const paused = await api.call('POST', `/v1/departments/${OFFICE}/pause`, {
      as: 'operator-1',
      body: { reason: '系统升级' },
    });
    assert.deepEqual(paused.body.paused, { by: 'operator-1', reason: '系统升级', at: '2026-11-23T09:00:00.000+08:00' });
    const resumed = await api.call('POST', `/v1/departments/${OFFICE}/resume`, { as: 'operator-1' });
    assert.equal(resumed.body.paused, null);
    await problem(404, 'departmentUnknown', api.call('POST', '/v1/departments/nobody/resume', { as: 'operator-1' }));
  });

  test('answer a question; one that cannot be asked now says when to come again', async () => {
    const target = `/v1/departments/${OFFICE}/queries/blend`;
    assert.deepEqual((await api.call('POST', target, { body: { leaf: '龙井' } })).body, { asked: { leaf: '龙井' } });
    const { headers, body } = await problem(503, 'closed', api.call('POST', target, { body: 'away' }));
    assert.deepEqual([headers['retry-after'], body.retryAfter], ['13', 13]);
    await problem(
      404,
      'departmentUnknown',
      api.call('POST', `/v1/departments/${OFFICE}/queries/nothing`, { body: {} }),
    );
  });

  test('send callbacks in their own bytes and are answered in their own', async () => {
    const gbk = Buffer.from([0xd5, 0xc5, 0xd1, 0xf9, 0xc0, 0xfd]);
    const send = (bytes: Buffer, target = `/v1/callbacks/${OFFICE}?a=1&b=%E5%BC%A0`) =>
      supertest(api.app)
        .post(target)
        .set('Content-Type', 'text/xml; charset=bogus')
        .set('X-Theirs', 'yes')
        .buffer(true)
        .parse((response, done) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => done(null, Buffer.concat(chunks)));
        })
        .serialize((raw: unknown) => raw as string)
        .send(bytes);
    const answer = await send(gbk);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['content-type'], 'text/plain; charset=gbk');
    const head = Buffer.from(`POST /v1/callbacks/${OFFICE} {"a":"1","b":"张"} yes `);
    assert.deepEqual(answer.body, Buffer.concat([head, gbk]));
    assert.equal((await send(Buffer.alloc(16_385))).status, 413);
    assert.equal((await send(gbk, `/v1/callbacks/${OFFICE}?a=1&a=2`)).status, 400);
    assert.equal((await send(gbk, '/v1/callbacks/nobody')).status, 404);
  });
});

describe('envelopes', () => {
  test('are a person’s queue: listed, looked at without their people, released, cancelled', async () => {
    const parked = { kind: 'malformed' as const, reason: reason('E-17') };
    const { record } = await api.store.accept(
      newCase({
        applicationNo: 'QUEUE-1',
        parties: [OFFICE],
        outbox: (caseNo) =>
          ['01', '01.2'].map((suffix) => ({
            id: `${caseNo}-${suffix}`,
            caseNo,
            stepNo: '01',
            to: suffix === '01' ? OFFICE : 'other-office',
            contract: `${OFFICE}.work@1`,
            body: { name: '张样例', idNo: '331124199001010011' },
            traceparent: record_traceparent,
            createdAt: api.clock.now(),
            parked,
          })),
      }),
    );
    const [first, second] = [`${record.caseNo}-01`, `${record.caseNo}-01.2`];
    const queue = await api.call('GET', '/v1/envelopes?state=parked', { as: 'operator-1' });
    assert.deepEqual(
      queue.body.rows.map(({ id }: { id: string }) => id),
      [first, second],
    );
    assert.equal(queue.body.rows[0].reason.code, 'E-17');
    const own = await api.call('GET', '/v1/envelopes?state=parked', { as: 'office-1' });
    assert.deepEqual(
      own.body.rows.map(({ id }: { id: string }) => id),
      [first],
    );
    await problem(403, 'roleNotAllowed', api.call('GET', '/v1/envelopes?party=other-office', { as: 'office-1' }));
    await problem(404, 'envelopeUnknown', api.call('GET', `/v1/envelopes/${second}`, { as: 'office-1' }));

    const looked = await api.call('GET', `/v1/envelopes/${first}`, { as: 'operator-1' });
    assert.doesNotMatch(looked.text, /张样例|331124199001010011/);

    const released = await api.call('POST', `/v1/envelopes/${first}/release`, { as: 'operator-1' });
    assert.deepEqual([released.status, released.body.state], [200, 'waiting']);
    await problem(409, 'notParked', api.call('POST', `/v1/envelopes/${first}/release`, { as: 'operator-1' }));
    const cancelled = await api.call('POST', `/v1/envelopes/${second}/cancel`, {
      as: 'operator-1',
      body: { reason: '重复' },
    });
    assert.deepEqual([cancelled.status, cancelled.body.state], [200, 'cancelled']);
    await problem(
      409,
      'tooLate',
      api.call('POST', `/v1/envelopes/${second}/cancel`, { as: 'operator-1', body: { reason: '重复' } }),
    );
    await problem(404, 'envelopeUnknown', api.call('POST', '/v1/envelopes/nothing/release', { as: 'operator-1' }));
    await problem(422, 'unfit', api.call('POST', `/v1/envelopes/${second}/cancel`, { as: 'operator-1', body: {} }));
  });

  test('messages that match none are kept and shown', async () => {
    const message = {
      from: OFFICE,
      about: { number: 'unknown-1' },
      dedupe: 'm1',
      at: api.clock.now(),
      answer: { outcome: 'done' as const, result: { name: '张样例' } },
    };
    await api.store.collected(message, () => async () => ({ events: [], outbox: [] }));
    const { body, text } = await api.call('GET', '/v1/envelopes?state=unmatched', { as: 'operator-1' });
    assert.deepEqual(body.rows[0].about, { number: 'unknown-1' });
    assert.doesNotMatch(text, /张样例/);
    assert.deepEqual(
      (await api.call('GET', '/v1/envelopes?state=unmatched&party=other-office', { as: 'operator-1' })).body.rows,
      [],
    );
  });
});

describe('messages of departments', () => {
  const stray = (dedupe: string, from = OFFICE) => ({
    from,
    about: { number: `unknown-${dedupe}` },
    dedupe,
    at: api.clock.now(),
    answer: { outcome: 'done' as const, result: { name: '张样例' } },
  });
  const keep = (dedupe: string, from?: string) =>
    api.store.collected(stray(dedupe, from), () => async () => ({ events: [], outbox: [] }));
  const listed = async (query: string, as = 'operator-1') => {
    const { status, body, text } = await api.call('GET', `/v1/messages${query}`, { as });
    assert.equal(status, 200, text);
    assert.doesNotMatch(text, /张样例/);
    return body as {
      rows: { id: string; from: string; about: { number: string }; problem: { code: string } }[];
      next: string;
    };
  };
  const numbers = (rows: readonly { about: { number: string } }[]) => rows.map(({ about }) => about.number);

  test('those that match nothing are listed with why, page by page, each once', async () => {
    for (const one of ['p1', 'p2', 'p3']) await keep(one, 'other-office');
    const first = await listed('?state=unmatched&party=other-office&limit=2');
    assert.deepEqual(numbers(first.rows), ['unknown-p1', 'unknown-p2']);
    assert.deepEqual(
      first.rows.map(({ problem }) => problem.code),
      ['matchesNothing', 'matchesNothing'],
    );
    const second = await listed(`?party=other-office&limit=2&cursor=${encodeURIComponent(first.next)}`);
    assert.deepEqual([numbers(second.rows), second.next], [['unknown-p3'], null]);
    await problem(400, 'cursorInvalid', api.call('GET', '/v1/messages?cursor=x', { as: 'operator-1' }));
    await problem(400, 'parameters', api.call('GET', '/v1/messages?state=parked&limit=0', { as: 'operator-1' }));
  });

  test('a department sees its own, an auditor all, a window none; only an operator acts', async () => {
    await keep('own');
    const { rows } = await listed('', 'office-1');
    assert.ok(rows.length > 0 && rows.every(({ from }) => from === OFFICE));
    assert.ok((await listed('?limit=200', 'auditor-1')).rows.some(({ from }) => from !== OFFICE));
    await problem(403, 'roleNotAllowed', api.call('GET', '/v1/messages?party=other-office', { as: 'office-1' }));
    await problem(403, 'roleNotAllowed', api.call('GET', '/v1/messages'));
    const id = rows[0]?.id ?? '';
    for (const as of ['office-1', 'auditor-1', 'window-1'])
      await problem(
        403,
        'roleNotAllowed',
        api.call('POST', `/v1/messages/${id}/discard`, { as, body: { reason: '无用' } }),
      );
  });

  test('attached and discarded by a person, and what cannot be is told whole', async () => {
    const caseNo = await officeCase('MESSAGE-1');
    await keep('to attach');
    await keep('to discard');
    const { rows } = await listed('?limit=200');
    const idOf = (number: string) => rows.find(({ about }) => about.number === number)?.id ?? assert.fail(number);
    const act = (id: string, what: string, body: JsonObject) =>
      api.call('POST', `/v1/messages/${id}/${what}`, { as: 'operator-1', body });
    const [one, two] = [idOf('unknown-to attach'), idOf('unknown-to discard')];

    const { body: told } = await problem(422, 'unfit', act(one, 'attach', { envelope: 'x', reason: '' }));
    assert.deepEqual(told.problems.map(({ pointer }: { pointer: string }) => pointer).toSorted(), [
      '/envelope',
      '/reason',
    ]);
    await problem(404, 'messageUnknown', act('0'.repeat(32), 'attach', { envelope: `${caseNo}-01`, reason: '核实' }));
    await problem(404, 'messageUnknown', act('nothing', 'discard', { reason: '无用' }));

    const attached = await act(one, 'attach', { envelope: `${caseNo}-01`, reason: '核实' });
    assert.deepEqual([attached.status, attached.body], [200, { id: one, state: 'attached', envelope: `${caseNo}-01` }]);
    await problem(409, 'messageEnded', act(one, 'discard', { reason: '无用' }));
    const discarded = await act(two, 'discard', { reason: '误发' });
    assert.deepEqual([discarded.status, discarded.body], [200, { id: two, state: 'discarded', envelope: null }]);
    await problem(409, 'messageEnded', act(two, 'attach', { envelope: `${caseNo}-01`, reason: '核实' }));
    const left = (await listed('?limit=200')).rows.map(({ id }) => id);
    assert.ok(!left.includes(one) && !left.includes(two));
  });
});

const record_traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

describe('certificates', () => {
  const item = '11331124QA0000057N433071500400501';
  const request = {
    requestId: 'R1',
    holder: { name: '张样例', idType: '111', idNo: '331124199001010011' },
    types: ['11100000000013127D001'],
    purpose: { applicationNo: 'A1', itemCode: item, clerk: { officerId: 'SY-W07-012' }, basis: '契税法第十一条' },
  };

  test('are fetched, each with its own outcome, by type or by item', async () => {
    const { status, body } = await api.call('POST', '/v1/certificates/retrievals', { body: request });
    assert.equal(status, 200);
    assert.deepEqual(api.contracts.problems('certificate.retrieved@1', body), []);
    assert.deepEqual([body.requestId, body.complete, body.results[0].state], ['R1', true, 'found']);
    const { types: _, ...byItem } = { ...request, itemCode: item };
    const all = await api.call('POST', '/v1/certificates/retrievals', { body: byItem });
    assert.ok(all.body.results.length > 2);
  });

  test('are not fetched without a purpose, for a wrong number, or for an unknown item', async () => {
    const { purpose: _, ...noPurpose } = request;
    const wrongDigit = { ...request, holder: { ...request.holder, idNo: '331124199001010012' } };
    const { types: __, ...unknownItem } = { ...request, itemCode: '11331124QA0000057N433071500400599' };
    for (const body of [noPurpose, wrongDigit, unknownItem, { ...request, itemCode: item }, [], 'x', null]) {
      const { body: told } = await problem(422, 'unfit', api.call('POST', '/v1/certificates/retrievals', { body }));
      assert.ok(told.problems.length > 0);
      assert.doesNotMatch(JSON.stringify(told), /张样例|3311241990/);
    }
  });
});

describe('bad input, always a clear problem', () => {
  const submit = (body: Sent['body'], more: Sent = {}) =>
    api.call('POST', '/v1/cases', { ...(body === undefined ? {} : { body }), ...more });

  test('wrong JSON', async () => {
    const { body } = await problem(400, 'json', submit(Buffer.from('{"form":{"idNo":331124199001010011x}}')));
    assert.doesNotMatch(JSON.stringify(body), /331124/);
    await problem(400, 'bodyMissing', submit(undefined, { headers: { 'Content-Type': 'application/json' } }));
    await problem(400, 'jsonTooDeep', submit(Buffer.from('['.repeat(10_000))));
    for (const other of [null, 1, 'x', [], [[]], true]) await problem(422, 'unfit', submit(other));
  });

  test('wrong encoding', async () => {
    await problem(400, 'notUtf8', submit(Buffer.from([0x7b, 0x22, 0xd5, 0xc5, 0x22, 0x3a, 0x31, 0x7d])));
    await problem(400, 'character', submit(Buffer.from('{"a":"\\ud800"}')));
    await problem(415, 'charset', submit({}, { type: 'application/json; charset=gbk' }));
    await problem(415, 'contentEncoding', submit({}, { headers: { 'Content-Encoding': 'gzip' } }));
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'text/xml'])
      await problem(415, 'contentType', submit({}, { type }));
  });

  test('unknown item, wrong check digit, a JSON number where a string id belongs', async () => {
    const good = houseTransfer({ at: api.clock.now() });
    const unknown = await problem(422, 'unfit', submit({ ...good, itemCode: '11331124QA0000057N433071500400599' }));
    assert.deepEqual(
      unknown.body.problems.map(({ code }: { code: string }) => code),
      ['itemUnknown'],
    );
    const digit = await problem(
      422,
      'unfit',
      submit({ ...good, applicant: { name: '张样例', idType: '111', idNo: '331124199001010012' } }),
    );
    assert.equal(digit.body.problems[0].pointer, '/applicant/idNo');
    assert.doesNotMatch(JSON.stringify(digit.body), /331124199001010012|张样例/);
    const number = await problem(
      422,
      'unfit',
      submit({ ...good, applicationNo: 12345, applicant: { name: '张样例', idNo: 331124199001010000 } }),
    );
    assert.deepEqual(
      number.body.problems.map(({ pointer }: { pointer: string }) => pointer),
      ['/applicationNo', '/applicant/idNo'],
    );
  });

  test('OpenHIM: large bodies cut silently: a body over the limit is refused, and the limit named', async () => {
    const { body } = await problem(413, 'bodyTooLarge', submit(Buffer.alloc(65_537, 0x20)));
    assert.match(body.en, /65536 bytes/);
    await problem(400, 'json', submit(Buffer.alloc(65_536, 0x20)));

    // In chunks, so that nothing tells its length beforehand: sent on and on, it is still answered.
    const server = await listening(api.app, { clock: api.clock });
    const endless = new Response(new Uint8Array(200_000)).body;
    const headers = api.headers('POST', '/v1/cases');
    const answer = await fetch(`${server.url}/v1/cases`, { method: 'POST', headers, body: endless, duplex: 'half' });
    assert.deepEqual([answer.status, ((await answer.json()) as { code: string }).code], [413, 'bodyTooLarge']);
    await server.stop(0);
  });

  test('unknown paths, wrong methods, odd paths', async () => {
    for (const target of [
      '/',
      '/v1',
      '/v2/cases',
      '/v1/Cases',
      '/v1/cases/',
      '/v1//cases',
      '/v1/cases/1/2/3',
      '/docs/../app.ts',
      '/docs/%2e%2e/app.ts',
    ]) {
      await problem(404, 'notFound', api.call('GET', target));
    }
    const { headers } = await problem(405, 'methodNotAllowed', supertest(api.app).delete('/v1/cases'));
    assert.equal(headers.allow, 'POST, GET, HEAD');
    await problem(405, 'methodNotAllowed', supertest(api.app).options('/v1/cases/1'));
    await problem(405, 'methodNotAllowed', supertest(api.app).get(`/v1/callbacks/${OFFICE}`));
    await problem(400, 'pathEncoding', api.call('GET', '/v1/cases/%zz'));
    for (const name of ['%00', '%2e%2e%2f', "'%20or%201=1", '%F0%9F%98%80', 'a'.repeat(200)]) {
      const { status } = await api.call('GET', `/v1/cases/${name}`);
      assert.equal(status, 404, name);
    }
    const head = await supertest(api.app).head('/livez');
    assert.deepEqual([head.status, head.text], [200, undefined]);
  });

  test('query parameters that are unknown or unfit, a cursor that is not ours', async () => {
    for (const search of [
      'limit=0',
      'limit=201',
      'state=DONE',
      'since=yesterday',
      'x=1',
      'limit=1&limit=2',
      'state=',
    ]) {
      await problem(400, 'parameters', api.call('GET', `/v1/cases?${search}`));
    }
    for (const cursor of ['x', 'W10', 'WzEsMl0x', 'bnVsbA', 'WyJhIiwiYiJd', 'e30']) {
      await problem(400, 'cursorInvalid', api.call('GET', `/v1/cases?cursor=${cursor}`));
      await problem(400, 'cursorInvalid', api.call('GET', `/v1/envelopes?cursor=${cursor}`, { as: 'operator-1' }));
    }
  });

  test('whatever comes, the answer is no 500 and no silence', async () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.constantFrom('/', '%', '?', 'v1', 'cases', '..', '{', '@'),
    );
    const target = fc.array(piece, { maxLength: 5 }).map((parts) => `/v1/${parts.map(escaped).join('/')}`);
    const sent = fc.record(
      {
        as: fc.constantFrom('window-1', 'office-1', 'operator-1', 'auditor-1', 'nobody'),
        body: fc.oneof(
          fc.jsonValue() as fc.Arbitrary<JsonObject>,
          fc.uint8Array({ maxLength: 64 }),
          fc.constant(houseTransfer() as JsonObject),
        ),
        type: fc.constantFrom('application/json', 'text/plain', 'application/json; charset="', ';;'),
      },
      { requiredKeys: ['as'] },
    );
    const known = fc.constantFrom(
      '/v1/cases',
      '/v1/cases/precheck',
      '/v1/cases/331124261123000001/corrections',
      '/v1/certificates/retrievals',
      '/v1/certificates/ledger/searches',
      '/v1/certificates/ledger/exports',
      '/v1/certificates/ledger/deletions',
      '/v1/certificates/statistics?from=2026-01-01',
      `/v1/departments/${OFFICE}/pause`,
      `/v1/departments/${OFFICE}/queries/blend`,
      '/v1/envelopes/x/cancel',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET' as const, 'POST' as const),
        fc.oneof(target, known),
        sent,
        async (method, at, what) => {
          const { status, body, headers } = await api.call(method, at, what);
          assert.ok(status < 500, `${status} ${method} ${at}`);
          if (status < 400) return;
          assert.match(String(headers['content-type']), /problem\+json/);
          assert.deepEqual(api.contracts.problems('problem@1', body), []);
        },
      ),
      { numRuns: 200 },
    );
    assert.deepEqual(
      api.lines.filter(({ level }) => level === 'error'),
      [],
    );
  });
});

/** A piece of a path in which only what a URL cannot hold is escaped. */
function escaped(piece: string): string {
  return Buffer.from(piece).reduce(
    (text, byte) =>
      text +
      (byte > 0x20 && byte < 0x7f && byte !== 0x23
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).padStart(2, '0')}`),
    '',
  );
}

describe('the app', () => {
  test('honours a caller’s trace, and begins one where there is none', async () => {
    const given = await api.call('GET', '/v1/items', { headers: { traceparent: record_traceparent } });
    assert.equal(given.headers.traceparent, record_traceparent);
    for (const wrong of ['00-1-1-01', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, `${record_traceparent}-x`]) {
      const made = await api.call('GET', '/v1/items', { headers: { traceparent: wrong } });
      assert.match(String(made.headers.traceparent), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
      assert.notEqual(made.headers.traceparent, wrong);
    }
    const { body } = await problem(
      404,
      'notFound',
      api.call('GET', '/v1/nothing', { headers: { traceparent: record_traceparent } }),
    );
    assert.equal(body.traceId, '4bf92f3577b34da6a3ce929d0e0e4736');
  });

  test('counts by the route’s pattern, never by the path', async () => {
    await api.call('GET', '/v1/cases/331124261123000001');
    await api.call('GET', '/v1/cases/331124261123000002/timeline');
    await api.call('GET', '/whatever/331124199001010011');
    assert.ok(api.requests.some((line) => line.startsWith('GET /v1/cases/{caseNo} ')));
    assert.ok(api.requests.some((line) => line.startsWith('GET /v1/cases/{caseNo}/timeline ')));
    assert.doesNotMatch(api.requests.join('\n'), /331124/);
  });

  test('keeps answers out of caches and pages of others', async () => {
    const { headers } = await api.call('GET', '/v1/items');
    assert.equal(headers['cache-control'], 'no-store');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['x-powered-by'], undefined);
    assert.match(String(headers['content-security-policy']), /default-src 'none'/);
  });

  test('tells an error that nobody foresaw to the log, and to the caller only that there was one', async () => {
    const broken = await startApi({
      ready: () => Promise.reject(new Error('no')),
      metrics: { ...api.parts.metrics, render: () => Promise.reject(new Error('the password is hunter2')) },
    });
    const { status, text, body } = await supertest(broken.app).get('/metrics');
    assert.deepEqual([status, body.code], [500, 'unforeseen']);
    assert.doesNotMatch(text, /hunter2|at .*:\d+/);
    assert.equal(broken.lines.filter(({ level }) => level === 'error').length, 1);
    assert.equal((await supertest(broken.app).get('/readyz')).status, 503);
    await broken.close();
  });

  test('a store that is down is a 503 with Retry-After, not an error', async () => {
    const down = () =>
      Promise.reject(new Unfit(503, 'storeUnavailable', { zh: '存储不可用', en: 'the store is down' }, [], 10));
    const without = await startApi({ nonces: { firstUse: down } });
    const { status, headers, body } = await without.call('GET', '/v1/items');
    assert.deepEqual([status, headers['retry-after'], body.code], [503, '10', 'storeUnavailable']);
    assert.deepEqual(
      without.lines.filter(({ level }) => level === 'error'),
      [],
    );
    await without.close();
  });

  test('is ready only when its parts answer in time', async () => {
    const silent = await startApi({ ready: () => new Promise(() => {}) });
    const asked = supertest(silent.app)
      .get('/readyz')
      .then(({ status }) => status);
    const moved = setInterval(() => silent.clock.move(2_000), 5);
    assert.equal(await asked, 503);
    clearInterval(moved);
    await silent.close();
  });
});
