import { toHalfWidth, toUpperLetters, unwantedCharacters, withNameDots } from './characters.ts';
import {
  checkCertificateIdentifier,
  isCaseNo,
  isCertificateType,
  isCitizenId,
  isDay,
  isEstateUnitNo,
  isRegion,
  isUscc,
  readItemCode,
} from './identifiers.ts';
import type { Words } from './ports/envelope.ts';

/** A format of our own, and what it says of itself after "应为" and "expected". */
export interface Format {
  readonly holds: (text: string) => boolean;
  readonly words: Words;
  /** The one way in which a text of this format is kept, however it was written; applied before `holds`, and twice is the same as once. */
  readonly normalise: (text: string) => string;
}

const isClean = (text: string): boolean => unwantedCharacters(text).length === 0;
/** Letters of these are capitals. */
const identifier = (text: string): string => toUpperLetters(toHalfWidth(text));

const shape = (pattern: RegExp) => (text: string) => pattern.test(text);

function isLocalTime(text: string): boolean {
  const shape = /^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?\+08:00$/;
  return shape.test(text) && isDay(text.slice(0, 10).replaceAll('-', ''));
}

/** For `format` in contracts, beside those of JSON Schema. `name`, `code` and `identifier` say how a text is read; a `pattern` beside them says what it is. */
export const FORMATS: { readonly [name: string]: Format } = {
  name: {
    holds: isClean,
    normalise: withNameDots,
    words: {
      zh: '姓名或名称，不含看不见的字符',
      en: 'a name without invisible characters',
    },
  },
  code: {
    holds: isClean,
    normalise: toHalfWidth,
    words: { zh: '编号，不含看不见的字符', en: 'a number or code without invisible characters' },
  },
  identifier: {
    holds: isClean,
    normalise: identifier,
    words: {
      zh: '证件号码或编号，字母大写，不含看不见的字符',
      en: 'a number or code with capital letters and without invisible characters',
    },
  },
  'citizen-id': {
    holds: isCitizenId,
    normalise: identifier,
    words: {
      zh: '18 位公民身份号码，出生日期和校验码必须正确',
      en: 'a resident identity number of 18 characters with a real birth date and the right check digit',
    },
  },
  uscc: {
    holds: isUscc,
    normalise: identifier,
    words: {
      zh: '18 位统一社会信用代码，校验码必须正确',
      en: 'a unified social credit code of 18 characters with the right check character',
    },
  },
  'item-code': {
    holds: (text) => readItemCode(text)?.kind === 'handling',
    normalise: identifier,
    words: {
      zh: '33 位业务办理项编码，其中的统一社会信用代码校验码必须正确',
      en: 'a handling item code of 33 characters whose credit code has the right check character',
    },
  },
  'certificate-type': {
    holds: isCertificateType,
    normalise: identifier,
    words: { zh: '21 位电子证照类型代码', en: 'a certificate type code of 21 characters' },
  },
  'certificate-identifier': {
    holds: (text) => checkCertificateIdentifier(text) !== 'bad',
    normalise: identifier,
    words: {
      zh: '电子证照标识（GB/T 36904），校验码必须正确',
      en: 'a certificate identifier (GB/T 36904) with the right check character',
    },
  },
  'estate-unit': {
    holds: isEstateUnitNo,
    normalise: identifier,
    words: { zh: '28 位不动产单元号', en: 'a real-estate unit number of 28 characters' },
  },
  'case-no': {
    holds: isCaseNo,
    normalise: toHalfWidth,
    words: { zh: '18 位办件编号', en: 'a case number of 18 digits' },
  },
  region: {
    holds: isRegion,
    normalise: toHalfWidth,
    words: { zh: '6、9 或 12 位行政区划代码', en: 'a region code of 6, 9 or 12 digits' },
  },
  'decimal-money': {
    holds: shape(/^\d{1,13}(\.\d{1,2})?$/),
    normalise: toHalfWidth,
    words: {
      zh: '十进制金额文本，最多两位小数，例如 "950000.00"',
      en: 'an amount as a decimal text with at most two decimals, for example "950000.00"',
    },
  },
  'decimal-area': {
    holds: shape(/^\d{1,9}(\.\d{1,2})?$/),
    normalise: toHalfWidth,
    words: {
      zh: '面积（平方米）文本，最多两位小数，例如 "89.50"',
      en: 'an area in square metres as a decimal text with at most two decimals, for example "89.50"',
    },
  },
  share: {
    holds: (text) => /^(100\.00|\d{1,2}\.\d{2})$/.test(text) && Number(text) > 0,
    normalise: toHalfWidth,
    words: {
      zh: '份额百分比文本，大于 0，不超过 100.00，两位小数，例如 "50.00"',
      en: 'a share in per cent as a text above 0 and up to 100.00 with two decimals, for example "50.00"',
    },
  },
  month: {
    holds: shape(/^\d{4}(0[1-9]|1[0-2])$/),
    normalise: toHalfWidth,
    words: { zh: '6 位年月，例如 "202612"', en: 'a month as six digits, for example "202612"' },
  },
  'local-time': {
    holds: isLocalTime,
    normalise: toHalfWidth,
    words: {
      zh: '带 +08:00 的时间，例如 2026-11-23T09:30:15+08:00',
      en: 'a time with the offset +08:00, for example 2026-11-23T09:30:15+08:00',
    },
  },
  mobile: {
    holds: shape(/^1\d{10}$/),
    normalise: toHalfWidth,
    words: { zh: '11 位手机号码', en: 'a mobile telephone number of 11 digits' },
  },
};

/** The way in which a text of a format is kept; undefined: as it was written. */
export function normaliserOf(format: string): Format['normalise'] | undefined {
  // A day is a number too.
  return format === 'date' ? toHalfWidth : FORMATS[format]?.normalise;
}

/** Those of JSON Schema that our contracts use; any other is told by its name. */
export const STANDARD_FORMATS: { readonly [name: string]: Words } = {
  date: { zh: '日期 YYYY-MM-DD', en: 'a date YYYY-MM-DD' },
  'date-time': {
    zh: '带时区的时间，例如 2026-11-23T09:30:15+08:00',
    en: 'a time with its offset, for example 2026-11-23T09:30:15+08:00',
  },
  uri: { zh: '网址', en: 'a URI' },
  email: { zh: '电子邮箱', en: 'an e-mail address' },
};
