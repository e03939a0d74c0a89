import { createHmac, randomUUID } from 'node:crypto';
import { checkCertificateIdentifier } from '../../contracts/identifiers.ts';
import type {
  Certificate,
  CertificateQuery,
  Certificates,
  Holder,
  Ledger,
  LedgerEntry,
  RetrievalRequest,
  RetrievalState,
  Retrieved,
} from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis, Party, Reason, Words } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Catalogue, Item, Material } from '../../contracts/ports/item.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';
import { CertificateCache } from './cache.ts';
import { maskedHolder } from './masked.ts';

export interface CertificateParts {
  /** The parties that can be asked now; each through its own guard. */
  readonly sources: () => ReadonlyMap<
    Party,
    {
      readonly types: readonly string[];
      ask(query: CertificateQuery, traceparent: string): Promise<readonly Certificate[]>;
    }
  >;
  readonly catalogue: Catalogue;
  readonly ledger: Pick<Ledger, 'write'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'certificate'>;
  /** Secret: without it nobody can test a guessed number against the ledger. */
  readonly holderHashKey: string;
  readonly settings: { readonly cacheSeconds: number; readonly max: number };
}

type Certified = NonNullable<Material['certificate']>;
type Finding = Pick<Retrieved, 'state' | 'source' | 'tried' | 'fetchedAt' | 'cached' | 'warnings'> & {
  readonly reason?: Reason;
  readonly certificate?: Certificate;
};
type Tried = Retrieved['tried'][number];

const REASONS = {
  noPurpose: {
    zh: '未说明用途（办件或申请编号、事项、经办人、依据）',
    en: 'no purpose was given (case or application number, item, clerk, basis)',
  },
  notInItem: { zh: '该事项的材料清单不含此类证照', en: "the item's material list does not name this type" },
  itemUnknown: { zh: '事项目录中没有该事项', en: 'no such item in the catalogue' },
  ledgerDown: {
    zh: '调用台账不可用，依规不得调取',
    en: 'the access ledger cannot be written, and without it nothing may be fetched',
  },
  timeout: { zh: '在时限内没有查到结果', en: 'no result within the time limit' },
  noData: { zh: '已查询，无此证照', en: 'searched, and none is held' },
  notConnected: { zh: '没有可用的来源', en: 'no source is connected' },
  holderMismatch: {
    zh: '来源返回的证照与持证人不符，已拦截',
    en: "a source answered with somebody else's certificate; it was not handed out",
  },
} as const satisfies Record<string, Words>;

/** HMAC-SM3 of an id number under the deployment's key: how the ledger names a holder, and how a citizen's own question is answered. */
const holderHash = (idNo: string, key: string): string =>
  createHmac('sm3', key).update(idNo.trim().toUpperCase()).digest('hex');

/**
 * 一证通办: certificates fetched instead of asked for, lawful in every single call. Rights first; then the ledger, durably; then a source. Per certificate one
 * outcome: `none` only when every source searched and found none, `unavailable` when one could not be asked.
 */
