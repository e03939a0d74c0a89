import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseDocument } from 'yaml';
import { compileSchema } from '../../contracts/compile.ts';
import { compileMapping, type Mapping, type MappingFunctions, namesGivenTo } from '../../contracts/mapping.ts';
import type { Terms } from '../../contracts/ports/adapter.ts';
import type { Problem } from '../../contracts/ports/contract.ts';
import type { ContractName, Json, JsonObject, Millis, Party, Words } from '../../contracts/ports/envelope.ts';
import { MOST_VALUE_NAMES } from '../../contracts/ports/once-values.ts';
import type { Encoding, OnLoss } from '../wire/text/encoding.ts';
import type { FixedLayout } from '../wire/text/fixed.ts';
import type { FrameOptions } from '../wire/wire.ts';
import type { Rule } from './answers.ts';
import { pushMistakes } from './callback-rules.ts';
import manifestSchema from './manifest.schema.json' with { type: 'json' };
import { type NamesUsed, namesUsed } from './names-used.ts';

/** The format is described in docs/manifest.md; a text that is an expression here becomes a `Mapping` when the manifest is read. */
export interface Manifest {
  readonly party: Party;
  readonly title: Words;
  readonly owner: string;
  readonly version: string;
  /** JSON Schema of the deployment's settings. */
  readonly settings: JsonObject;
  /** Its terms name `attempts`, which ends nothing any more. */
  readonly namesAttempts: boolean;
  readonly terms: Terms & {
    readonly connectMs: number;
    /** For inquiries that have none of their own. */
    readonly settleMs: Millis;
  };
  readonly wire: { readonly kind: 'http' } | ({ readonly kind: 'tcp-frame' } & FrameOptions);
  readonly calls: { readonly [name: string]: WireCall };
  readonly session: Login | undefined;
  readonly deliver: { readonly [contract: ContractName]: Deliver };
  readonly inquire: { readonly [contract: ContractName]: Inquire };
  readonly ask: { readonly [contract: ContractName]: Ask };
  readonly callback: Callback | undefined;
  readonly queries: { readonly [name: string]: Query };
  readonly certificates: { readonly [type: string]: Answered };
  /** By type, or `*`. */
  readonly documents: { readonly [type: string]: FileOf };
  readonly verify: Answered | undefined;
  readonly probe: { readonly calls: readonly string[] };
}

export type TextForm = 'xml' | 'json' | 'form' | 'fixed' | 'text' | 'none';

export interface WireCall {
  readonly name: string;
  readonly write: boolean;
  readonly send: {
    readonly method: string;
    readonly path: string;
    readonly headers: { readonly [name: string]: string };
    readonly as: TextForm;
    readonly encoding: Encoding;
    readonly onLoss: OnLoss;
    readonly contentType: string | undefined;
    readonly layout: FixedLayout | undefined;
    readonly map: Mapping;
    readonly seal: Mapping | undefined;
  };
  readonly read: Read;
  readonly rules: readonly Rule[];
}

export interface Read {
  /** `bytes`: handed on as they come, and never held whole. */
  readonly as: TextForm | 'bytes';
  readonly encoding: Encoding | 'auto';
  readonly root: string | undefined;
  readonly lists: readonly string[];
  readonly layout: FixedLayout | undefined;
  readonly maxBytes: number;
  readonly open: Mapping | undefined;
}

export interface Login {
  readonly login: { readonly calls: readonly string[]; readonly map: Mapping };
  readonly renew:
    | { readonly calls: readonly string[]; readonly map: Mapping; readonly while: Mapping | undefined }
    | undefined;
  readonly refreshAheadMs: number;
  readonly newKillsOld: boolean;
}

