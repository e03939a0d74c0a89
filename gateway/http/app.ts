import { pipeline } from 'node:stream/promises';
import express, { type Express, type Response } from 'express';
import helmet from 'helmet';
import type { App } from '../../config/settings.ts';
import { type Check, schemaCompiler } from '../../contracts/compile.ts';
import { compileNormaliser, type Normalise } from '../../contracts/normalise.ts';
import { type BodyNormaliser, type Contracts, Unfit } from '../../contracts/ports/contract.ts';
import type { Json } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Departments } from '../../contracts/ports/services.ts';
import type { Nonces } from '../../contracts/ports/store.ts';
import { declaredNames } from '../../contracts/references.ts';
import { type IsTrusted, networkOf } from './address.ts';
import { authenticated, bytesOf } from './authenticate.ts';
import { BodyMemory, readBody } from './bodies.ts';
import { readJson } from './body.ts';
import { callbackRoutes } from './callbacks.ts';
import { type CaseParts, caseRoutes } from './cases.ts';
import { type CertificateParts, certificateRoutes } from './certificates.ts';
import { contractRoutes } from './contracts.ts';
import { departmentRoutes } from './departments.ts';
import { docsPages } from './docs.ts';
import { type DocumentParts, documentRoutes } from './documents.ts';
import { envelopeRoutes } from './envelopes.ts';
import { type HealthParts, healthRoutes } from './health.ts';
import { itemRoutes } from './items.ts';
import { type LedgerParts, ledgerRoutes } from './ledger.ts';
import { logRefusal, RateLimit, Refusals } from './limits.ts';
import { type MandateParts, mandateRoutes } from './mandates.ts';
import { messageRoutes } from './messages.ts';
import { openApi } from './openapi.ts';
import { previousSecretLog } from './previous-secret.ts';
import { notFound, tellProblem, unfit } from './problems.ts';
import { acceptable, callerAddress, judgeProtocol } from './protocol.ts';
import { rawRequest, sendRaw } from './raw.ts';
import type { Answered, Handler, Locals, Page, Params, RawRoute, Route, SchemaRef, SignedRoute } from './route.ts';
import { SCHEMAS, type SchemaName, schemaDocuments } from './schemas.ts';
import { traceparentOf } from './traceparent.ts';

export interface AppParts extends CaseParts, CertificateParts, DocumentParts, LedgerParts, MandateParts, HealthParts {
  readonly departments: Departments;
  readonly contracts: Contracts & BodyNormaliser;
  readonly nonces: Nonces;
  readonly apps: readonly App[];
  readonly log: Logger;
  /** Proxies whose word about a caller's address counts. */
  readonly trusted: IsTrusted;
  readonly limits: {
    /** Of a caller's request. */
    readonly bodyBytes: number;
    /** Of a department's own request. */
    readonly callbackBytes: number;
    /** Of all requests under way together. */
    readonly bodiesBytes: number;
    /** Requests of one app, and pushes of one party; 0: no limit. */
    readonly perMinute: number;
    /** For all certificates of one request together. */
    readonly certificateTimeMs: number;
  };
}

/** Where it is served: the API, or the address of the operators, which has the probes and the metrics only. */
interface Served {
  readonly routes: readonly Route[];
  readonly pages: readonly Page[];
  readonly steps: (route: Route | Page) => readonly Handler[];
}

/**
 * The API. Whatever comes in, an answer goes out: a described one, or a problem (RFC 9457).
 * On its way a signed request is judged by its head, read (bounded), proved (signature, rate, role, nonce), parsed, handled.
 *
 * @param metricsHere false: they are at another address only
 */
