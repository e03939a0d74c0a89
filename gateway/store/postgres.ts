import { createHash, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import type { Writable } from 'node:stream';
import type { ConnectionOptions } from 'node:tls';
import { CompiledQuery, PostgresDialect, type PostgresPool, type PostgresPoolClient, sql } from 'kysely';
import pg from 'pg';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import { EVERY_LANE } from '../../contracts/ports/store.ts';
import type { WatchedTlsFiles } from '../../contracts/tls-files.ts';
import { within } from '../../contracts/within.ts';
import type { BetweenNodes, StoreDialect } from './dialect.ts';
import { NotOpened, Unavailable } from './unavailable.ts';

export interface PostgresOptions {
  readonly poolSize: number;
  readonly connectTimeoutMs: number;
  readonly statementTimeoutMs: number;
  readonly lockTimeoutMs: number;
}

/** TLS of the database's connections; one made later uses what stands in the files then. */
export type DatabaseTls = Pick<WatchedTlsFiles, 'contents'>;

/** Of PostgreSQL, https://www.postgresql.org/docs/current/errcodes-appendix.html */
const UNAVAILABLE = /^(08|53|57P0[1-5]|57014|25006|25P03|58)/;
/** A prepared statement whose table has got another column since: a node of the next release has migrated. */
const OUTDATED = '0A000';
/** Also a lock that was waited for too long: a deadlock is noticed by the database only after a second. */
const AGAIN: ReadonlySet<string> = new Set(['40001', '40P01', '55P03', OUTDATED]);
/** Of the socket, and of pg where it has no code. */
const GONE: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
]);
const GONE_WORDS =
  /Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client has encountered a connection error|Cannot use a pool after/;

/** Counts and `Millis` come as text otherwise: int8 and numeric. All of ours are whole and below 2^53. */
const NUMBERS: ReadonlySet<number> = new Set([20, 1700]);
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    NUMBERS.has(oid) ? Number : (pg.types.getTypeParser(oid, format as 'text') as (value: string) => unknown),
};

const CHANNEL = { work: 'onewindow_work', news: 'onewindow_news' } as const;
/**
 * Every statement of ours walks along an index. But a plan is made once and kept, and in a table that is empty then, reading all of it looks cheapest: a new
 * deployment would grow slower with each case, until the database takes stock by itself.
 */
export const WALKS = [
  'enable_seqscan=off',
  'enable_hashjoin=off',
  'enable_mergejoin=off',
  'jit=off',
  // Of a disk without a head that moves, and of what is in memory. By the usual 4 a long way along the rows looks cheaper than a short one along an index.
  'random_page_cost=1.1',
]
  .map((each) => `-c ${each}`)
  .join(' ');
/** A statement that ends so is not prepared. */
const ANEW = '/* planned anew */';
/** Bytes that a notification may have. */
const MOST_TOLD = 7_900;
const RECONNECT_MS = { first: 100, max: 5_000 };
const LISTEN_MS = 10_000;
const GOODBYE_MS = 2_000;
const KEEP_ALIVE_MS = 10_000;
const IDLE_MS = 90_000;
/** Beyond the time that a statement may take. */
const SILENCE_MS = 5_000;
/** A node that stands still in a transaction (paused, swapped out) keeps all others from the rows it has locked. A sound one asks again within milliseconds. */
const STANDSTILL_MS = 2_000;
/** A migration waits so long for a table that others use: whoever comes meanwhile stands behind it. */
const MIGRATION_LOCK_MS = 10_000;

/**
 * A PostgreSQL database (14 or newer) that any number of nodes share. What of it is used, and what on purpose is not: docs/decisions/0007.
 * @throws NotOpened, without the password
 */
