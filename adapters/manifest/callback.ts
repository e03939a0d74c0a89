import { createHash } from 'node:crypto';
import { canonicalJson } from '../../contracts/canonical.ts';
import { type Mapping, MappingError } from '../../contracts/mapping.ts';
import type { Call, Inbox, RawReply, RawRequest } from '../../contracts/ports/adapter.ts';
import type { Json, Message, Party } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { decodeText, encodeText } from '../wire/text/encoding.ts';
import { classify } from './answers.ts';
import { readBody } from './call.ts';
import type { Caller } from './caller.ts';
import { changesOf } from './certificate.ts';
import type { Callback, Said } from './manifest.ts';
import { type Done, objectOf } from './meaning.ts';
import { named } from './named.ts';
import { isAmong } from './names-used.ts';

/** Bytes of a push that are read before it is proved to be the party's, where its manifest verifies what was read. */
const UNPROVED_BYTES = 65_536;

/**
 * A party's own push: verified over its bytes, read, given to the inbox, and only then answered as taken. What is not verified, not readable, about nothing, or
 * not kept is answered as not taken, in their words. Before it is proved nothing is read, unless the proof is of what is read.
 */
export async function takePush(
  party: Party,
  callback: Callback,
  caller: Caller,
  request: RawRequest,
  inbox: Inbox,
  call: Call,
): Promise<RawReply> {
  const base = { ...caller.base(), replies: {} };
  const { functions } = caller.line;
  const { method, headers, query, path, body } = request;
  let seen: object = base;
  let proved = false;
  try {
    refuseLarge(body, callback);
    const text = textOf(body, callback.read.encoding);
    const unread = {
      ...base,
      ...(text === undefined ? {} : { text }),
      request: { method, headers: { ...headers }, query: { ...query }, path, bytes: body },
    };
    seen = unread;
    const read = () => readBody(callback.read, body, base, caller.line);
    const before = verifiesReply(callback) ? await read() : undefined;
    const verification = before === undefined ? unread : { ...unread, reply: before.reply };
    if ((await made(() => callback.verify(verification, caller.line.functions))) !== true) {
      // Who it was is told by the door, which knows the address and counts; a flood must not fill the log.
      call.log.debug('callback not verified', { party });
      return { ...(await said(callback.notTaken, seen, caller)), unverified: true };
    }
    proved = true;
    const { reply, root } = before ?? (await read());
    const input = { ...unread, reply };
    seen = input;
    // What nobody proved decides nothing.
    const contentType = isAmong(CONTENT_TYPE, callback.proof.request) ? (headers['content-type'] ?? '') : '';
    const rule = classify(callback.rules, { status: 200, contentType, root, reply });
    if (rule === undefined) throw unfit('unclassified', '推送内容不符合任何已知规则', 'the push fits no rule');
    const done: Done = { as: rule.as, rule, reply, retryAfterMs: undefined, write: false, input, functions };
    if (done.as === 'duplicate') throw caller.meanings.fault(done);
    if (done.as === 'changed') await tellChanges(done, input);
    else await tell(done, input);
    return await said(callback.reply, seen, caller);
  } catch (error) {
    // What is no fault is a bug of ours, and must not look like one of theirs.
    if (!(error instanceof Fault)) throw error;
    call.log[proved ? 'warn' : 'debug']('callback not taken', { party, error });
    const reply = await said(callback.notTaken, seen, caller);
    return proved ? reply : { ...reply, unverified: true };
  }

  /**
   * The name of a push that has no other: of what is proved, as it is understood. The same text in other bytes, or with a mark in front of it, proves as much, and
   * is the same push: signed once, it says its word once.
   */
  function digest({ text, reply }: Understood): string {
    const { request: proved, text: ofText } = callback.proof;
    const ofBytes = proved.some(([first]) => first === undefined || first === 'bytes');
    const said = ofBytes ? body : ofText && text !== undefined ? text : canonicalJson(reply);
    return createHash('sha256').update(said).digest('hex');
  }

  async function tellChanges(done: Done, input: Understood): Promise<void> {
    const changes = changesOf(await made(() => expected(callback.changed)(input, caller.line.functions)));
    // A push of a result may have a name that one of a change has not: then its bytes are its name.
    const unnamed = { at: 0, dedupe: digest(input) };
    const { dedupe } = await named({ at: undefined, dedupe: callback.dedupe }, done, caller.meanings, unnamed).catch(
      () => unnamed,
    );
    for (const [at, change] of changes.entries()) await inbox.changed(change, at === 0 ? dedupe : `${dedupe}#${at}`);
  }

  /** What they say about something they were given. */
  async function tell(done: Done, input: Understood): Promise<void> {
    const answer = await caller.meanings.answer(callback.answer, done);
    if (answer === undefined) return;
    const about = aboutOf(await made(() => expected(callback.about)(input, caller.line.functions)));
    const otherwise = { at: caller.line.clock.now(), dedupe: digest(input) };
    await inbox.accept({ from: party, about, ...(await named(callback, done, caller.meanings, otherwise)), answer });
  }
}

/** A push as mappings see it. */
interface Understood {
  readonly text?: string;
  readonly reply: Json;
}

const CONTENT_TYPE = ['headers', 'content-type'];
const verifiesReply = ({ proof }: Callback): boolean => proof.reply.length > 0;

function refuseLarge(body: Uint8Array, callback: Callback): void {
  const { maxBytes } = callback.read;
  const most = verifiesReply(callback) ? Math.min(maxBytes, UNPROVED_BYTES) : maxBytes;
  if (body.byteLength > most)
    throw unfit('tooLarge', `推送内容超过 ${most} 字节`, `the push is larger than ${most} bytes`);
}

/** Undefined where the bytes are no text: a proof over the bytes does not need it. */
function textOf(body: Uint8Array, encoding: Callback['read']['encoding']): string | undefined {
  try {
    return decodeText(body, encoding);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return undefined;
  }
}

/** A push that means what its manifest has no expression for. */
function expected(map: Mapping | undefined): Mapping {
  if (map === undefined) throw unfit('unexpected', '该部门的推送未约定此类内容', 'this push is not agreed with them');
  return map;
}

/** Anybody can send bytes here: whatever they make an expression stumble over is theirs. */
async function made(run: () => Promise<Json | undefined>): Promise<Json | undefined> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw unfit('unreadable', '推送内容缺少约定的字段', 'the push lacks what was agreed', error);
  }
}

/** Which envelope: by one text, and no other shape. */
function aboutOf(value: Json | undefined): Message['about'] {
  const { key, number } = objectOf(value);
  if (typeof key === 'string' && key !== '') return { key };
  if (typeof number === 'string' && number !== '') return { number };
  throw unfit('about', '推送未说明所指业务', 'the push does not say what it is about');
}

const unfit = (code: string, zh: string, en: string, cause?: unknown): Fault =>
  new Fault('malformed', { reason: { code, zh, en }, cause });

async function said({ status, contentType, text, encoding }: Said, seen: object, caller: Caller): Promise<RawReply> {
  let sentence = '';
  try {
    sentence = String((await text(seen, caller.line.functions)) ?? '');
  } catch (error) {
    // Their status says it as well; a reply of ours that cannot be made must not undo what was kept.
    if (!(error instanceof MappingError) && !(error instanceof Fault)) throw error;
    caller.line.log.error('the reply to a callback could not be made', { error });
  }
  return { status, headers: { 'content-type': contentType }, body: encodeText(sentence, encoding) };
}
