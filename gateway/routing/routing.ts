import { isSupplied } from '../../contracts/materials.ts';
import type { Deliverable } from '../../contracts/ports/adapter.ts';
import {
  type Advance,
  type CaseEvent,
  type CaseRecord,
  type Change,
  GATEWAY,
  type OutgoingEnvelope,
  type Owed,
  type Step,
  type Submission,
  type Supplied,
} from '../../contracts/ports/case.ts';
import type { Holder } from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import { type Contracts, Unfit } from '../../contracts/ports/contract.ts';
import type {
  Answer,
  ContractName,
  Envelope,
  JsonObject,
  Message,
  Millis,
  Party,
  Reason,
  Receipt,
} from '../../contracts/ports/envelope.ts';
import { CLOSED_HOURS, type Fault, QUOTA_USED_UP } from '../../contracts/ports/fault.ts';
import { type Catalogue, type Item, ItemUnusable, itemOfCase, type RouteStep } from '../../contracts/ports/item.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Routing } from '../../contracts/ports/routing.ts';
import { Draft, ENDED, envelopeId } from './draft.ts';
import { issuedBy } from './issued.ts';
import { Notices } from './notice.ts';

export interface RoutingParts {
  readonly catalogue: Catalogue;
  readonly contracts: Contracts;
  readonly clock: Clock;
  /** The acceptance platform's party. */
  readonly window: Party;
  /** How a party answers to a contract; undefined when it is not connected (any more). */
  readonly deliverable: (party: Party, contract: ContractName) => Deliverable | undefined;
  /** How whatever is kept names a holder. */
  readonly hashOf: (idNo: string) => string;
  readonly log: Logger;
}

/** What happens to a case before a department has said anything, and what its applicant does to it. */
export interface CaseRouting {
  opened(record: CaseRecord): Promise<Change>;
  /**
   * `read`: the case as the correction was made from it. `supplied` left out: what is handed in is all of the submission, and nothing was fetched for it.
   * @throws Unfit 409 `changedMeanwhile` when another correction came between; nothing of either is lost by making it again
   */
  supplied(submission: Submission, read: CaseRecord, supplied?: Supplied): Advance;
  withdrawn(by: string, reason: string): Advance;
  /** Certificates that were owed have come. */
  provided(certificates: CaseRecord['certificates']): Advance;
  /** What is owed cannot be had, or its time is over: the clerk is told, once. */
  materialsAsked(missing: readonly { readonly owed: Owed; readonly reason: Reason }[]): Advance;
}

/** What a correction is made from has not changed. */
const sameBasis = (one: CaseRecord, other: CaseRecord): boolean =>
  JSON.stringify([one.submission, one.owed, one.certificates]) ===
  JSON.stringify([other.submission, other.owed, other.certificates]);

const UNHEARD: ReadonlySet<Step['state']> = new Set(['SENT', 'WAITING', 'PARKED']);

/** Nothing says that its department has it. */
const mayBeUnsent = ({ state, number }: Step): boolean =>
  number === null && (state === 'SENT' || state === 'WAITING' || state === 'PARKED');

/** Something is to be mended by a department's word, or to be brought because it could not be fetched. */
const awaitsApplicant = ({ steps, owed }: Draft): boolean =>
  steps.some(({ state }) => state === 'CORRECTING') || owed.some(({ told }) => told);

const stepGone = ({ no }: Step): Reason => ({
  code: 'stepGone',
  zh: `事项目录中该事项已没有环节 ${no}`,
  en: `the item in the catalogue has no step ${no} any more`,
});

const laterStep = (no: string): Reason => ({
  code: 'stepUnknown',
  zh: `事项目录要求先办环节 ${no}，而本办件受理时没有该环节`,
  en: `the item wants step ${no} first, which this case was accepted without`,
});

const CASE_DECIDED: Reason = {
  code: 'caseDecided',
  zh: '办件已作出决定，本环节不再启动',
  en: 'the case was decided before this step began',
};

const same = (owed: Owed, material: string | null, holder: Holder): boolean =>
  owed.material === material && owed.holder.idNo === holder.idNo;

const BY_APPOINTMENT: readonly string[] = [CLOSED_HOURS, QUOTA_USED_UP];

/**
 * Whether whoever was told of the one wait knows of the other. In an outage silence, a refused connection and an open breaker take turns at every try, for days: they
 * are one wait, and another only when the party is closed or its quota used up, or does not accept who we are.
 */
