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
    return JSON.parse(text, asWritten) as Json;
  } catch (error) {
    // The parser's own message quotes the text.
    throw unreadable(
      'json',
      'JSON 不完整或格式错误',
      `the JSON is torn or not well formed (${error instanceof Error ? error.name : 'error'})`,
    );
  }
}

function asWritten(_key: string, value: Json, context?: { readonly source?: string }): Json {
  return typeof value === 'number' ? (context?.source ?? String(value)) : value;
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
