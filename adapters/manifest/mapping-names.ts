import {
  ANY,
  eitherOf,
  fieldShape,
  fieldsShape,
  followNames,
  type Naming,
  type Shape,
  schemaShape,
} from '../../contracts/expression-names.ts';
import type { PublishedContract } from '../../contracts/ports/contract.ts';
import type { ContractName, JsonObject } from '../../contracts/ports/envelope.ts';
import { FAULT_POLICY } from '../../contracts/ports/fault.ts';
import type { CodeTables, LookCloser, ManifestAsWritten } from './manifest.ts';

/** An operation as far as its mappings see it: what it is about, its calls, and the contract that its answer is held against. */
interface Operation {
  readonly place: string;
  readonly calls: readonly string[];
  /** What it is about: `envelope`, `number`, `query`, `certificate`, `document`, `claim`. */
  readonly about: { readonly [name: string]: Shape };
  readonly number?: string | undefined;
  /** Whether their record is of this case. */
  readonly same?: string | undefined;
  readonly answer?: string | undefined;
  readonly at?: string | undefined;
  readonly dedupe?: string | undefined;
  readonly base64?: string | undefined;
  readonly gives?: ContractName | undefined;
}

/** @param schemas every contract that the manifest may speak of */
export const mappingNames =
  (schemas: readonly PublishedContract[]): LookCloser =>
  (given) =>
    tellMissingNames(schemas, given);

/**
 * Tells every name in a manifest's mappings that is not there: fields of the contracts that are sent, settings, code tables, functions, what the log-in gives,
 * earlier calls; and answers that give what their contract does not have. What stands in the party's own replies is not known here: samples show that.
 */
function tellMissingNames(schemas: readonly PublishedContract[], given: Parameters<LookCloser>[0]): void {
  const { written, functions, sourceOf, wrong, wrongIn } = given;
  const documents = schemas.map(({ name, schema }) => ({ ...schema, $id: name }));
  const byName = new Map(documents.map((schema) => [schema.$id, schema]));
  const contractShape = (name: ContractName): Shape => {
    const schema = byName.get(name);
    return schema === undefined ? ANY : schemaShape(name, schema);
  };
  const { session, calls } = written;
  const operations = operationsOf(written, contractShape);
  const settings = schemaShape('settings', written.settings);
  const codes = codesOf(written.codes ?? {});
  const base = { settings, now: ANY };

  /** What the mapping gives; each missing name told. */
  function look(place: string, text: string | undefined, input: Shape, more: Partial<Naming> = {}): Shape {
    const source = text === undefined ? undefined : sourceOf(text);
    if (text === undefined || source === undefined) return ANY;
    const { missing, gives } = followNames(source, { input, functions, documents, arguments: codes, ...more });
    for (const { line, words } of missing) {
      if (text.endsWith('.jsonata')) wrongIn(text, line, words);
      else wrong(place, words);
    }
    return gives;
  }

  const sees = (fields: { readonly [name: string]: Shape }): Shape => fieldsShape(fields, 'what this mapping sees');
  const anyReplies = (names: readonly string[]): Shape =>
    fieldsShape(Object.fromEntries(names.map((name) => [name, ANY])), 'the replies of earlier calls');

  // What the log-in gives is what everybody else sees as `session`.
  const logIn = (place: string, one: { readonly calls: readonly string[]; readonly map: string } | undefined): Shape =>
    one === undefined
      ? ANY
      : look(
          `${place}/map`,
          one.map,
          sees({ ...base, session: ANY, replies: anyReplies(one.calls.slice(0, -1)), reply: ANY }),
        );
  const loggedIn = session === undefined ? [] : [logIn('/session/login', session.login)];
  if (session?.renew !== undefined) loggedIn.push(logIn('/session/renew', session.renew));
  const held = session === undefined ? {} : { session: eitherOf(loggedIn.map(withEnd)) };
  look('/session/renew/while', session?.renew?.while, sees({ ...base, ...held }));

  for (const [name, { send, read }] of Object.entries(calls)) {
    const place = `/calls/${name}`;
    const using = operations.filter((operation) => operation.calls.includes(name));
    const logsIn = [session?.login, session?.renew].filter((one) => one?.calls.includes(name));
    const input =
      using.length + logsIn.length === 0
        ? ANY
        : sees({
            ...base,
            ...held,
            ...unionOf(
              name,
              using,
              logsIn.map((one) => one?.calls ?? []),
            ),
          });
    const body = look(`${place}/send/map`, send.map, input);
    if (send.seal !== undefined)
      look(
        `${place}/send/seal`,
        send.seal,
        input.kind === 'fields' ? sees({ ...input.fields, text: ANY, body }) : input,
      );
    look(`${place}/read/open`, read.open, ANY, { variables: { ...base, session: held.session ?? ANY } });
  }

  for (const { place, calls: own, about, gives, answer, ...texts } of operations) {
    const input = sees({ ...base, ...held, ...about, replies: anyReplies(own.slice(0, -1)), reply: ANY });
    for (const name of ['number', 'same', 'at', 'dedupe', 'base64'] as const)
      look(`${place}/${name}`, texts[name], input);
    const shape = look(`${place}/answer`, answer, input);
    if (gives !== undefined)
      for (const words of unfit(shape, contractShape(gives), gives)) wrong(`${place}/answer`, words);
  }

  const push = written.operations.collect?.callback;
  if (push === undefined) return;
  const place = '/operations/collect/callback';
  const request = fieldsShape({ method: ANY, headers: ANY, query: ANY, path: ANY, bytes: ANY }, 'a request');
  const pushed = sees({ ...base, replies: anyReplies([]), reply: ANY, text: ANY, request });
  look(`${place}/read/open`, push.read.open, ANY, { variables: { ...base, session: ANY } });
  for (const name of ['verify', 'about', 'at', 'dedupe', 'answer', 'changed'] as const)
    look(`${place}/${name}`, push[name], pushed);
  for (const name of ['reply', 'notTaken'] as const) look(`${place}/${name}/text`, push[name].text, pushed);

  /** What a call sees that several operations may make. */
  function unionOf(
    name: string,
    using: readonly Operation[],
    logIns: readonly (readonly string[])[],
  ): { [name: string]: Shape } {
    const about = new Map<string, Shape[]>();
    for (const operation of using)
      for (const [key, shape] of Object.entries(operation.about)) about.set(key, [...(about.get(key) ?? []), shape]);
    const earlier = [...using.map((operation) => operation.calls), ...logIns].flatMap((all) =>
      all.slice(0, all.indexOf(name)),
    );
    return {
      ...Object.fromEntries([...about].map(([key, shapes]) => [key, eitherOf(shapes)])),
      replies: anyReplies([...new Set(earlier)]),
    };
  }
}

