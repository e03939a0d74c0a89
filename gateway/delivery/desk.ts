import type { EnvelopeView } from '../../contracts/ports/case.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import { type Contracts, Unfit } from '../../contracts/ports/contract.ts';
import type { Envelope, KeptMessage, Millis, Party, Reason, Receipt, Words } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Routing } from '../../contracts/ports/routing.ts';
import type { Desk } from '../../contracts/ports/services.ts';
import type { CaseReads, DeskStore } from '../../contracts/ports/store.ts';
import { answerDueAt, checkAnswer, deliverableOf, type LiveParty } from './party.ts';

export interface DeskParts {
  readonly store: DeskStore & Pick<CaseReads, 'envelope' | 'message'>;
  readonly routing: Routing;
  readonly party: (party: Party) => LiveParty | undefined;
  readonly contracts: Contracts;
  /** An answer is to be asked for then. */
  readonly expect: (at: Millis) => void;
  readonly clock: Clock;
  readonly log: Logger;
  /** Tries again what its party said about this envelope before it was known that it has it. */
  readonly rematch: (envelope: Envelope, number: string | null) => Promise<void>;
}

/** What a person does to the queue. Each is written down in the case's timeline, and survives a restart. */
export function makeDesk({ store, routing, party, contracts, expect, rematch, clock, log }: DeskParts): Desk {
  const known = (lane: Party): void => {
    if (party(lane) === undefined) throw new Unfit(404, 'partyUnknown', { zh: '没有该部门', en: 'no such department' });
  };

  async function envelopeOf(id: string): Promise<EnvelopeView> {
    const view = await store.envelope(id);
    if (view === undefined) throw unknown();
    return view;
  }

  /** What the party itself says about an envelope in doubt; undefined when it cannot be asked, or cannot say. */
  async function ask({ envelope }: EnvelopeView): Promise<Receipt | 'neverArrived' | undefined> {
    const live = party(envelope.to);
    const inquire = live?.adapter.inquire;
    if (live === undefined || inquire === undefined) return undefined;
    const { id, to, contract, traceparent } = envelope;
    try {
      return await live.guard.call(
        { group: 'deliver', name: 'inquire', write: false, attempt: 1, traceparent },
        async (call) => {
          const answer = await inquire.call(live.adapter, envelope, call);
          if (answer !== 'neverArrived' && answer.answer !== undefined)
            checkAnswer(answer.answer, deliverableOf(live.facts, contract), contracts);
          return answer;
        },
      );
    } catch (error) {
      const { kind, reason } = Fault.from(error);
      log.info('the party could not be asked before an envelope is settled; the person’s word counts', {
        envelope: id,
        party: to,
        fault: kind,
        code: reason.code,
      });
      return undefined;
    }
  }

  /** @throws Unfit 422 when it is no answer to this envelope */
  function checkFits({ answer }: KeptMessage, { to, contract }: Envelope): void {
    const live = party(to);
    if (live === undefined) return;
    try {
      checkAnswer(answer, deliverableOf(live.facts, contract), contracts);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      throw unfitEnvelope(error.reason.code, error.reason);
    }
  }

  return {
    async release(id, by) {
      const outcome = await store.released(id, (view) => routing.released(view, by));
      if (outcome === undefined) throw unknown();
      if (outcome === 'notParked')
        throw new Unfit(409, 'notParked', { zh: '该报文没有在等待人工处理', en: 'this envelope is not parked' });
      // One whose answer could not be read is asked for it again.
      expect(clock.now());
      log.info('released by a person', { envelope: id, by });
    },
    async settle(id, by, settlement) {
      const view = await envelopeOf(id);
      if (!view.inDoubt) throw notInDoubt();
      const said = await ask(view);
      const theirs = said === undefined || said === 'neverArrived' ? undefined : said;
      const own = settlement.outcome === 'filed' ? { number: settlement.number, duplicate: false } : null;
      const receipt: Receipt | null = theirs ?? own;
      const asked = theirs !== undefined ? 'there' : said === undefined ? null : 'notThere';
      const live = party(view.envelope.to);
      const answerDue =
        receipt === null || live === undefined ? null : answerDueAt(live, view.envelope, receipt, clock.now());
      const outcome = await store.settled(id, receipt, answerDue, (seen) =>
        routing.settled(seen, receipt, by, settlement.reason, asked),
      );
      if (outcome === undefined) throw unknown();
      if (outcome === 'notInDoubt') throw notInDoubt();
      if (answerDue !== null) expect(answerDue);
      log.info('settled by a person', { envelope: id, by, outcome: receipt === null ? 'notThere' : 'filed', asked });
      if (receipt !== null) await rematch(view.envelope, receipt.number);
      if (settlement.outcome === 'notThere' && theirs !== undefined)
        throw new Unfit(409, 'partyHasIt', {
          zh: `该部门答复已收到该报文${theirs.number === null ? '' : `，编号 ${theirs.number}`}；已按部门答复记为已送达，未重新发送`,
          en: `the party says that it has this envelope${theirs.number === null ? '' : `, under ${theirs.number}`}; it was settled as filed, and is not sent again`,
        });
    },
    async cancel(id, by, reason) {
      let inDoubt = false;
      const outcome = await store.cancelled(id, (view) => {
        ({ inDoubt } = view);
        return routing.cancelled(view, by, reason);
      });
      if (outcome === undefined) throw unknown();
      if (outcome === 'tooLate')
        throw new Unfit(409, 'tooLate', {
          zh: '该报文正在发送或已经结束，不能撤销',
          en: 'this envelope is on its way or has ended, and cannot be cancelled',
        });
      log[inDoubt ? 'warn' : 'info']('cancelled by a person', { envelope: id, by, inDoubt });
      return inDoubt ? [CANCELLED_IN_DOUBT] : [];
    },
    async attach(messageId, envelopeId, by, reason) {
      const stored = await store.message(messageId);
      if (stored === undefined) throw messageUnknown();
      if (stored.state === 'attached' && stored.envelopeId === envelopeId) return;
      if (stored.state !== 'unmatched') throw messageEnded();
      const { message } = stored;
      const view = await store.envelope(envelopeId);
      if (view === undefined) throw unfitEnvelope('envelopeUnknown', NO_ENVELOPE);
      if (view.envelope.to !== message.from) throw unfitEnvelope('envelopeOfOther', OTHER_PARTY);
      checkFits(message, view.envelope);
      const outcome = await store.attached(messageId, { envelopeId, by, reason }, (envelope, said) =>
        routing.attached(envelope, said, by, reason),
      );
      if (outcome === undefined) throw messageUnknown();
      if (outcome === 'ended') {
        const now = await store.message(messageId);
        if (now?.state !== 'attached' || now.envelopeId !== envelopeId) throw messageEnded();
        return;
      }
      log.info('a message was attached by a person', {
        message: messageId,
        party: message.from,
        envelope: envelopeId,
        by,
      });
    },
    async discard(messageId, by, reason) {
      const stored = await store.message(messageId);
      if (stored === undefined) throw messageUnknown();
      if (stored.state === 'discarded') return;
      const outcome = await store.discarded(messageId, by, reason);
      if (outcome === undefined) throw messageUnknown();
      if (outcome === 'ended') {
        if ((await store.message(messageId))?.state !== 'discarded') throw messageEnded();
        return;
      }
      const party = stored.state === 'unmatched' ? stored.message.from : stored.from;
      log.info('a message was discarded by a person', { message: messageId, party, by });
    },
    async pause(lane, by, reason) {
      known(lane);
      await store.paused(lane, by, reason);
      log.info('lane paused by a person', { party: lane, by });
    },
    async resume(lane, by) {
      known(lane);
      await store.resumed(lane, by);
      log.info('lane resumed by a person', { party: lane, by });
    },
    async hold(caseNo, by, reason) {
      const hold = { by, reason, at: clock.now() };
      if (!(await store.held(caseNo, hold, routing.held(true, by, reason)))) throw noCase();
      log.info('case stopped by a person', { case: caseNo, by });
    },
    async unhold(caseNo, by) {
      if (!(await store.held(caseNo, null, routing.held(false, by, '')))) throw noCase();
      log.info('case resumed by a person', { case: caseNo, by });
    },
  };
}

