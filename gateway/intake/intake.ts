import { randomInt } from 'node:crypto';
import { countOf } from '../../contracts/count.ts';
import type { Advance, CaseRecord, Change, Deadline, Step, Submission, Supplied } from '../../contracts/ports/case.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import { type BodyNormaliser, type Contracts, type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject, Millis, Party, Reason } from '../../contracts/ports/envelope.ts';
import {
  type Catalogue,
  type Facts,
  type Item,
  ItemUnusable,
  itemOfCase,
  type TimeLimit,
} from '../../contracts/ports/item.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';
import type { Certificates } from '../../contracts/ports/retrieval.ts';
import type { Caller, Intake } from '../../contracts/ports/services.ts';
import type { CaseReads, CaseStore, DeskStore } from '../../contracts/ports/store.ts';
import { bodyHash } from './canonical.ts';
import {
  brokenRules,
  type Checked,
  type CheckLimits,
  check,
  formProblems,
  isObject,
  materialProblems,
  rulesBrokenAnyway,
} from './check.ts';
import type { DepartmentLimits } from './limits.ts';
import { type Gathering, gather, noLongerOwed } from './materials.ts';

export interface IntakeParts {
  readonly catalogue: Catalogue;
  readonly contracts: Contracts & BodyNormaliser;
  readonly certificates: Certificates;
  readonly store: CaseStore & DeskStore & Pick<CaseReads, 'caseOf'>;
  readonly routing: {
    opened(record: CaseRecord): Promise<Change>;
    supplied(submission: Submission, read: CaseRecord, supplied: Supplied): Advance;
    withdrawn(by: string, reason: string): Advance;
  };
  /** Working-day arithmetic of the county's calendar. */
  readonly deadline: (from: Millis, limit: TimeLimit) => Deadline;
  /** Whether a party takes envelopes now: an item whose blocking departments are not connected is not offered. */
  readonly connected: (party: Party) => boolean;
  /** What the departments of an item cannot hold; left out where nothing is known of their systems. */
  readonly limits?: DepartmentLimits;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'accepted'>;
  readonly settings: { readonly region: string; readonly certificateTimeMs: number };
}

/** Of one correction that others came between. */
const CORRECTION_TRIES = 3;

/** 同一申请编号重复提交而内容不同。 */
const CONFLICT = new Unfit(409, 'applicationConflict', {
  zh: '该申请编号已用于另一份内容不同的申请；如需修改请使用补正，如是新申请请换申请编号',
  en: 'this application number was used for another submission; use a correction to change it, or a new number for a new one',
});

/**
 * Where a submission becomes a case: checked against its contracts and rules, its certificates fetched, numbered, and stored
 * together with its first envelopes in one transaction. `submit` resolves only after that transaction is on disk.
 */
