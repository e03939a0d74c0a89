import { isSeenLater, isSupplied } from '../../contracts/materials.ts';
import type { Submission } from '../../contracts/ports/case.ts';
import type { Contracts, Problem } from '../../contracts/ports/contract.ts';
import type { Json, Millis } from '../../contracts/ports/envelope.ts';
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
  now: Millis,
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
  const shapely = problems.every(({ code }) => code === 'channelNotYours');
  problems.push(...materialProblems(body.materials, item, now, problems));
  if (item === undefined || !shapely) return { problems };

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
  problems.push(...(await brokenRules(item, facts)));
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

/** Entries that are looked at; of a longer list its contract tells that it is too long. */
const MOST_MATERIALS = 200;

/**
 * What is wrong with the entries of `materials` beyond their contract: not of this item, nothing handed in, looked at at a time that has not come.
 *
 * @param item undefined: it is not known which it is
 * @param told what the contract has found: an entry that says wrongly what it hands in is not empty
 */
export function materialProblems(
  materials: Json | undefined,
  item: Item | undefined,
  now: Millis,
  told: readonly Problem[],
): readonly Problem[] {
  if (!Array.isArray(materials)) return [];
  const pointers = new Set(told.map(({ pointer }) => pointer.split('/').slice(0, 4).join('/')));
  const known = new Set(item?.materials.map(({ code }) => code));
  return materials.slice(0, MOST_MATERIALS).flatMap((entry, at): readonly Problem[] => {
    if (!isObject(entry)) return [];
    const problems: Problem[] = [];
    if (item !== undefined && typeof entry.code === 'string' && !known.has(entry.code)) {
      problems.push({
        pointer: `/materials/${at}/code`,
        code: 'materialUnknown',
        zh: `该事项的材料为：${[...known].join('、')}`,
        en: `the materials of this item are: ${[...known].join(', ')}`,
      });
    }
    if (isSeenLater(entry.seen, now)) {
      problems.push({
        pointer: `/materials/${at}/seen/at`,
        code: 'seenInFuture',
        zh: '查验原件的时间不得晚于现在',
        en: 'the original cannot have been looked at later than now',
      });
    } else if (!isSupplied(entry, now) && !CONTENT.some((field) => pointers.has(`/materials/${at}/${field}`))) {
      problems.push({ pointer: `/materials/${at}`, ...MATERIAL_EMPTY });
    }
    return problems;
  });
}

const CONTENT = ['digest', 'file', 'seen'] as const;

const MATERIAL_EMPTY = {
  code: 'materialEmpty',
  zh: '只列出材料而没有交来任何内容：须给出 digest（文件的 SM3 摘要）、file（sm3: 或 sha256: 加文件摘要）或 seen（{officer, at}，工作人员已查验纸质原件）之一；由表单、电子证照或办理环节提供的材料无须列出',
  en: 'nothing is handed in here: expected `digest` (SM3 of the file), `file` (sm3: or sha256: and the digest of the file) or `seen` ({officer, at}: who looked at the paper original, and when); leave out what the form, a certificate or a step provides',
} as const;

export function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
