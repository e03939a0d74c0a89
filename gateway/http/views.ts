import { maskIdNo, maskName } from '../../contracts/mask.ts';
import type { CaseEvent, CaseRecord, Decision, EnvelopeView, Owed, Step } from '../../contracts/ports/case.ts';
import type {
  Certificate,
  CertificateMetadata,
  Holder,
  LedgerRow,
  Mandate,
} from '../../contracts/ports/certificate.ts';
import type { PublishedContract } from '../../contracts/ports/contract.ts';
import type { JsonObject, KeptMessage, Millis, Party, Reason, Words } from '../../contracts/ports/envelope.ts';
import type { Item, TimeLimit, WhenDown } from '../../contracts/ports/item.ts';
import type { BreakerState } from '../../contracts/ports/observe.ts';
import type { Retrieved, UseCode, Verification } from '../../contracts/ports/retrieval.ts';
import type { DepartmentView, SourceState } from '../../contracts/ports/services.ts';
import { maskValues } from '../observe/mask.ts';
import { iso, isoOrNull } from './iso.ts';

/**
 * What leaves by the API: every outward message is made here, field by field, so that a field added inside stays inside.
 * `samples/` holds each of them as it was released.
 */

/** `plain`: the caller's own case, whose people it knows. `masked`: people are told apart, not told. */
export type Sight = 'plain' | 'masked';

const words = ({ zh, en }: Words) => ({ zh, en });
const reason = (given: Reason | null) => given && { code: given.code, zh: given.zh, en: given.en };

/** An organisation, which has a credit code, is nobody's secret. */
function person({ name, idType, idNo, uscc }: JsonObject | (Holder & { readonly uscc?: string }), sight: Sight) {
  if (typeof uscc === 'string') return { ...(typeof name === 'string' ? { name } : {}), uscc };
  const shown: { name?: string; idType?: string; idNo?: string } = {};
  if (typeof name === 'string') shown.name = sight === 'plain' ? name : maskName(name);
  if (typeof idType === 'string') shown.idType = idType;
  if (typeof idNo === 'string') shown.idNo = sight === 'plain' ? idNo : maskIdNo(idNo);
  return shown;
}

/** A step as the window is told of it, here and in its notices. */
function stepOutline(of: Step) {
  return {
    no: of.no,
    title: words(of.title),
    party: of.party,
    blocking: of.blocking,
    state: of.state,
    number: of.number,
    reason: reason(of.reason),
    resumesAt: isoOrNull(of.resumesAt),
  };
}

function step(of: Step, sight: Sight) {
  return {
    no: of.no,
    title: words(of.title),
    party: of.party,
    contract: of.contract,
    blocking: of.blocking,
    state: of.state,
    revision: of.revision,
    number: of.number,
    result: sight === 'plain' || of.result === null ? of.result : maskValues(of.result),
    reason: reason(of.reason),
    since: iso(of.since),
    heardAt: isoOrNull(of.heardAt),
    resumesAt: isoOrNull(of.resumesAt),
    by: of.by ?? null,
    late: of.late === undefined ? null : late(of.late, sight),
  };
}

/** What a department said after its step had ended without it. */
function late({ answer, number, at }: NonNullable<Step['late']>, sight: Sight) {
  const result = answer?.outcome === 'done' ? answer.result : null;
  return {
    outcome: answer?.outcome ?? 'filed',
    number,
    at: iso(at),
    result: sight === 'plain' || result === null ? result : maskValues(result),
    reason: answer === null || answer.outcome === 'done' ? null : reason(answer.reason),
  };
}

function decision(of: Decision | null) {
  return of && { outcome: of.outcome, by: of.by, reason: reason(of.reason), at: iso(of.at) };
}

const provisional = ({ promisedBy, statutoryBy }: CaseRecord) => ({
  promisedBy: promisedBy.provisional,
  statutoryBy: statutoryBy.provisional,
});