export function makeApp(parts: AppParts, metricsHere = true): Express {
  const { clock, limits, apps, nonces } = parts;
  const routes: readonly Route[] = [
    ...caseRoutes(parts),
    ...departmentRoutes(parts),
    ...certificateRoutes(parts),
    ...ledgerRoutes(parts),
    ...mandateRoutes(parts),
    ...documentRoutes(parts),
    ...envelopeRoutes(parts),
    ...messageRoutes(parts),
    ...itemRoutes(parts),
    ...contractRoutes(parts),
    ...callbackRoutes(parts),
    ...healthRoutes(parts),
  ].filter(({ id }) => metricsHere || id !== 'metrics');
  const compile = schemaCompiler({ schemas: schemaDocuments });
  const known = declaredNames([...schemaDocuments, ...parts.contracts.list().map(({ schema }) => schema)]);
  const memory = new BodyMemory(limits.bodiesBytes);
  const refusals = new Refusals(clock);
  const signedBy = authenticated({
    apps,
    nonces,
    clock,
    read: readBody(limits.bodyBytes, memory),
    rate: new RateLimit(clock, limits.perMinute),
    refusals,
    provedBy: previousSecretLog(apps, parts),
  });
  const readCallback = readBody(limits.callbackBytes, memory);
  const answerCallback = answerRaw(parts.log, new RateLimit(clock, limits.perMinute), refusals);

  function checkOf(schema: SchemaRef): Check {
    if (!schema.includes('@')) return compile({ $ref: schema });
    return (body) => parts.contracts.problems(schema, body as Json);
  }

  function normaliserOf(schema: SchemaRef): Normalise {
    if (!schema.includes('@')) return compileNormaliser(SCHEMAS[schema as SchemaName], schemaDocuments);
    return (body) => parts.contracts.normalise(schema, body);
  }

  function steps(route: Route | Page): readonly Handler[] {
    if (route.access === 'open') return [acceptable(typesOf(route)), answerOpen(route as Page)];
    if (route.access === 'manifest') return [readCallback, answerCallback(route as RawRoute)];
    const { access, body } = route as SignedRoute;
    const before = [signedBy(access), acceptable(typesOf(route))];
    if (body?.schema === undefined || body.checkedBehind)
      return [...before, answerSigned(route as SignedRoute, known, asSent, nothingWrong)];
    const read = normaliserOf(body.schema);
    return [...before, answerSigned(route as SignedRoute, known, read, checkOf(body.schema))];
  }

  return serving(parts, { routes, pages: docsPages(openApi(routes, parts.contracts, parts.version)), steps });
}

/** The operators' own address: probes and metrics, and nothing else. */
export function makeAdminApp(parts: HealthParts & Pick<AppParts, 'log' | 'trusted'>): Express {
  return serving(parts, {
    routes: healthRoutes(parts),
    pages: [],
    steps: (route) => [acceptable(typesOf(route)), answerOpen(route as Page)],
  });
}

function serving(parts: Pick<AppParts, 'metrics' | 'log' | 'trusted'>, { routes, pages, steps }: Served): Express {
  const app = express();
  for (const name of ['x-powered-by', 'etag', 'trust proxy']) app.disable(name);
  for (const name of ['case sensitive routing', 'strict routing']) app.enable(name);
  app.set('query parser', false);
  app.use(begins(parts));
  app.use(
    helmet({
      contentSecurityPolicy: {
        useDefaults: false,
        directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] },
      },
    }),
  );
  app.use(judgeProtocol);
  for (const [path, here] of Map.groupBy<string, Route | Page>([...routes, ...pages], (route) => route.path)) {
    const served = app.route(path.replaceAll(/\{(\w+)\}/g, ':$1'));
    served.all(named(path));
    for (const route of here)
      served[route.method === 'GET' ? 'get' : 'post'](acting('id' in route ? route.id : undefined), ...steps(route));
    served.all(otherMethods(here.map(({ method }) => method)));
  }
  app.use(() => {
    throw notFound();
  });
  app.use(tellProblem(parts.log));
  return app;
}

/** What a route answers with when all is well. */
function typesOf(route: Route | Page): readonly string[] {
  if (!('replies' in route)) return [];
  const good = Object.entries(route.replies).filter(([status]) => Number(status) < 300);
  const types = good.map(([, { type }]) => type ?? 'application/json');
  return types.some((type) => type.includes('*')) ? [] : types;
}

const asSent: Normalise = (body) => body;
const nothingWrong: Check = () => [];

function begins({ metrics, log, trusted }: Pick<AppParts, 'metrics' | 'log' | 'trusted'>): Handler {
  return (request, response, next) => {
    // A duration: the one clock here that is not the gateway's, because that one has no fractions of a millisecond.
    const began = performance.now();
    const { locals } = response;
    locals.traceparent = traceparentOf(request.headers.traceparent as string | undefined);
    locals.route = 'none';
    locals.address = callerAddress(request, trusted);
    response.setHeader('traceparent', locals.traceparent);
    response.setHeader('Cache-Control', 'no-store');
    response.once('close', () => {
      // To the microsecond: what stands behind it is noise, and its digits look like anybody's number.
      const seconds = Math.round((performance.now() - began) * 1_000) / 1_000_000;
      // 499, as others call it: the caller did not wait.
      const status = response.writableFinished ? response.statusCode : 499;
      const { caller, act, address, route, traceparent, problem } = locals;
      // Strangers make no new series.
      if (caller !== undefined || locals.admitted) metrics.http(request.method, route, status, seconds);
      else metrics.refused(status);
      if (caller === undefined) log.debug('request', { method: request.method, route, status, seconds, traceparent });
      else
        log.info('request', {
          address,
          app: caller.appKey,
          act,
          // What was made has its number in the answer.
          object:
            locals.object ??
            (String(response.getHeader('Location') ?? '')
              .split('/')
              .at(-1) ||
              undefined),
          status,
          outcome: problem ?? 'done',
          traceparent,
        });
    });
    next();
  };
}

