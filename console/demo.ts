/**
 * `npm run demo`: the reason why this program exists, played over real wires in under two minutes. It ends with exit 0 only if
 * everything it claims was checked.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters, styleText } from 'node:util';
import { PRIVATE } from '../config/private-files.ts';
import type { Filing, Mood } from '../contracts/ports/simulator.ts';
import { Client, demoApp } from './client.ts';
import { freePort } from './free-port.ts';
import * as story from './story.ts';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const WIDTH = 100;
const LIMIT_MS = 115_000;

// ── What is said ────────────────────────────────────────────────────────────────────────────────────────────────

const started = Date.now();
let failed = 0;
let checked = 0;

/** Columns a text takes: Chinese characters take two. */
function columns(text: string): number {
  let sum = 0;
  for (const character of stripVTControlCharacters(text))
    sum +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]/u.test(
        character,
      )
        ? 2
        : 1;
  return sum;
}
const fit = (text: string, width: number): string => {
  let cut = '';
  for (const character of text) {
    if (columns(cut + character) > width) break;
    cut += character;
  }
  return cut + ' '.repeat(Math.max(0, width - columns(cut)));
};

function chapter(number: number, zh: string, en: string): void {
  console.log(`\n${styleText(['bold', 'cyan'], `${number}  ${zh}`)}  ${styleText('dim', en)}`);
}
/** Readable in 100 columns: what is longer goes on in the next line, under its own beginning. */
function tell(text: string, indent = 3): void {
  let line = ' '.repeat(indent);
  const words = text.split(' ');
  for (const word of words.map((one, at) => (at < words.length - 1 ? `${one} ` : one))) {
    if (columns(line + word.trimEnd()) > WIDTH && line.trim() !== '') {
      console.log(line.trimEnd());
      line = ' '.repeat(indent + 2);
    }
    line += word;
  }
  console.log(line.trimEnd());
}
function problem(pointer: string, zh: string, en: string): void {
  tell(`${styleText('yellow', fit(pointer || '/', 24))} ${zh}`);
  tell(styleText('dim', en), 28);
}
const dim = (text: string): void => console.log(`   ${styleText('dim', text)}`);

function claim(text: string, holds: boolean): void {
  checked += 1;
  if (!holds) failed += 1;
  tell(`${holds ? styleText('green', '✔') : styleText(['bold', 'red'], '✘')} ${text}`);
}

/** Waits until `look` gives something, showing `line` meanwhile; undefined when the time is over. */
async function until<T>(
  look: () => Promise<T | undefined>,
  ms: number,
  line?: () => Promise<string>,
): Promise<T | undefined> {
  const end = Date.now() + ms;
  const live = process.stdout.isTTY === true;
  let last = '';
  for (;;) {
    const seen = await look().catch(() => undefined);
    if (seen !== undefined || Date.now() > end) {
      if (live && last !== '') process.stdout.write('\r\u001b[2K');
      return seen;
    }
    const text = await line?.().catch(() => '');
    if (text !== undefined && text !== '' && text !== last) {
      last = text;
      const shown = `   ${styleText('yellow', fit(`⏳ ${text}`, WIDTH - 4).trimEnd())}`;
      if (live) process.stdout.write(`\r\u001b[2K${shown}`);
      else console.log(shown);
    }
    await pause(80);
  }
}

// ── The two processes ───────────────────────────────────────────────────────────────────────────────────────────

const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-demo-'));
const [port, simPort] = [await freePort(), await freePort()];
const [url, sims] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${simPort}`];
const children = new Set<ChildProcess>();
const words: string[] = [];

function run(script: string, args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, [path.join(root, script), ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => words.push(chunk.toString('utf8')));
  child.on('exit', () => children.delete(child));
  return child;
}

const up = (address: string, target: string): Promise<true | undefined> =>
  until(
    async () => ((await fetch(`${address}${target}`, { signal: AbortSignal.timeout(1_000) })).ok ? true : undefined),
    15_000,
  );

async function startGateway(): Promise<{ child: ChildProcess; ms: number }> {
  const before = performance.now();
  const child = run('gateway/main.ts', [], {
    PORT: String(port),
    DATA_DIR: path.join(folder, 'data'),
    CONFIG: path.join(folder, 'sims.json'),
    LOG_LEVEL: 'info',
  });
  await up(url, '/readyz');
  return { child, ms: Math.round(performance.now() - before) };
}

const json = async <T>(target: string, body?: unknown): Promise<T> => {
  const response = await fetch(`${sims}${target}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(5_000),
  });
  return (await response.json()) as T;
};
const mood = (party: string, to: Mood): Promise<unknown> => json(`/parties/${party}/mood`, { mood: to });
const book = (party: string): Promise<readonly Filing[]> => json(`/parties/${party}/filed`);

