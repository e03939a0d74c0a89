import type { Clock } from '../../contracts/ports/clock.ts';
import type { Line, Slots } from './slots.ts';

interface Place {
  readonly go: (end: () => void) => void;
  /** Without a reason: it waited long enough. */
  readonly leave: (why?: Error) => void;
}

/**
 * At most as many calls at a time as there are slots. Who comes when all are taken waits in the line of its kind, first come first served; a slot that comes
 * free goes to each line in turn, so that a flood of one kind keeps no other out. Every line is bounded, and so is every wait.
 */
export class Bulkhead {
  readonly #slots: Slots;
  readonly #longestLine: number;
  readonly #clock: Clock;
  /** In the order in which they are served next. */
  readonly #lines = new Map<string, Place[]>();

  constructor({
    slots,
    longestLine,
    clock,
  }: {
    readonly slots: (line: Line) => Slots;
    readonly longestLine: number;
    readonly clock: Clock;
  }) {
    this.#slots = slots({
      waiting: () => this.#waiting(),
      serve: () => this.#serve(),
      sendAway: (why) => this.#sendAway(why),
    });
    this.#longestLine = longestLine;
    this.#clock = clock;
  }

  /**
   * Resolves to the release of the slot, which counts once; undefined when the line is too long, or none came free within `waitMs`. Rejects with what kept the
   * slots from being counted.
   */
  enter(kind: string, waitMs: number): Promise<(() => void) | undefined> {
    const end = this.#slots.take();
    if (end !== undefined) return Promise.resolve(this.#inside(end));
    const line = this.#lines.get(kind) ?? [];
    if (line.length >= this.#longestLine) return Promise.resolve(undefined);
    this.#lines.set(kind, line);
    return new Promise((resolve, reject) => {
      const stop = this.#clock.after(waitMs, () => {
        line.splice(line.indexOf(place), 1);
        resolve(undefined);
      });
      const place: Place = {
        go: (ended) => {
          stop();
          resolve(this.#inside(ended));
        },
        leave: (why) => {
          stop();
          if (why === undefined) resolve(undefined);
          else reject(why);
        },
      };
      line.push(place);
      this.#slots.wanted();
    });
  }

  /** Sends away all who wait; resolves when every slot has been given back. */
  close(): Promise<void> {
    this.#sendAway();
    return this.#slots.close();
  }

  #waiting(): number {
    let waiting = 0;
    for (const line of this.#lines.values()) waiting += line.length;
    return waiting;
  }

  #sendAway(why?: Error): void {
    for (const line of this.#lines.values()) for (const place of line.splice(0)) place.leave(why);
  }

  #inside(end: () => void): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      end();
      this.#serve();
    };
  }

  /** As many as there are slots at hand, each line in turn. */
  #serve(): void {
    while (this.#waiting() > 0) {
      const end = this.#slots.take();
      if (end === undefined) return;
      for (const [kind, line] of this.#lines) {
        const place = line.shift();
        if (place === undefined) continue;
        this.#lines.delete(kind);
        this.#lines.set(kind, line);
        place.go(end);
        break;
      }
    }
  }
}