/** The answer to a submission: contract `case.accepted@1`. */
export function acceptedView(record: CaseRecord, seenBefore: boolean) {
  return {
    caseNo: record.caseNo,
    queryCode: record.queryCode,
    state: record.state,
    promisedBy: iso(record.promisedBy.at),
    statutoryBy: iso(record.statutoryBy.at),
    provisional: record.promisedBy.provisional || record.statutoryBy.provisional,
    steps: record.steps.map(stepOutline),
    owed: record.owed.map(owed),
    seenBefore,
  };
}

/** A material that the case was accepted without: which, until when, and which steps wait for it; never whose. */
function owed({ material, title, due, steps, told }: Owed) {
  return { material, title: words(title), dueBy: iso(due.at), steps, told };
}

function caseHead(record: CaseRecord, item: Item | undefined, sight: Sight) {
  const { submission } = record;
  return {
    caseNo: record.caseNo,
    applicationNo: submission.applicationNo,
    itemCode: submission.itemCode,
    itemTitle: item === undefined ? null : words(item.title),
    channel: submission.channel,
    applicant: person(submission.applicant, sight),
    state: record.state,
    held: record.held !== null,
    hold: record.held && { by: record.held.by, reason: record.held.reason, at: iso(record.held.at) },
    acceptedAt: iso(record.acceptedAt),
    promisedBy: iso(record.promisedBy.at),
    statutoryBy: iso(record.statutoryBy.at),
    decision: decision(record.decision),
  };
}

/** One row of a list: what it waits for, without what the departments said. */
export function caseRow(record: CaseRecord, item: Item | undefined, sight: Sight) {
  return {
    ...caseHead(record, item, sight),
    steps: record.steps.map(({ no, party, state, reason: why }) => ({ no, party, state, reason: reason(why) })),
  };
}

/** `only`: a department sees its own steps, and of the certificates nothing. */
export function caseView(record: CaseRecord, item: Item | undefined, sight: Sight, only: Party | null = null) {
  const mine = ({ party }: Step) => only === null || party === only;
  return {
    ...caseHead(record, item, sight),
    provisional: provisional(record),
    certificates: only === null ? record.certificates.map((one) => attached(one, sight)) : [],
    owed: record.owed.map(owed),
    steps: record.steps.filter(mine).map((one) => step(one, sight)),
    ...(sight === 'plain' ? { queryCode: record.queryCode } : {}),
  };
}

function attached({ material, stepNo, holder, certificate }: CaseRecord['certificates'][number], sight: Sight) {
  const { type, title, state, identifier } = certificate;
  return { material, stepNo: stepNo ?? null, type, title, state, identifier, holder: person(holder, sight) };
}

/** Names under which `detail` of an event has a time, `Millis` as everywhere inside. */
const TIME_NAME = /^(?:at|until|since|notBefore|before)$|(?:At|Until|Since|By)$/;

/** Events hold no personal value. */
export function eventView({ at, kind, party, stepNo, reason: why, detail }: CaseEvent) {
  const shown = Object.entries(detail).map(([name, value]) =>
    typeof value === 'number' && TIME_NAME.test(name) ? [name, iso(value)] : [name, value],
  );
  return { at: iso(at), kind, party, stepNo, reason: reason(why), detail: Object.fromEntries(shown) as JsonObject };
}

const breaker = ({ state, until }: { state: BreakerState; until: Millis | null }) => ({
  state,
  until: isoOrNull(until),
});

export function departmentView(of: DepartmentView) {
  const { breakers, lane, paused, closed, quota } = of;
  return {
    party: of.party,
    title: words(of.title),
    owner: of.owner,
    version: of.version,
    breakers: {
      deliver: breaker(breakers.deliver),
      query: breaker(breakers.query),
      certificates: breaker(breakers.certificates),
    },
    lane: {
      waiting: lane.waiting,
      inFlight: lane.inFlight,
      parked: lane.parked,
      oldestWaiting: isoOrNull(lane.oldestWaiting),
      unmatched: lane.unmatched,
    },
    paused: paused && { by: paused.by, reason: paused.reason, at: iso(paused.at) },
    away: of.away && { since: iso(of.away.since), reason: reason(of.away.reason) },
    closed: { hours: closed.hours, now: closed.now, opensAt: isoOrNull(closed.opensAt) },
    quota: quota && { calls: quota.calls, per: quota.per, used: quota.used },
    lastSuccess: isoOrNull(of.lastSuccess),
    delivers: of.delivers,
    queries: of.queries,
    certificates: of.certificates,
  };
}

