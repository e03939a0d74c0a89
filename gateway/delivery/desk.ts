import { Unfit } from '../../contracts/ports/contract.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Routing } from '../../contracts/ports/routing.ts';
import type { Desk } from '../../contracts/ports/services.ts';
import type { DeskStore } from '../../contracts/ports/store.ts';

/** What a person does to the queue. Each is written down in the case's timeline, and survives a restart. */
export function makeDesk(store: DeskStore, routing: Routing, hasLane: (lane: string) => boolean, log: Logger): Desk {
  const known = (lane: string): void => {
    if (!hasLane(lane)) throw new Unfit(404, 'partyUnknown', { zh: '没有该部门', en: 'no such department' });
  };
  return {
    async release(id, by) {
      const outcome = await store.released(id, (envelope) => routing.released(envelope, by));
      if (outcome === undefined) throw unknown();
      if (outcome === 'notParked')
        throw new Unfit(409, 'notParked', { zh: '该报文没有在等待人工处理', en: 'this envelope is not parked' });
      log.info('released by a person', { envelope: id, by });
    },
    async cancel(id, by, reason) {
      const outcome = await store.cancelled(id, (envelope) => routing.cancelled(envelope, by, reason));
      if (outcome === undefined) throw unknown();
      if (outcome === 'tooLate')
        throw new Unfit(409, 'tooLate', {
          zh: '该报文正在发送或已经结束，不能撤销',
          en: 'this envelope is on its way or has ended, and cannot be cancelled',
        });
      log.info('cancelled by a person', { envelope: id, by });
    },
    async pause(lane, by, reason) {
      known(lane);
      await store.paused(lane, by, reason);
      log.info('lane paused by a person', { party: lane, by });
    },
    async resume(lane, by) {
      known(lane);
      await store.resumed(lane, by);
      log.info('lane resumed by a person', { party: lane, by });
    },
    async hold(caseNo, by, reason) {
      if (!(await store.held(caseNo, true, routing.held(true, by, reason)))) throw noCase();
      log.info('case stopped by a person', { case: caseNo, by });
    },
    async unhold(caseNo, by) {
      if (!(await store.held(caseNo, false, routing.held(false, by, '')))) throw noCase();
      log.info('case resumed by a person', { case: caseNo, by });
    },
  };
}

const unknown = (): Unfit => new Unfit(404, 'envelopeUnknown', { zh: '没有该报文', en: 'no such envelope' });
const noCase = (): Unfit => new Unfit(404, 'caseUnknown', { zh: '没有该办件', en: 'no such case' });
