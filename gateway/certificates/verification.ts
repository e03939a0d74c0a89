import { randomUUID } from 'node:crypto';
import { readCertificateIdentifier } from '../../contracts/identifiers.ts';
import type {
  Certificate,
  CertificateClaim,
  CertificateState,
  HandedOutFiles,
  IssuedCertificate,
  Ledger,
  LedgerEntry,
  Register,
  Verdict,
} from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis, Party, Reason, Words } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Verification, VerificationClaim, Verifications } from '../../contracts/ports/retrieval.ts';
import { verifySeal } from './documents/seal.ts';
import { entryOf, recorded } from './entry.ts';
import { notValid, usable, warningsOf } from './validity.ts';

/** A party that can be asked whether a certificate is theirs, through its guard. */
export interface VerifyingSource {
  readonly types: readonly string[] | undefined;
  readonly verify?: (claim: CertificateClaim, traceparent: string) => Promise<Verdict>;
}

export interface VerificationParts {
  readonly sources: () => ReadonlyMap<Party, VerifyingSource>;
  readonly register: Pick<Register, 'issuedAs'>;
  readonly files: Pick<HandedOutFiles, 'handedOutAs'>;
  readonly ledger: Pick<Ledger, 'write'>;
  /** The public key of our seals. */
  readonly sealKey: string;
  readonly clock: Clock;
  readonly log: Logger;
}

const REASONS = {
  badShape: { zh: '证照标识格式不正确', en: 'this is no certificate identifier (GB/T 36904)' },
  unknown: { zh: '没有来源登记有该证照', en: 'nobody who was asked has such a certificate' },
  notHandedOut: {
    zh: '本系统没有发出过该文件，或文件已被改动',
    en: 'no such file was handed out here, or it was changed since',
  },
  badSeal: { zh: '签章与文件不符', en: 'the seal does not fit the file' },
  invalid: { zh: '来源答复该证照不可使用', en: 'who keeps it says that it is not to be used' },
  notConfirmed: {
    zh: '本系统有记录，但被询问的来源都没有登记该证照，未能确认现状',
    en: 'we have it on record, but nobody who was asked has: what it is now is not confirmed',
  },
  notAskable: {
    zh: '文件为本系统发出且未被改动，但其证照没有标识和编号，无法向来源询问现状',
    en: 'the file is as we handed it out, but its certificate has neither identifier nor number by which anybody could be asked',
  },
  noSource: { zh: '没有可以核验该类证照的来源', en: 'no connected source can verify this type' },
} as const satisfies Record<string, Words>;

const reason = (code: keyof typeof REASONS): Reason => ({ code, ...REASONS[code] });

type Found = Omit<Verification, 'ledgerId'>;

/** What we know of a certificate ourselves, and up to when. */
interface OwnRecord {
  readonly source: 'register' | 'handedOut';
  readonly state: CertificateState | null;
  readonly asOf: Millis;
}

/**
 * Whether a certificate that somebody shows is true. What we issued or handed out ourselves tells what it is, and that we ended it; that it is valid, only those who
 * keep its type can say, and only now: they are asked every time. While they are away, the verdict says up to when we know it.
 */
