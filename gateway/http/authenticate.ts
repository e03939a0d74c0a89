import { randomBytes } from 'node:crypto';
import type { App } from '../../config/settings.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import { type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { Words } from '../../contracts/ports/envelope.ts';
import type { Caller } from '../../contracts/ports/services.ts';
import type { Nonces } from '../../contracts/ports/store.ts';
import { networkOf } from './address.ts';
import { iso } from './iso.ts';
import type { RateLimit, Refusals } from './limits.ts';
import type { Answer, Handler, Request, Role } from './route.ts';
import { findSigningSecret, isSignatureMethod, type SignatureMethod } from './signature.ts';

/** How far a caller's clock may be from ours, either way. */
const CLOCK_WINDOW_MS = 5 * 60_000;

/** The headers of a signed request: what each must look like. */
const HEADERS = [
  { name: 'X-App-Key', required: true, form: /^[\x21-\x7e]{1,64}$/, words: { zh: '应用标识', en: 'an app key' } },
  {
    name: 'X-Timestamp',
    required: true,
    form: /^\d{13}$/,
    words: { zh: '13 位毫秒时间戳', en: 'milliseconds, 13 digits' },
  },
  {
    name: 'X-Nonce',
    required: true,
    form: /^[\x21-\x7e]{16,64}$/,
    words: { zh: '16–64 个可见字符', en: '16–64 visible characters' },
  },
  {
    name: 'X-Signature',
    required: true,
    form: /^[0-9a-f]{64}$/,
    words: { zh: '64 位小写十六进制', en: '64 lower-case hex digits' },
  },
  {
    name: 'X-Signature-Method',
    required: false,
    form: /^HMAC-(?:SHA256|SM3)$/,
    words: { zh: 'HMAC-SHA256 或 HMAC-SM3', en: 'HMAC-SHA256 or HMAC-SM3' },
  },
] as const;

/** Who signs nothing that is right: it takes as long to refuse as an app with a wrong signature, and looks the same. */
const NOBODY: readonly string[] = [randomBytes(32).toString('hex')];

export interface AuthenticationParts {
  readonly apps: readonly App[];
  readonly nonces: Nonces;
  readonly clock: Clock;
  /** Reads the body whole, or refuses it. */
  readonly read: Handler;
  readonly rate: RateLimit;
  readonly refusals: Refusals;
  /** Told of each proved request which of its app's secrets signed it, counted from 0. */
  readonly provedBy?: (appKey: string, secretNo: number) => void;
}

/**
 * Lets in whoever proves to be an app with one of these roles. In this order: the headers and the clock, before the body is read; the signature over
 * the bytes that came; how often the app has called; the role; the nonce, which is spent only when all the rest is right, so that nobody else can use it up.
 * What is refused is counted by address and claimed key, and keeps out nobody who can prove who they are.
 */
export function authenticated(parts: AuthenticationParts): (roles: readonly Role[]) => Handler {
  const { apps, nonces, clock, rate, refusals, provedBy = () => {} } = parts;
  const known = new Map(apps.map((app) => [app.key, { caller: callerOf(app), secrets: app.secrets }]));
  const read = promised(parts.read);

  async function proved(request: Request, response: Answer, roles: readonly Role[]): Promise<Caller> {
    const claim = claimOf(request, clock);
    response.locals.claimed = known.has(claim.key) ? claim.key : null;
    await read(request, response);
    const app = known.get(claim.key);
    const signed = { ...claim, method: request.method, target: request.originalUrl, body: bytesOf(request.body) };
    const secretNo = findSigningSecret(signed, app?.secrets ?? NOBODY, claim.method, claim.signature);
    if (app === undefined || secretNo === undefined) throw badSignature();
    const { caller } = app;
    rate.check(caller.appKey);
    if (!roles.includes(caller.role)) {
      rate.count(caller.appKey);
      response.locals.caller = caller;
      throw forbidden(roles);
    }
    if (!(await nonces.firstUse(caller.appKey, claim.nonce, Number(claim.timestamp) + CLOCK_WINDOW_MS + 1)))
      throw refused('nonceReused', '随机数已使用过，请求可能被重放', 'the nonce has been used before');
    for (const [name, value] of Object.entries(rate.count(caller.appKey))) response.setHeader(name, value);
    provedBy(caller.appKey, secretNo);
    return caller;
  }

  return (roles) => async (request, response, next) => {
    try {
      response.locals.caller = await proved(request, response, roles);
    } catch (error) {
      if (!(error instanceof Unfit) || error.status !== 401) throw error;
      const { address, claimed } = response.locals;
      // A key that nobody has is counted as one that somebody has: neither count tells which it is.
      const key = claimed ?? String(request.headers['x-app-key'] ?? '').slice(0, 64);
      const { answer, count } = refusals.refuse(networkOf(address), key, error);
      response.locals.refusals = count;
      throw answer;
    }
    next();
  };
}

