import { isSeenLater, isSupplied } from '../../contracts/materials.ts';
import type { Submission } from '../../contracts/ports/case.ts';
import type { BodyNormaliser, Contracts, Problem } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject, Millis } from '../../contracts/ports/envelope.ts';
import { type Catalogue, type Facts, type Item, ItemUnusable } from '../../contracts/ports/item.ts';
import type { Caller } from '../../contracts/ports/services.ts';
import { missingUploads } from './materials.ts';
import { watched } from './reads.ts';

export interface Checked {
  readonly problems: readonly Problem[];
  /** Absent when the submission is not of the contract's shape, or its item is unknown: no certificate can be asked for then. */
  readonly sound?: { readonly submission: Submission; readonly item: Item; readonly facts: Facts };
}

/** What the departments of an item cannot hold of these facts; `wrong` are places that are told to be wrong already. */
export type CheckLimits = (item: Item, facts: Facts, wrong: readonly Problem[]) => Promise<readonly Problem[]>;

/**
 * Everything that is wrong with a submission and can be seen without asking anybody, at once: its form, the item's rules, materials that only the applicant has,
 * and what a department's system cannot hold. One thing that is wrong hides no other, but for those that depend on it.
 *
 * @param sent as it came; what is checked, and what `sound` has, is the one way in which it is kept
 */
export async function check(
  sent: Json,
  caller: Caller,
  catalogue: Catalogue,
  contracts: Contracts & BodyNormaliser,
  now: Millis,
  limits: CheckLimits,
): Promise<Checked> {
  const { submission, item } = read(sent, catalogue, contracts);
  const problems: Problem[] = [...contracts.problems('case.submit@1', submission)];
  const body = objectOf(submission);
  const itemCode = body.itemCode;
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
  if (item !== undefined && isObject(body.form)) problems.push(...formProblems(contracts, item, body.form));
  const unfitMaterials = materialProblems(body.materials, item, now, problems);
  // Too deep, too large, or no object at all: nothing in it can be looked at.
  if (item === undefined || problems.some(({ code, pointer }) => pointer === '' && code !== 'unknownField'))
    return { problems: [...problems, ...unfitMaterials] };

  const facts = factsOf(body, now);
  const wrong = problems.filter(({ code }) => code !== 'channelNotYours');
  const sound = wrong.length === 0;
  problems.push(
    ...unfitMaterials,
    ...(sound ? await brokenRules(item, facts) : await rulesBrokenAnyway(item, facts, wrong)),
    ...(sound ? [] : await missingUploads(item, facts, [...wrong, ...unfitMaterials])),
    ...(await limits(item, facts, wrong)),
  );
  return sound ? { problems, sound: { submission: submission as unknown as Submission, item, facts } } : { problems };
}

/** A submission as it is kept: its form under the contract of its item. */
function read(
  sent: Json,
  catalogue: Catalogue,
  contracts: BodyNormaliser,
): { readonly submission: Json; readonly item: Item | undefined } {
  const submission = contracts.normalise('case.submit@1', sent);
  const { itemCode, form } = objectOf(submission);
  const item = typeof itemCode === 'string' ? catalogue.get(itemCode) : undefined;
  if (item === undefined || form === undefined) return { submission, item };
  return { submission: { ...objectOf(submission), form: contracts.normalise(item.form, form) }, item };
}

/** Under the item's contract; pointers are the submission's. */
export function formProblems(contracts: Contracts, item: Item, form: JsonObject): readonly Problem[] {
  return contracts
    .problems(item.form, form)
    .map((problem) => ({ ...problem, pointer: problem.pointer === '' ? '/form' : `/form${problem.pointer}` }));
}

/** What is not of its shape is nothing: its place is among the problems. */
function factsOf(body: JsonObject, now: number): Facts {
  const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
  const { applicationNo, itemCode, channel, applicant, agent, form, materials } = body;
  return {
    case: {
      caseNo: '',
      applicationNo: text(applicationNo),
      itemCode: text(itemCode),
      channel: text(channel),
      acceptedAt: now,
    },
    applicant: objectOf(applicant),
    agent: isObject(agent) ? agent : null,
    form: objectOf(form),
    materials: Array.isArray(materials) ? materials.filter(isObject) : [],
    certificates: [],
    steps: {},
  };
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
    const isCode = typeof entry.code === 'string' && !pointers.has(`/materials/${at}/code`);
    if (item !== undefined && isCode && !known.has(entry.code as string)) {
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

/** The same beside other problems: a rule that looked at something wrong says nothing yet. */
export async function rulesBrokenAnyway(
  item: Item,
  facts: Facts,
  wrong: readonly Problem[],
): Promise<readonly Problem[]> {
  const places = placesOf(wrong);
  const broken: Problem[] = [];
  for (const { pointer, code, words, holds } of item.rules) {
    const seen = watched(facts);
    const held = await holds(seen.facts).catch(() => undefined);
    if (held === false && !seen.readAny(places)) broken.push({ pointer, code, ...words });
  }
  return broken;
}

/** Where a value may change when these are mended; a field that nobody knows is none that an expression knows. */
function placesOf(wrong: readonly Problem[]): readonly string[] {
  return wrong.filter(({ code }) => code !== 'unknownField').map(({ pointer }) => pointer);
}

const objectOf = (value: Json | undefined): JsonObject => (isObject(value) ? value : {});

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
