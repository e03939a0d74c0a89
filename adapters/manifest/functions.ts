import { randomUUID } from 'node:crypto';
import { comparableIdNo } from '../../contracts/identifiers.ts';
import type { MappingFunctions } from '../../contracts/mapping.ts';
import type { Json, JsonObject, Millis } from '../../contracts/ports/envelope.ts';
import { Fault, type FaultKind } from '../../contracts/ports/fault.ts';
import { type Digestible, hmacSha256, hmacSm3, md5, sha256, sm3 } from '../wire/crypto/digest.ts';
import { sm2Decrypt, sm2Encrypt, sm2Sign, sm2Verify } from '../wire/crypto/sm2.ts';
import { sm4Decrypt, sm4Encrypt } from '../wire/crypto/sm4.ts';
import { type Encoding, encodeText } from '../wire/text/encoding.ts';
import { openJson } from '../wire/text/json.ts';
import { buildXml, openXml } from '../wire/text/xml.ts';
import type { CodeTables } from './manifest.ts';
import { epoch, local } from './times.ts';

/** What a mapping may call beside JSONata's own functions, as docs/manifest.md lists them. `$sequence` is the connection's and comes at the call. */
export function mappingFunctions(codes: CodeTables): MappingFunctions {
  /** A message of ours that cannot be made: parked before a byte goes out. */
  const ours = (code: string, zh: string, en: string): Fault =>
    new Fault('malformed', { ours: true, maybeArrived: false, reason: { code, zh, en } });

  /** With no key anybody signs and anybody reads. */
  const keyOf = (key: unknown): string => {
    if (typeof key === 'string' && key.trim() !== '') return key;
    throw ours(
      'emptyKey',
      '签名或加密的密钥为空，未发送',
      'the key to sign or encrypt with is empty; nothing was sent',
    );
  };

  function translated(table: string, value: unknown, back: boolean): string {
    const pairs = Object.entries(codes[table] ?? {});
    const found = back
      ? pairs.find(([, theirs]) => theirs === String(value))?.[0]
      : pairs.find(([mine]) => mine === String(value))?.[1];
    // A default would be somebody's wrong document; an unmapped value stops the message.
    if (found === undefined)
      throw ours('codeUnmapped', `代码表 ${table} 没有对应值`, `the code table ${table} has no such value`);
    return found;
  }

  const functions = {
    local: (ms: Millis, pattern: string) => local(ms, pattern),
    epoch: (text: string | undefined, pattern: string) => epoch(text, pattern),
    uuid: () => randomUUID().replaceAll('-', ''),

    xml: (value: JsonObject) => buildXml(value),
    openXml: (text: string | undefined, lists?: string[]) =>
      text === undefined ? undefined : openXml(text, { lists: lists ?? [] }),
    json: (value: Json) => JSON.stringify(value),
    openJson: (text: string | undefined) => (text === undefined ? undefined : openJson(text)),

    halfWidth: (text: string | undefined) =>
      text?.replaceAll(/[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]/g, (character) => character.normalize('NFKC')),
    idNo: (text: string | undefined) => (text === undefined ? undefined : comparableIdNo(text)),
    blank: (value: unknown, marks: string[]) =>
      value === undefined || value === null || [marks].flat().includes(String(value).trim()) ? undefined : value,
    people(names: string, ids: string, separators: string[]) {
      const parts = (text: string): string[] => {
        let list = [text];
        for (const separator of [separators].flat()) list = list.flatMap((part) => part.split(separator));
        return list.map((part) => part.trim()).filter((part) => part !== '');
      };
      const [name, idNo] = [parts(names), parts(ids)];
      if (name.length !== idNo.length)
        throw ours('peopleCount', '共有人姓名与证件号码个数不一致', 'there are not as many names as identity numbers');
      return name.map((each, at) => ({ name: each, idNo: idNo[at] }));
    },
    code: (table: string, value: unknown) => translated(table, value, false),
    decode: (table: string, value: unknown) => translated(table, value, true),

    /** 元 → 分, exact. */
    fen: (yuan: string | undefined) => (yuan === undefined ? undefined : shifted(yuan, 2)),
    yuan: (fen: string | undefined) => (fen === undefined ? undefined : shifted(fen, -2)),
    /** 元 → 万元. */
    wan: (yuan: string | undefined) => (yuan === undefined ? undefined : shifted(yuan, -4)),
    bytes: (text: string, encoding: Encoding) => encodeText(text, encoding).length,

    md5,
    sha256,
    sm3,
    hmacSha256: (of: Digestible, key: string) => hmacSha256(of, keyOf(key)),
    hmacSm3: (of: Digestible, key: string) => hmacSm3(of, keyOf(key)),
    base64: (text: string) => Buffer.from(text, 'utf8').toString('base64'),
    openBase64: (text: string) => Buffer.from(text, 'base64').toString('utf8'),
    sm2Sign: (text: string, privateKey: string) => sm2Sign(text, keyOf(privateKey)),
    sm2Verify: (text: string, signature: string, publicKey: string) => sm2Verify(text, signature, keyOf(publicKey)),
    sm2Encrypt: (text: string, publicKey: string) => sm2Encrypt(text, keyOf(publicKey)),
    sm2Decrypt: (hex: string, privateKey: string) =>
      theirs('decryption', '应答解密失败', 'their reply could not be decrypted', () =>
        sm2Decrypt(hex, keyOf(privateKey)),
      ),
    sm4Encrypt: (text: string, key: string, iv?: string) => sm4Encrypt(text, keyOf(key), iv),
    sm4Decrypt: (hex: string, key: string, iv?: string) =>
      theirs('decryption', '应答解密失败', 'their reply could not be decrypted', () => sm4Decrypt(hex, keyOf(key), iv)),
    sorted: (object: JsonObject) =>
      Object.keys(object)
        .sort()
        .filter((key) => object[key] !== null && object[key] !== undefined && object[key] !== '')
        .map((key) => `${key}=${typeof object[key] === 'object' ? JSON.stringify(object[key]) : String(object[key])}`)
        .join('&'),
    fault(kind: FaultKind, code: string, zh: string, en: string): never {
      throw new Fault(kind, { reason: { code, zh, en } });
    },
  };
  return functions as unknown as MappingFunctions;
}

function theirs<T>(code: string, zh: string, en: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Fault('malformed', { reason: { code, zh, en }, cause: error });
  }
}

/** Moves the decimal point of a decimal text to the right (`places` > 0) or left, without going through a float. */
function shifted(text: string, places: number): string {
  const match = /^(-?)(\d*)(?:\.(\d+))?$/.exec(text.trim());
  if (match === null)
    throw new Fault('malformed', {
      ours: true,
      maybeArrived: false,
      reason: { code: 'amount', zh: '金额格式有误', en: 'this is no amount' },
    });
  const [, sign = '', written = '', fraction = ''] = match;
  const whole = written.replace(/^0+/, '');
  const digits = whole + fraction;
  const point = whole.length + places;
  const padded = point <= 0 ? '0'.repeat(1 - point) + digits : digits.padEnd(point, '0');
  const at = Math.max(1, point);
  const left = padded.slice(0, at).replace(/^0+/, '') || '0';
  const right = padded.slice(at);
  if (places > 0 && /[1-9]/.test(right))
    throw new Fault('malformed', {
      ours: true,
      maybeArrived: false,
      reason: { code: 'amount', zh: '金额精度超过分', en: 'the amount is finer than a 分' },
    });
  return sign + (places > 0 || right === '' ? left : `${left}.${right}`);
}
