import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type {
  Certificate,
  CertificateClaim,
  CertificateState,
  HandedOut,
  LedgerEntry,
  Verdict,
} from '../../contracts/ports/certificate.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { type Line, loggerInto } from '../../test/support/api.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import { openStore } from '../store/open.ts';
import { makeVerifications } from './verification.ts';

const TYPE = '11100000MB03271699001';
const BY = {
  appKey: 'window-1',
  clerk: { officerId: 'W07' },
  basis: '核验',
  channel: 'window',
  traceparent: '00-1-1-01',
};

/** `ours`: the state in which the register has it, if it has. */
async function verifications(
  t: TestContext,
  ours: CertificateState | null,
  theirs: () => Promise<Verdict>,
  refuses: (entry: LedgerEntry) => boolean = () => false,
  more: {
    /** Beside the registry. */
    readonly library?: () => Promise<Verdict>;
    readonly noSource?: true;
    readonly rows?: readonly Partial<Certificate>[];
  } = {},
) {
  const clock = new HandClock();
  const lines: Line[] = [];
  const log = loggerInto(lines);
  const store = await openStore({ file: ':memory:', clock, log });
  t.after(() => store.close());
  let asked = 0;
  const claims: CertificateClaim[] = [];
  const certificate: Certificate = {
    type: TYPE,
    identifier: 'ID-1',
    number: 'N-1',
    title: '不动产权证书',
    holder: { name: '张样例', idType: '111', idNo: '331124199001010011' },
    state: ours ?? '01',
    issuer: '松阳县自然资源局',
    validFrom: null,
    validTo: null,
    fields: {},
  };
  const issued = { certificate, holderHash: 'h', issuedAt: 1, caseNo: 'C1', stepNo: '03' };
  const { verify } = makeVerifications({
    sources: () =>
      more.noSource === true
        ? new Map()
        : new Map([
            [
              'registry',
              {
                types: [TYPE],
                verify: (claim: CertificateClaim) => {
                  asked += 1;
                  claims.push(claim);
                  return theirs();
                },
              },
            ],
            ...(more.library === undefined ? [] : [['library', { types: undefined, verify: more.library }] as const]),
          ]),
    register: {
      issuedAs: async () =>
        more.rows?.map((row) => ({ ...issued, certificate: { ...certificate, ...row } })) ??
        (ours === null ? [] : [issued]),
    },
    files: store,
    ledger: {
      write: (entries) => (entries.some(refuses) ? Promise.reject(new Error('disk full')) : store.write(entries)),
    },
    sealKey: '',
    clock,
    log,
  });
  const rows = async () =>
    (await store.read({ phase: 'verified', limit: 9 })).map(({ of, reason, source, type, officerId }) => [
      of === null ? 'before' : 'after',
      reason,
      source,
      type,
      officerId,
    ]);
  /** A file as we handed it out, an hour before now. */
  const handedOut = async (file: Partial<HandedOut> = {}) => {
    const sm3 = 'ab'.repeat(32);
    await store.handedOut({
      sm3,
      originalSm3: sm3,
      identifier: 'ID-1',
      type: TYPE,
      number: null,
      validTo: null,
      caseNo: null,
      applicationNo: 'A1',
      at: clock.now(),
      annotated: false,
      ...file,
    });
    clock.move(3_600_000);
    const said = await verify({ sm3 }, BY);
    return [said.verdict, said.source, said.reason?.code ?? null, said.asOf === null ? null : clock.now() - said.asOf];
  };
  return {
    verify: () => verify({ type: TYPE, number: 'N-1' }, BY),
    rows,
    calls: () => asked,
    claims,
    handedOut,
    clock,
    lines,
  };
}

const says = (verdict: Verdict['verdict'], state: CertificateState | null) => async () => ({ verdict, state });
const away = async () => {
  throw new Fault('unreachable', { reason: { code: 'connect', zh: '断线', en: 'away' } });
};

test('who keeps it is believed before our register: his "no" ends our "yes"', async (t) => {
  const verdict = async (ours: CertificateState | null, theirs: () => Promise<Verdict>) => {
    const { verify, calls } = await verifications(t, ours, theirs);
    const { verdict: said, state, source } = await verify();
    return [said, state, source, calls()];
  };
  assert.deepEqual(await verdict('01', says('invalid', '02')), ['invalid', '02', 'registry', 1]);
  assert.deepEqual(await verdict('01', says('valid', '01')), ['valid', '01', 'register', 1]);
  // Asked by its number, and by its identifier.
  assert.deepEqual(await verdict('01', says('unknown', null)), ['unavailable', '01', 'register', 2]);
  assert.deepEqual(await verdict('01', away), ['unavailable', '01', 'register', 1]);
  // Ours ended it: nobody need be asked.
  assert.deepEqual(await verdict('04', says('valid', '01')), ['invalid', '04', 'register', 0]);
  assert.deepEqual(await verdict(null, says('valid', '01')), ['valid', '01', 'registry', 1]);
  assert.deepEqual(await verdict(null, says('unknown', null)), ['unknown', null, null, 1]);
  assert.deepEqual((await verdict(null, away)).slice(0, 1), ['unavailable']);
});

