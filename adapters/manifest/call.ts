import { createHash } from 'node:crypto';
import { countOf } from '../../contracts/count.ts';
import type { MappingFunctions } from '../../contracts/mapping.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Json, JsonObject, Reason } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import { decodeText, encodeText } from '../wire/text/encoding.ts';
import { buildFixed, openFixed } from '../wire/text/fixed.ts';
import { buildForm, openForm } from '../wire/text/form.ts';
import { openJson } from '../wire/text/json.ts';
import { buildXml, openXml } from '../wire/text/xml.ts';
import { rootOf } from '../wire/text/xml-root.ts';
import type { FrameWire, HttpReply, HttpWire } from '../wire/wire.ts';
import { checkedHeaders, requestUrl } from './address.ts';
import { classify, type Meaning, type Rule } from './answers.ts';
import type { Read, WireCall } from './manifest.ts';

/** What a mapping sees; docs/manifest.md has the table. */
export interface Input {
  readonly settings: JsonObject;
  readonly now: number;
  readonly envelope?: JsonObject;
  readonly number?: string | null;
  readonly query?: JsonObject;
  readonly certificate?: JsonObject;
  /** The certificate whose file is wanted: {identifier, number, reference, mediaType, digest}. */
  readonly document?: JsonObject;
  /** A certificate that somebody shows: {identifier} or {type, number}. */
  readonly claim?: JsonObject;
  readonly session?: JsonObject;
  readonly replies: JsonObject;
}

export interface Outcome {
  readonly as: Meaning;
  readonly rule: Rule;
  /** What was read and opened; null when the rule matched from outside and the body could not be read. */
  readonly reply: Json;
  /** ms, from `Retry-After`. */
  readonly retryAfterMs: number | undefined;
  /** Of a call that reads `bytes`: the file, not yet read. */
  readonly file?: AsyncIterable<Uint8Array>;
}

export interface Line {
  readonly http: HttpWire | undefined;
  readonly frame: FrameWire | undefined;
  readonly connectMs: number;
  readonly functions: MappingFunctions;
  readonly clock: Clock;
  readonly log: Logger;
  /** The difference of their clock to ours, in ms, as their Date headers tell. */
  skewMs: number;
}

/** Differences below are the header's own resolution and the way there. */
const SKEW_NOTICED_MS = 5_000;
const SKEW_ALARM_MS = 60_000;

/** What a call sends. `sealed`: what the seal gave beside the text (path, query, headers). */
interface Request {
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly sealed: JsonObject | undefined;
}

/** map → render → seal → encode. @throws Fault `malformed` (ours) when it cannot be made: nothing was sent */
export async function requestOf({ send }: WireCall, input: Input, functions: MappingFunctions): Promise<Request> {
  const body = await mapped(() => send.map(input, functions));
  const rendered = render(send, body);
  const sealed =
    send.seal === undefined
      ? undefined
      : object(
          await mapped(
            () => send.seal?.({ ...input, text: rendered.text, body }, functions) ?? Promise.resolve(undefined),
          ),
        );
  const text = typeof sealed?.text === 'string' ? sealed.text : rendered.text;
  const bytes =
    text === rendered.text && rendered.bytes !== undefined
      ? rendered.bytes
      : encodeText(text, send.encoding, send.onLoss);
  return { text, bytes, sealed };
}

/** One request and one reply: map → render → seal → exchange → read → classify. Throws Fault. */
export async function callOnce(
  call: WireCall,
  input: Input,
  line: Line,
  means: { readonly signal: AbortSignal; readonly traceparent: string; readonly functions: MappingFunctions },
): Promise<Outcome> {
  const { send, read, write } = call;
  const { settings } = input;
  const { text, bytes, sealed } = await requestOf(call, input, means.functions);
  const how = { signal: means.signal, write, connectMs: line.connectMs, maxBytes: read.maxBytes };

  let came: Came;
  if (line.frame !== undefined) {
    const body = await line.frame.exchange(String(settings.host), Number(settings.port), bytes, how);
    came = { status: 200, headers: {}, body };
  } else if (line.http !== undefined) {
    const path = typeof sealed?.path === 'string' ? sealed.path : send.path;
    const request = {
      url: requestUrl(String(settings.baseUrl), path ?? '', object(sealed?.query)),
      method: send.method,
      headers: checkedHeaders({
        ...(send.contentType === undefined ? {} : { 'content-type': send.contentType }),
        ...(means.traceparent === '' ? {} : { traceparent: means.traceparent }),
        ...send.headers,
        ...texts(object(sealed?.headers)),
      }),
      body: send.method === 'GET' || (send.as === 'none' && text === '') ? null : bytes,
    };
    if (read.as === 'bytes') {
      const { body: file, ...head } = await line.http.stream(request, how);
      measureSkew(head.headers.date, line);
      if (isFile(call.rules, head)) return { as: 'filed', rule: HANDED_ON, reply: null, retryAfterMs: undefined, file };
      came = { ...head, body: await words(file) };
    } else {
      came = await line.http.exchange(request, how);
      measureSkew(came.headers.date, line);
    }
  } else throw new Error('a line has a wire');

  return judged(call, came, input, line);
}

