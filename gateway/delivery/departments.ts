import type { Accept, TextLimit } from '../../contracts/ports/adapter.ts';
import type { CertificateChange } from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import { type BodyNormaliser, type Contracts, type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject, Party, Words } from '../../contracts/ports/envelope.ts';
import { FAULT_POLICY, Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Departments, DepartmentView } from '../../contracts/ports/services.ts';
import type { CaseReads, LaneState } from '../../contracts/ports/store.ts';
import { limitProblems, valuesAt } from '../../contracts/text-limits.ts';
import type { LiveParty } from './party.ts';

export interface DepartmentsParts {
  readonly parties: () => readonly LiveParty[];
  readonly party: (party: Party) => LiveParty | undefined;
  readonly store: Pick<CaseReads, 'lanes'>;
  /** For what this party says. */
  readonly accept: (party: Party) => Accept;
  /** What a party pushed about certificates. */
  readonly changed: (party: Party, change: CertificateChange, name: string) => Promise<void>;
  readonly contracts: Contracts & BodyNormaliser;
  readonly clock: Clock;
  readonly log: Logger;
}

const CALLBACK_MS = 10_000;
/** For an adapter to let go and to answer in the party's words. */
const LAST_WORD_MS = 250;
const CALLBACK_BYTES = 1_048_576;

export function makeDepartments(parts: DepartmentsParts): Departments {
  const { parties, party, store, contracts, clock, log } = parts;

  function live(name: Party): LiveParty {
    const found = party(name);
    if (found === undefined)
      throw new Unfit(404, 'partyUnknown', {
        zh: '没有该部门，或尚未接入',
        en: 'no such department, or it is not connected',
      });
    return found;
  }

  return {
    async list() {
      const [lanes] = await Promise.all([store.lanes(), ...parties().map(({ guard }) => guard.counted())]);
      return parties().map((one) => view(one, lanes));
    },

    async get(name) {
      const found = party(name);
      if (found === undefined) return undefined;
      const [lanes] = await Promise.all([store.lanes(), found.guard.counted()]);
      return view(found, lanes);
    },

    async query(name, queryName, sent, traceparent) {
      const { facts, adapter, guard } = live(name);
      const asked = facts.queries.find((each) => each.name === queryName);
      const { query } = adapter;
      if (asked === undefined || query === undefined) {
        const known = facts.queries.map((each) => each.name);
        throw new Unfit(404, 'queryUnknown', {
          zh: `该部门可查询：${known.join('、') || '无'}`,
          en: `this department answers: ${known.join(', ') || 'no queries'}`,
        });
      }
      const body = contracts.normalise(asked.request, sent);
      const wrong = contracts.problems(asked.request, body);
      // A text that their system cannot hold is the caller's to mend, and would be no answer of theirs.
      const problems = wrong.length > 0 ? wrong : beyondLimits(asked.limits ?? [], body, facts.title);
      if (problems.length > 0)
        throw new Unfit(
          422,
          'unfit',
          { zh: '查询内容不符合契约', en: `the question breaks ${asked.request}` },
          problems,
        );
      try {
        return await guard.call(
          { group: 'query', name: queryName, write: false, attempt: 1, traceparent },
          async (call) => {
            const reply = await query.call(adapter, queryName, body as JsonObject, call);
            const broken = contracts.problems(asked.reply, reply);
            if (broken.length === 0) return reply;
            const places = broken.map(({ pointer, code }) => `${pointer || '/'} ${code}`).join('; ');
            throw new Fault('malformed', {
              reason: {
                code: 'replyBroken',
                zh: `该部门的答复不符合契约 ${asked.reply}：${places}`,
                en: `the department's reply breaks ${asked.reply}: ${places}`,
              },
            });
          },
        );
      } catch (error) {
        const fault = Fault.from(error);
        const fields = { party: name, query: queryName, traceparent, fault: fault.kind, code: fault.reason.code };
        if (FAULT_POLICY[fault.kind].rings)
          log.error('a question could not be answered', { ...fields, reason: fault.reason.en, cause: fault.cause });
        throw unanswered(fault, clock.now());
      }
    },

    async callback(name, request, traceparent) {
      const { adapter } = live(name);
      const { callback } = adapter;
      if (callback === undefined)
        throw new Unfit(404, 'noCallbacks', { zh: '该部门不使用回调', en: 'this department sends no callbacks' });
      if (request.body.byteLength > CALLBACK_BYTES)
        throw new Unfit(413, 'tooLarge', {
          zh: `回调内容超过 ${CALLBACK_BYTES} 字节`,
          en: `a callback has at most ${CALLBACK_BYTES} bytes`,
        });
      const line = log.with({ party: name, traceparent });
      const accept: Accept = async (message) => {
        try {
          return await parts.accept(name)(message);
        } catch (error) {
          const { kind, reason } = Fault.from(error);
          if (FAULT_POLICY[kind].rings)
            line.error('a pushed message was not taken', { fault: kind, code: reason.code, reason: reason.en });
          throw error;
        }
      };
      try {
        return await withinTime(clock, (signal) =>
          callback.call(
            adapter,
            request,
            { accept, changed: (change, push) => parts.changed(name, change, push) },
            { signal, attempt: 1, traceparent, log: line },
          ),
        );
      } catch (error) {
        if (error instanceof Unfit) throw error;
        line.error('a callback could not be answered', { error });
        throw notTaken();
      }
    },
  };
}

