import { XMLBuilder } from 'fast-xml-parser';
import { SaxesParser, type SaxesTagPlain } from 'saxes';
import type { Json, JsonObject } from '../../../contracts/ports/envelope.ts';
import { unreadable } from './unreadable.ts';

/**
 * XML as JSON, without loss: every value is a text as it was written (`0012`, `95.00`, `true`), attributes are `@name`, text beside attributes or
 * elements is `#text`, CDATA is text. Writing, `{"#cdata": "…"}` makes a CDATA section (a `]]>` in it is split over two), and a first key
 * `{"?xml": "GBK"}` a declaration.
 */
const DEEPEST = 64;

const builder = new XMLBuilder({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  textNodeName: '#text',
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

/** Namespace prefixes are dropped: servers of this kind mix them up. The time it takes grows with the text's length and no faster. @throws Fault `malformed` (theirs) */
export function openXml(text: string, { lists = [], root }: OpenXml = {}): JsonObject {
  // Entities can be made to expand without end, and no department needs a DOCTYPE.
  if (/<!DOCTYPE/i.test(text))
    throw unreadable('doctype', '报文含 DOCTYPE，拒收', 'the document has a DOCTYPE, which is refused');
  const document = elementsOf(text, new Set(lists));
  const [found] = Object.keys(document);
  if (root !== undefined && found !== root) {
    throw unreadable('root', `XML 根元素应为 ${root}`, `the root element is expected to be ${root}`);
  }
  return document;
}

/** Named entities of HTML that old systems write into XML; any other that has no meaning stays as it was written. */
const ENTITIES: Readonly<Record<string, string>> = {
  ...{ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" },
  ...{ nbsp: '\u00a0', copy: '©', reg: '®', trade: '™', para: '¶', sect: '§', deg: '°', bull: '•' },
  ...{ mdash: '—', ndash: '–', hellip: '…', laquo: '«', raquo: '»', lsquo: '‘', rsquo: '’', ldquo: '“', rdquo: '”' },
  ...{ frac12: '½', frac14: '¼', frac34: '¾' },
  ...{ cent: '¢', pound: '£', curren: '¤', yen: '¥', euro: '€' },
};
/** What old systems write although XML forbids it, and what has one meaning all the same. */
const TOLERATED: ReadonlySet<string> = new Set([
  'undefined entity.',
  'malformed character entity.',
  'disallowed character.',
  'the string "]]>" is disallowed in char data.',
]);

/** Each costs an error of the parser's; more are no slip of a program that writes XML. */
const MOST_TOLERATED = 10_000;

/** An element that is open: what came inside so far. */
interface Open {
  readonly name: string;
  readonly values: { [name: string]: Json };
  text: string;
}

function elementsOf(text: string, lists: ReadonlySet<string>): JsonObject {
  const parser = new SaxesParser({ position: true, xmlns: false });
  const document: Open = { name: '', values: {}, text: '' };
  const open: Open[] = [document];
  const innermost = (): Open => open.at(-1) ?? document;
  const notWellFormed = (): Error =>
    unreadable(
      'xml',
      `XML 不完整或格式错误（第 ${parser.line} 行第 ${parser.column + 1} 列）`,
      `the XML is torn or not well formed (line ${parser.line}, column ${parser.column + 1})`,
    );
  parser.ENTITIES = Object.assign(Object.create(null) as Record<string, string>, ENTITIES);
  let tolerated = 0;
  parser.on('error', ({ message }) => {
    tolerated += 1;
    // The parser's own message may quote the text, behind its line and column.
    if (tolerated > MOST_TOLERATED || !TOLERATED.has(message.slice(message.indexOf(' ') + 1))) throw notWellFormed();
  });
  parser.on('opentag', ({ name, attributes }: SaxesTagPlain) => {
    if (open.length > DEEPEST)
      throw unreadable('tooDeep', `XML 嵌套超过 ${DEEPEST} 层`, `the document is nested deeper than ${DEEPEST} levels`);
    open.push({ name: localName(name), values: attributesOf(attributes), text: '' });
  });
  parser.on('text', (part) => {
    innermost().text += part;
  });
  parser.on('cdata', (part) => {
    innermost().text += part;
  });
  parser.on('closetag', () => {
    const closed = open.pop() ?? document;
    addTo(innermost().values, closed.name, elementValue(closed), lists);
  });
  parser.write(withoutDeclaration(text)).close();
  return document.values;
}

/** White space between elements is layout; inside a text it is the text. */
function elementValue({ values, text }: Open): Json {
  if (Object.keys(values).length === 0) return text;
  if (text.trim() !== '') values['#text'] = text;
  return values;
}

function addTo(values: { [name: string]: Json }, name: string, value: Json, lists: ReadonlySet<string>): void {
  const before = Object.hasOwn(values, name) ? values[name] : undefined;
  if (before === undefined) values[name] = lists.has(name) ? [value] : value;
  else if (Array.isArray(before)) before.push(value);
  else values[name] = [before, value];
}

function attributesOf(attributes: Readonly<Record<string, string>>): { [name: string]: Json } {
  const values: { [name: string]: Json } = {};
  for (const [name, value] of Object.entries(attributes))
    if (name !== 'xmlns' && !name.startsWith('xmlns:')) values[`@${localName(name)}`] = value;
  return values;
}

function localName(name: string): string {
  const [prefix = '', local, ...more] = name.split(':');
  const found = local === undefined ? prefix : local === '' || more.length > 0 ? name : local;
  // The one name that is no field of an object.
  return found === '__proto__' ? '#__proto__' : found;
}

/** Declarations lie, stand behind blank lines, and are not asked. */
function withoutDeclaration(text: string): string {
  const trimmed = text.trimStart();
  if (!trimmed.startsWith('<?xml') || trimmed.slice(5, 6).trim() !== '') return trimmed;
  const end = trimmed.indexOf('?>');
  return end === -1 ? trimmed : trimmed.slice(end + 2).trimStart();
}
