import type { Party } from '../../contracts/ports/envelope.ts';
import type { LeaseName } from '../../contracts/ports/store.ts';

/**
 * What stands on the broker of a lease: its name, and nothing of what is to be sent. The queues of the versions before, whose messages held the envelope itself,
 * have other names.
 */
const KIND = { contentType: 'application/json', type: 'onewindow.lease' } as const;
const VERSION = 3;
export const PROPERTIES = { ...KIND, headers: { 'x-onewindow-version': VERSION } } as const;

/** Of a message, in bytes: the longest lane, the longest name and the largest fence are 110. */
export const LONGEST = 160;
/** `331124261123000001-02`, `331124261123000001-02.3`, `331124261123000001-W1`. */
const ENVELOPE_ID = /^\d{18}-(?:\d{2}(?:\.\d{1,6})?|W\d{1,6})$/;
/** As the store counts. */
const LARGEST_FENCE = 2 ** 31 - 1;

export function write({ lane, id, fence }: LeaseName): Buffer {
  return Buffer.from(JSON.stringify({ lane, id, fence }));
}

interface Incoming {
  readonly content: Buffer;
  readonly properties: {
    readonly contentType?: unknown;
    readonly type?: unknown;
    readonly headers?: Readonly<Record<string, unknown>> | undefined;
  };
}

/** The lease of this lane that a message names, or why it names none, in words that quote nothing of it: anybody may have written it. */
export function read({ content, properties }: Incoming, lane: Party): LeaseName | { readonly unreadable: string } {
  if (properties.type !== KIND.type || properties.contentType !== KIND.contentType)
    return { unreadable: 'it is no lease' };
  if (properties.headers?.['x-onewindow-version'] !== VERSION) return { unreadable: 'it is of another version' };
  if (content.length > LONGEST) return { unreadable: 'it is too long' };
  let value: unknown;
  try {
    value = JSON.parse(content.toString('utf8'));
  } catch {
    return { unreadable: 'it is no JSON' };
  }
  if (!isName(value)) return { unreadable: 'it names no lease' };
  // There is one way to write it.
  if (!content.equals(write(value))) return { unreadable: 'there is more in it than a name' };
  if (value.lane !== lane) return { unreadable: 'it is of another lane' };
  return value;
}

function isName(value: unknown): value is LeaseName {
  if (value === null || typeof value !== 'object') return false;
  const { lane, id, fence } = value as { readonly [key in keyof LeaseName]?: unknown };
  return (
    typeof lane === 'string' &&
    typeof id === 'string' &&
    ENVELOPE_ID.test(id) &&
    Number.isInteger(fence) &&
    (fence as number) >= 0 &&
    (fence as number) <= LARGEST_FENCE
  );
}
