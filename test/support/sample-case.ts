import type {
  Advance,
  CaseEvent,
  CaseRecord,
  Change,
  Hold,
  OutgoingEnvelope,
  Step,
  StepState,
} from '../../contracts/ports/case.ts';
import type { Envelope, Millis, Party } from '../../contracts/ports/envelope.ts';
import { Fault, type FaultKind } from '../../contracts/ports/fault.ts';
import type { NewCase } from '../../contracts/ports/store.ts';

export const PREFIX = '331124261123';
export const HOLD: Hold = { by: 'operator-demo', reason: 'to be looked at', at: 1 };
const words = (text: string) => ({ zh: text, en: text });
export const reason = (code: string) => ({ code, ...words(code) });
export const fault = (kind: FaultKind, maybeArrived?: boolean) =>
  new Fault(kind, { reason: reason(kind), ...(maybeArrived === undefined ? {} : { maybeArrived }) });

export const nothing: Advance = async () => ({ events: [], outbox: [] });
export const change = (more: Partial<Change>): Change => ({ events: [], outbox: [], ...more });
/** Tells when the store writes it: inside the transaction, and each time it is read there. */
export function watchedChange(change: Change, written: () => void): Change {
  return Object.defineProperty({ ...change }, 'events', {
    enumerable: true,
    get() {
      written();
      return change.events;
    },
  });
}
export const event = (kind: CaseEvent['kind'], at: Millis = 1): CaseEvent => ({
  at,
  kind,
  party: null,
  stepNo: null,
  reason: null,
  detail: {},
});

export function stepIn(record: CaseRecord, no: string, state: StepState): Step {
  const step = record.steps.find((one) => one.no === no);
  if (step === undefined) throw new Error(`no step ${no}`);
  return { ...step, state };
}

/** `suffix`: `01`, `02.2` (a step's), or `W1` (to the window, of no step). */
export function envelope(caseNo: string, suffix: string, to: Party, createdAt: Millis = 1): Envelope {
  const stepNo = suffix.startsWith('W') ? null : suffix.slice(0, 2);
  return {
    id: `${caseNo}-${suffix}`,
    caseNo,
    stepNo,
    to,
    contract: `${to}.work@1`,
    body: { of: suffix, name: '张样例' },
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    createdAt,
  };
}

export interface Sample {
  readonly applicationNo: string;
  readonly appKey?: string;
  readonly bodyHash?: string;
  readonly itemCode?: string;
  readonly acceptedAt?: Millis;
  /** One step each, `01` onwards. */
  readonly parties?: readonly Party[];
  /** [suffix, to] of the first envelopes; the first step's when left out. */
  readonly sends?: readonly (readonly [string, Party])[];
  readonly outbox?: (caseNo: string) => readonly OutgoingEnvelope[];
}

/** A new case as intake would give it to the store. */
export function newCase({
  applicationNo,
  appKey = 'window-demo',
  bodyHash = 'a'.repeat(64),
  itemCode = 'item',
  acceptedAt = 1,
  parties = ['tea-office'],
  sends = [['01', parties[0] ?? 'tea-office']],
  outbox,
}: Sample): NewCase {
  return {
    applicationNo,
    appKey,
    bodyHash,
    numberPrefix: PREFIX,
    async open(caseNo) {
      const steps = parties.map(
        (party, i): Step => ({
          no: String(i + 1).padStart(2, '0'),
          title: words(party),
          party,
          contract: `${party}.work@1`,
          blocking: true,
          state: 'PENDING',
          revision: 1,
          number: null,
          result: null,
          reason: null,
          since: acceptedAt,
          heardAt: null,
          resumesAt: null,
        }),
      );
      const record: CaseRecord = {
        caseNo,
        appKey,
        queryCode: '123456',
        submission: {
          applicationNo,
          itemCode,
          channel: 'window',
          applicant: { name: '张样例', idNo: '331124199001010011' },
          form: { house: '演示路 1 号' },
          materials: [],
        },
        certificates: [],
        itemVersion: null,
        owed: [],
        traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
        state: 'ACCEPTED',
        steps,
        acceptedAt,
        promisedBy: { at: acceptedAt + 1000, provisional: false },
        statutoryBy: { at: acceptedAt + 2000, provisional: true },
        decision: null,
        held: null,
        messages: 0,
      };
      return {
        record,
        change: {
          steps: steps.slice(0, 1).map((step) => ({ ...step, state: 'SENT' as const })),
          events: [event('accepted', acceptedAt), event('sent', acceptedAt)],
          outbox: outbox?.(caseNo) ?? sends.map(([suffix, to]) => envelope(caseNo, suffix, to, acceptedAt)),
        },
      };
    },
  };
}
