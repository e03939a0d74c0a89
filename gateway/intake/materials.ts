import { isSupplied } from '../../contracts/materials.ts';
import type { CaseRecord, Deadline, Owed, Submission } from '../../contracts/ports/case.ts';
import type { Holder, Purpose } from '../../contracts/ports/certificate.ts';
import { type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject, Millis } from '../../contracts/ports/envelope.ts';
import type { Facts, Item, Material, TimeLimit } from '../../contracts/ports/item.ts';
import {
  type Certificates,
  isNegative,
  type RetrievalRequest,
  type Retrieved,
} from '../../contracts/ports/retrieval.ts';
import type { MaterialState } from '../../contracts/ports/services.ts';
import { watched } from './reads.ts';

export interface Gathered {
  readonly states: readonly MaterialState[];
  readonly problems: readonly Problem[];
  readonly certificates: CaseRecord['certificates'];
  readonly owed: readonly Owed[];
}

export interface Gathering {
  readonly certificates: Certificates;
  readonly timeLimitMs: number;
  readonly appKey: string;
  readonly traceparent: string;
  readonly now: Millis;
  readonly deadline: (from: Millis, limit: TimeLimit) => Deadline;
  /** Left out: a submission, of which everything is looked at. */
  readonly correction?: Correction;
}

/** What a correction is held against: only what it adds or changes is looked for. */
export interface Correction {
  readonly record: CaseRecord;
  /** The matter as it was before it. */
  readonly before: Facts;
  /** Handed in with it; what was handed in earlier says nothing of what is new. */
  readonly broughtNow: readonly JsonObject[];
}

type Settled = Gathered & { readonly states: readonly [MaterialState] };

/** Whose certificates are looked for; `everybody`: of all whom the matter names. */
type Wanted = ReadonlyMap<Material, readonly Holder[] | 'everybody'>;

const codesOf = (materials: readonly JsonObject[], now: Millis): ReadonlySet<string> =>
  new Set(materials.filter((entry) => isSupplied(entry, now)).map(({ code }) => String(code)));

/**
 * What an item asks for, and where each of it comes from: fetched before it is asked for, asked for only when it cannot be fetched. A source is asked also where
 * something was handed in: its "no" is not healed by a paper, unless the item says so.
 */
