import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import type { Place } from './tables.ts';

/** An envelope that has not ended, as far as its place in the lane depends on it. */
export interface InLine {
  readonly lane: Party;
  readonly place: Place;
  readonly not_before: Millis;
}

/**
 * The places of one case's envelopes, given oldest first: in each lane the first that has not ended is the head, and all
 * others stand behind it, whatever it waits for. What is leased or parked stays so.
 */
export function places(line: readonly InLine[], held: boolean, now: Millis): readonly Place[] {
  const lanes = new Set<Party>();
  return line.map(({ lane, place, not_before }) => {
    const head = !lanes.has(lane);
    lanes.add(lane);
    if (place === 'leased' || place === 'parked') return place;
    if (held) return 'held';
    if (!head) return 'behind';
    return not_before > now ? 'asleep' : 'ready';
  });
}
