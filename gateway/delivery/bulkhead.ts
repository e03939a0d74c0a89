import type { Clock } from '../../contracts/ports/clock.ts';

interface Place {
  readonly go: () => void;
  readonly leave: () => void;
}

/**
 * At most `slots` calls at a time. Who comes when all are taken waits in the line of its kind, first come first served; a slot that comes free goes to
 * each line in turn, so that a flood of one kind keeps no other out. Every line is bounded, and so is every wait.
 */
export class Bulkhead {
  readonly #slots: number;
  readonly #longestLine: number;
  readonly #clock: Clock;
  /** In the order in which they are served next. */
  readonly #lines = new Map<string, Place[]>();
  #taken = 0;

  constructor({
    slots,
    longestLine,
    clock,
  }: {
    readonly slots: number;
    readonly longestLine: number;
    readonly clock: Clock;
  }) {
    this.#slots = slots;
    this.#longestLine = longestLine;
    this.#clock = clock;
  }

  /** Resolves to the release of the slot, which counts once; undefined when the line is too long, or none came free within `waitMs`. */
  enter(kind: string, waitMs: number): Promise<(() => void) | undefined> {
    if (this.#taken < this.#slots) return Promise.resolve(this.#take());
    const line = this.#lines.get(kind) ?? [];
    if (line.length >= this.#longestLine) return Promise.resolve(undefined);
    this.#lines.set(kind, line);
    return new Promise((resolve) => {
      const stop = this.#clock.after(waitMs, () => {
        line.splice(line.indexOf(place), 1);
        resolve(undefined);
      });
      const place: Place = {
        go: () => {
          stop();
          resolve(this.#take());
        },
        leave: () => {
          stop();
          resolve(undefined);
        },
      };
      line.push(place);
    });
  }

  /** Sends away all who wait. */
  close(): void {
    for (const line of this.#lines.values()) for (const place of line.splice(0)) place.leave();
  }

  #take(): () => void {
    this.#taken += 1;
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#taken -= 1;
      this.#next();
    };
  }

  #next(): void {
    for (const [kind, line] of this.#lines) {
      const place = line.shift();
      if (place === undefined) continue;
      this.#lines.delete(kind);
      this.#lines.set(kind, line);
      place.go();
      return;
    }
  }
}
