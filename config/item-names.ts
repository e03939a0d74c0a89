import { ANY, fieldShape, fieldsShape, missingNames, type Shape, schemaShape } from '../contracts/expression-names.ts';
import type { PartyOffers } from '../contracts/ports/adapter.ts';
import type { Contracts } from '../contracts/ports/contract.ts';
import type { ContractName, JsonObject, Party } from '../contracts/ports/envelope.ts';
import type { CertificateTypes } from '../contracts/ports/item.ts';
import { FUNCTION_NAMES } from './expression.ts';
import type { WrittenItem } from './item-definition.ts';
import type { Mistake } from './route.ts';

/** What an item is checked against; what is left out is not looked at. */
export interface Known {
  readonly parties?: ReadonlySet<Party> | readonly Party[];
  readonly types?: CertificateTypes;
  readonly contracts?: Contracts;
  /** Of those parties whose folder can be read. */
  readonly offers?: ReadonlyMap<Party, PartyOffers>;
}

/** As a source: the certificates that our own cases made. */
export const REGISTER: Party = 'register';

const SUBMISSION: ContractName = 'case.submit@1';

/** Contracts that are not published or not taken, certificates that no source offers, rule pointers that lead nowhere. */
export function linkMistakes(item: WrittenItem, known: Known): readonly Mistake[] {
  const { contracts, offers } = known;
  const parties = known.parties === undefined ? undefined : new Set(known.parties);
  const mistakes: Mistake[] = [];
  const published = (name: ContractName): boolean => contracts === undefined || contracts.has(name);
  const missing = (pointer: string, name: ContractName) =>
    void mistakes.push({ pointer, words: `the contract ${name} is not published` });
  if (!published(item.form)) missing('/form', item.form);
  for (const [at, { party, contract }] of item.route.entries()) {
    const taken = offers?.get(party)?.delivers.map((each) => each.contract);
    // What a party publishes whose folder cannot be read is not known; that is told of its folder.
    if (!published(contract) && (taken !== undefined || parties?.has(party) !== true)) {
      missing(`/route/${at}/contract`, contract);
    } else if (taken?.includes(contract) === false) {
      const words = `${party} does not take ${contract}; it takes ${taken.join(', ') || 'nothing'}`;
      mistakes.push({ pointer: `/route/${at}/contract`, words });
    }
  }
  for (const [at, { certificate }] of item.materials.entries()) {
    for (const [nth, source] of (certificate?.sources ?? []).entries()) {
      const offered = source === REGISTER ? undefined : offers?.get(source)?.certificates;
      if (certificate === undefined || offered === undefined || offered.includes(certificate.type)) continue;
      const words = `${source} is no source of ${certificate.type}; it answers for ${offered.join(', ') || 'none'}`;
      mistakes.push({ pointer: `/materials/${at}/certificate/sources/${nth}`, words });
    }
  }
  if (contracts !== undefined) mistakes.push(...pointerMistakes(item, contracts));
  return mistakes;
}

/** Rules speak of places in the submission: `/form/buyers/0/share`. */
function pointerMistakes(item: WrittenItem, contracts: Contracts): readonly Mistake[] {
  const documents = schemasOf(contracts);
  const submission = contracts.get(SUBMISSION)?.schema;
  const form = contracts.get(item.form)?.schema;
  return item.rules.flatMap(({ pointer }, at) => {
    let shape = submission === undefined ? ANY : schemaShape(SUBMISSION, submission);
    const steps = pointer.split('/').slice(1);
    for (const [nth, step] of steps.entries()) {
      // A place in a list is a number: the list is looked through.
      if (nth > 0 && /^\d+$/.test(step)) continue;
      const found =
        nth === 0 && step === 'form'
          ? form === undefined
            ? ANY
            : schemaShape(item.form, form)
          : fieldShape(shape, step.replaceAll('~1', '/').replaceAll('~0', '~'), documents);
      if (typeof found === 'string')
        return [{ pointer: `/rules/${at}/pointer`, words: `${pointer} leads nowhere: ${found}` }];
      shape = found;
    }
    return [];
  });
}

/** What is told of an expression: its place in item.json, the file it stands in if it does, and the line there. */
export interface NameMistake extends Mistake {
  readonly file: string | undefined;
  readonly line: number;
}

/**
 * Every name in the item's expressions that is not there when they run: fields of the form, steps that do not exist or have not ended by then, fields of their
 * results, functions.
 *
 * @param sourceOf the text of an expression, undefined when its file is not there
 */