export async function postgres(
  url: string,
  options: PostgresOptions,
  means: { readonly clock: Clock; readonly log: Logger; readonly tls?: DatabaseTls | undefined },
): Promise<StoreDialect> {
  const settings = {
    connectionString: withoutTls(url),
    // Said in any case: pg would look for it in the address, and in the environment.
    ssl: means.tls === undefined ? false : tlsOf(url, means.tls),
    types,
    // A listener says nothing for days: only so is a peer noticed that went without a goodbye.
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    // What is asked without waiting is sent without waiting.
    pipeline: true,
    application_name: 'onewindow',
    options: WALKS,
    connectionTimeoutMillis: options.connectTimeoutMs,
    statement_timeout: options.statementTimeoutMs,
    lock_timeout: options.lockTimeoutMs,
    idle_in_transaction_session_timeout: Math.min(options.statementTimeoutMs, STANDSTILL_MS),
  };
  // Not one of the pool, which forgets a connection that was not let in, and leaves it to the database to end it after a minute.
  const first = new pg.Client(settings);
  first.on('error', () => {});
  try {
    await first.connect();
  } catch (error) {
    throw notOpened(url, error);
  } finally {
    first.end().catch(() => {});
  }
  const pooled = (more: pg.PoolConfig): pg.Pool => {
    const made = new pg.Pool({ ...settings, ...more });
    // A connection that breaks while nobody uses it is only replaced.
    made.on('error', (error) => means.log.warn('a database connection was lost', { error: error.message }));
    // One that breaks while it is used fails its query, which is told there; without a listener it would end the process.
    made.on('connect', (client) => void client.on('error', () => {}));
    return made;
  };
  const pool = pooled({
    max: options.poolSize,
    // Longer than any sweep, or each would make a connection of its own.
    idleTimeoutMillis: IDLE_MS,
    // The database ends a statement by itself; where not even that is heard, the wire is dead.
    query_timeout: options.statementTimeoutMs + SILENCE_MS,
  });
  return {
    kysely: new PostgresDialect({ pool: named(pool) }),
    unhurried: () =>
      new PostgresDialect({ pool: pooled({ max: 1, statement_timeout: 0, lock_timeout: MIGRATION_LOCK_MS }) }),
    countedKey: sql`bigint generated always as identity`,
    integer: 'bigint',
    keyedTable: sql``,
    anew: sql.raw(ANEW),
    appendOnly(table, keptDays) {
      const young =
        keptDays === undefined
          ? sql``
          : sql`if tg_op = 'DELETE' and old.at <= (extract(epoch from clock_timestamp()) - ${sql.lit(keptDays * 86_400)}) * 1000 then return old; end if;`;
      return [
        sql`create or replace function ${sql.ref(`${table}_append_only`)}() returns trigger language plpgsql as $$
            begin ${young} raise exception 'this table is append-only'; end $$`,
        sql`create trigger ${sql.ref(`${table}_append_only`)} before update or delete on ${sql.table(table)}
            for each row execute function ${sql.ref(`${table}_append_only`)}()`,
      ];
    },
    changeable: (table) => [sql`drop trigger ${sql.ref(`${table}_append_only`)} on ${sql.table(table)}`],
    locksRows: true,
    hasRoles: true,
    alone: false,
    again: (error) => AGAIN.has(codeOf(error instanceof Unavailable ? error.cause : error)),
    between: between(pool, settings, means),
  };
}

/** What an address says of TLS is for whoever reads the settings to judge; pg would prefer it to ours. */
function withoutTls(url: string): string {
  const [place = '', ...query] = url.split('?');
  const params = new URLSearchParams(query.join('?'));
  const names = [...params.keys()].filter((name) => name.startsWith('ssl') || name === 'uselibpqcompat');
  for (const name of names) params.delete(name);
  return names.length === 0 ? url : params.size === 0 ? place : `${place}?${params}`;
}

function tlsOf(url: string, tls: DatabaseTls): ConnectionOptions {
  // pg names the host to the check only where it is a name.
  const host = URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : '';
  return {
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(isIP(host) === 0 ? {} : { host }),
    // Read for each connection.
    get ca() {
      return tls.contents.ca;
    },
    get cert() {
      return tls.contents.cert;
    },
    get key() {
      return tls.contents.key;
    },
  };
}

