import type { Desk } from '../../contracts/ports/services.ts';
import type { CaseReads } from '../../contracts/ports/store.ts';
import { forbidden } from './authenticate.ts';
import { ownParty } from './cases.ts';
import { oneOf, paging, ROWS, readQuery, term } from './parameters.ts';
import { json, type SignedRoute } from './route.ts';
import { keptView, messageEndView } from './views.ts';

const FILTER = {
  state: oneOf({ zh: '状态：unmatched，尚未对上信封的', en: 'state: `unmatched`, those without an envelope' }, [
    'unmatched',
  ]),
  party: term({ zh: '部门', en: 'party' }),
  ...paging,
};

/** What parties said later, and what could not be used of it. */
export function messageRoutes({
  reads,
  desk,
}: {
  reads: Pick<CaseReads, 'unmatched'>;
  desk: Pick<Desk, 'attach' | 'discard'>;
}): readonly SignedRoute[] {
  return [
    {
      method: 'GET',
      path: '/v1/messages',
      id: 'listMessages',
      tag: 'queue',
      access: ['department', 'operator', 'auditor'],
      words: {
        zh: '部门来文：尚未对上信封的，及其原因',
        en: 'Messages of departments that are not used yet, and why; oldest first',
      },
      more: {
        zh: '部门只见本部门的来文。超过 delivery.messageDays 天仍未对上的，不再保留。',
        en: 'A department sees its own. One that is not used within delivery.messageDays days is kept no longer.',
      },
      query: FILTER,
      replies: { 200: { words: { zh: '一页来文', en: 'A page of messages' }, schema: 'MessagePage' } },
      async handle({ caller, search }) {
        const { state: _, limit = ROWS, ...given } = readQuery(FILTER, search);
        const own = ownParty(caller);
        if (own !== null && given.party !== undefined && given.party !== own) throw forbidden(['operator', 'auditor']);
        const { rows, next } = await reads.unmatched({ ...given, ...(own === null ? {} : { party: own }), limit });
        return json(200, { rows: rows.map(keptView), next });
      },
    },
    {
      method: 'POST',
      path: '/v1/messages/{id}/attach',
      id: 'attachMessage',
      tag: 'queue',
      access: ['operator'],
      words: {
        zh: '归入：认定来文所说的是哪个信封',
        en: 'Attach a message to the envelope that it is about',
      },
      more: {
        zh: '其后与自动对上的来文相同，并记入办件过程。信封须是发给来文部门的。信封已取消或环节已结束的，来文记在环节上（late），不改变环节。重复归入同一信封，结果不变。',
        en: 'From then on it is as if it had been matched, and stands in the timeline. The envelope must be to the party of the message. Where the envelope was cancelled or its step has ended, the message is kept with the step (`late`), and moves nothing. To attach it to the same envelope again changes nothing.',
      },
      body: { schema: 'message.attach@1' },
      replies: {
        200: { words: { zh: '已归入', en: 'It is attached' }, schema: 'MessageEnd' },
        409: {
          words: { zh: '来文已对上信封，或已人工处理', en: 'It has found its envelope, or a person has dealt with it' },
          schema: 'problem@1',
        },
      },
      async handle({ caller, param, body }) {
        const { envelope, reason } = body as { envelope: string; reason: string };
        await desk.attach(param('id'), envelope, caller.appKey, reason);
        return json(200, messageEndView(param('id'), 'attached', envelope));
      },
    },
    {
      method: 'POST',
      path: '/v1/messages/{id}/discard',
      id: 'discardMessage',
      tag: 'queue',
      access: ['operator'],
      words: { zh: '弃置：来文无用', en: 'Discard a message that is of no use' },
      more: {
        zh: '该部门再次送来同一来文，按已收到答复。重复弃置，结果不变。',
        en: 'The same message of that party again is answered as received. To discard it again changes nothing.',
      },
      body: { schema: 'message.discard@1' },
      replies: {
        200: { words: { zh: '已弃置', en: 'It is discarded' }, schema: 'MessageEnd' },
        409: { words: { zh: '来文已对上信封', en: 'It has found its envelope' }, schema: 'problem@1' },
      },
      async handle({ caller, param, body }) {
        await desk.discard(param('id'), caller.appKey, (body as { reason: string }).reason);
        return json(200, messageEndView(param('id'), 'discarded', null));
      },
    },
  ];
}
