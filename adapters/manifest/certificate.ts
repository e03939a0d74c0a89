import { comparableIdNo, issuerOf } from '../../contracts/identifiers.ts';
import type {
  Certificate,
  CertificateChange,
  CertificateFile,
  CertificateMetadata,
  MediaType,
  Verdict,
} from '../../contracts/ports/certificate.ts';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { objectOf } from './meaning.ts';

const STATES: ReadonlySet<string> = new Set(['01', '02', '03', '04', '05', '06', '07', '99']);

/**
 * What a mapping found: a list, or the one that JSONata took out of its list.
 * @throws Fault `malformed` when there is nothing (who holds none says so by a rule), and when one lacks what makes it a certificate: without a
 *   holder and a state it must not be used
 */
export function certificatesOf(found: Json | undefined, type: string): readonly Certificate[] {
  if (found === undefined || found === null) throw incomplete();
  return (Array.isArray(found) ? found : [found]).map((each) => certificateOf(each, type));
}

function certificateOf(value: Json, type: string): Certificate {
  const found = objectOf(value);
  const holder = objectOf(found.holder);
  const state = String(found.state ?? '');
  const complete = [holder.name, holder.idNo, found.title, found.issuer].every(
    (part) => typeof part === 'string' && part !== '',
  );
  if (!complete || !STATES.has(state)) throw incomplete();
  return {
    type,
    identifier: text(found.identifier),
    number: text(found.number),
    title: String(found.title),
    // Blanks, widths and the fifteen digits of old are how they keep it, not who it is.
    holder: {
      name: String(holder.name).trim(),
      idType: String(holder.idType ?? '111'),
      idNo: comparableIdNo(String(holder.idNo)),
    },
    state: state as Certificate['state'],
    issuer: String(found.issuer),
    validFrom: dayOf(found.validFrom),
    validTo: dayOf(found.validTo),
    metadata: metadataOf(found),
    fields: objectOf(found.fields),
    ...fileOf(found.file),
  };
}

/** YYYYMMDD, however it is written; what is no day would be compared as one. @throws Fault `malformed` */
function dayOf(value: Json | undefined): string | null {
  const day = text(value)?.replaceAll('-', '') ?? null;
  if (day === null || /^\d{8}$/.test(day)) return day;
  throw new Fault('malformed', {
    reason: {
      code: 'certificateDate',
      zh: '证照的起止日期格式不正确',
      en: 'the validity of the certificate is no YYYYMMDD',
    },
  });
}

/** What the source says itself goes before what stands in the identifier. */
function metadataOf({ identifier, issuerCode, issuedOn, areaCode, version }: JsonObject): CertificateMetadata {
  const told = issuerOf(text(identifier) ?? '');
  return {
    issuerCode: text(issuerCode) ?? told.issuerCode,
    issuedOn: dayOf(issuedOn),
    areaCode: text(areaCode) ?? told.areaCode,
    version: text(version) ?? told.version,
  };
}

const MEDIA: readonly MediaType[] = ['application/pdf', 'application/ofd'];
const DIGEST = /^(sm3|sha256):[0-9a-f]{64}$/;

/** Nothing is no file, in whichever way they write it; something that is none is a mistake of theirs, or of the mapping. */
function fileOf(value: Json | undefined): { readonly file?: CertificateFile } {
  if (value === undefined || value === null || value === '' || value === 'null') return {};
  const { mediaType: given, reference, digest } = objectOf(value);
  const mediaType = MEDIA.find((media) => media === given);
  const told = text(digest);
  if (mediaType === undefined || (told !== null && !DIGEST.test(told)))
    throw new Fault('malformed', {
      reason: {
        code: 'certificateFile',
        zh: '返回的证照文件信息不完整（类型或摘要）',
        en: 'what is said of the file lacks its media type, or its digest is none',
      },
    });
  return { file: { mediaType, reference: text(reference), digest: told } };
}

const VERDICTS: readonly Verdict['verdict'][] = ['valid', 'invalid', 'unknown'];

/** @throws Fault `malformed` when it says none of the three, or a day that is none */
export function verdictOf(value: Json | undefined): Verdict {
  const { verdict: given, state, validFrom, validTo } = objectOf(value);
  const verdict = VERDICTS.find((one) => one === given);
  if (verdict === undefined)
    throw new Fault('malformed', {
      reason: { code: 'verdict', zh: '核验应答未说明结论', en: 'the answer does not say whether it is valid' },
    });
  return {
    verdict,
    state: STATES.has(String(state)) ? (state as Verdict['state']) : null,
    ...(validFrom === undefined ? {} : { validFrom: dayOf(validFrom) }),
    ...(validTo === undefined ? {} : { validTo: dayOf(validTo) }),
  };
}

/** What a party says has changed: one or several. @throws Fault `malformed` when one names no certificate */
export function changesOf(value: Json | undefined): readonly CertificateChange[] {
  const changes = (Array.isArray(value) ? value : [value]).map((each): CertificateChange => {
    const { identifier, type, holder } = objectOf(each);
    if (isText(identifier)) return { identifier };
    const { idType = '111', idNo } = objectOf(holder);
    if (isText(type) && isText(idNo) && isText(idType)) return { type, holder: { idType, idNo } };
    throw unnamed();
  });
  if (changes.length === 0) throw unnamed();
  return changes;
}

const isText = (value: Json | undefined): value is string => typeof value === 'string' && value !== '';

const unnamed = (): Fault =>
  new Fault('malformed', {
    reason: { code: 'changed', zh: '推送未说明所指证照', en: 'the push does not say which certificate changed' },
  });

/** Characters of base64 decoded at a time; a multiple of four. */
const AT_A_TIME = 65_536;

/**
 * A file that stands as text inside a reply; the text is in memory already, its bytes are made a piece at a time.
 * @throws Fault `malformed` at once when it is no base64
 */
export function fromBase64(value: Json | undefined): AsyncIterable<Uint8Array> {
  const whole = typeof value === 'string' ? value.replaceAll(/\s/g, '') : '';
  if (whole === '' || whole === 'null' || whole.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(whole))
    throw new Fault('malformed', {
      reason: { code: 'noBase64', zh: '返回的文件内容不是 Base64', en: 'the file inside the reply is no base64' },
    });
  return decoded(whole);
}

async function* decoded(whole: string): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < whole.length; at += AT_A_TIME) yield Buffer.from(whole.slice(at, at + AT_A_TIME), 'base64');
}

const incomplete = (): Fault =>
  new Fault('malformed', {
    reason: {
      code: 'certificate',
      zh: '返回的证照缺少持证人、状态等必要信息',
      en: 'the certificate lacks its holder, state, title or issuer',
    },
  });

const text = (value: Json | undefined): string | null =>
  value === undefined || value === null || value === '' ? null : String(value);