test('a certificate that its keeper has cancelled is not valid by the digest of its file', async (t) => {
  const by = async (ours: CertificateState | null, theirs: () => Promise<Verdict>, file: Partial<HandedOut> = {}) => {
    const { handedOut, claims } = await verifications(t, ours, theirs);
    return [...(await handedOut(file)), ...claims.map((claim) => JSON.stringify(claim))];
  };
  const asked = '{"identifier":"ID-1"}';
  assert.deepEqual(await by(null, says('invalid', '04')), ['invalid', 'registry', 'invalid', null, asked]);
  assert.deepEqual(await by(null, says('invalid', '02')), ['invalid', 'registry', 'invalid', null, asked]);
  assert.deepEqual(await by(null, says('valid', '01')), ['valid', 'registry', null, null, asked]);
  assert.deepEqual(await by('01', says('invalid', '04')), ['invalid', 'registry', 'invalid', null, asked]);
  assert.deepEqual(await by('04', says('valid', '01')), ['invalid', 'register', 'notValid', null]);
  const numbered = { identifier: null, number: 'N-1' };
  const byNumber = `{"type":"${TYPE}","number":"N-1"}`;
  assert.deepEqual(await by(null, says('invalid', '04'), numbered), ['invalid', 'registry', 'invalid', null, byNumber]);
  const ended = { validTo: '20200101' };
  assert.deepEqual(await by(null, says('valid', '01'), ended), ['invalid', 'handedOut', 'notValid', null]);
});

test('by the digest of a file while nobody can be asked: not valid, but up to when we know it, and why not longer', async (t) => {
  const by = async (theirs: () => Promise<Verdict>, file: Partial<HandedOut> = {}, more = {}) =>
    (await verifications(t, null, theirs, undefined, more)).handedOut(file);
  const hour = 3_600_000;
  assert.deepEqual(await by(away), ['unavailable', 'handedOut', 'connect', hour]);
  assert.deepEqual(await by(says('unknown', null)), ['unavailable', 'handedOut', 'notConfirmed', hour]);
  assert.deepEqual(await by(away, {}, { noSource: true }), ['unavailable', 'handedOut', 'noSource', hour]);
  const nameless = { identifier: null, number: null };
  assert.deepEqual(await by(says('valid', '01'), nameless), ['unavailable', 'handedOut', 'notAskable', hour]);
  // Of the two that we know it by, the register is the nearer to its keeper.
  const registered = await verifications(t, '01', away);
  assert.deepEqual((await registered.handedOut()).slice(0, 3), ['unavailable', 'register', 'connect']);
});

test('what our register has as valid is not valid while its keeper is away, or knows nothing of it: the verdict says as of when', async (t) => {
  for (const [theirs, more, code] of [
    [away, {}, 'connect'],
    [says('unknown', null), {}, 'notConfirmed'],
    [away, { noSource: true }, 'noSource'],
  ] as const) {
    const { verify } = await verifications(t, '01', theirs, undefined, more);
    const { verdict, state, source, asOf, reason } = await verify();
    assert.deepEqual([verdict, state, source, asOf, reason?.code], ['unavailable', '01', 'register', 1, code]);
  }
});

test('one keeper away and another says valid: not valid, since who is away may know better; "no" counts whoever is away', async (t) => {
  const one = await verifications(t, null, away, undefined, { library: says('valid', '01') });
  const { verdict, source, reason, asOf, warnings } = await one.verify();
  assert.deepEqual(
    [verdict, source, reason?.code, asOf, warnings],
    ['unavailable', 'library', 'connect', one.clock.now(), ['sourceAway']],
  );
  const ours = await verifications(t, '01', away, undefined, { library: says('valid', '01') });
  const known = await ours.verify();
  assert.deepEqual([known.verdict, known.state, known.source, known.asOf], ['unavailable', '01', 'register', 1]);
  const other = await verifications(t, null, away, undefined, { library: says('invalid', '04') });
  assert.equal((await other.verify()).verdict, 'invalid');
  const unknown = await verifications(t, null, away, undefined, { library: says('unknown', null) });
  assert.equal((await unknown.verify()).verdict, 'unavailable');
});

test('a keeper that calls valid what it says is suspended, over, or not yet begun, has not said that it is valid', async (t) => {
  for (const [said, verdict] of [
    [{ verdict: 'valid', state: '02' }, 'invalid'],
    [{ verdict: 'valid', state: '01', validTo: '20200101' }, 'invalid'],
    [{ verdict: 'valid', state: '01', validFrom: '20990101' }, 'invalid'],
    [{ verdict: 'valid', state: '01', validFrom: '20200101', validTo: '20990101' }, 'valid'],
    [{ verdict: 'valid', state: null }, 'valid'],
  ] as const) {
    const { verify } = await verifications(t, null, async () => said);
    assert.equal((await verify()).verdict, verdict, JSON.stringify(said));
  }
});

test('of two holders of one certificate one has it no more: then it is not valid; an older one of the same number says nothing', async (t) => {
  const holders = await verifications(t, null, says('valid', '01'), undefined, {
    rows: [{ state: '01' }, { state: '04' }],
  });
  assert.equal((await holders.verify()).verdict, 'invalid');
  const renewed = await verifications(t, null, says('valid', '01'), undefined, {
    rows: [{ state: '01' }, { state: '04', identifier: 'ID-0' }],
  });
  assert.equal((await renewed.verify()).verdict, 'valid');
});

test('stands in the ledger before anybody is asked, and after', async (t) => {
  const { verify, rows } = await verifications(t, null, says('valid', '01'));
  await verify();
  assert.deepEqual(await rows(), [
    ['before', null, null, TYPE, 'W07'],
    ['after', 'valid', 'registry', TYPE, 'W07'],
  ]);
});

test('no ledger, no call; an answer that cannot be written down leaves all the same, and rings', async (t) => {
  const before = await verifications(t, null, says('valid', '01'), ({ of }) => of === null);
  await assert.rejects(before.verify(), { status: 503, code: 'ledgerDown' });
  assert.equal(before.calls(), 0);
  const after = await verifications(t, null, says('valid', '01'), ({ of }) => of !== null);
  assert.equal((await after.verify()).verdict, 'valid');
  assert.equal(after.lines.filter(({ level }) => level === 'error').length, 1);
});
