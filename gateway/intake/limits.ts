import { withoutUnwanted } from '../../contracts/characters.ts';
import { type Check, schemaCompiler } from '../../contracts/compile.ts';
import { FORMATS } from '../../contracts/formats.ts';
import { linearPattern } from '../../contracts/linear-pattern.ts';
import { choicesIn, generalised, Place, probeOf } from '../../contracts/places.ts';
import type { Deliverable, TextLimit } from '../../contracts/ports/adapter.ts';
import type { Problem, PublishedContract } from '../../contracts/ports/contract.ts';
import type { ContractName, Json, JsonObject, Party, Words } from '../../contracts/ports/envelope.ts';
import type { Catalogue, Facts, Item, RouteStep } from '../../contracts/ports/item.ts';
import { limitProblems, valuesAt } from '../../contracts/text-limits.ts';
import { watched } from './reads.ts';

/** What the departments of an item cannot hold of a submission, told by the submission's own fields. */
export interface DepartmentLimits {
  /**
   * Every text that a department of a step which applies cannot take: too long for its record, of characters that its encoding does not have, or against its
   * contract. What hangs on an earlier step's result is not told yet.
   *
   * @param wrong what is told of the submission already: nothing more is said of those places
   */
  problems(item: Item, facts: Facts, wrong: readonly Problem[]): Promise<readonly Problem[]>;
}

export interface LimitParts {
  readonly catalogue: Catalogue;
  readonly contracts: readonly PublishedContract[];
  /** Of a party that is connected, what it takes under a contract. */
  readonly taker: (
    party: Party,
    contract: ContractName,
  ) => { readonly title: Words; readonly deliverable: Deliverable } | undefined;
}

/** A text of the submission that a step's message holds as it is. */
interface Followed {
  readonly step: RouteStep;
  /** RFC 6901 into the submission; `*` for every member of a list. */
  readonly from: string;
  readonly limits: readonly Limit[];
}

/** Something that a department asks of a text. */
interface Limit {
  /** Where in the message it is asked, RFC 6901 with `*`. */
  readonly places: readonly string[];
  /** What is wrong with the text, told at a place of the submission. */
  tell(text: string, pointer: string): readonly Told[];
}

interface Told extends Problem {
  readonly party: Party;
  /** Of several limits of the same kind at the same place, the one with the least room is told. */
  readonly room: number;
}

/** A text of this submission that is beyond what a department asks, if its message holds it. */
interface Suspect {
  readonly step: RouteStep;
  readonly value: string;
  readonly places: readonly string[];
  readonly told: readonly Told[];
}

/**
 * Follows every text of the items' forms through their mappings, once, at the start: each text of a probe is a mark, and the messages are searched for it. A
 * submission is then compared with the table that comes of it; only where a text is beyond a limit is its step's mapping asked whether the message of just this
 * submission would hold it.
 */
