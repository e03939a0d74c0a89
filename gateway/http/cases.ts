import type { CaseRecord, CaseState } from '../../contracts/ports/case.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import { type Catalogue, type Item, ItemUnusable, itemOfCase } from '../../contracts/ports/item.ts';
import type { Caller, CaseProgress, Desk, Intake } from '../../contracts/ports/services.ts';
import type { CaseReads } from '../../contracts/ports/store.ts';
import { isoOrNull } from './iso.ts';
import { oneOf, paging, ROWS, readQuery, term, time } from './parameters.ts';
import { type Asked, json, type Role, type SignedRoute } from './route.ts';
import { acceptedView, caseRow, caseView, eventView, type Sight } from './views.ts';

const STATES: readonly CaseState[] = [
  'RECEIVED',
  'ACCEPTED',
  'NOT_ACCEPTED',
  'CORRECTING',
  'RETURNED',
  'HANDLING',
  'SUSPENDED',
  'DECIDED',
  'WITHDRAWN',
];

const FILTER = {
  state: oneOf<CaseState>({ zh: '办件状态', en: 'state of the case' }, STATES),
  itemCode: term({ zh: '事项编码', en: 'item code' }),
  applicationNo: term({ zh: '申请编号', en: 'application number' }),
  party: term({ zh: '路线上的部门', en: 'a department on the route' }),
  since: time({ zh: '受理时间不早于', en: 'accepted at or after' }),
  until: time({ zh: '受理时间早于', en: 'accepted before' }),
  ...paging,
};

const READERS: readonly Role[] = ['window', 'department', 'operator', 'auditor'];

export interface CaseParts {
  readonly intake: Intake;
  readonly desk: Desk;
  readonly progress: CaseProgress;
  readonly reads: CaseReads;
  readonly catalogue: Catalogue;
}

