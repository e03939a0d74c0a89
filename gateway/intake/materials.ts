import type { CaseRecord, Submission } from '../../contracts/ports/case.ts';
import type { Certificates, Holder, Purpose, Retrieved } from '../../contracts/ports/certificate.ts';
import type { Problem } from '../../contracts/ports/contract.ts';
import type { Facts, Item, Material } from '../../contracts/ports/item.ts';
import type { MaterialState } from '../../contracts/ports/services.ts';

export interface Gathered {
  readonly states: readonly MaterialState[];
  readonly problems: readonly Problem[];
  readonly certificates: CaseRecord['certificates'];
}

export interface Gathering {
  readonly certificates: Certificates;
  readonly timeLimitMs: number;
  readonly appKey: string;
  readonly traceparent: string;
}

/** What an item asks for, and where each of it comes from: fetched before it is asked for, asked for only when it cannot be fetched. */
export async function gather(item: Item, submission: Submission, facts: Facts, how: Gathering): Promise<Gathered> {
  const uploaded = new Set(submission.materials.map(({ code }) => code));
  const gathered = await Promise.all(item.materials.map((material) => one(material)));
  return {
    states: gathered.map(({ state }) => state),
    problems: gathered.flatMap(({ problems }) => problems),
    certificates: gathered.flatMap(({ certificates }) => certificates),
  };

  async function one(
    material: Material,
  ): Promise<{ state: MaterialState; problems: readonly Problem[]; certificates: CaseRecord['certificates'] }> {
    const { code, title, from } = material;
    const settled = (
      state: MaterialState['state'],
      problems: readonly Problem[] = [],
      certificates: CaseRecord['certificates'] = [],
    ) => ({
      state: { code, title, from, state },
      problems,
      certificates,
    });
    if (material.when !== undefined && !(await material.when(facts))) return settled('notNeeded');
    if (from === 'form') return settled('supplied');
    if (from === 'step') return settled('made');
    if (uploaded.has(code)) return settled('supplied');
    if (material.certificate === undefined) {
      return material.required ? settled('missing', [missing(material)]) : settled('notNeeded');
    }
    const retrieved = await fetched(material.certificate);
    const lacking = retrieved.filter(({ state }) => state !== 'found');
    const certificates = retrieved.flatMap(({ holder, certificate }) =>
      certificate === undefined ? [] : [{ material: code, holder, certificate }],
    );
    if (lacking.length === 0) return settled('fetched', [], certificates);
    if (!material.required) return settled('notNeeded', [], certificates);
    const unavailable = lacking.some(({ state }) => state === 'unavailable');
    return settled(
      unavailable ? 'unavailable' : 'missing',
      lacking.map((result) => unfetched(material, result)),
      certificates,
    );
  }

  async function fetched(wanted: NonNullable<Material['certificate']>): Promise<readonly Retrieved[]> {
    const hints = (await wanted.hints?.(facts)) ?? {};
    const purpose: Purpose = {
      applicationNo: submission.applicationNo,
      itemCode: item.code,
      // At a terminal nobody sits: the app that submits answers for the question.
      clerk: submission.clerk ?? { officerId: how.appKey },
      basis: item.basis,
    };
    const holders = (await wanted.holders(facts)) as unknown as readonly Holder[];
    const answers = await Promise.all(
      holders.map((holder) =>
        how.certificates.retrieve({
          holder: { name: holder.name, idType: holder.idType, idNo: holder.idNo },
          types: [wanted.type],
          purpose,
          hints,
          channel: submission.channel,
          appKey: how.appKey,
          traceparent: how.traceparent,
          timeLimitMs: how.timeLimitMs,
        }),
      ),
    );
    return answers.flat();
  }
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