export async function departmentLimits({ catalogue, contracts, taker }: LimitParts): Promise<DepartmentLimits> {
  const documents = contracts.map(({ schema }) => schema);
  const compile = schemaCompiler();
  const compiled = new Map<string, Check>();
  const tables = new Map<string, readonly Followed[]>();
  for (const item of catalogue.list()) tables.set(item.code, await tableOf(item));

  return {
    async problems(item, facts, wrong) {
      const open = new Set(item.route.map(({ no }) => no));
      const places = wrong.filter(({ code }) => code !== 'unknownField');
      const values = new Map<string, ReturnType<typeof valuesAt>>();
      const suspects = (tables.get(item.code) ?? []).flatMap((followed) => {
        if (!open.has(followed.step.no)) return [];
        // Several steps are sent the same text.
        const here = values.get(followed.from) ?? valuesAt(facts as unknown as Json, followed.from);
        values.set(followed.from, here);
        return suspectsOf(followed, here, places);
      });
      const told: Told[] = [];
      for (const [step, ofStep] of Map.groupBy(suspects, (one) => one.step)) {
        if (!(await applies(step, facts))) continue;
        const message = await step.map(facts).catch(() => undefined);
        if (message === undefined) continue;
        // The mapping may choose between fields of the form: only what it sends of this one is told.
        for (const one of ofStep)
          if (one.places.some((place) => valuesAt(message, place).some(({ value }) => value === one.value)))
            told.push(...one.told);
      }
      return eachOnce(told);
    },
  };

  /** Most texts are fine, and a look at each rule says so; only for the others there are sentences to make. */
  function checkOf(schema: JsonObject): Check {
    const holds = quickCheck(schema);
    const tell = compile(schema);
    return (text) => (holds(String(text)) ? [] : tell(text));
  }

  async function tableOf(item: Item): Promise<readonly Followed[]> {
    if (documents.every(({ $id }) => $id !== item.form)) return [];
    const submission = Place.root(submissionSchema(item.form), documents);
    const probes = probesOf(submission, item, taker, documents);
    const steps = await Promise.all(
      item.route.map(async (step) => {
        const contract = documents.find(({ $id }) => $id === step.contract);
        if (contract === undefined) return [];
        return followedBy(step, submission, Place.root(contract, documents), await follow(step, probes));
      }),
    );
    return steps.flat();
  }

  function followedBy(
    step: RouteStep,
    submission: Place,
    message: Place,
    found: ReadonlyMap<string, ReadonlySet<string>>,
  ): readonly Followed[] {
    const known = taker(step.party, step.contract);
    const department: Department = { party: step.party, title: known?.title ?? { zh: step.party, en: step.party } };
    const all = known?.deliverable.limits ?? [];
    const ofSystem = (places: readonly string[]): readonly TextLimit[] =>
      all.filter(({ pointer }) => places.some((place) => matches(pointer, place)));
    /** Two members of a list are treated alike. */
    const signature = (from: string): string => {
      const places = [...(found.get(from) ?? [])];
      return JSON.stringify([places.map(starred).sort(), ofSystem(places).map((limit) => all.indexOf(limit))]);
    };
    const followed = new Map<string, Followed>();
    for (const [from, to] of found) {
      const general = generalised(from, (one) => signature(one) === signature(from));
      if (followed.has(general)) continue;
      const places = general === from ? [...to] : [...new Set([...to].map(starred))];
      const limits = [
        ...ofSystem([...to]).map((limit) => systemLimit(limit, department)),
        ...contractLimits(submission.at(general), places, message, department),
      ];
      if (limits.length > 0) followed.set(general, { step, from: general, limits });
    }
    return [...followed.values()];
  }

  /** What a message's contract asks of a text beyond what the form's contract asks of it already. */
  function contractLimits(
    from: Place,
    places: readonly string[],
    message: Place,
    department: Department,
  ): readonly Limit[] {
    const own = from.schemas(true);
    return places.flatMap((place) => {
      const asked = message
        .at(place)
        .schemas(true)
        .map((schema) => beyondOwn(schema, own))
        .filter((schema) => schema !== undefined);
      return asked.map((schema): Limit => {
        const key = JSON.stringify(schema);
        const check = compiled.get(key) ?? checkOf(schema);
        compiled.set(key, check);
        return {
          places: [place],
          tell: (text, pointer) => check(text).map((problem) => brokenContract(problem, schema, pointer, department)),
        };
      });
    });
  }
}

/** A step whose condition waits for another step does not apply yet. */
async function applies({ when }: RouteStep, facts: Facts): Promise<boolean> {
  if (when === undefined) return true;
  const seen = watched(facts);
  const holds = await when(seen.facts).catch(() => undefined);
  return holds === true && (Object.keys(facts.steps).length > 0 || !seen.readAny(['/steps']));
}

function suspectsOf(
  { step, limits }: Followed,
  values: ReturnType<typeof valuesAt>,
  wrong: readonly Problem[],
): readonly Suspect[] {
  return values.flatMap(({ pointer, value }) => {
    if (typeof value !== 'string') return [];
    const here = wrong.filter((one) => pointer === one.pointer || pointer.startsWith(`${one.pointer}/`));
    // Without what nobody sees it may be right, and may still be too long; of anything else that is wrong nothing more can be said.
    if (here.some(({ code }) => code !== 'characterNotAllowed')) return [];
    const text = here.length === 0 ? value : withoutUnwanted(value);
    return limits.flatMap(({ places, tell }) => {
      const told = tell(text, pointer);
      return told.length === 0 ? [] : [{ step, value, places, told }];
    });
  });
}

