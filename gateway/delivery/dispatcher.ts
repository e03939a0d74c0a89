import type { Clock } from '../../contracts/ports/clock.ts';
import type { Contracts } from '../../contracts/ports/contract.ts';
import type { Envelope, Millis, Party, Receipt } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';
import type { Routing } from '../../contracts/ports/routing.ts';
import type { DeliveryStore, DeskStore, Lease, Recorded } from '../../contracts/ports/store.ts';
import { isAway } from './away.ts';
import { outcome } from './outcome.ts';
import { checkAnswer, deliverableOf, type LiveParty } from './party.ts';

export interface DispatcherParts {
  readonly store: DeliveryStore & Pick<DeskStore, 'paused'>;
  readonly routing: Routing;
  readonly contracts: Contracts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'delivered'>;
  readonly party: (party: Party) => LiveParty | undefined;
  /** Tries again what this party said before our own receipt was written down. */
  readonly rematch: (party: Party) => Promise<void>;
  /** Its answer is to be asked for then. */
  readonly expect: (at: Millis) => void;
}

/** What came of taking an envelope to its party. `inDoubt`: whether it may have arrived, as known before the fault. */
type Carried =
  | { readonly receipt: Receipt; readonly asked: boolean }
  | { readonly fault: Fault; readonly inDoubt: boolean };

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
  const { store, routing, contracts, clock, log, metrics } = parts;

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
    if ('fault' in carried) return fell(lease, party, carried, line);
    const { receipt, asked } = carried;
    const waits =
      deliverableOf(party.facts, envelope.contract)?.replies === 'later' &&
      (receipt.answer === undefined || receipt.answer.outcome === 'progress');
    const [firstAsk] = party.facts.terms.askAfterMs;
    const answerDue =
      waits && party.adapter.collect !== undefined && firstAsk !== undefined ? clock.now() + firstAsk : null;
    const advance = routing.delivered(envelope, receipt);
    if (!(await recorded(lease, () => store.delivered(lease, receipt, advance, answerDue), line))) return;
    if (answerDue !== null) parts.expect(answerDue);
    metrics.delivered(envelope.to, (clock.now() - envelope.createdAt) / 1_000);
    line.info('delivered', {
      number: receipt.number,
      duplicate: receipt.duplicate,
      asked,
      attempt: lease.attempts + 1,
      ms: clock.now() - started,
    });
    if (waits) await parts.rematch(envelope.to);
  }

  /** To the wire and back: first the question whether it is there already, when that is in doubt. */
  async function carry(lease: Lease, party: LiveParty): Promise<Carried> {
    const { envelope, attempts } = lease;
    const { facts, adapter, guard } = party;
    const about = {
      group: 'deliver',
      attempt: attempts + 1,
      traceparent: envelope.traceparent,
      notAfter: latestBegin(lease, party),
    } as const;
    let { inDoubt } = lease;
    let asked = false;
    /** Within the call, so that an answer that breaks its contract counts as their failure. */
    const checked = (receipt: Receipt): Receipt => {
      if (receipt.answer !== undefined) checkAnswer(receipt.answer, deliverableOf(facts, envelope.contract), contracts);
      return receipt;
    };
    try {
      fit(envelope);
      if (inDoubt && !facts.terms.idempotent) {
        const { inquire } = adapter;
        if (inquire === undefined) throw cannotAsk();
        asked = true;
        const known = await guard.call({ ...about, name: 'inquire', write: false }, async (call) => {
          const answer = await inquire.call(adapter, envelope, call);
          return answer === 'neverArrived' ? answer : checked(answer);
        });
        if (known !== 'neverArrived') return { receipt: known, asked };
        inDoubt = false;
        asked = false;
      }
      const receipt = await guard.call({ ...about, name: 'deliver', write: true }, async (call) =>
        checked(await adapter.deliver(envelope, call)),
      );
      return { receipt, asked };
    } catch (error) {
      const fault = Fault.from(error);
      return { fault: asked && fault.kind === 'refused' ? questionRefused(fault) : fault, inDoubt };
    }
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

  async function fell(
    lease: Lease,
    { facts, adapter }: LiveParty,
    { fault, inDoubt }: Extract<Carried, { fault: Fault }>,
    line: Logger,
  ): Promise<void> {
    const { envelope, attempts } = lease;
    const next = outcome(fault, {
      attempts,
      inDoubt,
      canInquire: adapter.inquire !== undefined,
      terms: facts.terms,
      now: clock.now(),
      random: clock.random(),
    });
    const told = { fault: fault.kind, code: fault.reason.code, reason: next.fault.reason.en, attempt: attempts + 1 };
    switch (next.next) {
      case 'refused': {
        const advance = routing.refused(envelope, next.fault);
        if (await recorded(lease, () => store.refused(lease, next.fault, advance), line)) line.info('refused', told);
        return;
      }
      case 'parked':
        if (await park(lease, next.fault, line))
          line.error('parked: a person must look at it', { ...told, cause: fault.cause });
        return;
      case 'postponed': {
        if (next.parkLane) {
          line.error('lane parked: our key, seal or session is not accepted', told);
          await written(lease, () => store.paused(envelope.to, 'gateway', fault.reason.zh), line);
        }
        const advance = routing.postponed(envelope, next.fault, next.notBefore);
        if (!(await recorded(lease, () => store.postponed(lease, next.fault, next, advance), line))) return;
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
      const parked = await store.parked(lease, fault, routing.parked(lease.envelope, fault)).catch(() => {
        throw error;
      });
      if (ours(parked, line)) line.error('parked: a person must look at it', { ...reason, reason: reason.en, error });
      return false;
    }
  }

  async function park(lease: Lease, fault: Fault, line: Logger): Promise<boolean> {
    const advance = routing.parked(lease.envelope, fault);
    return ours(await written(lease, () => store.parked(lease, fault, advance), line), line);
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

function cannotAsk(): Fault {
  return new Fault('inDoubt', {
    reason: {
      code: 'cannotAsk',
      zh: '无法向该部门查询是否已收到',
      en: 'this department cannot be asked whether it has it',
    },
  });
}

/** They refused the question, and have said nothing about the envelope itself. */
function questionRefused(fault: Fault): Fault {
  return new Fault('inDoubt', { reason: fault.reason, cause: fault });
}
