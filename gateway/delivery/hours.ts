import type { Millis } from '../../contracts/ports/envelope.ts';

const OFFSET = 8 * 3_600_000;
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/**
 * When a party that is closed opens again; null when it is open.
 * @param closed `HH:MM-HH:MM` in local time (+08:00); a span whose end is not after its begin passes midnight
 */
export function opensAt(closed: readonly string[], now: Millis): Millis | null {
  // One span may end where another begins; no chain of them is longer than their number.
  let at = now;
  for (let rounds = 0; rounds <= closed.length; rounds += 1) {
    const ends = closed.map((span) => endOf(span, at)).filter((end) => end !== null);
    if (ends.length === 0) return at === now ? null : at;
    at = Math.max(...ends);
  }
  return at;
}

function endOf(span: string, now: Millis): Millis | null {
  const [from = 0, to = 0] = span.split('-').map((time) => {
    const [hours = 0, minutes = 0] = time.split(':').map(Number);
    return (hours * 60 + minutes) * MINUTE;
  });
  const midnight = Math.floor((now + OFFSET) / DAY) * DAY - OFFSET;
  const since = now - midnight;
  if (from < to) return since >= from && since < to ? midnight + to : null;
  if (since >= from) return midnight + DAY + to;
  return since < to ? midnight + to : null;
}
