import { readdir, stat } from 'node:fs/promises';
import { Agent } from 'node:http';
import type { Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, demoApp } from '../client.ts';
import type { Sent, Target } from './target.ts';

export interface Attack {
  readonly zh: string;
  readonly en: string;
  /** Resolves to what was seen when it held. @throws Error with what gave way */
  run(target: Target): Promise<string>;
}

/** Parties of the demo that may push. */
const CALLBACKS = [
  'real-estate',
  'housing-construction',
  'medical-insurance',
  'public-security',
  'tax',
  'social-security',
];
const MOST = 1_048_576;

function holds(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

/** Of many signed calls meanwhile, how many were served, and the slowest, ms. */
async function served(target: Target, calls: number): Promise<string> {
  let slowest = 0;
  for (let call = 0; call < calls; call += 1) {
    const began = performance.now();
    const { status } = await target.window.get('/v1/items');
    holds(status === 200, `a signed call was answered ${status}`);
    slowest = Math.max(slowest, performance.now() - began);
  }
  return `${calls} signed calls served, the slowest in ${Math.round(slowest)} ms`;
}

const signedHeaders = (target: Target, method: string, path_: string, body: Uint8Array): Record<string, string> => ({
  'content-type': 'application/json',
  ...new Client(target.url, demoApp('window-demo')).headers(method, path_, body),
});

function close(sockets: readonly Socket[]): void {
  for (const socket of sockets) socket.destroy();
}

/** In numbers that no one connection queue of a system refuses. */
async function many(count: number, open: () => Promise<Socket>): Promise<readonly Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const some = await Promise.allSettled(Array.from({ length: Math.min(100, count - sockets.length) }, open));
    for (const one of some) if (one.status === 'fulfilled') sockets.push(one.value);
    if (some.every(({ status }) => status === 'rejected')) break;
  }
  return sockets;
}

/** As many bytes as a callback may have, each made to keep a reader busy. */
const HOSTILE: readonly (readonly [name: string, bytes: Buffer])[] = [
  ['45 comments and an x', Buffer.from(`${'<!---->'.repeat(45)}x`)],
  ['comments', filled('<!---->')],
  ['declarations', filled('<?xml?>')],
  ['doctypes', filled('<!doctype x>')],
  ['elements never closed', filled('<a>')],
  ['attributes without end', Buffer.concat([Buffer.from('<a '), filled('b="c" ')])],
  ['half-open comments', filled('<!--')],
  ['half-open CDATA', filled('<![CDATA[')],
  ['entities', filled('&amp;')],
  ['brackets', filled('[')],
  ['braces with keys', filled('{"a":')],
  ['backslashes in a string', Buffer.concat([Buffer.from('"'), filled('\\')])],
  ['digits', filled('9')],
  ['blanks', filled(' ')],
  ['halves of GBK characters', filled(Buffer.from([0x81]))],
  ['form fields', filled('a=b&')],
  ['percent signs', filled('%')],
];

function filled(unit: string | Buffer): Buffer {
  const bytes = Buffer.from(unit);
  return Buffer.concat(Array.from({ length: Math.floor((MOST - 64) / bytes.length) }, () => bytes));
}

