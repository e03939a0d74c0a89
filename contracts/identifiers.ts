/**
 * The numbers by which persons, offices, matters and documents are known, and their check digits.
 * Each function takes any text and never throws; none of them knows whether a number was ever issued.
 */

/** GB 11643: 6 area, 8 birth date, 3 sequence (its last digit odd: male), 1 check. Area codes are not judged: abolished ones are still carried. */
export function isCitizenId(text: string): boolean {
  if (!/^\d{17}[\dXx]$/.test(text) || !isDay(text.slice(6, 14))) return false;
  return citizenCheck(text) === text.charAt(17).toUpperCase();
}

/**
 * The number as it is stored: 18 characters with a capital X. Old tables hold 15 digits (a two-digit year of the last century and no check);
 * those are completed. Undefined when it is no number at all.
 */
export function storedCitizenId(text: string): string | undefined {
  const body = /^\d{15}$/.test(text) ? `${text.slice(0, 6)}19${text.slice(6)}` : text.slice(0, -1);
  const whole = text.length === 15 ? body + citizenCheck(body) : text.toUpperCase();
  return isCitizenId(whole) ? whole : undefined;
}

/** A number as two hands may write it, full-width, with spaces, in lower case, or with the fifteen digits of old, in the one form by which it can be compared. */
export function comparableIdNo(text: string): string {
  const plain = text.normalize('NFKC').replaceAll(/\s/g, '').toUpperCase();
  return storedCitizenId(plain) ?? plain;
}