// ── The window, the operator, the auditor ───────────────────────────────────────────────────────────────────────

interface Words {
  readonly zh: string;
  readonly en: string;
}
interface StepView {
  readonly no: string;
  readonly title: Words;
  readonly party: string;
  readonly state: string;
  readonly number: string | null;
  readonly reason: (Words & { readonly code: string }) | null;
  readonly resumesAt: string | null;
}
interface CaseView {
  readonly caseNo: string;
  readonly state: string;
  readonly seenBefore?: boolean;
  readonly steps: readonly StepView[];
  readonly decision: { readonly outcome: string; readonly reason: (Words & { readonly code: string }) | null } | null;
  readonly problems?: readonly (Words & { readonly pointer: string; readonly code: string })[];
  readonly certificates?: readonly { readonly stepNo: string | null; readonly identifier: string | null }[];
}
interface EnvelopeView {
  readonly id: string;
  readonly stepNo: string | null;
  readonly to: string;
  readonly state: string;
  readonly attempts: number;
  readonly number: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly reason: (Words & { readonly code: string }) | null;
}

const window_ = new Client(url, demoApp('window-demo'));
const operator = new Client(url, demoApp('operator-demo'));
const auditor = new Client(url, demoApp('auditor-demo'));

const submit = async (body: unknown): Promise<CaseView> => (await window_.post<CaseView>('/v1/cases', body)).body;
const look = async (caseNo: string): Promise<CaseView> => (await window_.get<CaseView>(`/v1/cases/${caseNo}`)).body;
const step = (view: CaseView, no: string): StepView | undefined => view.steps.find((each) => each.no === no);
const ended = (view: CaseView): boolean => view.state === 'DECIDED' || view.state === 'WITHDRAWN';
const settled = (view: CaseView): boolean =>
  ended(view) && view.steps.every(({ state }) => ['DONE', 'REJECTED', 'SKIPPED'].includes(state));
const allSettled = (caseNo: string, ms = 20_000): Promise<CaseView | undefined> =>
  until(
    async () => {
      const view = await look(caseNo);
      return settled(view) ? view : undefined;
    },
    ms,
    async () => waiting(await look(caseNo)),
  );
const waiting = (view: CaseView): string =>
  view.steps
    .filter(({ state }) => !['PENDING', 'DONE', 'SKIPPED'].includes(state))
    .map(({ no, title, state, reason }) => `${no} ${title.zh} ${state}${reason === null ? '' : ` · ${reason.zh}`}`)
    .join('  ');

const cases: { readonly title: string; readonly caseNo: string }[] = [];
function remember(title: string, view: CaseView): string {
  claim(
    `${title}：已受理 accepted, 办件编号 ${styleText('bold', view.caseNo ?? '–')}`,
    /^331124\d{12}$/.test(view.caseNo ?? ''),
  );
  if (view.problems !== undefined) for (const problem of view.problems) dim(`${problem.pointer} ${problem.zh}`);
  cases.push({ title, caseNo: view.caseNo });
  return view.caseNo;
}
const twice = (filings: readonly Filing[]): readonly string[] => {
  const keys = filings.map(({ key }) => key);
  return keys.filter((key, at) => keys.indexOf(key) !== at);
};

// ── The story ───────────────────────────────────────────────────────────────────────────────────────────────────

