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
import { allowed, bytesOf, claimed, proved } from './authenticate.ts';
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
import { type MandateParts, mandateRoutes } from './mandates.ts';
import { messageRoutes } from './messages.ts';
import { openApi } from './openapi.ts';
import { previousSecretLog } from './previous-secret.ts';
import { notFound, tellProblem, unfit } from './problems.ts';
import { addressLimit, appLimit, refusalLimit } from './rate.ts';
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
  readonly limits: {
    /** Of a caller's request. */
    readonly bodyBytes: number;
    /** Of a department's own request. */
    readonly callbackBytes: number;
    /** Requests of one app, and callbacks of one address; 0: no limit. */
    readonly perMinute: number;
    /** For all certificates of one request together. */
    readonly certificateTimeMs: number;
  };
}

/**
 * The API. Whatever comes in, an answer goes out: a described one, or a problem (RFC 9457).
 * On its way a signed request is claimed (headers), read (bounded), proved (signature, nonce), counted, allowed, parsed, handled.
 */
export function makeApp(parts: AppParts): Express {
  const { clock, limits, log } = parts;
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
  ];
  const compile = schemaCompiler({ schemas: schemaDocuments });
  const known = declaredNames([...schemaDocuments, ...parts.contracts.list().map(({ schema }) => schema)]);
  const signed = [
    refusalLimit(clock),
    claimed(parts.apps, clock),
    bytesUpTo(limits.bodyBytes),
    proved(parts.nonces, previousSecretLog(parts.apps, parts)),
    appLimit(clock, limits.perMinute),
  ];
  const raw = [addressLimit(clock, limits.perMinute), bytesUpTo(limits.callbackBytes)];

  function checkOf(schema: SchemaRef): Check {
    if (!schema.includes('@')) return compile({ $ref: schema });
    return (body) => parts.contracts.problems(schema, body as Json);
  }

  function normaliserOf(schema: SchemaRef): Normalise {
    if (!schema.includes('@')) return compileNormaliser(SCHEMAS[schema as SchemaName], schemaDocuments);
    return (body) => parts.contracts.normalise(schema, body);
  }

  function steps(route: Route | Page): readonly Handler[] {
    if (route.access === 'open') return [answerOpen(route as Page)];
    if (route.access === 'manifest') return [...raw, answerRaw(route as RawRoute)];
    const { access, body } = route as SignedRoute;
    if (body?.schema === undefined || body.checkedBehind)
      return [...signed, allowed(access), answerSigned(route as SignedRoute, known, asSent, nothingWrong)];
    const read = normaliserOf(body.schema);
    return [...signed, allowed(access), answerSigned(route as SignedRoute, known, read, checkOf(body.schema))];
  }

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
  const document = openApi(routes, parts.contracts, parts.version);
  for (const [path, here] of Map.groupBy<string, Route | Page>(
    [...routes, ...docsPages(document)],
    (route) => route.path,
  )) {
    const served = app.route(path.replaceAll(/\{(\w+)\}/g, ':$1'));
    served.all(named(path));
    for (const route of here) served[route.method === 'GET' ? 'get' : 'post'](...steps(route));
    served.all(otherMethods(here.map(({ method }) => method)));
  }
  app.use(() => {
    throw notFound();
  });
  app.use(tellProblem(log));
  return app;
}

const asSent: Normalise = (body) => body;
const nothingWrong: Check = () => [];

function begins({ metrics, log }: Pick<AppParts, 'metrics' | 'log'>): Handler {
  return (request, response, next) => {
    // A duration: the one clock here that is not the gateway's, because that one has no fractions of a millisecond.
    const began = performance.now();
    const { locals } = response;
    locals.traceparent = traceparentOf(request.headers.traceparent as string | undefined);
    locals.route = 'none';
    response.setHeader('traceparent', locals.traceparent);
    response.setHeader('Cache-Control', 'no-store');
    response.once('close', () => {
      const seconds = (performance.now() - began) / 1000;
      // 499, as others call it: the caller did not wait.
      const status = response.writableFinished ? response.statusCode : 499;
      metrics.http(request.method, locals.route, status, seconds);
      const app = locals.claim?.caller.appKey;
      log.debug('request', {
        method: request.method,
        route: locals.route,
        status,
        seconds,
        app,
        traceparent: locals.traceparent,
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

/** Reads the whole body as it is: the signature is over these bytes. Compressed ones are refused, so that the limit is the limit. */
const bytesUpTo = (limit: number): Handler =>
  express.raw({ type: () => true, inflate: false, limit }) as unknown as Handler;

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
    const { claim, traceparent } = response.locals;
    if (claim === undefined) throw new Error('a signed route is answered after its claim is proved');
    let body: Json = null;
    if (route.body !== undefined) {
      body = normalise(readJson(bytesOf(request.body), request.headers['content-type'], known));
      const problems = check(body);
      if (problems.length > 0) throw unfit(problems);
    }
    const at = request.originalUrl.indexOf('?');
    const search = at === -1 ? '' : request.originalUrl.slice(at + 1);
    await send(
      response,
      await route.handle({ ...paramsOf(request.params), caller: claim.caller, search, body, traceparent }),
    );
  };
}

function answerOpen(route: Page): Handler {
  return async (request, response) => send(response, await route.handle(paramsOf(request.params)));
}

function answerRaw(route: RawRoute): Handler {
  return async (request, response) => {
    const reply = await route.handle(paramsOf(request.params), rawRequest(request), response.locals.traceparent);
    sendRaw(response, reply);
  };
}

/** Numbers, codes and names; nothing else is anybody's name here. */
function paramsOf(params: { readonly [name: string]: unknown }): Params {
  return {
    param(name) {
      const value = params[name];
      if (typeof value !== 'string' || !/^[\w.@-]{1,128}$/.test(value)) throw notFound();
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
