/**
 * A whole gateway in a process of its own, which kills or pauses itself at the commit point it was armed with. Its first argument is the file of its
 * settings, its second how far its clock is ahead, ms; what it is to die of comes later, as a message, so that the gateway that has healed one kill can
 * suffer the next.
 */
import { readFileSync, writeSync } from 'node:fs';
import type { Settings } from '../../config/settings.ts';
import type { Change } from '../../contracts/ports/case.ts';
import type { Envelope, Receipt } from '../../contracts/ports/envelope.ts';
import { start } from '../../gateway/main.ts';
import { watchedChange } from '../support/sample-case.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';

/** The `nth` call of this method from now on. `within`: inside the transaction, while what became of the case is being written. */
export interface KillPoint {
  readonly port: 'store' | 'bus' | 'adapter';
  readonly method: string;
  readonly when: 'before' | 'within' | 'after';
  readonly nth: number;
  /** Of an adapter: whose; any, when left out. */
  readonly party?: string;
  /** SIGKILL, when left out. Of SIGSTOP somebody else wakes it, and it goes on from there. */
  readonly signal?: 'SIGKILL' | 'SIGSTOP';
}

export type ToChild = { readonly arm: KillPoint | null };
export type FromChild =
  | { readonly said: 'ready' | 'armed' }
  | { readonly said: 'inquired'; readonly party: string }
  /** The department had it already, and knew it by its key. `askable`: it could have been asked before. */
  | { readonly said: 'sentTwice'; readonly party: string; readonly envelope: string; readonly askable: boolean };

let armed: { readonly point: KillPoint; hits: number } | undefined;

function reached(port: KillPoint['port'], method: string, when: KillPoint['when'], party?: string): void {
  if (armed === undefined) return;
  const { point } = armed;
  if (point.port !== port || point.method !== method || point.when !== when) return;
  if (point.party !== undefined && point.party !== party) return;
  armed.hits += 1;
  if (armed.hits !== point.nth) return;
  const { signal = 'SIGKILL' } = point;
  // A message would not leave any more.
  if (signal === 'SIGSTOP') writeSync(process.stderr.fd, 'paused\n');
  process.kill(process.pid, signal);
}

type Callable = (...given: unknown[]) => unknown;

/** Every method of a port, told of before it begins and after it has ended. */
function watched<Port extends object>(target: Port, port: KillPoint['port'], party?: string): Port {
  return new Proxy(target, {
    get(object, name) {
      const found: unknown = Reflect.get(object, name);
      if (typeof found !== 'function' || typeof name !== 'string') return found;
      const method = found as Callable;
      return (...given: unknown[]) => {
        reached(port, name, 'before', party);
        if (port === 'adapter' && name === 'inquire' && party !== undefined) say({ said: 'inquired', party });
        const inside = port === 'store' ? given.map((one) => within(one, () => reached(port, name, 'within'))) : given;
        const result = method.apply(object, inside);
        if (!(result instanceof Promise)) return result;
        return result.then((value: unknown) => {
          reached(port, name, 'after', party);
          if (port === 'adapter' && name === 'deliver' && party !== undefined && (value as Receipt).duplicate)
            say({ said: 'sentTwice', party, envelope: (given[0] as Envelope).id, askable: 'inquire' in object });
          return value;
        });
      };
    },
  });
}

/** An `advance`, or what makes one, or the `open` of a new case: told of when the store writes what it gave. */
function within(given: unknown, tell: () => void): unknown {
  if (typeof given === 'function')
    return (...inner: unknown[]) => {
      const result = (given as Callable)(...inner);
      if (typeof result === 'function') return within(result, tell);
      if (!(result instanceof Promise)) return result;
      return result.then((made: Change | { readonly change: Change }) =>
        'change' in made ? { ...made, change: watchedChange(made.change, tell) } : watchedChange(made, tell),
      );
    };
  if (given !== null && typeof given === 'object' && 'open' in given)
    return { ...given, open: within(given.open, tell) };
  return given;
}

const say = (message: FromChild): void => void process.send?.(message);

const settings = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as Settings;
const clock = new ShiftedClock();
clock.forward(Number(process.argv[3] ?? 0));
const gateway = await start(settings, {
  clock,
  aroundStore: (store) => watched(store, 'store'),
  aroundBus: (bus) => watched(bus, 'bus'),
  aroundAdapter: (party, adapter) => watched(adapter, 'adapter', party),
});
process.on('message', ({ arm }: ToChild) => {
  armed = arm === null ? undefined : { point: arm, hits: 0 };
  say({ said: 'armed' });
});
process.once('SIGTERM', () => void gateway.stop().then(() => process.exit(0)));
// Nobody is left to tell what to do.
process.once('disconnect', () => process.exit(0));
say({ said: 'ready' });
