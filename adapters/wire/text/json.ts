import type { Json } from '../../../contracts/ports/envelope.ts';
import { unreadable } from './unreadable.ts';

const DEEPEST = 64;

/**
 * JSON with every number as the text it was written as: an identity number, `95.00` and `0` survive alike, and rules compare texts anyway.
 * @throws Fault `malformed` (theirs)
 */
export function openJson(text: string): Json {
  if (deeperThan(text, DEEPEST))
    throw unreadable('tooDeep', `JSON 嵌套超过 ${DEEPEST} 层`, `the JSON is nested deeper than ${DEEPEST} levels`);
  try {
    // What is no JSON is refused before anything in it is moved.
    JSON.parse(text);
    return JSON.parse(withNumbersAsTexts(text)) as Json;
  } catch (error) {
    // The parser's own message quotes the text.
    throw unreadable(
      'json',
      'JSON 不完整或格式错误',
      `the JSON is torn or not well formed (${error instanceof Error ? error.name : 'error'})`,
    );
  }
}

/** Of a text that is JSON. A reviver sees the same, and takes ten times as long where there are many values. */
function withNumbersAsTexts(text: string): string {
  let out = '';
  let from = 0;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = endOfText(text, at);
    else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      let end = at + 1;
      while (end < text.length && isOfNumber(text.charCodeAt(end))) end += 1;
      out += `${text.slice(from, at)}"${text.slice(at, end)}"`;
      from = end;
      at = end - 1;
    }
  }
  return from === 0 ? text : out + text.slice(from);
}

const [QUOTE, MINUS, ZERO, NINE] = [0x22, 0x2d, 0x30, 0x39];

/** Digits, `-`, `+`, `.`, `e` and `E`. */
const isOfNumber = (code: number): boolean =>
  (code >= ZERO && code <= NINE) || code === MINUS || code === 0x2b || code === 0x2e || code === 0x65 || code === 0x45;

/** Where the closing quotation mark stands. */
function endOfText(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === 0x5c ? 2 : 1;
  return at;
}

function deeperThan(text: string, most: number): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (quoted) {
      if (character === '\\') at += 1;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === '{' || character === '[') {
      depth += 1;
      if (depth > most) return true;
    } else if (character === '}' || character === ']') depth -= 1;
  }
  return false;
}
