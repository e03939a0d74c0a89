import type { Certificates, Holder, Ledger, Purpose } from '../../contracts/ports/certificate.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Catalogue } from '../../contracts/ports/item.ts';
import { ROWS } from './parameters.ts';
import { json, type SignedRoute } from './route.ts';
import { ledgerView, retrievalView } from './views.ts';

export interface CertificateParts {
  readonly certificates: Certificates;
  /** The access ledger, and how it names a holder without holding the id number. */
  readonly ledger: { read: Ledger['read']; holderHash(idNo: string): string };
  readonly catalogue: Catalogue;
  readonly limits: { readonly certificateTimeMs: number };
}

/** As it passed `certificate.retrieve@1`. */
interface RetrievalRequest {
  readonly requestId?: string;
  readonly holder: Holder;
  readonly types?: readonly string[];
  readonly itemCode?: string;
  readonly purpose: Purpose;
  readonly hints?: JsonObject;
  readonly channel?: string;
  readonly timeLimitMs?: number;
}

interface LedgerSearch {
  readonly holder?: { readonly idNo: string };
  readonly caseNo?: string;
  readonly after?: string;
  readonly limit?: number;
}

export function certificateRoutes({
  certificates,
  ledger,
  catalogue,
  limits,
}: CertificateParts): readonly SignedRoute[] {
  function typesOf({ types, itemCode }: RetrievalRequest): readonly string[] {
    if (types !== undefined) return types;
    const item = catalogue.get(itemCode ?? '');
    if (item !== undefined) return [...new Set(item.materials.flatMap(({ certificate }) => certificate?.type ?? []))];
    const words = { zh: '事项目录中没有该事项编码', en: 'no such item in the catalogue' };
    throw new Unfit(422, 'unfit', words, [{ pointer: '/itemCode', code: 'itemUnknown', ...words }]);
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
      body: { schema: 'certificate.retrieve@1' },
      replies: { 200: { words: { zh: '逐证结果', en: 'One result for each' }, schema: 'certificate.retrieved@1' } },
      async handle({ caller, body, traceparent }) {
        const request = body as unknown as RetrievalRequest;
        const began = performance.now();
        const results = await certificates.retrieve({
          holder: request.holder,
          types: typesOf(request),
          purpose: request.purpose,
          hints: request.hints ?? {},
          channel: request.channel ?? caller.channels[0] ?? 'window',
          appKey: caller.appKey,
          traceparent,
          timeLimitMs: Math.min(request.timeLimitMs ?? limits.certificateTimeMs, limits.certificateTimeMs),
        });
        return json(200, retrievalView(results, Math.round(performance.now() - began), request.requestId));
      },
    },
    {
      method: 'POST',
      path: '/v1/certificates/ledger/searches',
      id: 'searchLedger',
      tag: 'certificates',
      access: ['auditor'],
      words: { zh: '查调用台账：谁查过', en: 'Search the access ledger: who looked' },
      more: {
        zh: '以 POST 查询，因身份证号不得出现在网址中。',
        en: 'A POST, because an identity number must not stand in a URL.',
      },
      body: { schema: 'LedgerSearch' },
      replies: {
        200: { words: { zh: '一页台账', en: 'A page of the ledger, in the order written' }, schema: 'LedgerPage' },
      },
      async handle({ body }) {
        const { holder, limit = ROWS, ...filter } = body as LedgerSearch;
        const hash = holder === undefined ? {} : { holderHash: ledger.holderHash(holder.idNo) };
        const entries = await ledger.read({ ...filter, ...hash, limit });
        const next = entries.length === limit ? (entries.at(-1)?.id ?? null) : null;
        return json(200, { rows: entries.map(ledgerView), next });
      },
    },
  ];
}
