import type { Json, JsonObject } from '../../../contracts/ports/envelope.ts';
import { decodeText, type Encoding, encodeText, type OnLoss } from './encoding.ts';
import { unreadable } from './unreadable.ts';

/** application/x-www-form-urlencoded with the values percent-encoded from the BYTES of `encoding`: 张 in GBK is %D5%C5, not %E5%BC%A0. */
export function buildForm(values: JsonObject, encoding: Encoding, onLoss: OnLoss = 'refuse'): string {
  return Object.entries(values)
    .filter((pair): pair is [string, Exclude<Json, null>] => pair[1] !== null)
    .map(
      ([name, value]) =>
        `${escaped(name, encoding, onLoss)}=${escaped(typeof value === 'object' ? JSON.stringify(value) : String(value), encoding, onLoss)}`,
    )
    .join('&');
}

function escaped(text: string, encoding: Encoding, onLoss: OnLoss): string {
  let out = '';
  for (const byte of encodeText(text, encoding, onLoss)) {
    const plain =
      (byte >= 0x30 && byte <= 0x39) ||
      (byte >= 0x41 && byte <= 0x5a) ||
      (byte >= 0x61 && byte <= 0x7a) ||
      byte === 0x2d ||
      byte === 0x2e ||
      byte === 0x5f ||
      byte === 0x2a;
    if (plain) out += String.fromCharCode(byte);
    else out += byte === 0x20 ? '+' : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

/** Fields of a form; a program that sends more sends no form. */
const MOST_FIELDS = 10_000;

/** @throws Fault `malformed` (theirs) */
export function openForm(text: string, encoding: Encoding | 'auto'): JsonObject {
  const pairs = text.split('&', MOST_FIELDS + 1);
  if (pairs.length > MOST_FIELDS)
    throw unreadable('form', `表单字段超过 ${MOST_FIELDS} 个`, `the form has more than ${MOST_FIELDS} fields`);
  return Object.fromEntries(
    pairs
      .filter((pair) => pair !== '')
      .map((pair) => {
        const at = pair.indexOf('=');
        const [name, value] = at === -1 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
        return [unescaped(name, encoding), unescaped(value, encoding)];
      }),
  );
}

/** ASCII without `%` and `+` stands for itself in every encoding. */
const PLAIN = /^[!-$&-*,-~]*$/;

function unescaped(text: string, encoding: Encoding | 'auto'): string {
  if (PLAIN.test(text)) return text;
  // The escapes are ASCII, so that they are found among the bytes as well, and what they stand for is shorter.
  const bytes = Buffer.from(text, 'utf8');
  let end = 0;
  for (let at = 0; at < bytes.length; at += 1) {
    let byte = bytes[at] ?? 0;
    if (byte === 0x2b) byte = 0x20;
    else if (byte === 0x25) {
      const hex = bytes.toString('latin1', at + 1, at + 3);
      if (!/^[0-9a-fA-F]{2}$/.test(hex))
        throw unreadable('form', '表单的百分号编码有误', 'the percent-encoding of the form is torn');
      byte = Number.parseInt(hex, 16);
      at += 2;
    }
    bytes[end] = byte;
    end += 1;
  }
  return decodeText(bytes.subarray(0, end), encoding);
}
