import { placesOf } from '../../contracts/characters.ts';
import { type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { Json } from '../../contracts/ports/envelope.ts';

/** Levels of `[` and `{`; deeper than any form is, and far from what would exhaust a recursive reader behind us. */
const MOST_DEEP = 64;

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json[ \t]*(?:;|$)/i;
const CHARSET = /;[ \t]*charset[ \t]*=[ \t]*"?([^\s;"]*)/i;

/**
 * A caller's JSON, from its bytes.
 * Throws `Unfit` 415 for another content type, 400 for what is not UTF-8 or not JSON: where it broke, never what stood there.
 *
 * @param known names of fields that may be shown; any other may be somebody's data
 */
export function readJson(
  bytes: Uint8Array,
  contentType: string | undefined,
  known: ReadonlySet<string> = new Set(),
): Json {
  checkType(contentType);
  if (bytes.length === 0) throw unreadable('bodyMissing', '缺少请求体', 'the body is missing');
  const text = decoded(bytes);
  if (tooDeep(text)) {
    throw unreadable(
      'jsonTooDeep',
      `JSON 嵌套超过 ${MOST_DEEP} 层`,
      `the JSON is nested deeper than ${MOST_DEEP} levels`,
    );
  }
  const value = parsed(text);
  // Only an escape can bring these in: the text itself is well-formed UTF-8 and JSON.
  if (/\\u(?:d[89a-f]|0000)/i.test(text)) refuseUnstorable(value, known);
  return value;
}

function checkType(contentType: string | undefined): void {
  if (contentType === undefined || !JSON_TYPE.test(contentType)) {
    throw new Unfit(415, 'contentType', {
      zh: '请求体须为 JSON（Content-Type: application/json）',
      en: 'the body must be JSON (Content-Type: application/json)',
    });
  }
  const charset = CHARSET.exec(contentType)?.[1];
  if (charset !== undefined && !/^utf-?8$/i.test(charset)) {
    throw new Unfit(415, 'charset', { zh: '请求体须为 UTF-8 编码', en: 'the body must be in UTF-8' });
  }
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw unreadable(
      'notUtf8',
      '请求体不是合法的 UTF-8（可能是 GBK 或 GB18030），请转码后再发',
      'the body is not valid UTF-8 (GBK or GB18030, perhaps): convert it first',
    );
  }
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    // The parser's own message quotes the text, which may be personal.
    const before = text.slice(0, brokenAt(text)).split('\n');
    const line = before.length;
    const column = (before.at(-1)?.length ?? 0) + 1;
    throw unreadable(
      'json',
      `请求体不是合法的 JSON：第 ${line} 行第 ${column} 列`,
      `the body is not JSON: line ${line}, column ${column}`,
    );
  }
}

function tooDeep(text: string): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (quoted) {
      if (code === 0x5c) at += 1;
      else if (code === 0x22) quoted = false;
    } else if (code === 0x22) quoted = true;
    else if (code === 0x5b || code === 0x7b) {
      depth += 1;
      if (depth > MOST_DEEP) return true;
    } else if (code === 0x5d || code === 0x7d) depth -= 1;
  }
  return false;
}

const TOKEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them inside a string
  /[ \t\r\n]*(?:([[\]{},:])|("[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*")|(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?))/y;

/** Offset of the first token that has no place where it stands: what the parser knows, but tells only with the text around it. */
export function brokenAt(text: string): number {
  /** `[` or `{` of what is open. */
  const open: string[] = [];
  let expect: 'value' | 'valueOrEnd' | 'key' | 'keyOrEnd' | 'colon' | 'commaOrEnd' | 'nothing' = 'value';
  const afterValue = () => (open.length === 0 ? 'nothing' : 'commaOrEnd');
  let at = 0;
  for (;;) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(text);
    const start = at + (/^[ \t\r\n]*/.exec(text.slice(at, at + 4096))?.[0].length ?? 0);
    if (token === null || expect === 'nothing') return start;
    const [, mark, string] = token;
    if (mark === undefined) {
      if (expect === 'colon' || expect === 'commaOrEnd') return start;
      const isKey: boolean = expect === 'key' || expect === 'keyOrEnd';
      if (isKey && string === undefined) return start;
      expect = isKey ? 'colon' : afterValue();
    } else if (mark === '[' || mark === '{') {
      if (expect !== 'value' && expect !== 'valueOrEnd') return start;
      open.push(mark);
      expect = mark === '[' ? 'valueOrEnd' : 'keyOrEnd';
    } else if (mark === ']' || mark === '}') {
      const within = open.at(-1);
      const mayEnd = expect === 'commaOrEnd' || expect === (mark === ']' ? 'valueOrEnd' : 'keyOrEnd');
      if (!mayEnd || within !== (mark === ']' ? '[' : '{')) return start;
      open.pop();
      expect = afterValue();
    } else if (mark === ',') {
      if (expect !== 'commaOrEnd') return start;
      expect = open.at(-1) === '[' ? 'value' : 'key';
    } else {
      if (expect !== 'colon') return start;
      expect = 'value';
    }
    at = TOKEN.lastIndex;
  }
}

/** More are not mended one by one. */
const MOST_PLACES = 20;

/** Half of a surrogate pair, or NUL, cannot be encoded, or not be stored, everywhere a case goes: each is told with its place. */
function refuseUnstorable(body: Json, known: ReadonlySet<string>): void {
  const problems: Problem[] = [];
  const look = (text: string, pointer: string): void => {
    if (problems.length >= MOST_PLACES || (text.isWellFormed() && !text.includes('\0'))) return;
    const places = placesOf(text, (one) => one === '\0' || !one.isWellFormed()).slice(0, MOST_PLACES);
    problems.push({
      pointer,
      code: 'character',
      zh: `含有无法存储的字符：${places.map(({ at, codePoint }) => `第 ${at} 个字符 ${codePoint}`).join('、')}`,
      en: `holds characters that cannot be stored: ${places.map(({ at, codePoint }) => `character ${at} is ${codePoint}`).join(', ')}`,
    });
  };
  const see = (value: Json, pointer: string, shown: boolean): void => {
    if (typeof value === 'string') look(value, pointer);
    else if (Array.isArray(value))
      for (const [at, one] of value.entries()) see(one, shown ? `${pointer}/${at}` : pointer, shown);
    else if (value !== null && typeof value === 'object') {
      for (const [name, member] of Object.entries(value)) {
        look(name, pointer);
        const inside = shown && known.has(name);
        see(member, inside ? `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}` : pointer, inside);
      }
    }
  };
  see(body, '', true);
  if (problems.length === 0) return;
  const words = {
    zh: '请求体含有无法存储的字符（\\u0000 或不成对的代理项）',
    en: 'the body has a character that cannot be stored (\\u0000 or half a surrogate pair)',
  };
  throw new Unfit(400, 'character', words, problems);
}

function unreadable(code: string, zh: string, en: string): Unfit {
  return new Unfit(400, code, { zh, en }, [{ pointer: '', code, zh, en }]);
}
