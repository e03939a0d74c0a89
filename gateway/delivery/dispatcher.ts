import type { Clock } from '../../contracts/ports/clock.ts';
import type { Contracts } from '../../contracts/ports/contract.ts';
import type { Envelope, Millis, Party, Receipt } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { LogFields, Logger } from '../../contracts/ports/logger.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';
import type { Routing } from '../../contracts/ports/routing.ts';
import type { DeliveryStore, DeskStore, Lease, MayBeSent, Recorded } from '../../contracts/ports/store.ts';
import { isAway } from './away.ts';
import type { Outages } from './outages.ts';
import { type Next, outcome, waitUntil } from './outcome.ts';
import { answerDueAt, answersLater, checkAnswer, deliverableOf, type LiveParty } from './party.ts';

export interface DispatcherParts {
  readonly store: DeliveryStore & Pick<DeskStore, 'paused'>;
  readonly routing: Routing;
  readonly contracts: Contracts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'delivered'>;
  readonly party: (party: Party) => LiveParty | undefined;
  readonly outages: Pick<Outages, 'failed' | 'answered'>;
  /** Tries again what its party said about this envelope before our own receipt was written down. */
  readonly rematch: (envelope: Envelope, number: string | null) => Promise<void>;
  /** Its answer is to be asked for then. */
  readonly expect: (at: Millis) => void;
}

/** What came of taking an envelope to its party. */
type Carried =
  | { readonly came: 'receipt'; readonly receipt: Receipt; readonly asked: boolean }
  /** It may not go out now, or not any more, and nothing was sent. */
  | { readonly came: 'stopped'; readonly by: Exclude<MayBeSent, 'yes'> }
  /** Its step or case has ended, and the party says that it does not have it. */
  | { readonly came: 'notThere' }
  | { readonly came: 'fault'; readonly fault: Fault; readonly doubtedAt: Millis | null; readonly tried: boolean };

/** Thrown inside the guard, where an envelope may not be sent: no fault of the party, and nobody is called. */
class Stopped extends Fault {
  readonly by: Exclude<MayBeSent, 'yes'>;

  constructor(by: Exclude<MayBeSent, 'yes'>) {
    const reason = { code: 'stopped', zh: '该报文现在不应发送', en: 'this envelope may not be sent now' };
    super('busy', { reason });
    this.by = by;
  }
}

/** Beside the deadline of a call: for its last word, and to write down what became of it. */
const MARGIN_MS = 2_000;
/** How often the store is given a word that it does not take, though it is there. */
const STORE_TRIES = 6;
const STORE_REST_MS = { first: 250, most: 2_000 };

/**
 * Takes one leased envelope to its party and writes down what became of it. Never rejects: what cannot be written leaves the lease to run out, and whoever
 * leases the envelope next is told that it is in doubt.
 */
