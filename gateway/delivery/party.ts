import type { Adapter, Deliverable, PartyFacts } from '../../contracts/ports/adapter.ts';
import type { Contracts } from '../../contracts/ports/contract.ts';
import type { Answer, ContractName, Envelope, Millis, Receipt } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Guard } from './guard.ts';

/** A party while it is connected. */
export interface LiveParty {
  readonly facts: PartyFacts;
  readonly adapter: Adapter;
  readonly guard: Guard;
}

export function deliverableOf(facts: PartyFacts, contract: ContractName): Deliverable | undefined {
  return facts.delivers.find((each) => each.contract === contract);
}

/** It has the envelope, and its answer is still to come. */
export function answersLater({ facts }: LiveParty, { contract }: Envelope, { answer }: Receipt): boolean {
  const later = deliverableOf(facts, contract)?.replies === 'later';
  return later && (answer === undefined || answer.outcome === 'progress');
}

/** When it is first asked for its answer; null when it is not asked. */
export function answerDueAt(live: LiveParty, envelope: Envelope, receipt: Receipt, now: Millis): Millis | null {
  const [firstAsk] = live.facts.terms.askAfterMs;
  const asked = answersLater(live, envelope, receipt) && live.adapter.collect !== undefined && firstAsk !== undefined;
  return asked ? now + firstAsk : null;
}

/** @throws Fault `malformed` (theirs) when a result breaks the contract it is under */
export function checkAnswer(answer: Answer, deliverable: Deliverable | undefined, contracts: Contracts): void {
  if (answer.outcome !== 'done' || deliverable?.result == null) return;
  const problems = contracts.problems(deliverable.result, answer.result);
  if (problems.length === 0) return;
  const places = problems.map(({ pointer, code }) => `${pointer || '/'} ${code}`).join('; ');
  throw new Fault('malformed', {
    maybeArrived: true,
    reason: {
      code: 'resultBroken',
      zh: `部门结果不符合契约 ${deliverable.result}：${places}`,
      en: `the department's result breaks ${deliverable.result}: ${places}`,
    },
  });
}