export async function gather(item: Item, submission: Submission, facts: Facts, how: Gathering): Promise<Gathered> {
  const { correction } = how;
  const uploaded = codesOf(submission.materials, how.now);
  /** What may stand in for a certificate. */
  const standIns = correction === undefined ? uploaded : codesOf(correction.broughtNow, how.now);
  const needed = await neededBy(item, facts);
  const wanted: Wanted =
    correction === undefined
      ? new Map([...needed].filter(hasCertificate).map((material) => [material, 'everybody'] as const))
      : await wantedAnew(item, needed, facts, correction, standIns);
  // All of them under one time limit, and in the ledger by one write.
  const retrieved = wanted.size === 0 ? [] : await fetched();
  const gathered = item.materials.map((material) => one(material));
  return {
    states: gathered.flatMap(({ states }) => states),
    problems: gathered.flatMap(({ problems }) => problems),
    certificates: gathered.flatMap(({ certificates }) => certificates),
    owed: gathered.flatMap(({ owed }) => owed),
  };

  function one(material: Material): Settled {
    const { code, title, from, certificate: wants } = material;
    const settled = (state: MaterialState['state'], more: Partial<Gathered> & { asOf?: Millis } = {}): Settled => {
      const { asOf, problems = [], certificates = [], owed = [] } = more;
      return {
        states: [{ code, title, from, state, ...(asOf === undefined ? {} : { asOf }) }],
        problems,
        certificates,
        owed,
      };
    };
    if (!needed.has(material)) return settled('notNeeded');
    if (from === 'form') return settled('supplied');
    if (from === 'step') return settled('made');
    if (wants === undefined) {
      if (uploaded.has(code)) return settled('supplied');
      return material.required ? settled('missing', { problems: [missing(material)] }) : settled('notNeeded');
    }
    // A correction that changes nothing about it: what was found or handed in before stands.
    if (!wanted.has(material)) return settled('supplied');
    const handedIn = standIns.has(code);
    const results = retrieved.filter((result) => result.material === code);
    // Nobody could be told whose it would be: that is no reason to do without it.
    if (results.length === 0) {
      if (handedIn) return settled('supplied');
      return material.required ? settled('missing', { problems: [missing(material)] }) : settled('notNeeded');
    }
    const lacking = results.filter(({ state }) => state !== 'found');
    const certificates = results.flatMap(({ holder, certificate }) =>
      certificate === undefined ? [] : [{ material: code, holder, certificate }],
    );
    if (lacking.length === 0) {
      const copies = results.flatMap(({ freshness, fetchedAt }) =>
        freshness === 'asOf' && fetchedAt !== null ? [fetchedAt] : [],
      );
      return settled('fetched', { certificates, ...(copies.length === 0 ? {} : { asOf: Math.min(...copies) }) });
    }
    const negative = wants.uploadMayReplace === 'invalid' && handedIn ? [] : lacking.filter(isNegative);
    if (negative.length > 0 && (material.required || handedIn)) {
      const others = handedIn ? [] : lacking.filter((result) => !isNegative(result));
      const problems = [
        ...negative.map((result) => invalid(material, result)),
        ...others.map((result) => unfetched(material, result)),
      ];
      return settled('missing', { problems: distinct(problems), certificates });
    }
    if (handedIn) return settled('supplied', { certificates });
    if (!material.required) return settled('notNeeded', { certificates });
    // Only what could not be asked for may be owed: where every source has searched and has none, nothing will come.
    const away = lacking.every(({ state }) => state === 'unavailable');
    const { whenDown } = wants;
    if (away && whenDown?.do === 'later') {
      const due = how.deadline(how.now, whenDown.within);
      const owed = lacking.map(
        ({ type, holder, reason }): Owed => ({
          material: code,
          title,
          type,
          holder,
          steps: whenDown.steps,
          since: how.now,
          due,
          reason: reason ?? { code: 'unavailable', zh: '来源不可用', en: 'its source is not available' },
          told: false,
        }),
      );
      return settled('owed', { certificates, owed });
    }
    return settled(lacking.some(({ state }) => state === 'unavailable') ? 'unavailable' : 'missing', {
      problems: distinct(lacking.map((result) => unfetched(material, result))),
      certificates,
    });
  }

  async function fetched(): Promise<readonly Retrieved[]> {
    const purpose: Purpose = {
      ...(correction === undefined ? {} : { caseNo: correction.record.caseNo }),
      applicationNo: submission.applicationNo,
      itemCode: item.code,
      // At a terminal nobody sits: the app that submits answers for the question.
      clerk: submission.clerk ?? { officerId: how.appKey },
      basis: item.basis,
    };
    const request = {
      purpose,
      facts,
      hints: {},
      channel: submission.channel,
      appKey: how.appKey,
      traceparent: how.traceparent,
      timeLimitMs: how.timeLimitMs,
    };
    if (correction === undefined) return everybodys(request, [...wanted.keys()]);
    const results = [...wanted].map(([{ certificate }, holders]) =>
      certificate === undefined || holders === 'everybody'
        ? []
        : how.certificates.retrieve({ ...request, correction: true, holders, types: [certificate.type] }),
    );
    return (await Promise.all(results)).flat();
  }

  /** In parts where there are more than one question may be about: a house of many owners is no reason to turn them away. */
  async function everybodys(
    request: Omit<RetrievalRequest, 'types'>,
    materials: readonly Material[],
  ): Promise<readonly Retrieved[]> {
    const types = [...new Set(materials.flatMap(({ certificate }) => certificate?.type ?? []))];
    try {
      return await how.certificates.retrieve({ ...request, types });
    } catch (error) {
      const tooMany = error instanceof Unfit && error.problems.some(({ code }) => code === 'tooMany');
      if (!tooMany || types.length === 1) throw error;
      const parts = types.map((type) => how.certificates.retrieve({ ...request, types: [type] }));
      return (await Promise.all(parts)).flat();
    }
  }
}

/** The materials that this matter needs. A condition that cannot be evaluated holds. */
async function neededBy(item: Item, facts: Facts): Promise<ReadonlySet<Material>> {
  const needed = new Set<Material>();
  for (const material of item.materials)
    if (material.when === undefined || (await material.when(facts).catch(() => true))) needed.add(material);
  return needed;
}

const hasCertificate = ({ certificate }: Material): boolean => certificate !== undefined;

/**
 * What a correction must have fetched: certificates of persons who are new, of another house or contract than before, of materials that were not needed before, and
 * those for which it hands something in. Not those that this very case has ended meanwhile by a step that is done.
 */
async function wantedAnew(
  item: Item,
  needed: ReadonlySet<Material>,
  facts: Facts,
  { record, before }: Correction,
  broughtNow: ReadonlySet<string>,
): Promise<Wanted> {
  const neededBefore = await neededBy(item, before);
  const done = new Set(record.steps.filter(({ state }) => state === 'DONE').map(({ no }) => no));
  const spent = new Set(item.route.flatMap(({ no, ends = [] }) => (done.has(no) ? ends.map(({ type }) => type) : [])));
  const wanted = new Map<Material, readonly Holder[]>();
  for (const material of needed) {
    const { code, certificate } = material;
    if (certificate === undefined || spent.has(certificate.type)) continue;
    const now = await askedFor(certificate, facts);
    const earlier = neededBefore.has(material) ? await askedFor(certificate, before) : { holders: [], hints: '' };
    const isNew = (holder: Holder): boolean =>
      now.hints !== earlier.hints || !earlier.holders.some((one) => keyOf(one) === keyOf(holder));
    const isHeld = (holder: Holder): boolean =>
      record.certificates.some((one) => one.material === code && keyOf(one.holder) === keyOf(holder));
    const holders = now.holders.filter((holder) => isNew(holder) || (broughtNow.has(code) && !isHeld(holder)));
    if (holders.length > 0) wanted.set(material, holders);
  }
  return wanted;
}