export interface Answered {
  readonly calls: readonly string[];
  readonly answer: Mapping;
}
/** `base64` undefined: the last call's reply is the file. */
export interface FileOf {
  readonly calls: readonly string[];
  readonly base64: Mapping | undefined;
}
export interface Filed {
  readonly calls: readonly string[];
  readonly number: Mapping | undefined;
  readonly answer: Mapping | undefined;
}
export interface Inquire extends Filed {
  /** Whether the record they show is of the envelope's case; nothing: it cannot be told. */
  readonly same: Mapping | undefined;
  /** Instead of the terms'. */
  readonly settleMs: Millis | undefined;
}
export interface Deliver extends Filed {
  readonly replies: 'atOnce' | 'later' | 'never';
  readonly result: ContractName | null;
}
export interface Ask extends Answered {
  readonly at: Mapping | undefined;
  readonly dedupe: Mapping | undefined;
}
export interface Query extends Answered {
  readonly title: Words;
  readonly request: ContractName;
  readonly reply: ContractName;
}
export interface Said {
  readonly status: number;
  readonly contentType: string;
  readonly text: Mapping;
  readonly encoding: Encoding;
}
export interface Callback {
  readonly read: Read;
  readonly verify: Mapping;
  /** What `verify` takes: settings that may not be empty; of the reply, and then so much is read before anything is proved. */
  readonly proof: NamesUsed;
  readonly rules: readonly Rule[];
  /** Which envelope, and what they say of it; both, or neither where only certificates are spoken of. */
  readonly about: Mapping | undefined;
  readonly at: Mapping | undefined;
  readonly dedupe: Mapping | undefined;
  readonly answer: Mapping | undefined;
  /** Which certificates are not what they were. */
  readonly changed: Mapping | undefined;
  readonly reply: Said;
  readonly notTaken: Said;
}

/** Every mistake of a manifest at once, one line each: file, place, what is wrong. For its author. */
export class ManifestError extends Error {
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(`a manifest has mistakes:\n${mistakes.map((mistake) => `  ${mistake}`).join('\n')}`);
    this.name = 'ManifestError';
    this.mistakes = mistakes;
  }
}

const check = compileSchema(manifestSchema as Json, { names: 'shown' });
const checkTerms = compileSchema({ ...manifestSchema.$defs.terms, $id: 'terms@1' } as Json, { names: 'shown' });

/** What is wrong with terms, a manifest's or a deployment's own. */
export function termsProblems(terms: Json): readonly Problem[] {
  const problems = checkTerms(terms);
  const { backoffMs } = (terms ?? {}) as Partial<Terms>;
  if (problems.length > 0 || backoffMs === undefined || backoffMs.first <= backoffMs.max) return problems;
  const words = { zh: '不得小于 backoffMs.first', en: 'expected at least backoffMs.first' };
  return [{ pointer: '/backoffMs/max', code: 'minimum', ...words }];
}

/** Names in place of a party's: who decided, and where a certificate is from. */
const RESERVED: ReadonlySet<string> = new Set(['gateway', 'register']);

/** What a manifest leaves out. */
export const DEFAULT_TERMS = {
  idempotent: false,
  concurrency: 4,
  deadlineMs: 20_000,
  connectMs: 3_000,
  quota: null,
  closed: [],
  backoffMs: { first: 1_000, max: 300_000 },
  breaker: { failures: 5, windowMs: 30_000, openMs: 15_000 },
  askAfterMs: [],
  settleMs: 60_000,
} as const satisfies Manifest['terms'];

/** A look at a manifest's mappings as they are written; whatever is wrong is told by its place. */
export type LookCloser = (given: {
  readonly written: ManifestAsWritten;
  /** That mappings may call, besides JSONata's own. */
  readonly functions: ReadonlySet<string>;
  /** The text of an expression; undefined when its file is not there. */
  readonly sourceOf: (text: string) => string | undefined;
  readonly wrong: (place: string, words: string) => void;
  /** The same of a line in a file of the folder, which several places may name. */
  readonly wrongIn: (mapping: string, line: number, words: string) => void;
}) => void;

const MIB = 1_048_576;
/** Of a value that `$once` fixes. */
const VALUE_NAME = /^[A-Za-z][A-Za-z0-9-]{0,39}$/;

/**
 * Reads `<folder>/manifest.yaml` and compiles every expression in it.
 * @param functions gives the functions its mappings may call, from its own code tables
 * @param contracts those of its `schemas/`, and whatever else is published
 * @param lookCloser what else is looked at in a manifest that is right by itself
 * @throws ManifestError with every mistake
 */
