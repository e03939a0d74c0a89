import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  checkCertificateIdentifier,
  comparableIdNo,
  isCaseNo,
  isCertificateType,
  isCitizenId,
  isEstateUnitNo,
  isOrganisationCode,
  isRegion,
  isUscc,
  makeCertificateIdentifier,
  mod3736,
  organisationCodeOf,
  readCertificateIdentifier,
  readItemCode,
  storedCitizenId,
} from './identifiers.ts';

const PEOPLE = (
  '331124199001010011 331124198506150023 331124200102030041 331124197203040017 331124197405060024 331124199512120052 ' +
  '331124198808080040 331124195809090036 331124202611010013 331124202611200028 33112419680909009X 11010519491231002X'
).split(' ');

const ORGANISATIONS = (
  '11331124QA00000149 12331124QA00000739 11331124QA00000224 11331124QA00000817 11331124QA0000030Y 11331124QA000009XY ' +
  '11331124QA0000049U 11331124QA00000A8Y 11331124QA0000057N 11331124QA00000B6R 11331124QA0000065H 13331124QA00000C4E ' +
  '91331124MA2E000116 91331124MA2E0002XX 91331124MA2E00038X'
).split(' ');

const ITEMS = (
  '11331124QA00000149433013100200101 11331124QA00000224433100400300001 11331124QA0000030Y433051100600001 ' +
  '11331124QA0000049U433070900200101 11331124QA0000057N433071500400501 11331124QA0000065H433203000500101 ' +
  '12331124QA00000739433201700300101 11331124QA00000817433201400100401'
).split(' ');

const CERTIFICATES = [
  '1.2.156.3005.2.11100000000013127D001.11331124QA0000049U.20260000000000000001.001.N',
  '1.2.156.3005.2.11100000MB0143028R001.11331124QA00000149.20260000000000000001.001.S',
  '1.2.156.3005.2.111000000000131433001.11331124QA0000030Y.20260000000000000001.001.U',
  '1.2.156.3005.2.11100000MB03271699001.11331124QA0000057N.20260000000000000001.001.H',
  '1.2.156.3005.2.11100000MB03271699022.11331124QA0000057N.20260000000000000001.001.D',
  '1.2.156.3005.2.11331124QA0000049U901.11331124QA0000049U.20260000000000000001.001.U',
  '1.2.156.3005.2.11331124QA00000A8Y901.11331124QA00000A8Y.20260000000000000001.001.O',
  '1.2.156.3005.2.11331124QA00000A8Y902.11331124QA00000A8Y.20260000000000000001.001.Y',
  '1.2.156.3005.2.13331124QA00000C4E901.13331124QA00000C4E.20260000000000000001.001.S',
  '1.2.156.3005.2.11331124QA0000030Y901.11331124QA0000030Y.20260000000000000001.001.H',
  '1.2.156.3005.2.11331124QA0000065H901.11331124QA0000065H.20260000000000000001.001.8',
  '1.2.156.3005.2.11331124QA00000B6R901.11331124QA00000B6R.20260000000000000001.001.H',
  '1.2.156.3005.2.11331124QA00000817901.11331124QA00000817.20260000000000000001.001.Q',
];

/** One of the samples with the character at some place replaced by another of the alphabet. */
const changed = (samples: readonly string[], alphabet: string, from: number, to: number) =>
  fc
    .tuple(fc.constantFrom(...samples), fc.integer({ min: from, max: to }), fc.constantFrom(...alphabet))
    .filter(([sample, at, character]) => sample.charAt(at) !== character)
    .map(([sample, at, character]) => sample.slice(0, at) + character + sample.slice(at + 1));

describe('citizen id', () => {
  test('every sample holds', () => {
    for (const id of PEOPLE) assert.ok(isCitizenId(id), id);
  });
  test('a wrong check digit, a day that never was, and what is no number do not', () => {
    for (const id of [
      '331124199001010012',
      '331124199002300010',
      '',
      '331124900101001',
      ' 331124199001010011',
      '３３1124199001010011',
    ]) {
      assert.ok(!isCitizenId(id), id);
    }
  });
  test('any changed digit is caught', () => {
    fc.assert(fc.property(changed(PEOPLE, '0123456789', 0, 17), (id) => !isCitizenId(id)));
  });
  test('a lower-case x is taken, and stored as X', () => {
    assert.ok(isCitizenId('33112419680909009x'));
    assert.equal(storedCitizenId('33112419680909009x'), '33112419680909009X');
  });
  test('15 digits of old tables are completed', () => {
    assert.equal(storedCitizenId('331124900101001'), '331124199001010011');
    assert.equal(storedCitizenId('331124900230001'), undefined);
    assert.equal(storedCitizenId('331124199001010012'), undefined);
    assert.equal(storedCitizenId(''), undefined);
  });
  test('however it is written, it compares as the same number; what is no resident’s stays what it is', () => {
    for (const written of [
      '331124199001010011',
      ' 331124 19900101 0011',
      '３３１１２４１９９００１０１００１１',
      '331124900101001',
    ])
      assert.equal(comparableIdNo(written), '331124199001010011', written);
    assert.equal(comparableIdNo('33112419680909009ｘ'), '33112419680909009X');
    assert.equal(comparableIdNo('e12345678'), 'E12345678');
    assert.equal(comparableIdNo('331124900230001'), '331124900230001');
    assert.equal(comparableIdNo(''), '');
  });
  test('a completed number is the number without its century and check', () => {
    for (const id of PEOPLE.filter((one) => one.startsWith('19', 6))) {
      assert.equal(storedCitizenId(id.slice(0, 6) + id.slice(8, 17)), id);
    }
  });
});

