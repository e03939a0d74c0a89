import type { CaseRecord, Deadline, Owed, Submission } from '../../contracts/ports/case.ts';
import type { Purpose } from '../../contracts/ports/certificate.ts';
import type { Problem } from '../../contracts/ports/contract.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { Facts, Item, Material, TimeLimit } from '../../contracts/ports/item.ts';
import type { Certificates, Retrieved } from '../../contracts/ports/retrieval.ts';
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
}

type Settled = Gathered & { readonly states: readonly [MaterialState] };

/** What an item asks for, and where each of it comes from: fetched before it is asked for, asked for only when it cannot be fetched. */
export async function gather(item: Item, submission: Submission, facts: Facts, how: Gathering): Promise<Gathered> {
  const uploaded = new Set(submission.materials.map(({ code }) => code));
  const needed = new Set<Material>();
  for (const material of item.materials)
    if (material.when === undefined || (await material.when(facts))) needed.add(material);
  const wanted = [...needed].filter(({ code, certificate }) => certificate !== undefined && !uploaded.has(code));
  // All of them under one time limit, and in the ledger by one write.
  const retrieved = wanted.length === 0 ? [] : await fetched(wanted);
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
    if (uploaded.has(code)) return settled('supplied');
    const without = () =>
      material.required ? settled('missing', { problems: [missing(material)] }) : settled('notNeeded');
    if (wants === undefined) return without();
    const results = retrieved.filter((result) => result.material === code);
    // Nobody could be told whose it would be: that is no reason to do without it.
    if (results.length === 0) return without();
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
      problems: lacking.map((result) => unfetched(material, result)),
      certificates,
    });
  }

  function fetched(materials: readonly Material[]): Promise<readonly Retrieved[]> {
    const purpose: Purpose = {
      applicationNo: submission.applicationNo,
      itemCode: item.code,
      // At a terminal nobody sits: the app that submits answers for the question.
      clerk: submission.clerk ?? { officerId: how.appKey },
      basis: item.basis,
    };
    return how.certificates.retrieve({
      types: materials.flatMap(({ certificate }) => certificate?.type ?? []),
      purpose,
      facts,
      hints: {},
      channel: submission.channel,
      appKey: how.appKey,
      traceparent: how.traceparent,
      timeLimitMs: how.timeLimitMs,
    });
  }
}

/**
 * Materials that only the applicant can bring, and has not: told also where the rest of a submission is wrong, unless the need of one depends on just that.
 * Whether a certificate can be fetched is seen when it may be asked for.
 */
export async function missingUploads(item: Item, facts: Facts, wrong: readonly Problem[]): Promise<readonly Problem[]> {
  const places = wrong.map(({ pointer }) => pointer);
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
