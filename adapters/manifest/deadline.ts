import type { Clock } from '../../contracts/ports/clock.ts';
import type { Fault } from '../../contracts/ports/fault.ts';

/** A mapping has 500 ms in all. */
const STORE_MS = 400;

/** What a mapping asks of the store, for as long as it can wait. @throws what `away` makes, when the store rejects or is not heard from in time */
export async function withinMapping<T>(work: Promise<T>, clock: Clock, away: (error: unknown) => Fault): Promise<T> {
  let stop = () => {};
  const late = new Promise<never>((_, reject) => {
    stop = clock.after(STORE_MS, () => reject(new Error(`no word from the store within ${STORE_MS} ms`)));
  });
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    throw away(error);
  } finally {
    stop();
  }
}
