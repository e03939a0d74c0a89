import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Simulated, startSimulated } from '../../adapters/simulated.ts';
import { loadSimulators } from '../../adapters/simulators.ts';
import { loadSettings } from '../../config/load.ts';
import type { Settings } from '../../config/settings.ts';
import { Client, demoApp } from '../../console/client.ts';
import type { JsonObject, Party } from '../../contracts/ports/envelope.ts';
import type { Mood } from '../../contracts/ports/simulator.ts';
import { freePort } from '../support/world.ts';
import { GatewayNode } from './gateway-node.ts';
import { HASTE } from './hall.ts';
import type { OtherProgram } from './other-program.ts';

/** How one node reaches the engines, and how far its clock is ahead. */
export interface Seat {
  readonly databaseUrl: string;
  /** None: the bus is in its process. */
  readonly amqpUrl?: string;
  readonly aheadMs?: number;
  /** Another than this one. */
  readonly program?: OtherProgram;
  /** It is not started with the others. */
  readonly later?: true;
}

/** Gateways that share a database and a broker, each in a process of its own; the simulated departments are in this process. */
export class Cluster {
  readonly nodes: readonly GatewayNode[];
  readonly simulated: Simulated;
  readonly #folder: string;

  private constructor(folder: string, nodes: readonly GatewayNode[], simulated: Simulated) {
    this.#folder = folder;
    this.nodes = nodes;
    this.simulated = simulated;
  }

  static async open(
    seats: readonly Seat[],
    {
      terms = {},
      over = {},
      gateway,
    }: {
      readonly terms?: JsonObject;
      readonly over?: Partial<Settings>;
      /** Where departments push to; the first node, when left out. */
      readonly gateway?: string;
    } = {},
  ): Promise<Cluster> {
    const folder = await mkdtemp(path.join(tmpdir(), 'onewindow-cluster-'));
    const ports = await Promise.all(seats.map(() => freePort()));
    const simulated = await startSimulated(await loadSimulators(), {
      gateway: gateway ?? `http://127.0.0.1:${ports[0]}`,
      decideAfterMs: 40,
      terms: { ...HASTE, ...terms },
    });
    const nodes: GatewayNode[] = [];
    let key: string | undefined;
    for (const [at, { databaseUrl, amqpUrl, aheadMs, program }] of seats.entries()) {
      const env = { DATA_DIR: path.join(folder, String(at)), PORT: String(ports[at]), DATABASE_URL: databaseUrl };
      const load = program?.loadSettings ?? loadSettings;
      const loaded = await load({ ...env, ...(amqpUrl !== undefined && { AMQP_URL: amqpUrl }) }, ['--demo']);
      key ??= loaded.holderHashKey;
      const settings: Settings = {
        ...loaded,
        parties: without(program?.lacksTerms ?? [], simulated.parties),
        holderHashKey: key,
        rate: { perMinute: 0 },
        logLevel: 'warn',
        delivery: { ...loaded.delivery, leaseMs: 1_000, sweepMs: 1_000, askSweepMs: 300 },
        ...over,
      };
      nodes.push(await GatewayNode.of(settings, aheadMs, program?.killable));
    }
    const cluster = new Cluster(folder, nodes, simulated);
    try {
      await Promise.all(nodes.filter((_, at) => !seats[at]?.later).map((node) => node.start()));
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  node(at: number): GatewayNode {
    const node = this.nodes[at];
    if (node === undefined) throw new Error(`there is no node ${at}`);
    return node;
  }

  operator(at = 0): Client {
    return new Client(this.node(at).url, demoApp('operator-demo'));
  }

  window(at = 0): Client {
    return new Client(this.node(at).url, demoApp('window-demo'));
  }

  async mood(parties: readonly Party[], mood: Mood): Promise<void> {
    await Promise.all(parties.map((party) => this.simulated.simulators.get(party)?.mood(mood)));
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()));
    await this.simulated.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function without(terms: readonly string[], parties: Settings['parties']): Settings['parties'] {
  return Object.fromEntries(
    Object.entries(parties).map(([party, given]) => {
      const known = Object.entries(given.terms as JsonObject).filter(([name]) => !terms.includes(name));
      return [party, { ...given, terms: Object.fromEntries(known) }];
    }),
  );
}
