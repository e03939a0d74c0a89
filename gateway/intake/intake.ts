import { randomInt } from 'node:crypto';
import type { Advance, CaseRecord, Change, Deadline, Step, Submission } from '../../contracts/ports/case.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import { type BodyNormaliser, type Contracts, type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject, Millis, Party } from '../../contracts/ports/envelope.ts';
import type { Catalogue, Facts, Item, TimeLimit } from '../../contracts/ports/item.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';
import type { Certificates } from '../../contracts/ports/retrieval.ts';
import type { Caller, Intake } from '../../contracts/ports/services.ts';
import type { CaseReads, CaseStore, DeskStore } from '../../contracts/ports/store.ts';
import { bodyHash } from './canonical.ts';
import { brokenRules, type Checked, type CheckLimits, check, formProblems, rulesBrokenAnyway } from './check.ts';
import type { DepartmentLimits } from './limits.ts';
import { gather } from './materials.ts';

export interface IntakeParts {
  readonly catalogue: Catalogue;
  readonly contracts: Contracts & BodyNormaliser;
  readonly certificates: Certificates;
  readonly store: CaseStore & DeskStore & Pick<CaseReads, 'caseOf'>;
  readonly routing: {
    opened(record: CaseRecord): Promise<Change>;
    supplied(submission: Submission): Advance;
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

  const gatherFor = (caller: Caller, { item, submission, facts }: Required<Checked>['sound'], traceparent: string) =>
    gather(item, submission, facts, {
      certificates,
      timeLimitMs: settings.certificateTimeMs,
      appKey: caller.appKey,
      traceparent,
      now: clock.now(),
      deadline: parts.deadline,
    });

  async function ownCase(caller: Caller, caseNo: string): Promise<CaseRecord> {
    const record = await store.caseOf(caseNo);
    if (record === undefined || record.appKey !== caller.appKey) {
      throw new Unfit(404, 'caseUnknown', { zh: '没有该办件', en: 'no such case' });
    }
    return record;
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
            held: false,
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

    async correct(caller, caseNo, sent) {
      const body = contracts.normalise('case.correct@1', sent);
      const problems = [...contracts.problems('case.correct@1', body)];
      const record = await ownCase(caller, caseNo);
      const item = catalogue.get(record.submission.itemCode);
      if (item === undefined) throw new Error(`item ${record.submission.itemCode} is no longer in the catalogue`);
      // No object, or one too large to be looked at.
      if (problems.some(({ code, pointer }) => pointer === '' && code !== 'unknownField')) throw unfit(problems);
      const supplement = body as { form?: Json; materials?: Json };
      const given = isObject(supplement.form) ? (contracts.normalise(item.form, supplement.form) as JsonObject) : null;
      const more = Array.isArray(supplement.materials) ? supplement.materials.filter(isObject) : [];
      const submission: Submission = {
        ...record.submission,
        form: given ?? record.submission.form,
        materials: [...record.submission.materials, ...more],
      };
      // A form that was accepted is not judged again by what is asked of forms since.
      if (given !== null) problems.push(...formProblems(contracts, item, given));
      const { applicationNo, itemCode, channel, applicant, agent, form, materials } = submission;
      const facts: Facts = {
        case: { caseNo, applicationNo, itemCode, channel, acceptedAt: record.acceptedAt },
        applicant,
        agent: agent ?? null,
        form,
        materials,
        certificates: record.certificates,
        steps: {},
      };
      const wrong = [...problems];
      problems.push(
        ...(wrong.length === 0 ? await brokenRules(item, facts) : await rulesBrokenAnyway(item, facts, wrong)),
        ...(given === null
          ? []
          : await limitsOf(stillToSend(item, record), { ...facts, steps: endedSteps(record) }, wrong)),
      );
      if (problems.length > 0) throw unfit(problems);
      return written(await store.changed(caseNo, routing.supplied(submission)));
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

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function written(record: CaseRecord | undefined): CaseRecord {
  if (record === undefined) throw new Unfit(404, 'caseUnknown', { zh: '没有该办件', en: 'no such case' });
  return record;
}

function unfit(problems: readonly Problem[]): Unfit {
  const waits = problems.some(({ code }) => code === 'certificateUnavailable');
  const words = {
    zh: `申请有 ${problems.length} 处需要更正，已一次性告知`,
    en: `${problems.length} things to mend, all told at once`,
  };
  return new Unfit(422, 'unfit', words, problems, waits ? 60 : undefined);
}

/** Local day of the county (+08:00). */
function yymmdd(at: Millis): string {
  return new Date(at + 8 * 3_600_000).toISOString().slice(2, 10).replaceAll('-', '');
}