function between(
  pool: pg.Pool,
  settings: pg.ClientConfig,
  { clock, log }: { clock: Clock; log: Logger },
): BetweenNodes {
  const node = randomBytes(8).toString('hex');
  let closed = false;
  let listener: pg.Client | undefined;
  let cancel = (): void => {};

  function listen(heard: Parameters<BetweenNodes['listen']>[0], attempt = 0): void {
    if (closed) return;
    // It waits for ever for what comes; only that it listens has to be said in time.
    const client = new pg.Client({
      ...settings,
      statement_timeout: 0,
      idle_in_transaction_session_timeout: 0,
      query_timeout: LISTEN_MS,
    });
    listener = client;
    const lost = (): void => {
      if (listener !== client || closed) return;
      listener = undefined;
      client.end().catch(() => {});
      const wait = Math.min(RECONNECT_MS.max, RECONNECT_MS.first * 2 ** attempt);
      cancel = clock.after(wait * (0.5 + clock.random() / 2), () => listen(heard, attempt + 1));
    };
    client.on('error', lost);
    client.on('end', lost);
    client.on('notification', ({ channel, payload = '' }) => {
      if (channel === CHANNEL.news) return heard.news(payload);
      const [from, ...lanes] = payload.split(' ');
      // What this node did itself it knows already.
      if (from !== node) heard.woken(lanes);
    });
    client
      .connect()
      .then(() => client.query(`listen ${CHANNEL.work}; listen ${CHANNEL.news}`))
      .then(
        () => {
          // What was said meanwhile was not heard.
          if (attempt > 0) {
            log.info('listening to the database again');
            heard.woken([EVERY_LANE]);
          }
          attempt = 0;
        },
        (error: Error) => {
          if (closed) return;
          log.warn('the database cannot be listened to; work is found by sweeping until then', {
            error: error.message,
          });
          lost();
        },
      );
  }

  return {
    rowsFrom: (table, text) => sql`json_populate_recordset(null::${sql.table(table)}, ${text})`,
    woken(lanes) {
      const all = [node, ...lanes].join(' ');
      const told = Buffer.byteLength(all) > MOST_TOLD ? `${node} ${EVERY_LANE}` : all;
      return CompiledQuery.raw('select pg_notify($1, $2)', [CHANNEL.work, told]);
    },
    alone: (what) =>
      CompiledQuery.raw('select pg_try_advisory_xact_lock($1::bigint) as got', [numberOf(what)]) as CompiledQuery<{
        readonly got: boolean;
      }>,
    async announce(text) {
      if (Buffer.byteLength(text) > MOST_TOLD) throw new Error(`news has at most ${MOST_TOLD} bytes`);
      await pool.query('select pg_notify($1, $2)', [CHANNEL.news, text]);
    },
    listen: (heard) => listen(heard),
    async skew() {
      const before = clock.now();
      const { rows } = await pool.query<{ now: number }>(
        'select (extract(epoch from clock_timestamp()) * 1000)::bigint as now',
      );
      // Half the way there and back.
      return Math.round((rows[0]?.now ?? before) - (before + clock.now()) / 2);
    },
    async close() {
      closed = true;
      cancel();
      // One that hears nothing keeps nobody from stopping.
      await within(listener?.end() ?? Promise.resolve(), GOODBYE_MS, 'the goodbye', clock).catch(() => {});
    },
  };
}

