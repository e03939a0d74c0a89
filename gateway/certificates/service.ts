import { createHmac, createSecretKey, randomBytes, randomUUID } from 'node:crypto';
import { comparableIdNo } from '../../contracts/identifiers.ts';
import type {
  Certificate,
  CertificateChange,
  Holder,
  Ledger,
  LedgerEntry,
  Mandates,
  Register,
  RetrievalState,
  Stale,
  UseTicket,
  UseTickets,
} from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject, Party, Reason, Words } from '../../contracts/ports/envelope.ts';
import type { Catalogue, CertificateTypes, Item } from '../../contracts/ports/item.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';
import type { Certificates, Freshness, RetrievalRequest, Retrieved, UseCode } from '../../contracts/ports/retrieval.ts';
import type { CaseReads, CaseStore } from '../../contracts/ports/store.ts';
import { CertificateCache } from './cache.ts';
import { causeOf } from './cause.ts';
import type { Ticket } from './documents/hand-out.ts';
import { entryOf, LEDGER_DOWN } from './entry.ts';
import { itemIfUsable } from './item-of-purpose.ts';
import { comparableName, factsOf, wantedBy } from './matter.ts';
import { complete, type Ground, REFUSALS, type Refusal, type Right, rightTo } from './rights.ts';
import { type Outcome, type Source, search } from './search.ts';
import { codeHash, newUseCode } from './use-code.ts';
import { usable, validForMs, warningsOf } from './validity.ts';

export interface CertificateParts {
  /** The parties that can be asked now; each through its own guard. */
  readonly sources: () => ReadonlyMap<Party, Source>;
  readonly catalogue: Catalogue;
  readonly types: CertificateTypes;
  readonly cases: Pick<CaseReads, 'caseOf'> & Pick<CaseStore, 'byApplication'>;
  readonly mandates: Pick<Mandates, 'mandate'>;
  readonly register: Pick<Register, 'issuedTo' | 'spokenOf'>;
  readonly tickets: Pick<UseTickets, 'issue'>;
  readonly ledger: Pick<Ledger, 'write'>;
  /** Tells every node, this one too, that copies are stale; each then calls `forget`. */
  readonly announce: (stale: Stale) => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'certificate'>;
  /** HMAC-SM3 of an id number under the deployment's key: without the key nobody can test a guessed number against what is kept. */
  readonly hashOf: (idNo: string) => string;
  /** `negativeSeconds`: how long "none" is believed. `useCodeSeconds`: how long a file may be fetched. */
  readonly settings: { readonly max: number; readonly negativeSeconds: number; readonly useCodeSeconds: number };
}

/** One answer in the making. */
interface Finding {
  readonly state: RetrievalState;
  readonly reason?: Reason;
  readonly source: Party | null;
  readonly tried: Retrieved['tried'];
  readonly fetchedAt: number | null;
  readonly freshness: Freshness | null;
  readonly warnings: readonly string[];
  /** Whole; what leaves is cut down to the fields of the material. */
  readonly certificate?: Certificate;
}

interface Asked {
  readonly id: string;
  readonly holder: Holder;
  readonly type: string;
  readonly right: Right | Refusal;
  /** What the source's own audit is told. */
  readonly cause: string;
}

/** What all answers to one request have in common: its time is counted from its beginning. */
interface Limit {
  readonly reached: Promise<'late'>;
  readonly over: () => boolean;
}

/** Certificates one request may be about. */
const MOST_AT_ONCE = 100;
/** The register, as a source in an item's list. */
const REGISTER: Party = 'register';

const WORDS = {
  timeout: { zh: '在时限内没有查到结果', en: 'no result within the time limit' },
  noData: { zh: '已查询，无此证照', en: 'searched, and none is held' },
} as const satisfies Record<string, Words>;

/** One search that several may wait for. */
interface UnderWay {
  readonly outcome: Promise<Outcome>;
  readonly tags: readonly string[];
  /** Something happened to the certificate meanwhile: what comes is not kept. */
  stale: boolean;
}

