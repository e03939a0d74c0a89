import { Unfit } from '../../contracts/ports/contract.ts';
import type { Departments, Desk } from '../../contracts/ports/services.ts';
import { ownParty } from './cases.ts';
import { json, type Role, type SignedRoute } from './route.ts';
import { departmentView } from './views.ts';

const READERS: readonly Role[] = ['window', 'department', 'operator', 'auditor'];

export function departmentRoutes({
  departments,
  desk,
}: {
  departments: Departments;
  desk: Desk;
}): readonly SignedRoute[] {
  async function seen(party: string, own: string | null) {
    const view = own === null || own === party ? await departments.get(party) : undefined;
    if (view === undefined)
      throw new Unfit(404, 'departmentUnknown', { zh: '没有接入该部门', en: 'no such department' });
    return departmentView(view);
  }

  return [
    {
      method: 'GET',
      path: '/v1/departments',
      id: 'listDepartments',
      tag: 'departments',
      access: READERS,
      words: { zh: '已接入的部门及其状况', en: 'The departments and how they are' },
      more: { zh: '部门只见本部门。', en: 'A department sees itself.' },
      replies: { 200: { words: { zh: '部门', en: 'The departments' }, schema: 'Departments' } },
      async handle({ caller }) {
        const own = ownParty(caller);
        const views = await departments.list();
        return json(200, { rows: views.filter(({ party }) => own === null || party === own).map(departmentView) });
      },
    },
    {
      method: 'GET',
      path: '/v1/departments/{party}',
      id: 'getDepartment',
      tag: 'departments',
      access: READERS,
      words: { zh: '一个部门的状况', en: 'Adapter version, breakers, lane, parked, last success, closed hours' },
      replies: { 200: { words: { zh: '部门', en: 'The department' }, schema: 'Department' } },
      handle: async ({ caller, param }) => json(200, await seen(param('party'), ownParty(caller))),
    },
    {
      method: 'POST',
      path: '/v1/departments/{party}/queries/{query}',
      id: 'queryDepartment',
      tag: 'departments',
      access: ['window'],
      words: { zh: '直接查询部门', en: 'Ask a department directly' },
      more: {
        zh: '请求与答复均按该查询公布的契约校验；查询名见部门的 queries。',
        en: 'Question and answer are both checked against the query’s published contracts; its name stands in the department’s `queries`.',
      },
      body: { checkedBehind: true },
      replies: {
        200: { words: { zh: '部门的答复', en: 'The department’s answer' } },
        422: {
          words: { zh: '请求不符合契约', en: 'The question does not fit its contract' },
          schema: 'problem@1',
        },
        502: { words: { zh: '部门答复不符合契约', en: 'Their answer broke its contract' }, schema: 'problem@1' },
        503: { words: { zh: '部门暂不可用', en: 'The department cannot be asked now' }, schema: 'problem@1' },
        504: { words: { zh: '部门未按时答复', en: 'The department did not answer in time' }, schema: 'problem@1' },
      },
      handle: async ({ param, body, traceparent }) =>
        json(200, await departments.query(param('party'), param('query'), body, traceparent)),
    },
    {
      method: 'POST',
      path: '/v1/departments/{party}/pause',
      id: 'pauseDepartment',
      tag: 'queue',
      access: ['operator'],
      words: { zh: '暂停向部门发送', en: 'Stop sending to a department; it stays stopped over a restart' },
      body: { schema: 'ReasonGiven' },
      replies: { 200: { words: { zh: '部门', en: 'The department' }, schema: 'Department' } },
      async handle({ caller, param, body }) {
        await seen(param('party'), null);
        await desk.pause(param('party'), caller.appKey, (body as { reason: string }).reason);
        return json(200, await seen(param('party'), null));
      },
    },
    {
      method: 'POST',
      path: '/v1/departments/{party}/resume',
      id: 'resumeDepartment',
      tag: 'queue',
      access: ['operator'],
      words: { zh: '恢复向部门发送', en: 'Send to a department again' },
      replies: { 200: { words: { zh: '部门', en: 'The department' }, schema: 'Department' } },
      async handle({ caller, param }) {
        await seen(param('party'), null);
        await desk.resume(param('party'), caller.appKey);
        return json(200, await seen(param('party'), null));
      },
    },
  ];
}