export function nameMistakes(
  item: WrittenItem,
  { contracts, offers }: Known,
  sourceOf: (text: string) => string | undefined,
): readonly NameMistake[] {
  if (contracts === undefined) return [];
  const documents = schemasOf(contracts);
  const mistakes: NameMistake[] = [];
  const submission = contracts.get(SUBMISSION)?.schema;
  const submitted = (name: string): Shape => {
    if (submission === undefined) return ANY;
    const found = fieldShape(schemaShape(SUBMISSION, submission), name, documents);
    return typeof found === 'string' ? ANY : found;
  };
  const formSchema = contracts.get(item.form)?.schema;
  const before = stepsBefore(item);

  function look(pointer: string, text: string | undefined, steps: Shape): void {
    const source = text === undefined ? undefined : sourceOf(text);
    if (text === undefined || source === undefined) return;
    const input = fieldsShape(
      {
        case: fieldsShape({ caseNo: ANY, applicationNo: ANY, itemCode: ANY, channel: ANY, acceptedAt: ANY }, 'case'),
        applicant: submitted('applicant'),
        agent: submitted('agent'),
        form: formSchema === undefined ? ANY : schemaShape(item.form, formSchema),
        materials: submitted('materials'),
        certificates: CERTIFICATES,
        steps,
      },
      'what an expression sees',
    );
    const naming = { input, functions: FUNCTION_NAMES, gives: GIVES, documents };
    const file = text.endsWith('.jsonata') ? text : undefined;
    for (const { line, words } of missingNames(source, naming)) mistakes.push({ pointer, file, line, words });
  }

  /** What an expression sees of the steps in `ended`. */
  function stepsShape(ended: ReadonlySet<string>, why: string): Shape {
    const fields = item.route
      .filter(({ no }) => ended.has(no))
      .map(({ no, party, contract }) => [no, stepShape(resultShape(party, contract))] as const);
    const missing = (no: string): string =>
      item.route.some((step) => step.no === no) ? `step ${no} ${why}` : `there is no step ${no}`;
    return { kind: 'fields', fields: Object.fromEntries(fields), missing };
  }

  function resultShape(party: Party, contract: ContractName): Shape {
    const delivered = offers?.get(party)?.delivers.find((each) => each.contract === contract);
    if (delivered === undefined) return ANY;
    if (delivered.replies === 'never') return fieldsShape({}, `the result of ${contract}`);
    const schema = delivered.result === null ? undefined : contracts?.get(delivered.result)?.schema;
    return schema === undefined || delivered.result === null ? ANY : schemaShape(delivered.result, schema);
  }

  const none = stepsShape(new Set(), 'has not begun when this is asked');
  for (const [at, { when, certificate }] of item.materials.entries()) {
    look(`/materials/${at}/when`, when, none);
    look(`/materials/${at}/certificate/holders`, certificate?.holders, none);
    look(`/materials/${at}/certificate/hints`, certificate?.hints, none);
  }
  for (const [at, { holds }] of item.rules.entries()) look(`/rules/${at}/holds`, holds, none);
  for (const [at, { no, when, map, issues = [], ends = [] }] of item.route.entries()) {
    const earlier = before.get(no) ?? new Set<string>();
    const seen = stepsShape(earlier, `does not come before step ${no}`);
    look(`/route/${at}/when`, when, seen);
    look(`/route/${at}/map`, map, seen);
    const after = stepsShape(new Set([...earlier, no]), `does not come before step ${no}`);
    for (const [nth, issue] of issues.entries()) look(`/route/${at}/issues/${nth}/map`, issue.map, after);
    for (const [nth, end] of ends.entries()) {
      look(`/route/${at}/ends/${nth}/holders`, end.holders, after);
      look(`/route/${at}/ends/${nth}/number`, end.number, after);
    }
  }
  return mistakes;
}

const PERSON = fieldsShape({ name: ANY, idType: ANY, idNo: ANY, mobile: ANY }, 'a person');
const GIVES = {
  person: PERSON,
  owner: fieldsShape({ name: ANY, idType: ANY, idNo: ANY, mobile: ANY, share: ANY }, 'an owner'),
};
const CERTIFICATES = fieldsShape(
  { material: ANY, stepNo: ANY, holder: PERSON, certificate: ANY },
  'a certificate of the case',
);
const stepShape = (result: Shape): Shape => fieldsShape({ state: ANY, number: ANY, result }, 'a step');

/** For each step, those that have ended when it begins. */
export function stepsBefore({ route }: Pick<WrittenItem, 'route'>): ReadonlyMap<string, ReadonlySet<string>> {
  const after = new Map(route.map((step) => [step.no, step.after]));
  return new Map(
    route.map(({ no }) => {
      const reached = new Set<string>();
      const open = [...(after.get(no) ?? [])];
      for (let next = open.pop(); next !== undefined; next = open.pop()) {
        if (reached.has(next)) continue;
        reached.add(next);
        open.push(...(after.get(next) ?? []));
      }
      return [no, reached];
    }),
  );
}

const schemasOf = (contracts: Contracts): readonly JsonObject[] => contracts.list().map(({ schema }) => schema);
