import type { Submission } from '../../contracts/ports/case.ts';
import type { BodyNormaliser, Contracts, Problem } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import type { Catalogue, Facts, Item } from '../../contracts/ports/item.ts';
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
  now: number,
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
  // Too deep, too large, or no object at all: nothing in it can be looked at.
  if (item === undefined || problems.some(({ code, pointer }) => pointer === '' && code !== 'unknownField'))
    return { problems };

  const facts = factsOf(body, now);
  const wrong = problems.filter(({ code }) => code !== 'channelNotYours');
  const sound = wrong.length === 0;
  problems.push(
    ...(sound ? await brokenRules(item, facts) : await rulesBrokenAnyway(item, facts, wrong)),
    ...unknownMaterials(item, facts),
    ...(sound ? [] : await missingUploads(item, facts, wrong)),
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
    if (!(await holds(facts).catch(() => false))) broken.push({ pointer, code, ...words });
  }
  return broken;
}

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

function unknownMaterials(item: Item, { materials }: Facts): readonly Problem[] {
  const known = new Set(item.materials.map(({ code }) => code));
  return materials.flatMap(({ code }, at) =>
    typeof code !== 'string' || known.has(code)
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

const objectOf = (value: Json | undefined): JsonObject => (isObject(value) ? value : {});

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