export function makeVerifications(parts: VerificationParts): Verifications {
  const { register, files, ledger, clock, log } = parts;

  async function byFile(
    { sm3, seal }: { readonly sm3: string; readonly seal?: string },
    traceparent: string,
  ): Promise<Found> {
    const file = await files.handedOutAs(sm3.toLowerCase());
    if (file === undefined) return { ...NOTHING, verdict: 'unknown', reason: reason('notHandedOut') };
    const { identifier, type, number, validTo, caseNo, applicationNo } = file;
    const about = { ...NOTHING, type, identifier, warnings: warningsOf({ identifier }) };
    const record: OwnRecord = { source: 'handedOut', state: null, asOf: file.at };
    const handledUnder = caseNo ?? applicationNo ?? '';
    if (seal !== undefined && !verifySeal(parts.sealKey, { sm3: file.sm3, identifier, handledUnder }, seal))
      return { ...about, verdict: 'invalid', source: 'handedOut', reason: reason('badSeal') };
    const shown = { state: '01', validFrom: null, validTo } as const;
    if (!usable(shown, clock.now()))
      return { ...about, verdict: 'invalid', source: 'handedOut', reason: notValid(shown, clock.now()) };
    const claim = identifier !== null ? { identifier } : number !== null ? { type, number } : undefined;
    if (claim === undefined) return { ...about, ...record, verdict: 'unavailable', reason: reason('notAskable') };
    return joined(about, await byRecords(claim, type, traceparent, record));
  }

  async function byClaim(claim: CertificateClaim, traceparent: string): Promise<Found> {
    if (!('identifier' in claim)) {
      const { type } = claim;
      return joined({ ...NOTHING, type }, await byRecords(claim, type, traceparent));
    }
    const { identifier } = claim;
    const shape = readCertificateIdentifier(identifier);
    if (shape === undefined) return { ...NOTHING, verdict: 'invalid', reason: reason('badShape') };
    const { type } = shape;
    const warnings = warningsOf({ identifier });
    return joined({ ...NOTHING, type, identifier, warnings }, await byRecords(claim, type, traceparent));
  }

  /** By our register, then by those who keep its type. `handedOut`: the file by which it was found. */
  async function byRecords(
    claim: CertificateClaim,
    type: string,
    traceparent: string,
    handedOut?: OwnRecord,
  ): Promise<Partial<Found>> {
    const ours = ofRegister(await register.issuedAs(claim), clock.now());
    // Ended here: nobody can make that undone.
    if (ours?.found.verdict === 'invalid') return ours.found;
    // Its keeper may know it by the other of its two names alone: an identifier that we made is nobody else's.
    const claims = ours === undefined ? [claim] : [claim, ...otherName(claim, ours.certificate)];
    const theirs = await bySources(claims, type, traceparent);
    const known = ours === undefined ? {} : { identifier: ours.certificate.identifier };
    const record = ours?.record ?? handedOut;
    switch (theirs.verdict) {
      case 'invalid':
        return { ...known, ...theirs };
      case 'valid':
        return { ...known, ...theirs, ...(ours === undefined ? {} : { source: 'register' }) };
      case 'unavailable':
        return { ...known, ...theirs, ...record, state: record?.state ?? theirs.state ?? null };
      case 'unknown':
        return record === undefined
          ? theirs
          : { ...known, ...record, verdict: 'unavailable', reason: reason('notConfirmed') };
    }
  }

  async function bySources(
    claims: readonly CertificateClaim[],
    type: string,
    traceparent: string,
  ): Promise<Partial<Found> & Pick<Found, 'verdict'>> {
    const asked = [...parts.sources()].flatMap(([name, { types, verify }]) =>
      verify !== undefined && types?.includes(type) !== false ? [{ name, verify }] : [],
    );
    if (asked.length === 0) return { verdict: 'unavailable', reason: reason('noSource') };
    const said = await Promise.all(
      asked.map(async ({ name, verify }) => {
        try {
          let verdict: Verdict = { verdict: 'unknown', state: null };
          for (const claim of claims) {
            verdict = consistent(await verify(claim, traceparent), clock.now());
            if (verdict.verdict !== 'unknown') break;
          }
          return { name, ...verdict };
        } catch (error) {
          const fault = Fault.from(error);
          log.warn('a source could not verify a certificate', {
            source: name,
            type,
            code: fault.reason.code,
            traceparent,
          });
          return { name, fault: fault.reason };
        }
      }),
    );
    const away = said.flatMap((each) => ('fault' in each ? [each.fault] : []))[0];
    // Who says that it is not to be used is believed before who knows nothing against it.
    for (const verdict of ['invalid', 'valid'] as const) {
      const one = said.find((each) => 'verdict' in each && each.verdict === verdict);
      if (one === undefined || !('verdict' in one)) continue;
      const { name: source, state } = one;
      if (verdict === 'invalid') return { verdict, state, source, reason: reason('invalid') };
      if (away === undefined) return { verdict, state, source, reason: null };
      // Who is away may know better: a library hears later than the keeper that one was cancelled.
      return { verdict: 'unavailable', state, source, reason: away, asOf: clock.now(), warnings: ['sourceAway'] };
    }
    if (away !== undefined) return { verdict: 'unavailable', reason: away };
    return { verdict: 'unknown', reason: reason('unknown') };
  }

  return {
    async verify(claim: VerificationClaim, { appKey, clerk, basis, channel, traceparent }) {
      const id = randomUUID();
      const row = (about: Pick<LedgerEntry, 'id' | 'of'> & Partial<LedgerEntry>): LedgerEntry => ({
        ...entryOf({
          id: about.id,
          of: about.of,
          at: clock.now(),
          phase: 'verified',
          type: 'type' in claim ? claim.type : '',
          holder: undefined,
          holderHash: '',
          request: { purpose: { clerk, basis }, appKey, channel },
        }),
        identifier: 'identifier' in claim ? claim.identifier : null,
        digest: 'sm3' in claim ? `sm3:${claim.sm3.toLowerCase()}` : null,
        ...about,
      });
      // Before anybody is asked, as every look at somebody's certificate is.
      await recorded(ledger, log, row({ id, of: null }));
      const found = 'sm3' in claim ? await byFile(claim, traceparent) : await byClaim(claim, traceparent);
      const { type, identifier, source, verdict } = found;
      const said = { source, reason: verdict, identifier, ...(type === null ? {} : { type }) };
      await ledger
        .write([row({ id: randomUUID(), of: id, ...said })])
        .catch((error: unknown) =>
          log.error('an answer could not be written to the certificate ledger', { error, entries: [id] }),
        );
      return { ...found, ledgerId: id };
    },
  };
}

