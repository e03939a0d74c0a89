import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Certificate, CertificateState, LedgerEntry, Verdict } from '../../contracts/ports/certificate.ts';
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
) {
  const clock = new HandClock();
  const lines: Line[] = [];
  const log = loggerInto(lines);
  const store = await openStore({ file: ':memory:', clock, log });
  t.after(() => store.close());
  let asked = 0;
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
      new Map([
        [
          'registry',
          {
            types: [TYPE],
            verify: () => {
              asked += 1;
              return theirs();
            },
          },
        ],
      ]),
    register: { issuedAs: async () => (ours === null ? [] : [issued]) },
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
  return { verify: () => verify({ type: TYPE, number: 'N-1' }, BY), rows, calls: () => asked, lines };
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
  assert.deepEqual(await verdict('01', says('unknown', null)), ['valid', '01', 'register', 1]);
  assert.deepEqual(await verdict('01', away), ['valid', '01', 'register', 1]);
  // Ours ended it: nobody need be asked.
  assert.deepEqual(await verdict('04', says('valid', '01')), ['invalid', '04', 'register', 0]);
  assert.deepEqual(await verdict(null, says('valid', '01')), ['valid', '01', 'registry', 1]);
  assert.deepEqual(await verdict(null, says('unknown', null)), ['unknown', null, null, 1]);
  assert.deepEqual((await verdict(null, away)).slice(0, 1), ['unavailable']);
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