/** Every text is prepared once on each connection, under a name made from it. */
function named(pool: pg.Pool): PostgresPool {
  const clients = new WeakMap<pg.PoolClient, PostgresPoolClient>();
  const names = new Map<string, string>();
  const nameOf = (text: string): string => {
    let name = names.get(text);
    if (name === undefined) {
      name = createHash('sha1').update(text).digest('hex').slice(0, 20);
      // The texts are the program's own, and few; a filter more or less makes another.
      if (names.size < 1_000) names.set(text, name);
    }
    return name;
  };
  return {
    async connect() {
      const client = await pool.connect().catch((error: unknown) => told(error));
      let wrapped = clients.get(client);
      if (wrapped === undefined) {
        const send = inOneWrite(client);
        let generation = 0;
        const ask = (text: string, values: unknown[]) => {
          send();
          const plain = values.length === 0 || text.endsWith(ANEW);
          return client.query(plain ? { text, values } : { text, values, name: `${nameOf(text)}-${generation}` });
        };
        wrapped = {
          query: ((text: string, values: unknown[] = []) =>
            ask(text, values).catch((error: unknown) => {
              const alone = client.getTransactionStatus() === 'I';
              if (codeOf(error) !== OUTDATED) return told(error, alone);
              // All of them are prepared again. A transaction has failed already, and is run again as a whole.
              generation += 1;
              return alone ? ask(text, values).catch((again: unknown) => told(again)) : told(error, alone);
            })) as unknown as PostgresPoolClient['query'],
          release: () => client.release(),
        };
        clients.set(client, wrapped);
      }
      return wrapped;
    },
    end: () => pool.end(),
  };
}

const codeOf = (error: unknown): string => (error as { code?: string } | null)?.code ?? '';

/** @param alone it was no part of a transaction, which whoever began it would run again */
function told(error: unknown, alone = true): never {
  const code = codeOf(error);
  const { message = '' } = (error ?? {}) as { message?: string };
  const gone = UNAVAILABLE.test(code) || GONE.has(code) || (code === '' && GONE_WORDS.test(message));
  throw gone || (alone && AGAIN.has(code)) ? new Unavailable(error) : error;
}

/** To be called before a query: all of one turn leave in one write, which is most of what a query costs. */
function inOneWrite(client: pg.PoolClient): () => void {
  // Not in the published types, and the only way to the socket.
  const { stream } = (client as unknown as { readonly connection: { readonly stream: Writable } }).connection;
  let corked = false;
  return () => {
    if (corked) return;
    corked = true;
    stream.cork();
    process.nextTick(() => {
      corked = false;
      stream.uncork();
    });
  };
}

/** Rights are told apart by number. The first 64 bits of a hash, made here: the database's own are not everywhere. */
const numberOf = (text: string): string => createHash('sha256').update(text).digest().readBigInt64BE().toString();

/** Of what happens to who has just been set up; the rest in the database's own words, which name no password. */
const REASONS: { readonly [code: string]: readonly [string, string] } = {
  '28P01': ['口令不被接受', 'the password is not accepted'],
  '28000': ['用户不被接受', 'the user is not accepted'],
  '3D000': ['没有这个数据库', 'there is no such database'],
  '53300': ['连接数已满', 'it has no connection left (max_connections)'],
  '57P03': ['正在启动或停止', 'it is starting or stopping'],
  ECONNREFUSED: ['该处无人监听', 'nobody listens there'],
  ENOTFOUND: ['没有这台主机', 'there is no such host'],
};
const NO_ANSWER = ['限时内没有应答', 'it did not answer in time'] as const;
const NO_PASSWORD = ['要求口令而地址中没有', 'it wants a password, and the address has none'] as const;

function notOpened(url: string, error: unknown): NotOpened {
  const { code = '', message } = error as { code?: string; message: string };
  const [zh, en] =
    REASONS[code] ??
    (/timeout/.test(message)
      ? NO_ANSWER
      : /password must be a string/.test(message)
        ? NO_PASSWORD
        : [message, message]);
  // Neither the address nor the error of one that cannot be read is shown: the password stands in both.
  const address = URL.canParse(url) ? new URL(url) : undefined;
  if (address === undefined || (address.username === '' && url.includes('@')))
    return new NotOpened('DATABASE_URL: 地址无法识别 / the address cannot be read');
  const database = address.pathname.slice(1);
  return new NotOpened(
    `DATABASE_URL: ${address.host} 上的数据库 ${database} 无法打开：${zh} / database ${database} at ${address.host} cannot be opened: ${en}`,
  );
}
