import { randomUUID } from 'node:crypto';
import { countOf } from '../../contracts/count.ts';
import { maskHolder } from '../../contracts/mask.ts';
import type { Holder, Mandate, Mandates, Purpose } from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import { type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { Catalogue } from '../../contracts/ports/item.ts';
import type { Caller } from '../../contracts/ports/services.ts';
import { json, type SignedRoute } from './route.ts';
import { mandateView } from './views.ts';

export interface MandateParts {
  readonly mandates: Mandates;
  readonly catalogue: Catalogue;
  readonly holderHash: (idNo: string) => string;
  readonly clock: Clock;
}

/** As it passed `certificate.mandate@1`. */
interface Recording {
  readonly holder: Holder;
  readonly agent: Holder;
  readonly itemCode: string;
  readonly types?: readonly string[];
  readonly evidence: string;
  readonly clerk: Purpose['clerk'];
  readonly from?: string;
  readonly until: string;
}

/** No consent is for ever. */
const LONGEST_MS = 366 * 86_400_000;

/** Consents: recorded, limited in time, revocable. */
export function mandateRoutes({ mandates, catalogue, holderHash, clock }: MandateParts): readonly SignedRoute[] {
  async function own(id: string, caller: Caller): Promise<Mandate> {
    const mandate = await mandates.mandate(id);
    if (mandate === undefined || mandate.appKey !== caller.appKey)
      throw new Unfit(404, 'mandateUnknown', { zh: '没有该授权', en: 'no such mandate' });
    return mandate;
  }

  function wrong({ itemCode, types = [] }: Recording, from: number, until: number): readonly Problem[] {
    const problems: Problem[] = [];
    const item = catalogue.get(itemCode);
    if (item === undefined) {
      problems.push({
        pointer: '/itemCode',
        code: 'itemUnknown',
        zh: '事项目录中没有该事项编码',
        en: 'no such item in the catalogue',
      });
    }
    for (const [at, type] of types.entries()) {
      if (item === undefined || item.materials.some(({ certificate }) => certificate?.type === type)) continue;
      problems.push({
        pointer: `/types/${at}`,
        code: 'notInItem',
        zh: '该事项的材料清单不含此类证照',
        en: "the item's material list does not name this type",
      });
    }
    if (until <= from || until <= clock.now() || until - from > LONGEST_MS) {
      problems.push({
        pointer: '/until',
        code: 'mandateTerm',
        zh: '授权须在将来终止，且自起始之日起不超过一年',
        en: 'expected a time to come, at most a year after `from`',
      });
    }
    return problems;
  }

  return [
    {
      method: 'POST',
      path: '/v1/certificates/mandates',
      id: 'recordMandate',
      tag: 'certificates',
      access: ['window'],
      words: { zh: '登记授权：持证人同意他人为某事项调取其证照', en: "Record a holder's consent" },
      body: { schema: 'certificate.mandate@1' },
      replies: { 201: { words: { zh: '已登记', en: 'Recorded' }, schema: 'Mandate' } },
      async handle({ caller, body }) {
        const asked = body as unknown as Recording;
        const from = asked.from === undefined ? clock.now() : Date.parse(asked.from);
        const until = Date.parse(asked.until);
        const problems = wrong(asked, from, until);
        if (problems.length > 0) {
          const words = {
            zh: `授权有 ${problems.length} 处需要更正`,
            en: `${countOf(problems.length, 'thing')} to mend`,
          };
          throw new Unfit(422, 'unfit', words, problems);
        }
        const mandate: Mandate = {
          id: randomUUID(),
          appKey: caller.appKey,
          holderMasked: maskHolder(asked.holder),
          holderHash: holderHash(asked.holder.idNo),
          agentMasked: maskHolder(asked.agent),
          itemCode: asked.itemCode,
          types: asked.types ?? [],
          evidence: asked.evidence,
          officerId: asked.clerk.officerId,
          from,
          until,
          revoked: null,
        };
        await mandates.record(mandate);
        return json(201, mandateView(mandate), { Location: `/v1/certificates/mandates/${mandate.id}` });
      },
    },
    {
      method: 'GET',
      path: '/v1/certificates/mandates/{mandateId}',
      id: 'getMandate',
      tag: 'certificates',
      access: ['window'],
      words: { zh: '一份授权', en: 'A mandate' },
      replies: { 200: { words: { zh: '授权', en: 'The mandate' }, schema: 'Mandate' } },
      handle: async ({ caller, param }) => json(200, mandateView(await own(param('mandateId'), caller))),
    },
    {
      method: 'POST',
      path: '/v1/certificates/mandates/{mandateId}/revocation',
      id: 'revokeMandate',
      tag: 'certificates',
      access: ['window'],
      words: { zh: '撤回授权：此后不得再据以调取', en: 'Revoke a mandate: nothing is fetched by it any more' },
      body: { schema: 'ReasonGiven' },
      replies: {
        200: { words: { zh: '已撤回', en: 'Revoked' }, schema: 'Mandate' },
        409: { words: { zh: '此前已撤回', en: 'It was revoked before' }, schema: 'problem@1' },
      },
      async handle({ caller, param, body }) {
        const id = param('mandateId');
        await own(id, caller);
        const { reason } = body as { readonly reason: string };
        if (!(await mandates.revoke(id, { at: clock.now(), by: caller.appKey, reason })))
          throw new Unfit(409, 'mandateRevoked', { zh: '该授权此前已撤回', en: 'the mandate was revoked before' });
        return json(200, mandateView(await own(id, caller)));
      },
    },
  ];
}