export function makeIntake(parts: IntakeParts): Intake {
  const { catalogue, contracts, certificates, store, routing, limits, clock, settings } = parts;
  const limitsOf: CheckLimits = async (item, facts, wrong) => (await limits?.problems(item, facts, wrong)) ?? [];

  async function checked(caller: Caller, submission: Json): Promise<Checked> {
    const result = await check(submission, caller, catalogue, contracts, clock.now(), limitsOf);
    if (result.sound === undefined) return result;
    return { problems: [...result.problems, ...notOffered(result.sound.item)], sound: result.sound };
  }

  /** The case of a submission sent before, whatever is asked of submissions since. */
  async function acceptedBefore(caller: Caller, body: Json, { problems }: Checked, hash: string) {
    const applicationNo = (body as { applicationNo?: unknown } | null)?.applicationNo;
    if (typeof applicationNo !== 'string' || problems.some(({ pointer }) => pointer === '/applicationNo')) return;
    const before = await store.byApplication(caller.appKey, applicationNo);
    if (before === undefined) return;
    if (before.bodyHash === hash) return before.record;
    // What is wrong with another body is told with it, so that it is not sent a third time.
    if (problems.length === 0) throw CONFLICT;
    return undefined;
  }

  function notOffered(item: Item): readonly Problem[] {
    const away = [
      ...new Set(item.route.filter((step) => step.blocking && !parts.connected(step.party)).map(({ party }) => party)),
    ];
    if (away.length === 0) return [];
    return [
      {
        pointer: '/itemCode',
        code: 'itemNotOffered',
        zh: `办理该事项的部门尚未接入：${away.join('、')}`,
        en: `departments of this item are not connected: ${away.join(', ')}`,
      },
    ];
  }

  const howToGather = (caller: Caller, traceparent: string): Gathering => ({
    certificates,
    timeLimitMs: settings.certificateTimeMs,
    appKey: caller.appKey,
    traceparent,
    now: clock.now(),
    deadline: parts.deadline,
  });

  const gatherFor = (caller: Caller, { item, submission, facts }: Required<Checked>['sound'], traceparent: string) =>
    gather(item, submission, facts, howToGather(caller, traceparent));

  async function ownCase(caller: Caller, caseNo: string): Promise<CaseRecord> {
    const record = await store.caseOf(caseNo);
    if (record === undefined || record.appKey !== caller.appKey) {
      throw new Unfit(404, 'caseUnknown', { zh: '没有该办件', en: 'no such case' });
    }
    return record;
  }

  async function correctOnce(caller: Caller, caseNo: string, sent: Json): Promise<CaseRecord> {
    const record = await ownCase(caller, caseNo);
    const item = await usable(itemOfCase(catalogue, record));
    if (!contracts.has(item.form)) throw unusable(new ItemUnusable(formGone(item.form)));
    const body = contracts.normalise('case.correct@1', sent);
    const problems = [...contracts.problems('case.correct@1', body)];
    // No object, or one too large to be looked at.
    if (problems.some(({ code, pointer }) => pointer === '' && code !== 'unknownField')) throw unfit(problems);
    const supplement = (isObject(body) ? body : {}) as { form?: Json; materials?: Json };
    const given = isObject(supplement.form) ? (contracts.normalise(item.form, supplement.form) as JsonObject) : null;
    const brought = Array.isArray(supplement.materials) ? supplement.materials.filter(isObject) : [];
    // A form that was accepted is not judged again by what is asked of forms since.
    if (given !== null) problems.push(...formProblems(contracts, item, given));
    const wrong = [...problems];
    problems.push(...materialProblems(supplement.materials, item, clock.now(), problems));

    const materials = [...record.submission.materials, ...brought];
    const submission: Submission = { ...record.submission, form: given ?? record.submission.form, materials };
    const before = factsOf(record, record.submission);
    const facts = factsOf(record, submission);
    const isSound = wrong.length === 0;
    problems.push(
      ...(isSound ? await usable(brokenRules(item, facts)) : await rulesBrokenAnyway(item, facts, wrong)),
      ...(given === null
        ? []
        : await limitsOf(stillToSend(item, record), { ...facts, steps: endedSteps(record) }, wrong)),
    );
    // Where nothing is asked of the case, the store will say so; nobody's certificates are looked at for it.
    const isAsked = record.owed.length > 0 || record.steps.some(({ state }) => state === 'CORRECTING');
    const gathered =
      isAsked && isSound
        ? await gather(item, submission, facts, {
            ...howToGather(caller, record.traceparent),
            correction: { record, before, broughtNow: brought },
          })
        : undefined;
    problems.push(...(gathered?.problems ?? []));
    if (problems.length > 0) throw unfit(problems);
    const noMore = await noLongerOwed(item, facts, record.owed);
    const supplied = { brought, certificates: gathered?.certificates ?? [], owed: gathered?.owed ?? [], noMore };
    return written(await store.changed(caseNo, routing.supplied(submission, record, supplied)));
  }

  return {
    async submit(caller, body, traceparent) {
      const result = await checked(caller, body);
      // As sent: two ways of writing one name under one number are two submissions.
      const hash = bodyHash(body);
      // Asked before the certificates are fetched: a repeated submission is no purpose to fetch them again.
      const before = await acceptedBefore(caller, body, result, hash);
      if (before !== undefined) return { record: before, seenBefore: true };
      if (result.sound === undefined) throw unfit(result.problems);
      // Also where something is wrong: what its materials lack is told together with it.
      const gathered = await gatherFor(caller, result.sound, traceparent);
      const problems = [...result.problems, ...gathered.problems];
      if (problems.length > 0) throw unfit(problems);
      const { submission, item } = result.sound;

      const now = clock.now();
      const accepted = await store.accept({
        applicationNo: submission.applicationNo,
        appKey: caller.appKey,
        bodyHash: hash,
        numberPrefix: `${settings.region}${yymmdd(now)}`,
        async open(caseNo) {
          const record: CaseRecord = {
            caseNo,
            appKey: caller.appKey,
            queryCode: String(randomInt(0, 1_000_000)).padStart(6, '0'),
            submission,
            itemVersion: item.version,
            certificates: gathered.certificates,
            owed: gathered.owed,
            traceparent,
            state: 'ACCEPTED',
            steps: item.route.map(
              (planned): Step => ({
                no: planned.no,
                title: planned.title,
                party: planned.party,
                contract: planned.contract,
                blocking: planned.blocking,
                state: 'PENDING',
                revision: 1,
                number: null,
                result: null,
                reason: null,
                since: now,
                heardAt: null,
                resumesAt: null,
              }),
            ),
            acceptedAt: now,
            promisedBy: parts.deadline(now, item.promised),
            statutoryBy: parts.deadline(now, item.statutory),
            decision: null,
            held: null,
            messages: 0,
          };
          return { record, change: await routing.opened(record) };
        },
      });
      if (accepted.conflict) throw CONFLICT;
      if (!accepted.seenBefore) parts.metrics.accepted(item.code, submission.channel);
      return { record: accepted.record, seenBefore: accepted.seenBefore };
    },

    async precheck(caller, body, traceparent) {
      const result = await checked(caller, body);
      if (result.sound === undefined) return { acceptable: false, problems: result.problems, materials: [] };
      const gathered = await gatherFor(caller, result.sound, traceparent);
      const problems = [...result.problems, ...gathered.problems];
      return { acceptable: problems.length === 0, problems, materials: gathered.states };
    },

    async correct(caller, caseNo, body) {
      for (let tries = 1; ; tries += 1)
        try {
          return await correctOnce(caller, caseNo, body);
        } catch (error) {
          // Another correction came between: this one is made again, from the case as it is by now.
          if (!(error instanceof Unfit && error.code === 'changedMeanwhile') || tries === CORRECTION_TRIES) throw error;
        }
    },

    async withdraw(caller, caseNo, sent) {
      const body = contracts.normalise('case.withdraw@1', sent);
      const problems = contracts.problems('case.withdraw@1', body);
      if (problems.length > 0) throw unfit(problems);
      await ownCase(caller, caseNo);
      return written(
        await store.changed(caseNo, routing.withdrawn(caller.appKey, (body as { reason: string }).reason)),
      );
    },
  };
}

