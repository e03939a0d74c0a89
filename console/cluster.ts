/**
 * `npm run cluster`: what docker-compose.yml describes, on one machine and without containers: three processes of the gateway on one PostgreSQL and one
 * RabbitMQ, a small balancer in front, the simulated departments beside them. With --demo it plays a story on them and ends.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, styleText } from 'node:util';
import { PRIVATE } from '../config/private-files.ts';
import { countOf } from '../contracts/count.ts';
import type { Filing } from '../contracts/ports/simulator.ts';
import { begun, type Engines, lacking } from '../test/support/engines.ts';
import { balancer } from './balancer.ts';
import { Client, demoApp } from './client.ts';
import { freePort } from './free-port.ts';
import * as story from './story.ts';

const HELP = `一窗总线 · 多节点 Onewindow on several nodes

  npm run cluster              三个节点、一个均衡器、模拟部门，直到 Ctrl-C
                               three nodes, a balancer, simulated departments, until Ctrl-C
  npm run cluster -- --demo    受理 60 件，中途杀死一个节点，核对各部门办件簿；全部属实才以 0 退出
                               takes 60 cases, kills a node in the middle, compares every book; exit 0 only if all is right

  --port     均衡器端口 port of the balancer (8080)
  --nodes    节点数 how many nodes (3)

PostgreSQL：TEST_DATABASE_URL 或本机的；RabbitMQ：TEST_AMQP_URL 或本机的；没有就用 Debian 的软件包安装并启动。
另建数据库与队列，结束时全部删除。
PostgreSQL: TEST_DATABASE_URL, or the one of this machine; RabbitMQ: TEST_AMQP_URL, or the one of this machine; where there
is none it is installed from Debian's package and started. A database and queues of its own are made, and taken away at the end.
`;

const ENGINES: Engines = { store: 'PostgreSQL', bus: 'RabbitMQ' };
const ANSWER_MS = 15_000;
const READY_MS = 60_000;
const STOP_MS = 20_000;
const CASES = 60;
const DECIDED_MS = 180_000;
/** A killed node's envelopes are looked at again after this; production waits a minute. */
const LEASE_MS = 10_000;
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

const say = (zh: string, en: string): void => console.log(`   ${zh}  ${styleText('dim', en)}`);

class Cluster {
  /** What was begun, ended in reverse. */
  readonly #begun: (() => unknown)[] = [];
  readonly #children = new Set<ChildProcess>();
  readonly url: string;
  #sims = '';
  #nodes: { readonly port: number; child: ChildProcess }[] = [];
  #env: NodeJS.ProcessEnv = {};
  #parties: readonly string[] = [];
  #starting: Promise<void> = Promise.resolve();
  #over = false;