async function play(): Promise<void> {
  console.log(
    styleText(['bold'], '\n一窗总线 Onewindow') +
      styleText('dim', '   一份申请，依法定顺序，一个结果   one submission, lawful order, one answer'),
  );

  chapter(1, '老系统就位', 'the old systems, each on a real socket with its real bytes');
  run('console/simulators.ts', ['--port', String(simPort), '--gateway', url, '--decide-after', '900']);
  await up(sims, '/parties');
  const config = await json<{ parties: Record<string, { baseUrl?: string; host?: string; port?: number }> }>('/config');
  // Here nobody wants to wait a quarter of a minute for a source that came back.
  const certificates = { owedSweepMs: 200, owedAfterMs: [300] };
  await writeFile(path.join(folder, 'sims.json'), JSON.stringify({ ...config, certificates }), { mode: PRIVATE.file });
  tell(
    Object.entries(config.parties)
      .map(
        ([party, { baseUrl, port: at }]) =>
          `${party} ${styleText('dim', `:${at ?? new URL(baseUrl ?? 'http://x').port}`)}`,
      )
      .join('  '),
  );
  let gateway = await startGateway();
  claim(`网关就绪 gateway ready in ${gateway.ms} ms`, gateway.ms < 15_000);

  chapter(2, '一次性告知', "a clerk's precheck tells everything that is missing, at once");
  const precheck = await window_.post<{
    acceptable: boolean;
    problems: readonly (Words & { pointer: string; code: string })[];
  }>('/v1/cases/precheck', story.houseSaleWithMistakes());
  for (const { pointer, zh, en } of precheck.body.problems) problem(pointer, zh, en);
  claim(
    `形式有 ${precheck.body.problems.length} 处错误，一次告知 mistakes of form, all at once`,
    precheck.status === 200 && !precheck.body.acceptable && precheck.body.problems.length >= 3,
  );
  const lacking = await window_.post<typeof precheck.body>(
    '/v1/cases/precheck',
    story.houseSaleWithoutMarriageCertificate(),
  );
  for (const { pointer, zh, en } of lacking.body.problems) problem(pointer, zh, en);
  claim(
    '份额不足、查无结婚登记，一次告知 shares, and a marriage that is on no record, told together',
    lacking.body.problems
      .map(({ code }) => code)
      .sort()
      .join() === 'certificateNone,sharesSum',
  );

  chapter(3, '二手房转移登记；税务局在办理中途断线', 'a house sale; the tax office is unplugged in the middle');
  await mood('tax', 'absent');
  const sale = story.houseSale();
  const ready = await window_.post<{
    acceptable: boolean;
    materials: readonly { code: string; title: Words; state: string }[];
  }>('/v1/cases/precheck', sale);
  const fetched = ready.body.materials.filter(({ state }) => state === 'fetched');
  for (const { code, title, state } of ready.body.materials)
    tell(
      `${code} ${fit(title.zh, 18)} ${state === 'fetched' ? styleText('green', '已调取 fetched') : styleText('dim', state)}`,
    );
  claim(
    `${fetched.length} 种证照由网关调取，申请人不必携带 fetched, not asked for`,
    ready.body.acceptable && fetched.length >= 4,
  );
  const house = remember('二手房转移登记', await submit(sale));
  const again = await window_.post<CaseView>('/v1/cases', sale);
  claim(
    '同一申请再次提交：同一办件 the same submission again: the same case',
    again.status === 200 && again.body.seenBefore === true && again.body.caseNo === house,
  );
  const open = await until(
    async () => {
      const { body } = await operator.get<{ breakers: { deliver: { state: string } } }>('/v1/departments/tax');
      return body.breakers.deliver.state === 'open' ? body : undefined;
    },
    20_000,
    async () => waiting(await look(house)),
  );
  claim('税务局断路器断开 the breaker of the tax office opens', open !== undefined);
  const held = await look(house);
  claim(
    '住建核验已完成，税务等待，登记未开始 checked; tax waits; registration has not begun',
    step(held, '01')?.state === 'DONE' &&
      step(held, '02')?.state === 'WAITING' &&
      step(held, '03')?.state === 'PENDING',
  );
  tell(`窗口看到的原因 what the window sees: ${styleText('yellow', step(held, '02')?.reason?.zh ?? '–')}`);
  await mood('tax', 'well');
  tell('税务局恢复 the tax office is back');
  const sold = await allSettled(house, 30_000);
  claim(
    '自行继续直至办结：完税在先，登记在后 goes on by itself: tax, then registration, then water ‖ electricity ‖ gas',
    sold?.decision?.outcome === 'approved',
  );
  claim(
    '税务局簿上仅一笔 in the book of the tax office exactly once',
    (await book('tax')).filter(({ key }) => key.startsWith(house)).length === 1,
  );

  chapter(4, '一次不予受理', 'a refusal, in the department’s own words');
  await mood('social-security', 'refuses');
  const refusedNo = remember('灵活就业参保', await submit(story.flexibleEmployment('张样例')));
  const refused = await allSettled(refusedNo);
  claim(
    `人社局：${refused?.decision?.reason?.zh ?? '–'} (${refused?.decision?.reason?.code ?? '–'})`,
    refused?.decision?.outcome === 'refused',
  );
  claim(
    '后续环节未启动 later steps never began',
    step(refused ?? held, '02')?.state === 'SKIPPED' && step(refused ?? held, '03')?.state === 'SKIPPED',
  );
  await mood('social-security', 'well');

  chapter(5, '生僻字', 'rare names: never a question mark');
  const rare = remember('契税申报 · 王㙓', await submit(story.deedTax('王㙓')));
  const paid = await allSettled(rare);
  const [entry] = (await book('tax')).filter(({ key }) => key.startsWith(rare));
  claim(
    '税务局按 GB18030 收到“王㙓” the tax office has the name whole',
    paid?.decision?.outcome === 'approved' && JSON.stringify(entry?.content ?? '').includes('王㙓'),
  );
  const unsendable = await window_.post<CaseView>('/v1/cases', story.flexibleEmployment('陈𠮷'));
  const notHeld = (unsendable.body.problems ?? []).filter(({ code }) => code === 'charactersNotHeld');
  for (const { pointer, zh, en } of notHeld) problem(pointer, zh, en);
  claim(
    '人社局只认 GBK：受理前按字段告知，不以“?”代替 one that the office cannot hold: told by its field, before acceptance',
    unsendable.status === 422 && notHeld.length > 0 && unsendable.body.caseNo === undefined,
  );

  chapter(6, '已受理但回执丢失', 'filed, and the reply lost: asked, not filed again');
  await mood('medical-insurance', 'forgetful');
  const birth = remember('出生登记', await submit(story.birth()));
  await until(
    async () => ((await book('medical-insurance')).some(({ key }) => key.startsWith(birth)) ? true : undefined),
    15_000,
    async () => waiting(await look(birth)),
  );
  await pause(300);
  await mood('medical-insurance', 'well');
  const born = await allSettled(birth);
  const enrolled = (await book('medical-insurance')).filter(({ key }) => key.startsWith(birth));
  claim(
    '先查询后认领：医保簿上仅一笔 inquired: in the book once',
    born !== undefined && enrolled.length === 1 && step(born, '02')?.number === enrolled[0]?.number,
  );

  await mood('tax', 'garbled');
  const doubtful = remember('契税申报 · 答复乱码', await submit(story.deedTax('李样例')));
  const parked = await until(async () => {
    const view = await look(doubtful);
    return step(view, '01')?.state === 'PARKED' ? view : undefined;
  }, 20_000);
  claim(
    `答复读不懂：转人工，写明原因 an answer that nobody can read is a person's: ${step(parked ?? held, '01')?.reason?.zh ?? '–'}`,
    parked !== undefined,
  );
  await mood('tax', 'well');
  const settling = await operator.post<{ inDoubt: boolean }>(`/v1/envelopes/${doubtful}-01/settle`, {
    outcome: 'notThere',
    reason: '电话核实：税务局没有收到该申报',
  });
  const refiled = await allSettled(doubtful);
  claim(
    '值班员核实：先向税务局查询，确无此件再重新发送，簿上仅一笔 a person settles it: asked first, sent again, in the book once',
    settling.status === 200 &&
      refiled?.decision?.outcome === 'approved' &&
      (await book('tax')).filter(({ key }) => key.startsWith(doubtful)).length === 1,
  );

  chapter(7, '网关被 kill -9', 'the gateway itself is killed in the middle of twelve cases');
  const many = await Promise.all(
    Array.from({ length: 12 }, (_, at) =>
      submit(at % 3 === 0 ? story.houseSale() : at % 3 === 1 ? story.deedTax('李样例') : story.birth()),
    ),
  );
  const numbers = many.map(({ caseNo }) => caseNo);
  for (const [at, caseNo] of numbers.entries())
    cases.push({ title: ['二手房转移登记', '契税申报', '出生登记'][at % 3] ?? '', caseNo });
  claim(
    `${numbers.length} 件已确认受理 acknowledged`,
    numbers.every((caseNo) => /^331124\d{12}$/.test(caseNo ?? '')),
  );
  await pause(250);
  gateway.child.kill('SIGKILL');
  await new Promise((resolve) => gateway.child.once('exit', resolve));
  tell(styleText('red', 'kill -9'));
  gateway = await startGateway();
  claim(`重启就绪 restarted, ready in ${gateway.ms} ms`, gateway.ms < 15_000);
  const finished = await until(
    async () => {
      const views = await Promise.all(numbers.map(look));
      return views.every(settled) ? views : undefined;
    },
    45_000,
    async () => {
      const views = await Promise.all(numbers.map(look));
      return `${views.filter(settled).length}/${numbers.length} 件办结 settled`;
    },
  );
  claim(
    '全部办结，无一丢失 every one ends, none is lost',
    finished?.every(({ decision }) => decision?.outcome === 'approved') === true,
  );
  const parties = Object.keys(config.parties);
  const books = await Promise.all(parties.map(async (party) => ({ party, filings: await book(party) })));
  claim(
    '各部门簿上无一重复 no book holds anything twice',
    books.every(({ filings }) => twice(filings).length === 0),
  );

  await certificatesChapter();

  chapter(9, '窗口收到的结果', 'what came back to the window, in order');
  const told = await until(async () => {
    const notices = await book('window');
    const results = new Set(
      notices.filter(({ what }) => what === 'case.result@1').map(({ key }) => key.split('-W')[0]),
    );
    return cases.every(({ caseNo }) => results.has(caseNo)) ? notices : undefined;
  }, 15_000);
  claim(`${told?.length ?? 0} 条通知，每件均有结果 notices, a result for every case`, told !== undefined);
  const inOrder = cases.every(({ caseNo }) => {
    const sequence = (told ?? [])
      .filter(({ key }) => key.startsWith(`${caseNo}-W`))
      .map(({ key }) => Number(key.split('-W')[1]));
    return sequence.every((number, at) => number === at + 1);
  });
  claim('每件按序、不缺、不重 in order per case, none missing, none twice', inOrder);

  await table();
}

