import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makeCertificateIdentifier } from '../../contracts/identifiers.ts';
import type { CaseRecord, Change, StepState } from '../../contracts/ports/case.ts';
import type { Certificate } from '../../contracts/ports/certificate.ts';
import { wallClock } from '../../contracts/ports/clock.ts';
import type { PublicEvent } from '../../contracts/ports/public-event.ts';
import { change, event, newCase, reason, stepIn } from '../../test/support/sample-case.ts';
import { makePublicEvents } from './public-events.ts';

const TYPE = '11100000MB03271699001';
const ISSUER = '11331124QA0000057N';
const ID_NO = '331124199001010011';
const identifierOf = (serial: string) =>
  makeCertificateIdentifier({ type: TYPE, issuer: ISSUER, serial, version: '001' });
const TITLE = identifierOf('20260000000001234');

const { ofCase, ofChange } = makePublicEvents({
  clock: { ...wallClock, now: () => 1_795_397_415_123 },
  hashOf: (idNo) => `hash-of-${idNo}`,
});
const { record: opened } = await newCase({
  applicationNo: 'A1',
  parties: ['tea-office', 'rice-office', 'tea-office'],
}).open('331124261123000001');

const told = (of: Partial<Change>, before: CaseRecord = opened, lines = 12): readonly PublicEvent[] =>
  ofCase({ before, lines, change: change(of) });
const short = (events: readonly PublicEvent[]) =>
  events.map(({ kind, keys, data }) => [kind, keys.join(' '), data] as const);
const moved = (no: string, state: StepState) => stepIn(opened, no, state);

const certificate = (identifier: string | null, idNo: string, number = 'T-1'): Certificate => ({
  type: TYPE,
  identifier,
  number,
  title: 'title',
  holder: { name: '张样例', idType: '111', idNo },
  state: '01',
  issuer: 'office',
  validFrom: null,
  validTo: null,
  fields: {},
});
const issued = (of: Certificate) => ({
  certificate: of,
  holderHash: `hash-of-${of.holder.idNo}`,
  issuedAt: 1,
  caseNo: opened.caseNo,
  stepNo: '02',
});
const holding = (...held: readonly Certificate[]): CaseRecord => ({
  ...opened,
  certificates: held.map((one) => ({ material: '5-01', holder: one.holder, certificate: one })),
});

