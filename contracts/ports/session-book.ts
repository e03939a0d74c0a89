import type { JsonObject, Millis, Party } from './envelope.ts';

/** A party's session as all nodes use it; `no` grows with every log-in, whichever node makes it. */
export interface KeptSession {
  readonly no: number;
  readonly session: JsonObject;
}

/** Whose session: `account` tells accounts of one party apart. It may hold secrets, and is kept by a keyed digest only. */
export interface SessionOf {
  readonly party: Party;
  readonly account: string;
}

/** The sessions that all nodes of a gateway share, sealed; over restarts too. May reject when the store is away. */
export interface SessionBook {
  /** The right to log in, for at most `forMs`: true when no other node has it now. */
  claim(of: SessionOf, forMs: number): Promise<boolean>;
  unclaim(of: SessionOf): Promise<void>;
  keep(of: SessionOf, kept: KeptSession, until: Millis): Promise<void>;
  /** The last one kept, unless it has ended. */
  kept(of: SessionOf): Promise<KeptSession | undefined>;
}
