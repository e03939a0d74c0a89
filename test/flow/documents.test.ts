import assert from 'node:assert/strict';
import { createHash, randomInt } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Client, demoApp } from '../../console/client.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { sm2Verify } from '../../contracts/sm2.ts';
import { Follower, type ProblemSeen } from '../support/follow.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';
import { startWorld, until, type World } from '../support/world.ts';

const TITLE = '11100000MB03271699001';
const HOUSE = '11331124QA0000057N433071500400501';
const CLERK = { officerId: 'CK-07', windowId: 'W07' };
const BASIS = '不动产登记暂行条例第十六条';
const HOLDER = { name: '周样例', idType: '111', idNo: '331124197203040017' };

interface Found {
  readonly state: string;
  readonly freshness: string | null;
  readonly file?: { readonly useCode: string; readonly mediaType: string; readonly digest: string };
}

describe('documents: once, soon, by whoever retrieved, and what they say they are', () => {
  const clock = new ShiftedClock();
  let world: World;
  let hall: Follower;
  let other: Client;
  before(async () => {
    const second = { key: 'window-two', secret: 'window-two-secret', role: 'window', channels: ['window'] } as const;
    // A source that is slow because the machine is busy is not away.
    const terms = { deadlineMs: 8_000, connectMs: 8_000, breaker: { failures: 50, windowMs: 10_000, openMs: 100 } };
    world = await startWorld({ means: { clock }, terms });
    await world.restart({
      ...world.settings,
      apps: [
        ...world.settings.apps,
        { key: second.key, secrets: [second.secret], role: second.role, channels: second.channels },
      ],
      certificates: { ...world.settings.certificates, useCodeSeconds: 60 },
    });
    hall = new Follower(world);
    other = new Client(world.gateway.url, second);
  });
  after(() => world.stop());

  const anotherTitle = () => `浙(2026)松阳县不动产权第${randomInt(2_000_000, 10_000_000)}号`;
  async function retrieved(certNo = anotherTitle(), want = 'file'): Promise<Found> {
    const { status, body } = await world.window.post<{ results: readonly Found[] }>('/v1/certificates/retrievals', {
      holder: HOLDER,
      types: [TITLE],
      purpose: { applicationNo: 'YC-D1', itemCode: HOUSE, clerk: CLERK, basis: BASIS },
      hints: { certNo },
      want,
    });
    assert.equal(status, 200, JSON.stringify(body));
    return body.results[0] as Found;
  }
  async function fetched(body: JsonObject, by = world.window) {
    const target = '/v1/certificates/documents';
    const bytes = Buffer.from(JSON.stringify(body));
    const response = await fetch(`${world.gateway.url}${target}`, {
      method: 'POST',
      headers: { ...by.headers('POST', target, bytes), 'content-type': 'application/json' },
      body: bytes,
      signal: AbortSignal.timeout(60_000),
    });
    const content = Buffer.from(await response.arrayBuffer());
    const problem = response.status >= 400 ? (JSON.parse(content.toString()) as ProblemSeen) : undefined;
    return { status: response.status, headers: response.headers, content, code: problem?.code };
  }
  const left = async () =>
    (await readdir(path.join(world.settings.dataDir, 'documents'), { recursive: true }).catch(() => [])).filter(
      (name) => path.basename(name).startsWith('document-'),
    );
  const sm3 = (bytes: Uint8Array) => createHash('sm3').update(bytes).digest('hex');

  test('a use code only where it was asked for; the file is the one the source announced; nothing of it stays', async () => {
    assert.equal((await retrieved(undefined, 'data')).file, undefined);
    const { file } = await retrieved();
    assert.ok(file !== undefined);
    const { status, headers, content } = await fetched({ useCode: file.useCode });
    assert.equal(status, 200);
    assert.equal(headers.get('content-type'), 'application/pdf');
    assert.equal(`sm3:${sm3(content)}`, file.digest);
    assert.equal(headers.get('x-document-digest'), file.digest);
    await until(async () => (await left()).length === 0 || undefined);
  });

  test('sealed: whoever has the file, its numbers and our key can check it without us; and we recognise it', async () => {
    const { file } = await retrieved();
    const { headers, content } = await fetched({ useCode: file?.useCode ?? '' });
    const { body: key } = await world.auditor.get<{ publicKey: string }>('/v1/certificates/seal-key');
    const identifier = decodeURIComponent(headers.get('x-certificate-identifier') ?? '');
    const text = `onewindow-document:1\n${sm3(content)}\n${identifier}\nYC-D1`;
    const seal = headers.get('x-document-seal') ?? '';
    assert.equal(sm2Verify(text, seal, key.publicKey), true);
    const verify = async (claim: JsonObject) =>
      (
        await world.window.post<{ verdict: string; source: string | null; reason: { code: string } | null }>(
          '/v1/certificates/verifications',
          { ...claim, clerk: CLERK, basis: BASIS },
        )
      ).body;
    assert.equal((await verify({ sm3: sm3(content), seal })).verdict, 'valid');
    const forged = await verify({ sm3: sm3(content), seal: `${seal.slice(0, -2)}00` });
    assert.deepEqual([forged.verdict, forged.reason?.code], ['invalid', 'badSeal']);
    const changed = Buffer.concat([content, Buffer.from(' ')]);
    assert.equal((await verify({ sm3: sm3(changed) })).verdict, 'unknown');
  });

  test('the annotated copy: another file, that leads back to the first, and says what it is for', async () => {
    const { file } = await retrieved();
    const { status, headers, content } = await fetched({ useCode: file?.useCode ?? '', annotated: true });
    assert.equal(status, 200, content.toString());
    assert.match(content.subarray(0, 5).toString('latin1'), /^%PDF-/);
    assert.equal(headers.get('x-document-original'), file?.digest);
    assert.notEqual(headers.get('x-document-digest'), file?.digest);
    assert.equal(headers.get('x-document-digest'), `sm3:${sm3(content)}`);
    assert.ok(content.length > 2_000);
  });

  test('twice, late, by another caller, or made up: refused; and by whoever it belongs to it still works', async () => {
    const { file } = await retrieved();
    const useCode = file?.useCode ?? '';
    assert.deepEqual([(await fetched({ useCode }, other)).code], ['useCodeNotYours']);
    assert.equal((await fetched({ useCode })).status, 200);
    const again = await fetched({ useCode });
    assert.deepEqual([again.status, again.code], [410, 'useCodeUsed']);
    const late = (await retrieved()).file?.useCode ?? '';
    clock.forward(61_000);
    const expired = await fetched({ useCode: late });
    assert.deepEqual([expired.status, expired.code], [410, 'useCodeExpired']);
    const unknown = await fetched({ useCode: 'A'.repeat(32) });
    assert.deepEqual([unknown.status, unknown.code], [404, 'useCodeUnknown']);
    assert.equal((await fetched({ useCode: 'short' })).status, 422);
  });

  test('of ten who redeem one code at once, one gets the file', async () => {
    const useCode = (await retrieved()).file?.useCode ?? '';
    const all = await Promise.all(Array.from({ length: 10 }, () => fetched({ useCode })));
    assert.deepEqual(all.map(({ status }) => status).sort(), [200, ...Array(9).fill(410)]);
  });

  test('a file that is not the one announced, or no PDF at all: 502, never handed out, and nothing of it stays', async () => {
    for (const [spoil, code] of [
      ['digest', 'digestMismatch'],
      ['noPdf', 'notPdf'],
    ] as const) {
      const { file } = await retrieved();
      await hall.lever('real-estate', 'spoilFile', spoil);
      const answer = await fetched({ useCode: file?.useCode ?? '' });
      await hall.lever('real-estate', 'spoilFile', '');
      assert.deepEqual([answer.status, answer.code], [502, code]);
    }
    assert.deepEqual(await left(), []);
    assert.ok(world.log.some(({ level, message }) => level === 'error' && message.includes('not to be handed out')));
  });

  test('a source that is away: 503, and the same code works when it is back', async () => {
    const useCode = (await retrieved()).file?.useCode ?? '';
    await hall.mood('real-estate', 'absent');
    const away = await fetched({ useCode });
    await hall.mood('real-estate', 'well');
    assert.deepEqual([away.status, Number(away.headers.get('retry-after')) > 0], [503, true]);
    assert.equal((await fetched({ useCode })).status, 200);
  });

  test('every file handed out, and every refusal of a source, stands in the ledger', async () => {
    const { body } = await world.auditor.post<{
      rows: readonly { phase: string; state: string | null; digest: string | null }[];
    }>('/v1/certificates/ledger/searches', { holder: { idNo: HOLDER.idNo }, limit: 200 });
    const handed = body.rows.filter(({ phase }) => phase === 'document');
    assert.ok(handed.some(({ state }) => state === 'found') && handed.some(({ state }) => state === 'unavailable'));
  });

  test('a cancelled certificate was verified as valid by its file’s digest: register and sources are asked, always', async () => {
    interface Verified {
      readonly verdict: string;
      readonly source: string | null;
      readonly state: string | null;
      readonly asOf: string | null;
      readonly reason: { readonly code: string } | null;
    }
    const certNo = anotherTitle();
    const { file } = await retrieved(certNo);
    const before = clock.now();
    const { content, headers } = await fetched({ useCode: file?.useCode ?? '' });
    const seal = headers.get('x-document-seal') ?? '';
    const verify = async () =>
      (
        await world.window.post<Verified>('/v1/certificates/verifications', {
          sm3: sm3(content),
          seal,
          clerk: CLERK,
          basis: BASIS,
        })
      ).body;
    const fine = await verify();
    assert.deepEqual([fine.verdict, fine.state, fine.asOf], ['valid', '01', null]);
    await hall.mood('real-estate', 'absent');
    const away = await verify();
    await hall.mood('real-estate', 'well');
    assert.deepEqual([away.verdict, away.source], ['unavailable', 'handedOut']);
    assert.ok(Math.abs(Date.parse(away.asOf ?? '') - before) < 60_000 && away.reason !== null, JSON.stringify(away));
    for (const state of ['02', '04', '07']) {
      await hall.lever('real-estate', 'title', { certNo, state, idNo: HOLDER.idNo });
      const ended = await verify();
      assert.deepEqual([ended.verdict, ended.source, ended.state], ['invalid', 'real-estate', state]);
    }
    await hall.lever('real-estate', 'title', { certNo, state: '01', idNo: HOLDER.idNo });
    assert.equal((await verify()).verdict, 'valid');
  });

  test('a title that the registry suspends is forgotten on its word: no copy of it is a hit any more', async () => {
    const certNo = anotherTitle();
    assert.equal((await retrieved(certNo)).freshness, 'live');
    assert.equal((await retrieved(certNo)).freshness, 'cached');
    await hall.lever('real-estate', 'title', { certNo, state: '02', idNo: HOLDER.idNo });
    assert.equal((await retrieved(certNo)).state, 'none');
    await hall.lever('real-estate', 'title', { certNo, state: '01', idNo: HOLDER.idNo });
    assert.equal((await retrieved(certNo)).state, 'found');
  });

  test('the registry itself is asked whether a title that somebody shows is its own', async () => {
    const verify = async (number: string) =>
      (
        await world.window.post<{ verdict: string; source: string | null }>('/v1/certificates/verifications', {
          type: TITLE,
          number,
          clerk: CLERK,
          basis: BASIS,
        })
      ).body;
    const known = await verify(anotherTitle());
    assert.deepEqual([known.verdict, known.source], ['valid', 'real-estate']);
    assert.equal((await verify('XX-1')).verdict, 'unknown');
    await hall.mood('real-estate', 'absent');
    assert.equal((await verify(anotherTitle())).verdict, 'unavailable');
    await hall.mood('real-estate', 'well');
  });

  test('only the demo’s own apps exist, and an operator fetches no documents', async () => {
    const useCode = (await retrieved()).file?.useCode ?? '';
    assert.equal((await fetched({ useCode }, world.operator)).status, 403);
    assert.equal((await fetched({ useCode }, new Client(world.gateway.url, demoApp('nobody')))).status, 401);
  });
});
