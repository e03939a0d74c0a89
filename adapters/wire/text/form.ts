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

/** @throws Fault `malformed` (theirs) */
export function openForm(text: string, encoding: Encoding | 'auto'): JsonObject {
  const values: JsonObject = {};
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const [name, value] = at === -1 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
    values[unescaped(name, encoding)] = unescaped(value, encoding);
  }
  return values;
}

function unescaped(text: string, encoding: Encoding | 'auto'): string {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? '';
    if (character === '+') bytes.push(0x20);
    else if (character !== '%') bytes.push(...Buffer.from(character, 'utf8'));
    else {
      const hex = text.slice(at + 1, at + 3);
      if (!/^[0-9a-fA-F]{2}$/.test(hex))
        throw unreadable('form', '表单的百分号编码有误', 'the percent-encoding of the form is torn');
      bytes.push(Number.parseInt(hex, 16));
      at += 2;
    }
  }
  return decodeText(Uint8Array.from(bytes), encoding);
}
