import { randomUUID } from 'node:crypto';
import { checkCertificateIdentifier, readCertificateIdentifier } from '../../contracts/identifiers.ts';
import type {
  CertificateClaim,
  HandedOutFiles,
  IssuedCertificate,
  Ledger,
  LedgerEntry,
  Register,
  Verdict,
} from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Party, Reason, Words } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Verification, VerificationClaim, Verifications } from '../../contracts/ports/retrieval.ts';
import { verifySeal } from './documents/seal.ts';
import { entryOf, recorded } from './entry.ts';
import { notValid, usable } from './validity.ts';

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
  noSource: { zh: '没有可以核验该类证照的来源', en: 'no connected source can verify this type' },
} as const satisfies Record<string, Words>;

const reason = (code: keyof typeof REASONS): Reason => ({ code, ...REASONS[code] });

type Found = Omit<Verification, 'ledgerId'>;

/** Whether a certificate that somebody shows is true: by what we issued or handed out ourselves, then by those who keep its type. */
export function makeVerifications(parts: VerificationParts): Verifications {
  const { register, files, ledger, clock, log } = parts;

  async function byFile({ sm3, seal }: { readonly sm3: string; readonly seal?: string }): Promise<Found> {
    const file = await files.handedOutAs(sm3.toLowerCase());
    const known = { type: file?.type ?? null, identifier: file?.identifier ?? null };
    const said = { ...NOTHING, ...known, source: 'handedOut' };
    if (file === undefined) return { ...NOTHING, verdict: 'unknown', reason: reason('notHandedOut') };
    const { identifier, caseNo, applicationNo } = file;
    const handledUnder = caseNo ?? applicationNo ?? '';
    if (seal !== undefined && !verifySeal(parts.sealKey, { sm3: file.sm3, identifier, handledUnder }, seal))
      return { ...said, verdict: 'invalid', reason: reason('badSeal') };
    return { ...said, verdict: 'valid' };
  }

  async function byClaim(claim: CertificateClaim, traceparent: string): Promise<Found> {
    const warnings: string[] = [];
    let type: string | undefined;
    if ('identifier' in claim) {
      const parts = readCertificateIdentifier(claim.identifier);
      if (parts === undefined) return { ...NOTHING, verdict: 'invalid', reason: reason('badShape') };
      type = parts.type;
      const check = checkCertificateIdentifier(claim.identifier);
      if (check !== 'iso') warnings.push(check === 'vendor' ? 'vendorCheck' : 'badCheck');
    } else type = claim.type;
    const about = { type, identifier: 'identifier' in claim ? claim.identifier : null, warnings };
    const [issued] = await register.issuedAs(claim);
    const ours = issued === undefined ? undefined : ofRegister(issued, clock.now());
    if (ours?.verdict === 'invalid') return { ...NOTHING, ...about, ...ours };
    const theirs = await bySources(claim, type, traceparent);
    // We know that it was made, its keeper what has become of it since: his "no" counts for more than our "yes".
    return { ...NOTHING, ...about, ...(theirs.verdict === 'invalid' ? theirs : (ours ?? theirs)) };
  }

  async function bySources(claim: CertificateClaim, type: string, traceparent: string): Promise<Partial<Found>> {
    const asked = [...parts.sources()].flatMap(([name, { types, verify }]) =>
      verify !== undefined && types?.includes(type) !== false ? [{ name, verify }] : [],
    );
    if (asked.length === 0) return { verdict: 'unavailable', reason: reason('noSource') };
    const said = await Promise.all(
      asked.map(async ({ name, verify }) => {
        try {
          return { name, ...(await verify(claim, traceparent)) };
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
    // Who says that it is not to be used is believed before who knows nothing against it.
    for (const verdict of ['invalid', 'valid'] as const) {
      const one = said.find((each) => 'verdict' in each && each.verdict === verdict);
      if (one === undefined || !('verdict' in one)) continue;
      const { name: source, state } = one;
      return { verdict, state, source, reason: verdict === 'valid' ? null : reason('invalid') };
    }
    const away = said.find((each) => 'fault' in each);
    if (away !== undefined && 'fault' in away) return { verdict: 'unavailable', reason: away.fault };
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
      const found = 'sm3' in claim ? await byFile(claim) : await byClaim(claim, traceparent);
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
  warnings: [],
};

function ofRegister({ certificate }: IssuedCertificate, now: number): Partial<Found> {
  const { state, identifier, type } = certificate;
  const good = usable(certificate, now);
  return {
    verdict: good ? 'valid' : 'invalid',
    state,
    identifier,
    type,
    source: 'register',
    reason: good ? null : notValid(certificate),
  };
}
