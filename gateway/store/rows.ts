import type { Selectable } from 'kysely';
import type { CaseRecord, Change, EnvelopeView, Hold, Step, StepState } from '../../contracts/ports/case.ts';
import type { Envelope, EnvelopeState } from '../../contracts/ports/envelope.ts';
import type { FaultKind } from '../../contracts/ports/fault.ts';
import type { OpenEnvelope } from '../../contracts/ports/store.ts';
import type { Place, Tables } from './tables.ts';

export type CaseRow = Selectable<Tables['cases']>;
export type EnvelopeRow = Selectable<Tables['envelopes']>;

export function caseOf(row: CaseRow): CaseRecord {
  const [promisedBy, statutoryBy] = JSON.parse(row.deadlines);
  return {
    caseNo: row.case_no,
    appKey: row.app_key,
    queryCode: row.query_code,
    submission: JSON.parse(row.submission),
    itemVersion: row.item_version,
    certificates: JSON.parse(row.certificates),
    owed: JSON.parse(row.owed),
    traceparent: row.traceparent,
    state: row.state as CaseRecord['state'],
    steps: JSON.parse(row.steps),
    acceptedAt: row.accepted_at,
    promisedBy,
    statutoryBy,
    decision: row.decision === null ? null : JSON.parse(row.decision),
    held: row.held === 0 ? null : heldOf(row.hold),
    messages: row.messages,
  };
}

/** A case that was stopped by a program which did not write down by whom. */
function heldOf(hold: string | null): Hold {
  return hold === null ? { by: '', reason: '', at: 0 } : JSON.parse(hold);
}

/** The case is as it was when this row of it was read. What only says when it is looked at next does not count. */
export function unchanged(before: CaseRow, now: CaseRow): boolean {
  return CHANGING.every((column) => before[column] === now[column]);
}

const CHANGING = [
  'state',
  'held',
  'hold',
  'messages',
  'events',
  'submission',
  'certificates',
  'steps',
  'owed',
  'decision',
] as const satisfies readonly (keyof CaseRow)[];

/** The rows by which each party of a case finds it. */
export function partiesOf({
  case_no,
  accepted_at,
  steps,
}: Pick<CaseRow, 'case_no' | 'accepted_at'> & {
  readonly steps: readonly Pick<Step, 'party'>[];
}): readonly Tables['case_parties'][] {
  return [...new Set(steps.map(({ party }) => party))].map((party) => ({ party, accepted_at, case_no }));
}

export function envelopeOf(row: EnvelopeRow): Envelope {
  return {
    id: row.id,
    caseNo: row.case_no,
    stepNo: row.step_no,
    to: row.lane,
    contract: row.contract,
    body: JSON.parse(row.body),
    traceparent: row.traceparent,
    createdAt: row.created_at,
    ...(row.first_sent_at === null ? {} : { firstSentAt: row.first_sent_at }),
  };
}

export function viewOf(row: EnvelopeRow): EnvelopeView {
  return {
    envelope: envelopeOf(row),
    state: stateAt(row.place),
    attempts: row.attempts,
    notBefore: row.not_before,
    inDoubt: row.in_doubt === 1,
    firstSentAt: row.first_sent_at,
    fault: row.fault as FaultKind | null,
    reason: row.reason === null ? null : JSON.parse(row.reason),
    number: row.number,
    updatedAt: row.updated_at,
  };
}

export const PLACES = {
  waiting: ['ready', 'asleep', 'behind', 'held'],
  leased: ['leased'],
  parked: ['parked', 'unanswered'],
  refused: ['refused'],
  cancelled: ['cancelled'],
} as const satisfies Record<Exclude<EnvelopeState, 'delivered'>, readonly Place[]>;

/** Where an envelope stands as long as it has not ended: it keeps those after it back. */
export const OPEN: readonly Place[] = [...PLACES.waiting, 'leased', 'parked'];

function stateAt(place: Place | null): EnvelopeState {
  switch (place) {
    case null:
      return 'delivered';
    case 'ready':
    case 'asleep':
    case 'behind':
    case 'held':
      return 'waiting';
    case 'unanswered':
      return 'parked';
    default:
      return place;
  }
}

export function openOf(
  row: Pick<EnvelopeRow, 'id' | 'case_no' | 'step_no' | 'lane' | 'place' | 'updated_at'>,
): OpenEnvelope {
  const { id, case_no: caseNo, step_no: stepNo, lane, place, updated_at: since } = row;
  const stands = place === 'behind' || place === 'leased' || place === 'parked' ? place : 'waiting';
  return { id, caseNo, stepNo, lane, place: stands, since };
}

/** The case as it is after the change. */
export function changed(record: CaseRecord, change: Change): CaseRecord {
  const steps = new Map(change.steps?.map((step) => [step.no, step]));
  return {
    ...record,
    state: change.state ?? record.state,
    decision: change.decision ?? (change.reopened ? null : record.decision),
    submission: change.submission ?? record.submission,
    certificates: change.certificates ?? record.certificates,
    owed: change.owed ?? record.owed,
    steps: record.steps.map((step) => steps.get(step.no) ?? step),
    messages: record.messages + change.outbox.filter(({ stepNo }) => stepNo === null).length,
  };
}

const FINAL: ReadonlySet<StepState> = new Set(['DONE', 'REJECTED', 'SKIPPED']);

/** Nothing more is expected of this step's department. */
export function ended(steps: readonly Step[], no: string | null): boolean {
  const state = steps.find((step) => step.no === no)?.state;
  return state !== undefined && FINAL.has(state);
}

/**
 * Whether an envelope may not be sent any more: its step has ended, a correction has taken its place, or its case was decided against it. What is for the
 * window belongs to no step, and is always told.
 */
export function mayNotBeSent(
  { steps, decision }: Pick<CaseRecord, 'steps' | 'decision'>,
  { id, step_no }: Pick<EnvelopeRow, 'id' | 'step_no'>,
): boolean {
  if (step_no === null) return false;
  if (decision !== null && decision.outcome !== 'approved') return true;
  const step = steps.find(({ no }) => no === step_no);
  return step !== undefined && (FINAL.has(step.state) || revisionOf(id) !== step.revision);
}

/** `331124261123000001-02.3` is the third. */
function revisionOf(id: string): number {
  const at = id.lastIndexOf('.');
  return at === -1 ? 1 : Number(id.slice(at + 1));
}