const NOTHING: Found = {
  verdict: 'unknown',
  state: null,
  type: null,
  identifier: null,
  source: null,
  reason: null,
  asOf: null,
  warnings: [],
};

/** What is warned of before anybody is asked still holds when they have answered. */
function joined(about: Found, found: Partial<Found>): Found {
  return { ...about, ...found, warnings: [...about.warnings, ...(found.warnings ?? [])] };
}

/** Whatever a source concludes: valid is only what has the state 01 and is inside its dates. */
function consistent(said: Verdict, now: Millis): Verdict {
  if (said.verdict !== 'valid') return said;
  const { state, validFrom = null, validTo = null } = said;
  return usable({ state: state ?? '01', validFrom, validTo }, now) ? said : { ...said, verdict: 'invalid' };
}

interface Registered {
  readonly found: Partial<Found> & Pick<Found, 'verdict'>;
  readonly record: OwnRecord;
  readonly certificate: Certificate;
}

function otherName(claim: CertificateClaim, { type, identifier, number }: Certificate): readonly CertificateClaim[] {
  if ('identifier' in claim) return number === null ? [] : [{ type, number }];
  return identifier === null ? [] : [{ identifier }];
}

/** The newest of that number; it has a row for each holder, and one that ended has ended it. */
function ofRegister(rows: readonly IssuedCertificate[], now: Millis): Registered | undefined {
  const [newest] = rows;
  if (newest === undefined) return undefined;
  const alike = rows.filter(({ certificate }) => certificate.identifier === newest.certificate.identifier);
  const bad = alike.find(({ certificate }) => !usable(certificate, now));
  const { certificate, issuedAt } = bad ?? newest;
  const { state, identifier, type } = certificate;
  return {
    found: {
      verdict: bad === undefined ? 'valid' : 'invalid',
      state,
      identifier,
      type,
      source: 'register',
      reason: bad === undefined ? null : notValid(certificate, now),
    },
    record: { source: 'register', state, asOf: issuedAt },
    certificate,
  };
}
