import type { Request, Response } from 'express';
import type { RawReply, RawRequest } from '../../contracts/ports/adapter.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import { bytesOf } from './authenticate.ts';

/** A department's request as its manifest reads it: nothing decoded, nothing guessed. */
export function rawRequest(request: Pick<Request, 'method' | 'originalUrl' | 'headersDistinct' | 'body'>): RawRequest {
  const [path = '', ...rest] = request.originalUrl.split('?');
  return {
    method: request.method,
    path,
    query: once([...new URLSearchParams(rest.join('?'))], '查询参数', 'a query parameter'),
    // Of a header sent twice the first counts: what stands behind it was not meant by who signed the first.
    headers: Object.fromEntries(
      Object.entries(request.headersDistinct).map(([name, values]) => [name, values?.[0] ?? '']),
    ),
    body: bytesOf(request.body),
  };
}

/** Two values under one name mean one thing to who checks and another to who reads. */
function once(
  pairs: readonly (readonly [string, string])[],
  zh: string,
  en: string,
): { readonly [name: string]: string } {
  const names = new Set(pairs.map(([name]) => name));
  if (names.size < pairs.length) {
    throw new Unfit(400, 'parameterTwice', { zh: `${zh}重复`, en: `${en} is given more than once` });
  }
  return Object.fromEntries(pairs);
}

/** Headers that are ours to set, whatever the manifest says: they decide where an answer ends. */
const OURS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);

export function sendRaw(response: Response, { status, headers, body }: RawReply): void {
  const theirs = Object.entries(headers).filter(([name]) => !OURS.has(name.toLowerCase()));
  response.writeHead(status, { ...Object.fromEntries(theirs), 'Content-Length': body.length });
  response.end(body);
}
