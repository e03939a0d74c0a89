import { setTimeout as rest } from 'node:timers/promises';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Contracts } from '../../contracts/ports/contract.ts';
import type { Envelope, Party, Receipt } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';
import type { Routing } from '../../contracts/ports/routing.ts';
import type { CaseStore, DeliveryStore, DeskStore, Lease } from '../../contracts/ports/store.ts';
import { outcome } from './outcome.ts';
import { checkAnswer, deliverableOf, type LiveParty } from './party.ts';

export interface DispatcherParts {
  readonly store: DeliveryStore & Pick<DeskStore, 'paused'> & Pick<CaseStore, 'rematch'>;
  readonly routing: Routing;
  readonly contracts: Contracts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'delivered'>;
  readonly party: (party: Party) => LiveParty | undefined;
}

/** Not enough time left to send and to hear: the lease is let run out instead. */
const MARGIN_MS = 500;
/** How often a store that is away is tried again before the word is given up and the lease left to run out. */
const STORE_TRIES = 6;
const STORE_REST_MS = 250;

/**
 * Takes one leased envelope to its party and writes down what became of it. Never rejects: what cannot be written leaves the lease to run out, and whoever
 * leases the envelope next is told that it is in doubt.
 */
export function makeDispatcher(parts: DispatcherParts): (lease: Lease) => Promise<void> {
  const { store, routing, contracts, clock, log, metrics } = parts;

  return async (lease) => {
    const { envelope } = lease;
    const fields = {
      envelope: envelope.id,
      party: envelope.to,
      contract: envelope.contract,
      traceparent: envelope.traceparent,
    };
    const party = parts.party(envelope.to);
    try {
      if (party === undefined || clock.now() + MARGIN_MS >= lease.until) {
        await store.returned(lease);
        return;
      }
      const line = log.with(fields);
      const started = clock.now();
      const { receipt, asked } = await carry(lease, party);
      if (receipt instanceof Failed) return await fell(lease, party, receipt, line);
      const { terms } = party.facts;
      const later = deliverableOf(party.facts, envelope.contract)?.replies === 'later' && receipt.answer === undefined;
      const [firstAsk] = terms.askAfterMs;
      const answerDue =
        later && party.adapter.collect !== undefined && firstAsk !== undefined ? clock.now() + firstAsk : null;
      const recorded = await written(
        () => store.delivered(lease, receipt, routing.delivered(envelope, receipt), answerDue),
        line,
      );
      if (recorded !== 'recorded') return;
      metrics.delivered(envelope.to, (clock.now() - envelope.createdAt) / 1_000);
      line.info('delivered', {
        number: receipt.number,
        duplicate: receipt.duplicate,
        asked,
        attempt: lease.attempts + 1,
        ms: clock.now() - started,
      });
      // What they said before our own receipt was written has been kept, and fits now.
      if (later) await store.rematch(envelope.to, (about, message) => routing.answered(about, message));
    } catch (error) {
      log.error('an envelope could not be written down; its lease runs out and it is looked at again', {
        ...fields,
        error,
      });
    }
  };

  /** To the wire and back: first the question whether it is there already, when that is in doubt. */
  async function carry(
    { envelope, inDoubt, attempts }: Lease,
    { facts, adapter, guard }: LiveParty,
  ): Promise<{ receipt: Receipt | Failed; asked: boolean }> {
    const about = { group: 'deliver', attempt: attempts + 1, traceparent: envelope.traceparent } as const;
    let doubt = inDoubt;
    let asked = false;
    try {
      fit(envelope);
      if (doubt && !facts.terms.idempotent) {
        const { inquire } = adapter;
        if (inquire === undefined)
          throw new Fault('inDoubt', {
            reason: {
              code: 'cannotAsk',
              zh: '无法向该部门查询是否已收到',
              en: 'this department cannot be asked whether it has it',
            },
          });
        asked = true;
        const known = await guard.call({ ...about, name: 'inquire', write: false }, (call) =>
          inquire.call(adapter, envelope, call),
        );
        if (known !== 'neverArrived') {
          if (known.answer !== undefined) checkAnswer(known.answer, deliverableOf(facts, envelope.contract), contracts);
          return { receipt: known, asked };
        }
        doubt = false;
      }
      const receipt = await guard.call({ ...about, name: 'deliver', write: true }, (call) =>
        adapter.deliver(envelope, call),
      );
      if (receipt.answer !== undefined) checkAnswer(receipt.answer, deliverableOf(facts, envelope.contract), contracts);
      return { receipt, asked };
    } catch (error) {
      return { receipt: new Failed(Fault.from(error), doubt), asked };
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
    { fault, doubt }: Failed,
    line: Logger,
  ): Promise<void> {
    const { envelope, attempts } = lease;
    const next = outcome(fault, {
      attempts,
      inDoubt: doubt,
      canInquire: adapter.inquire !== undefined,
      terms: facts.terms,
      now: clock.now(),
      random: clock.random(),
    });
    const told = { fault: fault.kind, code: fault.reason.code, reason: next.fault.reason.en, attempt: attempts + 1 };
    switch (next.next) {
      case 'refused':
        line.info('refused', told);
        await written(() => store.refused(lease, next.fault, routing.refused(envelope, next.fault)), line);
        return;
      case 'parked':
        line.error('parked: a person must look at it', { ...told, cause: fault.cause });
        await written(() => store.parked(lease, next.fault, routing.parked(envelope, next.fault)), line);
        return;
      case 'postponed':
        if (next.parkLane) {
          line.error('lane parked: our key, seal or session is not accepted', told);
          await written(() => store.paused(envelope.to, 'gateway', fault.reason.zh), line);
        } else line.warn('waits', { ...told, until: new Date(next.notBefore).toISOString() });
        await written(
          () => store.postponed(lease, next.fault, next, routing.postponed(envelope, next.fault, next.notBefore)),
          line,
        );
    }
  }

  async function written<T>(write: () => Promise<T>, line: Logger): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        const recorded = await write();
        if (recorded === 'overtaken') line.warn('overtaken: another has this envelope now, and this word is ignored');
        return recorded;
      } catch (error) {
        if (tries >= STORE_TRIES) throw error;
        line.warn('the store did not take a word; trying again', { error, tries });
        await rest(STORE_REST_MS * tries);
      }
    }
  }
}

class Failed {
  readonly fault: Fault;
  /** Whether it may have arrived, as known before this fault. */
  readonly doubt: boolean;
  constructor(fault: Fault, doubt: boolean) {
    this.fault = fault;
    this.doubt = doubt;
  }
}