interface Results {
  readonly results: readonly {
    readonly title: Words;
    readonly holder: { readonly name: string };
    readonly state: string;
    readonly source: string | null;
    readonly reason?: Words & { readonly code: string };
  }[];
}

async function certificatesChapter(): Promise<void> {
  chapter(8, '一证通办', 'bring no paper that the government already holds');
  const clerk = { officerId: 'SY-W07-012', windowId: 'W07' };
  const basis = '不动产登记暂行条例第十六条；契税法第十一条';
  const sale = story.secondSale();
  const { itemCode, applicationNo, form } = sale;
  const retrieve = async (body: object): Promise<Results['results']> =>
    (await window_.post<Results>('/v1/certificates/retrievals', body)).body.results;
  const purpose = { applicationNo, itemCode, clerk, basis };

  const began = performance.now();
  const first = await retrieve({ itemCode, form: story.houseSale().form, purpose });
  const ms = Math.round(performance.now() - began);
  for (const { title, holder, source, state } of first)
    tell(
      `${fit(title.zh, 18)} ${fit(holder.name, 8)} ${styleText('green', fit(state, 8))} ${styleText('dim', source ?? '')}`,
    );
  claim(
    `买卖双方 ${first.length} 份证照，并行调取 ${ms} ms fetched in parallel`,
    first.length >= 5 && first.every(({ state }) => state === 'found') && ms < 1_000,
  );

  // The identity cards are at hand; the household register is not, and its only source goes away.
  await retrieve({ types: ['11100000000013127D001'], form, purpose });
  await mood('public-security', 'absent');
  const taken = await submit(sale);
  const caseNo = remember('二手房转移登记 · 容缺', taken);
  const waits = await until(async () => {
    const view = await look(caseNo);
    return step(view, '02')?.reason?.code === 'materialOwed' ? view : undefined;
  }, 10_000);
  claim(
    `公安系统断线，容缺受理：${step(waits ?? taken, '02')?.reason?.zh ?? '–'} accepted; only the step that needs it waits`,
    waits !== undefined && step(waits, '01')?.state === 'DONE',
  );
  await mood('public-security', 'well');
  const settledSale = await allSettled(caseNo, 20_000);
  claim(
    '来源恢复后自行补齐，直至办结，无人二次录入 fetched by itself, and on to the end: nobody typed it again',
    settledSale?.decision?.outcome === 'approved',
  );
  const [title] = (settledSale?.certificates ?? []).filter(({ stepNo }) => stepNo === '03');
  const verified = await window_.post<{ verdict: string }>('/v1/certificates/verifications', {
    identifier: title?.identifier,
    clerk,
    basis,
  });
  claim(
    `新证登记可核验 the new title is registered and can be verified: ${title?.identifier?.split('.').at(-3) ?? '–'}`,
    verified.body.verdict === 'valid',
  );

  const neighbour = { name: '赵样例', idType: '111', idNo: '33112419680909009X' };
  const nosy = await retrieve({
    holder: neighbour,
    types: ['11100000000013127D001'],
    purpose: { caseNo, itemCode, clerk, basis },
  });
  claim(
    `好奇查询被拒：${nosy[0]?.reason?.zh ?? '–'} a nosy query is refused`,
    nosy[0]?.state === 'notPermitted' && nosy[0].reason?.code === 'notAParty',
  );
  const { body: ledger } = await auditor.post<{
    rows: readonly {
      at: string;
      officerId: string;
      state: string | null;
      reason: string | null;
      caseNo: string | null;
    }[];
  }>('/v1/certificates/ledger/searches', { holder: { idNo: neighbour.idNo } });
  for (const row of ledger.rows)
    tell(
      `${row.at.slice(0, 19)}  ${row.officerId}  ${row.caseNo ?? ''}  ${styleText('red', row.state ?? '')}  ${row.reason ?? ''}`,
    );
  claim('公民问“谁查过我”：台账有据 a citizen asks who looked: the ledger answers', ledger.rows.length === 1);
}