describe('unified social credit code', () => {
  test('every sample holds, and the organisation code in it', () => {
    for (const code of ORGANISATIONS) {
      assert.ok(isUscc(code), code);
      assert.ok(isOrganisationCode(organisationCodeOf(code)), code);
    }
  });
  test('a wrong check, a letter that is never used, and another length do not', () => {
    for (const code of ['91331124MA2E000117', '9133112IMA2E000116', '91331124MA2E00011', '91331124ma2e000116', '']) {
      assert.ok(!isUscc(code), code);
    }
  });
  test('any changed character is caught', () => {
    fc.assert(fc.property(changed(ORGANISATIONS, '0123456789ABCDEFGHJKLMNPQRTUWXY', 0, 17), (code) => !isUscc(code)));
  });
  test('an organisation code is read with its dash too, and its check is judged', () => {
    assert.ok(isOrganisationCode('MA2E0001-1'));
    assert.ok(!isOrganisationCode('MA2E00012'));
  });
});

describe('item code', () => {
  test('every item of the county is a handling item, and says whose', () => {
    for (const code of ITEMS) {
      const item = readItemCode(code);
      assert.equal(item?.kind, 'handling');
      assert.equal(item?.uscc, code.slice(0, 18));
      assert.equal(item?.level, '4');
    }
  });
  test('published shapes', () => {
    assert.deepEqual(readItemCode('11370800MB285591843370117002011'), {
      kind: 'implementation',
      uscc: '11370800MB28559184',
      level: '3',
      basic: '370117002011',
    });
    assert.deepEqual(readItemCode('11310000MB2F30661Y331200356400001'), {
      kind: 'handling',
      uscc: '11310000MB2F30661Y',
      level: '3',
      basic: '312003564000',
      option: '01',
    });
    assert.equal(readItemCode('11100000MB032716991000115035000')?.kind, 'implementation');
    assert.equal(readItemCode('11100000MB0341032Y100017214300101')?.kind, 'handling');
    assert.deepEqual(readItemCode('330715004005'), { kind: 'basic', basic: '330715004005' });
  });
  test('a changed credit code, an unknown level and another length are none', () => {
    fc.assert(
      fc.property(changed(ITEMS, '0123456789ABCDEFGHJKLMNPQRTUWXY', 0, 17), (code) => readItemCode(code) === undefined),
    );
    for (const code of ['11331124QA0000057N833071500400501', '11331124QA0000057N43307150040050', '33071500400', '']) {
      assert.equal(readItemCode(code), undefined, code);
    }
  });
});

describe('certificate identifier', () => {
  test('the check of the standard', () => {
    assert.equal(mod3736('A12425GABC1234002'), 'M');
    for (const identifier of CERTIFICATES) assert.equal(checkCertificateIdentifier(identifier), 'iso', identifier);
  });
  test('the deviant check of production systems is known as such', () => {
    const body = '1.2.156.3005.2.11100000000013661B006.113700000045046442.209FA4E88F9E4C878F3E9BED2CE7EA49.001';
    assert.equal(checkCertificateIdentifier(`${body}.M`), 'vendor');
    assert.equal(checkCertificateIdentifier(`${body}.D`), 'iso');
    assert.equal(checkCertificateIdentifier(`${body}.E`), 'bad');
  });
  test('the issuer of what we receive may be a region', () => {
    const parts = { type: '111000000000131433001', issuer: '340100', serial: '2430599', version: '001' };
    const body = Object.values(parts);
    const identifier = `1.2.156.3005.2.${body.join('.')}.${mod3736(body.join(''))}`;
    assert.equal(checkCertificateIdentifier(identifier), 'iso');
    assert.deepEqual(readCertificateIdentifier(identifier), parts);
  });
  test('what is none is bad', () => {
    for (const text of ['', '1.2.156.3005.2', '1.2.156.3005.2.X.Y.Z.001.N', '2.2.156.3005.2.A.B.C.001.N']) {
      assert.equal(checkCertificateIdentifier(text), 'bad');
    }
  });
  test('any changed digit is caught by the standard check', () => {
    const digits = changed(CERTIFICATES, '0123456789', 15, 77).filter(
      (text) => readCertificateIdentifier(text) !== undefined,
    );
    fc.assert(fc.property(digits, (text) => checkCertificateIdentifier(text) !== 'iso'));
  });
});