const HANDED_ON: Rule = { as: 'filed', all: [] };
/** Of what comes in place of a file; more than a sentence is no answer. */
const MOST_WORDS = 65_536;
/** What speaks to people or programs, and is no document. */
const SPOKEN = /^\s*(text\/|application\/([\w.-]+\+)?(json|xml)\b)/;

/** Told by its head alone: the first byte of a file is handed on before the last has come. */
function isFile(rules: readonly Rule[], { status, headers }: Pick<Came, 'status' | 'headers'>): boolean {
  const contentType = headers['content-type'] ?? '';
  const known = classify(rules, { status, contentType, root: undefined, reply: undefined });
  if (known !== undefined && known.as !== 'filed') return false;
  return status >= 200 && status < 300 && status !== 204 && !SPOKEN.test(contentType.toLowerCase());
}

/** The beginning of what was said instead of a file; the rest is not waited for. */
async function words(file: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of file) {
    chunks.push(chunk);
    size += chunk.byteLength;
    if (size > MOST_WORDS) break;
  }
  return Buffer.concat(chunks);
}

/** What came back over a wire, before it is read. */
export type Came = HttpReply;

/** Read and classified, as every reply is; the samples of a party go the same way. Throws Fault when no rule knows it. */
export async function judged(
  call: WireCall,
  { status, headers, body }: Came,
  input: Pick<Input, 'settings' | 'now' | 'session'>,
  line: Pick<Line, 'functions' | 'clock'>,
): Promise<Outcome> {
  const contentType = headers['content-type'] ?? '';
  const { root, reply, fault } = await opening(readAs(call.read, contentType), body, input, line);
  const rule = classify(call.rules, { status, contentType, root, reply });
  // A rule may match from outside although the body could not be read; success never does.
  if (rule === undefined || (fault !== undefined && rule.as === 'filed'))
    throw unclassified(call, { status, contentType, root, bytes: body, fault });
  return { as: rule.as, rule, reply: reply ?? null, retryAfterMs: retryAfter(headers['retry-after'], line.clock) };
}

/** In place of a file they may say something, in the form that its content type names. */
function readAs(read: Read, contentType: string): Read {
  if (read.as !== 'bytes') return read;
  const type = contentType.toLowerCase();
  return { ...read, as: type.includes('json') ? 'json' : type.includes('xml') ? 'xml' : 'text' };
}

function render(
  send: WireCall['send'],
  body: Json | undefined,
): { readonly text: string; readonly bytes?: Uint8Array } {
  switch (send.as) {
    case 'none':
      return { text: '' };
    case 'text':
      return { text: String(body ?? '') };
    case 'json':
      return { text: JSON.stringify(body ?? {}) };
    case 'xml':
      return { text: buildXml(object(body)) };
    case 'form':
      return { text: buildForm(object(body), send.encoding, send.onLoss) };
    case 'fixed': {
      const bytes = buildFixed(send.layout ?? [], object(body), send.encoding, send.onLoss);
      return { text: decodeText(bytes, send.encoding), bytes };
    }
  }
}

interface Opened {
  readonly reply: Json | undefined;
  readonly root: string | undefined;
  readonly fault?: Fault;
}

async function opening(
  read: Read,
  bytes: Uint8Array,
  { settings, session, now }: Pick<Input, 'settings' | 'now' | 'session'>,
  line: Pick<Line, 'functions'>,
): Promise<Opened> {
  let root: string | undefined;
  try {
    if (read.as === 'fixed') return { root, reply: await opened(openFixed(read.layout ?? [], bytes, read.encoding)) };
    const text = decodeText(bytes, read.encoding);
    root = rootOf(text);
    return { root, reply: await opened(parsed(read, text)) };
  } catch (error) {
    // `$fault` ends the operation; that something cannot be read is a matter for the rules first, which may know it from outside.
    if (error instanceof Fault && error.kind !== 'malformed') throw error;
    if (error instanceof Fault) return { root, reply: undefined, fault: error };
    return {
      root,
      reply: undefined,
      fault: new Fault('malformed', {
        reason: { code: 'unopened', zh: '应答内层报文无法解析', en: 'what stands inside the reply could not be read' },
        cause: error,
      }),
    };
  }

  async function opened(value: Json): Promise<Json | undefined> {
    if (read.open === undefined) return value;
    const inner = await read.open(value, {
      ...line.functions,
      settings,
      session: session ?? {},
      now,
    } as unknown as MappingFunctions);
    if (inner === undefined)
      throw new Fault('malformed', {
        reason: { code: 'unopened', zh: '应答内层报文缺失', en: 'what should stand inside the reply is missing' },
      });
    return inner;
  }
}

