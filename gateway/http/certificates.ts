import type { Holder, Purpose } from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { BodyNormaliser, Contracts, Problem } from '../../contracts/ports/contract.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Catalogue, Facts } from '../../contracts/ports/item.ts';
import type { Certificates, RetrievalRequest } from '../../contracts/ports/retrieval.ts';
import type { Caller } from '../../contracts/ports/services.ts';
import { unfit } from './problems.ts';
import { json, type SignedRoute } from './route.ts';
import { retrievalView } from './views.ts';

export interface CertificateParts {
  readonly certificates: Certificates;
  readonly catalogue: Catalogue;
  readonly contracts: Contracts & BodyNormaliser;
  readonly clock: Clock;
  readonly limits: { readonly certificateTimeMs: number };
}

/** As it passed `certificate.retrieve@1`. */
interface Retrieval {
  readonly requestId?: string;
  readonly holder?: Holder;
  readonly holders?: readonly Holder[];
  readonly form?: JsonObject;
  readonly types?: readonly string[];
  readonly itemCode?: string;
  readonly purpose: Purpose;
  readonly hints?: JsonObject;
  readonly want?: 'data' | 'file';
  readonly channel?: string;
  readonly timeLimitMs?: number;
}

const LONGEST_SAID = 200;

export function certificateRoutes({
  certificates,
  catalogue,
  contracts,
  clock,
  limits,
}: CertificateParts): readonly SignedRoute[] {
  /** The form under its item's contract, which that of the retrieval does not know. */
  function withForm(asked: Retrieval): Retrieval {
    const { form, purpose } = (asked ?? {}) as Partial<Retrieval>;
    const itemCode: unknown = purpose?.itemCode;
    const item = typeof itemCode === 'string' ? catalogue.get(itemCode) : undefined;
    if (form === undefined || item === undefined) return asked;
    return { ...asked, form: contracts.normalise(item.form, form) as JsonObject };
  }

  /** The matter as the form shows it, before there is a case. */
  function factsOf({ form, purpose, channel }: Retrieval, caller: Caller): Facts | undefined {
    if (form === undefined) return undefined;
    const item = catalogue.get(purpose.itemCode);
    if (item === undefined) return undefined;
    const problems = contracts
      .problems(item.form, form)
      .map((problem) => ({ ...problem, pointer: `/form${problem.pointer}` }));
    if (problems.length > 0) throw unfit(problems);
    return {
      case: {
        caseNo: '',
        applicationNo: purpose.applicationNo ?? '',
        itemCode: item.code,
        channel: channel ?? caller.channels[0] ?? 'window',
        acceptedAt: clock.now(),
      },
      applicant: {},
      agent: null,
      form,
      materials: [],
      certificates: [],
      steps: {},
    };
  }

  function requestOf(asked: Retrieval, caller: Caller, traceparent: string): RetrievalRequest {
    const { holder, holders = holder === undefined ? undefined : [holder], types, requestId } = asked;
    const facts = factsOf(asked, caller);
    return {
      ...(holders === undefined ? {} : { holders }),
      ...(types === undefined ? {} : { types }),
      ...(facts === undefined ? {} : { facts }),
      ...(requestId === undefined ? {} : { requestId }),
      purpose: asked.purpose,
      hints: asked.hints ?? {},
      wantsFile: asked.want === 'file',
      channel: asked.channel ?? caller.channels[0] ?? 'window',
      appKey: caller.appKey,
      traceparent,
      timeLimitMs: Math.min(asked.timeLimitMs ?? limits.certificateTimeMs, limits.certificateTimeMs),
    };
  }

  /** A question without a purpose, or with none that holds, is refused, and written down like every refusal; what else is wrong with it makes it no question. */
  async function refused(
    body: Retrieval,
    problems: readonly Problem[],
    caller: Caller,
    traceparent: string,
  ): Promise<never> {
    if (problems.every(({ pointer }) => /^\/(?:purpose|itemCode)(?:\/|$)/.test(pointer))) {
      const { form: _, ...asked } = body;
      const purpose = saidOf(asked.purpose, asked.itemCode);
      await certificates.refused({ ...requestOf(asked, caller, traceparent), purpose });
    }
    throw unfit(problems);
  }

  return [
    {
      method: 'POST',
      path: '/v1/certificates/retrievals',
      id: 'retrieveCertificates',
      tag: 'certificates',
      access: ['window'],
      words: { zh: '调取电子证照', en: 'Fetch certificates instead of asking for them' },
      more: {
        zh: '须说明用途（办件或申请编号、事项、经办人、依据）；每种证照各有结果，部分结果是正常的；每次调取先记台账。',
        en: 'A purpose is mandatory (case or application number, item, clerk, basis). Each certificate has its own outcome, and partial results are normal. Every retrieval is in the ledger before its source is called.',
      },
      body: { schema: 'certificate.retrieve@1', checkedBehind: true },
      replies: { 200: { words: { zh: '逐证结果', en: 'One result for each' }, schema: 'certificate.retrieved@1' } },
      async handle({ caller, body: sent, traceparent }) {
        const body = contracts.normalise('certificate.retrieve@1', sent);
        const asked = withForm(body as unknown as Retrieval);
        const problems = [...contracts.problems('certificate.retrieve@1', body)];
        if (problems.length > 0) return refused(asked, problems, caller, traceparent);
        const { itemCode, purpose } = asked;
        // A running case may follow an item that is no longer offered.
        if (itemCode !== undefined && purpose.caseNo === undefined && catalogue.get(itemCode) === undefined) {
          const words = { zh: '事项目录中没有该事项编码', en: 'no such item in the catalogue' };
          problems.push({ pointer: '/itemCode', code: 'itemUnknown', ...words });
        } else if (itemCode !== undefined && itemCode !== purpose.itemCode) {
          const words = { zh: '与用途中的事项不一致', en: 'expected the item of the purpose' };
          problems.push({ pointer: '/itemCode', code: 'otherItem', ...words });
        }
        if (problems.length > 0) return refused(asked, problems, caller, traceparent);
        const began = performance.now();
        const results = await certificates.retrieve(requestOf(asked, caller, traceparent));
        return json(200, retrievalView(results, Math.round(performance.now() - began), asked.requestId));
      },
    },
  ];
}

/** Of a purpose that is none, what it says all the same: texts, and no longer than a purpose's are. */
function saidOf(purpose: unknown, item: unknown): Partial<Purpose> {
  const text = (of: unknown, name: string): string | undefined => {
    const value =
      typeof of === 'object' && of !== null ? (of as { readonly [name: string]: unknown })[name] : undefined;
    return typeof value === 'string' && value.length <= LONGEST_SAID ? value : undefined;
  };
  const texts = ['caseNo', 'applicationNo', 'basis'].flatMap((name) => {
    const said = text(purpose, name);
    return said === undefined ? [] : [[name, said] as const];
  });
  const officerId = text((purpose as { clerk?: unknown } | null | undefined)?.clerk, 'officerId');
  const itemCode = text(purpose, 'itemCode') ?? text({ item }, 'item');
  return {
    ...Object.fromEntries(texts),
    ...(itemCode === undefined ? {} : { itemCode }),
    ...(officerId === undefined ? {} : { clerk: { officerId } }),
  };
}
