import { createHash } from 'node:crypto';
import type { Mapping, MappingFunctions } from '../../contracts/mapping.ts';
import type { Call, PartyMeans } from '../../contracts/ports/adapter.ts';
import type { Json, JsonObject, Millis } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { OnceValues } from '../../contracts/ports/once-values.ts';
import { httpWire } from '../wire/http.ts';
import { frameWire } from '../wire/tcp-frame.ts';
import type { WireTls } from '../wire/tls.ts';
import type { Meaning } from './answers.ts';
import { callOnce, type Input, type Line } from './call.ts';
import type { Login, Manifest, WireCall } from './manifest.ts';
import { type Done, Meanings, objectOf } from './meaning.ts';
import { onceFor, valuesInMemory } from './once.ts';
import { ending, Session, type SessionPolicy } from './session.ts';
import { sharedSequences } from './shared-sequence.ts';
import { SharedSession } from './shared-session.ts';
import { type Sequence, sequences } from './times.ts';

/** Of an operation: who it is about, and nothing that a call adds by itself. */
export type About = Pick<Input, 'envelope' | 'number' | 'query' | 'certificate' | 'document' | 'claim'>;
type Means = Pick<Call, 'signal' | 'traceparent'>;
/** And what the mappings of one operation may call beside what all may. */
type OperationMeans = Means & { readonly operation: MappingFunctions };

/** It ends with its caller. */
type CallerTls = WireTls & { readonly files: { close(): void } };

/** Makes a manifest's calls over one line, each with a session that holds. Remembers nothing but that session. */
export class Caller {
  readonly line: Line;
  readonly meanings: Meanings;
  readonly #manifest: Manifest;
  readonly #settings: JsonObject;
  readonly #session: Session | undefined;
  readonly #shared: SharedSession | undefined;
  readonly #sequence: Sequence;
  readonly #values: OnceValues;
  readonly #tls: CallerTls | undefined;
  readonly #closing = new AbortController();