export function makeDispatcher(parts: DispatcherParts): (lease: Lease) => Promise<void> {
  const { store, routing, contracts, clock, log, metrics, outages } = parts;

  return async (lease) => {
    const { id, to, contract, traceparent } = lease.envelope;
    const line = log.with({ envelope: id, party: to, contract, traceparent });
    try {
      const party = parts.party(to);
      if (party === undefined || clock.now() > latestBegin(lease, party)) await store.returned(lease);
      else await dispatch(lease, party, line);
    } catch (error) {
      const level = isAway(error) ? 'warn' : 'error';
      line[level]('an envelope could not be written down; its lease runs out and it is looked at again', { error });
    }
  };

  async function dispatch(lease: Lease, party: LiveParty, line: Logger): Promise<void> {
    const { envelope } = lease;
    const started = clock.now();
    const carried = await carry(lease, party);
    switch (carried.came) {
      case 'fault':
        return handleFault(lease, party, carried, line);
      case 'stopped':
        line.info('not sent', { because: carried.by });
        if (carried.by !== 'overtaken') await store.returned(lease);
        return;
      case 'notThere':
        if (ours(await written(lease, () => store.withheld(lease), line), line))
          line.info('not sent any more: its step has ended, and the party does not have it');
        void outages.answered(envelope.to);
        return;
      case 'receipt':
        return handleReceipt(lease, party, carried, line, started);
    }
  }

  async function handleReceipt(
    lease: Lease,
    party: LiveParty,
    { receipt, asked }: Extract<Carried, { came: 'receipt' }>,
    line: Logger,
    started: Millis,
  ): Promise<void> {
    const { envelope } = lease;
    const answerDue = answerDueAt(party, envelope, receipt, clock.now());
    const advance = routing.delivered(envelope, receipt);
    const isRecorded = await recorded(lease, () => store.delivered(lease, receipt, advance, answerDue), line);
    void outages.answered(envelope.to);
    if (!isRecorded) return;
    if (answerDue !== null) parts.expect(answerDue);
    metrics.delivered(envelope.to, (clock.now() - envelope.createdAt) / 1_000);
    line.info('delivered', {
      number: receipt.number,
      duplicate: receipt.duplicate,
      asked,
      attempt: lease.attempts + 1,
      ms: clock.now() - started,
    });
    if (answersLater(party, envelope, receipt)) await parts.rematch(envelope, receipt.number);
  }

  /** To the wire and back: first the question whether it is there already, when that is in doubt. */
  async function carry(lease: Lease, party: LiveParty): Promise<Carried> {
    const { envelope, attempts, ended } = lease;
    const { facts, adapter, guard } = party;
    const about = {
      group: 'deliver',
      attempt: attempts + 1,
      traceparent: envelope.traceparent,
      notAfter: latestBegin(lease, party),
      // Whatever an inquiry says in between: a record under its key may be its own.
      sentBefore: lease.inDoubt,
    } as const;
    const deliverable = deliverableOf(facts, envelope.contract);
    let { doubtedAt } = lease;
    let asking = false;
    let tried = false;
    /** It was given to its party now: only then a doubt begins, and a question that brings none to an end does not begin it anew. */
    let sent = false;
    /** Within the call, so that an answer that breaks its contract counts as their failure. */
    const checked = (receipt: Receipt): Receipt => {
      if (receipt.answer !== undefined) checkAnswer(receipt.answer, deliverable, contracts);
      return receipt;
    };
    try {
      fit(envelope);
      if (doubtedAt !== null && (ended || !facts.terms.idempotent)) {
        const { inquire } = adapter;
        if (inquire === undefined)
          throw ended ? cannotAskOfEnded() : cannotAsk(clock.now() + facts.terms.backoffMs.max);
        asking = true;
        const known = await guard.call({ ...about, name: 'inquire', write: false }, async (call) => {
          tried = true;
          const answer = await inquire.call(adapter, envelope, call);
          return answer === 'neverArrived' ? answer : checked(answer);
        });
        asking = false;
        if (known !== 'neverArrived') return { came: 'receipt', receipt: known, asked: true };
        const believedAt = doubtedAt + (deliverable?.settleMs ?? 0);
        if (clock.now() < believedAt) throw new NotBelievedYet(believedAt);
        doubtedAt = null;
        if (ended) return { came: 'notThere' };
      }
      const receipt = await guard.call(
        { ...about, name: 'deliver', write: true, before: () => looked(lease) },
        async (call) => {
          tried = true;
          sent = true;
          return checked(await adapter.deliver(envelope, call));
        },
      );
      return { came: 'receipt', receipt, asked: false };
    } catch (error) {
      if (error instanceof Stopped) return { came: 'stopped', by: error.by };
      const fault = Fault.from(error);
      if (asking) return { came: 'fault', fault: ofQuestion(fault), doubtedAt, tried };
      return { came: 'fault', fault, doubtedAt: sent && fault.maybeArrived ? clock.now() : doubtedAt, tried };
    }
  }

  /** Right before it is sent: whether it still may be. @throws Stopped */
  async function looked(lease: Lease): Promise<void> {
    const may = await store.mayBeSent(lease);
    if (may !== 'yes') throw new Stopped(may);
  }

  /** A released envelope may be one that never fitted its contract: it stays ours. */
  function fit({ contract, body }: Envelope): void {
    const problems = contracts.has(contract) ? contracts.problems(contract, body) : [];
    if (problems.length === 0) return;
    const places = problems.map(({ pointer, code }) => `${pointer || '/'} ${code}`).join('; ');
    throw new Fault('malformed', {
      ours: true,
      maybeArrived: false,
      reason: {
        code: 'contractBroken',
        zh: `报文不符合契约 ${contract}：${places}`,
        en: `the message breaks ${contract}: ${places}`,
      },
    });
  }

  async function handleFault(
    lease: Lease,
    { facts }: LiveParty,
    { fault, doubtedAt, tried }: Extract<Carried, { came: 'fault' }>,
    line: Logger,
  ): Promise<void> {
    const { envelope, attempts, firstSentAt } = lease;
    const next = outcome(fault, {
      attempts,
      inDoubt: doubtedAt !== null,
      waitUntil: waitUntil(lease.statutoryBy, firstSentAt),
      terms: facts.terms,
      now: clock.now(),
      random: clock.random(),
    });
    const told = { fault: fault.kind, code: fault.reason.code, reason: next.fault.reason.en, attempt: attempts + 1 };
    await recordFault(lease, next, { doubtedAt, tried, told }, line);
    const silent = (fault.kind === 'unreachable' || fault.kind === 'inDoubt') && !(fault instanceof NotBelievedYet);
    if (silent) void outages.failed(envelope.to, firstSentAt, fault);
    else if (tried && fault.kind !== 'busy') void outages.answered(envelope.to);
  }

  async function recordFault(
    lease: Lease,
    next: Next,
    {
      doubtedAt,
      tried,
      told,
    }: { readonly doubtedAt: Millis | null; readonly tried: boolean; readonly told: LogFields },
    line: Logger,
  ): Promise<void> {
    const { envelope } = lease;
    const { fault } = next;
    switch (next.next) {
      case 'refused': {
        const advance = routing.refused(envelope, next.fault);
        if (await recorded(lease, () => store.refused(lease, next.fault, advance), line)) line.info('refused', told);
        return;
      }
      case 'parked':
        if (await park(lease, next.fault, tried, line))
          line.error('parked: a person must look at it', { ...told, cause: fault.cause });
        return;
      case 'postponed': {
        if (next.parkLane) {
          line.error('lane stopped: our key, seal or session is not accepted', told);
          await written(lease, () => store.paused(envelope.to, 'gateway', fault.reason.zh), line);
        }
        const advance = routing.postponed(envelope, next.fault, next.notBefore);
        const when = { notBefore: next.notBefore, tried, doubtedAt: next.inDoubt ? (doubtedAt ?? clock.now()) : null };
        if (!(await recorded(lease, () => store.postponed(lease, next.fault, when, advance), line))) return;
        // Who is told to wait has not failed: the breaker's own line, or the calendar, says why.
        const level = fault.kind === 'busy' || next.parkLane ? 'debug' : 'warn';
        line[level]('waits', { ...told, until: new Date(next.notBefore).toISOString() });
      }
    }
  }

  /**
   * Writes down a word about a lease; false when another has the envelope by now. What the store takes from nobody, though it is there (the case cannot be
   * advanced: its item has gone from the catalogue, say), is put before a person. A store that is away is no reason for that, however long it takes.
   */
  async function recorded(lease: Lease, write: () => Promise<Recorded>, line: Logger): Promise<boolean> {
    try {
      return ours(await written(lease, write, line), line);
    } catch (error) {
      if (isAway(error)) throw error;
      const reason = {
        code: 'notWrittenDown',
        zh: '部门已答复，但办件无法继续，请人工处理',
        en: 'the party has answered, and the case cannot be advanced',
      };
      const fault = new Fault('malformed', { ours: true, maybeArrived: true, reason, cause: error });
      const parked = await store.parked(lease, fault, true, routing.parked(lease.envelope, fault)).catch(() => {
        throw error;
      });
      if (ours(parked, line)) line.error('parked: a person must look at it', { ...reason, reason: reason.en, error });
      return false;
    }
  }

  async function park(lease: Lease, fault: Fault, tried: boolean, line: Logger): Promise<boolean> {
    const advance = routing.parked(lease.envelope, fault);
    return ours(await written(lease, () => store.parked(lease, fault, tried, advance), line), line);
  }

  function ours(word: Recorded, line: Logger): boolean {
    if (word === 'overtaken') line.warn('overtaken: another has this envelope now, and this word is ignored');
    return word === 'recorded';
  }

  /** Again and again while the store is away, as long as this word counts: until the lease ends, or the party is disconnected by a stop. */
  async function written<T>(lease: Lease, write: () => Promise<T>, line: Logger): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await write();
      } catch (error) {
        const rest = Math.min(STORE_REST_MS.first * tries, STORE_REST_MS.most);
        const counts = clock.now() + rest < lease.until && parts.party(lease.envelope.to) !== undefined;
        if (isAway(error) ? !counts : tries >= STORE_TRIES) throw error;
        line[tries < STORE_TRIES ? 'warn' : 'debug']('the store did not take a word; trying again', { error, tries });
        await new Promise<void>((resolve) => void clock.after(rest, resolve));
      }
    }
  }
}

