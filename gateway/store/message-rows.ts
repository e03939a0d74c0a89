import { createHash } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { KeptMessage, Message, Party } from '../../contracts/ports/envelope.ts';
import type { Tables } from './tables.ts';

type MessageRow = Selectable<Tables['messages']>;

/** Of a row whose message is kept. */
export const KEPT_COLUMNS = ['party', 'dedupe', 'received_at', 'message', 'id', 'problem'] as const;
export type KeptRow = Pick<MessageRow, (typeof KEPT_COLUMNS)[number]>;

/** Enough that no two are the same, and short enough for a path. */
const ID_DIGITS = 32;

/** Its `dedupe` is the party's own text, of any length and in any characters, and nothing to put into an address. */
function messageId(party: Party, dedupe: string): string {
  return createHash('sha256').update(`${party}\n${dedupe}`).digest('hex').slice(0, ID_DIGITS);
}

/** The columns by which a kept message is looked up. */
export function lookupColumns({ from, about, dedupe }: Message): Pick<MessageRow, 'id' | 'about_key' | 'about_number'> {
  return {
    id: messageId(from, dedupe),
    about_key: 'key' in about ? about.key : null,
    about_number: 'number' in about ? about.number : null,
  };
}

export function keptOf({ party, dedupe, received_at, message, problem }: KeptRow): KeptMessage {
  return {
    ...(JSON.parse(message ?? 'null') as Message),
    id: messageId(party, dedupe),
    receivedAt: received_at,
    problem: problem === null ? null : JSON.parse(problem),
  };
}
