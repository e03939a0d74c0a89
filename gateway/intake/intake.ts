import { randomInt } from 'node:crypto';
import type { Advance, CaseRecord, Change, Deadline, Step, Submission } from '../../contracts/ports/case.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import { type Contracts, type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject, Millis, Party, Reason } from '../../contracts/ports/envelope.ts';
import { type Catalogue, type Item, ItemUnusable, itemOfCase, type TimeLimit } from '../../contracts/ports/item.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';
import type { Certificates } from '../../contracts/ports/retrieval.ts';
import type { Caller, Intake } from '../../contracts/ports/services.ts';
import type { CaseReads, CaseStore, DeskStore } from '../../contracts/ports/store.ts';
import { bodyHash } from './canonical.ts';
import { brokenRules, type Checked, check } from './check.ts';
import { gather } from './materials.ts';

export interface IntakeParts {
  readonly catalogue: Catalogue;
  readonly contracts: Contracts;
  readonly certificates: Certificates;
  readonly store: CaseStore & DeskStore & Pick<CaseReads, 'caseOf'>;
  readonly routing: {
    opened(record: CaseRecord): Promise<Change>;
    supplied(submission: Submission, read: Submission): Advance;
    withdrawn(by: string, reason: string): Advance;
  };
  /** Working-day arithmetic of the county's calendar. */
  readonly deadline: (from: Millis, limit: TimeLimit) => Deadline;
  /** Whether a party takes envelopes now: an item whose blocking departments are not connected is not offered. */
  readonly connected: (party: Party) => boolean;
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
  const { catalogue, contracts, certificates, store, routing, clock, settings } = parts;

  async function checked(caller: Caller, submission: Json): Promise<Required<Checked>> {
    const result = await check(submission, caller, catalogue, contracts, clock.now());
    if (result.sound === undefined) throw unfit(result.problems);
    return { problems: [...result.problems, ...notOffered(result.sound.item)], sound: result.sound };
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

  async function correctOnce(caller: Caller, caseNo: string, body: Json): Promise<CaseRecord> {
    const problems = [...contracts.problems('case.correct@1', body)];
    if (problems.length > 0) throw unfit(problems);
    const record = await ownCase(caller, caseNo);
    const supplement = body as { form?: JsonObject; materials?: JsonObject[] };
    const submission: Submission = {
      ...record.submission,
      form: supplement.form ?? record.submission.form,
      materials: [...record.submission.materials, ...(supplement.materials ?? [])],
    };
    const item = await usable(itemOfCase(catalogue, record));
    if (!contracts.has(item.form)) throw unusable(new ItemUnusable(formGone(item.form)));
    for (const problem of contracts.problems(item.form, submission.form))
      problems.push({ ...problem, pointer: `/form${problem.pointer}` });
    const { applicationNo, itemCode, channel, applicant, agent, form, materials } = submission;
    const facts = {
      case: { caseNo, applicationNo, itemCode, channel, acceptedAt: record.acceptedAt },
      applicant,
      agent: agent ?? null,
      form,
      materials,
      certificates: record.certificates,
      steps: {},
    };
    if (problems.length === 0) problems.push(...(await usable(brokenRules(item, facts))));
    if (problems.length > 0) throw unfit(problems);
    return written(await store.changed(caseNo, routing.supplied(submission, record.submission)));
  }

  return {
    async submit(caller, body, traceparent) {
      const { problems, sound } = await checked(caller, body);
      if (problems.length > 0) throw unfit(problems);
      const { submission, item } = sound;
      const hash = bodyHash(body);
      // Asked before the certificates are fetched: a repeated submission is no purpose to fetch them again.
      const before = await store.byApplication(caller.appKey, submission.applicationNo);
      if (before !== undefined) {
        if (before.bodyHash !== hash) throw CONFLICT;
        return { record: before.record, seenBefore: true };
      }
      const gathered = await gatherFor(caller, sound, traceparent);
      if (gathered.problems.length > 0) throw unfit(gathered.problems);

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
      const result = await check(body, caller, catalogue, contracts, clock.now());
      if (result.sound === undefined) return { acceptable: false, problems: result.problems, materials: [] };
      const gathered = await gatherFor(caller, result.sound, traceparent);
      const problems = [...result.problems, ...notOffered(result.sound.item), ...gathered.problems];
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

    async withdraw(caller, caseNo, body) {
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