export function makeCertificates(parts: CertificateParts): Certificates & { hashOf(idNo: string): string } {
  const { catalogue, ledger, clock, log, metrics, holderHashKey } = parts;
  const cache = new CertificateCache({ max: parts.settings.max, seconds: parts.settings.cacheSeconds });
  /** A hundred equal questions at once make one call. */
  const underWay = new Map<string, Promise<Finding>>();

  const hashOf = (idNo: string): string => holderHash(idNo, holderHashKey);
  const keyOf = (holder: Holder, type: string, hints: object): string =>
    createHmac('sm3', holderHashKey)
      .update(JSON.stringify([holder.idType, holder.idNo.trim().toUpperCase(), holder.name, type, hints]))
      .digest('hex');

  function permitted(
    { purpose }: RetrievalRequest,
    type: string,
  ): { readonly material: Certified } | { readonly refused: Finding } {
    const refused = (code: keyof typeof REASONS): { refused: Finding } => ({
      refused: nothing('notPermitted', { code, ...REASONS[code] }),
    });
    const complete = [
      purpose?.itemCode,
      purpose?.basis,
      purpose?.clerk?.officerId,
      purpose?.caseNo ?? purpose?.applicationNo,
    ].every((text) => typeof text === 'string' && text.trim() !== '');
    if (!complete) return refused('noPurpose');
    const item: Item | undefined = catalogue.get(purpose.itemCode);
    if (item === undefined) return refused('itemUnknown');
    const material = item.materials.find(({ certificate }) => certificate?.type === type)?.certificate;
    return material === undefined ? refused('notInItem') : { material };
  }

  async function retrieve(request: RetrievalRequest): Promise<readonly Retrieved[]> {
    const asked = request.types.map((type) => ({ type, id: randomUUID(), right: permitted(request, type) }));
    // Refusals stand in the ledger like everything else, and before any source is called.
    let lawful = true;
    try {
      await ledger.write(
        asked.map(({ type, id, right }) => entry(request, type, id, 'refused' in right ? right.refused : undefined)),
      );
    } catch (error) {
      lawful = false;
      log.error('the certificate ledger cannot be written: nothing is fetched', {
        error,
        traceparent: request.traceparent,
      });
    }
    const findings = await Promise.all(
      asked.map(async ({ type, id, right }) => {
        const finding =
          'refused' in right
            ? right.refused
            : lawful
              ? await within(request, type, right.material, id)
              : nothing('unavailable', { code: 'ledgerDown', ...REASONS.ledgerDown });
        metrics.certificate(type, finding.state, finding.cached);
        return { type, id, right, finding };
      }),
    );
    const answered = findings.filter(
      ({ right, finding }) => lawful && !('refused' in right) && finding.reason?.code !== 'timeout',
    );
    await note(answered.map(({ type, id, finding }) => entry(request, type, randomUUID(), finding, id)));
    return findings.map(({ type, id, right, finding }) => ({
      type,
      title: 'refused' in right ? { zh: type, en: type } : right.material.title,
      holder: request.holder,
      ...finding,
      ledgerId: id,
    }));
  }

  /** Under the overall limit; what comes late goes to the ledger only. */
  async function within(
    request: RetrievalRequest,
    type: string,
    material: Certified,
    ledgerId: string,
  ): Promise<Finding> {
    const search = found(request, type, material);
    let stop = (): void => {};
    const late = new Promise<'late'>((resolve) => {
      stop = clock.after(request.timeLimitMs, () => resolve('late'));
    });
    const first = await Promise.race([search, late]);
    stop();
    if (first !== 'late') return first;
    void search.then((finding) => note([entry(request, type, randomUUID(), finding, ledgerId)]));
    await note([
      entry(request, type, randomUUID(), nothing('unavailable', { code: 'timeout', ...REASONS.timeout }), ledgerId),
    ]);
    return nothing('unavailable', { code: 'timeout', ...REASONS.timeout });
  }

  function found(request: RetrievalRequest, type: string, material: Certified): Promise<Finding> {
    const key = keyOf(request.holder, type, request.hints);
    const kept = cache.get(key);
    if (kept !== undefined && usable(kept.certificate, clock.now())) {
      return Promise.resolve({
        state: 'found',
        source: kept.source,
        tried: [],
        fetchedAt: kept.fetchedAt,
        cached: true,
        warnings: warningsOf(kept.certificate),
        certificate: kept.certificate,
      });
    }
    let search = underWay.get(key);
    if (search === undefined) {
      search = searched(request, type, material, key).finally(() => underWay.delete(key));
      underWay.set(key, search);
    }
    return search;
  }

  /** The sources in the item's order, until one has it. Never rejects. */
  async function searched(
    { holder, purpose, hints, traceparent }: RetrievalRequest,
    type: string,
    material: Certified,
    key: string,
  ): Promise<Finding> {
    const connected = parts.sources();
    const tried: Tried[] = [];
    let couldNot: Reason | undefined;
    let notValid: Reason | undefined;
    for (const name of material.sources) {
      const source = connected.get(name);
      const started = clock.now();
      const outcome = (what: string): void =>
        void tried.push({ source: name, outcome: what, ms: clock.now() - started });
      if (source === undefined || !source.types.includes(type)) {
        outcome('notConnected');
        couldNot ??= { code: 'notConnected', ...REASONS.notConnected };
        continue;
      }
      try {
        const certificates = await source.ask({ holder, type, purpose, hints }, traceparent);
        const ours = certificates.filter((certificate) => sameHolder(certificate.holder, holder));
        if (ours.length < certificates.length)
          log.error("a source answered with somebody else's certificate", { source: name, type, traceparent });
        const valid = ours.find((certificate) => usable(certificate, clock.now()));
        if (valid !== undefined) {
          outcome('found');
          const fetchedAt = clock.now();
          cache.put(key, { certificate: valid, source: name, fetchedAt }, validForMs(valid, fetchedAt));
          return {
            state: 'found',
            source: name,
            tried,
            fetchedAt,
            cached: false,
            warnings: warningsOf(valid),
            certificate: valid,
          };
        }
        if (ours.length > 0) {
          const state = ours[0]?.state ?? '99';
          outcome('notValid');
          notValid ??= {
            code: 'notValid',
            zh: state === '01' ? '证照不在有效期内' : `证照状态为 ${state}，不可使用`,
            en:
              state === '01'
                ? 'the certificate is outside its dates'
                : `the certificate has the state ${state} and cannot be used`,
          };
        } else if (certificates.length > 0) {
          outcome('holderMismatch');
          couldNot ??= { code: 'holderMismatch', ...REASONS.holderMismatch };
        } else outcome('none');
      } catch (error) {
        const fault = Fault.from(error);
        outcome('fault');
        couldNot ??= { code: sourceFault(fault), zh: fault.reason.zh, en: fault.reason.en };
        log.warn('a certificate source could not be asked', {
          source: name,
          type,
          fault: fault.kind,
          code: fault.reason.code,
          traceparent,
        });
      }
    }
    if (couldNot !== undefined) return { ...nothing('unavailable', couldNot), tried };
    return { ...nothing('none', notValid ?? { code: 'noData', ...REASONS.noData }), tried };
  }

  function entry(
    request: RetrievalRequest,
    type: string,
    id: string,
    finding: Finding | undefined,
    of: string | null = null,
  ): LedgerEntry {
    const { purpose, holder, appKey, channel } = request;
    return {
      id,
      at: clock.now(),
      phase: of === null ? 'asked' : 'answered',
      of,
      appKey,
      officerId: purpose?.clerk?.officerId ?? '',
      caseNo: purpose?.caseNo ?? null,
      applicationNo: purpose?.applicationNo ?? null,
      itemCode: purpose?.itemCode ?? '',
      type,
      holderMasked: maskedHolder(holder),
      holderHash: hashOf(holder.idNo),
      basis: purpose?.basis ?? '',
      channel,
      source: finding?.source ?? null,
      state: finding?.state ?? null,
      reason: finding?.reason?.code ?? null,
      identifier: finding?.certificate?.identifier ?? null,
      fields: finding?.certificate === undefined ? [] : Object.keys(finding.certificate.fields),
    };
  }

  /** The answer's row. That a call was made is on record already: a gap here is loud, and stops nothing. */
  async function note(entries: readonly LedgerEntry[]): Promise<void> {
    if (entries.length === 0) return;
    try {
      await ledger.write(entries);
    } catch (error) {
      log.error('an answer could not be written to the certificate ledger', {
        error,
        entries: entries.map(({ of }) => of),
      });
    }
  }

  return {
    retrieve,
    hashOf,
    forget(holder, type) {
      cache.forget(keyOf(holder, type, {}));
    },
    async close() {
      await Promise.allSettled(underWay.values());
      cache.close();
    },
  };
}