/**
 * 一证通办: certificates fetched instead of asked for, lawful in every single call. Rights first; then the ledger, durably; then the sources, all at once and
 * under one time limit.
 */
export function makeCertificates(parts: CertificateParts): Certificates & { forget(stale: Stale): void } {
  const { catalogue, types, cases, ledger, clock, log, metrics, hashOf, settings } = parts;
  const cache = new CertificateCache({ max: settings.max });
  /** A hundred equal questions at once make one search. */
  const underWay = new Map<string, UnderWay>();
  // An object, because a buffer would be made into one for each hash, and that takes four times as long as the hash.
  const hashKey = createSecretKey(randomBytes(32));

  const hashed = (value: Json): string => createHmac('sm3', hashKey).update(JSON.stringify(value)).digest('hex');
  const holderTag = (type: string, holderHash: string): string => `${type} ${holderHash}`;
  /** By the sources too: that some hold none says nothing of the others, which another item may name. */
  const keyOf = ({ idType, idNo, name }: Holder, type: string, { hints, certificate: { sources } }: Right): string =>
    hashed([idType, comparableIdNo(idNo), comparableName(name), type, hints, [...sources]]);

  /** Longer than fresh where some item takes an older copy while the source is away. */
  const keptSeconds = (type: string, right: Right): number => {
    const current = catalogue
      .list()
      .flatMap(({ materials }) => materials.flatMap(({ certificate }) => certificate ?? []));
    // The item of a running case may be an earlier one.
    const hours = [...current, right.certificate].flatMap((each) =>
      each.type === type && each.whenDown?.do === 'asOf' ? [each.whenDown.hours] : [],
    );
    return Math.max(types.get(type)?.freshSeconds ?? 0, ...hours.map((each) => each * 3_600));
  };

  /** What is known of the matter, looked up once. A refusal stands for all that is asked. */
  async function groundOf({ purpose, facts, correction, appKey }: RetrievalRequest): Promise<Ground | Refusal> {
    if (!complete(purpose)) return 'noPurpose';
    const { caseNo, applicationNo, mandateId, itemCode } = purpose;
    const record =
      caseNo === undefined
        ? (await cases.byApplication(appKey, applicationNo ?? ''))?.record
        : await cases.caseOf(caseNo);
    const own = record?.appKey === appKey && record.submission.itemCode === itemCode;
    const item = own ? await itemIfUsable(catalogue, record) : catalogue.get(itemCode);
    if (item === undefined) return 'itemUnknown';
    if (caseNo !== undefined && record?.appKey !== appKey) return 'caseUnknown';
    if (record?.state === 'WITHDRAWN') return 'caseWithdrawn';
    if (record !== undefined && record.submission.itemCode !== item.code) return 'otherItem';
    const known = record === undefined || correction === true ? facts : factsOf(record);
    const mandate = mandateId === undefined ? undefined : await parts.mandates.mandate(mandateId);
    const about = known === undefined ? undefined : await wantedBy(item, known);
    if (about !== undefined && about.unclear.length > 0)
      log.error('the holders of a material cannot be told', { item: item.code, materials: about.unclear });
    return {
      item,
      types,
      wanted: about?.wanted,
      parties: known === undefined ? [] : peopleIn([known.applicant, known.agent, known.form]),
      mandate,
      now: clock.now(),
      hashOf,
    };
  }

  /** Holder by holder and type by type; what an item does not need of a party is not asked for, unless it was named. */
  function askedOf(request: RetrievalRequest, ground: Ground | Refusal): readonly Asked[] {
    const refused = typeof ground === 'string';
    const { types: named } = request;
    const item = refused ? catalogue.get(request.purpose.itemCode) : ground.item;
    const ofItem = item === undefined ? [] : typesOf(item);
    const cause = causeOf(request.purpose, item);
    const each = (holder: Holder, type: string): Asked => ({
      id: randomUUID(),
      holder,
      type,
      right: refused ? ground : rightTo(holder, type, request, ground),
      cause,
    });
    if (request.holders === undefined) {
      if (refused || ground.wanted === undefined) throw whoseUnknown();
      return ground.wanted
        .filter(({ certificate: { type } }) => named?.includes(type) ?? true)
        .map(({ holder, certificate: { type } }) => each(holder, type));
    }
    return request.holders.flatMap((holder) => {
      const asked = (named ?? ofItem).map((type) => each(holder, type));
      return named === undefined ? asked.filter(({ right }) => right !== 'notForHolder') : asked;
    });
  }

  /** A refusal that stands for all that was asked, where nothing that was asked can be named: one row says at least that. */
  async function refusedAll(request: RetrievalRequest, refusal: Refusal): Promise<never> {
    await written([refusalOf(request, undefined, '', refusal)]);
    throw unnamed(refusal, REFUSALS[refusal]);
  }

  async function retrieve(request: RetrievalRequest): Promise<readonly Retrieved[]> {
    let over = false;
    let forget = (): void => {};
    const reached = new Promise<'late'>((resolve) => {
      forget = clock.after(request.timeLimitMs, () => {
        over = true;
        resolve('late');
      });
    });
    try {
      return await retrieved(request, { reached, over: () => over });
    } finally {
      forget();
    }
  }

  async function retrieved(request: RetrievalRequest, limit: Limit): Promise<readonly Retrieved[]> {
    const ground = await groundOf(request);
    if (typeof ground === 'string' && request.holders === undefined) return refusedAll(request, ground);
    const asked = askedOf(request, ground);
    if (asked.length > MOST_AT_ONCE) throw tooMany(asked.length);
    const settled = asked.map((one) => ({ one, finding: settledAtOnce(one) }));
    // Refusals stand in the ledger like everything else, and before any source is called. What a copy answers is written down with its question.
    const lawful = await written([
      ...asked.map((one) => entry(request, one, 'asked')),
      ...settled.flatMap(({ one, finding }) =>
        finding === undefined || typeof one.right === 'string' ? [] : [answer(request, one, finding)],
      ),
    ]);
    const findings = await Promise.all(
      settled.map(async ({ one, finding: known }) => {
        const { right } = one;
        const finding =
          typeof right === 'string'
            ? nothing('notPermitted', { code: right, ...REFUSALS[right] })
            : !lawful
              ? nothing('unavailable', { code: 'ledgerDown', ...LEDGER_DOWN })
              : (known ?? (await within(request, one, right, limit)));
        metrics.certificate(one.type, finding.state, finding.freshness !== null && finding.freshness !== 'live');
        return { one, finding, known };
      }),
    );
    const answered = findings.filter(
      ({ one, known }) => lawful && known === undefined && typeof one.right !== 'string',
    );
    const [files] = await Promise.all([
      request.wantsFile === true ? useCodes(request, findings) : new Map<string, UseCode>(),
      note(answered.map(({ one, finding }) => answer(request, one, finding))),
    ]);
    return findings.map(({ one, finding }) => told(one, finding, files.get(one.id)));
  }

  const told = ({ id, holder, type, right }: Asked, finding: Finding, file: UseCode | undefined): Retrieved => {
    const { certificate, ...rest } = finding;
    const named = typeof right === 'string' ? undefined : right;
    return {
      type,
      material: named?.material ?? null,
      title: named?.certificate.title ?? types.get(type)?.title ?? { zh: type, en: type },
      holder,
      ...rest,
      cached: finding.freshness === 'cached' || finding.freshness === 'asOf',
      ...(certificate === undefined || named === undefined
        ? {}
        : { certificate: leaving(certificate, named.certificate.fields) }),
      ...(file === undefined ? {} : { file }),
      ledgerId: id,
    };
  };

  /** Whether the ledger has them, durably. */
  async function written(entries: readonly LedgerEntry[]): Promise<boolean> {
    try {
      await ledger.write(entries);
      return true;
    } catch (error) {
      log.error('the certificate ledger cannot be written: nothing is fetched', { error });
      return false;
    }
  }

  /** Under the overall limit; what comes late goes to the ledger only. */
  async function within(request: RetrievalRequest, one: Asked, right: Right, limit: Limit): Promise<Finding> {
    // Writing it down may have taken all the time there was: then nobody is asked any more.
    const finding = limit.over() ? undefined : found(request, one, right);
    const first = await (finding === undefined ? 'late' : Promise.race([finding, limit.reached]));
    if (first !== 'late') return first;
    void finding?.then((later) => note([{ ...answer(request, one, later), phase: 'late', fields: [] }]));
    return older(one, right) ?? nothing('unavailable', { code: 'timeout', ...WORDS.timeout });
  }

  /** What a copy answers, without asking anybody. */
  function settledAtOnce({ holder, type, right }: Asked): Finding | undefined {
    if (typeof right === 'string') return undefined;
    const copy = cache.get(keyOf(holder, type, right));
    if (copy?.certificate === null) return nothing('none', { code: 'noData', ...WORDS.noData });
    if (copy === undefined) return undefined;
    const now = clock.now();
    const fresh = now - copy.fetchedAt < (types.get(type)?.freshSeconds ?? 0) * 1_000;
    if (!fresh || !usable(copy.certificate, now)) return undefined;
    return standing(copy.certificate, copy.source, copy.fetchedAt, 'cached');
  }

  async function found(request: RetrievalRequest, one: Asked, right: Right): Promise<Finding> {
    // While the ledger was written, an equal question may have been answered.
    const copy = settledAtOnce(one);
    if (copy !== undefined) return copy;
    const key = keyOf(one.holder, one.type, right);
    const outcome = await searched(request, one, right, key);
    if (outcome.state === 'found') {
      const { certificate, source, fetchedAt, tried } = outcome;
      return { ...standing(certificate, source, fetchedAt, 'live'), tried };
    }
    if (outcome.state === 'unavailable') {
      const asOf = older(one, right);
      if (asOf !== undefined) return { ...asOf, tried: outcome.tried };
    }
    return { ...nothing(outcome.state, outcome.reason), tried: outcome.tried };
  }

  /** A copy that is no longer fresh, where the item takes one while the source is away. */
  function older({ holder, type }: Asked, right: Right): Finding | undefined {
    const { whenDown } = right.certificate;
    if (whenDown?.do !== 'asOf') return undefined;
    const copy = cache.get(keyOf(holder, type, right));
    if (copy === undefined || copy.certificate === null) return undefined;
    const now = clock.now();
    if (now - copy.fetchedAt > whenDown.hours * 3_600_000 || !usable(copy.certificate, now)) return undefined;
    const { certificate, source, fetchedAt } = copy;
    const standIn = standing(certificate, source, fetchedAt, 'asOf');
    return { ...standIn, warnings: [...standIn.warnings, 'asOf'] };
  }

  function searched(
    request: RetrievalRequest,
    { holder, type, cause }: Asked,
    right: Right,
    key: string,
  ): Promise<Outcome> {
    const before = underWay.get(key);
    if (before !== undefined) return before.outcome;
    const { purpose, traceparent } = request;
    const query = { holder, type, purpose, cause, hints: right.hints };
    const sources = new Map([...parts.sources(), [REGISTER, register] as const]);
    const own: UnderWay = {
      outcome: search(query, right.certificate.sources, sources, { clock, log, traceparent }).then((outcome) => {
        if (underWay.get(key) === own) underWay.delete(key);
        if (!own.stale) keep(key, type, right, own.tags, outcome);
        return outcome;
      }),
      tags: [holderTag(type, hashOf(holder.idNo))],
      stale: false,
    };
    underWay.set(key, own);
    return own.outcome;
  }

  function keep(key: string, type: string, right: Right, tags: readonly string[], outcome: Outcome): void {
    if (outcome.state === 'found') {
      const { certificate, source, fetchedAt } = outcome;
      const seconds = Math.min(keptSeconds(type, right), validForMs(certificate, fetchedAt) / 1_000);
      const named = certificate.identifier === null ? tags : [...tags, certificate.identifier];
      cache.put(key, { certificate, source, fetchedAt }, named, seconds);
    } else if (outcome.state === 'none' && outcome.reason.code === 'noData') {
      cache.put(key, { certificate: null }, tags, settings.negativeSeconds);
    }
  }

  /** What our own cases made, as a source: the newest first. */
  const register: Source = {
    types: undefined,
    secondHand: true,
    ask: async ({ holder, type }) =>
      (await parts.register.issuedTo(hashOf(holder.idNo), type)).map(({ certificate }) => certificate),
  };

  function forget(stale: Stale): void {
    const tag = 'identifier' in stale ? stale.identifier : holderTag(stale.type, stale.holderHash);
    cache.forget(tag);
    for (const [key, search] of underWay) {
      // Which certificate a search will bring is not known yet: by its identifier it may be any.
      if (!('identifier' in stale) && !search.tags.includes(tag)) continue;
      search.stale = true;
      underWay.delete(key);
    }
  }

  /** A code for each file that was asked for and that its source has. */
  async function useCodes(
    request: RetrievalRequest,
    findings: readonly { readonly one: Asked; readonly finding: Finding }[],
  ): Promise<ReadonlyMap<string, UseCode>> {
    const expiresAt = clock.now() + settings.useCodeSeconds * 1_000;
    const codes = new Map<string, UseCode>();
    const tickets: UseTicket[] = [];
    for (const { one, finding } of findings) {
      const { certificate, source } = finding;
      if (certificate?.file === undefined || source === null || typeof one.right === 'string') continue;
      const useCode = newUseCode();
      const { mediaType, digest } = certificate.file;
      codes.set(one.id, { useCode, mediaType, digest, expiresAt });
      const { purpose, channel, requestId = null } = request;
      const { id, type, right } = one;
      const { material, hints, use } = right;
      const ticket: Ticket = {
        ledgerId: id,
        source,
        type,
        material,
        hints,
        use,
        channel,
        requestId,
        purpose,
        // What the file is fetched by; its business fields are nobody's until the file leaves.
        certificate: { ...certificate, fields: {} },
      };
      tickets.push({
        codeHash: codeHash(useCode),
        appKey: request.appKey,
        expiresAt,
        ticket: ticket as unknown as JsonObject,
      });
    }
    if (tickets.length > 0) await parts.tickets.issue(tickets, clock.now());
    return codes;
  }

  const refusalOf = (
    request: Parameters<Certificates['refused']>[0],
    holder: Holder | undefined,
    type: string,
    reason: Refusal,
  ): LedgerEntry =>
    entryOf({
      id: randomUUID(),
      at: clock.now(),
      phase: 'asked',
      of: null,
      request,
      holder,
      holderHash: holder === undefined ? '' : hashOf(holder.idNo),
      type,
      state: 'notPermitted',
      reason,
    });

  const entry = (request: RetrievalRequest, one: Asked, phase: LedgerEntry['phase']): LedgerEntry =>
    entryOf({
      id: one.id,
      at: clock.now(),
      phase,
      of: null,
      request,
      holder: one.holder,
      holderHash: hashOf(one.holder.idNo),
      type: one.type,
      ...(typeof one.right === 'string'
        ? { state: 'notPermitted' as const, reason: one.right }
        : { material: one.right.material, use: one.right.use }),
    });

  const answer = (request: RetrievalRequest, one: Asked, { certificate, ...finding }: Finding): LedgerEntry =>
    entryOf({
      id: randomUUID(),
      at: clock.now(),
      phase: 'answered',
      of: one.id,
      request,
      holder: one.holder,
      holderHash: hashOf(one.holder.idNo),
      type: one.type,
      ...(typeof one.right === 'string' ? {} : { material: one.right.material, use: one.right.use }),
      source: finding.source,
      state: finding.state,
      reason: finding.reason?.code ?? null,
      cached: finding.freshness === 'cached' || finding.freshness === 'asOf',
      ...(certificate === undefined || typeof one.right === 'string'
        ? {}
        : {
            identifier: certificate.identifier,
            fields: Object.keys(leaving(certificate, one.right.certificate.fields).fields),
          }),
    });

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
    forget,

    async refused({ purpose, ...request }) {
      const item = purpose.itemCode === undefined ? undefined : catalogue.get(purpose.itemCode);
      const types = request.types ?? (item === undefined ? [''] : typesOf(item));
      const holders = request.holders ?? [undefined];
      const asked = holders.flatMap((holder) => types.map((type) => ({ holder, type })));
      const rows = asked.map(({ holder, type }) => refusalOf({ ...request, purpose }, holder, type, 'noPurpose'));
      await written(rows.slice(0, MOST_AT_ONCE));
    },

    async changed(changes) {
      const stale = changes.map((change) => staleBy(change, hashOf));
      await Promise.all(stale.map((one) => parts.register.spokenOf(one)));
      await Promise.all(stale.map((one) => parts.announce(one)));
    },

    async close() {
      await Promise.allSettled([...underWay.values()].map(({ outcome }) => outcome));
      cache.close();
    },
  };
}