/** What a step's expressions see of a submission. */
const submissionSchema = (form: ContractName): JsonObject => ({
  type: 'object',
  required: ['form', 'applicant', 'agent'],
  properties: {
    form: { $ref: `${form}#` },
    applicant: { $ref: 'case.submit@1#/properties/applicant' },
    agent: { $ref: 'case.submit@1#/properties/agent' },
  },
});

interface Probed {
  readonly facts: Facts;
  /** The same submission when every step has come to its result; absent where only what is chosen is looked for. */
  readonly later?: Facts;
  readonly marks: ReadonlyMap<string, string>;
}

/** More ways than this of one choice are not all tried: what is not found has no limit here. */
const MOST_WAYS = 8;

function probesOf(
  submission: Place,
  item: Item,
  taker: LimitParts['taker'],
  documents: readonly JsonObject[],
): readonly Probed[] {
  const mark = (nth: number): string => `〔${nth}〕`;
  const later = resultsOf(item, taker, documents);
  const ways = Math.min(MOST_WAYS, Math.max(1, ...choicesIn(submission).map((one) => one.ways)));
  const whole = Array.from({ length: ways }, (_, way) => {
    const { body, marks } = probeOf(submission, { choose: () => way, omit: () => false, mark });
    return { facts: factsOf(item, body), later: { ...factsOf(item, body), steps: later }, marks };
  });
  const form = submission.property('form');
  const optional = form.names.filter((name) => !form.requires(name));
  const parts = optional.map((name) => {
    const omit = (pointer: string): boolean => pointer === `/form/${name}`;
    const { body, marks } = probeOf(submission, { choose: () => 0, omit, mark });
    return { facts: factsOf(item, body), marks };
  });
  return [...whole, ...parts];
}

function factsOf(item: Item, { form, applicant, agent }: JsonObject): Facts {
  return {
    case: {
      caseNo: '331124261123000001',
      applicationNo: '1',
      itemCode: item.code,
      channel: 'window',
      acceptedAt: Date.parse('2026-11-23T09:30:00+08:00'),
    },
    applicant: applicant as JsonObject,
    agent: agent as JsonObject,
    form: form as JsonObject,
    materials: [],
    certificates: [],
    steps: {},
  };
}

function resultsOf(item: Item, taker: LimitParts['taker'], documents: readonly JsonObject[]): Facts['steps'] {
  return Object.fromEntries(
    item.route.map(({ no, party, contract }) => {
      const name = taker(party, contract)?.deliverable.result;
      const schema = documents.find(({ $id }) => $id === name);
      const variation = { choose: () => 0, omit: () => false, mark: (nth: number) => `r${nth}` };
      const result = schema === undefined ? {} : probeOf(Place.root(schema, documents), variation).body;
      return [no, { state: 'DONE', number: '1', result }];
    }),
  );
}

/** For each text of the submission the places of a step's message at which it stands, and nothing but it. */
async function follow(step: RouteStep, probes: readonly Probed[]): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const found = new Map<string, Set<string>>();
  const denied = new Set<string>();
  for (const { facts, later, marks } of probes) {
    const now = await standing(step, facts, marks);
    const then = later === undefined ? undefined : new Set(await standing(step, later, marks));
    for (const one of now) {
      const [from, to] = JSON.parse(one) as [string, string];
      // What an earlier step comes to may put something else there.
      if (then?.has(one) === false) denied.add(one);
      found.set(from, (found.get(from) ?? new Set()).add(to));
    }
  }
  for (const [from, places] of found)
    for (const to of places) if (denied.has(JSON.stringify([from, to]))) places.delete(to);
  return new Map([...found].filter(([, places]) => places.size > 0));
}