  constructor(
    manifest: Manifest,
    settings: JsonObject,
    { concurrency, connectMs, deadlineMs, tls }: Manifest['terms'] & { readonly tls?: CallerTls | undefined },
    { clock, log, sessions, numbers, values }: PartyMeans,
  ) {
    this.#manifest = manifest;
    this.#tls = tls;
    this.#settings = settings;
    const { party, wire, session, title } = manifest;
    this.#sequence = numbers === undefined ? sequences(clock) : sharedSequences(party, clock, numbers);
    this.#values = values ?? valuesInMemory();
    this.line = {
      http: wire.kind === 'http' ? httpWire({ sockets: concurrency * 4, tls }) : undefined,
      frame: wire.kind === 'tcp-frame' ? frameWire(wire, tls) : undefined,
      connectMs,
      functions: { sequence: (digits: number) => this.#sequence(digits) } as unknown as MappingFunctions,
      clock,
      log,
      skewMs: 0,
    };
    this.meanings = new Meanings(title, this.line);
    if (session === undefined) return;
    const policy: SessionPolicy = {
      refreshAheadMs: session.refreshAheadMs,
      newKillsOld: session.newKillsOld,
      now: () => this.now(),
      fetch: (before) => this.#logIn(session, before, deadlineMs),
    };
    if (sessions !== undefined)
      this.#shared = new SharedSession({
        book: sessions,
        of: { party, account: createHash('sm3').update(JSON.stringify(settings)).digest('hex') },
        clock,
        log,
        logInMs: deadlineMs,
        ending: (one) => ending(one, policy),
        until: ({ until }) => (typeof until === 'number' ? until - this.line.skewMs : undefined),
        logIn: policy.fetch,
        closing: this.#closing.signal,
      });
    const shared = this.#shared;
    this.#session = new Session(shared === undefined ? policy : { ...policy, fetch: (before) => shared.fetch(before) });
  }

  /** Their time, as far as it is known to differ from ours. */
  now(): Millis {
    return this.line.clock.now() + this.line.skewMs;
  }

  /** What every mapping of this party sees. */
  base(): Pick<Input, 'settings' | 'now'> {
    return { settings: this.#settings, now: this.now() };
  }

  /** Calls in order, each but the last `filed`; resolves to the first that is not, or the last. @throws Fault when that is none of `ends` */
  async run(names: readonly string[], about: About, means: Means, ends: readonly Meaning[]): Promise<Done> {
    const replies: JsonObject = {};
    const { envelope } = about;
    const { clock, log } = this.line;
    const once =
      envelope === undefined ? {} : { once: onceFor(String(envelope.id), { values: this.#values, clock, log }) };
    const own = { ...means, operation: once as unknown as MappingFunctions };
    for (const [at, name] of names.entries()) {
      const done = await this.#inSession(this.#call(name), { ...about, replies: { ...replies } }, own);
      if (done.as !== 'filed' || at === names.length - 1) {
        if (ends.includes(done.as)) return done;
        throw this.meanings.fault(done);
      }
      replies[name] = done.reply;
    }
    throw new Error('a sequence has at least one call');
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#tls?.files.close();
    await Promise.all([this.line.http?.close(), this.line.frame?.close()]);
  }

  #call(name: string): WireCall {
    const call = this.#manifest.calls[name];
    if (call === undefined) throw new Error(`there is no call ${name}`);
    return call;
  }

  /**
   * A session lost on the way is fetched anew, and the call repeated, once. One that another node fetched may have been lost since: then once more, after a
   * log-in of our own.
   */
  async #inSession(call: WireCall, input: About & Pick<Input, 'replies'>, means: OperationMeans): Promise<Done> {
    const session = this.#session;
    if (session === undefined) return this.#exchange(call, input, undefined, means);
    for (let attempt = 1; ; attempt += 1) {
      const { done, used } = await session.use(means.signal, async (current) => ({
        done: await this.#exchange(call, input, current, means),
        used: current,
      }));
      if (done.as !== 'sessionLost') return done;
      session.lost(used);
      if (attempt < 2 || (attempt === 2 && this.#shared?.isOwn(used) === false)) continue;
      const [zh, en] = ['重新登录后仍被拒绝', 'the session was not accepted, also after a fresh log-in'];
      throw new Fault('unauthorized', { reason: this.meanings.reason(done, 'sessionLost', zh, en) });
    }
  }

  async #exchange(
    call: WireCall,
    given: About & Pick<Input, 'replies'>,
    session: JsonObject | undefined,
    means: OperationMeans,
  ): Promise<Done> {
    const input: Input = { ...given, ...this.base(), ...(session === undefined ? {} : { session }) };
    // Of the day that the message is made on, also when midnight passes while it is made.
    const at = input.now - this.line.skewMs;
    const sequence = (digits: number) => this.#sequence(digits, at);
    const functions = { sequence, ...means.operation } as unknown as MappingFunctions;
    const outcome = await callOnce(call, input, this.line, { ...means, functions });
    return { ...outcome, write: call.write, input: { ...input, reply: outcome.reply }, functions };
  }

  /** Bounded by its own deadline: those who wait for it may have less time left, or more. */
  async #logIn({ login, renew }: Login, before: JsonObject | undefined, deadlineMs: number): Promise<JsonObject> {
    const own = new AbortController();
    const stop = this.line.clock.after(deadlineMs, () => own.abort());
    // A log-in belongs to no case, so it has no trace.
    const means = { signal: AbortSignal.any([own.signal, this.#closing.signal]), traceparent: '', operation: {} };
    try {
      if (renew !== undefined && before !== undefined && (await this.#stillRenews(renew.while, before))) {
        try {
          return await this.#fetched(renew, before, means);
        } catch (error) {
          if (!(error instanceof Fault) || error.kind !== 'unauthorized') throw error;
          this.line.log.debug('renewal refused, logging in', { party: this.#manifest.party });
        }
      }
      const skew = this.line.skewMs;
      try {
        return await this.#fetched(login, before, means);
      } catch (error) {
        // A signature over the wrong time looks like a wrong secret; their own clock came with the refusal.
        if (!(error instanceof Fault) || error.kind !== 'unauthorized' || this.line.skewMs === skew) throw error;
        return await this.#fetched(login, before, means);
      }
    } finally {
      stop();
    }
  }

  async #stillRenews(condition: Mapping | undefined, session: JsonObject): Promise<boolean> {
    return condition === undefined || (await condition({ ...this.base(), session }, this.line.functions)) === true;
  }

  async #fetched(
    { calls, map }: { readonly calls: readonly string[]; readonly map: Mapping },
    before: JsonObject | undefined,
    means: OperationMeans,
  ): Promise<JsonObject> {
    const replies: { [name: string]: Json } = {};
    let done: Done | undefined;
    for (const name of calls) {
      done = await this.#exchange(this.#call(name), { replies: { ...replies } }, before, means);
      if (done.as === 'busy') throw this.meanings.fault(done);
      if (done.as !== 'filed') {
        const reason = this.meanings.reason(done, 'logIn', '登录对方系统被拒绝', 'the log-in was refused');
        throw new Fault('unauthorized', { reason });
      }
      replies[name] = done.reply;
    }
    if (done === undefined) throw new Error('a log-in has at least one call');
    return withEnd(objectOf(await this.meanings.mapped(map, done)));
  }
}

/** JSON is read with its numbers as texts: an `until` that is a text of digits is as good. @throws Fault `malformed` when it is no time at all */
function withEnd(session: JsonObject): JsonObject {
  const { until } = session;
  if (until === undefined) return session;
  const at = typeof until === 'string' && until.trim() !== '' ? Number(until) : until;
  if (typeof at === 'number' && Number.isFinite(at)) return { ...session, until: at };
  const reason = { code: 'sessionEnd', zh: '登录应答未说明有效期', en: 'the log-in does not say until when it holds' };
  throw new Fault('malformed', { reason });
}
