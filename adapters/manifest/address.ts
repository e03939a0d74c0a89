import type { Problem } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject, Reason } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';

/** Headers that say where a message ends, or whose it is: the wire's to set. */
const WIRES_OWN: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'content-length',
  'expect',
  'keep-alive',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** RFC 9110, 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** What would end a path, begin an authority, or be read differently by the other side. */
const UNSAFE = /[\\\s#\p{Cc}\p{Cf}]/u;

/** What is wrong with the setting `baseUrl` of a party on HTTP: it says whom to call, and nothing else. */
export function baseProblems(baseUrl: Json | undefined): readonly Problem[] {
  const wrong = (zh: string, en: string): readonly Problem[] => [{ pointer: '/baseUrl', code: 'format', zh, en }];
  if (typeof baseUrl !== 'string' || !URL.canParse(baseUrl)) return wrong('应为网址', 'expected a URL');
  const { protocol, username, password, search, hash, pathname } = new URL(baseUrl);
  if (protocol !== 'http:' && protocol !== 'https:')
    return wrong('应以 http:// 或 https:// 开头', 'expected a URL that begins with http:// or https://');
  if (username !== '' || password !== '')
    return wrong('网址中不得含用户名或密码', 'expected a URL without user and password');
  if (search !== '' || hash !== '' || baseUrl.includes('?') || baseUrl.includes('#'))
    return wrong('网址中不得含 ? 或 #', 'expected a URL without ? and #');
  if (pathname.startsWith('//')) return wrong('路径不得以 // 开头', 'expected a path that does not begin with //');
  return [];
}

/**
 * The address of one request: always of the party's own origin, under the path of its `baseUrl`, whatever a mapping or a reply has put into `path`.
 * @throws Fault `malformed` (ours) when it would leave them: nothing is sent
 */
export function requestUrl(baseUrl: string, path: string, query: JsonObject): string {
  const base = new URL(baseUrl);
  const under = base.pathname.replace(/\/$/, '');
  if (path !== '' && (!path.startsWith('/') || path.startsWith('//') || UNSAFE.test(path))) throw elsewhere();
  const [name = ''] = path.split('?');
  if (name.split('/').some(isDots)) throw elsewhere();
  const text = `${base.origin}${under}${path}`;
  if (!URL.canParse(text)) throw elsewhere();
  const url = new URL(text);
  for (const [key, value] of Object.entries(query)) url.searchParams.append(key, String(value));
  // The rules above are enough; that they are is looked at all the same, since a key of ours goes along.
  const stayed =
    url.origin === base.origin && `${url.username}${url.password}` === '' && url.pathname.startsWith(under);
  if (!stayed) throw elsewhere();
  return url.href;
}

/** `.` and `..`, however they are written. */
function isDots(segment: string): boolean {
  const plain = segment.replaceAll(/%2e/gi, '.').replaceAll(/%2f|%5c/gi, '/');
  return plain.split('/').some((part) => part === '.' || part === '..');
}

/** The HTTP client drops from a header what is not ASCII, without a word. @throws Fault `malformed` (ours) */
export function checkedHeaders(headers: { readonly [name: string]: string }): { readonly [name: string]: string } {
  for (const [name, value] of Object.entries(headers)) {
    if (!TOKEN.test(name) || WIRES_OWN.has(name.toLowerCase()))
      throw notSent({
        code: 'header',
        zh: `请求头 ${TOKEN.test(name) ? name : '（名称有误）'} 不由接入清单设置，未发送`,
        en: `${TOKEN.test(name) ? `the header ${name}` : 'a header whose name is none'} is not a manifest's to set; it was not sent`,
      });
    if (/^[\t\x20-\x7e]*$/.test(value)) continue;
    throw notSent({
      code: 'header',
      zh: `请求头 ${name} 含有无法传送的字符，未发送`,
      en: `the header ${name} holds characters that a header cannot carry; it was not sent`,
    });
  }
  return headers;
}

const elsewhere = (): Fault =>
  notSent({
    code: 'otherAddress',
    zh: '请求地址超出该部门的 baseUrl，未发送',
    en: 'the address of the request would leave the baseUrl of this department; it was not sent',
  });

/** The message was never made. */
const notSent = (reason: Reason): Fault => new Fault('malformed', { ours: true, maybeArrived: false, reason });
