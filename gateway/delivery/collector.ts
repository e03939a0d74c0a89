import type { Accept } from '../../contracts/ports/adapter.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Contracts } from '../../contracts/ports/contract.ts';
import type { Message, Party } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Routing } from '../../contracts/ports/routing.ts';
import type { CaseReads, CaseStore, DeliveryStore } from '../../contracts/ports/store.ts';
import { checkAnswer, deliverableOf, type LiveParty } from './party.ts';

export interface CollectorParts {
  readonly store: CaseStore & Pick<DeliveryStore, 'awaiting'> & Pick<CaseReads, 'unmatched'>;
  readonly routing: Routing;
  readonly contracts: Contracts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly parties: () => readonly LiveParty[];
  readonly party: (party: Party) => LiveParty | undefined;
  /** At most this long between two looks, ms. */
  readonly sweepMs: number;
}

const AT_ONCE = 100;
/** A message that matches nothing after this long rings: it was not early, it is about something we do not know. */
const UNMATCHED_RINGS_MS = 10 * 60_000;

/** Brings in what departments say later: asks those that are to be asked, keeps what they push, and tries again what came before our own receipt. */
export class Collector {
  readonly #parts: CollectorParts;
  readonly #rung = new Set<string>();
  #stopTimer: (() => void) | undefined;
  #round: Promise<void> | undefined;
  #running = false;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
  }

  /** Given to adapters: resolves when the message is durably kept. Rejects with Fault `malformed` when its result breaks the contract, and nothing is kept. */
  readonly accept: Accept = (message) =>
    this.#parts.store.collected(message, (envelope, same) => this.#advance(envelope, same));

  start(): void {
    this.#running = true;
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#running = false;
    this.#stopTimer?.();
    await this.#round;
  }

  readonly #advance: Parameters<CaseStore['collected']>[1] = (envelope, message) => {
    const { routing, contracts, party } = this.#parts;
    const live = party(envelope.to);
    if (live !== undefined) checkAnswer(message.answer, deliverableOf(live.facts, envelope.contract), contracts);
    return routing.answered(envelope, message);
  };

  /** As often as the most impatient party is to be asked, and no more seldom than the sweep. */
  #schedule(): void {
    if (!this.#running) return;
    const { clock, parties, sweepMs } = this.#parts;
    const soonest = Math.min(
      sweepMs,
      ...parties().flatMap(({ facts }) => facts.terms.askAfterMs.map((ms) => Math.max(50, ms / 2))),
    );
    this.#stopTimer = clock.after(soonest, () => {
      this.#round = this.#look().finally(() => {
        this.#round = undefined;
        this.#schedule();
      });
    });
  }

  async #look(): Promise<void> {
    const { store, log, parties } = this.#parts;
    try {
      await Promise.all(parties().map((live) => this.#ask(live)));
      await store.rematch(null, this.#advance);
      await this.#ring(await store.unmatched(null, AT_ONCE));
    } catch (error) {
      log.warn('collecting could not reach the store; it looks again', { error });
    }
  }

  /** Each question is a call of its own, so that one that hangs keeps no other back. */
  async #ask({ facts, adapter, guard }: LiveParty): Promise<void> {
    const { store, clock, log } = this.#parts;
    const { collect } = adapter;
    if (collect === undefined || facts.terms.askAfterMs.length === 0) return;
    const awaited = await store.awaiting({
      party: facts.party,
      limit: AT_ONCE,
      now: clock.now(),
      scheduleMs: facts.terms.askAfterMs,
    });
    await Promise.all(
      awaited.map(async (one) => {
        const { id, traceparent } = one.envelope;
        try {
          await guard.call({ group: 'deliver', name: 'collect', write: false, attempt: 1, traceparent }, (call) =>
            collect.call(adapter, [one], this.accept, call),
          );
        } catch (error) {
          const fault = Fault.from(error);
          const fields = { envelope: id, party: facts.party, fault: fault.kind, code: fault.reason.code, traceparent };
          // It is asked again on schedule; an answer that makes no sense will not mend itself.
          if (fault.kind === 'malformed' || fault.kind === 'unauthorized')
            log.error('an answer could not be collected', { ...fields, reason: fault.reason.en });
          else log.warn('an answer could not be asked for', fields);
        }
      }),
    );
  }

  async #ring(kept: readonly (Message & { readonly receivedAt: number })[]): Promise<void> {
    const { clock, log } = this.#parts;
    for (const { from, dedupe, receivedAt, about } of kept) {
      const name = `${from}/${dedupe}`;
      if (clock.now() - receivedAt < UNMATCHED_RINGS_MS || this.#rung.has(name)) continue;
      if (this.#rung.size > 10_000) this.#rung.clear();
      this.#rung.add(name);
      log.error('a message matches no envelope: a person must look at it', { party: from, about });
    }
  }
}