function citizenCheck(text: string): string {
  return '10X98765432'.charAt(weighed(text, DIGITS, [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) % 11);
}

const DIGITS = '0123456789';
const LETTERS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ';
/** GB 32100 leaves out the letters that look like digits: I O S V Z. */
const CREDIT = '0123456789ABCDEFGHJKLMNPQRTUWXY';

/** GB 32100, unified social credit code: 1 registering department, 1 category, 6 area, 9 organisation code, 1 check. */
export function isUscc(text: string): boolean {
  if (!/^[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}$/.test(text)) return false;
  const sum = weighed(text, CREDIT, [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28]);
  return CREDIT.charAt((31 - (sum % 31)) % 31) === text.charAt(17);
}

/** The organisation code inside a unified social credit code. */
export function organisationCodeOf(uscc: string): string {
  return uscc.slice(8, 17);
}

/** GB 11714, organisation code: 8 characters and their check; written with or without the dash before it. */
export function isOrganisationCode(text: string): boolean {
  if (!/^[0-9A-Z]{8}-?[0-9X]$/.test(text)) return false;
  const check = 11 - (weighed(text, LETTERS, [3, 7, 9, 10, 5, 8, 4, 2]) % 11);
  return text.endsWith(check === 10 ? 'X' : check === 11 ? '0' : String(check));
}

export interface ItemCode {
  /** 33 characters: what one applies for · 31: the office's own · 12: the basic catalogue's. */
  readonly kind: 'handling' | 'implementation' | 'basic';
  /** Of the office that handles it; absent in the basic catalogue, as is the level. */
  readonly uscc?: string;
  /** 1 national … 4 county … 7 several. */
  readonly level?: string;
  readonly basic: string;
  readonly option?: string;
}

/** GB/T 39554. The office's credit code inside must hold. */
export function readItemCode(text: string): ItemCode | undefined {
  if (/^\d{12}$/.test(text)) return { kind: 'basic', basic: text };
  const [, uscc = '', level = '', basic = '', option] = /^(.{18})([1-7])(\d{12})(\d{2})?$/.exec(text) ?? [];
  if (!isUscc(uscc)) return undefined;
  return option === undefined
    ? { kind: 'implementation', uscc, level, basic }
    : { kind: 'handling', uscc, level, basic, option };
}

/** Type of certificate, GB/T 36904: the defining agency (18 characters) and 3 digits. Agencies without a credit code occur: it is not judged. */
export function isCertificateType(text: string): boolean {
  return /^[0-9A-Z]{18}\d{3}$/.test(text);
}

export interface CertificateIdentifier {
  readonly type: string;
  /** A credit code, a region, or some local file code: all are found. */
  readonly issuer: string;
  readonly serial: string;
  /** Three digits; 001 for the first. */
  readonly version: string;
}

const IDENTIFIER = /^1\.2\.156\.3005\.2\.([0-9A-Z]{21})\.([0-9A-Z]{6,18})\.([0-9A-Z]{1,64})\.(\d{3})\.([0-9A-Z])$/;

/** Its parts, whatever its check character says. */
export function readCertificateIdentifier(text: string): CertificateIdentifier | undefined {
  const [whole, type = '', issuer = '', serial = '', version = ''] = IDENTIFIER.exec(text) ?? [];
  return whole === undefined ? undefined : { type, issuer, serial, version };
}

/** What an identifier tells of its certificate's issuer, place and version; a local file code in the issuer's place tells nothing. */
export function issuerOf(identifier: string): {
  issuerCode: string | null;
  areaCode: string | null;
  version: string | null;
} {
  const parts = readCertificateIdentifier(identifier);
  const issuerCode = parts !== undefined && isUscc(parts.issuer) ? parts.issuer : null;
  return { issuerCode, areaCode: issuerCode?.slice(2, 8) ?? null, version: parts?.version ?? null };
}

/**
 * By which rule the check character holds: ISO 7064 MOD 37,36 as GB/T 36904 asks, or the deviant form that some issuing systems compute.
 * `bad`: by neither, or it has not the shape of an identifier.
 */
export function checkCertificateIdentifier(text: string): 'iso' | 'vendor' | 'bad' {
  const parts = readCertificateIdentifier(text);
  if (parts === undefined) return 'bad';
  const body = bodyOf(parts);
  if (text.endsWith(mod3736(body))) return 'iso';
  return text.endsWith(vendorCheck(body)) ? 'vendor' : 'bad';
}

const ISSUED: { readonly [part in keyof CertificateIdentifier]: readonly [(text: string) => boolean, string] } = {
  type: [isCertificateType, '18 characters of the defining agency and 3 digits'],
  issuer: [isUscc, 'a unified social credit code'],
  serial: [(text) => /^[0-9A-Z]{1,64}$/.test(text), '1 to 64 digits and capital letters'],
  version: [(text) => /^\d{3}$/.test(text) && text !== '000', 'three digits, 001 for the first'],
};

/**
 * An identifier that we issue: stricter than those we receive, and always with the standard's check character.
 *
 * @throws RangeError that names every wrong part
 */
export function makeCertificateIdentifier(parts: CertificateIdentifier): string {
  const wrong = Object.entries(ISSUED).filter(([part, [holds]]) => !holds(parts[part as keyof CertificateIdentifier]));
  if (wrong.length > 0) {
    const expected = wrong.map(([part, [, what]]) => `${part}: expected ${what}`).join('; ');
    throw new RangeError(`no certificate identifier (GB/T 36904) can be made: ${expected}`);
  }
  const { type, issuer, serial, version } = parts;
  return `1.2.156.3005.2.${type}.${issuer}.${serial}.${version}.${mod3736(bodyOf(parts))}`;
}

const bodyOf = ({ type, issuer, serial, version }: CertificateIdentifier): string => type + issuer + serial + version;

/** ISO 7064 MOD 37,36. `A12425GABC1234002` gives `M`. */
export function mod3736(text: string): string {
  let product = 36;
  for (const character of text) product = (((product + LETTERS.indexOf(character)) % 36 || 36) * 2) % 37;
  return LETTERS.charAt((37 - product) % 36);
}

/** What production systems were found to compute in its place: letters count one too high, the result is taken one too low. */
function vendorCheck(text: string): string {
  let product = 36;
  for (const character of text) {
    const index = LETTERS.indexOf(character);
    const value = index > 9 ? index + 1 : index;
    const sum = value > 9 && product + value > 37 ? (product + value) % 37 : product + value;
    product = ((sum % 36 || 36) * 2) % 37;
  }
  return LETTERS.charAt(36 - product);
}

/** Real-estate unit number (不动产单元号), 28: region 6, 3, 3, 2 letters, 5, F or W, 8. */
export function isEstateUnitNo(text: string): boolean {
  return /^\d{12}[A-Z]{2}\d{5}[FW]\d{8}$/.test(text);
}

/** Case number (办件编号): region 6, date yyMMdd, sequence 6. */
export function isCaseNo(text: string): boolean {
  return /^\d{18}$/.test(text) && isDay(`20${text.slice(6, 12)}`);
}

/** GB/T 2260 and below: county 6, township 9, village 12 digits. */
export function isRegion(text: string): boolean {
  return /^[1-9]\d{5}(\d{3}){0,2}$/.test(text);
}

function weighed(text: string, alphabet: string, weights: readonly number[]): number {
  return weights.reduce((sum, weight, at) => sum + weight * alphabet.indexOf(text.charAt(at)), 0);
}

/** YYYYMMDD, a day that there was or will be. */
export function isDay(text: string): boolean {
  const [year, month, day] = [text.slice(0, 4), text.slice(4, 6), text.slice(6, 8)].map(Number);
  if (!year || !month || !day) return false;
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}
