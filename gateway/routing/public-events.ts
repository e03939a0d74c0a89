import { randomUUID } from 'node:crypto';
import {
  checkCertificateIdentifier,
  isCertificateType,
  isCitizenId,
  readCertificateIdentifier,
} from '../../contracts/identifiers.ts';
import { localTime } from '../../contracts/local-time.ts';
import type { CaseRecord, EndedCertificate } from '../../contracts/ports/case.ts';
import type { CertificateChange } from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { JsonObject, Party } from '../../contracts/ports/envelope.ts';
import type { Happening, PublicEvent, PublicEventKind, Publicly } from '../../contracts/ports/public-event.ts';

/** What an event says, before it has a name and a place. */
interface Said {
  readonly kind: PublicEventKind;
  readonly keys: readonly string[];
  readonly data: JsonObject;
}

/** Events that one happening may have: a case has at most 99 steps. */
const MOST = 1_000;

/**
 * What others may learn. Numbers of cases, items and steps, states, parties, types and identifiers of certificates, times; no reason, no result, no number that
 * a department gave: those are words of others, and may hold anybody's name. Whoever may know more asks the API for it.
 */
export function makePublicEvents({
  clock,
  hashOf,
}: {
  readonly clock: Clock;
  readonly hashOf: (idNo: string) => string;
}): {
  /** What a happening in a case changes for others. */
  readonly ofCase: Publicly;
  /** What a department says of certificates it keeps; undefined when it names no type that there is. */
  readonly ofChange: (party: Party, change: CertificateChange) => PublicEvent | undefined;
} {
  const event = (said: Said, about: Pick<PublicEvent, 'subject' | 'sequence' | 'traceparent'>): PublicEvent => ({
    id: randomUUID(),
    time: localTime(clock.now()),
    ...about,
    ...said,
  });

  /** The identifiers of what ended, as far as the case knows them. */
  function identifiersOf({ certificates }: CaseRecord, { type, holderHash, number }: EndedCertificate) {
    const known = certificates.flatMap(({ holder, certificate }) => {
      const meant = number === null ? hashOf(holder.idNo) === holderHash : certificate.number === number;
      return certificate.type === type && meant ? [shown(certificate.identifier)] : [];
    });
    return known.length === 0 ? [null] : known;
  }

  function* saidOf({ before, change }: Happening): Generator<Said> {
    const { caseNo, submission, steps } = before;
    const { itemCode, channel } = submission;
    const ofEach = (kind: PublicEventKind): readonly string[] => [
      kind,
      ...new Set(steps.map(({ party }) => `${kind}.${party}`)),
    ];
    const partyOf = (stepNo: string): Party | undefined => steps.find(({ no }) => no === stepNo)?.party;

    if (change.events.some(({ kind }) => kind === 'accepted')) {
      const [promisedBy, statutoryBy] = [localTime(before.promisedBy.at), localTime(before.statutoryBy.at)];
      const data = { caseNo, itemCode, channel, promisedBy, statutoryBy };
      yield { kind: 'case.accepted', keys: ofEach('case.accepted'), data };
    }
    for (const { no, party, state, revision } of change.steps ?? []) {
      if (steps.find((step) => step.no === no)?.state === state) continue;
      const data = { caseNo, itemCode, state: change.state ?? before.state, step: { no, party, state, revision } };
      yield { kind: 'case.progressed', keys: [`case.progressed.${party}`], data };
    }
    for (const ended of change.ended ?? []) {
      const { stepNo, type } = ended;
      const party = partyOf(stepNo);
      if (party === undefined) continue;
      for (const identifier of identifiersOf(before, ended))
        yield changedBy(party, { type, identifier, caseNo, stepNo });
    }
    for (const { stepNo, certificate } of change.issued ?? []) {
      const { type } = certificate;
      const party = partyOf(stepNo);
      if (party === undefined) continue;
      const data = { type, identifier: shown(certificate.identifier), party, caseNo, itemCode, stepNo };
      yield { kind: 'certificate.issued', keys: [`certificate.issued.${party}.${type}`], data };
    }
    if (change.decision !== undefined) {
      const { outcome, by } = change.decision;
      yield { kind: 'case.decided', keys: ofEach('case.decided'), data: { caseNo, itemCode, outcome, by } };
    }
  }

  return {
    ofCase(happening) {
      const { before, lines } = happening;
      // One certificate of two holders is registered twice, and told once.
      const once = new Map([...saidOf(happening)].map((said) => [JSON.stringify(said), said]));
      return [...once.values()].map((said, i) =>
        event(said, {
          subject: before.caseNo,
          sequence: String(lines * MOST + i).padStart(10, '0'),
          traceparent: before.traceparent,
        }),
      );
    },

    ofChange(party, change) {
      const identifier = 'identifier' in change ? shown(change.identifier) : null;
      const type = 'type' in change ? change.type : readCertificateIdentifier(change.identifier)?.type;
      if (type === undefined || !isCertificateType(type)) return undefined;
      const said = changedBy(party, { type, identifier, caseNo: null, stepNo: null });
      return event(said, { subject: identifier, sequence: null, traceparent: null });
    },
  };
}

function changedBy(party: Party, data: { type: string; [field: string]: string | null }): Said {
  return {
    kind: 'certificate.changed',
    keys: [`certificate.changed.${party}.${data.type}`],
    data: { ...data, party },
  };
}

/** Some offices make an identifier of whoever holds it, and some send anything. */
function shown(identifier: string | null): string | null {
  if (identifier === null || checkCertificateIdentifier(identifier) === 'bad') return null;
  return holdsCitizenId(identifier) ? null : identifier;
}

const CENTURY = /^\d{6}(?:19|20)/;

function holdsCitizenId(text: string): boolean {
  for (let at = 0; at + 18 <= text.length; at += 1) {
    const part = text.slice(at, at + 18);
    if (CENTURY.test(part) && isCitizenId(part)) return true;
  }
  return false;
}
