/** What a store has begun for its callers and that is more than one transaction: it is finished before the store is closed, and nothing begins after that. */
export class UnderWay {
  readonly #works = new Set<Promise<unknown>>();
  #closed = false;

  /** Rejects when the store is closed. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new Error('the store is closed');
    const working = work();
    this.#works.add(working);
    try {
      return await working;
    } finally {
      this.#works.delete(working);
    }
  }

  /** Resolves when everything that had begun has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#works);
  }
}
