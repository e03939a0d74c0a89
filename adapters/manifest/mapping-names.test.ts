import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { readContracts } from '../../contracts/load.ts';
import type { PublishedContract } from '../../contracts/ports/contract.ts';
import { readParties } from '../load.ts';

const ADAPTERS = path.dirname(import.meta.dirname);

describe('a mapping of a manifest names only what is there', () => {
  let place: string;
  let ours: readonly PublishedContract[];
  before(async () => {
    place = await mkdtemp(path.join(tmpdir(), 'onewindow-manifests-'));
    ours = (await readContracts(path.join(ADAPTERS, '..', 'contracts', 'schemas'))).contracts;
  });
  after(() => rm(place, { recursive: true, force: true }));

  /** The mistakes of one party's folder after a change of one of its files. */
  async function mistakes(party: string, file: string, from: string, to: string): Promise<readonly string[]> {
    const folder = await mkdtemp(path.join(place, 'adapters-'));
    await cp(path.join(ADAPTERS, party), path.join(folder, party), { recursive: true });
    const whole = path.join(folder, party, file);
    const text = await readFile(whole, 'utf8');
    assert.ok(text.includes(from), `${from} in ${file}`);
    await writeFile(whole, text.replace(from, to));
    return (await readParties(folder, new Set(ours.map(({ name }) => name)), ours)).mistakes;
  }

  test('the shipped ones do', async () => {
    assert.deepEqual((await readParties(ADAPTERS, new Set(ours.map(({ name }) => name)), ours)).mistakes, []);
  });

  const FAULTS: readonly (readonly [string, string, string, string, string, string])[] = [
    [
      'a field that the contract does not have',
      'tax',
      'mapping/b001.jsonata',
      'envelope.body.personNo',
      'envelope.body.personNumber',
      'tax/mapping/b001.jsonata line 9: tax.insurance-payment@1 has no personNumber here',
    ],
    [
      'the same in a list',
      'tax',
      'mapping/b001.jsonata',
      '"xzdm": insuranceType',
      '"xzdm": insuranceKind',
      'tax/mapping/b001.jsonata line 11: tax.insurance-payment@1 has no insuranceKind here',
    ],
    [
      'a field that no call of a function of its own finds',
      'tax',
      'mapping/a002.jsonata',
      '$person.maritalStatus ?',
      '$person.maritalState ?',
      'tax/mapping/a002.jsonata line 10: tax.house-deed@1 has no maritalState here',
    ],
    [
      'a field of a question that its contract does not have',
      'public-security',
      'mapping/identity-check.jsonata',
      'query.name',
      'query.fullName',
      'public-security/mapping/identity-check.jsonata line 11: public-security.identity-check@1 has no fullName here',
    ],
    [
      'a setting that is not declared',
      'public-security',
      'mapping/seal.jsonata',
      'settings.appSecret',
      'settings.secret',
      'public-security/mapping/seal.jsonata line 6: settings has no secret here',
    ],
    [
      'what the log-in does not give',
      'public-security',
      'mapping/ping.jsonata',
      'session.token',
      'session.ticket',
      'public-security/mapping/ping.jsonata line 5: there is no ticket in what the log-in gives, which has until, token',
    ],
    [
      'a code table that does not exist',
      'tax',
      'mapping/tax-paid.jsonata',
      '$decode("idType"',
      '$decode("idTypes"',
      'tax/mapping/tax-paid.jsonata line 6: there is no code table idTypes; there are ',
    ],
    [
      'a function that does not exist',
      'social-security',
      'mapping/card.jsonata',
      '$local(now',
      '$localTime(now',
      'social-security/mapping/card.jsonata line 3: there is no function $localTime',
    ],
    [
      'what a certificate query does not say',
      'tax',
      'mapping/a020.jsonata',
      'certificate.holder.idNo',
      'certificate.holder.number',
      'tax/mapping/a020.jsonata line 1: there is no number in a holder, which has name, idType, idNo',
    ],
    [
      'the subject of another operation',
      'tax',
      'mapping/a020.jsonata',
      'certificate.cause',
      'envelope.caseNo',
      'tax/mapping/a020.jsonata line 1: there is no envelope in what this mapping sees, which has ',
    ],
    [
      'the reply of a call that does not come before',
      'province-share',
      'manifest.yaml',
      'replies.downloadUrl.',
      'replies.download.',
      'province-share/manifest.yaml /calls/',
    ],
    [
      'an answer that its contract does not have',
      'tax',
      'mapping/paid.jsonata',
      '"taxPaidNo"',
      '"taxPaidNumber"',
      'tax/manifest.yaml /operations/collect/ask/tax.house-deed@1/answer: tax.house-deed.result@1 has no taxPaidNumber here',
    ],
  ];
  for (const [fault, party, file, from, to, expected] of FAULTS) {
    test(`is told: ${fault}`, async () => {
      const told = await mistakes(party, file, from, to);
      assert.ok(
        told.some((mistake) => mistake.startsWith(expected)),
        `${expected}\nin\n${told.join('\n')}`,
      );
    });
  }
});