export function envelopeRow(view: EnvelopeView) {
  const { id, caseNo, stepNo, to, contract, createdAt } = view.envelope;
  return {
    id,
    caseNo,
    stepNo,
    to,
    contract,
    state: view.state,
    attempts: view.attempts,
    notBefore: iso(view.notBefore),
    inDoubt: view.inDoubt,
    firstSentAt: isoOrNull(view.firstSentAt),
    fault: view.fault,
    reason: reason(view.reason),
    number: view.number,
    createdAt: iso(createdAt),
    updatedAt: iso(view.updatedAt),
  };
}

/** Whoever minds the queue needs the shape of a message, not its people. */
export function envelopeView(view: EnvelopeView, warnings: readonly Reason[] = []) {
  const { body, traceparent } = view.envelope;
  return { ...envelopeRow(view), body: maskValues(body), traceparent, warnings: warnings.map((one) => reason(one)) };
}

/** A kept message that matches no envelope yet. */
export function keptView({ id, from, about, answer, at, receivedAt, problem }: KeptMessage) {
  return {
    id,
    from,
    about: 'key' in about ? { key: about.key } : { number: about.number },
    outcome: answer.outcome,
    reason: answer.outcome === 'done' ? null : reason(answer.reason),
    at: iso(at),
    receivedAt: iso(receivedAt),
    problem: reason(problem ?? MATCHES_NOTHING),
  };
}

const MATCHES_NOTHING: Reason = {
  code: 'matchesNothing',
  zh: '没有任何发给该部门的信封与其编号或键相符',
  en: 'no envelope to this party has its number or key',
};

/** What became of a kept message by a person's hand. */
export function messageEndView(id: string, state: 'attached' | 'discarded', envelope: string | null) {
  return { id, state, envelope };
}

const timeLimit = ({ limit, unit }: TimeLimit) => ({ limit, unit });

export function itemRow({ code, title, area, owner, form, promised, statutory }: Item) {
  return {
    code,
    title: words(title),
    area: words(area),
    owner: { name: owner.name, uscc: owner.uscc },
    form,
    promised: timeLimit(promised),
    statutory: timeLimit(statutory),
  };
}

function whenDown(of: WhenDown = { do: 'required' }) {
  switch (of.do) {
    case 'required':
      return { do: of.do };
    case 'asOf':
      return { do: of.do, hours: of.hours };
    case 'later':
      return { do: of.do, steps: of.steps, within: timeLimit(of.within) };
  }
}

/** A material of an item's list; what is said of the sources of its certificate is the caller's. */
function materialView<S>(
  { code, title, from, required, when, certificate }: Item['materials'][number],
  sourceView: (source: Party, type: string) => S,
) {
  return {
    code,
    title: words(title),
    from,
    required,
    conditional: when !== undefined,
    certificate:
      certificate === undefined
        ? null
        : {
            type: certificate.type,
            title: words(certificate.title),
            sources: certificate.sources.map((source) => sourceView(source, certificate.type)),
            fields: certificate.fields,
            whenDown: whenDown(certificate.whenDown),
          },
  };
}

/** What a clerk reads before the applicant speaks: which materials come by themselves, from where, and whether that works now. */
export function materialsView(item: Item, now: (source: Party, type: string) => SourceState) {
  return {
    itemCode: item.code,
    title: words(item.title),
    materials: item.materials.map((material) =>
      materialView(material, (source, type) => {
        const { title, state } = now(source, type);
        return { source, title: words(title), state };
      }),
    ),
  };
}

