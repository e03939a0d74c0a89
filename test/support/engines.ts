import { randomUUID } from 'node:crypto';
import { connect } from 'amqplib';
import type { Settings } from '../../config/settings.ts';
import { freshDatabase, postgres, rabbitmq } from './services.ts';

/** Where one gateway keeps its state, and what carries for it. */
export interface Engines {
  readonly store: 'SQLite' | 'PostgreSQL';
  readonly bus: 'in-process bus' | 'RabbitMQ';
}

/** What a test runs on unless it is told otherwise. */
export const EMBEDDED: Engines = { store: 'SQLite', bus: 'in-process bus' };

/** The embedded ones first. */
export const COMBINATIONS: readonly Engines[] = [
  EMBEDDED,
  { store: 'SQLite', bus: 'RabbitMQ' },
  { store: 'PostgreSQL', bus: 'in-process bus' },
  { store: 'PostgreSQL', bus: 'RabbitMQ' },
];

export const nameOf = ({ store, bus }: Engines): string => `${store}, ${bus}`;

/** By its name, as the environment of a test run has it; the embedded ones when it has none. */
export function enginesNamed(name: string | undefined): Engines {
  const found = COMBINATIONS.find((one) => nameOf(one) === (name ?? nameOf(EMBEDDED)));
  if (found === undefined) throw new Error(`ENGINES: one of ${COMBINATIONS.map(nameOf).join(' · ')}, got ${name}`);
  return found;
}

/** What is not there of them, or false. */
export async function lacking({ store, bus }: Engines): Promise<string | false> {
  const needed = [
    ...(store === 'PostgreSQL' ? [await postgres()] : []),
    ...(bus === 'RabbitMQ' ? [await rabbitmq()] : []),
  ];
  return needed.flatMap((engine) => ('missing' in engine ? [engine.missing] : [])).join('; ') || false;
}

export interface Begun {
  /** What the settings say of them. */
  readonly over: Partial<Settings>;
  /** Every gateway on them has stopped; `lanes` are those there were. */
  end(lanes: Iterable<string>): Promise<void>;
}

/** A database and a name on the broker for one gateway, or for nodes of one, and what takes them away again. */
export async function begun({ store, bus }: Engines): Promise<Begun> {
  const [database, broker] = await Promise.all([
    store === 'PostgreSQL' ? urlOf(postgres()).then(freshDatabase) : undefined,
    bus === 'RabbitMQ' ? urlOf(rabbitmq()) : undefined,
  ]);
  const prefix = `test-${randomUUID().slice(0, 8)}`;
  return {
    over: {
      ...(database === undefined ? {} : { databaseUrl: database.url }),
      ...(broker === undefined ? {} : { amqpUrl: broker, bus: { prefix, events: true } }),
    },
    async end(lanes) {
      await database?.drop();
      if (broker !== undefined) await swept(broker, prefix, lanes);
    },
  };
}

async function urlOf(engine: ReturnType<typeof postgres>): Promise<string> {
  const found = await engine;
  if ('missing' in found) throw new Error(found.missing);
  return found.url;
}

async function swept(broker: string, prefix: string, lanes: Iterable<string>): Promise<void> {
  const connection = await connect(broker);
  const channel = await connection.createChannel();
  // Those of the version before too, of which a node may have run beside.
  for (const lane of lanes)
    for (const queues of ['lane', 'leases']) await channel.deleteQueue(`${prefix}.${queues}.${lane}`);
  for (const exchange of ['news', 'events']) await channel.deleteExchange(`${prefix}.${exchange}`);
  await connection.close();
}
