import type { Adapter, Deliverable, PartyFacts } from '../../contracts/ports/adapter.ts';
import type { Contracts } from '../../contracts/ports/contract.ts';
import type { Answer, ContractName } from '../../contracts/ports/envelope.ts';
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
