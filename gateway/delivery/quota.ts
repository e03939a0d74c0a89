import type { Terms } from '../../contracts/ports/adapter.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Coordination } from '../../contracts/ports/coordination.ts';
import type { Millis, Party } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';

const SPAN = { minute: 60_000, day: 86_400_000 };
/** The name of a span: local time without what is smaller than it. */
const NAME = { minute: 'YYYY-MM-DDTHH:mm'.length, day: 'YYYY-MM-DD'.length };
const OFFSET = 8 * 3_600_000;
/** Of a quota: what a node that stops loses of it at most. */
const BLOCK = 1 / 100;
/** How long a call waits for its block, and how long callers stay away when there was none to be had. */
const PATIENCE_MS = 2_000;

export interface QuotaParts {
  readonly party: Party;
  readonly terms: NonNullable<Terms['quota']>;
  readonly clock: Clock;
  readonly shared: Pick<Coordination, 'allot' | 'allotted'>;
}

/**
 * Calls a party allows in a minute, or in a local day; over all nodes together, and kept over restarts. They are taken from the store in blocks, the next
 * one while half of the last is still there, so that only the first call of a span waits. A quota too small for blocks is taken call by call: nothing of
 * it may lie unused on a node that does not need it.
 */
export class Quota {
  readonly #parts: QuotaParts;
  readonly #block: number;
  #span = -1;
  /** Ours to use. */
  #stock = 0;
  /** Taken by all nodes, as far as it is known here. */
  #taken = 0;
  #usedUp = false;
  #waiting = 0;
  #fetching: Promise<void> | undefined;

  constructor(parts: QuotaParts) {
    this.#parts = parts;
    this.#block = Math.max(1, Math.floor(parts.terms.calls * BLOCK));
  }

  /** When there is a call again; null when there is one now, as far as is known. */
  get until(): Millis | null {
    this.#turn();
    if (!this.#usedUp || this.#stock > 0) return null;
    return (this.#span + 1) * SPAN[this.#parts.terms.per] - OFFSET;
  }

  get used(): number {
    this.#turn();
    return this.#taken - this.#stock;
  }

  /** False: there is none at hand; wait for `stocked`, and look again. */
  take(): boolean {
    this.#turn();
    if (this.#stock === 0) return false;
    this.#stock -= 1;
    // Whoever waits for the block hears of its failure; one fetched ahead is simply fetched again when it is needed.
    if (this.#block > 1 && this.#stock < this.#block / 2 && !this.#usedUp) this.#fetch().catch(() => {});
    return true;
  }

  /** Resolves when the store has said what there is. @throws Fault `busy` when it cannot, or not in time: a call that is not counted is not made */
  async stocked(): Promise<void> {
    const { clock } = this.#parts;
    this.#waiting += 1;
    let stop = () => {};
    const late = new Promise<never>((_, reject) => {
      stop = clock.after(PATIENCE_MS, () => reject(new Error(`no block within ${PATIENCE_MS} ms`)));
    });
    try {
      await Promise.race([this.#fetch(), late]);
    } catch (cause) {
      throw new Fault('busy', {
        until: clock.now() + PATIENCE_MS,
        reason: {
          code: 'quotaUnknown',
          zh: '暂时无法登记该部门的调用配额，稍后继续',
          en: "the department's quota cannot be counted now; it is tried again",
        },
        cause,
      });
    } finally {
      stop();
      this.#waiting -= 1;
    }
  }

  /** Asks what all nodes have taken, for `used`. */
  async count(): Promise<void> {
    const span = this.#turn();
    const taken = await this.#parts.shared.allotted(this.#parts.party, this.#name(span));
    // While a block is fetched it may be counted in this already, and is added when it comes.
    if (this.#turn() === span && this.#fetching === undefined) this.#taken = Math.max(this.#taken, taken);
  }

  #fetch(): Promise<void> {
    this.#fetching ??= this.#fetched().finally(() => {
      this.#fetching = undefined;
    });
    return this.#fetching;
  }

  async #fetched(): Promise<void> {
    const { party, terms, shared } = this.#parts;
    const span = this.#turn();
    const got = await shared.allot(party, this.#name(span), terms.calls, Math.max(this.#block, this.#waiting));
    // What was taken of a span that is over is lost with it.
    if (this.#turn() !== span) return;
    this.#stock += got;
    this.#taken += got;
    this.#usedUp = got === 0 || this.#taken >= terms.calls;
  }

  /** The span that it is now; in a new one everything begins anew. */
  #turn(): number {
    const span = Math.floor((this.#parts.clock.now() + OFFSET) / SPAN[this.#parts.terms.per]);
    if (span !== this.#span) [this.#span, this.#stock, this.#taken, this.#usedUp] = [span, 0, 0, false];
    return span;
  }

  #name(span: number): string {
    const { per } = this.#parts.terms;
    return new Date(span * SPAN[per]).toISOString().slice(0, NAME[per]);
  }
}
