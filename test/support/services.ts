import { randomBytes } from 'node:crypto';
import { connect } from 'amqplib';
import pg from 'pg';
import { answers, PostgresNode } from './postgres-node.ts';
import { RabbitNode } from './rabbit-node.ts';

/** An engine that tests really use, or why there is none. With CI=true not having one is a failure. */
export type Engine = { readonly url: string } | { readonly missing: string };

const LOCAL = ['postgres://root@127.0.0.1:5432/postgres', 'postgres://postgres@127.0.0.1:5432/postgres'];
let found: Promise<Engine> | undefined;
let foundBroker: Promise<Engine> | undefined;

/** A running PostgreSQL: TEST_DATABASE_URL, or the usual place; otherwise Debian's package is installed and a server of our own is started. */
export function postgres(): Promise<Engine> {
  found ??= search();
  return found;
}

async function search(): Promise<Engine> {
  const given = process.env.TEST_DATABASE_URL;
  for (const url of given === undefined ? LOCAL : [given]) if (await answers(url)) return { url };
  if (given !== undefined) return missing(`nothing answers at TEST_DATABASE_URL`);
  try {
    return { url: (await PostgresNode.start()).url };
  } catch (error) {
    return missing(`no PostgreSQL runs here, and none could be started: ${(error as Error).message.split('\n')[0]}`);
  }
}

/** A running RabbitMQ: TEST_AMQP_URL, or the usual place, which others may be using too; otherwise a node of our own. */
export function rabbitmq(): Promise<Engine> {
  foundBroker ??= searchBroker();
  return foundBroker;
}

async function searchBroker(): Promise<Engine> {
  const given = process.env.TEST_AMQP_URL;
  const url = given || 'amqp://guest:guest@127.0.0.1:5672';
  try {
    await (await connect(url, { timeout: 5_000 })).close();
    return { url };
  } catch {
    if (given) return missing('nothing answers at TEST_AMQP_URL');
  }
  const node = await rabbitNode();
  return 'missing' in node ? node : { url: node.url };
}

/** A PostgreSQL for one test to break: Debian's package is installed if need be. It ends with this process, or before. */
export async function postgresNode(
  settings: readonly string[] = [],
  under?: string,
): Promise<PostgresNode | { readonly missing: string }> {
  try {
    return await PostgresNode.start(settings, under);
  } catch (error) {
    return missing(`no PostgreSQL could be started here: ${(error as Error).message.split('\n')[0]}`);
  }
}

/** A RabbitMQ for one test to break: Debian's package is installed if need be. It ends with this process, or before. */
export async function rabbitNode(settings?: string, user?: string): Promise<RabbitNode | { readonly missing: string }> {
  try {
    return await RabbitNode.start(settings, user);
  } catch (error) {
    return missing(`no RabbitMQ could be started here: ${(error as Error).message.split('\n')[0]}`);
  }
}

function missing(why: string): { readonly missing: string } {
  if (process.env.CI === 'true') throw new Error(why);
  return { missing: why };
}

/** A database of its own for one test, and what takes it away again. */
export async function freshDatabase(server: string): Promise<{ readonly url: string; drop(): Promise<void> }> {
  const name = `onewindow_test_${randomBytes(6).toString('hex')}`;
  await asked(server, `create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => asked(server, `drop database if exists ${name} with (force)`) };
}

export async function asked(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
