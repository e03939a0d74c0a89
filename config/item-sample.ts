import { compileSchema } from '../contracts/compile.ts';
import type { Contracts, Problem } from '../contracts/ports/contract.ts';
import type { Json, JsonObject } from '../contracts/ports/envelope.ts';
import type { Facts, Item } from '../contracts/ports/item.ts';
import type { WrittenItem } from './item-definition.ts';
import { type Known, stepsBefore } from './item-names.ts';
import schema from './item-sample.schema.json' with { type: 'json' };
import type { Mistake } from './route.ts';

/** `samples/<name>.json` of an item's folder. */
export interface SampleFile {
  readonly name: string;
  readonly text: string;
}

interface Sample {
  readonly acceptedAt: string;
  readonly submission: JsonObject;
  readonly results?: { readonly [step: string]: JsonObject };
}

/** A mistake by its file: `item.json`, or the sample. */
export interface FileMistake extends Mistake {
  readonly file: string;
}

const check = compileSchema(schema as Json, { names: 'shown' });
const CASE_NO = '000000000000000000';

/**
 * Takes an item's sample case along its whole route, as a case would go: its rules hold, its holders can be told, every mapping makes the department's
 * contract, and what steps issue can be issued.
 */
export async function sampleMistakes(
  item: Item,
  written: WrittenItem,
  { name, text }: SampleFile,
  { contracts, offers, types }: Known,
): Promise<readonly FileMistake[]> {
  if (contracts === undefined) return [];
  const file = `samples/${name}`;
  const mistakes: FileMistake[] = [];
  const ofSample = (pointer: string, words: string) => void mistakes.push({ file, pointer, words });
  const ofItem = (pointer: string, words: string) =>
    void mistakes.push({ file: 'item.json', pointer, words: `${words} (${file})` });

  let json: Json;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return [{ file, pointer: '', words: `not JSON: ${(error as Error).message}` }];
  }
  const shape = check(json);
  if (shape.length > 0) return shape.map(({ pointer, en }) => ({ file, pointer, words: en }));
  const { acceptedAt, submission, results = {} } = json as unknown as Sample;

  tellUnder(contracts, 'case.submit@1', submission, '/submission', ofSample);
  tellUnder(contracts, item.form, submission.form ?? null, '/submission/form', ofSample);
  // What is no case of this item would only fail again, at every expression.
  if (mistakes.length > 0) return mistakes;
  if (submission.itemCode !== item.code) ofSample('/submission/itemCode', `the item's code is ${item.code}`);
  const deliverable = new Map(
    item.route.map(({ no, party, contract }) => [
      no,
      offers?.get(party)?.delivers.find((each) => each.contract === contract),
    ]),
  );
  for (const [no, result] of Object.entries(results)) {
    const step = deliverable.get(no);
    if (!item.route.some((each) => each.no === no)) ofSample(`/results/${no}`, `there is no step ${no}`);
    else if (step?.result != null) tellUnder(contracts, step.result, result, `/results/${no}`, ofSample);
  }

  const facts = factsOf(submission, Date.parse(acceptedAt));
  /** The value of an expression; undefined after telling why there is none. */
  async function evaluate<T>(pointer: string, expression: ((facts: Facts) => Promise<T>) | undefined, seen: Facts) {
    if (expression === undefined) return undefined;
    try {
      return await expression(seen);
    } catch (error) {
      ofItem(pointer, `fails on the sample case: ${whyOf(error)}`);
      return undefined;
    }
  }
  async function tellHolders(pointer: string, holders: Parameters<typeof evaluate<readonly Json[]>>[1], seen: Facts) {
    const found = await evaluate(pointer, holders, seen);
    if (found?.length === 0) ofItem(pointer, 'names nobody of the sample case');
  }

  for (const [at, { holds }] of item.rules.entries())
    if ((await evaluate(`/rules/${at}/holds`, holds, facts)) === false)
      ofItem(`/rules/${at}/holds`, 'does not hold for the sample case');
  for (const [at, { when, certificate }] of item.materials.entries()) {
    const asked = when === undefined || (await evaluate(`/materials/${at}/when`, when, facts)) === true;
    if (!asked || certificate === undefined) continue;
    await tellHolders(`/materials/${at}/certificate/holders`, certificate.holders, facts);
    await evaluate(`/materials/${at}/certificate/hints`, certificate.hints, facts);
  }

  const before = stepsBefore(written);
  const ended: { [no: string]: Facts['steps'][string] } = {};
  for (const [at, step] of item.route.entries()) {
    const { no, contract } = step;
    const earlier = Object.entries(ended).filter(([each]) => before.get(no)?.has(each));
    const seen: Facts = { ...facts, steps: Object.fromEntries(earlier) };
    if (step.when !== undefined && (await evaluate(`/route/${at}/when`, step.when, seen)) !== true) {
      ended[no] = { state: 'SKIPPED', number: null, result: null };
      continue;
    }
    const body = await evaluate(`/route/${at}/map`, step.map, seen);
    if (body !== undefined && contracts.has(contract)) {
      for (const problem of contracts.problems(contract, body))
        ofItem(`/route/${at}/map`, `breaks ${contract} on the sample case: ${placeOf(problem)}`);
    }
    const { result = null, replies } = deliverable.get(no) ?? {};
    if (results[no] === undefined && result !== null && replies !== 'never')
      ofSample('/results', `has no result of step ${no} (${result})`);
    ended[no] = { state: 'DONE', number: `N${no}`, result: results[no] ?? {} };
    const after: Facts = { ...seen, steps: { ...seen.steps, [no]: ended[no] } };
    for (const [nth, issue] of (step.issues ?? []).entries()) {
      const pointer = `/route/${at}/issues/${nth}/map`;
      const issued = await evaluate(pointer, issue.map, after);
      if (issued === undefined) continue;
      for (const words of issuedMistakes(issued, types?.get(issue.type)?.fields)) ofItem(pointer, words);
    }
    for (const [nth, end] of (step.ends ?? []).entries()) {
      await tellHolders(`/route/${at}/ends/${nth}/holders`, end.holders, after);
      await evaluate(`/route/${at}/ends/${nth}/number`, end.number, after);
    }
  }
  return mistakes;
}