function staleBy(change: CertificateChange, hashOf: (idNo: string) => string): Stale {
  if ('identifier' in change) return { identifier: change.identifier };
  return { type: change.type, holderHash: hashOf(change.holder.idNo) };
}

function nothing(state: RetrievalState, reason: Reason): Finding {
  return { state, reason, source: null, tried: [], fetchedAt: null, freshness: null, warnings: [] };
}

function standing(certificate: Certificate, source: Party, fetchedAt: number, freshness: Freshness): Finding {
  return { state: 'found', source, tried: [], fetchedAt, freshness, warnings: warningsOf(certificate), certificate };
}

/** Only the fields that the matter needs. */
function leaving(certificate: Certificate, fields: readonly string[]): Certificate {
  const { file: _, ...rest } = certificate;
  const kept = fields.flatMap((name) => {
    const value = certificate.fields[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...rest, fields: Object.fromEntries(kept) };
}

const typesOf = ({ materials }: Item): readonly string[] => [
  ...new Set(materials.flatMap(({ certificate }) => certificate?.type ?? [])),
];

/** Everybody with a name and a number in what was submitted, however deep. */
function peopleIn(value: Json): readonly Holder[] {
  if (value === null || typeof value !== 'object') return [];
  if (Array.isArray(value)) return value.flatMap(peopleIn);
  const { name, idType = '111', idNo } = value as JsonObject;
  const inner = Object.values(value as JsonObject).flatMap(peopleIn);
  return typeof name === 'string' && typeof idNo === 'string' && typeof idType === 'string'
    ? [{ name, idType, idNo }, ...inner]
    : inner;
}

function unnamed(code: string, words: Words): Unfit {
  return new Unfit(422, 'unfit', words, [{ pointer: '/holder', code, ...words }]);
}

const whoseUnknown = (): Unfit =>
  unnamed('holderMissing', {
    zh: '须给出持证人（holder 或 holders），或指明已受理的办件，或附申请表（form）',
    en: 'say whose: holder or holders, or a case on record, or the application form',
  });

function tooMany(asked: number): Unfit {
  const words = {
    zh: `一次最多调取 ${MOST_AT_ONCE} 份证照，本次为 ${asked} 份，请分次调取`,
    en: `at most ${MOST_AT_ONCE} certificates at a time, and these are ${asked}: ask in parts`,
  };
  return new Unfit(422, 'unfit', words, [{ pointer: '/holders', code: 'tooMany', ...words }]);
}
