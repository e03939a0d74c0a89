import type { Json, JsonObject, Party } from '../contracts/ports/envelope.ts';
import type { MakeSimulator, Simulator } from '../contracts/ports/simulator.ts';

/**
 * How a gateway treats simulated departments: offices that decide in a second or two and never close, so that a story which takes
 * days in a county can be watched. Everything else is as the manifests say.
 */
const PACE: JsonObject = {
  closed: [],
  deadlineMs: 2_000,
  connectMs: 500,
  backoffMs: { first: 200, max: 2_000 },
  breaker: { failures: 3, windowMs: 10_000, openMs: 2_000 },
  // Nothing is ever on its way to them for longer than the call.
  settleMs: 0,
};

export interface Simulated {
  readonly simulators: ReadonlyMap<Party, Simulator>;
  /** The `parties` of a settings file that makes a gateway talk to them. */
  readonly parties: { readonly [party: Party]: JsonObject };
  stop(): Promise<void>;
}

export interface SimulatedOptions {
  /** Where callbacks go, `http://127.0.0.1:8080`. */
  readonly gateway?: string;
  /** How long an office takes to decide. */
  readonly decideAfterMs?: number;
  /** Over the pace, for every party. */
  readonly terms?: JsonObject;
}

/** Starts a simulator for every party on a free loopback port. When one does not start, those before it are stopped. */
export async function startSimulated(
  makers: ReadonlyMap<Party, MakeSimulator>,
  options: SimulatedOptions = {},
): Promise<Simulated> {
  const { gateway, decideAfterMs = 1_000 } = options;
  const askEvery = Math.max(100, decideAfterMs);
  const simulators = new Map<Party, Simulator>();
  const running = new AsyncDisposableStack();
  const parties: Record<Party, JsonObject> = {};
  const startOne = async (party: Party, make: MakeSimulator): Promise<void> => {
    const simulator = make();
    // One that fails half-way has something to stop as well.
    running.defer(() => simulator.stop());
    const { settings } = await simulator.start({
      port: 0,
      decideAfterMs,
      ...(gateway === undefined ? {} : { gateway }),
    });
    simulators.set(party, simulator);
    const asked: JsonObject = { askAfterMs: [askEvery, askEvery * 2] };
    parties[party] = { ...object(settings), terms: { ...PACE, ...asked, ...options.terms } };
  };
  try {
    for (const [party, make] of makers) await startOne(party, make);
  } catch (error) {
    // What went wrong first is what is told.
    await running.disposeAsync().catch(() => {});
    throw error;
  }
  return { simulators, parties, stop: () => running.disposeAsync() };
}

function object(settings: Json): JsonObject {
  if (settings === null || typeof settings !== 'object' || Array.isArray(settings))
    throw new Error('a simulator must give its settings as an object');
  return settings;
}
