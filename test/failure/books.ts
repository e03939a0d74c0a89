import type { Party } from '../../contracts/ports/envelope.ts';
import type { Filing, Simulator } from '../../contracts/ports/simulator.ts';

/** What must never be; each line says which case, and which book. */
export interface Damage {
  readonly lost: string[];
  readonly doubled: string[];
  readonly outOfOrder: string[];
  readonly stuck: string[];
}

/** A case as the gateway has it, as far as books can tell. */
export interface Claimed {
  readonly caseNo: string;
  readonly steps: readonly {
    readonly no: string;
    readonly party: Party;
    readonly state: string;
    /** 1, when left out. */
    readonly revision?: number;
  }[];
}

/** What may begin only after what: step numbers, by step number. */
export type After = ReadonlyMap<string, readonly string[]>;

/** The books of all departments and of the window, as they are when this is made. */
export class Books {
  readonly #byKey = new Map<Party, Map<string, Filing[]>>();
  readonly #notices = new Map<string, string[]>();

  constructor(simulators: ReadonlyMap<Party, Simulator>) {
    for (const [party, simulator] of simulators)
      this.#byKey.set(
        party,
        Map.groupBy(simulator.filed(), ({ key }) => key),
      );
    for (const { key } of simulators.get('window')?.filed() ?? []) {
      const at = key.indexOf('-W');
      const caseNo = key.slice(0, at);
      this.#notices.set(caseNo, [...(this.#notices.get(caseNo) ?? []), key.slice(at + 2)]);
    }
  }

  /** Every case that stands in any of them. */
  get cases(): ReadonlySet<string> {
    const keys = [...this.#byKey.values()].flatMap((book) => [...book.keys()]);
    return new Set(keys.map((key) => key.slice(0, key.indexOf('-'))));
  }

  /** Adds to the damage what they say otherwise than the gateway. */
  compare({ caseNo, steps }: Claimed, damage: Damage, after: After = new Map()): void {
    for (const { no, party, state, revision = 1 } of steps) {
      for (let each = 1; each <= revision; each += 1) {
        const key = `${caseNo}-${no}${each === 1 ? '' : `.${each}`}`;
        const filings = this.#of(party, key);
        if (filings.length > 1) damage.doubled.push(`${key}: ${filings.length} times in the book of ${party}`);
        if (filings.length === 0 && (state === 'DONE' || each < revision))
          damage.lost.push(`${key}: not in the book of ${party}`);
        const at = filings[0]?.at ?? Number.POSITIVE_INFINITY;
        for (const before of steps.filter((one) => after.get(no)?.includes(one.no))) {
          const first = this.#of(before.party, `${caseNo}-${before.no}`)[0];
          if (first !== undefined && first.at > at)
            damage.outOfOrder.push(`${key}: in the book of ${party} before ${before.no} in that of ${before.party}`);
        }
      }
    }
    const told = this.#notices.get(caseNo) ?? [];
    if (told.some((sequence, at) => sequence !== String(at + 1)))
      damage.outOfOrder.push(`${caseNo}: the window was told ${told.map((sequence) => `W${sequence}`).join(' ')}`);
  }

  #of(party: Party, key: string): readonly Filing[] {
    return this.#byKey.get(party)?.get(key) ?? [];
  }
}
