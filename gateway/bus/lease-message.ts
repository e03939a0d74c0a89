import type { Envelope, Json, JsonObject } from '../../contracts/ports/envelope.ts';
import type { Lease } from '../../contracts/ports/store.ts';

/** Grows when a node of the version before could not read it. Nodes of both are up while a gateway is upgraded node by node. */
const VERSION = 1;

export const LEASE_PROPERTIES = {
  contentType: 'application/json',
  type: 'onewindow.lease',
  headers: { 'x-onewindow-version': VERSION },
} as const;

export function written({ envelope, fence, until, attempts, inDoubt }: Lease): Buffer {
  return Buffer.from(JSON.stringify({ envelope, fence, until, attempts, inDoubt }));
}

interface Incoming {
  readonly content: Buffer;
  readonly properties: {
    readonly contentType?: unknown;
    readonly type?: unknown;
    readonly headers?: Readonly<Record<string, unknown>> | undefined;
  };
}

/** What a message holds, or why it cannot be read, in words that quote nothing of it: there are personal values in it. */
export function read({ content, properties }: Incoming): Lease | { readonly unreadable: string } {
  if (properties.type !== LEASE_PROPERTIES.type || properties.contentType !== LEASE_PROPERTIES.contentType)
    return { unreadable: 'it is no lease' };
  if (properties.headers?.['x-onewindow-version'] !== VERSION) return { unreadable: 'it is of another version' };
  let value: Json;
  try {
    value = JSON.parse(content.toString('utf8')) as Json;
  } catch {
    return { unreadable: 'it is no JSON' };
  }
  return isLease(value) ? (value as unknown as Lease) : { unreadable: 'something of a lease is missing in it' };
}

const ENVELOPE_TEXTS = ['id', 'caseNo', 'to', 'contract', 'traceparent'] as const satisfies readonly (keyof Envelope)[];

function isLease(value: Json): boolean {
  if (!isObject(value) || !isObject(value.envelope)) return false;
  const { envelope, fence, until, attempts, inDoubt } = value;
  return (
    ENVELOPE_TEXTS.every((key) => typeof envelope[key] === 'string') &&
    (envelope.stepNo === null || typeof envelope.stepNo === 'string') &&
    isObject(envelope.body) &&
    [envelope.createdAt, fence, until, attempts].every(Number.isFinite) &&
    typeof inDoubt === 'boolean'
  );
}

function isObject(value: Json | undefined): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
