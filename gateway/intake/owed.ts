import type { Advance, CaseRecord, Owed } from '../../contracts/ports/case.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis, Reason } from '../../contracts/ports/envelope.ts';
import { type Catalogue, ItemUnusable, itemOfCase } from '../../contracts/ports/item.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Certificates, Retrieved } from '../../contracts/ports/retrieval.ts';
import type { CaseStore, DeliveryStore } from '../../contracts/ports/store.ts';

export interface OwedParts {
  readonly store: Pick<CaseStore, 'owing' | 'changed'> & Pick<DeliveryStore, 'due'>;
  readonly certificates: Pick<Certificates, 'retrieve'>;
  readonly routing: {
    provided(certificates: CaseRecord['certificates']): Advance;
    materialsAsked(missing: readonly { readonly owed: Owed; readonly reason: Reason }[]): Advance;
  };
  readonly catalogue: Catalogue;
  readonly clock: Clock;
  readonly log: Logger;
  /** `owedAfterMs`: waits before the second, third … try; the last repeats. */
  readonly settings: {
    readonly owedSweepMs: number;
    readonly owedAfterMs: readonly number[];
    readonly certificateTimeMs: number;
  };
}

/** Cases looked at in one sweep; the rest in the next. */
const AT_ONCE = 20;
const LEAST_WAIT_MS = 50;

const waitOf = (due: Millis | null, now: Millis): number => (due ?? Number.POSITIVE_INFINITY) - now;

/**
 * 容缺受理: what cases were accepted without is fetched by itself when its source is back. When no source has it, or its time is over, the clerk is told once,
 * and the search goes on until somebody brings it.
 */
export class OwedMaterials {
  readonly #parts: OwedParts;
  #cancel: (() => void) | undefined;
  #sweeping: Promise<void> = Promise.resolve();
  #stopped = true;

  constructor(parts: OwedParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#stopped = false;
    this.#next();
  }

  /** Resolves when the sweep that is under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#sweeping;
  }

  /** Looks again when something is due, and at the sweep at the latest: others may have accepted it. */
  #next(ms = this.#parts.settings.owedSweepMs): void {
    if (this.#stopped) return;
    const { clock, log, settings } = this.#parts;
    this.#cancel = clock.after(Math.min(settings.owedSweepMs, Math.max(LEAST_WAIT_MS, ms)), () => {
      this.#sweeping = this.sweep().then(
        (ms) => this.#next(ms),
        (error: unknown) => {
          log.warn('materials owed could not be looked for', { error });
          this.#next();
        },
      );
    });
  }

  /** Tries once what is due; how long until the next is, ms. */
  async sweep(): Promise<number> {
    const { store, clock, log, settings } = this.#parts;
    const now = clock.now();
    const before = await store.due();
    if (before.owed === null || before.owed > now) return waitOf(before.owed, now);
    const records = await store.owing({ limit: AT_ONCE, now, scheduleMs: settings.owedAfterMs });
    const look = (record: CaseRecord): Promise<void> =>
      this.#look(record).catch((error: unknown) =>
        log.warn('materials owed could not be looked for', { case: record.caseNo, error }),
      );
    await Promise.all(records.map(look));
    return waitOf((await store.due()).owed, clock.now());
  }

  async #look(record: CaseRecord): Promise<void> {
    const { store, routing, log, clock } = this.#parts;
    const { caseNo } = record;
    const looked = await Promise.all(
      [...Map.groupBy(record.owed, ({ type }) => type)].map(([type, alike]) => this.#ask(record, type, alike)),
    );
    const answers = looked.flat();
    const certificates = answers.flatMap(({ owed: { material, holder }, result: { certificate } }) =>
      certificate === undefined ? [] : [{ material, holder, certificate }],
    );
    const missing = answers.flatMap(({ owed, result }) => {
      const reason = owed.told ? undefined : asks(owed, result, clock.now());
      return reason === undefined ? [] : [{ owed, reason }];
    });
    if (certificates.length > 0) {
      await store.changed(caseNo, routing.provided(certificates));
      log.info('materials owed were fetched', { case: caseNo, certificates: certificates.length });
    }
    if (missing.length > 0) {
      await store.changed(caseNo, routing.materialsAsked(missing));
      log.warn('materials owed must be brought', { case: caseNo, materials: missing.map(({ owed }) => owed.material) });
    }
  }

  async #basis(record: CaseRecord): Promise<string> {
    try {
      return (await itemOfCase(this.#parts.catalogue, record)).basis;
    } catch (error) {
      if (error instanceof ItemUnusable) return '';
      throw error;
    }
  }

  /** One type, all its holders. */
  async #ask(
    record: CaseRecord,
    type: string,
    alike: readonly Owed[],
  ): Promise<readonly { readonly owed: Owed; readonly result: Retrieved }[]> {
    const { certificates, settings } = this.#parts;
    const { caseNo, appKey, submission, traceparent } = record;
    const { applicationNo, itemCode, clerk, channel } = submission;
    const results = await certificates.retrieve({
      holders: alike.map(({ holder }) => holder),
      types: [type],
      purpose: {
        caseNo,
        applicationNo,
        itemCode,
        clerk: clerk ?? { officerId: appKey },
        basis: await this.#basis(record),
      },
      hints: {},
      channel,
      appKey,
      traceparent,
      timeLimitMs: settings.certificateTimeMs,
    });
    return alike.flatMap((owed, at) => {
      const result = results[at];
      return result === undefined ? [] : [{ owed, result }];
    });
  }
}

/** Why a person has to bring it; undefined while it may still come by itself. */
function asks(owed: Owed, { state, reason }: Retrieved, now: number): Reason | undefined {
  if (state === 'found') return undefined;
  if (state !== 'unavailable') return reason;
  if (now < owed.due.at) return undefined;
  return {
    code: 'materialOverdue',
    zh: '补齐期限已到，来源仍不可用，请当事人提供',
    en: 'its time is over and the source is still away: it has to be brought',
  };
}
