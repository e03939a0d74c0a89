import { STATUS_CODES } from 'node:http';
import type { ErrorRequestHandler } from 'express';
import { countOf } from '../../contracts/count.ts';
import { type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import { logRefusal } from './limits.ts';
import type { Locals } from './route.ts';

/** RFC 9457, with all that is wrong told at once: contract `problem@1`. */
export interface ProblemDetails {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly zh: string;
  readonly en: string;
  readonly problems: readonly Problem[];
  /** Seconds. */
  readonly retryAfter?: number;
  readonly traceId: string;
}

export function problemDetails(unfit: Unfit, traceparent: string): ProblemDetails {
  return {
    type: `urn:onewindow:problem:${unfit.code}`,
    title: STATUS_CODES[unfit.status] ?? 'Problem',
    status: unfit.status,
    detail: unfit.words.en,
    code: unfit.code,
    zh: unfit.words.zh,
    en: unfit.words.en,
    // Rebuilt field by field: whatever else a problem may carry stays inside.
    problems: unfit.problems.map(({ pointer, code, zh, en }) => ({ pointer, code, zh, en })),
    ...(unfit.retryAfter === undefined ? {} : { retryAfter: Math.ceil(unfit.retryAfter) }),
    traceId: traceparent.slice(3, 35),
  };
}

export const notFound = (): Unfit => new Unfit(404, 'notFound', { zh: '没有该资源', en: 'there is nothing here' });

/** Errors of express and its body reader, which say what is wrong in `status` and `type`. */
const FOREIGN: { readonly [type: string]: readonly [number, string, string, string] } = {
  'entity.too.large': [413, 'bodyTooLarge', '请求体超过上限', 'the body is over the limit'],
  'encoding.unsupported': [
    415,
    'contentEncoding',
    '请求体不得压缩（Content-Encoding）',
    'the body must not be compressed (Content-Encoding)',
  ],
  'request.aborted': [400, 'aborted', '请求中断', 'the request was broken off'],
  'request.size.invalid': [
    400,
    'contentLength',
    '请求体长度与 Content-Length 不符',
    'the body is not as long as its Content-Length says',
  ],
};

/** Undefined for what nobody foresaw. */
function foreseen(error: unknown): Unfit | undefined {
  if (error instanceof Unfit) return error;
  const { type, status, limit } = error as { type?: unknown; status?: unknown; limit?: unknown };
  const known = typeof type === 'string' ? FOREIGN[type] : undefined;
  if (known !== undefined) {
    const [code, name, zh, en] = known;
    const bytes = code === 413 && typeof limit === 'number' ? limit : undefined;
    return new Unfit(code, name, {
      zh: bytes === undefined ? zh : `${zh}（${bytes} 字节）`,
      en: bytes === undefined ? en : `${en} of ${countOf(bytes, 'byte')}`,
    });
  }
  if (error instanceof URIError) {
    return new Unfit(400, 'pathEncoding', {
      zh: '路径的百分号编码有误',
      en: 'the path is not rightly percent-encoded',
    });
  }
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new Unfit(status, 'badRequest', { zh: '请求有误', en: 'the request is not right' });
  }
  return undefined;
}

/** The one place where an error becomes an answer. */
export function tellProblem(
  log: Logger,
): ErrorRequestHandler<{ [name: string]: string }, unknown, unknown, unknown, Locals> {
  return (error, request, response, _next) => {
    const { traceparent, route, act, object, address, caller, claimed, refusals = 0 } = response.locals;
    const app = caller?.appKey ?? claimed ?? undefined;
    const line = { traceparent, method: request.method, route, act, object, address, app };
    const told = foreseen(error);
    response.locals.problem = told?.code ?? 'unforeseen';
    if (told === undefined) log.error('a request ended in an error nobody foresaw', { ...line, error });
    else if (refusals > 0) logRefusal(log, refusals, { ...line, outcome: told.code });
    else if (told.status >= 500) log.warn('a request could not be served', { ...line, code: told.code, error: told });

    if (response.headersSent) {
      // Half an answer must not look like a whole one.
      response.destroy();
      return;
    }
    const unfit =
      told ??
      new Unfit(500, 'unforeseen', { zh: '系统内部错误，已记录', en: 'an internal error; it has been recorded' });
    // The body that was announced has not come: what stands on the connection next could not be told apart from it.
    if (response.locals.awaitsContinue) response.setHeader('Connection', 'close');
    if (unfit.status === 401) response.setHeader('WWW-Authenticate', 'Signature realm="onewindow"');
    if (unfit.retryAfter !== undefined) response.setHeader('Retry-After', String(Math.ceil(unfit.retryAfter)));
    const content = JSON.stringify(problemDetails(unfit, traceparent));
    response.writeHead(unfit.status, {
      'Content-Type': 'application/problem+json',
      'Content-Length': Buffer.byteLength(content),
    });
    response.end(content);
  };
}

/** A request that breaks its contract, with all that is wrong with it. */
export function unfit(problems: readonly Problem[]): Unfit {
  const words = {
    zh: `请求有 ${problems.length} 处需要更正`,
    en: `${countOf(problems.length, 'thing')} to mend, all told at once`,
  };
  return new Unfit(422, 'unfit', words, problems);
}
