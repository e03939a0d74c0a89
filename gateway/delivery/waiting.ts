import type { CaseRecord, Step } from '../../contracts/ports/case.ts';
import type { Millis, Party, Reason } from '../../contracts/ports/envelope.ts';
import type { CaseProgress } from '../../contracts/ports/services.ts';
import type { CaseReads, OpenEnvelope, Pause } from '../../contracts/ports/store.ts';

/**
 * Cases as they are shown: a step whose message cannot go out now says WAITING, why, and since when. What keeps it back (a lane that is stopped, a case that is
 * held) is written down once, where it belongs, and not with each case it concerns.
 */
export function makeCaseProgress(
  store: Pick<CaseReads, 'open' | 'pauses'>,
  connected: (party: Party) => boolean,
): CaseProgress {
  return {
    async shown(records) {
      const asked = records.filter(({ steps }) => steps.some(mayWait)).map(({ caseNo }) => caseNo);
      if (asked.length === 0) return records;
      const [open, pauses] = await Promise.all([store.open(asked), store.pauses()]);
      const byCase = Map.groupBy(open, ({ caseNo }) => caseNo);
      return records.map((record) => {
        const envelopes = byCase.get(record.caseNo);
        if (envelopes === undefined) return record;
        return { ...record, steps: record.steps.map((step) => shownStep(record, step, envelopes, pauses, connected)) };
      });
    },
  };
}

const mayWait = ({ state }: Step): boolean => state === 'SENT' || state === 'WAITING';

function shownStep(
  { held }: CaseRecord,
  step: Step,
  envelopes: readonly OpenEnvelope[],
  pauses: ReadonlyMap<Party, Pause>,
  connected: (party: Party) => boolean,
): Step {
  if (!mayWait(step)) return step;
  const envelope = envelopes.findLast(({ stepNo }) => stepNo === step.no);
  if (envelope === undefined || envelope.place === 'leased' || envelope.place === 'parked') return step;
  const waits = (reason: Reason, since: Millis): Step => ({
    ...step,
    state: 'WAITING',
    reason,
    since: Math.max(since, step.since),
    resumesAt: null,
  });
  if (held !== null)
    return waits(
      { code: 'caseHeld', zh: `办件已人工暂停：${held.reason}`, en: `the case was stopped: ${held.reason}` },
      held.at,
    );
  const pause = pauses.get(step.party);
  if (pause !== undefined)
    return waits(
      {
        code: 'lanePaused',
        zh: `该部门的发送已暂停：${pause.reason}`,
        en: `sending to this party was stopped: ${pause.reason}`,
      },
      pause.at,
    );
  if (!connected(step.party))
    return waits({ code: 'notConnected', zh: '该部门尚未接入', en: 'this party is not connected' }, envelope.since);
  if (envelope.place === 'behind')
    return waits(
      {
        code: 'behindEarlier',
        zh: '本办件发往该部门的上一份报文尚未完成',
        en: 'an earlier message of this case to this party has not ended',
      },
      envelope.since,
    );
  return step;
}
