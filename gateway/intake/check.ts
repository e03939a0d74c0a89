import type { Submission } from '../../contracts/ports/case.ts';
import type { Contracts, Problem } from '../../contracts/ports/contract.ts';
import type { Json } from '../../contracts/ports/envelope.ts';
import { type Catalogue, type Facts, type Item, ItemUnusable } from '../../contracts/ports/item.ts';
import type { Caller } from '../../contracts/ports/services.ts';

export interface Checked {
  readonly problems: readonly Problem[];
  /** Absent when the submission is not of the contract's shape at all, or its item is unknown: nothing more can be said then. */
  readonly sound?: { readonly submission: Submission; readonly item: Item; readonly facts: Facts };
}

/** Everything that is wrong with a submission and can be seen without asking anybody, at once. */
export async function check(
  submission: Json,
  caller: Caller,
  catalogue: Catalogue,
  contracts: Contracts,
  now: number,
): Promise<Checked> {
  const problems: Problem[] = [...contracts.problems('case.submit@1', submission)];
  const body = isObject(submission) ? submission : {};
  const itemCode = body.itemCode;
  const item = typeof itemCode === 'string' ? catalogue.get(itemCode) : undefined;
  if (typeof itemCode === 'string' && item === undefined && !problems.some(({ pointer }) => pointer === '/itemCode')) {
    problems.push({
      pointer: '/itemCode',
      code: 'itemUnknown',
      zh: '事项目录中没有该事项编码',
      en: 'no such item in the catalogue; see GET /v1/items',
    });
  }
  const channel = body.channel;
  if (
    typeof channel === 'string' &&
    !caller.channels.includes(channel) &&
    !problems.some(({ pointer }) => pointer === '/channel')
  ) {
    problems.push({
      pointer: '/channel',
      code: 'channelNotYours',
      zh: `本应用只能以下列渠道提交：${caller.channels.join('、') || '无'}`,
      en: `this app may submit only for: ${caller.channels.join(', ') || 'no channel'}`,
    });
  }
  if (item !== undefined && isObject(body.form)) {
    for (const problem of contracts.problems(item.form, body.form))
      problems.push({ ...problem, pointer: `/form${problem.pointer}` });
  }
  if (item === undefined || problems.some(({ code }) => code !== 'channelNotYours')) return { problems };

  const sound = submission as unknown as Submission;
  const facts: Facts = {
    case: {
      caseNo: '',
      applicationNo: sound.applicationNo,
      itemCode: sound.itemCode,
      channel: sound.channel,
      acceptedAt: now,
    },
    applicant: sound.applicant,
    agent: sound.agent ?? null,
    form: sound.form,
    materials: sound.materials,
    certificates: [],
    steps: {},
  };
  problems.push(...(await brokenRules(item, facts)), ...unknownMaterials(item, sound));
  return { problems, sound: { submission: sound, item, facts } };
}

/** What the form's schema cannot say. A rule that cannot be evaluated does not hold: the form lacks what it speaks of. */
export async function brokenRules(item: Item, facts: Facts): Promise<readonly Problem[]> {
  const broken: Problem[] = [];
  for (const { pointer, code, words, holds } of item.rules) {
    if (!(await holds(facts).catch(notHolding))) broken.push({ pointer, code, ...words });
  }
  return broken;
}

function notHolding(error: unknown): boolean {
  if (error instanceof ItemUnusable) throw error;
  return false;
}

function unknownMaterials(item: Item, submission: Submission): readonly Problem[] {
  const known = new Set(item.materials.map(({ code }) => code));
  return submission.materials.flatMap(({ code }, at) =>
    known.has(String(code))
      ? []
      : [
          {
            pointer: `/materials/${at}/code`,
            code: 'materialUnknown',
            zh: `该事项的材料为：${[...known].join('、')}`,
            en: `the materials of this item are: ${[...known].join(', ')}`,
          },
        ],
  );
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