export function readManifest(
  folder: string,
  functions: (codes: CodeTables) => MappingFunctions,
  contracts: ReadonlySet<ContractName>,
  lookCloser?: LookCloser,
): Manifest {
  const file = `${path.basename(folder)}/manifest.yaml`;
  const mistakes: string[] = [];
  const wrong = (place: string, what: string): void => void mistakes.push(`${file} ${place}: ${what}`);

  const document = parseDocument(readFileSync(path.join(folder, 'manifest.yaml'), 'utf8'), {
    merge: true,
    prettyErrors: true,
  });
  if (document.errors.length > 0) throw new ManifestError(document.errors.map(({ message }) => `${file}: ${message}`));
  const json = JSON.parse(JSON.stringify(document.toJS() ?? null)) as JsonObject;
  for (const { pointer, en } of check(json)) wrong(pointer, en);
  // What is not of the right shape cannot be looked at any closer.
  if (mistakes.length > 0) throw new ManifestError(mistakes);
  const written = json as unknown as ManifestAsWritten;
  if (written.party !== path.basename(folder)) wrong('/party', `the folder is named ${path.basename(folder)}`);
  if (RESERVED.has(written.party))
    wrong('/party', `${written.party} stands for this gateway itself: choose another name`);
  for (const { pointer, en } of termsProblems(json.terms ?? null)) wrong(`/terms${pointer}`, en);

  try {
    compileSchema(written.settings);
  } catch (error) {
    wrong('/settings', (error as Error).message);
  }
  for (const name of written.wire.kind === 'http' ? ['baseUrl'] : ['host', 'port'])
    if (!Object.hasOwn((written.settings.properties ?? {}) as JsonObject, name))
      wrong('/settings/properties', `this wire needs the setting ${name}`);
  for (const name of ['terms', 'tls'])
    if (Object.hasOwn((written.settings.properties ?? {}) as JsonObject, name))
      wrong(`/settings/properties/${name}`, `every party has ${name} already: choose another name`);
  const known = functions(written.codes ?? {});
  const mapping = (place: string, text: string, values?: Set<string>): Mapping => {
    const isFile = text.endsWith('.jsonata');
    try {
      const source = isFile ? readFileSync(path.join(folder, text), 'utf8') : text;
      const compiled = compileMapping(`${file} ${place}`, source, known);
      for (const name of namesGivenTo(`${file} ${place}`, source, 'once')) {
        if (values === undefined) wrong(place, `$once fixes a value of an envelope, and there is none here (${name})`);
        else if (!VALUE_NAME.test(name))
          wrong(place, `$once: "${name}" is no name: a letter, then up to 39 letters, digits or hyphens`);
        else values.add(name);
      }
      return compiled;
    } catch (error) {
      mistakes.push(
        isFile && (error as NodeJS.ErrnoException).code === 'ENOENT'
          ? `${file} ${place}: there is no file ${text}`
          : String((error as Error).message),
      );
      return async () => undefined;
    }
  };
  const optional = (place: string, text: string | undefined, values?: Set<string>): Mapping | undefined =>
    text === undefined ? undefined : mapping(place, text, values);
  /** What `$once` fixes in the requests of a call. */
  const valuesOfCall = new Map<string, Set<string>>();
  const valuesOfContract = new Map<ContractName, Set<string>>();
  const valuesOf = <K>(table: Map<K, Set<string>>, key: K): Set<string> => {
    const values = table.get(key) ?? new Set<string>();
    table.set(key, values);
    return values;
  };
  const layout = (place: string, name: string | undefined, as: Read['as']): FixedLayout | undefined => {
    if (as !== 'fixed') return undefined;
    const found = written.layouts?.[name ?? ''];
    if (found === undefined)
      wrong(place, name === undefined ? 'a fixed record needs a layout' : `there is no layout ${name}`);
    return found;
  };
  const rules = (place: string, name: string): readonly Rule[] => {
    const found = written.answers[name];
    if (found === undefined) wrong(place, `there is no rule set ${name}`);
    return found ?? [];
  };
  /** Only the last call of a delivery may have an effect: what comes before it is repeated, and a question is asked again at will. */
  const named = (
    place: string,
    calls: readonly string[],
    { ends = 'reply', values }: { readonly ends?: 'write' | 'file' | 'reply'; readonly values?: Set<string> } = {},
  ) => {
    for (const [at, name] of calls.entries()) {
      for (const value of valuesOfCall.get(name) ?? []) {
        if (values === undefined)
          wrong(`${place}/${at}`, `${name} uses $once("${value}", …), which is of an envelope, and there is none here`);
        else values.add(value);
      }
      const last = at === calls.length - 1;
      const mayWrite = ends === 'write' && last;
      const call = written.calls[name];
      if (call === undefined) wrong(`${place}/${at}`, `there is no call ${name}`);
      else if (call.write === true && !mayWrite)
        wrong(`${place}/${at}`, `${name} is a write, and only the last call of a delivery may be one`);
      else if (call.write !== true && mayWrite)
        wrong(`${place}/${at}`, `the last call of a delivery must be a write, and ${name} is none`);
      else if (call.read.as === 'bytes' && !(ends === 'file' && last))
        wrong(`${place}/${at}`, `${name} hands on bytes, and only the last call of a document may do so`);
    }
    return calls;
  };
  const delivered = (place: string, name: ContractName): void => {
    if (written.operations.deliver?.[name] === undefined) wrong(place, `${name} is not delivered`);
  };
  const contract = (place: string, name: ContractName): ContractName => {
    if (!contracts.has(name)) wrong(place, `the contract ${name} is not published`);
    return name;
  };
  const reading = (place: string, read: ReadAsWritten): Read => ({
    as: read.as,
    encoding: read.encoding ?? 'auto',
    root: read.root,
    lists: read.lists ?? [],
    layout: layout(`${place}/layout`, read.layout, read.as),
    maxBytes: read.maxBytes ?? MIB,
    open: optional(`${place}/open`, read.open),
  });
  const said = (place: string, one: SaidAsWritten): Said => ({
    ...one,
    text: mapping(`${place}/text`, one.text),
    encoding: one.encoding ?? 'utf-8',
  });
  const every = <A, B>(
    from: { readonly [key: string]: A } | undefined,
    place: string,
    make: (one: A, place: string, key: string) => B,
  ): { [key: string]: B } =>
    Object.fromEntries(
      Object.entries(from ?? {}).map(([key, one]) => [
        key,
        make(one, `${place}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`, key),
      ]),
    );

  const { operations, session } = written;
  const { attempts, ...ownTerms } = written.terms;
  const terms = { ...DEFAULT_TERMS, ...ownTerms };
  const callback = operations.collect?.callback;
  const sourceOf = (text: string): string | undefined => {
    if (!text.endsWith('.jsonata')) return text;
    return existsSync(path.join(folder, text)) ? readFileSync(path.join(folder, text), 'utf8') : undefined;
  };
  const manifest: Manifest = {
    party: written.party,
    title: written.title,
    owner: written.owner,
    version: written.version,
    settings: written.settings,
    namesAttempts: attempts !== undefined,
    terms,
    wire:
      written.wire.kind === 'http'
        ? { kind: 'http' }
        : { lengthIncludesPrefix: false, lengthPad: '0', ...written.wire },
    calls: every(written.calls, '/calls', ({ write, send, read, answers }, place, name) => ({
      name,
      write: write ?? false,
      send: {
        method: send.method ?? 'POST',
        path: send.path ?? '/',
        headers: send.headers ?? {},
        as: send.as,
        encoding: send.encoding ?? 'utf-8',
        onLoss: send.onLoss ?? 'refuse',
        contentType: send.contentType,
        layout: layout(`${place}/send/layout`, send.layout, send.as),
        map: mapping(`${place}/send/map`, send.map, valuesOf(valuesOfCall, name)),
        seal: optional(`${place}/send/seal`, send.seal, valuesOf(valuesOfCall, name)),
      },
      read: reading(`${place}/read`, read),
      rules: rules(`${place}/answers`, answers),
    })),
    session:
      session === undefined
        ? undefined
        : {
            login: {
              calls: named('/session/login/calls', session.login.calls),
              map: mapping('/session/login/map', session.login.map),
            },
            renew:
              session.renew === undefined
                ? undefined
                : {
                    calls: named('/session/renew/calls', session.renew.calls),
                    map: mapping('/session/renew/map', session.renew.map),
                    while: optional('/session/renew/while', session.renew.while),
                  },
            refreshAheadMs: session.refreshAheadMs ?? 0,
            newKillsOld: session.newKillsOld ?? false,
          },
    deliver: every(operations.deliver, '/operations/deliver', (one, place, name) => {
      contract(place, name);
      if (one.replies === 'atOnce' && one.answer === undefined)
        wrong(place, 'a party that answers at once needs an `answer`');
      if (one.replies === 'later' && callback?.answer === undefined) {
        if (operations.collect?.ask?.[name] === undefined)
          wrong(place, 'its answer comes later, and neither `collect.ask` nor `collect.callback` fetches it');
        else if (terms.askAfterMs.length === 0)
          wrong('/terms/askAfterMs', `the answer to ${name} is only ever asked for, and nothing says when`);
      }
      if (one.replies === 'never' && (one.result !== undefined || one.answer !== undefined))
        wrong(place, 'who never replies has no `result` and no `answer`');
      if (!terms.idempotent && operations.inquire?.[name] === undefined)
        wrong(place, 'a party that is not idempotent must be asked after silence: `inquire` is missing');
      const values = valuesOf(valuesOfContract, name);
      return {
        calls: named(`${place}/calls`, one.calls, { ends: 'write', values }),
        replies: one.replies,
        number: optional(`${place}/number`, one.number, values),
        result: one.result === undefined ? null : contract(`${place}/result`, one.result),
        answer: optional(`${place}/answer`, one.answer, values),
      };
    }),
    inquire: every(operations.inquire, '/operations/inquire', (one, place, name) => {
      delivered(place, name);
      if (operations.deliver?.[name]?.replies === 'atOnce' && one.answer === undefined)
        wrong(place, 'a party that answers at once has answered already: its inquiry needs an `answer`');
      const values = valuesOf(valuesOfContract, name);
      return {
        calls: named(`${place}/calls`, one.calls, { values }),
        number: optional(`${place}/number`, one.number, values),
        answer: optional(`${place}/answer`, one.answer, values),
        same: optional(`${place}/same`, one.same, values),
        settleMs: one.settleMs,
      };
    }),
    ask: every(operations.collect?.ask, '/operations/collect/ask', (one, place, name) => {
      delivered(place, name);
      const values = valuesOf(valuesOfContract, name);
      return {
        calls: named(`${place}/calls`, one.calls, { values }),
        answer: mapping(`${place}/answer`, one.answer, values),
        at: optional(`${place}/at`, one.at, values),
        dedupe: optional(`${place}/dedupe`, one.dedupe, values),
      };
    }),
    callback:
      callback === undefined
        ? undefined
        : {
            read: reading('/operations/collect/callback/read', callback.read),
            verify: mapping('/operations/collect/callback/verify', callback.verify),
            proof: namesUsed(sourceOf(callback.verify) ?? ''),
            rules: rules('/operations/collect/callback/answers', callback.answers),
            about: optional('/operations/collect/callback/about', callback.about),
            at: optional('/operations/collect/callback/at', callback.at),
            dedupe: optional('/operations/collect/callback/dedupe', callback.dedupe),
            answer: optional('/operations/collect/callback/answer', callback.answer),
            changed: optional('/operations/collect/callback/changed', callback.changed),
            reply: said('/operations/collect/callback/reply', callback.reply),
            notTaken: said('/operations/collect/callback/notTaken', callback.notTaken),
          },
    queries: every(operations.queries, '/operations/queries', (one, place) => ({
      title: one.title,
      request: contract(`${place}/request`, one.request),
      reply: contract(`${place}/reply`, one.reply),
      calls: named(`${place}/calls`, one.calls),
      answer: mapping(`${place}/answer`, one.answer),
    })),
    certificates: every(operations.certificates, '/operations/certificates', (one, place) => ({
      calls: named(`${place}/calls`, one.calls),
      answer: mapping(`${place}/answer`, one.answer),
    })),
    documents: every(operations.documents, '/operations/documents', (one, place, type) => {
      if (type !== '*' && operations.certificates?.[type] === undefined)
        wrong(place, `${type} is no certificate of this party`);
      const calls = named(`${place}/calls`, one.calls, { ends: 'file' });
      const last = written.calls[calls.at(-1) ?? '']?.read.as;
      if ((last === 'bytes') === (one.base64 !== undefined))
        wrong(
          place,
          'the file is the reply of the last call (`read: {as: bytes}`), or `base64` inside it: one of the two',
        );
      return { calls, base64: optional(`${place}/base64`, one.base64) };
    }),
    verify:
      operations.verify === undefined
        ? undefined
        : {
            calls: named('/operations/verify/calls', operations.verify.calls),
            answer: mapping('/operations/verify/answer', operations.verify.answer),
          },
    probe: { calls: named('/operations/probe/calls', operations.probe.calls) },
  };
  for (const [name, values] of valuesOfContract)
    if (values.size > MOST_VALUE_NAMES)
      wrong(
        `/operations/deliver/${name}`,
        `$once fixes ${values.size} values of it, and at most ${MOST_VALUE_NAMES} are kept`,
      );
  if (callback !== undefined && mistakes.length === 0)
    for (const [part, words] of pushMistakes(callback, sourceOf)) wrong(`/operations/collect/callback/${part}`, words);
  if (manifest.callback?.read.as === 'bytes')
    wrong('/operations/collect/callback/read/as', 'a push is read whole: `bytes` is for files');
  if (manifest.callback?.changed === undefined && manifest.callback?.rules.some((rule) => rule.as === 'changed'))
    wrong('/operations/collect/callback', 'a rule says `changed`, and no expression says what changed');
  if (manifest.wire.kind !== 'http')
    for (const [name, { read }] of Object.entries(written.calls))
      if (read.as === 'bytes') wrong(`/calls/${name}/read/as`, 'only the http wire hands bytes on');
  if (lookCloser !== undefined) {
    const wrongIn = (own: string, line: number, words: string): void =>
      void mistakes.push(`${path.basename(folder)}/${own} line ${line}: ${words}`);
    lookCloser({ written, functions: new Set([...Object.keys(known), 'sequence', 'once']), sourceOf, wrong, wrongIn });
  }
  if (mistakes.length > 0) throw new ManifestError([...new Set(mistakes)]);
  return manifest;
}