const CANCELLED_IN_DOUBT: Reason = {
  code: 'cancelledInDoubt',
  zh: '该报文是否已到达部门不明：部门可能已经收到并在办理，请与部门核实后用“核实”登记结果',
  en: 'whether the party has this envelope is not known: it may be working on it; find out, and settle it',
};

const NO_ENVELOPE: Words = { zh: '没有该信封', en: 'no such envelope' };
const OTHER_PARTY: Words = {
  zh: '该信封不是发给来文部门的',
  en: 'this envelope is to another party than the message is from',
};

function unfitEnvelope(code: string, { zh, en }: Words): Unfit {
  return new Unfit(422, 'unfit', { zh: '来文不能归入该信封', en: 'the message cannot be attached to this envelope' }, [
    { pointer: '/envelope', code, zh, en },
  ]);
}

const messageUnknown = (): Unfit =>
  new Unfit(404, 'messageUnknown', {
    zh: '没有该来文，或其保留时间已过',
    en: 'no such message, or its time is over',
  });
const messageEnded = (): Unfit =>
  new Unfit(409, 'messageEnded', {
    zh: '该来文已对上信封，或已由人工处理',
    en: 'this message has found its envelope, or a person has dealt with it',
  });

const unknown = (): Unfit => new Unfit(404, 'envelopeUnknown', { zh: '没有该报文', en: 'no such envelope' });
const noCase = (): Unfit => new Unfit(404, 'caseUnknown', { zh: '没有该办件', en: 'no such case' });
const notInDoubt = (): Unfit =>
  new Unfit(409, 'notInDoubt', {
    zh: '该报文是否送达没有疑问，或正在发送，无需核实',
    en: 'this envelope is in no doubt, or on its way: there is nothing to settle',
  });