function isSameWait(before: Reason, { kind, reason: { code } }: Fault): boolean {
  if (before.code === code) return true;
  return kind !== 'unauthorized' && !BY_APPOINTMENT.includes(before.code) && !BY_APPOINTMENT.includes(code);
}

/**
 * The route of a case as a pure function of what happened: each method gives the `Advance` that the store runs inside the
 * transaction of that happening, so that a step's end and the next step's envelope are one commit.
 *
 *   a step begins       when every step in its `after` is DONE or SKIPPED, and its `when` holds (else it is SKIPPED)
 *   a blocking refusal  decides the case with that department's reason; steps that have not begun never do
 *   a non-blocking end  is told to the window and changes nothing else
 *   the last blocking   step that is done decides the case: approved
 *   a material owed     keeps back the steps that need it, and no others, until it is fetched or brought
 *   a step done         registers the certificates that its result is, and ends those that are no longer true
 */
export function makeRouting({
  catalogue,
  contracts,
  clock,
  window,
  deliverable,
  hashOf,
  log,
}: RoutingParts): Routing & CaseRouting {
  const notices = new Notices(window, () => clock.now());

  function note(
    draft: Draft,
    kind: CaseEvent['kind'],
    party: Party | null,
    stepNo: string | null,
    reason: Reason | null = null,
    detail: JsonObject = {},
  ): void {
    draft.note({ at: clock.now(), kind, party, stepNo, reason, detail });
  }

  /** Changes a step's state and tells the window. */
  function move(draft: Draft, step: Step, to: Partial<Step> & Pick<Step, 'state'>): Step {
    const moved: Step = { ...step, reason: null, resumesAt: null, ...to, since: clock.now() };
    draft.put(moved);
    return moved;
  }

  /** The item of the case, or why there is none that can be used. */
  async function usableItem(draft: Draft): Promise<Item | ItemUnusable> {
    try {
      return await itemOfCase(catalogue, draft.record);
    } catch (error) {
      if (error instanceof ItemUnusable) return error;
      throw error;
    }
  }

  async function send(draft: Draft, step: Step, planned: RouteStep): Promise<void> {
    const envelope = await addressed(draft, step, planned);
    draft.send(envelope);
    if (envelope.parked === undefined) {
      move(draft, step, { state: 'SENT' });
      note(draft, 'sent', step.party, step.no, null, { envelope: envelope.id });
    } else {
      notices.progress(draft, move(draft, step, { state: 'PARKED', reason: envelope.parked.reason }));
      note(draft, 'parked', step.party, step.no, envelope.parked.reason, { envelope: envelope.id });
    }
  }

  /** The envelope of a step; parked at once when our own mapping cannot make what the contract asks. */
  async function addressed(draft: Draft, step: Step, planned: RouteStep): Promise<OutgoingEnvelope> {
    const { caseNo, traceparent } = draft.record;
    const envelope = {
      id: envelopeId(caseNo, step),
      caseNo,
      stepNo: step.no,
      to: step.party,
      contract: step.contract,
      traceparent,
      createdAt: clock.now(),
    };
    const park = (reason: Reason, body: JsonObject): OutgoingEnvelope => ({
      ...envelope,
      body,
      parked: { kind: 'malformed', reason },
    });
    let body: JsonObject;
    try {
      body = await planned.map(draft.facts());
    } catch (error) {
      if (error instanceof ItemUnusable) return park(error.reason, {});
      return park(
        {
          code: 'mappingFailed',
          zh: '事项映射无法生成该部门所需报文',
          en: `the item's mapping could not make ${step.contract}`,
        },
        {},
      );
    }
    if (!contracts.has(step.contract)) {
      return park(
        {
          code: 'contractUnknown',
          zh: `契约 ${step.contract} 未发布`,
          en: `contract ${step.contract} is not published`,
        },
        body,
      );
    }
    const problems = contracts.problems(step.contract, body);
    if (problems.length === 0) return { ...envelope, body };
    const places = problems.map(({ pointer, code }) => `${pointer || '/'} ${code}`).join('; ');
    return park(
      {
        code: 'contractBroken',
        zh: `报文不符合契约 ${step.contract}：${places}`,
        en: `the message breaks ${step.contract}: ${places}`,
      },
      body,
    );
  }

  /** Begins every step whose turn has come, until none is left: a skipped step may let the next one begin. */
  async function begin(draft: Draft): Promise<void> {
    const item = await usableItem(draft);
    if (item instanceof ItemUnusable) return standStill(draft, item);
    for (let again = true; again; ) {
      again = false;
      for (const planned of item.route) {
        const step = draft.step(planned.no);
        if (step?.state !== 'PENDING') continue;
        const before = planned.after.map((no) => draft.step(no)?.state);
        const skip = (reason: Reason | null): void => {
          move(draft, step, { state: 'SKIPPED', reason });
          note(draft, 'skipped', step.party, step.no, reason);
          again = true;
        };
        if (draft.decision !== null && draft.decision.outcome !== 'approved') {
          skip(CASE_DECIDED);
        } else if (before.includes('REJECTED')) {
          skip({
            code: 'earlierRefused',
            zh: '前置环节未通过，本环节不再启动',
            en: 'a step before this one was refused',
          });
        } else if (before.every((state) => state === undefined || state === 'DONE' || state === 'SKIPPED')) {
          const missing = planned.after.find((no) => draft.step(no) === undefined);
          if (missing !== undefined) {
            park(draft, step, laterStep(missing));
            continue;
          }
          const owed = draft.owed.filter(({ steps }) => steps.includes(step.no));
          if (planned.when !== undefined && !(await holds(planned, draft))) skip(null);
          else if (owed.length > 0) waitFor(draft, step, owed);
          else await send(draft, step, planned);
        }
      }
    }
    const known = new Set(item.route.map(({ no }) => no));
    for (const step of draft.steps)
      if (step.state === 'PENDING' && !known.has(step.no)) park(draft, step, stepGone(step));
  }

  /**
   * Without its item nobody can say which step comes next, or what it sends: so the next by number is put before a person, once nothing else is under way.
   */
  function standStill(draft: Draft, { reason }: ItemUnusable): void {
    const pending = draft.steps.filter(({ state }) => state === 'PENDING');
    if (draft.decision !== null && draft.decision.outcome !== 'approved') {
      for (const step of pending) {
        move(draft, step, { state: 'SKIPPED', reason: CASE_DECIDED });
        note(draft, 'skipped', step.party, step.no, CASE_DECIDED);
      }
      return;
    }
    if (draft.steps.some(({ state }) => state !== 'PENDING' && !ENDED.has(state))) return;
    const next = pending.find(({ no }) => !draft.owed.some(({ steps }) => steps.includes(no)));
    if (next !== undefined) park(draft, next, reason);
  }

  /** Instead of an envelope that cannot be made: one without a body, in the person's queue. */
  function park(draft: Draft, step: Step, reason: Reason): void {
    const { caseNo, traceparent } = draft.record;
    const id = envelopeId(caseNo, step);
    const { no: stepNo, party: to, contract } = step;
    const envelope = { id, caseNo, stepNo, to, contract, traceparent, createdAt: clock.now(), body: {} };
    draft.send({ ...envelope, parked: { kind: 'malformed', reason } });
    notices.progress(draft, move(draft, step, { state: 'PARKED', reason }));
    note(draft, 'parked', to, stepNo, reason, { envelope: id });
  }

  /** It stays where it is, and says what for. */
  function waitFor(draft: Draft, step: Step, owed: readonly Owed[]): void {
    const materials = [...new Map(owed.map(({ material, title }) => [material, title]))];
    const reason: Reason = {
      code: 'materialOwed',
      zh: `等待补齐材料：${materials.map(([code, title]) => `${code} ${title.zh}`).join('、')}`,
      en: `waits for materials owed: ${materials.map(([code, title]) => `${code} ${title.en}`).join(', ')}`,
    };
    if (step.reason?.code === reason.code && step.reason.en === reason.en) return;
    const waiting = move(draft, step, { state: 'PENDING', reason });
    note(draft, 'waiting', step.party, step.no, reason);
    notices.progress(draft, waiting);
  }

  /**
   * What a step's end means for certificates. It must not undo the step: a mapping that fails rings, and the department's own copy is found at the department.
   */
  async function certify(draft: Draft, step: Step): Promise<void> {
    const { caseNo } = draft.record;
    const about = { caseNo, stepNo: step.no, at: clock.now(), hashOf };
    try {
      const planned = (await itemOfCase(catalogue, draft.record)).route.find(({ no }) => no === step.no);
      for (const { type, holders, number } of planned?.ends ?? []) {
        const facts = draft.facts();
        const ended = number === undefined ? null : await number(facts);
        for (const holder of (await holders(facts)) as unknown as readonly Holder[])
          draft.end({ stepNo: step.no, type, holderHash: hashOf(holder.idNo), number: ended });
      }
      for (const issue of planned?.issues ?? []) {
        const issued = issuedBy(issue, await issue.map(draft.facts()), about);
        for (const one of issued) draft.issue(one);
        draft.provide(
          issued.map(({ certificate }) => ({
            material: null,
            stepNo: step.no,
            holder: certificate.holder,
            certificate,
          })),
        );
        const [first] = issued;
        if (first !== undefined)
          note(draft, 'issued', step.party, step.no, null, {
            type: issue.type,
            identifier: first.certificate.identifier,
            holders: issued.length,
          });
      }
    } catch (error) {
      log.error('what a step issued could not be registered', { caseNo, step: step.no, error });
    }
  }

  /** A condition that cannot be evaluated holds: the department, or a person, decides, and nothing is left out silently. */
  async function holds(planned: RouteStep, draft: Draft): Promise<boolean> {
    try {
      return (await planned.when?.(draft.facts())) ?? true;
    } catch {
      return true;
    }
  }

  /** The case was decided while it waited to be sent: it is sent no more, and if it is in doubt its department is still asked. */
  function leaveOut(draft: Draft, step: Step): void {
    const reason: Reason = {
      code: 'caseDecidedMeanwhile',
      zh: '办件已作出决定，本环节不再发送',
      en: 'the case was decided before this step was sent',
    };
    move(draft, step, { state: 'SKIPPED', reason });
    note(draft, 'skipped', step.party, step.no, reason);
  }

  /** After any step's end: the decision, if it has come to that, and what may begin. */
  async function proceed(draft: Draft): Promise<void> {
    if (draft.decision === null) {
      const refused = draft.steps.find((step) => step.blocking && step.state === 'REJECTED');
      if (refused !== undefined) {
        const by = refused.by ?? refused.party;
        draft.decide({ outcome: 'refused', by, reason: refused.reason, at: clock.now() });
        note(draft, 'decided', refused.party, refused.no, refused.reason, { outcome: 'refused', by });
        for (const step of draft.steps) if (mayBeUnsent(step)) leaveOut(draft, step);
      }
    }
    const undecided = draft.decision === null;
    await begin(draft);
    if (
      undecided &&
      draft.steps.filter((step) => step.blocking).every((step) => step.state === 'DONE' || step.state === 'SKIPPED')
    ) {
      draft.decide({ outcome: 'approved', by: null, reason: null, at: clock.now() });
      note(draft, 'decided', null, null, null, { outcome: 'approved' });
    }
    if (draft.decision !== null && draft.decision !== draft.record.decision) notices.result(draft, draft.decision);
  }

  async function answered(draft: Draft, step: Step, answer: Answer, at: Millis | null): Promise<void> {
    const heardAt = at ?? step.heardAt;
    if (
      at !== null &&
      step.heardAt !== null &&
      at < step.heardAt &&
      answer.outcome !== 'done' &&
      answer.outcome !== 'refused'
    ) {
      note(draft, 'answered', step.party, step.no, null, { outcome: answer.outcome, stale: true });
      return;
    }
    switch (answer.outcome) {
      case 'done': {
        const done = move(draft, step, { state: 'DONE', result: answer.result, heardAt });
        note(draft, 'answered', step.party, step.no, null, { outcome: 'done', number: done.number });
        if (draft.state === 'CORRECTING' && !awaitsApplicant(draft)) draft.become('HANDLING');
        await certify(draft, done);
        notices.progress(draft, done);
        return proceed(draft);
      }
      case 'refused': {
        const rejected = move(draft, step, { state: 'REJECTED', reason: answer.reason, heardAt });
        note(draft, 'refused', step.party, step.no, answer.reason);
        notices.progress(draft, rejected);
        return proceed(draft);
      }
      case 'correction': {
        const correcting = move(draft, step, { state: 'CORRECTING', reason: answer.reason, heardAt });
        draft.become('CORRECTING');
        note(draft, 'correctionAsked', step.party, step.no, answer.reason, { asks: [...answer.asks] });
        notices.correction(draft, correcting, answer.asks);
        return;
      }
      case 'progress': {
        note(draft, 'answered', step.party, step.no, answer.reason, { outcome: 'progress' });
        // Who works on it has it, whatever we knew of that.
        if (UNHEARD.has(step.state))
          notices.progress(draft, move(draft, { ...step, heardAt }, { state: 'WAITING_RECEIPT' }));
        else draft.put({ ...step, heardAt });
      }
    }
  }

  /**
   * A department's word about a step that has ended without it. It is kept and shown, and moves nothing; where the end was ours and not the department's, a
   * person has to look.
   */
  function keepLate(draft: Draft, envelope: Envelope, answer: Answer | null, number: string | null): void {
    const step = envelope.stepNo === null ? undefined : draft.step(envelope.stepNo);
    note(draft, 'answered', envelope.to, envelope.stepNo, null, {
      outcome: answer?.outcome ?? 'filed',
      late: true,
      envelope: envelope.id,
    });
    if (step === undefined || !ENDED.has(step.state)) return;
    const settled = step.state === 'DONE' || (step.state === 'REJECTED' && step.by === undefined);
    draft.put({
      ...step,
      number: step.number ?? number,
      ...(settled ? {} : { late: { answer, number, at: clock.now() } }),
    });
    if (!settled)
      log.error('a party has what was withdrawn or cancelled here: a person must look at it', {
        party: envelope.to,
        envelope: envelope.id,
        outcome: answer?.outcome ?? 'filed',
      });
  }

  /**
   * The step an envelope speaks for, while it still can be moved; otherwise only the event is noted: the step has ended,
   * or a correction has since taken this envelope's place.
   */
  function current(draft: Draft, envelope: Envelope): Step | undefined {
    const step = envelope.stepNo === null ? undefined : draft.step(envelope.stepNo);
    if (step === undefined || ENDED.has(step.state) || envelopeId(draft.record.caseNo, step) !== envelope.id)
      return undefined;
    return step;
  }

  /** A department's word about an envelope that it has. */
  async function heard(draft: Draft, envelope: Envelope, { about, answer, at }: Message): Promise<void> {
    const number = 'number' in about ? about.number : null;
    const step = current(draft, envelope);
    if (step === undefined) return keepLate(draft, envelope, answer, number);
    if (draft.state === 'ACCEPTED') draft.become('HANDLING');
    return answered(draft, number === null ? step : { ...step, number }, answer, at);
  }

  /** Its department has it, and has perhaps decided at once. */
  async function received(draft: Draft, step: Step, envelope: Envelope, receipt: Receipt): Promise<void> {
    if (draft.state === 'ACCEPTED') draft.become('HANDLING');
    const numbered: Step = { ...step, number: receipt.number ?? step.number };
    draft.put(numbered);
    const replies = deliverable(envelope.to, envelope.contract)?.replies ?? 'later';
    if (receipt.answer !== undefined) return answered(draft, numbered, receipt.answer, null);
    if (replies === 'never') return answered(draft, numbered, { outcome: 'done', result: {} }, null);
    // An answer that came before our own commit has already moved the step on (or asked for a correction).
    if (step.state !== 'CORRECTING')
      notices.progress(draft, move(draft, numbered, { state: replies === 'later' ? 'WAITING_RECEIPT' : 'ACKED' }));
  }

  /**
   * A step that a person had cancelled, and that its department has after all: it goes on as if it had not been cancelled, with what the department has said
   * since. @throws Unfit 409 when the case was decided meanwhile by more than this
   */
  async function takeBackCancel(draft: Draft, envelope: Envelope, step: Step, receipt: Receipt): Promise<void> {
    if (draft.decision !== null) {
      const lost = draft.steps.some(({ blocking, reason }) => blocking && reason?.code === 'caseDecidedMeanwhile');
      if (draft.decision.by !== GATEWAY || lost)
        throw new Unfit(409, 'alreadyDecided', {
          zh: '办件已作出决定，无法恢复该环节；部门的答复已记录在环节上',
          en: 'the case is decided, and this step cannot be taken up again; what the department said is kept with the step',
        });
      draft.reopen();
      note(draft, 'reopened', step.party, step.no, null, { envelope: envelope.id });
    }
    const { late, by: _, ...rest } = step;
    const revived: Step = { ...rest, state: 'SENT', reason: null, since: clock.now() };
    draft.revive(revived);
    const answer = receipt.answer ?? late?.answer ?? null;
    return received(draft, revived, envelope, { ...receipt, ...(answer === null ? {} : { answer }) });
  }

  /** @throws Unfit 409 when our own mapping spoils it still */
  async function remake(draft: Draft, step: Step): Promise<void> {
    const stillSpoilt = (reason: Reason) => new Unfit(409, 'stillSpoilt', reason);
    const item = await usableItem(draft);
    if (item instanceof ItemUnusable) throw stillSpoilt(item.reason);
    const planned = item.route.find(({ no }) => no === step.no);
    if (planned === undefined) throw stillSpoilt(stepGone(step));
    const { id, body, parked } = await addressed(draft, step, planned);
    if (parked !== undefined) throw stillSpoilt(parked.reason);
    draft.remake(id, body);
  }

  const advance =
    (how: (draft: Draft) => Promise<void> | void): Advance =>
    async (record) => {
      const draft = new Draft(record);
      await how(draft);
      return draft.change();
    };

  return {
    async opened(record) {
      const draft = new Draft(record);
      note(draft, 'accepted', null, null, null, {
        itemCode: draft.submission.itemCode,
        channel: draft.submission.channel,
      });
      for (const [material, owed] of new Map(draft.owed.map((owed) => [owed.material, owed])))
        note(draft, 'owed', null, null, owed.reason, { material, until: owed.due.at });
      await proceed(draft);
      return draft.change();
    },

    delivered: (envelope, receipt) =>
      advance(async (draft) => {
        if (envelope.stepNo === null)
          return note(draft, 'told', envelope.to, null, null, { envelope: envelope.id, contract: envelope.contract });
        note(draft, 'delivered', envelope.to, envelope.stepNo, null, {
          envelope: envelope.id,
          number: receipt.number,
          duplicate: receipt.duplicate,
        });
        const step = current(draft, envelope);
        if (step === undefined) return keepLate(draft, envelope, receipt.answer ?? null, receipt.number);
        return received(draft, step, envelope, receipt);
      }),

    answered: (envelope, message) => advance((draft) => heard(draft, envelope, message)),

    attached: (envelope, message, by, why) =>
      advance((draft) => {
        note(
          draft,
          'attached',
          envelope.to,
          envelope.stepNo,
          { code: 'attached', zh: `人工归入：${why}`, en: `attached by a person: ${why}` },
          { by, envelope: envelope.id, outcome: message.answer.outcome },
        );
        const known = envelope.stepNo === null ? null : (draft.step(envelope.stepNo)?.number ?? null);
        // A number under which nothing was found is not the one that the department gave.
        return heard(draft, envelope, known === null ? message : { ...message, about: { key: envelope.id } });
      }),

    refused: (envelope, fault) =>
      advance((draft) => {
        const step = current(draft, envelope);
        if (step === undefined)
          return note(draft, 'refused', envelope.to, envelope.stepNo, fault.reason, { envelope: envelope.id });
        if (draft.state === 'ACCEPTED') draft.become('HANDLING');
        return answered(draft, step, { outcome: 'refused', reason: fault.reason }, null);
      }),

    postponed: (envelope, fault, notBefore) =>
      advance((draft) => {
        const step = current(draft, envelope);
        if (step === undefined) return;
        const waited = step.state === 'WAITING';
        const told = waited && step.reason !== null && isSameWait(step.reason, fault);
        const waiting: Step = {
          ...step,
          state: 'WAITING',
          reason: fault.reason,
          resumesAt: notBefore,
          since: waited ? step.since : clock.now(),
        };
        draft.put(waiting);
        if (told) return;
        note(draft, 'waiting', envelope.to, envelope.stepNo, fault.reason, { fault: fault.kind, until: notBefore });
        notices.progress(draft, waiting);
      }),

    parked: (envelope, fault) =>
      advance((draft) => {
        note(draft, 'parked', envelope.to, envelope.stepNo, fault.reason, { fault: fault.kind, envelope: envelope.id });
        const step = current(draft, envelope);
        if (step !== undefined) notices.progress(draft, move(draft, step, { state: 'PARKED', reason: fault.reason }));
      }),

    answerFailed: (envelope, fault) =>
      advance((draft) => {
        note(draft, 'parked', envelope.to, envelope.stepNo, fault.reason, { fault: fault.kind, envelope: envelope.id });
        const step = current(draft, envelope);
        if (step !== undefined) notices.progress(draft, move(draft, step, { state: 'PARKED', reason: fault.reason }));
      }),

    answerAwaited: (envelope) =>
      advance((draft) => {
        const step = current(draft, envelope);
        if (step?.state !== 'PARKED') return;
        note(draft, 'released', envelope.to, envelope.stepNo, null, { by: GATEWAY, envelope: envelope.id });
        notices.progress(draft, move(draft, step, { state: 'WAITING_RECEIPT' }));
      }),

    released: ({ envelope, state, attempts, inDoubt, firstSentAt, number, fault }, by) =>
      advance(async (draft) => {
        const step = current(draft, envelope);
        // The version before wrote down neither attempts nor the first sending of what it parked: that is in doubt.
        const neverSent = attempts === 0 && firstSentAt === null && !inDoubt;
        const spoilt = state === 'parked' && fault === 'malformed' && neverSent;
        if (step !== undefined && spoilt) await remake(draft, step);
        note(draft, 'released', envelope.to, envelope.stepNo, null, { by, envelope: envelope.id });
        if (step === undefined) return;
        const asked = state === 'parked' && number !== null && step.number !== null;
        notices.progress(draft, move(draft, step, { state: asked ? 'WAITING_RECEIPT' : 'SENT' }));
      }),

    settled: (view, receipt, by, why, asked) =>
      advance(async (draft) => {
        const { envelope } = view;
        const reason: Reason = { code: 'settled', zh: `人工核实：${why}`, en: `settled by a person: ${why}` };
        note(draft, 'settled', envelope.to, envelope.stepNo, reason, {
          by,
          envelope: envelope.id,
          outcome: receipt === null ? 'notThere' : 'filed',
          number: receipt?.number ?? null,
          asked,
        });
        if (receipt === null) {
          const step = current(draft, envelope);
          if (step !== undefined) notices.progress(draft, move(draft, step, { state: 'SENT' }));
          return;
        }
        const cancelled = envelope.stepNo === null ? undefined : draft.step(envelope.stepNo);
        if (view.state === 'cancelled' && cancelled?.state === 'REJECTED' && cancelled.by === GATEWAY)
          return takeBackCancel(draft, envelope, cancelled, receipt);
        const step = current(draft, envelope);
        if (step === undefined) return keepLate(draft, envelope, receipt.answer ?? null, receipt.number);
        return received(draft, step, envelope, receipt);
      }),

    cancelled: ({ envelope, inDoubt }, by, why) =>
      advance((draft) => {
        const reason: Reason = { code: 'cancelled', zh: `人工撤销：${why}`, en: `cancelled by a person: ${why}` };
        note(draft, 'cancelled', envelope.to, envelope.stepNo, reason, { by, envelope: envelope.id, inDoubt });
        const step = current(draft, envelope);
        if (step === undefined) return;
        if (draft.state === 'ACCEPTED') draft.become('HANDLING');
        const rejected = move(draft, step, { state: 'REJECTED', reason, by: GATEWAY });
        notices.progress(draft, rejected);
        return proceed(draft);
      }),

    held: (held, by, why) =>
      advance((draft) =>
        note(
          draft,
          held ? 'held' : 'resumed',
          null,
          null,
          held ? { code: 'held', zh: `人工暂停：${why}`, en: `stopped by a person: ${why}` } : null,
          { by },
        ),
      ),

    supplied: (
      submission,
      read,
      supplied = { brought: submission.materials, certificates: [], owed: [], noMore: [] },
    ) =>
      advance(async (draft) => {
        if (!sameBasis(draft.record, read))
          throw new Unfit(409, 'changedMeanwhile', {
            zh: '该办件同时被另一次补正修改，请重新提交补正',
            en: 'another correction of this case came between; make it again',
          });
        const asked = draft.steps.filter((step) => step.state === 'CORRECTING');
        const handedIn = supplied.brought.filter((entry) => isSupplied(entry, clock.now()));
        const brought = new Set(handedIn.map(({ code }) => code));
        const isIn = (list: readonly Owed[], { material, holder }: Owed): boolean =>
          list.some((one) => same(one, material, holder));
        const settled = draft.owed.filter((owed) => brought.has(owed.material) || isIn(supplied.noMore, owed));
        if (asked.length === 0 && settled.length === 0) {
          throw new Unfit(409, 'notCorrecting', {
            zh: '该办件当前没有补正要求',
            en: 'no correction is asked of this case',
          });
        }
        draft.supply(submission);
        if (supplied.certificates.length > 0) draft.provide(supplied.certificates);
        const remaining = draft.owed.filter((owed) => !settled.includes(owed));
        const owedAnew = supplied.owed.filter((owed) => !isIn(remaining, owed));
        if (settled.length > 0 || owedAnew.length > 0) draft.owe([...remaining, ...owedAnew]);
        for (const material of new Set(settled.map((owed) => owed.material))) {
          if (brought.has(material)) note(draft, 'provided', null, null, null, { material, by: 'applicant' });
        }
        for (const { material, reason, due } of new Map(owedAnew.map((owed) => [owed.material, owed])).values())
          note(draft, 'owed', null, null, reason, { material, until: due.at });
        if (draft.state === 'CORRECTING' && !draft.owed.some(({ told }) => told)) draft.become('HANDLING');
        const item = await usableItem(draft);
        for (const step of asked) {
          const next = { ...step, revision: step.revision + 1, number: null };
          note(draft, 'correctionSupplied', step.party, step.no);
          const planned = item instanceof ItemUnusable ? undefined : item.route.find(({ no }) => no === step.no);
          if (item instanceof ItemUnusable) park(draft, next, item.reason);
          else if (planned === undefined) park(draft, next, stepGone(step));
          else {
            const owed = draft.owed.filter(({ steps }) => steps.includes(step.no));
            if (owed.length > 0) waitFor(draft, next, owed);
            else await send(draft, next, planned);
          }
        }
        if (settled.length > 0) return proceed(draft);
      }),

    provided: (certificates) =>
      advance(async (draft) => {
        const came = draft.owed.filter((owed) =>
          certificates.some(({ material, holder }) => same(owed, material, holder)),
        );
        if (came.length === 0) return;
        draft.provide(certificates.filter(({ material, holder }) => came.some((owed) => same(owed, material, holder))));
        draft.owe(draft.owed.filter((owed) => !came.includes(owed)));
        for (const { material } of new Map(came.map((owed) => [owed.material, owed])).values())
          note(draft, 'provided', null, null, null, { material, by: 'gateway' });
        if (draft.state === 'CORRECTING' && !awaitsApplicant(draft)) draft.become('HANDLING');
        return proceed(draft);
      }),

    materialsAsked: (missing) =>
      advance((draft) => {
        const told = draft.owed.filter(
          (owed) => !owed.told && missing.some(({ owed: { material, holder } }) => same(owed, material, holder)),
        );
        if (told.length === 0) return;
        draft.owe(draft.owed.map((owed) => (told.includes(owed) ? { ...owed, told: true } : owed)));
        const [first] = told;
        const reason = missing.find(
          ({ owed }) => first !== undefined && same(first, owed.material, owed.holder),
        )?.reason;
        const materials = new Map(told.map(({ material, title }) => [material, title]));
        draft.become('CORRECTING');
        note(draft, 'materialAsked', null, null, reason ?? null, { materials: [...materials.keys()] });
        const waiting = draft.steps.find((step) => first?.steps.includes(step.no));
        if (waiting !== undefined)
          notices.correction(
            draft,
            { ...waiting, reason: reason ?? waiting.reason },
            [...materials].map(([code, title]) => `${code} ${title.zh}`),
          );
      }),

    withdrawn: (by, why) =>
      advance((draft) => {
        if (draft.decision !== null) {
          throw new Unfit(409, 'alreadyDecided', {
            zh: '办件已作出决定，不能撤回',
            en: 'the case is decided and cannot be withdrawn',
          });
        }
        const reason: Reason = {
          code: 'withdrawn',
          zh: `申请人撤回：${why}`,
          en: `withdrawn by the applicant: ${why}`,
        };
        for (const step of draft.steps) {
          if (!ENDED.has(step.state)) move(draft, step, { state: 'SKIPPED', reason });
        }
        draft.decide({ outcome: 'withdrawn', by: null, reason, at: clock.now() });
        note(draft, 'withdrawn', null, null, reason, { by });
        notices.result(draft, { outcome: 'withdrawn', by: null, reason, at: clock.now() });
      }),
  };
}
