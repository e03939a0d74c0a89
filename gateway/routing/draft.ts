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
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Facts } from '../../contracts/ports/item.ts';

export const ENDED: ReadonlySet<StepState> = new Set(['DONE', 'REJECTED', 'SKIPPED']);
/** Codes of the reasons for which a step was skipped before anything of it was sent. */
const NOT_BEGUN: ReadonlySet<string> = new Set(['caseDecided', 'earlierRefused']);

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
  #reopened = false;
  #remade: Change['remade'];

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
    this.#replace(step);
  }

  #replace(step: Step): void {
    this.#steps.set(step.no, step);
    this.#changed.add(step.no);
  }

  /** A body that was never sent, made anew. */
  remake(id: string, body: JsonObject): void {
    this.#remade = { id, body };
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

  /** The decision is taken back, and what had not begun before it may begin. */
  reopen(): void {
    this.#decision = null;
    this.#state = 'HANDLING';
    this.#reopened = true;
    for (const step of this.steps)
      if (step.state === 'SKIPPED' && NOT_BEGUN.has(step.reason?.code ?? ''))
        this.#replace({ ...step, state: 'PENDING', reason: null });
  }

  /** Leads a step back that has ended. */
  revive(step: Step): void {
    this.#replace(step);
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
      ...(this.#reopened && this.#decision === null ? { reopened: true as const } : {}),
      ...(this.#remade === undefined ? {} : { remade: this.#remade }),
      steps: this.steps.filter((step) => this.#changed.has(step.no)),
      events: this.#events,
      outbox: this.#outbox,
    };
  }
}
