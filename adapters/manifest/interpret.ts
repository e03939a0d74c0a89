import { createHash } from 'node:crypto';
import { compileSchema } from '../../contracts/compile.ts';
import { type Mapping, MappingError, type MappingFunctions } from '../../contracts/mapping.ts';
import type {
  Accept,
  Adapter,
  Call,
  Connected,
  PartyFacts,
  RawReply,
  RawRequest,
  Terms,
} from '../../contracts/ports/adapter.ts';
import type { Certificate, CertificateQuery } from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import { type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { Answer, Envelope, Json, JsonObject, Message, Reason, Receipt } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import { httpWire } from '../wire/http.ts';
import { frameWire } from '../wire/tcp-frame.ts';
import { decodeText, encodeText } from '../wire/text/encoding.ts';
import { classify, textsAt } from './answers.ts';
import { callOnce, type Input, type Line, type Outcome, readBody } from './call.ts';
import { type Callback, type Deliver, type Inquire, type Manifest, type Said, termsProblems } from './manifest.ts';
import { Session } from './session.ts';
import { sequences } from './times.ts';

/**
 * A manifest and a deployment's settings, made into an adapter.
 * @throws Unfit with every problem of the settings at once
 */
export function interpret(
  manifest: Manifest,
  given: Json,
  means: { readonly clock: Clock; readonly log: Logger },
): Connected {
  const { settings, terms } = deployed(manifest, given);
  return {
    facts: factsOf(manifest, terms),
    adapter: offered(manifest, new Operations(manifest, settings, terms, means)),
  };
}

function deployed(
  manifest: Manifest,
  given: Json,
): { readonly settings: JsonObject; readonly terms: Manifest['terms'] } {
  const { terms: over = {}, ...own } = structuredClone(given ?? {}) as JsonObject;
  const check = compileSchema(manifest.settings, { defaults: true, names: 'shown' });
  const problems: Problem[] = [
    ...check(own),
    ...termsProblems(over).map((problem) => ({ ...problem, pointer: `/terms${problem.pointer}` })),
  ];
  if (problems.length > 0) {
    const words = { zh: `部门 ${manifest.party} 的配置有误`, en: `the settings of ${manifest.party} have mistakes` };
    throw new Unfit(422, 'partySettings', words, problems);
  }
  return { settings: own, terms: { ...manifest.terms, ...(over as Partial<Manifest['terms']>) } };
}

function factsOf(manifest: Manifest, { connectMs: _, ...terms }: Manifest['terms']): PartyFacts {
  const { party, title, owner, version, deliver, queries, certificates, callback } = manifest;
  return {
    party,
    title,
    owner,
    version,
    terms: terms satisfies Terms,
    delivers: Object.entries(deliver).map(([contract, { result, replies }]) => ({ contract, result, replies })),
    queries: Object.entries(queries).map(([name, { title: words, request, reply }]) => ({
      name,
      title: words,
      request,
      reply,
    })),
    certificates: Object.keys(certificates),
    takesCallbacks: callback !== undefined,
  };
}

/** What a question may come to: found, or searched and not found. */
const LOOKED_UP = ['filed', 'none'] as const;

/** What an operation came to: the last call's outcome, and what every call read. */
interface Done extends Outcome {
  readonly input: Input & { readonly reply: Json };
}

/** Abilities are said in the type: an adapter has only the methods that its manifest speaks of. */
function offered({ inquire, ask, callback, queries, certificates }: Manifest, operations: Operations): Adapter {
  const any = (table: object): boolean => Object.keys(table).length > 0;
  return {
    deliver: (envelope, call) => operations.deliver(envelope, call),
    probe: (call) => operations.probe(call),
    close: () => operations.close(),
    ...(any(inquire) && { inquire: operations.inquire.bind(operations) }),
    ...(any(ask) && { collect: operations.collect.bind(operations) }),
    ...(callback !== undefined && { callback: operations.callback.bind(operations) }),
    ...(any(queries) && { query: operations.query.bind(operations) }),
    ...(any(certificates) && { certificates: operations.certificates.bind(operations) }),
  };
}

/** Every operation of a manifest over its wire, with its session. */
class Operations {
  readonly #manifest: Manifest;
  readonly #settings: JsonObject;
  readonly #line: Line;
  readonly #session: Session | undefined;
  readonly #log: Logger;
  readonly #closing = new AbortController();

  constructor(
    manifest: Manifest,
    settings: JsonObject,
    terms: Manifest['terms'],
    { clock, log }: { readonly clock: Clock; readonly log: Logger },
  ) {
    this.#manifest = manifest;
    this.#settings = settings;
    this.#log = log;
    const { wire } = manifest;
    this.#line = {
      http: wire.kind === 'http' ? httpWire({ sockets: terms.concurrency * 4 }) : undefined,
      frame: wire.kind === 'tcp-frame' ? frameWire(wire) : undefined,
      connectMs: terms.connectMs,
      functions: { sequence: sequences(clock) } as unknown as MappingFunctions,
      clock,
      log,
      skewMs: 0,
    };
    const { session } = manifest;
    if (session !== undefined) {
      this.#session = new Session({
        refreshAheadMs: session.refreshAheadMs,
        newKillsOld: session.newKillsOld,
        now: () => this.#now(),
        fetch: (before) => this.#logIn(before, terms.deadlineMs),
      });
    }
  }

  async deliver(envelope: Envelope, call: Call): Promise<Receipt> {
    const operation = this.#of(this.#manifest.deliver, envelope.contract);
    const done = await this.#run(operation.calls, { envelope: envelopeInput(envelope) }, call);
    const receipt = await this.#receipt(operation, done, operation.replies === 'atOnce');
    if (done.as !== 'duplicate') return receipt;
    // They had it: what they answered then is asked for, where they can be asked.
    if (
      this.#manifest.inquire[envelope.contract] === undefined ||
      (receipt.number !== null && operation.replies !== 'atOnce')
    )
      return receipt;
    const known = await this.inquire(envelope, call);
    return known === 'neverArrived' ? receipt : { ...known, number: known.number ?? receipt.number, duplicate: true };
  }

  async inquire(envelope: Envelope, call: Call): Promise<Receipt | 'neverArrived'> {
    const operation = this.#of(this.#manifest.inquire, envelope.contract);
    const done = await this.#run(operation.calls, { envelope: envelopeInput(envelope) }, call);
    return done.as === 'none' ? 'neverArrived' : this.#receipt(operation, done, operation.answer !== undefined);
  }

  async collect(awaited: Parameters<NonNullable<Adapter['collect']>>[0], accept: Accept, call: Call): Promise<void> {
    let failed: unknown;
    for (const { envelope, number } of awaited) {
      const operation = this.#manifest.ask[envelope.contract];
      if (operation === undefined) continue;
      try {
        const done = await this.#run(operation.calls, { envelope: envelopeInput(envelope), number }, call);
        const answer = await this.#answer(operation.answer, done);
        if (answer === undefined) continue;
        await accept({
          from: this.#manifest.party,
          about: { key: envelope.id },
          ...(await this.#named(operation, done.input, answer, envelope.id)),
          answer,
        });
      } catch (error) {
        // One answer that cannot be read must not keep the others back; a party that is away is away for all.
        if (!(error instanceof Fault) || error.kind !== 'malformed') throw error;
        failed ??= error;
      }
    }
    if (failed !== undefined) throw failed;
  }

  async callback(request: RawRequest, accept: Accept, call: Call): Promise<RawReply> {
    const callback = this.#manifest.callback as Callback;
    const base = { settings: this.#settings, now: this.#now() };
    try {
      const text = decodeText(request.body, callback.read.encoding);
      const { reply, root } = await readBody(callback.read, request.body, base, this.#line);
      const seen = {
        ...base,
        reply,
        text,
        request: { headers: { ...request.headers }, query: { ...request.query }, path: request.path },
        replies: {},
      };
      if ((await callback.verify(seen, this.#line.functions)) !== true) {
        call.log.warn('callback not verified', { party: this.#manifest.party });
        return this.#said(callback.notTaken, seen);
      }
      const contentType = request.headers['content-type'] ?? '';
      const rule = classify(callback.rules, { status: 200, contentType, root, reply });
      if (rule === undefined)
        throw new Fault('malformed', {
          reason: { code: 'unclassified', zh: '推送内容不符合任何已知规则', en: 'the push fits no rule' },
        });
      const done: Done = { as: rule.as, rule, reply, retryAfterMs: undefined, input: seen };
      const answer = await this.#answer(callback.answer, done);
      if (answer !== undefined) {
        const about = (await callback.about(seen, this.#line.functions)) as Message['about'] | undefined;
        if (about === undefined || (!('key' in about) && !('number' in about))) {
          throw new Fault('malformed', {
            reason: { code: 'about', zh: '推送未说明所指业务', en: 'the push does not say what it is about' },
          });
        }
        await accept({
          from: this.#manifest.party,
          about,
          ...(await this.#named(callback, seen, answer, createHash('sha256').update(request.body).digest('hex'))),
          answer,
        });
      }
      return await this.#said(callback.reply, seen);
    } catch (error) {
      // Kept or refused: it is answered in their words, and never as taken.
      if (!(error instanceof Fault) && !(error instanceof Unfit) && !(error instanceof MappingError)) throw error;
      call.log.warn('callback not taken', { party: this.#manifest.party, error });
      return this.#said(callback.notTaken, { ...base, replies: {} });
    }
  }

  async query(name: string, body: JsonObject, call: Call): Promise<JsonObject> {
    const operation = this.#of(this.#manifest.queries, name);
    const done = await this.#run(operation.calls, { query: body }, call, LOOKED_UP);
    if (done.as === 'none')
      throw new Fault('refused', { reason: this.#reason(done, 'none', '查无结果', 'they hold nothing of that kind') });
    return asObject(await this.#mapped(operation.answer, done.input));
  }

  async certificates(query: CertificateQuery, call: Call): Promise<readonly Certificate[]> {
    const operation = this.#of(this.#manifest.certificates, query.type);
    const done = await this.#run(
      operation.calls,
      { certificate: structuredClone(query) as unknown as JsonObject },
      call,
      LOOKED_UP,
    );
    if (done.as === 'none') return [];
    const found = await this.#mapped(operation.answer, done.input);
    return (Array.isArray(found) ? found : []).map((each) => certificateOf(asObject(each), query.type));
  }

  async probe(call: Call): Promise<void> {
    await this.#run(this.#manifest.probe.calls, {}, call, ['filed', 'none', 'pending', 'refused']);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#line.http?.close(), this.#line.frame?.close()]);
  }

  #now(): number {
    return this.#line.clock.now() + this.#line.skewMs;
  }

  #of<T>(operations: { readonly [name: string]: T }, name: string): T {
    const operation = operations[name];
    if (operation !== undefined) return operation;
    throw new Fault('malformed', {
      ours: true,
      maybeArrived: false,
      reason: { code: 'notOffered', zh: `该部门不受理 ${name}`, en: `this party does not take ${name}` },
    });
  }

  /** The calls of an operation in order; each but the last must be `filed`. What is neither an answer nor a failure of theirs throws. */
  async #run(
    calls: readonly string[],
    given: Partial<Input>,
    call: Call,
    also: readonly Outcome['as'][] = ['filed', 'pending', 'duplicate', 'none', 'refused', 'correction', 'progress'],
  ): Promise<Done> {
    const replies: JsonObject = {};
    for (const [at, name] of calls.entries()) {
      const { outcome, input } = await this.#once(name, { ...given, replies }, call);
      const last = at === calls.length - 1;
      if (outcome.as === 'filed' && !last) {
        replies[name] = outcome.reply;
        continue;
      }
      if (!also.includes(outcome.as)) throw this.#fault(outcome, this.#manifest.calls[name]?.write ?? false);
      return { ...outcome, input: { ...input, reply: outcome.reply } };
    }
    throw new Error('an operation has at least one call');
  }

  /** One call with a session that holds; a session lost on the way is fetched anew once, and so is the time of a clock that turned out to be off. */
  async #once(
    name: string,
    given: Partial<Input> & Pick<Input, 'replies'>,
    call: Call,
  ): Promise<{ outcome: Outcome; input: Input }> {
    const session = this.#session;
    for (let attempt = 1; ; attempt += 1) {
      if (session === undefined) return this.#exchange(name, given, undefined, call);
      let used: JsonObject = {};
      const result = await session.use(call.signal, (current) => {
        used = current;
        return this.#exchange(name, given, current, call);
      });
      if (result.outcome.as !== 'sessionLost') return result;
      session.lost(used);
      if (attempt === 2) {
        throw new Fault('unauthorized', {
          reason: this.#reason(
            result.outcome,
            'sessionLost',
            '重新登录后仍被拒绝',
            'the session was not accepted, also after a fresh log-in',
          ),
        });
      }
    }
  }

  async #exchange(
    name: string,
    given: Partial<Input> & Pick<Input, 'replies'>,
    session: JsonObject | undefined,
    means: Pick<Call, 'signal' | 'traceparent'>,
  ): Promise<{ outcome: Outcome; input: Input }> {
    const call = this.#manifest.calls[name];
    if (call === undefined) throw new Error(`there is no call ${name}`);
    const input: Input = {
      ...given,
      settings: this.#settings,
      now: this.#now(),
      ...(session === undefined ? {} : { session }),
    };
    return { outcome: await callOnce(call, input, this.#line, means), input };
  }

  async #logIn(before: JsonObject | undefined, deadlineMs: number): Promise<JsonObject> {
    const policy = this.#manifest.session;
    if (policy === undefined) throw new Error('there is no session');
    const own = new AbortController();
    const stop = this.#line.clock.after(deadlineMs, () => own.abort());
    const means = { signal: AbortSignal.any([own.signal, this.#closing.signal]), traceparent: '' };
    try {
      const { renew, login } = policy;
      if (
        renew !== undefined &&
        before !== undefined &&
        (renew.while === undefined ||
          (await renew.while({ session: before, now: this.#now() }, this.#line.functions)) === true)
      ) {
        try {
          return await this.#fetchSession(renew, before, means);
        } catch (error) {
          if (!(error instanceof Fault) || error.kind !== 'unauthorized') throw error;
          this.#log.debug('renewal refused, logging in', { party: this.#manifest.party });
        }
      }
      const skew = this.#line.skewMs;
      try {
        return await this.#fetchSession(login, before, means);
      } catch (error) {
        // A signature over the wrong time looks like a wrong secret; their own clock came with the refusal.
        if (!(error instanceof Fault) || error.kind !== 'unauthorized' || this.#line.skewMs === skew) throw error;
        return await this.#fetchSession(login, before, means);
      }
    } finally {
      stop();
    }
  }

  async #fetchSession(
    { calls, map }: { readonly calls: readonly string[]; readonly map: Mapping },
    before: JsonObject | undefined,
    means: Pick<Call, 'signal' | 'traceparent'>,
  ): Promise<JsonObject> {
    const replies: JsonObject = {};
    let last: Json = null;
    let input: Input | undefined;
    for (const name of calls) {
      const result = await this.#exchange(name, { replies }, before, means);
      const { outcome } = result;
      if (outcome.as === 'busy') throw this.#fault(outcome, false);
      if (outcome.as !== 'filed')
        throw new Fault('unauthorized', {
          reason: this.#reason(outcome, 'logIn', '登录对方系统被拒绝', 'the log-in was refused'),
        });
      ({ input } = result);
      last = outcome.reply;
      replies[name] = last;
    }
    return asObject(await this.#mapped(map, { ...(input as Input), reply: last }));
  }

  /** The fault that an outcome of no use stands for. */
  #fault(outcome: Outcome, write: boolean): Fault {
    const { as, rule } = outcome;
    if (as === 'busy' || as === 'pending') {
      const wait = outcome.retryAfterMs ?? rule.waitMs ?? 60_000;
      return new Fault('busy', {
        until: this.#line.clock.now() + wait,
        reason: this.#reason(outcome, 'busy', '对方系统繁忙，请稍后', 'they ask to come back later'),
      });
    }
    if (as === 'unauthorized' || as === 'sessionLost')
      return new Fault('unauthorized', {
        reason: this.#reason(outcome, 'unauthorized', '对方系统拒绝了我方身份', 'they did not accept who we are'),
      });
    if (as === 'refused')
      return new Fault('refused', { reason: this.#reason(outcome, 'refused', '对方不予受理', 'they refused') });
    return new Fault('malformed', {
      maybeArrived: write,
      reason: this.#reason(outcome, as, '应答在此处没有意义', 'the answer makes no sense here'),
    });
  }

  /** The party's own code and sentence, for the telephone; ours where it gives none. */
  #reason({ rule, reply }: Pick<Outcome, 'rule' | 'reply'>, code: string, zh: string, en: string): Reason {
    const first = (path: string | undefined): string | undefined =>
      path === undefined
        ? undefined
        : textsAt(reply, path)
            .find((text) => text !== '')
            ?.slice(0, 500);
    const [theirCode, theirWords] = [first(rule.code), first(rule.words)];
    return {
      code: theirCode ?? code,
      zh: theirWords ?? zh,
      en: theirWords === undefined ? en : `${this.#manifest.title.en}: ${theirWords}`,
    };
  }

  async #receipt(operation: Inquire | Deliver, done: Done, answers: boolean): Promise<Receipt> {
    if (done.as === 'none' || done.as === 'progress') throw this.#fault(done, true);
    if (done.as === 'refused' && 'replies' in operation) throw this.#fault(done, true);
    const number = operation.number === undefined ? undefined : await this.#mapped(operation.number, done.input);
    const receipt: Receipt = {
      number: number === undefined || number === null || number === '' ? null : String(number),
      duplicate: done.as === 'duplicate',
    };
    const answered = done.as === 'correction' || done.as === 'refused' || (done.as === 'filed' && answers);
    const answer = answered ? await this.#answer(operation.answer, done) : undefined;
    return answer === undefined ? receipt : { ...receipt, answer };
  }

  /** Undefined: nothing is decided yet. */
  async #answer(map: Mapping | undefined, done: Done): Promise<Answer | undefined> {
    switch (done.as) {
      case 'filed':
        return { outcome: 'done', result: map === undefined ? {} : asObject(await this.#mapped(map, done.input)) };
      case 'refused':
        return { outcome: 'refused', reason: this.#reason(done, 'refused', '不予办理', 'refused') };
      case 'correction': {
        const asks =
          done.rule.asks === undefined ? [] : textsAt(done.reply, done.rule.asks).filter((ask) => ask !== '');
        return {
          outcome: 'correction',
          reason: this.#reason(done, 'correction', '需要补正', 'something is to be mended'),
          asks,
        };
      }
      case 'progress':
        return { outcome: 'progress', reason: this.#reason(done, 'progress', '办理中', 'being worked on') };
      case 'pending':
      case 'none':
        return undefined;
      default:
        throw this.#fault(done, false);
    }
  }

  async #named(
    { at, dedupe }: { readonly at: Mapping | undefined; readonly dedupe: Mapping | undefined },
    input: Input & { readonly reply: Json },
    answer: Answer,
    otherwise: string,
  ): Promise<Pick<Message, 'at' | 'dedupe'>> {
    const time = at === undefined ? undefined : await this.#mapped(at, input);
    const name = dedupe === undefined ? undefined : await this.#mapped(dedupe, input);
    const digest = createHash('sha256').update(otherwise).update(JSON.stringify(answer)).digest('hex');
    return {
      at: typeof time === 'number' ? time : this.#line.clock.now(),
      dedupe: typeof name === 'string' && name !== '' ? name : digest,
    };
  }

  /** A mapping over what they answered: when it fails, the answer is not what was agreed. */
  async #mapped(map: Mapping, input: unknown): Promise<Json | undefined> {
    try {
      return await map(input, this.#line.functions);
    } catch (error) {
      if (!(error instanceof MappingError)) throw error;
      throw new Fault('malformed', {
        reason: { code: 'answerMapping', zh: '应答缺少约定的内容', en: 'the reply lacks what was agreed' },
        cause: error,
      });
    }
  }

  async #said({ status, contentType, text, encoding }: Said, input: unknown): Promise<RawReply> {
    const said = String((await text(input, this.#line.functions)) ?? '');
    return { status, headers: { 'content-type': contentType }, body: encodeText(said, encoding) };
  }
}

function envelopeInput({ id, caseNo, stepNo, contract, body }: Envelope): JsonObject {
  const revision = /\.(\d+)$/.exec(id)?.[1] ?? '1';
  return { id, caseNo, stepNo, contract, body, revision };
}

const asObject = (value: Json | undefined): JsonObject =>
  value !== null && typeof value === 'object' && !Array.isArray(value) ? value : {};

const STATES: ReadonlySet<string> = new Set(['01', '02', '03', '04', '05', '06', '07', '99']);

/** @throws Fault `malformed` when a certificate lacks what makes it one: without a holder and a state it must not be used */
function certificateOf(found: JsonObject, type: string): Certificate {
  const holder = asObject(found.holder);
  const state = String(found.state ?? '');
  const complete = [holder.name, holder.idNo, found.title, found.issuer].every(
    (value) => typeof value === 'string' && value !== '',
  );
  if (!complete || !STATES.has(state)) {
    throw new Fault('malformed', {
      reason: {
        code: 'certificate',
        zh: '返回的证照缺少持证人、状态等必要信息',
        en: 'the certificate lacks its holder, state, title or issuer',
      },
    });
  }
  const text = (value: Json | undefined): string | null =>
    value === undefined || value === null || value === '' ? null : String(value);
  return {
    type,
    identifier: text(found.identifier),
    number: text(found.number),
    title: String(found.title),
    holder: { name: String(holder.name), idType: String(holder.idType ?? '111'), idNo: String(holder.idNo) },
    state: state as Certificate['state'],
    issuer: String(found.issuer),
    validFrom: text(found.validFrom),
    validTo: text(found.validTo),
    fields: asObject(found.fields),
  };
}
