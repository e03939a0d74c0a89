import type { Request as ExpressRequest, Response as ExpressResponse, RequestHandler } from 'express';
import type { RawReply, RawRequest } from '../../contracts/ports/adapter.ts';
import type { Json, JsonObject, Words } from '../../contracts/ports/envelope.ts';
import type { Caller } from '../../contracts/ports/services.ts';
import type { Parameters } from './parameters.ts';
import type { SchemaName } from './schemas.ts';

/** A published contract (`case.submit@1`), or a component of our own. */
export type SchemaRef = SchemaName | `${string}@${number}`;

/**
 * A route is described once; from this the paths are served, the callers let in, the methods refused, the metrics labelled
 * and the OpenAPI document written.
 */
interface Described {
  readonly method: 'GET' | 'POST';
  /** As OpenAPI writes it: `/v1/cases/{caseNo}`. */
  readonly path: string;
  /** `operationId`. */
  readonly id: string;
  readonly tag: Tag;
  readonly words: Words;
  readonly more?: Words;
  /** Besides the problems that every route has. */
  readonly replies: { readonly [status: number]: Reply };
}

export type Tag = 'cases' | 'certificates' | 'departments' | 'catalogue' | 'queue' | 'probes';

interface Reply {
  readonly words: Words;
  /** Absent: any JSON. */
  readonly schema?: SchemaRef;
  /** `application/json`, unless given. */
  readonly type?: string;
}

export type Role = Caller['role'];

/** Called by a machine that signs. */
export interface SignedRoute extends Described {
  readonly access: readonly Role[];
  readonly query?: Parameters;
  /** JSON that must be sent; absent: nothing is read. */
  readonly body?: {
    /** Absent: any JSON. */
    readonly schema?: SchemaRef;
    /** Whether the route's own part checks it against its contract, with whatever else it checks. */
    readonly checkedBehind?: true;
  };
  handle(asked: Asked): Promise<Answered>;
}

/** Called by anybody who can reach the port. */
export interface OpenRoute extends Described {
  readonly access: 'open';
  handle(params: Params): Promise<Answered>;
}

/** A page for people: not part of the API's description. */
export type Page = Pick<OpenRoute, 'method' | 'path' | 'access' | 'handle'>;

/** A department's own request in its own bytes; its manifest verifies it. */
export interface RawRoute extends Described {
  readonly access: 'manifest';
  handle(params: Params, request: RawRequest, traceparent: string): Promise<RawReply>;
}

export type Route = SignedRoute | OpenRoute | RawRoute;

/** Path parameters; `param` throws for one the route does not have. */
export interface Params {
  param(name: string): string;
}

export interface Asked extends Params {
  readonly caller: Caller;
  /** After the `?`, as sent. */
  readonly search: string;
  /** Parsed, when the route reads one; its schema is not checked yet. */
  readonly body: Json;
  readonly traceparent: string;
}

export interface Answered {
  readonly status: number;
  readonly headers: { readonly [name: string]: string };
  /** What comes in pieces is sent as it comes; its length stands in the headers, where it is known. */
  readonly content: string | Uint8Array | AsyncIterable<Uint8Array>;
}

export function json(status: number, value: unknown, headers: { readonly [name: string]: string } = {}): Answered {
  return { status, headers: { 'Content-Type': 'application/json', ...headers }, content: JSON.stringify(value) };
}

/** What is known of a request on its way through. */
export interface Locals extends Record<string, unknown> {
  traceparent: string;
  /** The route's pattern, never the path: for metrics and logs. */
  route: string;
  /** `operationId` of the route; absent where there is none. */
  act?: string;
  /** What it is about: the values in its path. */
  object?: string;
  /** Whose request it is: of the socket, or what a trusted proxy says. */
  address: string;
  /** Waits for leave to send its body. */
  awaitsContinue: boolean;
  /** The key of a known app that the request claims, before anything is proved; null: of none. */
  claimed?: string | null;
  /** Proved. */
  caller?: Caller;
  /** Answered as one who may ask: it counts in the metrics by its route. */
  admitted?: boolean;
  /** How many of the same address and key were refused in this minute, with this one. */
  refusals?: number;
  /** What was wrong with it. */
  problem?: string;
}

export type Handler = RequestHandler<{ [name: string]: string }, unknown, unknown, JsonObject, Locals>;
export type Request = ExpressRequest<{ [name: string]: string }, unknown, unknown, JsonObject, Locals>;
export type Answer = ExpressResponse<unknown, Locals>;
