/**
 * At most `slots` calls at a time; who comes when all are taken waits its turn, first come first served, so that neither filings nor questions starve
 * each other. The queue is bounded.
 */
export class Bulkhead {
  readonly #slots: number;
  readonly #mostWaiting: number;
  readonly #waiting: { readonly go: () => void }[] = [];
  #taken = 0;

  constructor(slots: number, mostWaiting: number) {
    this.#slots = slots;
    this.#mostWaiting = mostWaiting;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Resolves to the release of the slot, which must be called once; undefined when the queue is full, or `giveUp` ended the wait. */
  enter(giveUp: (leave: () => void) => void): Promise<(() => void) | undefined> {
    if (this.#taken < this.#slots) return Promise.resolve(this.#take());
    if (this.#waiting.length >= this.#mostWaiting) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const place = { go: () => resolve(this.#take()) };
      this.#waiting.push(place);
      giveUp(() => {
        const at = this.#waiting.indexOf(place);
        if (at === -1) return;
        this.#waiting.splice(at, 1);
        resolve(undefined);
      });
    });
  }

  #take(): () => void {
    this.#taken += 1;
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#taken -= 1;
      this.#waiting.shift()?.go();
    };
  }
}
