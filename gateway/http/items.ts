import { Unfit } from '../../contracts/ports/contract.ts';
import type { Catalogue } from '../../contracts/ports/item.ts';
import { json, type SignedRoute } from './route.ts';
import { itemRow, itemView } from './views.ts';

export function itemRoutes({ catalogue }: { catalogue: Catalogue }): readonly SignedRoute[] {
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
        const item = catalogue.get(param('code'));
        if (item === undefined) throw new Unfit(404, 'itemUnknown', { zh: '没有该事项', en: 'no such item' });
        return json(200, itemView(item));
      },
    },
  ];
}