export type CodeTables = { readonly [table: string]: { readonly [ours: string]: string } };

interface ReadAsWritten {
  readonly as: TextForm | 'bytes';
  readonly encoding?: Encoding | 'auto';
  readonly root?: string;
  readonly lists?: readonly string[];
  readonly layout?: string;
  readonly maxBytes?: number;
  readonly open?: string;
}
interface SaidAsWritten {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
  readonly encoding?: Encoding;
}
interface SequenceAsWritten {
  readonly calls: readonly string[];
  readonly number?: string;
  readonly answer?: string;
}
type Table<T> = { readonly [key: string]: T };

/** `attempts` is still accepted, and ends nothing: a party that does not answer is waited for. */
export type TermsAsWritten = Partial<Manifest['terms']> & { readonly attempts?: number };

/** manifest.yaml as `manifest.schema.json` describes it. */
export interface ManifestAsWritten {
  readonly party: Party;
  readonly title: Words;
  readonly owner: string;
  readonly version: string;
  readonly settings: JsonObject;
  readonly terms: TermsAsWritten;
  readonly wire:
    | { readonly kind: 'http' }
    | ({ readonly kind: 'tcp-frame'; readonly lengthDigits: number } & Partial<FrameOptions>);
  readonly codes?: CodeTables;
  readonly layouts?: Table<FixedLayout>;
  readonly calls: Table<{
    readonly write?: boolean;
    readonly send: {
      readonly method?: string;
      readonly path?: string;
      readonly headers?: Table<string>;
      readonly as: TextForm;
      readonly encoding?: Encoding;
      readonly onLoss?: OnLoss;
      readonly contentType?: string;
      readonly layout?: string;
      readonly map: string;
      readonly seal?: string;
    };
    readonly read: ReadAsWritten;
    readonly answers: string;
  }>;
  readonly answers: Table<readonly Rule[]>;
  readonly session?: {
    readonly login: { readonly calls: readonly string[]; readonly map: string };
    readonly renew?: { readonly calls: readonly string[]; readonly map: string; readonly while?: string };
    readonly refreshAheadMs?: number;
    readonly newKillsOld?: boolean;
  };
  readonly operations: {
    readonly deliver?: Table<
      SequenceAsWritten & { readonly replies: Deliver['replies']; readonly result?: ContractName }
    >;
    readonly inquire?: Table<SequenceAsWritten & { readonly same?: string; readonly settleMs?: Millis }>;
    readonly collect?: {
      readonly ask?: Table<{
        readonly calls: readonly string[];
        readonly answer: string;
        readonly at?: string;
        readonly dedupe?: string;
      }>;
      readonly callback?: {
        readonly read: ReadAsWritten;
        readonly verify: string;
        readonly answers: string;
        readonly about?: string;
        readonly at?: string;
        readonly dedupe?: string;
        readonly answer?: string;
        readonly changed?: string;
        readonly reply: SaidAsWritten;
        readonly notTaken: SaidAsWritten;
      };
    };
    readonly queries?: Table<{
      readonly title: Words;
      readonly request: ContractName;
      readonly reply: ContractName;
      readonly calls: readonly string[];
      readonly answer: string;
    }>;
    readonly certificates?: Table<{ readonly calls: readonly string[]; readonly answer: string }>;
    readonly documents?: Table<{ readonly calls: readonly string[]; readonly base64?: string }>;
    readonly verify?: { readonly calls: readonly string[]; readonly answer: string };
    readonly probe: { readonly calls: readonly string[] };
  };
}