describe('what others may learn of a happening', () => {
  test('a case that is accepted, to each department on its route once, and its first step', () => {
    const events = told({ steps: [moved('01', 'SENT')], events: [event('accepted'), event('sent')] }, opened, 0);
    const about = { caseNo: '331124261123000001', itemCode: 'item' };
    assert.deepEqual(short(events), [
      [
        'case.accepted',
        'case.accepted case.accepted.tea-office case.accepted.rice-office',
        {
          ...about,
          channel: 'window',
          promisedBy: '1970-01-01T08:00:01.001+08:00',
          statutoryBy: '1970-01-01T08:00:02.001+08:00',
        },
      ],
      [
        'case.progressed',
        'case.progressed.tea-office',
        { ...about, state: 'ACCEPTED', step: { no: '01', party: 'tea-office', state: 'SENT', revision: 1 } },
      ],
    ]);
    assert.deepEqual(
      events.map(({ subject, sequence, time, traceparent }) => [subject, sequence, time, traceparent]),
      ['0000000000', '0000000001'].map((sequence) => [
        '331124261123000001',
        sequence,
        '2026-11-23T09:30:15.123+08:00',
        '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      ]),
    );
    assert.equal(new Set(events.map(({ id }) => id)).size, 2);
  });

  test('a step whose state is the same as before is nobody’s news, and no reason, result or number is', () => {
    const silent = { reason: reason('张样例'), result: { name: '张样例' }, number: '张样例' };
    assert.deepEqual(told({ steps: [{ ...moved('01', 'PENDING'), ...silent }] }), []);
    const events = told({ state: 'HANDLING', steps: [{ ...moved('01', 'REJECTED'), ...silent }] });
    assert.deepEqual(
      events.map(({ data }) => data),
      [
        {
          caseNo: opened.caseNo,
          itemCode: 'item',
          state: 'HANDLING',
          step: { no: '01', party: 'tea-office', state: 'REJECTED', revision: 1 },
        },
      ],
    );
  });

  test('sequences grow within a happening and to the next', () => {
    const both = { steps: [moved('01', 'DONE'), moved('02', 'SENT')] };
    const all = [...told(both, opened, 9), ...told(both, opened, 10), ...told(both, opened, 11)];
    const sequences = all.map(({ sequence }) => sequence ?? '');
    assert.deepEqual([...sequences].sort(), sequences);
    assert.equal(new Set(sequences).size, 6);
  });

  test('a decision, without its reason', () => {
    const decision = { outcome: 'refused', by: 'rice-office', reason: reason('张样例'), at: 1 } as const;
    assert.deepEqual(short(told({ decision })), [
      [
        'case.decided',
        'case.decided case.decided.tea-office case.decided.rice-office',
        { caseNo: opened.caseNo, itemCode: 'item', outcome: 'refused', by: 'rice-office' },
      ],
    ]);
  });

  test('a certificate that two hold is told once, and neither is named', () => {
    const both = [ID_NO, '331124197203040017'].map((idNo) => issued(certificate(TITLE, idNo)));
    const events = told({ issued: both });
    assert.deepEqual(short(events), [
      [
        'certificate.issued',
        `certificate.issued.rice-office.${TYPE}`,
        {
          type: TYPE,
          identifier: TITLE,
          party: 'rice-office',
          caseNo: opened.caseNo,
          itemCode: 'item',
          stepNo: '02',
        },
      ],
    ]);
    assert.doesNotMatch(JSON.stringify(events), /张样例|331124199001010011|331124197203040017|T-1|hash-of/);
  });

  test('an identifier is told only when it is one, and does not tell its holder', () => {
    const shown = (identifier: string | null) =>
      told({ issued: [issued(certificate(identifier, ID_NO))] })[0]?.data.identifier;
    assert.equal(shown(TITLE), TITLE);
    for (const identifier of [null, '张样例', ID_NO, `${TITLE.slice(0, -1)}?`]) assert.equal(shown(identifier), null);
    for (const serial of [ID_NO, `A${ID_NO}001`]) assert.equal(shown(identifierOf(serial)), null, serial);
    // A case number has eighteen digits as well, and those that we make have it in them.
    assert.equal(shown(identifierOf('33112426112300000102')), identifierOf('33112426112300000102'));
  });

  test('what a step ended is told by the identifier that the case knows it by, or without', () => {
    const ended = (number: string | null, idNo = ID_NO) => ({
      stepNo: '02',
      type: TYPE,
      holderHash: `hash-of-${idNo}`,
      number,
    });
    const identifiers = (of: Change['ended'], before: CaseRecord) =>
      told({ ended: of ?? [] }, before).map(({ data }) => data.identifier);
    const other = identifierOf('20260000000009999');
    const before = holding(certificate(TITLE, ID_NO), certificate(other, '331124197203040017', 'T-2'));
    assert.deepEqual(identifiers([ended('T-1'), ended('T-1', '331124197203040017')], before), [TITLE]);
    assert.deepEqual(identifiers([ended(null, '331124197203040017')], before), [other]);
    assert.deepEqual(identifiers([ended('T-3')], before), [null]);
    assert.deepEqual(short(told({ ended: [ended('T-1')] }, before)), [
      [
        'certificate.changed',
        `certificate.changed.rice-office.${TYPE}`,
        { type: TYPE, identifier: TITLE, caseNo: opened.caseNo, stepNo: '02', party: 'rice-office' },
      ],
    ]);
  });

  test('what a department says of its own: by type, never by holder; what names no type is not told', () => {
    const byHolder = ofChange('rice-office', { type: TYPE, holder: { idType: '111', idNo: ID_NO } });
    const byIdentifier = ofChange('rice-office', { identifier: TITLE });
    const data = { type: TYPE, caseNo: null, stepNo: null, party: 'rice-office' };
    assert.deepEqual(byHolder?.data, { ...data, identifier: null });
    assert.deepEqual(byIdentifier?.data, { ...data, identifier: TITLE });
    assert.deepEqual([byHolder?.subject, byIdentifier?.subject], [null, TITLE]);
    assert.doesNotMatch(JSON.stringify(byHolder), new RegExp(ID_NO));
    assert.equal(ofChange('rice-office', { identifier: ID_NO }), undefined);
    assert.equal(ofChange('rice-office', { type: '张样例', holder: { idType: '111', idNo: ID_NO } }), undefined);
  });
});