describe('a certificate identifier that we issue', () => {
  const text = (alphabet: string, minLength: number, maxLength: number) =>
    fc.string({ unit: fc.constantFrom(...alphabet), minLength, maxLength });
  const LETTERS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ';
  const PARTS = fc.record(
    {
      type: fc.tuple(text(LETTERS, 18, 18), text('0123456789', 3, 3)).map((both) => both.join('')),
      issuer: fc.constantFrom(...ORGANISATIONS),
      serial: text(LETTERS, 1, 64),
      version: fc.integer({ min: 1, max: 999 }).map((version) => String(version).padStart(3, '0')),
    },
    { noNullPrototype: true },
  );

  test('is the published one, made of its parts', () => {
    for (const identifier of CERTIFICATES) {
      const parts = readCertificateIdentifier(identifier);
      assert.ok(parts !== undefined);
      assert.equal(makeCertificateIdentifier(parts), identifier);
    }
  });
  test('always holds by the standard, and gives its parts back', () => {
    fc.assert(
      fc.property(PARTS, (parts) => {
        const identifier = makeCertificateIdentifier(parts);
        assert.equal(checkCertificateIdentifier(identifier), 'iso');
        assert.deepEqual(readCertificateIdentifier(identifier), parts);
      }),
    );
  });
  test('never holds by the standard with one character changed', () => {
    const characters = fc.constantFrom(...LETTERS, '.', ' ', '-', 'a', '０');
    fc.assert(
      fc.property(PARTS, fc.nat(), characters, (parts, anywhere, character) => {
        const identifier = makeCertificateIdentifier(parts);
        const at = anywhere % identifier.length;
        fc.pre(identifier.charAt(at) !== character);
        const other = identifier.slice(0, at) + character + identifier.slice(at + 1);
        assert.notEqual(checkCertificateIdentifier(other), 'iso', other);
      }),
      { numRuns: 1000 },
    );
  });
  test('is not made of wrong parts, and every wrong one is named', () => {
    const [parts] = CERTIFICATES.map(readCertificateIdentifier);
    assert.ok(parts !== undefined);
    for (const [part, values] of Object.entries({
      type: ['', '11100000000013127D00', '11100000000013127D0012', '11100000000013127d001', '11100000000013127D00A'],
      issuer: ['', '340100', '11331124QA0000049A', '11331124qa0000049u'],
      serial: ['', 'a', '2026-1', '2026.1', '1'.repeat(65), '１'],
      version: ['', '1', '000', '0001', 'A01', '00１'],
    })) {
      for (const value of values) {
        assert.throws(() => makeCertificateIdentifier({ ...parts, [part]: value }), {
          name: 'RangeError',
          message: new RegExp(`: ${part}: expected [^;]+$`),
        });
      }
    }
    assert.throws(() => makeCertificateIdentifier({ type: '', issuer: '', serial: '', version: '' }), {
      message: /type: .*; issuer: .*; serial: .*; version: /,
    });
  });
});

test('certificate types', () => {
  for (const identifier of CERTIFICATES) assert.ok(isCertificateType(identifier.split('.')[5] ?? ''));
  for (const type of ['11100000000013127D00', '11100000000013127D00A', '11100000000013127d001'])
    assert.ok(!isCertificateType(type), type);
});

test('estate unit numbers', () => {
  assert.ok(isEstateUnitNo('331124001002GB00123F00010001'));
  for (const text of ['331124001002GB00123X00010001', '331124001002GB00123F0001000', '331124001002gb00123F00010001'])
    assert.ok(!isEstateUnitNo(text), text);
});

test('case numbers', () => {
  assert.ok(isCaseNo('331124261123000001'));
  for (const text of ['331124261323000001', '331124260230000001', '33112426112300001', '331124261123000001-01'])
    assert.ok(!isCaseNo(text), text);
});

test('regions', () => {
  for (const text of ['331124', '331124001', '331124001002']) assert.ok(isRegion(text), text);
  for (const text of ['3311', '3311240', '031124', '33112400100']) assert.ok(!isRegion(text), text);
});
