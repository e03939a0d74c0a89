import iconv from 'iconv-lite';
import { type CharacterPlace, placesOf } from '../../../contracts/characters.ts';
import { countOf } from '../../../contracts/count.ts';
import { Fault } from '../../../contracts/ports/fault.ts';

export type Encoding = 'utf-8' | 'gbk' | 'gb18030';
/** What to do with a character the encoding cannot hold: refuse the message, or send the whole of it as GB18030. Never `?`. */
export type OnLoss = 'refuse' | 'gb18030';

/**
 * @throws Fault `malformed` (ours, code `unencodable`) when a character would be lost; it says how many, never which: a name is a person's
 */
export function encodeText(text: string, encoding: Encoding, onLoss: OnLoss = 'refuse'): Buffer {
  if (encoding === 'utf-8') return Buffer.from(text, 'utf8');
  const bytes = iconv.encode(text, encoding);
  // iconv-lite writes `?` for what GBK does not hold, without a word: so the way back is the test.
  const back = iconv.decode(bytes, encoding);
  if (back === text) return bytes;
  if (encoding === 'gbk' && onLoss === 'gb18030') return encodeText(text, 'gb18030');
  const kept = [...back];
  const lost = [...text].filter((character, at) => character !== kept[at]).length;
  throw new Fault('malformed', {
    ours: true,
    maybeArrived: false,
    reason: {
      code: 'unencodable',
      zh: `报文含 ${lost} 个 ${encoding.toUpperCase()} 无法表示的字（如生僻姓名用字），未发送，请改由线下办理`,
      en: `the message holds ${countOf(lost, 'character')} (of a rare name, perhaps) that ${encoding.toUpperCase()} cannot carry; it was not sent`,
    },
  });
}

/** The characters of a text for which `encodeText` would refuse it, in order. */
export function charactersLost(text: string, encoding: Encoding, onLoss: OnLoss): readonly CharacterPlace[] {
  const last = encoding === 'gbk' && onLoss === 'gb18030' ? 'gb18030' : encoding;
  if (!isLost(text, last)) return [];
  return placesOf(text, (character) => isLost(character, last));
}

function isLost(text: string, encoding: Encoding): boolean {
  return encoding !== 'utf-8' && iconv.decode(iconv.encode(text, encoding), encoding) !== text;
}

/**
 * `auto`: UTF-8 when the bytes are valid UTF-8, else GB18030 (which holds GBK). Declarations are not asked: they lie.
 * @throws Fault `malformed` (theirs, code `encoding`) when the bytes are neither
 */
export function decodeText(bytes: Uint8Array, encoding: Encoding | 'auto' = 'auto'): string {
  const attempts: readonly Encoding[] = encoding === 'auto' ? ['utf-8', 'gb18030'] : [encoding];
  for (const attempt of attempts) {
    try {
      return new TextDecoder(attempt, { fatal: true }).decode(bytes);
    } catch {
      // Not this one.
    }
  }
  throw new Fault('malformed', {
    reason: {
      code: 'encoding',
      zh: `应答的字节不是有效的 ${attempts.join(' / ')}`,
      en: `the bytes are no valid ${attempts.join(' or ')}`,
    },
  });
}
