import { Agent } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, demoApp } from '../client.ts';
import * as story from '../story.ts';
import type { Seen, Sent, Target } from './target.ts';

/** People who are in every body that is sent, and must be found nowhere else. */
const PEOPLE = [
  '樊无此人',
  '331124199404040067',
  '13877665544',
  '张样例',
  '331124199001010011',
  '331124198506150023',
  '13900000000',
];

export interface Fuzzed {
  readonly requests: number;
  readonly byStatus: ReadonlyMap<number, number>;
  /** Answers that are a fault of the gateway, and connections that ended without one; each once. */
  readonly faults: readonly string[];
  /** Personal values where none belong: in problems, in the log, in the metrics. */
  readonly leaks: readonly string[];
  /** The longest time a probe beside it all waited, ms; and the longest stall that the process itself measured. */
  readonly slowestProbe: number;
  readonly stall: number;
}

/** xorshift32: the same seed gives the same requests. */
class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0 || 1;
  }

  below(n: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % n;
  }

  one<T>(of: readonly T[]): T {
    return of[this.below(of.length)] as T;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
}

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly roles: readonly string[];
}

const AT_ONCE = 16;
const TYPES = [
  'application/json',
  'application/json; charset=gbk',
  'text/xml; charset=GBK',
  'application/xml',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'text/plain',
  'application/octet-stream',
  '',
  'x',
];
const APPS: { readonly [role: string]: string } = {
  window: 'window-demo',
  operator: 'operator-demo',
  auditor: 'auditor-demo',
};
/** 502 and 504 are what a department did; 503 says when to come again. */
const OURS = new Set([500, 501, 505]);

/** Every route of the API, with every content type, signed and not, and bodies from nearly right to not at all. */
export async function fuzz(
  target: Target,
  {
    requests,
    seed,
    progress,
  }: { readonly requests: number; readonly seed: number; readonly progress: (done: number) => void },
): Promise<Fuzzed> {
  const dice = new Dice(seed);
  const operations = await operationsOf(target);
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const byStatus = new Map<number, number>();
  const faults = new Set<string>();
  const leaks = new Set<string>();
  let sent = 0;
  let going = true;
  let slowestProbe = 0;
  // Read once, so that the greatest stall is one of this run.
  await target.metrics();
  const probing = (async () => {
    while (going) {
      const began = performance.now();
      await target.alive(30_000);
      slowestProbe = Math.max(slowestProbe, performance.now() - began);
      await pause(20);
    }
  })();
  const note = (request: Sent, seen: Seen | undefined): void => {
    const what = `${request.method} ${request.target.slice(0, 60)}`;
    if (seen === undefined) {
      if (!target.running) faults.add(`${what}: the process has ended`);
      byStatus.set(0, (byStatus.get(0) ?? 0) + 1);
      return;
    }
    byStatus.set(seen.status, (byStatus.get(seen.status) ?? 0) + 1);
    if (
      OURS.has(seen.status) ||
      (seen.status === 503 && seen.headers['retry-after'] === undefined && seen.code !== undefined)
    )
      faults.add(`${what}: ${seen.status} ${seen.code ?? ''}`);
    if (seen.status >= 400 && PEOPLE.some((person) => seen.text.includes(person)))
      leaks.add(`${what}: ${seen.status} ${seen.code ?? ''} says who`);
  };
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (sent < requests && target.running) {
        sent += 1;
        if (sent % 500 === 0) progress(sent);
        const request = made(dice, target, operations, agent);
        note(request, await target.ask(request));
      }
    }),
  );
  going = false;
  await probing;
  const metrics = await target.metrics();
  for (const person of PEOPLE) {
    if ([...metrics.keys()].some((name) => name.includes(person))) leaks.add('the metrics say who');
    const line = target
      .log()
      .split('\n')
      .find((one) => one.includes(person));
    if (line !== undefined) leaks.add(`the log says who: ${line.replaceAll(person, '…').slice(0, 160)}`);
  }
  agent.destroy();
  const stall = Math.round((metrics.get('nodejs_eventloop_lag_max_seconds') ?? 0) * 1_000);
  return {
    requests: sent,
    byStatus,
    faults: [...faults],
    leaks: [...leaks],
    slowestProbe: Math.round(slowestProbe),
    stall,
  };
}

async function operationsOf(target: Target): Promise<readonly Operation[]> {
  const api = (await (await fetch(`${target.url}/openapi.json`)).json()) as {
    paths: { [path: string]: { [method: string]: { 'x-roles'?: readonly string[] } } };
  };
  return Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      roles: operation['x-roles'] ?? [],
    })),
  );
}