  constructor(port: number) {
    this.url = `http://127.0.0.1:${port}`;
    // Whatever happens, no process is left behind.
    process.once('exit', () => {
      for (const child of this.#children) child.kill('SIGKILL');
    });
  }

  start(count: number): Promise<void> {
    this.#starting = this.#begin(count);
    return this.#starting;
  }

  async #begin(count: number): Promise<void> {
    const ports: number[] = [];
    for (let at = 0; at < count; at += 1) ports.push(await freePort());
    // First, because its port is the one that may be taken.
    const { port } = new URL(this.url);
    const front = await balancer(Number(port), ports).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      throw new Error(`--port: 端口 ${port} 已被占用 / port ${port} is in use`);
    });
    this.#begun.push(() => front.close());
    const lacks = await lacking(ENGINES);
    if (lacks !== false) throw new Error(lacks);
    const { over, end } = await begun(ENGINES);
    this.#begun.push(() => end(this.#parties));
    const where = (url = ''): string => new URL(url).host;
    say(`数据库与消息代理 ${where(over.databaseUrl)} ${where(over.amqpUrl)}`, 'database and broker');

    const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-cluster-'));
    this.#begun.push(() => rm(folder, { recursive: true, force: true }));
    const simPort = await freePort();
    this.#sims = `http://127.0.0.1:${simPort}`;
    const told = ['--port', String(simPort), '--gateway', this.url, '--decide-after', '300'];
    await this.#up(this.#run('部门 departments', 'console/simulators.ts', told, process.env), `${this.#sims}/parties`);
    const config = (await (await fetch(`${this.#sims}/config`, { signal: AbortSignal.timeout(ANSWER_MS) })).json()) as {
      readonly parties: object;
    };
    this.#parties = Object.keys(config.parties);
    say(
      `模拟部门 ${this.#parties.length} 个`,
      `${countOf(this.#parties.length, 'simulated department')} at ${this.#sims}`,
    );

    const file = path.join(folder, 'gateway.json');
    const { databaseUrl, amqpUrl, bus } = over;
    const settings = {
      ...config,
      ...(bus === undefined ? {} : { bus }),
      holderHashKey: randomBytes(32).toString('hex'),
      rate: { perMinute: 0 },
      delivery: { leaseMs: LEASE_MS },
    };
    await writeFile(file, JSON.stringify(settings), { mode: PRIVATE.file });
    this.#env = { ...process.env, CONFIG: file, DATABASE_URL: databaseUrl, AMQP_URL: amqpUrl, LOG_LEVEL: 'error' };
    this.#env.DATA_DIR = folder;
    this.#nodes = ports.map((port) => ({ port, child: this.#node(port) }));
    await Promise.all(this.#nodes.map((_, at) => this.#ready(at)));
    say(`均衡器就绪 ${this.url}`, `the balancer is ready, in front of ${countOf(count, 'node')}`);
  }

  /** All that was begun ends, whatever of it fails. */
  async end(): Promise<void> {
    this.#over = true;
    await this.#stopAll();
    // Interrupted on its way: what it was beginning is there now.
    await this.#starting.catch(() => {});
    for (const one of this.#begun.splice(0).toReversed()) {
      try {
        await one();
      } catch (error) {
        console.error(error);
      }
    }
  }

  /** As by a power cut. */
  kill(at: number): void {
    this.#nodes[at]?.child.kill('SIGKILL');
  }

  async restart(at: number): Promise<void> {
    const node = this.#nodes[at];
    if (node === undefined) return;
    node.child = this.#node(node.port);
    await this.#ready(at);
  }

  /** The books of all departments. */
  async books(): Promise<ReadonlyMap<string, readonly Filing[]>> {
    const filed = async (party: string): Promise<[string, readonly Filing[]]> => {
      const book = await fetch(`${this.#sims}/parties/${party}/filed`, { signal: AbortSignal.timeout(ANSWER_MS) });
      return [party, (await book.json()) as readonly Filing[]];
    };
    return new Map(await Promise.all(this.#parties.map(filed)));
  }

  #node(port: number): ChildProcess {
    const env = { ...this.#env, PORT: String(port), DATA_DIR: path.join(this.#env.DATA_DIR ?? '', `node-${port}`) };
    return this.#run(`节点 node :${port}`, 'gateway/main.ts', [], env);
  }

  async #ready(at: number): Promise<void> {
    const node = this.#nodes[at];
    if (node === undefined) return;
    await this.#up(node.child, `http://127.0.0.1:${node.port}/readyz`);
    say(`节点 ${at + 1} 就绪 :${node.port}`, `node ${at + 1} is ready`);
  }

  #run(name: string, script: string, args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
    if (this.#over) throw new Error('已中断 / interrupted');
    const stdio: ['ignore', 'pipe', 'inherit'] = ['ignore', 'pipe', 'inherit'];
    const child = spawn(process.execPath, [path.join(root, script), ...args], { cwd: root, env, stdio });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      // A node says errors only.
      if (env.LOG_LEVEL === 'error') process.stderr.write(`   ${styleText('red', name)} ${text}`);
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  async #up(child: ChildProcess, url: string): Promise<void> {
    for (const end = Date.now() + READY_MS; Date.now() < end; await rest(100)) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`${url}: 进程已退出 / the process has ended`);
      const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
      if (answer?.ok) return;
    }
    throw new Error(`${url}: ${READY_MS / 1_000} 秒内未就绪 / not ready within ${READY_MS / 1_000} s`);
  }

  async #stopAll(): Promise<void> {
    const ended = [...this.#children].map((child) => once(child, 'exit'));
    for (const child of this.#children) child.kill('SIGTERM');
    await Promise.race([Promise.all(ended), rest(STOP_MS, undefined, { ref: false })]);
    for (const child of this.#children) child.kill('SIGKILL');
  }
}

// ── The story ───────────────────────────────────────────────────────────────────────────────────────────────────

interface CaseView {
  readonly caseNo: string;
  readonly decision: { readonly outcome: string } | null;
  readonly steps: readonly { readonly no: string; readonly party: string; readonly state: string }[];
}

/** Again under the same number until it is certain: what a window does. */
async function submitted(window: Client, body: object): Promise<string> {
  for (const end = Date.now() + DECIDED_MS; Date.now() < end; await rest(200)) {
    const answer = await window.post<CaseView>('/v1/cases', body).catch(() => undefined);
    if (answer !== undefined && (answer.status === 202 || answer.status === 200)) return answer.body.caseNo;
    if (answer !== undefined && answer.status < 500 && answer.status !== 429)
      throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
  }
  throw new Error(`${DECIDED_MS / 1_000} 秒内未能受理 / not accepted within ${DECIDED_MS / 1_000} s`);
}

/** The cases that were decided in time, as they are then. */
async function decided(window: Client, caseNos: readonly string[]): Promise<readonly CaseView[]> {
  const open = new Set(caseNos);
  const done: CaseView[] = [];
  let told = 0;
  for (const end = Date.now() + DECIDED_MS; open.size > 0 && Date.now() < end; await rest(200)) {
    for (const caseNo of open) {
      const view = (await window.get<CaseView>(`/v1/cases/${caseNo}`).catch(() => undefined))?.body;
      const ended = view?.steps?.every(({ state }) => ['DONE', 'REJECTED', 'SKIPPED'].includes(state));
      if (view?.decision?.outcome !== 'approved' || ended !== true) continue;
      open.delete(caseNo);
      done.push(view);
    }
    if (done.length === told || (done.length - told < 10 && open.size > 0)) continue;
    told = done.length;
    say(`办结 ${told}/${caseNos.length}`, 'decided');
  }
  return done;
}

async function play(cluster: Cluster): Promise<boolean> {
  const window = new Client(cluster.url, demoApp('window-demo'));
  const began = performance.now();
  const bodies = Array.from({ length: CASES }, (_, at) =>
    at % 3 === 0 ? story.houseSale() : at % 3 === 1 ? story.deedTax('李样例') : story.birth(),
  );
  const first = await Promise.all(bodies.slice(0, CASES / 2).map((body) => submitted(window, body)));
  say(`受理 ${first.length} 件`, `${countOf(first.length, 'case')} accepted`);
  cluster.kill(0);
  say(styleText('red', 'kill -9 节点 1'), `node 1; its leases end within ${LEASE_MS / 1_000} s`);
  const second = await Promise.all(bodies.slice(CASES / 2).map((body) => submitted(window, body)));
  say(`又受理 ${second.length} 件`, `${second.length} more accepted, by the others`);
  await cluster.restart(0);
  const caseNos = [...first, ...second];
  const done = await decided(window, caseNos);

  const books = await cluster.books();
  const keys = [...books].flatMap(([party, book]) => book.map(({ key }) => `${party} ${key}`));
  const missing = done.flatMap(({ caseNo, steps }) =>
    steps.filter(
      ({ no, party, state }) =>
        state === 'DONE' && !books.get(party)?.some(({ key }) => key.startsWith(`${caseNo}-${no}`)),
    ),
  );
  const counts = [
    ['不同的办件编号', 'different case numbers', new Set(caseNos).size, CASES],
    ['未了', 'stuck', CASES - done.length, 0],
    ['丢失', 'steps done that stand in no book', missing.length, 0],
    ['重复', 'filed twice', keys.length - new Set(keys).size, 0],
  ] as const;
  for (const [zh, en, count, expected] of counts) {
    const mark = count === expected ? styleText('green', '✔') : styleText('red', '✘');
    console.log(`   ${mark} ${zh} ${en}: ${count}`);
  }
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  say(`用时 ${seconds} 秒，办件簿共 ${keys.length} 条`, `${seconds} s, ${countOf(keys.length, 'filing')} in all books`);
  return counts.every(([, , count, expected]) => count === expected);
}

// ── From here on it runs ────────────────────────────────────────────────────────────────────────────────────────

function options() {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '8080' },
      nodes: { type: 'string', default: '3' },
      demo: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const whole = (name: 'port' | 'nodes', least: number, most: number): number => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new Error(`--${name}: ${least}–${most} 的整数 / a whole number from ${least} to ${most}`);
  };
  return { ...values, port: whole('port', 1, 65_535), nodes: whole('nodes', 2, 9) };
}

async function main(): Promise<number> {
  let asked: ReturnType<typeof options>;
  try {
    asked = options();
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    return 2;
  }
  if (asked.help) {
    console.log(HELP);
    return 0;
  }
  console.log(
    `${styleText('bold', `一窗总线 · ${asked.nodes} 个节点`)}  ${styleText('dim', 'Onewindow on several nodes')}`,
  );
  const cluster = new Cluster(asked.port);
  const interrupted = new Promise<'interrupted'>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve('interrupted'));
  });
  try {
    const started = await Promise.race([cluster.start(asked.nodes), interrupted]);
    if (started === 'interrupted') return 1;
    if (asked.demo) return (await Promise.race([play(cluster), interrupted])) === true ? 0 : 1;
    say('另开终端试试', `npm run sign -- POST /v1/cases docs/samples/house-sale.json --url ${cluster.url} --send`);
    say('Ctrl-C 结束', 'ends it');
    await interrupted;
    return 0;
  } catch (error) {
    console.error(`   ${styleText('red', '✘')} ${(error as Error).message}`);
    return 1;
  } finally {
    await cluster.end();
    say('已全部停止并清除', 'all stopped and taken away');
  }
}

process.exit(await main());