const named =
  (path: string): Handler =>
  (_request, response, next) => {
    response.locals.route = path;
    next();
  };

/** Which act it is, and what it is about by its number or name: what is written down of a request. */
const acting =
  (act: string | undefined): Handler =>
  ({ params }, { locals }, next) => {
    if (act !== undefined) locals.act = act;
    const object = Object.values(params).filter((value) => PARAMETER.test(value));
    if (object.length > 0) locals.object = object.join(' ');
    next();
  };

function otherMethods(methods: readonly string[]): Handler {
  const allow = methods.includes('GET') ? [...methods, 'HEAD'] : methods;
  return (_request, response) => {
    response.setHeader('Allow', allow.join(', '));
    throw new Unfit(405, 'methodNotAllowed', {
      zh: `该资源只支持：${allow.join('、')}`,
      en: `the methods here are: ${allow.join(', ')}`,
    });
  };
}

function answerSigned(route: SignedRoute, known: ReadonlySet<string>, normalise: Normalise, check: Check): Handler {
  return async (request, response) => {
    const { caller, traceparent } = response.locals;
    if (caller === undefined) throw new Error('a signed route is answered after its caller is proved');
    let body: Json = null;
    if (route.body !== undefined) {
      body = normalise(readJson(bytesOf(request.body), request.headers['content-type'], known));
      const problems = check(body);
      if (problems.length > 0) throw unfit(problems);
    }
    const at = request.originalUrl.indexOf('?');
    const search = at === -1 ? '' : request.originalUrl.slice(at + 1);
    await send(response, await route.handle({ ...paramsOf(request.params), caller, search, body, traceparent }));
  };
}

function answerOpen(route: Page): Handler {
  return async (request, response) => {
    response.locals.admitted = true;
    await send(response, await route.handle(paramsOf(request.params)));
  };
}

/** A push that its party's manifest has verified counts against that party's rate; one that is not verified, among the refusals of its address. */
const answerRaw =
  (log: Logger, rate: RateLimit, refusals: Refusals) =>
  (route: RawRoute): Handler =>
  async (request, response) => {
    const { locals } = response;
    const { address, act, object, traceparent } = locals;
    const party = request.params.party ?? '';
    const of = `${networkOf(address)} ${party}`;
    rate.check(of);
    const reply = await route.handle(paramsOf(request.params), rawRequest(request), traceparent);
    if (reply.unverified) {
      const refusal = notVerified();
      const { answer, count } = refusals.refuse(networkOf(address), `callback ${party}`, refusal);
      if (answer.status === 429) {
        locals.refusals = count;
        throw answer;
      }
      logRefusal(log, count, { traceparent, address, act, object, outcome: refusal.code });
    } else {
      locals.admitted = true;
      rate.count(of);
    }
    sendRaw(response, reply);
  };

const notVerified = (): Unfit =>
  new Unfit(401, 'notVerified', { zh: '推送未通过验签', en: 'the push was not verified' });

/** Of a value in a path: numbers, codes and names. */
const PARAMETER = /^[\w.@-]{1,128}$/;

/** Numbers, codes and names; nothing else is anybody's name here. */
function paramsOf(params: { readonly [name: string]: unknown }): Params {
  return {
    param(name) {
      const value = params[name];
      if (typeof value !== 'string' || !PARAMETER.test(value)) throw notFound();
      return value;
    },
  };
}

async function send(response: Response<unknown, Locals>, { status, headers, content }: Answered): Promise<void> {
  if (typeof content === 'string' || content instanceof Uint8Array) {
    response.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(content) });
    response.end(content);
    return;
  }
  response.writeHead(status, { ...headers });
  // Whoever goes away ends it, and with it whatever the pieces come from.
  await pipeline(content, response).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') throw error;
  });
}