/** For callbacks: the same reader over a body that came by itself. @throws Fault `malformed` */
export async function readBody(
  read: Read,
  bytes: Uint8Array,
  input: Pick<Input, 'settings' | 'now'>,
  line: Pick<Line, 'functions'>,
): Promise<{ readonly reply: Json; readonly root: string | undefined }> {
  const { reply, root, fault } = await opening(read, bytes, input, line);
  if (reply === undefined)
    throw fault ?? new Fault('malformed', { reason: { code: 'empty', zh: '报文为空', en: 'the message is empty' } });
  return { reply, root };
}

function parsed(read: Read, text: string): Json {
  switch (read.as) {
    case 'xml':
      return openXml(text, { lists: read.lists, ...(read.root === undefined ? {} : { root: read.root }) });
    case 'json':
      return listed(openJson(text), new Set(read.lists));
    case 'form':
      return openForm(text, read.encoding);
    default:
      return text;
  }
}

/** One row is an object, several are a list: named ones are always a list. */
function listed(value: Json, names: ReadonlySet<string>): Json {
  if (names.size === 0 || value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((inner) => listed(inner, names));
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      const each = listed(inner, names);
      return [name, names.has(name) && !Array.isArray(each) && each !== null ? [each] : each];
    }),
  );
}

/** No rule knows this reply. A server's own failure is silence, whatever its page says; anything else means nothing to us. */
function unclassified(
  { write, read }: WireCall,
  came: {
    readonly status: number;
    readonly contentType: string;
    readonly root: string | undefined;
    readonly bytes: Uint8Array;
    readonly fault: Fault | undefined;
  },
): Fault {
  const { status, contentType, root, bytes, fault } = came;
  if (status >= 500) {
    return new Fault(write ? 'inDoubt' : 'unreachable', {
      reason: {
        code: `HTTP ${status}`,
        zh: `对方系统内部错误（HTTP ${status}）`,
        en: `their system failed (HTTP ${status})`,
      },
      cause: fault,
    });
  }
  const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
  const outside = [
    `HTTP ${status}`,
    contentType || 'no content type',
    ...(root === undefined ? [] : [`<${root.slice(0, 40)}>`]),
    countOf(bytes.length, 'byte'),
    `sha256 ${digest}…`,
  ].join(', ');
  return new Fault('malformed', {
    maybeArrived: write,
    reason: {
      code: fault?.reason.code ?? 'unclassified',
      zh: `${fault?.reason.zh ?? `应答不符合任何已知规则（应为 ${read.as}）`}；收到：${outside}`,
      en: `${fault?.reason.en ?? `the reply fits no rule (${read.as} is expected)`}; came: ${outside}`,
    },
    cause: fault,
  });
}

/** A mapping of ours that fails says nothing about the party: the message was never made. */
async function mapped(run: () => Promise<Json | undefined>): Promise<Json | undefined> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof Fault && error.kind !== 'malformed') throw error;
    throw notMade(
      error instanceof Fault
        ? error.reason
        : {
            code: 'mapping',
            zh: '适配器映射出错，报文未发送',
            en: 'the adapter could not make the message; it was not sent',
          },
      error,
    );
  }
}

const notMade = (reason: Reason, cause?: unknown): Fault =>
  new Fault('malformed', { ours: true, maybeArrived: false, reason, cause });

function measureSkew(date: string | undefined, line: Line): void {
  const theirs = Date.parse(date ?? '');
  if (Number.isNaN(theirs)) return;
  // The header has whole seconds: half of one is the best guess of the rest.
  const skew = theirs + 500 - line.clock.now();
  const noticed = Math.abs(skew) < SKEW_NOTICED_MS ? 0 : skew;
  if (Math.abs(noticed) > SKEW_ALARM_MS && Math.abs(line.skewMs) <= SKEW_ALARM_MS)
    line.log.error('their clock differs from ours', { seconds: Math.round(skew / 1_000) });
  line.skewMs = noticed;
}

function retryAfter(value: string | undefined, clock: Clock): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,6}$/.test(value)) return Number(value) * 1_000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - clock.now());
}

const object = (value: Json | undefined): JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};
const texts = (values: JsonObject): { [name: string]: string } =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
