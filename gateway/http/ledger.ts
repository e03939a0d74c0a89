import type { Ledger, LedgerFilter, LedgerRow } from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import { type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { Millis, Words } from '../../contracts/ports/envelope.ts';
import type { Catalogue, CertificateTypes } from '../../contracts/ports/item.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Departments } from '../../contracts/ports/services.ts';
import { csv } from './csv.ts';
import { fromIso, isoDay } from './iso.ts';
import { day, oneOf, ROWS, readQuery, term } from './parameters.ts';
import { json, type SignedRoute } from './route.ts';
import { type Counting, type Grouping, statistics } from './statistics.ts';
import { ledgerView } from './views.ts';

export interface LedgerParts {
  readonly ledger: Pick<Ledger, 'read' | 'count' | 'check' | 'deleteBefore'>;
  /** How the ledger names a holder without holding the id number. */
  readonly holderHash: (idNo: string) => string;
  readonly catalogue: Catalogue;
  readonly types: CertificateTypes;
  readonly departments: Departments;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long a row is kept at least. */
  readonly ledgerDays: number;
}

const DAY_MS = 86_400_000;
/** Rows of an export that are read at a time. */
const PAGE = 500;
/** Of a type whose own is not known. */
const MINUTES = 30;
const LONGEST_DAYS = 3_660;

type Text<T> = { readonly [N in keyof T]: N extends 'from' | 'until' ? string : T[N] };
/** As it passed `LedgerFilter`. */
type Filter = Text<Omit<LedgerFilter, 'holderHash'>> & { readonly holder?: { readonly idNo: string } };
type Search = Filter & { readonly after?: string; readonly limit?: number };

const RANGE = {
  from: day({ zh: '起始日（含）', en: 'the first day' }),
  until: day({ zh: '截止日（不含）', en: 'the day after the last' }),
  by: oneOf<Grouping>({ zh: '分组，默认按证照类型', en: 'grouped by; by type unless given' }, [
    'item',
    'type',
    'source',
    'month',
  ]),
};

const CHECK = {
  from: term({ zh: '从该台账编号起，默认全部', en: 'from the row with this id on; the whole unless given' }),
};

type Line = ReturnType<typeof lineOf>;

const COLUMNS: readonly { readonly key: keyof Line; readonly header: string }[] = [
  { key: 'at', header: '时间 Time' },
  { key: 'phase', header: '环节 Phase' },
  { key: 'appKey', header: '应用 App' },
  { key: 'officerId', header: '经办人 Officer' },
  { key: 'deptUscc', header: '单位 Department' },
  { key: 'windowId', header: '窗口 Window' },
  { key: 'channel', header: '渠道 Channel' },
  { key: 'caseNo', header: '办件编号 Case' },
  { key: 'applicationNo', header: '申请编号 Application' },
  { key: 'itemCode', header: '事项 Item' },
  { key: 'material', header: '材料 Material' },
  { key: 'type', header: '证照类型 Certificate type' },
  { key: 'title', header: '证照名称 Certificate' },
  { key: 'holder', header: '持证人 Holder' },
  { key: 'use', header: '用证方式 Way of use' },
  { key: 'mandateId', header: '授权 Mandate' },
  { key: 'basis', header: '依据 Basis' },
  { key: 'source', header: '来源 Source' },
  { key: 'state', header: '结果 Result' },
  { key: 'reason', header: '原因 Reason' },
  { key: 'cached', header: '副本 From a copy' },
  { key: 'identifier', header: '证照标识 Identifier' },
  { key: 'digest', header: '文件摘要 Document digest' },
  { key: 'fields', header: '提供的字段 Fields' },
  { key: 'requestId', header: '请求编号 Request' },
  { key: 'id', header: '台账编号 Ledger id' },
  { key: 'of', header: '对应台账编号 Of' },
  { key: 'hash', header: '校验值 Hash' },
];

function lineOf(row: LedgerRow, types: CertificateTypes) {
  const { fields, cached, ...rest } = ledgerView(row);
  const title = types.get(row.type)?.title.zh ?? '';
  return { ...rest, title, cached: cached ? '是 yes' : '', fields: fields.join(' ') };
}

/** The access ledger of certificates (调用台账): searched, exported, counted, kept. */
export function ledgerRoutes(parts: LedgerParts): readonly SignedRoute[] {
  const { ledger, holderHash, catalogue, types, departments, clock, log } = parts;
  const counting: Counting = {
    count: (asked) => ledger.count(asked),
    minutesOf: (type) => types.get(type)?.minutesSaved ?? MINUTES,
  };
  /** One reading of the whole serves all who ask meanwhile. */
  let checking: ReturnType<Ledger['check']> | undefined;
  function wholeCheck(): ReturnType<Ledger['check']> {
    checking ??= ledger.check().finally(() => {
      checking = undefined;
    });
    return checking;
  }

  function filterOf({ holder, from, until, ...plain }: Filter): LedgerFilter {
    const problems: Problem[] = [];
    const time = (pointer: string, text: string | undefined): Millis | undefined => {
      const at = text === undefined ? undefined : fromIso(text);
      if (text !== undefined && at === undefined) problems.push({ pointer, code: 'time', ...NO_TIME });
      return at;
    };
    const range = { from: time('/from', from), until: time('/until', until) };
    if (problems.length > 0) throw new Unfit(422, 'unfit', NO_TIME, problems);
    return {
      ...plain,
      ...(holder === undefined ? {} : { holderHash: holderHash(holder.idNo) }),
      ...(range.from === undefined ? {} : { from: range.from }),
      ...(range.until === undefined ? {} : { until: range.until }),
    };
  }

  async function* exported(filter: LedgerFilter, app: string): AsyncGenerator<readonly Line[]> {
    let rows = 0;
    let after: string | undefined;
    try {
      do {
        const page = await ledger.read({ ...filter, ...(after === undefined ? {} : { after }), limit: PAGE });
        rows += page.length;
        after = page.length < PAGE ? undefined : page.at(-1)?.id;
        yield page.map((row) => lineOf(row, types));
      } while (after !== undefined);
    } finally {
      log.info('ledger exported', { app, rows });
    }
  }

  async function titleOf(key: string | null, by: Grouping): Promise<Words> {
    if (key === null) return { zh: '各来源均无', en: 'no source had it' };
    if (key === 'register') return { zh: '本系统登记的证照', en: 'registered here' };
    const named = { item: () => catalogue.get(key)?.title, type: () => types.get(key)?.title, month: () => undefined };
    const title = by === 'source' ? (await departments.get(key))?.title : named[by]();
    return title === undefined ? { zh: key, en: key } : { zh: title.zh, en: title.en };
  }

  return [
    {
      method: 'POST',
      path: '/v1/certificates/ledger/searches',
      id: 'searchLedger',
      tag: 'certificates',
      access: ['auditor'],
      words: { zh: '查调用台账：谁查过', en: 'Search the access ledger: who looked' },
      more: {
        zh: '以 POST 查询，因身份证号不得出现在网址中。所给条件须同时满足；caseNo 与 applicationNo 满足其一即可，受理前的调取只记申请编号。until 不含。',
        en: 'A POST, because an identity number must not stand in a URL. All that is given must hold; of caseNo and applicationNo either will do, because what was fetched before acceptance knows the application only. `until` is not included.',
      },
      body: { schema: 'LedgerSearch' },
      replies: {
        200: {
          words: { zh: '一页台账，按时间先后', en: 'A page of the ledger, in the order of time' },
          schema: 'LedgerPage',
        },
      },
      async handle({ body }) {
        const { after, limit = ROWS, ...filter } = body as Search;
        const rows = await ledger.read({ ...filterOf(filter), ...(after === undefined ? {} : { after }), limit });
        const next = rows.length === limit ? (rows.at(-1)?.id ?? null) : null;
        return json(200, { rows: rows.map(ledgerView), next });
      },
    },
    {
      method: 'POST',
      path: '/v1/certificates/ledger/exports',
      id: 'exportLedger',
      tag: 'certificates',
      access: ['auditor'],
      words: { zh: '导出调用台账（CSV）', en: 'Export the access ledger as CSV' },
      more: {
        zh: '条件同查询，可以为空。UTF-8 带 BOM；边读边发，中断的应答不完整。',
        en: 'Filters as in a search, or none. UTF-8 with a byte order mark; sent while it is read: an answer that breaks off is not whole.',
      },
      body: { schema: 'LedgerFilter' },
      replies: { 200: { words: { zh: '表格', en: 'The table' }, type: 'text/csv' } },
      async handle({ body, caller }) {
        return {
          status: 200,
          headers: {
            'Content-Type': 'text/csv; charset=utf-8',
            'Content-Disposition': `attachment; filename="ledger-${isoDay(clock.now())}.csv"`,
          },
          content: csv(COLUMNS, exported(filterOf(body as Filter), caller.appKey)),
        };
      },
    },
    {
      method: 'GET',
      path: '/v1/certificates/ledger/check',
      id: 'checkLedger',
      tag: 'certificates',
      access: ['auditor'],
      words: { zh: '校验台账：是否被改动', en: 'Check the ledger: whether anything was changed' },
      more: {
        zh: '从头到尾重算校验链；brokenAt 为第一条与写入时不符的记录。',
        en: 'The chain of hashes is computed again from the oldest row on; `brokenAt` is the first row that is not as it was written.',
      },
      query: CHECK,
      replies: { 200: { words: { zh: '校验结果', en: 'What was found' }, schema: 'LedgerCheck' } },
      async handle({ search }) {
        const { from } = readQuery(CHECK, search);
        const { rows, brokenAt } = await (from === undefined ? wholeCheck() : ledger.check(from));
        if (brokenAt !== null) log.error('the access ledger is not as it was written', { brokenAt });
        return json(200, { rows, intact: brokenAt === null, brokenAt });
      },
    },
    {
      method: 'POST',
      path: '/v1/certificates/ledger/deletions',
      id: 'deleteFromLedger',
      tag: 'certificates',
      access: ['operator'],
      words: { zh: '删除到期的台账', en: 'Delete what the ledger has kept long enough' },
      more: {
        zh: '删除 before 当日零时之前的记录。保存期由 certificates.ledgerDays 规定，不足保存期的不予删除；不足 180 天的数据库本身拒绝删除。',
        en: 'Deletes the rows older than the beginning of the day `before`. What is younger than certificates.ledgerDays is kept; what is younger than 180 days the database itself keeps.',
      },
      body: { schema: 'LedgerDeletion' },
      replies: {
        200: { words: { zh: '已删除', en: 'Deleted' }, schema: 'LedgerDeleted' },
        422: { words: { zh: '未满保存期', en: 'Too early' }, schema: 'problem@1' },
      },
      async handle({ body, caller }) {
        const { before } = body as { readonly before: string };
        const at = fromIso(before) ?? Number.POSITIVE_INFINITY;
        const latest = isoDay(clock.now() - parts.ledgerDays * DAY_MS);
        if (at > (fromIso(latest) ?? 0)) throw tooEarly(latest, parts.ledgerDays);
        const rows = await ledger.deleteBefore(at);
        log.info('rows of the access ledger were deleted', { app: caller.appKey, before, rows });
        return json(200, { before, rows });
      },
    },
    {
      method: 'GET',
      path: '/v1/certificates/statistics',
      id: 'getStatistics',
      tag: 'certificates',
      access: ['auditor'],
      words: { zh: '用证统计', en: 'What was fetched, for the yearly report' },
      more: {
        zh: 'matters：有过调取的申请（不知申请编号时为办件）；calls：获准的调取；fetched：查到的证照；hitRate＝fetched÷calls；cachedRate：其中由副本答复的比例；minutesSaved：fetched×该类型每证节省的分钟数。',
        en: 'matters: applications (or cases, where no application number is known) with at least one call; calls: permitted ones; fetched: answered found; hitRate = fetched / calls; cachedRate: the share of them answered from a copy; minutesSaved: fetched × the minutes of the type.',
      },
      query: RANGE,
      replies: { 200: { words: { zh: '统计', en: 'The figures' }, schema: 'Statistics' } },
      async handle({ search }) {
        const { from, until, by = 'type' } = readQuery(RANGE, search);
        if (from === undefined || until === undefined || from >= until || until - from > LONGEST_DAYS * DAY_MS)
          throw wrongRange(from === undefined ? '?from' : '?until');
        const { total, rows } = await statistics(counting, { from, until, by });
        const titled = rows.map(async ({ key, ...figures }) => ({ key, title: await titleOf(key, by), ...figures }));
        return json(200, { from: isoDay(from), until: isoDay(until), by, total, rows: await Promise.all(titled) });
      },
    },
  ];
}

const NO_TIME: Words = { zh: '没有这个时间', en: 'there is no such time' };

function tooEarly(latest: string, days: number): Unfit {
  const words = {
    zh: `台账至少保存 ${days} 天：before 不得晚于 ${latest}`,
    en: `the ledger is kept for at least ${days} days: before must not be later than ${latest}`,
  };
  return new Unfit(422, 'tooEarly', words, [{ pointer: '/before', code: 'tooEarly', ...words }]);
}

function wrongRange(pointer: string): Unfit {
  const words = {
    zh: `须给出 from 与 until（YYYY-MM-DD），from 在前，相距不超过 ${LONGEST_DAYS} 天`,
    en: `expected from and until (YYYY-MM-DD), from before until, at most ${LONGEST_DAYS} days apart`,
  };
  return new Unfit(400, 'parameters', words, [{ pointer, code: 'range', ...words }]);
}
