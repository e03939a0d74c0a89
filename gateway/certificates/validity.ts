import { checkCertificateIdentifier } from '../../contracts/identifiers.ts';
import { localDay } from '../../contracts/local-time.ts';
import type { Certificate, CertificateState } from '../../contracts/ports/certificate.ts';
import type { Millis, Reason, Words } from '../../contracts/ports/envelope.ts';

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

/** GB/T 36903. */
const STATES: { readonly [state in CertificateState]: Words } = {
  '01': { zh: '有效', en: 'valid' },
  '02': { zh: '暂扣', en: 'suspended' },
  '03': { zh: '撤销', en: 'revoked' },
  '04': { zh: '注销', en: 'cancelled' },
  '05': { zh: '失效', en: 'no longer in force' },
  '06': { zh: '办理转出', en: 'moved to another place' },
  '07': { zh: '吊销', en: 'taken away' },
  '99': { zh: '其他', en: 'none that can be used' },
};

/** Why a certificate that is not `usable` is not, in words. */
export function notValid({ state, validTo }: Dated, now: Millis): Reason {
  const ended = validTo !== null && validTo < day(now);
  if (state === '01') {
    return ended
      ? { code: 'notValid', zh: '证照已过有效期', en: 'the certificate has run out' }
      : { code: 'notValid', zh: '证照尚未生效', en: 'the certificate is not valid yet' };
  }
  const { zh, en } = STATES[state];
  return {
    code: 'notValid',
    zh: `证照状态为“${zh}”（${state}），不可使用`,
    en: `the certificate is ${en} (state ${state}) and cannot be used`,
  };
}

/** What is wrong with an identifier that we receive is a warning: libraries with a deviant check character are in production. */
export function warningsOf({ identifier }: Pick<Certificate, 'identifier'>): readonly string[] {
  if (identifier === null) return [];
  const verdict = checkCertificateIdentifier(identifier);
  if (verdict === 'iso') return [];
  return [verdict === 'vendor' ? 'vendorCheck' : 'badCheck'];
}