async function standing(step: RouteStep, facts: Facts, marks: ReadonlyMap<string, string>): Promise<readonly string[]> {
  const message = await step.map(facts).catch(() => undefined);
  const pairs: string[] = [];
  const see = (value: Json | undefined, pointer: string): void => {
    const from = typeof value === 'string' ? marks.get(value) : undefined;
    if (from !== undefined) pairs.push(JSON.stringify([from, pointer]));
    if (value === null || typeof value !== 'object') return;
    for (const [name, inside] of Object.entries(value)) see(inside as Json, `${pointer}/${escaped(name)}`);
  };
  see(message, '');
  return pairs;
}

function systemLimit(limit: TextLimit, { party, title }: Department): Limit {
  return {
    places: [limit.pointer],
    tell: (text, pointer) =>
      limitProblems(limit, text, pointer, title).map((problem) => ({ ...problem, party, room: limit.maxBytes ?? 0 })),
  };
}

/** A department to name. */
interface Department {
  readonly party: Party;
  readonly title: Words;
}

function brokenContract(
  { code, zh, en }: Problem,
  { maxLength }: JsonObject,
  pointer: string,
  { party, title }: Department,
): Told {
  return {
    pointer,
    code: code === 'maxLength' ? 'tooLongForDepartment' : 'notTakenByDepartment',
    zh: `${title.zh}的系统不接受此处内容：${zh}`,
    en: `the system of ${title.en} does not take this: ${en}`,
    party,
    room: typeof maxLength === 'number' ? maxLength : 0,
  };
}

/** One department is told once of one kind of problem at one place, by the limit with the least room. */
function eachOnce(told: readonly Told[]): readonly Problem[] {
  const once = new Map<string, Told>();
  for (const one of told) {
    const key = `${one.pointer} ${one.code} ${one.party}`;
    const before = once.get(key);
    if (before === undefined || one.room < before.room) once.set(key, one);
  }
  return [...once.values()].map(({ pointer, code, zh, en }) => ({ pointer, code, zh, en }));
}

/** Of a text's schema what these do not ask already; undefined when that is nothing. */
function beyondOwn(schema: JsonObject, own: readonly JsonObject[]): JsonObject | undefined {
  const least = (name: 'maxLength' | 'minLength', holds: (own: number, asked: number) => boolean): boolean =>
    own.some((one) => typeof one[name] === 'number' && holds(one[name], Number(schema[name])));
  const same = (name: 'pattern' | 'format'): boolean => own.some((one) => one[name] === schema[name]);
  const known = {
    maxLength: least('maxLength', (mine, asked) => mine <= asked),
    minLength: least('minLength', (mine, asked) => mine >= asked),
    pattern: same('pattern'),
    format: same('format'),
    enum: false,
    const: false,
  };
  const asked = Object.entries(known).flatMap(([name, is]): [string, Json][] => {
    const value = schema[name];
    return is || value === undefined ? [] : [[name, value]];
  });
  if (asked.length === 0) return undefined;
  const expects = schema['x-expects'];
  return { type: 'string', ...Object.fromEntries(asked), ...(expects === undefined ? {} : { 'x-expects': expects }) };
}

/** True only when a text certainly meets a schema of `beyondOwn`. */
function quickCheck({ maxLength, minLength, pattern, format, enum: choices, const: only }: JsonObject) {
  const fits = typeof pattern === 'string' ? linearPattern(pattern) : undefined;
  const { holds } = (typeof format === 'string' ? FORMATS[format] : undefined) ?? {};
  const other = choices !== undefined || only !== undefined || (format !== undefined && holds === undefined);
  // A character takes one or two of what `length` counts.
  const [most, least] = [maxLength ?? Number.POSITIVE_INFINITY, Number(minLength ?? 0) * 2 - 1];
  return (text: string): boolean =>
    !other &&
    text.length <= Number(most) &&
    text.length >= least &&
    (fits?.test(text) ?? true) &&
    (holds?.(text) ?? true);
}

function matches(pattern: string, pointer: string): boolean {
  const [wanted, given] = [pattern.split('/'), pointer.split('/')];
  return (
    wanted.length === given.length &&
    wanted.every((step, at) => step === given[at] || (step === '*' && /^\d+$/.test(given[at] ?? '')))
  );
}

const starred = (pointer: string): string =>
  pointer
    .split('/')
    .map((step) => (/^\d+$/.test(step) ? '*' : step))
    .join('/');
const escaped = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1');
