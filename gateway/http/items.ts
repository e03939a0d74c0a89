import { Unfit } from '../../contracts/ports/contract.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import type { Catalogue, Item } from '../../contracts/ports/item.ts';
import type { Departments, DepartmentView, SourceState } from '../../contracts/ports/services.ts';
import { json, type SignedRoute } from './route.ts';
import { itemRow, itemView, materialsView } from './views.ts';

const REGISTER: SourceState = { title: { zh: '本系统签发登记', en: 'Issued through this gateway' }, state: 'ready' };

interface ItemParts {
  readonly catalogue: Catalogue;
  readonly departments: Departments;
}

export function itemRoutes({ catalogue, departments }: ItemParts): readonly SignedRoute[] {
  function itemOf(code: string): Item {
    const item = catalogue.get(code);
    if (item === undefined) throw new Unfit(404, 'itemUnknown', { zh: '没有该事项', en: 'no such item' });
    return item;
  }

  return [
    {
      method: 'GET',
      path: '/v1/items',
      id: 'listItems',
      tag: 'catalogue',
      access: ['window', 'department', 'operator', 'auditor'],
      words: { zh: '事项目录', en: 'The service catalogue' },
      replies: { 200: { words: { zh: '事项', en: 'The items' }, schema: 'Items' } },
      handle: async () => json(200, { rows: catalogue.list().map(itemRow) }),
    },
    {
      method: 'GET',
      path: '/v1/items/{code}',
      id: 'getItem',
      tag: 'catalogue',
      access: ['window', 'department', 'operator', 'auditor'],
      words: { zh: '一个事项：材料、路线、时限', en: 'An item: form contract, materials, route, times' },
      replies: { 200: { words: { zh: '事项', en: 'The item' }, schema: 'Item' } },
      async handle({ param }) {
        return json(200, itemView(itemOf(param('code'))));
      },
    },
    {
      method: 'GET',
      path: '/v1/items/{code}/materials',
      id: 'getItemMaterials',
      tag: 'catalogue',
      access: ['window', 'department', 'operator', 'auditor'],
      words: {
        zh: '一个事项的材料：哪些自动调取、从哪里来、来源现在是否可用',
        en: 'The materials of an item: which are fetched, from where, and whether their sources can be asked now',
      },
      replies: { 200: { words: { zh: '材料', en: 'The materials' }, schema: 'Materials' } },
      async handle({ param }) {
        const item = itemOf(param('code'));
        const views = new Map((await departments.list()).map((view) => [view.party, view]));
        return json(
          200,
          materialsView(item, (source, type) =>
            source === 'register' ? REGISTER : stateOf(source, views.get(source), type),
          ),
        );
      },
    },
  ];
}

function stateOf(source: Party, view: DepartmentView | undefined, type: string): SourceState {
  if (view === undefined) return { title: { zh: source, en: source }, state: 'notConnected' };
  const { title, certificates, closed, breakers } = view;
  if (!certificates.includes(type)) return { title, state: 'notConnected' };
  if (closed.now) return { title, state: 'closed' };
  return { title, state: breakers.certificates.state === 'open' ? 'away' : 'ready' };
}