export function itemView(item: Item) {
  return {
    ...itemRow(item),
    basis: item.basis,
    materials: item.materials.map((material) => materialView(material, (source) => source)),
    route: item.route.map(({ no, title, party, contract, after, blocking, when }) => ({
      no,
      title: words(title),
      party,
      contract,
      after,
      blocking,
      conditional: when !== undefined,
    })),
  };
}

export function contractRow({ name, title }: PublishedContract) {
  return { name, title: words(title) };
}

/** To the caller that may have it, whole, for rights were checked and the ledger written before: contract `certificate.retrieved@1`. */
export function retrievalView(results: readonly Retrieved[], elapsedMs: number, requestId: string | undefined) {
  return {
    ...(requestId === undefined ? {} : { requestId }),
    complete: results.every(({ state }) => state !== 'unavailable'),
    elapsedMs,
    results: results.map((of) => ({
      type: of.type,
      material: of.material,
      title: words(of.title),
      holder: person(of.holder, 'plain'),
      state: of.state,
      ...(of.reason === undefined ? {} : { reason: reason(of.reason) }),
      source: of.source,
      tried: of.tried.map(({ source, outcome, ms }) => ({ source, outcome, ms })),
      fetchedAt: isoOrNull(of.fetchedAt),
      cached: of.cached,
      freshness: of.freshness,
      warnings: of.warnings,
      ...(of.certificate === undefined ? {} : { certificate: certificate(of.certificate) }),
      ...(of.file === undefined ? {} : { file: useCode(of.file) }),
      ledgerId: of.ledgerId,
    })),
  };
}

function useCode({ useCode: code, mediaType, digest, expiresAt }: UseCode) {
  return { useCode: code, mediaType, digest, expiresAt: iso(expiresAt) };
}

export function verificationView(of: Verification) {
  return {
    verdict: of.verdict,
    state: of.state,
    type: of.type,
    identifier: of.identifier,
    source: of.source,
    reason: of.reason && reason(of.reason),
    asOf: of.asOf === null ? null : iso(of.asOf),
    warnings: of.warnings,
    ledgerId: of.ledgerId,
  };
}

/** A consent on record; whoever recorded it knows the holder. */
export function mandateView(of: Mandate) {
  return {
    mandateId: of.id,
    holder: of.holderMasked,
    agent: of.agentMasked,
    itemCode: of.itemCode,
    types: of.types,
    evidence: of.evidence,
    officerId: of.officerId,
    from: iso(of.from),
    until: iso(of.until),
    revoked: of.revoked && { at: iso(of.revoked.at), by: of.revoked.by, reason: of.revoked.reason },
  };
}

function metadata(of: CertificateMetadata | undefined) {
  const { issuerCode = null, issuedOn = null, areaCode = null, version = null } = of ?? {};
  return { issuerCode, issuedOn, areaCode, version };
}

function certificate(of: Certificate) {
  return {
    type: of.type,
    identifier: of.identifier,
    number: of.number,
    title: of.title,
    holder: person(of.holder, 'plain'),
    state: of.state,
    issuer: of.issuer,
    validFrom: of.validFrom,
    validTo: of.validTo,
    metadata: metadata(of.metadata),
    fields: of.fields,
  };
}

/** The holder's hash stays inside: with it anybody could test a guessed id number. */
export function ledgerView(entry: LedgerRow) {
  return {
    id: entry.id,
    at: iso(entry.at),
    phase: entry.phase,
    of: entry.of,
    appKey: entry.appKey,
    officerId: entry.officerId,
    deptUscc: entry.deptUscc,
    windowId: entry.windowId,
    caseNo: entry.caseNo,
    applicationNo: entry.applicationNo,
    itemCode: entry.itemCode,
    material: entry.material,
    type: entry.type,
    holder: entry.holderMasked,
    use: entry.use,
    mandateId: entry.mandateId,
    basis: entry.basis,
    channel: entry.channel,
    requestId: entry.requestId,
    source: entry.source,
    state: entry.state,
    reason: entry.reason,
    cached: entry.cached,
    identifier: entry.identifier,
    digest: entry.digest,
    fields: entry.fields,
    hash: entry.hash,
  };
}