async function table(): Promise<void> {
  console.log(
    `\n${styleText('bold', '总账')} ${styleText('dim', 'every case, department, number filed there, attempts, time')}`,
  );
  console.log(
    styleText(
      'dim',
      `   ${fit('办件 case', 20)}${fit('部门 party', 22)}${fit('受理编号 number', 34)}${fit('次数', 6)}${fit('用时', 8)}`,
    ),
  );
  for (const { title, caseNo } of cases) {
    const { body } = await operator.get<{ rows: readonly EnvelopeView[] }>(`/v1/envelopes?caseNo=${caseNo}&limit=100`);
    const sent = body.rows.filter(({ stepNo }) => stepNo !== null).sort((a, b) => a.id.localeCompare(b.id));
    console.log(`   ${styleText('bold', caseNo)}  ${title}`);
    for (const { to, number, attempts, state, createdAt, updatedAt } of sent) {
      const seconds = ((Date.parse(updatedAt) - Date.parse(createdAt)) / 1_000).toFixed(1);
      const shown = state === 'delivered' ? (number ?? '–') : state;
      console.log(
        `   ${fit('', 20)}${fit(to, 22)}${fit(shown, 34)}${fit(String(attempts), 6)}${fit(`${seconds} s`, 8)}`,
      );
    }
  }
}

async function stop(): Promise<void> {
  for (const child of children) child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
}

const alarm = setTimeout(() => {
  console.log(styleText('red', `\n演示超时 the demo took longer than ${LIMIT_MS / 1_000} s`));
  void stop().finally(() => process.exit(1));
}, LIMIT_MS);

// Interrupted, it leaves neither a process nor a folder behind.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void stop().finally(() => process.exit(1)));

try {
  await play();
} catch (error) {
  failed += 1;
  console.log(styleText('red', `\n   ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`));
} finally {
  clearTimeout(alarm);
  await stop();
}
const seconds = ((Date.now() - started) / 1_000).toFixed(0);
console.log(
  `\n${failed === 0 ? styleText(['bold', 'green'], '全部属实') : styleText(['bold', 'red'], '有不实之处')}  ${checked} 项核对 claims checked, ${failed} 项不符 failed, ${seconds} s`,
);
if (failed > 0) console.log(styleText('dim', words.join('').split('\n').slice(-25).join('\n')));
process.exitCode = failed === 0 ? 0 : 1;