export function caseRoutes({ intake, desk, progress, reads, catalogue }: CaseParts): readonly SignedRoute[] {
  async function seenBy(caller: Caller, caseNo: string): Promise<CaseRecord> {
    const record = await reads.caseOf(caseNo);
    if (record === undefined || !maySee(caller, record)) {
      throw new Unfit(404, 'caseUnknown', { zh: '没有该办件', en: 'no such case' });
    }
    return record;
  }

  async function shown(record: CaseRecord): Promise<CaseRecord> {
    const [one = record] = await progress.shown([record]);
    return one;
  }
  /** Undefined when it can no longer be used: the case is shown all the same. */
  async function itemOf(record: CaseRecord): Promise<Item | undefined> {
    if (catalogue.ofCase === undefined) return catalogue.get(record.submission.itemCode);
    try {
      return await itemOfCase(catalogue, record);
    } catch (error) {
      if (error instanceof ItemUnusable) return undefined;
      throw error;
    }
  }

  const whole = async (record: CaseRecord, caller: Caller) =>
    caseView(await shown(record), await itemOf(record), sightOf(caller), ownParty(caller));

  return [
    {
      method: 'POST',
      path: '/v1/cases',
      id: 'submitCase',
      tag: 'cases',
      access: ['window'],
      words: { zh: '提交办件', en: 'Submit a case' },
      more: {
        zh: '202 表示办件已持久保存：所涉各部门至少收到一次（以固定键标识）；凡部门认键或可查询者，至多生效一次；绝不无声丢弃；无法了结者连同原因进入人工队列。同一申请编号再次提交返回同一办件；内容不同则 409。',
        en: '202 means the case is stored durably. Each department it concerns gets it at least once under a stable key; it takes effect at most once wherever the department honours the key or can be asked; it is never silently dropped; what cannot be settled is in a person’s queue, with the reason. The same application number again is the same case; with another body it is a 409.',
      },
      body: { schema: 'case.submit@1', checkedBehind: true },
      replies: {
        202: { words: { zh: '已受理', en: 'Accepted' }, schema: 'case.accepted@1' },
        200: { words: { zh: '此前已受理的同一办件', en: 'The same case, accepted before' }, schema: 'case.accepted@1' },
        409: {
          words: { zh: '申请编号已用于另一份申请', en: 'The number was used for another submission' },
          schema: 'problem@1',
        },
        422: { words: { zh: '一次性告知全部问题', en: 'All that is wrong, told once' }, schema: 'problem@1' },
      },
      async handle({ caller, body, traceparent }) {
        const { record, seenBefore } = await intake.submit(caller, body, traceparent);
        const headers = { Location: `/v1/cases/${record.caseNo}` };
        return json(seenBefore ? 200 : 202, acceptedView(await shown(record), seenBefore), headers);
      },
    },
    {
      method: 'GET',
      path: '/v1/cases',
      id: 'listCases',
      tag: 'cases',
      access: READERS,
      words: { zh: '查询办件，新的在前', en: 'Search cases, newest first' },
      more: {
        zh: '窗口只见本应用的办件，部门只见路线上有本部门的办件；非窗口角色所见的个人信息已脱敏。',
        en: 'A window sees its own app’s cases, a department those whose route has it; personal values are masked for all but the window.',
      },
      query: FILTER,
      replies: { 200: { words: { zh: '一页办件', en: 'A page of cases' }, schema: 'CasePage' } },
      async handle({ caller, search }) {
        const { limit = ROWS, ...filter } = readQuery(FILTER, search);
        const own = caller.role === 'window' ? { appKey: caller.appKey } : {};
        const party = ownParty(caller);
        const { rows, next } = await reads.cases({ ...filter, ...own, ...(party === null ? {} : { party }), limit });
        const sight = sightOf(caller);
        return json(200, {
          rows: await Promise.all(
            (await progress.shown(rows)).map(async (record) => caseRow(record, await itemOf(record), sight)),
          ),
          next,
        });
      },
    },
    {
      method: 'POST',
      path: '/v1/cases/precheck',
      id: 'precheckCase',
      tag: 'cases',
      access: ['window'],
      words: { zh: '预检：一次性告知所缺，不保存', en: 'Precheck: all that is missing, told once; nothing is stored' },
      body: { schema: 'case.submit@1', checkedBehind: true },
      replies: { 200: { words: { zh: '预检结果', en: 'What would be missing' }, schema: 'Precheck' } },
      async handle({ caller, body, traceparent }) {
        const { acceptable, problems, materials } = await intake.precheck(caller, body, traceparent);
        return json(200, {
          acceptable,
          problems: problems.map(({ pointer, code, zh, en }) => ({ pointer, code, zh, en })),
          materials: materials.map(({ code, title: { zh, en }, from, state, asOf = null }) => ({
            code,
            title: { zh, en },
            from,
            state,
            asOf: isoOrNull(asOf),
          })),
        });
      },
    },
    {
      method: 'GET',
      path: '/v1/cases/{caseNo}',
      id: 'getCase',
      tag: 'cases',
      access: READERS,
      words: { zh: '办件状态', en: 'The state of a case' },
      replies: { 200: { words: { zh: '办件', en: 'The case' }, schema: 'Case' } },
      handle: async ({ caller, param }) => json(200, await whole(await seenBy(caller, param('caseNo')), caller)),
    },
    {
      method: 'GET',
      path: '/v1/cases/{caseNo}/timeline',
      id: 'getTimeline',
      tag: 'cases',
      access: READERS,
      words: { zh: '办件经过', en: 'Every event of a case, with its time, party and reason' },
      more: { zh: '部门只见与本部门有关的事件。', en: 'A department sees the events that concern it.' },
      query: paging,
      replies: { 200: { words: { zh: '一页事件，按发生先后', en: 'A page of events, in order' }, schema: 'Timeline' } },
      async handle({ caller, param, search }) {
        const { cursor, limit = ROWS } = readQuery(paging, search);
        const { caseNo } = await seenBy(caller, param('caseNo'));
        const { rows, next } = await reads.timeline(caseNo, cursor, limit);
        const party = ownParty(caller);
        return json(200, {
          rows: rows.filter((event) => party === null || event.party === party).map(eventView),
          next,
        });
      },
    },
    {
      method: 'POST',
      path: '/v1/cases/{caseNo}/corrections',
      id: 'correctCase',
      tag: 'cases',
      access: ['window'],
      words: { zh: '提交补正', en: 'Supply what a department asked for' },
      body: { schema: 'case.correct@1', checkedBehind: true },
      replies: {
        200: { words: { zh: '办件', en: 'The case' }, schema: 'Case' },
        409: { words: { zh: '办件不在补正中', en: 'The case waits for no correction' }, schema: 'problem@1' },
      },
      handle: async ({ caller, param, body }) =>
        json(200, await whole(await intake.correct(caller, param('caseNo'), body), caller)),
    },
    {
      method: 'POST',
      path: '/v1/cases/{caseNo}/withdrawal',
      id: 'withdrawCase',
      tag: 'cases',
      access: ['window'],
      words: { zh: '撤回申请', en: 'Withdraw the application' },
      body: { schema: 'case.withdraw@1', checkedBehind: true },
      replies: {
        200: { words: { zh: '办件', en: 'The case' }, schema: 'Case' },
        409: { words: { zh: '办件已办结', en: 'The case is decided' }, schema: 'problem@1' },
      },
      handle: async ({ caller, param, body }) =>
        json(200, await whole(await intake.withdraw(caller, param('caseNo'), body), caller)),
    },
    {
      method: 'POST',
      path: '/v1/cases/{caseNo}/pause',
      id: 'pauseCase',
      tag: 'queue',
      access: ['operator'],
      words: { zh: '暂停办件：不再向任何部门发送', en: 'Stop a case: nothing of it is sent until resumed' },
      body: { schema: 'ReasonGiven' },
      replies: { 200: { words: { zh: '已暂停', en: 'Stopped' }, schema: 'Held' } },
      async handle({ caller, param, body }) {
        await desk.hold(param('caseNo'), caller.appKey, (body as { reason: string }).reason);
        return json(200, { caseNo: param('caseNo'), held: true });
      },
    },
    {
      method: 'POST',
      path: '/v1/cases/{caseNo}/resume',
      id: 'resumeCase',
      tag: 'queue',
      access: ['operator'],
      words: { zh: '恢复办件', en: 'Let a case go on' },
      replies: { 200: { words: { zh: '已恢复', en: 'Going on' }, schema: 'Held' } },
      async handle({ caller, param }) {
        await desk.unhold(param('caseNo'), caller.appKey);
        return json(200, { caseNo: param('caseNo'), held: false });
      },
    },
  ];
}

function maySee({ role, appKey, party }: Caller, record: CaseRecord): boolean {
  if (role === 'window') return record.appKey === appKey;
  if (role === 'department') return record.steps.some((step) => step.party === party);
  return true;
}

const sightOf = ({ role }: Caller): Sight => (role === 'window' ? 'plain' : 'masked');

/** The party a department is bound to; null for everybody else. */
export function ownParty({ role, party }: Asked['caller']): string | null {
  // A department without a party sees no party's.
  return role === 'department' ? (party ?? '') : null;
}
