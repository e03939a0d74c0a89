import type { RouteStep } from '../contracts/ports/item.ts';

/** A mistake in an item, by its place in item.json. */
export interface Mistake {
  /** RFC 6901. */
  readonly pointer: string;
  readonly words: string;
}

type Plan = Pick<RouteStep, 'no' | 'after' | 'blocking'>;

/** What is wrong with a route, all of it: numbers out of order, a step that waits for none or for ever. */
export function routeMistakes(route: readonly Plan[]): readonly Mistake[] {
  const byNo = new Map(route.map((step) => [step.no, step]));
  const mistakes: Mistake[] = [];
  for (const [at, step] of route.entries()) {
    const before = route[at - 1];
    if (before !== undefined && step.no <= before.no) {
      mistakes.push({ pointer: `/route/${at}/no`, words: `step ${step.no} stands after step ${before.no}` });
    }
    for (const [nth, no] of step.after.entries()) {
      const pointer = `/route/${at}/after/${nth}`;
      const awaited = byNo.get(no);
      if (awaited === undefined) mistakes.push({ pointer, words: `there is no step ${no}` });
      else if (step.blocking && !awaited.blocking) {
        // A step that is not blocking may fail, and the case would then wait for ever.
        mistakes.push({ pointer, words: `a blocking step may not wait for step ${no}, which is not blocking` });
      }
    }
  }
  const circle = inCircles(route);
  for (const [at, step] of route.entries()) {
    if (circle.has(step.no))
      mistakes.push({ pointer: `/route/${at}/after`, words: `step ${step.no} waits for itself` });
  }
  return mistakes;
}

/** The steps from which their own `after` leads back to them. */
function inCircles(route: readonly Plan[]): ReadonlySet<string> {
  const after = new Map(route.map((step) => [step.no, step.after]));
  const leadsTo = (start: string): ReadonlySet<string> => {
    const reached = new Set<string>();
    const open = [...(after.get(start) ?? [])];
    for (let no = open.pop(); no !== undefined; no = open.pop()) {
      if (reached.has(no)) continue;
      reached.add(no);
      open.push(...(after.get(no) ?? []));
    }
    return reached;
  };
  return new Set(route.map(({ no }) => no).filter((no) => leadsTo(no).has(no)));
}