/** A middleware as something to wait for. */
function promised(handler: Handler): (request: Request, response: Answer) => Promise<void> {
  return (request, response) =>
    new Promise((resolve, reject) => {
      void handler(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error as Error)));
    });
}

interface Claim {
  readonly key: string;
  readonly timestamp: string;
  readonly nonce: string;
  readonly signature: string;
  readonly method: SignatureMethod;
}

/** Who a request says it comes from. @throws Unfit 401 with every header that is not right; `clockOff` */
function claimOf(request: Request, clock: Clock): Claim {
  const header = (name: string) => request.headers[name.toLowerCase()] as string | undefined;
  refuseUnfitHeaders(header);
  const timestamp = header('X-Timestamp') ?? '';
  const now = clock.now();
  if (Math.abs(now - Number(timestamp)) > CLOCK_WINDOW_MS) {
    throw refused(
      'clockOff',
      `时间戳与服务器时间相差超过五分钟；服务器时间 ${iso(now)}`,
      `the timestamp is more than five minutes from our time, ${iso(now)}`,
    );
  }
  const method = header('X-Signature-Method') ?? 'HMAC-SHA256';
  return {
    key: header('X-App-Key') ?? '',
    timestamp,
    nonce: header('X-Nonce') ?? '',
    signature: header('X-Signature') ?? '',
    method: isSignatureMethod(method) ? method : 'HMAC-SHA256',
  };
}

function refuseUnfitHeaders(header: (name: string) => string | undefined): void {
  const problems = HEADERS.flatMap(({ name, required, form, words }): Problem[] => {
    const value = header(name);
    const pointer = `header:${name}`;
    if (value === undefined) {
      return required
        ? [{ pointer, code: 'missingHeader', zh: `缺少请求头 ${name}`, en: `the header ${name} is missing` }]
        : [];
    }
    if (form.test(value)) return [];
    return [
      {
        pointer,
        code: 'badHeader',
        zh: `请求头 ${name} 应为${words.zh}`,
        en: `the header ${name} must be ${words.en}`,
      },
    ];
  });
  const [first] = problems;
  if (first === undefined) return;
  const missing = problems.find(({ code }) => code === 'missingHeader');
  throw new Unfit(
    401,
    (missing ?? first).code,
    { zh: '签名请求头不完整或有误', en: 'the signature headers are not complete, or not right' },
    problems,
  );
}

const badSignature = (): Unfit =>
  refused(
    'badSignature',
    '应用标识或签名不正确：请核对应用标识、密钥、签名串与请求体原始字节',
    'the app key or the signature is not right: check the key, the secret, the signed text and the very bytes of the body',
  );

const ROLES: { readonly [role in Role]: Words } = {
  window: { zh: '窗口平台', en: 'window' },
  department: { zh: '部门', en: 'department' },
  operator: { zh: '运维人员', en: 'operator' },
  auditor: { zh: '审计人员', en: 'auditor' },
};

/** 403, saying who may. */
export function forbidden(roles: readonly Role[]): Unfit {
  return new Unfit(403, 'roleNotAllowed', {
    zh: `该操作仅限：${roles.map((role) => ROLES[role].zh).join('、')}`,
    en: `this is for: ${roles.map((role) => ROLES[role].en).join(', ')}`,
  });
}

/** What the raw body reader left: nothing at all for a request without a body. */
export function bytesOf(body: unknown): Uint8Array {
  return body instanceof Uint8Array ? body : new Uint8Array(0);
}

function callerOf({ key, role, channels, party }: App): Caller {
  return { appKey: key, role, channels: channels ?? (role === 'window' ? ['window'] : []), party: party ?? null };
}

function refused(code: string, zh: string, en: string): Unfit {
  return new Unfit(401, code, { zh, en });
}