/** A call that begins later would outlast its lease, and somebody else would send the same envelope beside it. */
function latestBegin({ until }: Lease, { facts }: LiveParty): number {
  return until - facts.terms.deadlineMs - MARGIN_MS;
}

/** It can only wait for the party's own word; when that does not come in time, a person has to ask. */
function cannotAsk(until: Millis): Fault {
  return new Fault('inDoubt', {
    until,
    reason: {
      code: 'cannotAsk',
      zh: '是否送达不明，且无法向该部门查询，请人工核实',
      en: 'whether it arrived is not known, and this department cannot be asked: a person has to find out',
    },
  });
}

function cannotAskOfEnded(): Fault {
  return new Fault('malformed', {
    ours: true,
    maybeArrived: true,
    reason: {
      code: 'endedInDoubt',
      zh: '该环节已结束，但此前的报文是否送达不明，且无法向该部门查询，请人工核实',
      en: 'its step has ended, and whether it arrived before is not known; this department cannot be asked: a person has to find out',
    },
  });
}

/** They answer, and do not know it, so soon after it was sent: it may still be on its way inside their system. */
class NotBelievedYet extends Fault {
  constructor(until: Millis) {
    super('inDoubt', {
      until,
      reason: {
        code: 'notBelievedYet',
        zh: '对方暂未查到该报文，稍后再次查询确认',
        en: 'they do not know of it yet; they are asked again after a rest',
      },
    });
  }
}

/** The question came to nothing, and says nothing about the envelope itself: it is in doubt as before. */
function ofQuestion(fault: Fault): Fault {
  const { kind, reason } = fault;
  if (kind !== 'refused' && kind !== 'unreachable') return fault;
  return new Fault('inDoubt', {
    reason: {
      code: reason.code,
      zh: `是否送达不明，暂时无法向对方查询：${reason.zh}`,
      en: `whether it arrived is not known, and they could not be asked: ${reason.en}`,
    },
    cause: fault,
  });
}
