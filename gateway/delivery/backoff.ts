import type { Terms } from '../../contracts/ports/adapter.ts';

/**
 * Milliseconds before the next attempt: doubled each time up to the limit, and spread over it by chance, so that what failed together does not come
 * back together.
 * @param attempt 1 after the first failure
 * @param random [0, 1)
 */
export function backoff({ first, max }: Terms['backoffMs'], attempt: number, random: number): number {
  const most = Math.min(max, first * 2 ** Math.min(attempt - 1, 30));
  return Math.round(Math.max(Math.min(first, most) / 2, random * most));
}
