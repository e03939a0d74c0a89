import { XMLBuilder, XMLParser, XMLValidator } from 'fast-xml-parser';
import type { Json, JsonObject } from '../../../contracts/ports/envelope.ts';
import { unreadable } from './unreadable.ts';

/**
 * XML as JSON, without loss: every value is a text as it was written (`0012`, `95.00`, `true`), attributes are `@name`, text beside attributes or
 * elements is `#text`, CDATA is text. Writing, `{"#cdata": "…"}` makes a CDATA section (a `]]>` in it is split over two), and a first key
 * `{"?xml": "GBK"}` a declaration.
 */
const BOTH = { ignoreAttributes: false, attributeNamePrefix: '@', textNodeName: '#text' } as const;

const DEEPEST = 64;

const builder = new XMLBuilder({
  ...BOTH,
  cdataPropName: '#cdata',
  suppressEmptyNode: false,
  processEntities: true,
  format: false,
});

export function buildXml(value: JsonObject): string {
  const { '?xml': declared, ...document } = value;
  const declaration = typeof declared === 'string' ? `<?xml version="1.0" encoding="${declared}"?>` : '';
  return declaration + builder.build(texts(document));
}

/** The builder writes `true` for an attribute without a value, and leaves null out: everything goes in as text. */
function texts(value: Json): Json {
  if (Array.isArray(value)) return value.map(texts);
  if (value === null) return '';
  if (typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, texts(inner)]));
  return String(value);
}

export interface OpenXml {
  /** Elements that are always lists, one or many. */
  readonly lists?: readonly string[];
  /** The root element that is expected; any other is malformed. */
  readonly root?: string;
}

const parsers = new Map<string, XMLParser>();

/** Namespace prefixes are dropped: servers of this kind mix them up. @throws Fault `malformed` (theirs) */
export function openXml(text: string, { lists = [], root }: OpenXml = {}): JsonObject {
  // Entities can be made to expand without end, and no department needs a DOCTYPE.
  if (/<!DOCTYPE/i.test(text))
    throw unreadable('doctype', '报文含 DOCTYPE，拒收', 'the document has a DOCTYPE, which is refused');
  if (deeperThan(text, DEEPEST))
    throw unreadable('tooDeep', `XML 嵌套超过 ${DEEPEST} 层`, `the document is nested deeper than ${DEEPEST} levels`);
  // The parser takes unclosed tags for closed; the validator does not.
  const valid = XMLValidator.validate(text, { allowBooleanAttributes: false });
  if (valid !== true) {
    throw unreadable(
      'xml',
      `XML 不完整或格式错误（第 ${valid.err.line} 行，${valid.err.code}）`,
      `the XML is torn or not well formed (line ${valid.err.line}, ${valid.err.code})`,
    );
  }
  const key = lists.join(' ');
  let parser = parsers.get(key);
  if (parser === undefined) {
    const named = new Set(lists);
    parser = new XMLParser({
      ...BOTH,
      parseTagValue: false,
      parseAttributeValue: false,
      trimValues: false,
      processEntities: true,
      htmlEntities: true,
      removeNSPrefix: true,
      ignoreDeclaration: true,
      ignorePiTags: true,
      isArray: (name) => named.has(name),
    });
    parsers.set(key, parser);
  }
  let document: JsonObject;
  try {
    document = withoutIndent(parser.parse(text) as JsonObject) as JsonObject;
  } catch (error) {
    throw unreadable('xml', 'XML 无法解析', 'the XML cannot be parsed', error);
  }
  const found = Object.keys(document).find((name) => name !== '#text');
  if (found === undefined) throw unreadable('xml', '不是 XML 文档', 'this is no XML document');
  if (root !== undefined && found !== root) {
    throw unreadable('root', `XML 根元素应为 ${root}`, `the root element is expected to be ${root}`);
  }
  return document;
}

/** The root element's name, also of what is not well formed; undefined when it is no XML or HTML at all. */
export function rootOf(text: string): string | undefined {
  return /^\s*(?:<\?[^>]*\?>\s*|<!--[\s\S]*?-->\s*|<!doctype[^>]*>\s*)*<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)/i.exec(
    text.slice(0, 4_096),
  )?.[1];
}

/** White space between elements is layout; inside a text it is the text. */
function withoutIndent(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutIndent);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(
    ([name, inner]) => name !== '#text' || (typeof inner === 'string' && inner.trim() !== ''),
  );
  return Object.fromEntries(entries.map(([name, inner]) => [name, withoutIndent(inner)]));
}

/** Counted before parsing: ten thousand levels must not reach a parser that recurses. */
function deeperThan(text: string, most: number): boolean {
  let depth = 0;
  for (let at = text.indexOf('<'); at !== -1; at = text.indexOf('<', at + 1)) {
    const next = text[at + 1];
    if (next === '!' || next === '?') {
      if (text.startsWith('<![CDATA[', at)) at = Math.max(at, text.indexOf(']]>', at));
      continue;
    }
    if (next === '/') {
      depth -= 1;
      continue;
    }
    const end = text.indexOf('>', at);
    if (end === -1) return false;
    if (text[end - 1] !== '/') depth += 1;
    if (depth > most) return true;
  }
  return false;
}