function nothing(state: RetrievalState, reason: Reason): Finding {
  return { state, reason, source: null, tried: [], fetchedAt: null, cached: false, warnings: [] };
}

/** By number, as both may write it; a name alone proves nothing, and a differing one is somebody else. */
function sameHolder(theirs: Holder, ours: Holder): boolean {
  const plain = (text: string): string => text.replaceAll(/\s/g, '').toUpperCase();
  return plain(theirs.idNo) === plain(ours.idNo) && plain(theirs.name) === plain(ours.name);
}

const OFFSET = 8 * 3_600_000;
const day = (at: Millis): string => new Date(at + OFFSET).toISOString().slice(0, 10).replaceAll('-', '');

/** Only 01, and only inside its dates (GB/T 36903). */
function usable({ state, validFrom, validTo }: Certificate, now: Millis): boolean {
  const today = day(now);
  return state === '01' && (validFrom === null || validFrom <= today) && (validTo === null || validTo >= today);
}

function validForMs({ validTo }: Certificate, now: Millis): number {
  if (validTo === null) return Number.POSITIVE_INFINITY;
  const ends = Date.parse(`${validTo.slice(0, 4)}-${validTo.slice(4, 6)}-${validTo.slice(6, 8)}T23:59:59.999+08:00`);
  return Number.isNaN(ends) ? 0 : ends - now;
}

/** What is wrong with an identifier that we receive is a warning: libraries with a deviant check character are in production. */
function warningsOf({ identifier }: Certificate): readonly string[] {
  if (identifier === null) return [];
  const verdict = checkCertificateIdentifier(identifier);
  if (verdict === 'iso') return [];
  return [verdict === 'vendor' ? 'vendorCheck' : 'badCheck'];
}

function sourceFault(fault: Fault): string {
  if (fault.kind !== 'busy') return fault.kind === 'refused' ? 'refusedByOwner' : 'fault';
  if (fault.reason.code === 'breakerOpen') return 'breakerOpen';
  return fault.reason.code === 'closedHours' ? 'closed' : 'fault';
}