/** Theirs to us, so outside their breaker; bounded all the same. */
function withinTime<T>(clock: Clock, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const own = new AbortController();
  return new Promise((resolve, reject) => {
    let stopLast = () => {};
    const stop = clock.after(CALLBACK_MS, () => {
      own.abort(new Error(`not read within ${CALLBACK_MS} ms`));
      stopLast = clock.after(LAST_WORD_MS, () => reject(notTaken()));
    });
    run(own.signal)
      .then(resolve, reject)
      .finally(() => {
        stop();
        stopLast();
      });
  });
}

/** Each place once: two calls of a question may send the same text. */
function beyondLimits(limits: readonly TextLimit[], body: Json, title: Words): readonly Problem[] {
  const problems = limits.flatMap((limit) =>
    valuesAt(body, limit.pointer).flatMap(({ pointer, value }) =>
      typeof value === 'string' ? limitProblems(limit, value, pointer, title) : [],
    ),
  );
  return [...new Map(problems.map((problem) => [`${problem.pointer} ${problem.code}`, problem])).values()];
}

function view({ facts, guard }: LiveParty, lanes: readonly LaneState[]): DepartmentView {
  const lane = lanes.find((each) => each.lane === facts.party);
  const { breakers, closed, quota } = guard.view();
  return {
    party: facts.party,
    title: facts.title,
    owner: facts.owner,
    version: facts.version,
    breakers,
    closed,
    quota,
    lane: {
      waiting: lane?.waiting ?? 0,
      inFlight: lane?.leased ?? 0,
      parked: lane?.parked ?? 0,
      oldestWaiting: lane?.oldestWaiting ?? null,
      unmatched: lane?.unmatched ?? 0,
    },
    paused: lane?.paused ?? null,
    away: lane?.away ?? null,
    lastSuccess: lane?.lastDelivered ?? null,
    delivers: facts.delivers.map(({ contract }) => contract),
    queries: facts.queries.map(({ name }) => name),
    certificates: facts.certificates,
  };
}

function notTaken(): Unfit {
  return new Unfit(503, 'notTaken', { zh: '暂时无法接收，请稍后重送', en: 'not taken; send it again' }, [], 10);
}

/** A question has no effect: what went wrong is told, and whoever asked may ask again. */
function unanswered({ kind, reason, until }: Fault, now: number): Unfit {
  const words = { zh: `${reason.zh}（${reason.code}）`, en: `${reason.en} (${reason.code})` };
  const seconds = Math.max(1, Math.ceil(((until ?? now + 5_000) - now) / 1_000));
  switch (kind) {
    case 'refused':
      return new Unfit(422, 'refusedByDepartment', words);
    case 'malformed':
      return new Unfit(502, 'replyBroken', words);
    case 'unauthorized':
      return new Unfit(502, 'notAcceptedByDepartment', words);
    case 'busy':
      return new Unfit(503, 'departmentBusy', words, [], seconds);
    case 'unreachable':
      if (reason.code === 'deadline') return new Unfit(504, 'departmentSilent', words, [], seconds);
      return new Unfit(503, 'departmentUnreachable', words, [], seconds);
    case 'inDoubt':
      return new Unfit(504, 'departmentSilent', words, [], seconds);
  }
}