async function askedFor(
  { holders, hints }: NonNullable<Material['certificate']>,
  facts: Facts,
): Promise<{ readonly holders: readonly Holder[]; readonly hints: string }> {
  const [whose, which] = await Promise.all([
    holders(facts).catch((): Json[] => []),
    hints?.(facts).catch((): JsonObject => ({})),
  ]);
  return { holders: whose as unknown as readonly Holder[], hints: JSON.stringify(which ?? {}) };
}

const keyOf = ({ name, idType, idNo }: Holder): string => JSON.stringify([name, idType, idNo]);

/** What the case owes for somebody, or for something, that the corrected matter no longer names. */
export async function noLongerOwed(item: Item, facts: Facts, owed: readonly Owed[]): Promise<readonly Owed[]> {
  if (owed.length === 0) return [];
  const needed = await neededBy(item, facts);
  const still = new Map<string, ReadonlySet<string>>();
  for (const { code, certificate } of needed) {
    if (certificate !== undefined && owed.some(({ material }) => material === code))
      still.set(code, new Set((await askedFor(certificate, facts)).holders.map(keyOf)));
  }
  return owed.filter(({ material, holder }) => still.get(material)?.has(keyOf(holder)) !== true);
}

/** Each thing that is wrong is told once, however many persons it is about: whose it is, is not told. */
const distinct = (problems: readonly Problem[]): readonly Problem[] => [
  ...new Map(problems.map((problem) => [`${problem.code} ${problem.en}`, problem])).values(),
];

const EMPTY_ENTRY: ReadonlySet<string> = new Set(['materialEmpty', 'seenInFuture']);

/**
 * Materials that only the applicant can bring, and has not: told also where the rest of a submission is wrong, unless the need of one depends on just that.
 * Whether a certificate can be fetched is seen when it may be asked for.
 */
export async function missingUploads(item: Item, facts: Facts, wrong: readonly Problem[]): Promise<readonly Problem[]> {
  // What is listed and empty is told at its place.
  const places = wrong.filter(({ code }) => !EMPTY_ENTRY.has(code)).map(({ pointer }) => pointer);
  // Entries that are told to be wrong may be meant for any material.
  if (places.some((place) => place === '/materials' || place.startsWith('/materials/'))) return [];
  const brought = new Set(facts.materials.map(({ code }) => code));
  const lacking: Problem[] = [];
  for (const material of item.materials) {
    if (material.from !== 'upload' || !material.required || brought.has(material.code)) continue;
    const seen = watched(facts);
    const needed = material.when === undefined || (await material.when(seen.facts).catch(() => false));
    if (needed && !seen.readAny(places)) lacking.push(missing(material));
  }
  return lacking;
}

const missing = ({ code, title }: Material): Problem => ({
  pointer: '/materials',
  code: 'materialMissing',
  zh: `缺少材料 ${code} ${title.zh}，请上传`,
  en: `material ${code} (${title.en}) is missing: upload it`,
});

/** Tells which material and why, never whose: the holder is a person. */
function unfetched({ code, title }: Material, { state, reason }: Retrieved): Problem {
  if (state === 'unavailable') {
    return {
      pointer: '/materials',
      code: 'certificateUnavailable',
      zh: `材料 ${code} ${title.zh} 暂时无法调取（${reason?.zh ?? '来源不可用'}），请稍后再试或上传`,
      en: `material ${code} (${title.en}) cannot be fetched now (${reason?.en ?? 'its source is not available'}): try again later, or upload it`,
    };
  }
  return {
    pointer: '/materials',
    code: 'certificateNone',
    zh: `材料 ${code} ${title.zh} 未查到可用的电子证照（${reason?.zh ?? '无记录'}），请上传`,
    en: `material ${code} (${title.en}): no usable certificate was found (${reason?.en ?? 'no record'}): upload it`,
  };
}

/** A source knows it, and says no. */
function invalid({ code, title, certificate }: Material, { reason }: Retrieved): Problem {
  const mends = certificate?.uploadMayReplace === 'invalid';
  const zh = mends ? '如确有变化，请上传新的材料' : '上传材料不能代替，请先向发证机关办理';
  const en = mends ? 'if it has changed, upload it' : 'nothing handed in can stand in for it: go to its issuer first';
  return {
    pointer: '/materials',
    code: 'certificateInvalid',
    zh: `材料 ${code} ${title.zh}：${reason?.zh ?? '来源答复不可使用'}；${zh}`,
    en: `material ${code} (${title.en}): ${reason?.en ?? 'its source says that it is not to be used'}; ${en}`,
  };
}
