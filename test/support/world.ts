import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Simulated, type SimulatedOptions, startSimulated } from '../../adapters/simulated.ts';
import { loadSimulators } from '../../adapters/simulators.ts';
import { loadSettings } from '../../config/load.ts';
import type { Settings } from '../../config/settings.ts';
import { Client, demoApp } from '../../console/client.ts';
import { freePort } from '../../console/free-port.ts';
import type { JsonObject, Party } from '../../contracts/ports/envelope.ts';
import type { LogFields, Logger } from '../../contracts/ports/logger.ts';
import type { Filing, Simulator } from '../../contracts/ports/simulator.ts';
import { type Gateway, type Means, start } from '../../gateway/main.ts';
import { begun, type Engines, enginesNamed } from './engines.ts';

export { freePort };

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** Whoever does answer is waited for, on a machine however busy; a test of silence sets terms of its own. */
const PATIENCE: JsonObject = { deadlineMs: 20_000, connectMs: 10_000 };
/** For all certificates of a case or a retrieval. */
const CERTIFICATES_MS = 30_000;

/** A whole gateway over real sockets, with every party simulated at the other end, in a folder of its own. */
export interface World {
  gateway: Gateway;
  readonly settings: Settings;
  readonly simulated: Simulated;
  readonly log: readonly LogLine[];
  readonly window: Client;
  readonly operator: Client;
  readonly auditor: Client;
  simulator(party: string): Simulator;
  book(party: string): readonly Filing[];
  /** Stops the gateway gracefully and starts it again over the same data; `settings` other than its own, if given. */
  restart(settings?: Settings): Promise<void>;
  stop(): Promise<void>;
}

export async function startWorld(
  options: SimulatedOptions & {
    readonly means?: Means;
    /** Those that ENGINES names, when left out. */
    readonly engines?: Engines;
    readonly over?: Partial<Settings>;
    /** Terms of single parties, over those of all. */
    readonly termsOf?: { readonly [party: Party]: JsonObject };
  } = {},
): Promise<World> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'onewindow-test-'));
  const engines = await begun(options.engines ?? enginesNamed(process.env.ENGINES));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const simulated = await startSimulated(await loadSimulators(), {
    gateway: url,
    decideAfterMs: 50,
    ...options,
    terms: { ...PATIENCE, ...options.terms },
  });
  const loaded = await loadSettings({ DATA_DIR: dataDir, PORT: String(port) }, ['--demo']);
  const parties = Object.fromEntries(
    Object.entries(simulated.parties).map(([party, given]) => {
      const terms = { ...(given.terms as JsonObject), ...options.termsOf?.[party] };
      return [party, { ...given, terms }];
    }),
  );
  const limits = { ...loaded.limits, certificateTimeMs: CERTIFICATES_MS };
  const settings: Settings = { ...loaded, parties, limits, rate: { perMinute: 0 }, ...engines.over, ...options.over };
  const log: LogLine[] = [];
  const means: Means = { log: recorder(log), ...options.means };
  const world: World = {
    gateway: await start(settings, means).catch(async (error: unknown) => {
      // Listening offices would keep the process alive, and nobody would read why.
      await simulated.stop();
      await engines.end(simulated.simulators.keys());
      throw error;
    }),
    settings,
    simulated,
    log,
    window: new Client(url, demoApp('window-demo')),
    operator: new Client(url, demoApp('operator-demo')),
    auditor: new Client(url, demoApp('auditor-demo')),
    simulator(party) {
      const found = simulated.simulators.get(party);
      if (found === undefined) throw new Error(`no simulator of ${party}`);
      return found;
    },
    book: (party) => simulated.simulators.get(party)?.filed() ?? [],
    async restart(other = settings) {
      await world.gateway.stop();
      world.gateway = await start(other, means);
    },
    async stop() {
      await world.gateway.stop();
      await simulated.stop();
      await engines.end(simulated.simulators.keys());
      await rm(dataDir, { recursive: true, force: true });
    },
  };
  return world;
}

function recorder(lines: LogLine[], own: LogFields = {}): Logger {
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}) =>
      void lines.push({ level, message, fields: { ...own, ...fields } });
  return {
    debug() {},
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (more) => recorder(lines, { ...own, ...more }),
  };
}

/** Waits for a condition, not for a time; throws what was last seen when `ms` are over. */
export async function until<T>(
  look: () => Promise<T | undefined> | T | undefined,
  ms = 60_000,
  what = 'a condition',
): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (Date.now() > end) throw new Error(`${what} did not come about within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}