const ISSUED = ['holders', 'identifier', 'number', 'validFrom', 'validTo', 'fields'];

/** What a certificate is made of: {holders, number, identifier?, validFrom?, validTo?, fields?}. */
function issuedMistakes(
  issued: JsonObject,
  known: { readonly [name: string]: unknown } | undefined,
): readonly string[] {
  const mistakes: string[] = [];
  for (const name of Object.keys(issued))
    if (!ISSUED.includes(name)) mistakes.push(`an issued certificate has no ${name}; it has ${ISSUED.join(', ')}`);
  const holders = [issued.holders ?? null].flat(2);
  const isPerson = (one: Json): boolean =>
    one !== null &&
    typeof one === 'object' &&
    !Array.isArray(one) &&
    typeof one.name === 'string' &&
    typeof one.idNo === 'string';
  if (!holders.some(isPerson)) mistakes.push('gives no holder on the sample case');
  for (const name of ['validFrom', 'validTo']) {
    const day = issued[name];
    if (typeof day === 'string' && day !== '' && !/^\d{8}$/.test(day))
      mistakes.push(`${name} is no day (YYYYMMDD) on the sample case`);
  }
  const { fields = {} } = issued;
  if (known !== undefined && fields !== null && typeof fields === 'object' && !Array.isArray(fields)) {
    for (const name of Object.keys(fields))
      if (known[name] === undefined)
        mistakes.push(`this type has no field ${name}; it has ${Object.keys(known).join(', ')}`);
  }
  return mistakes;
}

function tellUnder(
  contracts: Contracts,
  name: string,
  value: Json,
  place: string,
  tell: (pointer: string, words: string) => void,
): void {
  // That it is not published is told where it is named.
  if (!contracts.has(name)) return;
  for (const { pointer, en } of contracts.problems(name, value)) tell(`${place}${pointer}`, `${en} (${name})`);
}

const placeOf = ({ pointer, en }: Problem): string => `${pointer || '/'}: ${en}`;

/** JSONata's own word for it; never a value. */
const whyOf = (error: unknown): string => (error instanceof Error ? error.message : 'failed');

function factsOf(submission: JsonObject, acceptedAt: number): Facts {
  const {
    applicationNo,
    itemCode,
    channel,
    applicant,
    agent = null,
    form,
    materials,
  } = submission as unknown as Facts & {
    readonly applicationNo: string;
    readonly itemCode: string;
    readonly channel: string;
  };
  return {
    case: { caseNo: CASE_NO, applicationNo, itemCode, channel, acceptedAt },
    applicant,
    agent,
    form,
    materials,
    certificates: [],
    steps: {},
  };
}
