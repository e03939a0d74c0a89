import type {
  CaseCertificate,
  CaseEvent,
  CaseRecord,
  CaseState,
  Change,
  Decision,
  EndedCertificate,
  OutgoingEnvelope,
  Owed,
  Step,
  StepState,
  Submission,
} from '../../contracts/ports/case.ts';
import type { IssuedCertificate } from '../../contracts/ports/certificate.ts';
import type { Facts } from '../../contracts/ports/item.ts';

export const ENDED: ReadonlySet<StepState> = new Set(['DONE', 'REJECTED', 'SKIPPED']);

/** The name and idempotency key of a step's envelope: stable over resends, another one for each correction supplied. */
export function envelopeId(caseNo: string, step: Pick<Step, 'no' | 'revision'>): string {
  return `${caseNo}-${step.no}${step.revision === 1 ? '' : `.${step.revision}`}`;
}

/** A case while one happening changes it: reads show what was written before, `change()` is the difference. */
export class Draft {
  readonly record: CaseRecord;
  readonly #steps: Map<string, Step>;
  readonly #changed = new Set<string>();
  readonly #events: CaseEvent[] = [];
  readonly #outbox: OutgoingEnvelope[] = [];
  #state: CaseState;
  #decision: Decision | null;
  #submission: Submission;
  #certificates: CaseRecord['certificates'];
  #owed: readonly Owed[];
  readonly #issued: IssuedCertificate[] = [];
  readonly #endedCertificates: EndedCertificate[] = [];
  #messages: number;

  constructor(record: CaseRecord) {
    this.record = record;
    this.#steps = new Map(record.steps.map((step) => [step.no, step]));
    this.#state = record.state;
    this.#decision = record.decision;
    this.#submission = record.submission;
    this.#certificates = record.certificates;
    this.#owed = record.owed;
    this.#messages = record.messages;
  }

  get state(): CaseState {
    return this.#state;
  }
  get decision(): Decision | null {
    return this.#decision;
  }
  get submission(): Submission {
    return this.#submission;
  }
  get steps(): readonly Step[] {
    return [...this.#steps.values()];
  }

  get certificates(): CaseRecord['certificates'] {
    return this.#certificates;
  }
  get owed(): readonly Owed[] {
    return this.#owed;
  }

  step(no: string): Step | undefined {
    return this.#steps.get(no);
  }

  /** A step that has ended never changes its state again: what comes late is noted, not followed. */
  put(step: Step): void {
    const before = this.#steps.get(step.no);
    if (before !== undefined && ENDED.has(before.state) && before.state !== step.state) return;
    this.#steps.set(step.no, step);
    this.#changed.add(step.no);
  }

  become(state: CaseState): void {
    this.#state = state;
  }

  decide(decision: Decision): void {
    this.#decision = decision;
    this.#state = decision.outcome === 'withdrawn' ? 'WITHDRAWN' : 'DECIDED';
    // Nobody waits for it any more.
    this.#owed = [];
  }

  owe(owed: readonly Owed[]): void {
    this.#owed = owed;
  }

  /** From now on the steps that follow see it. What was fetched anew takes the place of what the case had of the same holder for the same material. */
  provide(certificates: CaseRecord['certificates']): void {
    const isAnew = ({ material, holder }: CaseCertificate): boolean =>
      material !== null && certificates.some((one) => one.material === material && one.holder.idNo === holder.idNo);
    this.#certificates = [...this.#certificates.filter((one) => !isAnew(one)), ...certificates];
  }

  issue(issued: IssuedCertificate): void {
    this.#issued.push(issued);
  }

  end(certificate: EndedCertificate): void {
    this.#endedCertificates.push(certificate);
  }

  supply(submission: Submission): void {
    this.#submission = submission;
  }

  note(event: CaseEvent): void {
    this.#events.push(event);
  }

  send(envelope: OutgoingEnvelope): void {
    this.#outbox.push(envelope);
  }

  /** The number of the next message to the window: they are told apart, and kept in order, by it. */
  nextMessage(): number {
    this.#messages += 1;
    return this.#messages;
  }

  facts(): Facts {
    const { caseNo, acceptedAt } = this.record;
    const certificates = this.#certificates;
    const { applicationNo, itemCode, channel, applicant, agent, form, materials } = this.#submission;
    const steps: Record<string, Facts['steps'][string]> = {};
    for (const { no, state, number, result } of this.#steps.values()) {
      if (ENDED.has(state)) steps[no] = { state, number, result };
    }
    return {
      case: { caseNo, applicationNo, itemCode, channel, acceptedAt },
      applicant,
      agent: agent ?? null,
      form,
      materials,
      certificates,
      steps,
    };
  }

  change(): Change {
    return {
      ...(this.#state === this.record.state ? {} : { state: this.#state }),
      ...(this.#decision === this.record.decision || this.#decision === null ? {} : { decision: this.#decision }),
      ...(this.#submission === this.record.submission ? {} : { submission: this.#submission }),
      ...(this.#certificates === this.record.certificates ? {} : { certificates: this.#certificates }),
      ...(this.#owed === this.record.owed ? {} : { owed: this.#owed }),
      ...(this.#issued.length === 0 ? {} : { issued: this.#issued }),
      ...(this.#endedCertificates.length === 0 ? {} : { ended: this.#endedCertificates }),
      steps: this.steps.filter((step) => this.#changed.has(step.no)),
      events: this.#events,
      outbox: this.#outbox,
    };
  }
}
