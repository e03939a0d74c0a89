import { join } from 'node:path';
import { Kysely } from 'kysely';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import { type News, newsOf } from '../../contracts/ports/news.ts';
import type { Publicly } from '../../contracts/ports/public-event.ts';
import type { Committed, Store } from '../../contracts/ports/store.ts';
import { makeBegin } from './begin.ts';
import { CaseChanges } from './case-changes.ts';
import { makeCaseBook } from './casebook.ts';
import { makeCases } from './cases.ts';
import { makeCertificateStore } from './certificates.ts';
import { makeCollected } from './collected.ts';
import { makeCoordination } from './coordination.ts';
import { makeDesk } from './desk.ts';
import type { BetweenNodes, StoreDialect } from './dialect.ts';
import { makeEnvelopeValues } from './envelope-values.ts';
import { Group } from './group.ts';
import { makeItemVersions } from './item-versions.ts';
import { makeLease } from './lease.ts';
import { makeLedger } from './ledger.ts';
import { keepFor, keptDays } from './ledger-deletion.ts';
import { migrate, withoutRights } from './migrations.ts';
import { makeNonces } from './nonces.ts';
import { makeOutcomes } from './outcome.ts';
import type { StoreParts } from './parts.ts';
import { type DatabaseTls, type PostgresOptions, postgres } from './postgres.ts';
import { makePublicEvents } from './public-events.ts';
import { caseReader, makeReads } from './reads.ts';
import { standingOf } from './rights.ts';
import { sqlite } from './sqlite.ts';
import type { Tables } from './tables.ts';
import { UnderWay } from './under-way.ts';
import { makeMessageEnds, makeUnmatched } from './unmatched.ts';
import { makeUsedNonces } from './used-nonces.ts';

/** A clock that the database sets. */
interface InStep {
  /** @param ms how far the database is ahead */
  shift(ms: Millis): void;
  readonly wandered: boolean;
}

interface StoreOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Called after each commit that may have made work; must not throw and must not wait. */
  readonly committed?: Committed;
  /** Told how far the shared database's clock is ahead of `clock`: at the start, every minute, and when it has wandered. */
  readonly inStep?: InStep | undefined;
  /** What others may learn of a happening. Left out where nobody publishes it: then nothing of it is written. */
  readonly publicly?: Publicly | undefined;
  /** Days that the ledger keeps its rows at least; left out: as many as were set before. */
  readonly ledgerDays?: number | undefined;
  /** Absent: the database is spoken to without TLS, whatever its address says. */
  readonly tls?: DatabaseTls | undefined;
}

/** `dataDir`: the folder, in which the file is `onewindow.db`; made when it is not there. */
type Where =
  | { readonly dataDir: string }
  | { readonly file: string }
  | { readonly databaseUrl: string; readonly database: PostgresOptions };

/**
 * The store: an embedded file of this process alone, or a PostgreSQL database that nodes share; every commit on disk before its promise resolves.
 * @throws NotOpened when another process has the file open, the database cannot be opened, or a newer program has written it
 */
export async function openStore(options: StoreOptions & Where): Promise<Store> {
  if ('databaseUrl' in options) {
    return storeOver(await postgres(options.databaseUrl, options.database, options), options);
  }
  const file = 'file' in options ? options.file : join(options.dataDir, 'onewindow.db');
  return storeOver(sqlite(file), options);
}

