/** Who waits for a slot. */
export interface Line {
  readonly waiting: () => number;
  /** A slot is at hand: whoever is next may take it. */
  readonly serve: () => void;
  /** It cannot be known whether any is free: nobody waits for that. */
  readonly sendAway: (why: Error) => void;
}

/** Where a bulkhead has its slots from. */
export interface Slots {
  /** One that is at hand, and the end of its use; undefined when there is none. */
  take(): (() => void) | undefined;
  /** Somebody began to wait. */
  wanted(): void;
  /** No slot from now on; resolves when all have been given back. */
  close(): Promise<void>;
}

/** The slots of a node that is alone: counted, and always at hand. */
export function ownSlots(slots: number): Slots {
  let taken = 0;
  return {
    take() {
      if (taken >= slots) return undefined;
      taken += 1;
      return () => {
        taken -= 1;
      };
    },
    wanted() {},
    async close() {},
  };
}
