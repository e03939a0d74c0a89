import { type Contracts, Unfit } from '../../contracts/ports/contract.ts';
import { json, type SignedRoute } from './route.ts';
import { contractRow } from './views.ts';

export function contractRoutes({ contracts }: { contracts: Contracts }): readonly SignedRoute[] {
  return [
    {
      method: 'GET',
      path: '/v1/contracts',
      id: 'listContracts',
      tag: 'catalogue',
      access: ['window', 'department', 'operator', 'auditor'],
      words: { zh: '已公布的契约', en: 'The published contracts' },
      replies: { 200: { words: { zh: '契约', en: 'The contracts' }, schema: 'Contracts' } },
      handle: async () => json(200, { rows: contracts.list().map(contractRow) }),
    },
    {
      method: 'GET',
      path: '/v1/contracts/{name}@{major}',
      id: 'getContract',
      tag: 'catalogue',
      access: ['window', 'department', 'operator', 'auditor'],
      words: { zh: '一个契约的 JSON Schema', en: 'A contract’s JSON Schema' },
      replies: {
        200: { words: { zh: 'JSON Schema 2020-12', en: 'JSON Schema 2020-12' }, type: 'application/schema+json' },
      },
      async handle({ param }) {
        const contract = contracts.get(`${param('name')}@${param('major')}`);
        if (contract === undefined)
          throw new Unfit(404, 'contractUnknown', { zh: '没有该契约', en: 'no such contract' });
        return json(200, contract.schema, { 'Content-Type': 'application/schema+json' });
      },
    },
  ];
}