/** The store over any database there is a dialect for. */
export async function storeOver(
  dialect: StoreDialect,
  { clock, log, committed, inStep, publicly, ledgerDays }: StoreOptions,
): Promise<Store> {
  const db = new Kysely<Tables>({ dialect: dialect.kysely });
  const nonces = makeNonces(db, dialect, clock);
  try {
    await migrate(db, dialect);
    if (dialect.hasRoles) await judgeRole(db, { log, ledgerDays });
    await forgetAnswered(db);
    if (dialect.between !== undefined) inStep?.shift(await dialect.between.skew());
    if (dialect.alone) await lapseLeases(db, clock);
    if (dialect.alone) await nonces.load();
  } catch (error) {
    await dialect.between?.close();
    await db.destroy();
    throw error;
  }
  const group = new Group({
    db,
    clock,
    log,
    committed: committed ?? (() => {}),
    rider: nonces,
    again: dialect.again,
    woken: dialect.between?.woken,
  });
  const flush = () => group.run(() => Promise.resolve());
  nonces.start(() => {
    flush().catch((error: unknown) => log.warn('nonces could not be written yet', { error }));
  });
  const { between } = dialect;
  const stopStep =
    between === undefined || inStep === undefined ? () => {} : keepInStep(between, inStep, { clock, log });
  const listeners = new Set<(news: News) => void>();
  between?.listen({
    woken: (lanes) => committed?.(lanes, [], []),
    news(text) {
      const news = newsOf(text);
      if (news === undefined) log.warn('news that cannot be read');
      else for (const listener of listeners) listener(news);
    },
  });
  const book = makeCaseBook({ db, dialect, clock, publicly });
  const underWay = new UnderWay();
  const cases = new CaseChanges({ group, book, clock, underWay, read: caseReader(db, dialect) });
  const parts: StoreParts = { db, dialect, group, book, cases, underWay, clock, log };
  const unmatched = makeUnmatched(parts);

  return {
    ...makeCases(parts),
    ...makeCollected(parts, unmatched),
    ...makeMessageEnds(parts, unmatched),
    ...makeLease(parts),
    ...makeBegin(parts),
    ...makeOutcomes(parts),
    ...makeDesk(parts),
    ...makeReads(parts),
    ...makeLedger(parts),
    ...makeCertificateStore(parts),
    ...makeCoordination(parts),
    ...makeEnvelopeValues(parts),
    ...makePublicEvents(parts),
    ...makeItemVersions(parts),
    ...(between === undefined ? { firstUse: nonces.firstUse } : makeUsedNonces(db, dialect, between, { clock, log })),
    ...(between === undefined
      ? {}
      : {
          news: {
            announce: (news: News) => between.announce(JSON.stringify(news)),
            hear(listener: (news: News) => void) {
              listeners.add(listener);
              return () => void listeners.delete(listener);
            },
          },
        }),
    async close() {
      stopStep();
      await underWay.close();
      nonces.stop();
      await flush().catch((error: unknown) => log.warn('the last nonces could not be written', { error }));
      await group.close();
      await between?.close();
      await db.destroy();
    },
  };
}

/**
 * Whether the connected role is one that can run a gateway, and no more than that.
 * @throws NotOpened when it lacks rights
 */
async function judgeRole(
  db: Kysely<Tables>,
  { log, ledgerDays }: Pick<StoreOptions, 'log' | 'ledgerDays'>,
): Promise<void> {
  const { role, mayMigrate, couldRewrite, missing } = await standingOf(db);
  if (missing.length > 0) throw withoutRights(role, missing);
  if (couldRewrite !== undefined)
    log.warn('the database role could rewrite the access ledger: give the gateway a role of its own', {
      role,
      because: couldRewrite,
    });
  if (ledgerDays === undefined) return;
  if (mayMigrate) return keepFor(db, ledgerDays);
  const kept = await keptDays(db);
  if (kept !== ledgerDays)
    log.warn('the database keeps the access ledger for other days than are set: run npm run migrate', {
      kept,
      ledgerDays,
    });
}

/** Between two looks at the node's own clocks, which cost nothing; the database is asked much less often. */
const LOOK_EVERY_MS = 1_000;
const STEP_EVERY_MS = 60_000;
/** Two clocks are never quite together; what the way there and back leaves open is not followed. */
const STEP_MS = 100;
const STEP_RINGS_MS = 5_000;

function keepInStep(
  between: BetweenNodes,
  inStep: InStep,
  { clock, log }: Pick<StoreOptions, 'clock' | 'log'>,
): () => void {
  let cancel = (): void => {};
  let stopped = false;
  let looks = 0;
  async function step(): Promise<void> {
    try {
      const ahead = await between.skew();
      if (Math.abs(ahead) > STEP_RINGS_MS) log.warn("this node's clock left the database's", { ms: ahead });
      inStep.shift(Math.abs(ahead) < STEP_MS ? 0 : ahead);
    } catch (error) {
      log.debug('the database could not be asked for its time', { error });
    }
  }
  const next = (): void => {
    if (stopped) return;
    cancel = clock.after(LOOK_EVERY_MS, () => {
      looks += 1;
      const due = looks * LOOK_EVERY_MS >= STEP_EVERY_MS || inStep.wandered;
      if (due) looks = 0;
      void (due ? step() : Promise.resolve()).then(next);
    });
  };
  next();
  return () => {
    stopped = true;
    cancel();
  };
}

/**
 * Recovery takes only leases that ran out; where the database is ours alone, those of the process before this one have, whatever their time says. What was
 * under way then is in doubt, and is looked at now instead of when the clock comes to it.
 */
async function lapseLeases(db: Kysely<Tables>, clock: Clock): Promise<void> {
  await db.updateTable('envelopes').set({ wakes_at: clock.now() }).where('place', '=', 'leased').execute();
}

/**
 * A node of the version before knows of no answer that could not be collected: it collects one as any other, and leaves it before a person. When the last of
 * those has been stopped, a node of this version is started in its place, and looks.
 */
async function forgetAnswered(db: Kysely<Tables>): Promise<void> {
  await db
    .updateTable('envelopes')
    .set({ place: null, fault: null, reason: null })
    .where('place', '=', 'unanswered')
    .where('answer_due', 'is', null)
    .execute();
}
