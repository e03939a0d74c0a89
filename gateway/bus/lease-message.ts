import type { Envelope, Json, JsonObject } from '../../contracts/ports/envelope.ts';
import type { Lease } from '../../contracts/ports/store.ts';

/**
 * Grows when a node of the version before could not read it, or would do the wrong thing with it. Nodes of both are up while a gateway is upgraded node by node:
 * so a lease has the lowest version that will do. The first knows nothing of envelopes that are only to be asked about.
 */
const VERSIONS = { first: 1, askOnly: 2 } as const;

const KIND = { contentType: 'application/json', type: 'onewindow.lease' } as const;

export const propertiesOf = ({ ended }: Lease) => ({
  ...KIND,
  headers: { 'x-onewindow-version': ended ? VERSIONS.askOnly : VERSIONS.first },
});

export function written(lease: Lease): Buffer {
  const { envelope, fence, until, attempts, inDoubt, doubtedAt, firstSentAt, statutoryBy, ended } = lease;
  return Buffer.from(
    JSON.stringify({ envelope, fence, until, attempts, inDoubt, doubtedAt, firstSentAt, statutoryBy, ended }),
  );
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
  if (properties.type !== KIND.type || properties.contentType !== KIND.contentType)
    return { unreadable: 'it is no lease' };
  const version = properties.headers?.['x-onewindow-version'];
  if (!Object.values(VERSIONS).some((known) => known === version)) return { unreadable: 'it is of another version' };
  let value: Json;
  try {
    value = JSON.parse(content.toString('utf8')) as Json;
  } catch {
    return { unreadable: 'it is no JSON' };
  }
  if (!isLease(value)) return { unreadable: 'something of a lease is missing in it' };
  return { ...carefully(value as unknown as Lease), ...(value as unknown as Lease) };
}

/** What a node of the version before does not tell, taken so that nothing is believed, or given up, too early. */
function carefully({ envelope, until, inDoubt }: Lease) {
  return { doubtedAt: inDoubt ? until : null, firstSentAt: envelope.createdAt, statutoryBy: until, ended: false };
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
