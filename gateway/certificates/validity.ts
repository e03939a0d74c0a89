import { checkCertificateIdentifier } from '../../contracts/identifiers.ts';
import { localDay } from '../../contracts/local-time.ts';
import type { Certificate } from '../../contracts/ports/certificate.ts';
import type { Millis, Reason } from '../../contracts/ports/envelope.ts';

const day = (at: Millis): string => localDay(at).replaceAll('-', '');

type Dated = Pick<Certificate, 'state' | 'validFrom' | 'validTo'>;

/** Only 01, and only inside its dates (GB/T 36903). */
export function usable({ state, validFrom, validTo }: Dated, now: Millis): boolean {
  const today = day(now);
  return state === '01' && (validFrom === null || validFrom <= today) && (validTo === null || validTo >= today);
}

/** Until the end of its last day; without one for ever. */
export function validForMs({ validTo }: Dated, now: Millis): number {
  if (validTo === null) return Number.POSITIVE_INFINITY;
  const ends = Date.parse(`${validTo.slice(0, 4)}-${validTo.slice(4, 6)}-${validTo.slice(6, 8)}T23:59:59.999+08:00`);
  return Number.isNaN(ends) ? 0 : ends - now;
}

export function notValid({ state }: Dated): Reason {
  return {
    code: 'notValid',
    zh: state === '01' ? '证照不在有效期内' : `证照状态为 ${state}，不可使用`,
    en:
      state === '01'
        ? 'the certificate is outside its dates'
        : `the certificate has the state ${state} and cannot be used`,
  };
}

/** What is wrong with an identifier that we receive is a warning: libraries with a deviant check character are in production. */
export function warningsOf({ identifier }: Pick<Certificate, 'identifier'>): readonly string[] {
  if (identifier === null) return [];
  const verdict = checkCertificateIdentifier(identifier);
  if (verdict === 'iso') return [];
  return [verdict === 'vendor' ? 'vendorCheck' : 'badCheck'];
}