function withEnd(shape: Shape): Shape {
  return shape.kind === 'fields' ? fieldsShape({ until: ANY, ...shape.fields }, 'what the log-in gives') : ANY;
}

function operationsOf(
  { operations }: ManifestAsWritten,
  contractShape: (name: ContractName) => Shape,
): readonly Operation[] {
  const {
    deliver = {},
    inquire = {},
    collect,
    queries = {},
    certificates = {},
    documents = {},
    verify,
    probe,
  } = operations;
  const at = (place: string, key: string): string =>
    `/operations/${place}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  const envelope = (contract: ContractName) => ({
    envelope: fieldsShape(
      {
        id: ANY,
        caseNo: ANY,
        stepNo: ANY,
        contract: ANY,
        body: contractShape(contract),
        revision: ANY,
        firstSentAt: ANY,
      },
      'an envelope',
    ),
  });
  const result = (contract: ContractName) => deliver[contract]?.result;
  return [
    ...Object.entries(deliver).map(([name, one]) => ({
      ...one,
      place: at('deliver', name),
      about: envelope(name),
      gives: one.result,
    })),
    ...Object.entries(inquire).map(([name, one]) => ({
      ...one,
      place: at('inquire', name),
      about: envelope(name),
      gives: result(name),
    })),
    ...Object.entries(collect?.ask ?? {}).map(([name, one]) => ({
      ...one,
      place: at('collect/ask', name),
      about: { ...envelope(name), number: ANY },
      gives: result(name),
    })),
    ...Object.entries(queries).map(([name, one]) => ({
      ...one,
      place: at('queries', name),
      about: { query: contractShape(one.request) },
      gives: one.reply,
    })),
    ...Object.entries(certificates).map(([type, one]) => ({
      ...one,
      place: at('certificates', type),
      about: { certificate: CERTIFICATE },
    })),
    ...Object.entries(documents).map(([type, one]) => ({
      ...one,
      place: at('documents', type),
      about: { certificate: CERTIFICATE, document: DOCUMENT },
    })),
    ...(verify === undefined ? [] : [{ ...verify, place: '/operations/verify', about: { claim: CLAIM } }]),
    { ...probe, place: '/operations/probe', about: {} },
  ];
}

const FAULT_KINDS: readonly string[] = Object.keys(FAULT_POLICY);

const fieldsOf = (names: string, of: string, more: { readonly [name: string]: Shape } = {}): Shape =>
  fieldsShape({ ...Object.fromEntries(names.split(' ').map((name) => [name, ANY])), ...more }, of);
const PURPOSE = fieldsOf('caseNo applicationNo itemCode basis use mandateId', 'a purpose', {
  clerk: fieldsOf('officerId deptUscc windowId', 'a clerk'),
});
const CERTIFICATE = fieldsOf('type cause hints', 'a certificate query', {
  holder: fieldsOf('name idType idNo', 'a holder'),
  purpose: PURPOSE,
});
const DOCUMENT = fieldsOf('identifier number reference mediaType digest', 'a document');
const CLAIM = fieldsOf('identifier type number', 'a claim');

/** What an answer gives that its contract does not have, or does not give that the contract wants; only where the mapping makes the object itself. */
function unfit(shape: Shape, contract: Shape, name: ContractName): readonly string[] {
  if (shape.kind !== 'fields' || contract.kind !== 'schema') return [];
  const documents: readonly JsonObject[] = contract.parts.map(({ document }) => document);
  const foreign = Object.keys(shape.fields).flatMap((key) => {
    const found = fieldShape(contract, key, documents);
    return typeof found === 'string' ? [found] : [];
  });
  const required = contract.parts.flatMap(({ schema }) => (Array.isArray(schema.required) ? schema.required : []));
  const lacking = required.filter((key) => typeof key === 'string' && shape.fields[key] === undefined);
  return [...foreign, ...lacking.map((key) => `does not give ${String(key)}, which ${name} requires`)];
}

function codesOf(codes: CodeTables) {
  const tables = Object.keys(codes);
  return (name: string, [first]: readonly (string | undefined)[]): string | undefined => {
    if (first === undefined) return undefined;
    if ((name === 'code' || name === 'decode') && !tables.includes(first))
      return `there is no code table ${first}; there are ${tables.join(', ') || 'none'}`;
    if (name === 'fault' && !FAULT_KINDS.includes(first))
      return `there is no fault ${first}; there are ${FAULT_KINDS.join(', ')}`;
    return undefined;
  };
}
