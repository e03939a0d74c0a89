import type { PartyFacts } from '../../contracts/ports/adapter.ts';
import type { Bus } from '../../contracts/ports/bus.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Coordination } from '../../contracts/ports/coordination.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { News } from '../../contracts/ports/news.ts';
import type { OperationGroup } from '../../contracts/ports/observe.ts';

export interface RumourParts {
  readonly facts: PartyFacts;
  readonly clock: Clock;
  readonly log: Logger;
  readonly shared: Pick<Coordination, 'claim' | 'unclaim'>;
  readonly bus: Pick<Bus, 'announce' | 'hear'>;
  /** A name of this process that no other has. */
  readonly node: string;
}

const GROUPS: readonly OperationGroup[] = ['deliver', 'query', 'certificates'];
const OPENED = 'breakerOpened';
const CLOSED = 'breakerClosed';
/** By which the clocks of nodes may differ. */
const CLOCKS_DIFFER_MS = 60_000;

/**
 * What nodes tell each other of a party's breakers: who finds out that the party is away spares the others the same discovery, and who finds it there again
 * lets all of them in. News may be lost, or come late: each breaker goes its own way then, and is right again after its `openMs`. The trial between the two
 * is a right in the store, so that a party that is just getting up is tried by one call, and not by one of each node.
 */
export class Rumour {
  readonly #parts: RumourParts;
  readonly #asking = new Map<OperationGroup, Promise<boolean>>();

  constructor(parts: RumourParts) {
    this.#parts = parts;
  }

  opened(group: OperationGroup, until: Millis): void {
    this.#tell(OPENED, { group, until });
  }

  /** The right to try is given back: the party is there. After a trial that failed it stays, and is the next one's when it has ended. */
  closed(group: OperationGroup): void {
    const { shared, node, log } = this.#parts;
    this.#tell(CLOSED, { group });
    shared.unclaim(this.#trial(group), node).catch((error: unknown) => log.debug('a right to try runs out', { error }));
  }

  /** Whether this node may try the party now; false also when the store cannot say. Calls that ask together share the answer. */
  mayTry(group: OperationGroup): Promise<boolean> {
    const { facts, clock, shared, node, log } = this.#parts;
    const asked = this.#asking.get(group);
    if (asked !== undefined) return asked;
    const { breaker, deadlineMs } = facts.terms;
    const now = clock.now();
    const asking = shared
      .claim(this.#trial(group), node, now, now + Math.max(breaker.openMs, deadlineMs))
      .catch((error: unknown) => {
        log.warn('no trial without the store', { group, error });
        return false;
      })
      .finally(() => this.#asking.delete(group));
    this.#asking.set(group, asking);
    return asking;
  }

  /** What other nodes say of this party, until the function given back is called. */
  hear(heard: (group: OperationGroup, state: 'open' | 'closed') => void): () => void {
    const { facts, clock, bus, node } = this.#parts;
    return bus.hear(({ kind, body }: News) => {
      if ((kind !== OPENED && kind !== CLOSED) || body.party !== facts.party || body.node === node) return;
      const group = GROUPS.find((one) => one === body.group);
      if (group === undefined) return;
      if (kind === CLOSED) heard(group, 'closed');
      else if (Number(body.until) + CLOCKS_DIFFER_MS > clock.now()) heard(group, 'open');
    });
  }

  #trial(group: OperationGroup): string {
    return `trial:${this.#parts.facts.party}:${group}`;
  }

  #tell(kind: string, body: News['body']): void {
    const { facts, bus, node, log } = this.#parts;
    bus
      .announce({ kind, body: { party: facts.party, node, ...body } })
      .catch((error: unknown) => log.debug('the other nodes were not told', { kind, error }));
  }
}
