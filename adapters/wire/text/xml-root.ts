/** Of a document that is not well formed either, so many characters are looked at: its head stands within them. */
const HEAD = 4_096;

/**
 * The root element's name without its prefix, also of what is not well formed; undefined when it is no XML or HTML at all.
 * Each character is looked at once: declarations, comments and a DOCTYPE before the root are passed over by their ends.
 */
export function rootOf(text: string): string | undefined {
  const head = text.slice(0, HEAD);
  let at = 0;
  for (;;) {
    while (at < head.length && isSpace(head[at])) at += 1;
    if (head[at] !== '<') return undefined;
    const end = endOfPrologue(head, at);
    if (end === undefined) return nameAt(head, at + 1);
    if (end === -1) return undefined;
    at = end;
  }
}

/** Where what stands before the root ends; -1 where it has no end, undefined where the root itself begins. */
function endOfPrologue(head: string, at: number): number | undefined {
  const after = (end: string, from: number): number => {
    const found = head.indexOf(end, from);
    return found === -1 ? -1 : found + end.length;
  };
  if (head.startsWith('<?', at)) return after('?>', at + 2);
  if (head.startsWith('<!--', at)) return after('-->', at + 4);
  if (head.slice(at, at + 9).toLowerCase() === '<!doctype') return after('>', at + 9);
  return undefined;
}

function nameAt(head: string, from: number): string | undefined {
  let to = from;
  while (to < head.length && isNamePart(head.charCodeAt(to))) to += 1;
  const prefixed = head[to] === ':' && to > from && isNameStart(head.charCodeAt(to + 1));
  const start = prefixed ? to + 1 : from;
  if (!isNameStart(head.charCodeAt(start))) return undefined;
  let end = start;
  while (end < head.length && isNamePart(head.charCodeAt(end))) end += 1;
  return head.slice(start, end);
}

const isSpace = (character: string | undefined): boolean => character !== undefined && character.trim() === '';
const isNameStart = (code: number): boolean => isLetter(code) || code === 0x5f;
/** Letters, digits, `_`, `.` and `-`. */
const isNamePart = (code: number): boolean =>
  isNameStart(code) || (code >= 0x30 && code <= 0x39) || code === 0x2e || code === 0x2d;
const isLetter = (code: number): boolean => (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
