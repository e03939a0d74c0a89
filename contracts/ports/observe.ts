import type { Party } from './envelope.ts';
import type { FaultKind } from './fault.ts';

/** Groups of operations that share one breaker: a slow query must not stop filings. */
export type OperationGroup = 'deliver' | 'query' | 'certificates';
export type BreakerState = 'closed' | 'open' | 'halfOpen';

/** What the parts tell; labels are parties, kinds and codes, never a personal value. Seconds, not milliseconds. */
export interface Metrics {
  accepted(itemCode: string, channel: string): void;
  delivered(party: Party, seconds: number): void;
  fault(party: Party, kind: FaultKind): void;
  called(party: Party, group: OperationGroup, outcome: string, seconds: number): void;
  breaker(party: Party, group: OperationGroup, state: BreakerState): void;
  certificate(type: string, state: string, cached: boolean): void;
  http(method: string, route: string, status: number, seconds: number): void;
  /** Messages of the broker on this party's lane that did nothing. */
  ignored(party: Party, reason: string): void;
  /** A request whose caller proved nothing: a number by status, whatever was asked for. */
  refused(status: number): void;
  /** Kept messages of this party whose time is over: nobody has used them. */
  messagesEnded(party: Party, count: number): void;
  /** Prometheus text; lane depth and age are read from the store at this moment. */
  render(): Promise<{ readonly contentType: string; readonly text: string }>;
}