/** What a stranger can do to the door, each as it was once done. */
export const ATTACKS: readonly Attack[] = [
  {
    zh: '未知应用与错误签名无法区分',
    en: 'an unknown app and a wrong signature look alike',
    async run(target) {
      const body = Buffer.from('{"a":1}');
      const seen = await Promise.all(
        ['window-demo', 'nobody-at-all', '__proto__'].map((key) =>
          target.ask({
            method: 'POST',
            target: '/v1/cases',
            body,
            headers: {
              'content-type': 'application/json',
              ...new Client(target.url, { key, secret: 'not-the-secret' }).headers('POST', '/v1/cases', body),
            },
          }),
        ),
      );
      const shown = seen.map((one) => {
        const { traceId: _, ...told } = JSON.parse(one?.text ?? '{}') as { traceId?: string };
        return JSON.stringify([one?.status, told]);
      });
      holds(new Set(shown).size === 1, `they differ: ${shown.join(' ')}`);
      return `status ${seen[0]?.status}, code ${seen[0]?.code}`;
    },
  },
  {
    zh: '签名请求重放：第二次不受理',
    en: 'a signed request sent again is refused',
    async run(target) {
      const headers = signedHeaders(target, 'GET', '/v1/items', Buffer.alloc(0));
      const first = await target.ask({ method: 'GET', target: '/v1/items', headers });
      const again = await target.ask({ method: 'GET', target: '/v1/items', headers });
      holds(
        first?.status === 200 && again?.code === 'nonceReused',
        `${first?.status}, then ${again?.status} ${again?.code}`,
      );
      const other = await target.ask({ method: 'GET', target: '/v1/contracts', headers });
      holds(other?.status === 401, `for another path: ${other?.status}`);
      return 'refused, for another path too';
    },
  },
  {
    zh: '回调收到 316 字节未签名报文：不得占住进程',
    en: 'an unsigned callback of 316 bytes, and of a megabyte, made to keep a reader busy',
    async run(target) {
      let slowest = { ms: 0, what: '' };
      for (const party of CALLBACKS)
        for (const [what, body] of HOSTILE) {
          const headers = { 'content-type': 'text/xml; charset=GBK' };
          const seen = await target.ask({ method: 'POST', target: `/v1/callbacks/${party}`, headers, body });
          holds(seen !== undefined, `${what} to ${party}: no answer`);
          holds(seen.status < 500, `${what} to ${party}: ${seen.status}`);
          if (seen.ms > slowest.ms) slowest = { ms: seen.ms, what: `${what} to ${party}` };
        }
      holds(slowest.ms < 5_000, `${slowest.what} took ${Math.round(slowest.ms)} ms`);
      holds(await target.serves(), 'a signed call is not served afterwards');
      return `${HOSTILE.length * CALLBACKS.length} bodies, the slowest answered in ${Math.round(slowest.ms)} ms (${slowest.what})`;
    },
  },
  {
    zh: '同一地址每秒 500 个以上未签名或错签请求：签名正确者照常受理',
    en: 'a flood of unsigned and wrongly signed requests: whoever signs rightly is served',
    async run(target) {
      const before = new Set((await target.metrics()).keys());
      const agent = new Agent({ keepAlive: true, maxSockets: 16 });
      const bad: readonly Sent[] = [
        { method: 'GET', target: '/v1/items', agent },
        { method: 'POST', target: '/v1/cases', agent, body: Buffer.from('{}') },
        { method: 'GET', target: '/v1/nothing', agent },
        { method: 'DELETE', target: '/v1/cases', agent },
        {
          method: 'GET',
          target: '/v1/items',
          agent,
          headers: { ...signedHeaders(target, 'GET', '/v1/cases', Buffer.alloc(0)) },
        },
      ];
      let count = 0;
      let going = true;
      const began = performance.now();
      const floods = Array.from({ length: 16 }, async () => {
        while (going) {
          const one = bad[count % bad.length];
          count += 1;
          if (one !== undefined) await target.ask(one);
        }
      });
      await pause(2_000);
      const told = await served(target, 50).finally(() => {
        going = false;
      });
      await Promise.all(floods);
      agent.destroy();
      const rate = Math.round(count / ((performance.now() - began) / 1_000));
      const made = [...(await target.metrics()).keys()].filter(
        (name) => name.startsWith('onewindow_') && !before.has(name),
      );
      // Of the signed calls and the probes beside the flood.
      const known = ['/v1/items', '/metrics', '/livez'];
      const strange = made.filter((name) => !known.some((route) => name.includes(`route="${route}"`)));
      holds(strange.length === 0, `new series of metrics: ${strange.slice(0, 3).join(' ')}`);
      return `${rate} bad requests a second; ${told}; no new series`;
    },
  },
  {
    zh: '1,024 个只发一半的请求头：他人照常受理',
    en: '1,024 half-sent heads: others are served',
    async run(target) {
      const sockets = await many(1_024, () => target.socket('POST /v1/cases HTTP/1.1\r\nHost: x\r\nX-Half'));
      const told = await served(target, 20).finally(() => close(sockets));
      return `${sockets.length} opened; ${told}`;
    },
  },
  {
    zh: '1,024 个应答无人读取：内存有界，他人照常受理',
    en: '1,024 answers that nobody reads: memory is bounded, and others are served',
    async run(target) {
      const before = await target.memory();
      const sockets = await many(1_024, async () => {
        const socket = await target.socket('GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n');
        socket.pause();
        return socket;
      });
      const told = await served(target, 20);
      const grown = (await target.memory()) - before;
      close(sockets);
      holds(grown < 500e6, `the process grew by ${Math.round(grown / 1e6)} MB`);
      return `${sockets.length} opened, ${Math.max(0, Math.round(grown / 1e6))} MB more; ${told}`;
    },
  },
  {
    zh: '1,020 个约 990 kB 的未完请求体：内存有界',
    en: '1,020 unfinished bodies of 990 kB: memory is bounded',
    async run(target) {
      const before = await target.memory();
      const body = Buffer.from('{}');
      const headers = Object.entries(signedHeaders(target, 'POST', '/v1/cases', body)).map(
        ([name, value]) => `${name}: ${value}`,
      );
      const head = `POST /v1/cases HTTP/1.1\r\nHost: x\r\n${headers.join('\r\n')}\r\nContent-Length: 1000000\r\n\r\n`;
      const bytes = Buffer.concat([Buffer.from(head), Buffer.alloc(990_000, 0x20)]);
      const sockets = await many(1_020, () => target.socket(bytes));
      const told = await served(target, 20);
      const grown = (await target.memory()) - before;
      close(sockets);
      holds(grown < 500e6, `the process grew by ${Math.round(grown / 1e6)} MB`);
      return `${sockets.length} opened, ${Math.max(0, Math.round(grown / 1e6))} MB more; ${told}`;
    },
  },
  {
    zh: '不合 HTTP 规则的请求：以说明应答，连接关闭',
    en: 'what breaks the rules of HTTP is told as a problem',
    async run(target) {
      const cases: readonly (readonly [string, number])[] = [
        ['GET /livez HTTP/1.1\r\n\r\n', 400],
        ['GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
        ['POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
        ['POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400],
        ['POST /v1/cases HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nContent-Length: 2\r\n\r\n', 417],
        [`GET /${'a'.repeat(10_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414],
        [`GET / HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`, 431],
        ['CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n', 405],
        ['\u0016\u0003\u0001\u0002\u0000', 400],
      ];
      for (const [bytes, status] of cases) {
        const answer = await target.raw(bytes);
        holds(
          answer.startsWith(`HTTP/1.1 ${status} `),
          `${JSON.stringify(bytes.slice(0, 40))}: ${answer.slice(0, 40)}`,
        );
        holds(/application\/problem\+json/i.test(answer), `${status} without a problem`);
      }
      return `${cases.length} of ${cases.length}`;
    },
  },
  {
    zh: '角色越权：一律拒绝',
    en: 'each role at the routes of the others: refused',
    async run(target) {
      const api = (await (await fetch(`${target.url}/openapi.json`)).json()) as {
        paths: { [path: string]: { [method: string]: { 'x-roles'?: readonly string[] } } };
      };
      const apps: { readonly [app: string]: string } = {
        'window-demo': 'window',
        'operator-demo': 'operator',
        'auditor-demo': 'auditor',
        'tax-demo': 'department',
      };
      let count = 0;
      for (const [route, methods] of Object.entries(api.paths))
        for (const [name, operation] of Object.entries(methods)) {
          const roles = operation['x-roles'];
          if (roles === undefined) continue;
          for (const [app, role] of Object.entries(apps)) {
            if (roles.includes(role)) continue;
            const at = route.replaceAll(/\{\w+\}/g, 'some-1');
            const client = new Client(target.url, demoApp(app));
            const { status } = name === 'get' ? await client.get(at) : await client.post(at, {});
            holds(status === 403 || (app === 'tax-demo' && status === 401), `${app} ${name} ${route}: ${status}`);
            count += 1;
          }
        }
      return `${count} tries, ${count} times refused`;
    },
  },
  {
    zh: '数据目录中的文件只有本用户可读',
    en: 'files of the data folder are its user’s alone',
    async run(target) {
      const entries = await readdir(target.dataDir, { recursive: true });
      for (const entry of ['.', ...entries]) {
        const { mode } = await stat(path.join(target.dataDir, entry));
        holds((mode & 0o077) === 0, `${entry} has mode ${(mode & 0o777).toString(8)}`);
      }
      return `${entries.length + 1} files and folders`;
    },
  },
  {
    zh: '运行指标与日志不含密钥',
    en: 'no secret stands in the log',
    async run(target) {
      const log = target.log();
      for (const app of ['window-demo', 'operator-demo', 'auditor-demo'])
        holds(!log.includes(demoApp(app).secret), `the secret of ${app} stands in the log`);
      return `${log.length} characters of log`;
    },
  },
];
