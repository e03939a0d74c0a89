import type { App } from '../../config/settings.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import { type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { Words } from '../../contracts/ports/envelope.ts';
import type { Caller } from '../../contracts/ports/services.ts';
import type { Nonces } from '../../contracts/ports/store.ts';
import { iso } from './iso.ts';
import type { Claim, Handler, Role } from './route.ts';
import { findSigningSecret, isSignatureMethod } from './signature.ts';

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

/** Reads who a request says it comes from, before its body is read: whoever is unknown or late need not send one. */
export function claimed(apps: readonly App[], clock: Clock): Handler {
  const known = new Map(apps.map((app) => [app.key, { caller: callerOf(app), secrets: app.secrets }]));
  return (request, response, next) => {
    const header = (name: string) => request.headers[name.toLowerCase()] as string | undefined;
    refuseUnfitHeaders(header);
    const app = known.get(header('X-App-Key') ?? '');
    if (app === undefined) throw refused('unknownApp', '应用标识不存在', 'there is no such app key');
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
    response.locals.claim = {
      ...app,
      timestamp,
      nonce: header('X-Nonce') ?? '',
      signature: header('X-Signature') ?? '',
      method: isSignatureMethod(method) ? method : 'HMAC-SHA256',
    } satisfies Claim;
    next();
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

/**
 * Checks the claim against the bytes that came. The nonce is spent only on a right signature: nobody else can use up a caller's.
 *
 * @param provedBy is told of each proved request which of its app's secrets signed it, counted from 0
 */
export function proved(nonces: Nonces, provedBy: (appKey: string, secretNo: number) => void = () => {}): Handler {
  return async (request, response, next) => {
    const { claim } = response.locals;
    if (claim === undefined) throw new Error('proved() stands after claimed()');
    const { caller, secrets, timestamp, nonce, signature, method } = claim;
    const signed = {
      method: request.method,
      target: request.originalUrl,
      body: bytesOf(request.body),
      timestamp,
      nonce,
    };
    const secretNo = findSigningSecret(signed, secrets, method, signature);
    if (secretNo === undefined) {
      throw refused(
        'badSignature',
        '签名不正确：请核对密钥、签名串与请求体原始字节',
        'the signature is not right: check the secret, the signed text and the very bytes of the body',
      );
    }
    if (!(await nonces.firstUse(caller.appKey, nonce, Number(timestamp) + CLOCK_WINDOW_MS + 1))) {
      throw refused('nonceReused', '随机数已使用过，请求可能被重放', 'the nonce has been used before');
    }
    provedBy(caller.appKey, secretNo);
    next();
  };
}

const ROLES: { readonly [role in Role]: Words } = {
  window: { zh: '窗口平台', en: 'window' },
  department: { zh: '部门', en: 'department' },
  operator: { zh: '运维人员', en: 'operator' },
  auditor: { zh: '审计人员', en: 'auditor' },
};

export function allowed(roles: readonly Role[]): Handler {
  return (_request, response, next) => {
    const role = response.locals.claim?.caller.role;
    if (role === undefined || !roles.includes(role)) throw forbidden(roles);
    next();
  };
}

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
