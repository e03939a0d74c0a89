import type { Json } from './envelope.ts';

/** Bytes of a value as JSON. */
export const MOST_VALUE_BYTES = 4_096;
/** Names that one envelope may have. */
export const MOST_VALUE_NAMES = 16;

/**
 * Values that belong to one envelope and are fixed before it is first sent: a day, a serial number. The same in every resend and inquiry, on every node and
 * over restarts. Kept as long as the envelope has not ended, and for some time after. May reject when the store is away.
 */
export interface OnceValues {
  /**
   * Keeps the value, unless one is kept under this name already; resolves with the one that is kept, durably. Of several that ask at once all get the same.
   * Rejects when the value is larger than `MOST_VALUE_BYTES`, or the envelope has `MOST_VALUE_NAMES` others.
   */
  once(envelopeId: string, name: string, value: Json): Promise<Json>;
  /** What is kept of an envelope, by name. */
  onceValues(envelopeId: string): Promise<{ readonly [name: string]: Json }>;
}