/** What needs an item that is no longer there is refused in so many words; the case stays as it is. */
async function usable<T>(wanted: Promise<T>): Promise<T> {
  try {
    return await wanted;
  } catch (error) {
    throw error instanceof ItemUnusable ? unusable(error) : error;
  }
}

const unusable = ({ reason }: ItemUnusable): Unfit =>
  new Unfit(409, 'itemUnusable', {
    zh: `该办件所依据的事项版本已无法使用，请联系运维：${reason.zh}`,
    en: `the version of the item that this case began with cannot be used any more, an operator must look: ${reason.en}`,
  });

const formGone = (form: string): Reason => ({
  code: 'contractUnknown',
  zh: `契约 ${form} 未发布`,
  en: `contract ${form} is not published`,
});

/** What the item's expressions see of a case. */
function factsOf({ caseNo, acceptedAt, certificates }: CaseRecord, submission: Submission): Facts {
  const { applicationNo, itemCode, channel, applicant, agent, form, materials } = submission;
  return {
    case: { caseNo, applicationNo, itemCode, channel, acceptedAt },
    applicant,
    agent: agent ?? null,
    form,
    materials,
    certificates,
    steps: {},
  };
}

/** Of a case on its way: what a correction no longer reaches does not limit it. */
function stillToSend(item: Item, { steps }: CaseRecord): Item {
  const open = new Set(steps.filter(({ state }) => state === 'PENDING' || state === 'CORRECTING').map(({ no }) => no));
  return { ...item, route: item.route.filter(({ no }) => open.has(no)) };
}

/** What the steps of a case have come to, as expressions see it. */
function endedSteps({ steps }: CaseRecord): Facts['steps'] {
  return Object.fromEntries(
    steps
      .filter(({ state }) => state === 'DONE' || state === 'REJECTED' || state === 'SKIPPED')
      .map(({ no, state, number, result }) => [no, { state, number, result }]),
  );
}

function written(record: CaseRecord | undefined): CaseRecord {
  if (record === undefined) throw new Unfit(404, 'caseUnknown', { zh: '没有该办件', en: 'no such case' });
  return record;
}

function unfit(problems: readonly Problem[]): Unfit {
  const waits = problems.some(({ code }) => code === 'certificateUnavailable');
  const words = {
    zh: `申请有 ${problems.length} 处需要更正，已一次性告知`,
    en: `${countOf(problems.length, 'thing')} to mend, all told at once`,
  };
  return new Unfit(422, 'unfit', words, problems, waits ? 60 : undefined);
}

/** Local day of the county (+08:00). */
function yymmdd(at: Millis): string {
  return new Date(at + 8 * 3_600_000).toISOString().slice(2, 10).replaceAll('-', '');
}
