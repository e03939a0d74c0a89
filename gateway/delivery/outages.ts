import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import type { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { CaseReads, DeliveryStore } from '../../contracts/ports/store.ts';

export interface OutagesParts {
  readonly store: Pick<DeliveryStore, 'partyAway' | 'partyBack'> & Pick<CaseReads, 'lanes'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** A party that has not answered for so long, or not about one envelope, is told of, ms. */
  readonly alarmAfterMs: number;
}

interface Seen {
  /** The first failure since it last answered. */
  failingSince: Millis | null;
  /** The store has been told, by us or by another node; undefined: not known since this node started. */
  away: boolean | undefined;
}

/**
 * One alarm a party, over all nodes and over restarts: what is for a party that does not answer waits, and goes on by itself, so that nobody has to do anything
 * about each of its envelopes; but somebody has to know. The alarm is over when the party answers, and nothing is left that it did not answer for so long.
 */
export class Outages {
  readonly #parts: OutagesParts;
  readonly #seen = new Map<Party, Seen>();

  constructor(parts: OutagesParts) {
    this.#parts = parts;
  }

  /** A party did not answer about an envelope that was first sent then. Never rejects. */
  async failed(party: Party, firstSentAt: Millis, fault: Fault): Promise<void> {
    const { store, clock, log, alarmAfterMs } = this.#parts;
    const now = clock.now();
    const seen = this.#of(party);
    seen.failingSince ??= now;
    const since = Math.min(seen.failingSince, firstSentAt);
    if (seen.away === true || now - since < alarmAfterMs) return;
    try {
      const first = await store.partyAway(party, since, fault.reason);
      seen.away = true;
      if (!first) return;
      const lane = (await store.lanes()).find((one) => one.lane === party);
      log.error('a party does not answer: what is for it waits, and goes on by itself when it does', {
        party,
        since: new Date(since).toISOString(),
        waiting: lane?.waiting ?? 0,
        code: fault.reason.code,
        reason: fault.reason.en,
      });
    } catch (error) {
      log.warn('that a party does not answer could not be written down; it is tried again', { party, error });
    }
  }

  /** It answered, whatever it said, and that is written down. Never rejects. */
  async answered(party: Party): Promise<void> {
    const { store, clock, log, alarmAfterMs } = this.#parts;
    const seen = this.#of(party);
    seen.failingSince = null;
    if (seen.away === false) return;
    try {
      const since = await store.partyBack(party, clock.now() - alarmAfterMs);
      if (since !== 'stillWaited') seen.away = false;
      if (typeof since === 'number') log.info('a party answers again', { party, since: new Date(since).toISOString() });
    } catch (error) {
      log.warn('that a party answers again could not be written down; it is tried again', { party, error });
    }
  }

  #of(party: Party): Seen {
    const seen = this.#seen.get(party) ?? {
      failingSince: null,
      away: undefined,
    };
    this.#seen.set(party, seen);
    return seen;
  }
}
