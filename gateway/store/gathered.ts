import { MOST_WAITING, overloaded } from './group.ts';

/** Questions that one statement asks; the rest waits for the next. */
const MOST_TOGETHER = 128;

interface Waiting<I, O> {
  readonly input: I;
  readonly resolve: (output: O) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Questions that arrive in the same turn of the event loop, or while an answer is under way, asked as one: `ask` gets them all, and gives one answer for each,
 * in order. For small ones beside the group commit, each a way to the database and back otherwise. When `ask` rejects, so do all that it was given. Rejects with `Unfit` 503 when too many wait.
 */
export function gathered<I, O>(ask: (inputs: readonly I[]) => Promise<readonly O[]>): (input: I) => Promise<O> {
  const waiting: Waiting<I, O>[] = [];
  let busy = false;

  async function depart(): Promise<void> {
    const batch = waiting.splice(0, MOST_TOGETHER);
    try {
      const outputs = await ask(batch.map(({ input }) => input));
      batch.forEach(({ resolve }, i) => {
        resolve(outputs[i] as O);
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    busy = false;
    wake();
  }

  function wake(): void {
    if (busy || waiting.length === 0) return;
    busy = true;
    // Not a microtask: what else is readable in this turn is read first.
    setImmediate(() => void depart());
  }

  return (input) =>
    new Promise((resolve, reject) => {
      if (waiting.length >= MOST_WAITING) return reject(overloaded());
      waiting.push({ input, resolve, reject });
      wake();
    });
}