function made(dice: Dice, target: Target, operations: readonly Operation[], agent: Agent): Sent {
  const { method, path, roles } = dice.one(operations);
  const at = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => parameter(dice, name)) + search(dice);
  const verb = dice.chance(3) ? dice.one(['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'TRACE', 'PROPFIND']) : method;
  const body = verb === 'GET' || verb === 'HEAD' ? undefined : bodyOf(dice);
  const headers: { [name: string]: string } = {};
  const type = dice.one(TYPES);
  if (body !== undefined) headers['content-type'] = dice.chance(60) ? 'application/json' : type;
  if (dice.chance(5)) headers['content-encoding'] = dice.one(['gzip', 'br', 'identity', 'x']);
  if (dice.chance(5)) headers.accept = dice.one(['text/html', '*/*', 'x', ';;;', 'application/json;q=0']);
  if (dice.chance(5))
    headers.traceparent = dice.one(['00-0-0-0', `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, PEOPLE[1] ?? '']);
  if (dice.chance(5)) headers['x-forwarded-for'] = dice.one(['203.0.113.9', 'x', PEOPLE[1] ?? '']);
  if (dice.chance(70)) {
    const role = dice.chance(90)
      ? (roles.find((each) => APPS[each] !== undefined) ?? 'window')
      : dice.one(Object.keys(APPS));
    const client = new Client(target.url, demoApp(APPS[role] ?? 'window-demo'));
    Object.assign(headers, client.headers(verb, at, body ?? Buffer.alloc(0)));
    if (dice.chance(5)) headers['X-Signature'] = dice.one(['0'.repeat(64), '', PEOPLE[1] ?? '']);
  } else if (dice.chance(30)) headers['x-app-key'] = dice.one(['window-demo', PEOPLE[1] ?? '', 'a'.repeat(200)]);
  return { method: verb, target: at, headers, agent, ...(body === undefined ? {} : { body }) };
}

function parameter(dice: Dice, name: string): string {
  return encodeURIComponent(
    dice.one(
      name === 'party'
        ? ['tax', 'real-estate', 'medical-insurance', 'public-security', 'window', 'nobody', '__proto__']
        : [
            '331124261123000001',
            '331124261123000001-01',
            'x',
            '..',
            '%',
            '张',
            ' ',
            'constructor',
            '1'.repeat(300),
            'case.submit@1',
            '11331124QA0000057N433071500400501',
          ],
    ),
  );
}

function search(dice: Dice): string {
  if (!dice.chance(30)) return '';
  return `?${dice.one(['limit=5', 'limit=-1', 'limit=5&limit=6', 'cursor=x', 'applicationNo=%E5%BC%A0', 'state=parked', 'party=tax', '%', '&&&=', `x=${'y'.repeat(500)}`, 'itemCode=__proto__'])}`;
}

/** A whole submission, with something in it changed; or JSON, XML, a form or bytes of no kind. */
function bodyOf(dice: Dice): Uint8Array {
  const kind = dice.below(10);
  if (kind < 5) {
    const submission = dice.one([
      story.houseSale,
      story.birth,
      () => story.deedTax('樊无此人'),
      () => story.flexibleEmployment('张样例'),
    ])();
    // Whole ones are accepted, and go to the departments.
    if (dice.chance(20)) return Buffer.from(JSON.stringify(submission));
    return Buffer.from(JSON.stringify(changed(dice, dice.chance(50) ? named(submission) : submission)));
  }
  if (kind === 5)
    return Buffer.from(
      dice.one([
        '',
        '{',
        '[]',
        'null',
        '"x"',
        '{"a":1,"a":2}',
        '{"__proto__":{"x":1}}',
        '[['.repeat(2_000),
        `{"n":${'9'.repeat(400)}}`,
        '{"s":"\\ud800"}',
        '{"s":"\\u0000"}',
      ]),
    );
  if (kind === 6)
    return Buffer.from(
      dice.one([
        `<a><name>樊无此人</name></a>`,
        '<a',
        '<!DOCTYPE x [<!ENTITY e "e">]><a>&e;</a>',
        '<!---->'.repeat(50),
        '<a>'.repeat(3_000),
        '<![CDATA['.repeat(50),
      ]),
    );
  if (kind === 7)
    return Buffer.from(dice.one(['a=b&c=d', 'xm=%B7%AE', '%'.repeat(100), `name=${PEOPLE[1]}&mobile=${PEOPLE[2]}`]));
  if (kind === 8) return Buffer.from(Array.from({ length: dice.below(200) }, () => dice.below(256)));
  return Buffer.from(
    JSON.stringify({
      reason: '检修',
      clerk: { officerId: 'SY-W07-012', windowId: 'W07' },
      holder: { name: PEOPLE[0], idNo: PEOPLE[1], mobile: PEOPLE[2] },
    }),
  );
}

/** Its people are those who must be found nowhere else. */
function named(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(named);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([field, inner]) => {
      if (field === 'name' && typeof inner === 'string' && inner.includes('样例')) return [field, PEOPLE[0]];
      if (field === 'idNo') return [field, PEOPLE[1]];
      if (field === 'mobile') return [field, PEOPLE[2]];
      return [field, named(inner)];
    }),
  );
}

const VALUES: readonly unknown[] = [
  null,
  0,
  -1,
  1e308,
  true,
  '',
  ' ',
  '张'.repeat(300),
  '0',
  '2026-02-30',
  [],
  {},
  [[]],
  { __proto__: null },
  '\u0007',
  '𠮷',
  'a'.repeat(5_000),
];

/** One place of it is something else, or is missing, or there twice. */
function changed(dice: Dice, value: unknown): unknown {
  if (dice.chance(25)) return value;
  if (Array.isArray(value)) {
    if (value.length === 0 || dice.chance(20)) return [...value, dice.one(VALUES)];
    const at = dice.below(value.length);
    return value.map((inner: unknown, n) => (n === at ? changed(dice, inner) : inner));
  }
  if (value === null || typeof value !== 'object') return dice.one(VALUES);
  const entries = Object.entries(value);
  if (entries.length === 0) return dice.one(VALUES);
  const at = dice.below(entries.length);
  if (dice.chance(10)) return Object.fromEntries(entries.filter((_, n) => n !== at));
  if (dice.chance(10))
    return { ...value, [dice.one(['x', '__proto__', 'constructor', PEOPLE[0] ?? ''])]: dice.one(VALUES) };
  return Object.fromEntries(entries.map(([name, inner], n) => [name, n === at ? changed(dice, inner) : inner]));
}
