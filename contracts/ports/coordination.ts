import type { Millis, Party } from './envelope.ts';

/**
 * What all nodes of one gateway know together, kept in the store. Each method is one durable transaction; one row a key, so that it stays small.
 */
export interface Coordination {
  /** There is but one node: what it counts in its memory is counted over all of them. */
  readonly alone: boolean;
  /**
   * Takes up to `most` calls of what a quota leaves in a period (`2026-11-23`, `2026-11-23T09:15`), for this node to use; 0: nothing is left. Counted over all
   * nodes and kept over restarts. What a node took and did not use is lost to the period: so blocks are small beside the quota.
   */
  allot(party: Party, period: string, limit: number, most: number): Promise<number>;
  /** How many were taken in a period. */
  allotted(party: Party, period: string): Promise<number>;
  /** The right to do `what` alone until `until`: true when nobody else has it now. The same `holder` may ask again, and gets it prolonged. */
  claim(what: string, holder: string, now: Millis, until: Millis): Promise<boolean>;
  /** Gives a right back; nothing happens when it is another's by now. */
  unclaim(what: string, holder: string): Promise<void>;
  /** A value for all nodes until `until`; the last one wins. `value` is sealed by whoever needs it sealed. */
  keep(key: string, value: string, until: Millis): Promise<void>;
  /** The value kept, unless it has ended. */
  kept(key: string, now: Millis): Promise<{ readonly value: string; readonly until: Millis } | undefined>;
  /**
   * The first of `count` whole numbers in a row, none below `from`, that nobody else is ever given under this name: over all nodes, and over restarts. What
   * is not used of them is lost.
   */
  reserve(name: string, from: number, count: number): Promise<number>;
}
