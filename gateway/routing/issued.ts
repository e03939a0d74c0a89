import { issuerOf, makeCertificateIdentifier } from '../../contracts/identifiers.ts';
import { localDay } from '../../contracts/local-time.ts';
import type { Certificate, Holder, IssuedCertificate } from '../../contracts/ports/certificate.ts';
import type { Json, JsonObject, Millis } from '../../contracts/ports/envelope.ts';
import type { Issue } from '../../contracts/ports/item.ts';

/** The first of its kind: a corrected certificate is another one. */
const VERSION = '001';

/**
 * The certificates that a step's result is, one for each holder, all under one identifier: the department's, or where it gives none one of ours (GB/T 36904),
 * made from the case and step, so that it is the same however often it is made.
 */
export function issuedBy(
  issue: Issue,
  { holders, identifier, number, validFrom, validTo, fields }: JsonObject,
  about: {
    readonly caseNo: string;
    readonly stepNo: string;
    readonly at: Millis;
    readonly hashOf: (idNo: string) => string;
  },
): readonly IssuedCertificate[] {
  const { caseNo, stepNo, at, hashOf } = about;
  const named =
    text(identifier) ??
    makeCertificateIdentifier({
      type: issue.type,
      issuer: issue.issuer.uscc,
      serial: `${caseNo}${stepNo}`,
      version: VERSION,
    });
  return peopleOf(holders).map((holder) => {
    const certificate: Certificate = {
      type: issue.type,
      identifier: named,
      number: text(number),
      title: issue.title.zh,
      holder,
      state: '01',
      issuer: issue.issuer.name,
      validFrom: text(validFrom),
      validTo: text(validTo),
      metadata: { ...issuerOf(named), issuerCode: issue.issuer.uscc, issuedOn: localDay(at).replaceAll('-', '') },
      fields: isObject(fields) ? fields : {},
    };
    return { certificate, holderHash: hashOf(holder.idNo), issuedAt: at, caseNo, stepNo };
  });
}

const isObject = (value: Json | undefined): value is JsonObject =>
  value !== undefined && value !== null && typeof value === 'object' && !Array.isArray(value);

const text = (value: Json | undefined): string | null => (typeof value === 'string' && value !== '' ? value : null);

/** One person or a list of them; what has no name or number is none. */
function peopleOf(value: Json | undefined): readonly Holder[] {
  return (Array.isArray(value) ? value.flat() : [value]).flatMap((one) => {
    if (!isObject(one)) return [];
    const { name, idType = '111', idNo } = one;
    return typeof name === 'string' && typeof idType === 'string' && typeof idNo === 'string'
      ? [{ name, idType, idNo }]
      : [];
  });
}
