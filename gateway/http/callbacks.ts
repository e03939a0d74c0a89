import type { Departments } from '../../contracts/ports/services.ts';
import type { RawRoute } from './route.ts';

/** Not signed with an app key: the party's manifest verifies its own requests and answers in its own words. */
export function callbackRoutes({ departments }: { departments: Departments }): readonly RawRoute[] {
  return [
    {
      method: 'POST',
      path: '/v1/callbacks/{party}',
      id: 'takeCallback',
      tag: 'departments',
      access: 'manifest',
      words: { zh: '部门自己的回执或结果', en: 'A department’s own receipt or result' },
      more: {
        zh: '以部门自己的格式与编码发送，由其接入清单验签、读取并应答。',
        en: 'In its own bytes; its manifest verifies and reads it, and answers in its words.',
      },
      replies: { 200: { words: { zh: '部门自己格式的应答', en: 'An answer in the department’s words' }, type: '*/*' } },
      handle: ({ param }, request, traceparent) => departments.callback(param('party'), request, traceparent),
    },
  ];
}
