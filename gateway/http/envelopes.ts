import { Unfit } from '../../contracts/ports/contract.ts';
import type { EnvelopeState, Reason } from '../../contracts/ports/envelope.ts';
import type { Desk } from '../../contracts/ports/services.ts';
import type { CaseReads } from '../../contracts/ports/store.ts';
import { forbidden } from './authenticate.ts';
import { ownParty } from './cases.ts';
import { oneOf, paging, ROWS, readQuery, term } from './parameters.ts';
import { json, type Role, type SignedRoute } from './route.ts';
import { envelopeRow, envelopeView, keptView } from './views.ts';

const STATES: readonly (EnvelopeState | 'unmatched')[] = [
  'waiting',
  'leased',
  'delivered',
  'refused',
  'parked',
  'cancelled',
  'unmatched',
];

const FILTER = {
  state: oneOf(
    {
      zh: '状态；unmatched 为尚未对上任何信封的部门来文',
      en: 'state; `unmatched` are messages that match no envelope yet',
    },
    STATES,
  ),
  party: term({ zh: '部门', en: 'party' }),
  caseNo: term({ zh: '办件编号', en: 'case number' }),
  ...paging,
};

const READERS: readonly Role[] = ['department', 'operator', 'auditor'];

export function envelopeRoutes({ reads, desk }: { reads: CaseReads; desk: Desk }): readonly SignedRoute[] {
  async function seen(id: string, own: string | null, warnings: readonly Reason[] = []) {
    const view = await reads.envelope(id);
    if (view === undefined || (own !== null && view.envelope.to !== own)) {
      throw new Unfit(404, 'envelopeUnknown', { zh: '没有该信封', en: 'no such envelope' });
    }
    return envelopeView(view, warnings);
  }

  return [
    {
      method: 'GET',
      path: '/v1/envelopes',
      id: 'listEnvelopes',
      tag: 'queue',
      access: READERS,
      words: {
        zh: '信封：待人处理的、等待的、已送达的',
        en: 'Envelopes: a person’s queue, and all others; oldest first',
      },
      more: { zh: '部门只见发给本部门的。', en: 'A department sees those to itself.' },
      query: FILTER,
      replies: { 200: { words: { zh: '一页信封', en: 'A page of envelopes' }, schema: 'EnvelopePage' } },
      async handle({ caller, search }) {
        const { state, limit = ROWS, ...given } = readQuery(FILTER, search);
        const own = ownParty(caller);
        if (own !== null && given.party !== undefined && given.party !== own) throw forbidden(['operator', 'auditor']);
        const filter = own === null ? given : { ...given, party: own };
        if (state === 'unmatched') {
          const { party } = filter;
          const { rows } = await reads.unmatched({ limit, ...(party === undefined ? {} : { party }) });
          return json(200, { rows: rows.map(keptView), next: null });
        }
        const { rows, next } = await reads.envelopes({ ...filter, ...(state === undefined ? {} : { state }), limit });
        return json(200, { rows: rows.map(envelopeRow), next });
      },
    },
    {
      method: 'GET',
      path: '/v1/envelopes/{id}',
      id: 'getEnvelope',
      tag: 'queue',
      access: READERS,
      words: { zh: '一个信封，内容脱敏', en: 'An envelope, its body masked' },
      replies: { 200: { words: { zh: '信封', en: 'The envelope' }, schema: 'Envelope' } },
      handle: async ({ caller, param }) => json(200, await seen(param('id'), ownParty(caller))),
    },
    {
      method: 'POST',
      path: '/v1/envelopes/{id}/release',
      id: 'releaseEnvelope',
      tag: 'queue',
      access: ['operator'],
      words: { zh: '放行：重新发送', en: 'Release a parked envelope: it is sent again' },
      more: {
        zh: '若此前可能已送达，先向部门查询再发。因本系统映射出错而搁置的，重新映射；部门答复无法读取的，重新查询。',
        en: 'When it may have arrived before, the department is asked first. One that our own mapping had spoilt is mapped again; one whose answer could not be read is asked for it again.',
      },
      replies: {
        200: { words: { zh: '信封', en: 'The envelope' }, schema: 'Envelope' },
        409: { words: { zh: '该信封未被搁置', en: 'It is not parked' }, schema: 'problem@1' },
      },
      async handle({ caller, param }) {
        await desk.release(param('id'), caller.appKey);
        return json(200, await seen(param('id'), null));
      },
    },
    {
      method: 'POST',
      path: '/v1/envelopes/{id}/cancel',
      id: 'cancelEnvelope',
      tag: 'queue',
      access: ['operator'],
      words: { zh: '取消：不再发送', en: 'Cancel an envelope that is parked or waiting' },
      body: { schema: 'envelope.cancel@1' },
      replies: {
        200: { words: { zh: '信封', en: 'The envelope' }, schema: 'Envelope' },
        409: { words: { zh: '为时已晚', en: 'Too late' }, schema: 'problem@1' },
      },
      async handle({ caller, param, body }) {
        const warnings = await desk.cancel(param('id'), caller.appKey, (body as { reason: string }).reason);
        return json(200, await seen(param('id'), null, warnings));
      },
    },
    {
      method: 'POST',
      path: '/v1/envelopes/{id}/settle',
      id: 'settleEnvelope',
      tag: 'queue',
      access: ['operator'],
      words: {
        zh: '核实：送达存疑的信封，部门已收到或没有收到',
        en: 'Settle an envelope in doubt: the party has it, or has it not',
      },
      more: {
        zh: '能向部门查询的，先查询，以部门答复为准；没有收到的重新发送。已取消而仍存疑的也可核实，核实为已收到的，取消随之撤回。',
        en: 'Where the party can be asked it is asked first, and what it says counts. One that is not there is sent again. One that was cancelled in doubt can be settled too: where the party has it, the cancelling is taken back.',
      },
      body: { schema: 'envelope.settle@1' },
      replies: {
        200: { words: { zh: '信封', en: 'The envelope' }, schema: 'Envelope' },
        409: {
          words: {
            zh: '没有疑问；或登记为没有收到，而部门答复已收到',
            en: 'It is in no doubt; or the party has what was said to be not there',
          },
          schema: 'problem@1',
        },
      },
      async handle({ caller, param, body }) {
        const { outcome, number, reason } = body as { outcome: 'filed' | 'notThere'; number?: string; reason: string };
        if (outcome === 'notThere' && number !== undefined) throw numberOfNothing();
        const settlement = outcome === 'filed' ? { outcome, number: number ?? null, reason } : { outcome, reason };
        await desk.settle(param('id'), caller.appKey, settlement);
        return json(200, await seen(param('id'), null));
      },
    },
  ];
}

function numberOfNothing(): Unfit {
  const words = { zh: '登记为没有收到时不应有编号', en: 'expected no number where the party does not have it' };
  return new Unfit(422, 'unfit', words, [{ pointer: '/number', code: 'numberOfNothing', ...words }]);
}
