import { localTime } from '../../contracts/local-time.ts';
import type { CaseRecord, Decision, Step } from '../../contracts/ports/case.ts';
import type { JsonObject, Millis, Party, Reason } from '../../contracts/ports/envelope.ts';
import type { Draft } from './draft.ts';

const reasonBody = (reason: Reason): JsonObject => ({ code: reason.code, zh: reason.zh, en: reason.en });

function stepBody(step: Step): JsonObject {
  return {
    no: step.no,
    title: { zh: step.title.zh, en: step.title.en },
    party: step.party,
    blocking: step.blocking,
    state: step.state,
    number: step.number,
    reason: step.reason === null ? null : reasonBody(step.reason),
    resumesAt: step.resumesAt === null ? null : localTime(step.resumesAt),
  };
}

/** What the case's steps made, each certificate once however many hold it: the window hands it out, or fetches it by its identifier. */
function issuedBodies({ certificates }: Draft): JsonObject[] {
  const issued = new Map<string, JsonObject>();
  for (const { stepNo, certificate } of certificates) {
    const { type, title, identifier, number, issuer } = certificate;
    if (stepNo !== undefined && identifier !== null)
      issued.set(identifier, { stepNo, type, title, identifier, number, issuer });
  }
  return [...issued.values()];
}

/**
 * The window is one more party: what it is told goes through its lane like any envelope.
 * `case.progress@1` when a step's state changed, `case.correction@1` when something is to be mended, `case.result@1` once, at the decision.
 */
export class Notices {
  readonly #window: Party;
  readonly #now: () => Millis;

  constructor(window: Party, now: () => Millis) {
    this.#window = window;
    this.#now = now;
  }

  progress(draft: Draft, step: Step): void {
    this.#tell(draft, 'case.progress@1', { step: stepBody(step) });
  }

  correction(draft: Draft, step: Step, asks: readonly string[]): void {
    this.#tell(draft, 'case.correction@1', { step: stepBody(step), asks: [...asks] });
  }

  result(draft: Draft, decision: Decision): void {
    this.#tell(draft, 'case.result@1', {
      outcome: decision.outcome,
      by: decision.by,
      reason: decision.reason === null ? null : reasonBody(decision.reason),
      steps: draft.steps.map((step) => ({ ...stepBody(step), result: step.result })),
      certificates: issuedBodies(draft),
    });
  }

  #tell(draft: Draft, contract: string, about: JsonObject): void {
    const now = this.#now();
    const sequence = draft.nextMessage();
    const { caseNo, traceparent } = draft.record satisfies CaseRecord;
    draft.send({
      id: `${caseNo}-W${sequence}`,
      caseNo,
      stepNo: null,
      to: this.#window,
      contract,
      body: {
        caseNo,
        applicationNo: draft.submission.applicationNo,
        itemCode: draft.submission.itemCode,
        sequence,
        at: localTime(now),
        state: draft.state,
        ...about,
      },
      traceparent,
      createdAt: now,
    });
  }
}
