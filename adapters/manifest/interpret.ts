import { compileSchema } from '../../contracts/compile.ts';
import type {
  Adapter,
  Connected,
  Deliverable,
  PartyFacts,
  PartyMeans,
  PartyOffers,
  Terms,
} from '../../contracts/ports/adapter.ts';
import { type Problem, Unfit } from '../../contracts/ports/contract.ts';
import type { ContractName, Json, JsonObject, Millis } from '../../contracts/ports/envelope.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import { baseProblems } from './address.ts';
import { takePush } from './callback.ts';
import { blankKeys } from './callback-rules.ts';
import { Caller } from './caller.ts';
import type { PartyLimits } from './limits.ts';
import { type Manifest, type TermsAsWritten, termsProblems } from './manifest.ts';
import { Operations } from './operations.ts';
import { openPartyTls, partyTlsProblems, tlsFileProblems } from './party-tls.ts';

/**
 * A manifest and a deployment's settings, made into an adapter.
 * @throws Unfit with every problem of the settings at once
 */
export function interpret(
  manifest: Manifest,
  given: Json,
  means: PartyMeans,
  limits: PartyLimits = { deliver: {}, queries: {} },
): Connected {
  const { settings, terms, settleMs, namesAttempts, tls } = deployed(manifest, given, means);
  warnOfAttempts(manifest, namesAttempts, means.log);
  return {
    facts: factsOf(manifest, terms, settleMs, limits),
    adapter: offered(manifest, new Caller(manifest, settings, { ...terms, tls }, means)),
  };
}

/** The settings with their defaults, and the terms with what this deployment changes of them; `settleMs` only where this deployment gives one. `tls` is open. */
function deployed(
  manifest: Manifest,
  given: Json,
  means: PartyMeans,
): {
  readonly settings: JsonObject;
  readonly terms: Manifest['terms'];
  readonly settleMs: Millis | undefined;
  readonly namesAttempts: boolean;
  readonly tls: ReturnType<typeof openPartyTls>;
} {
  const object = given !== null && typeof given === 'object' && !Array.isArray(given);
  const { terms: over = {}, tls: writtenTls, ...own } = object ? (structuredClone(given) as JsonObject) : {};
  const check = compileSchema(manifest.settings, { defaults: true, names: 'shown' });
  const { attempts, ...ownTerms } = over as TermsAsWritten;
  const terms = { ...manifest.terms, ...ownTerms };
  const problems: Problem[] = [...check(object ? own : given)];
  if (problems.length === 0 && manifest.wire.kind === 'http') problems.push(...baseProblems(own.baseUrl));
  problems.push(
    ...keyProblems(manifest, own).filter(({ pointer }) => problems.every((one) => one.pointer !== pointer)),
  );
  const termed = termsProblems(over);
  problems.push(...termed.map((problem) => ({ ...problem, pointer: `/terms${problem.pointer}` })));
  if (termed.length === 0 && !terms.idempotent) problems.push(...cannotBeAsked(manifest));
  const { tls, wrong } = openedTls(writtenTls, manifest, own, means);
  problems.push(...wrong.map((problem) => ({ ...problem, pointer: `/tls${problem.pointer}` })));
  if (problems.length > 0) {
    tls?.files.close();
    const words = { zh: `部门 ${manifest.party} 的配置有误`, en: `the settings of ${manifest.party} have mistakes` };
    throw new Unfit(422, 'partySettings', words, problems);
  }
  return { settings: own, terms, settleMs: ownTerms.settleMs, namesAttempts: attempts !== undefined, tls };
}

function openedTls(
  written: Json | undefined,
  manifest: Manifest,
  settings: JsonObject,
  means: PartyMeans,
): { readonly tls: ReturnType<typeof openPartyTls>; readonly wrong: readonly Problem[] } {
  const wrong = written === undefined ? [] : partyTlsProblems(written, manifest, settings);
  if (wrong.length > 0) return { tls: undefined, wrong };
  try {
    return { tls: openPartyTls(written, manifest, means), wrong };
  } catch (error) {
    return { tls: undefined, wrong: tlsFileProblems(error) };
  }
}

/** With an empty key anybody signs, and what is encrypted anybody reads. */
function keyProblems(manifest: Manifest, settings: JsonObject): readonly Problem[] {
  return blankKeys(manifest, settings).map(({ path, verifies }) => ({
    pointer: path.map((step) => `/${step}`).join(''),
    code: 'emptyKey',
    zh: verifies ? '不得为空：推送以此验签' : '密钥不得为空',
    en: verifies ? 'expected not to be empty: pushes are verified with it' : 'expected a secret that is not empty',
  }));
}

/** Once for each party, when it is made: nothing is wrong, and whoever wrote it believes that something comes of it. */
function warnOfAttempts({ party, namesAttempts }: Manifest, deployed: boolean, log: Logger): void {
  const places = [
    ...(namesAttempts ? [`${party}/manifest.yaml /terms/attempts`] : []),
    ...(deployed ? [`parties.${party}.terms.attempts`] : []),
  ];
  if (places.length > 0) log.warn('terms.attempts ends nothing any more: take it out', { places });
}

/** What the manifest is excused from as idempotent, a deployment cannot take back. */
function cannotBeAsked({ deliver, inquire }: Manifest): readonly Problem[] {
  const missing = Object.keys(deliver).filter((contract) => inquire[contract] === undefined);
  if (missing.length === 0) return [];
  return [
    {
      pointer: '/terms/idempotent',
      code: 'cannotBeAsked',
      zh: `该部门无法查询 ${missing.join('、')}，不能声明为非幂等`,
      en: `expected true: after silence this party cannot be asked about ${missing.join(', ')}`,
    },
  ];
}

/** @param deployedSettleMs a deployment's own, which goes before those of the manifest */
function factsOf(
  manifest: Manifest,
  { connectMs: _, settleMs: settleMsOfAll, ...terms }: Manifest['terms'],
  deployedSettleMs: Millis | undefined,
  limits: PartyLimits,
): PartyFacts {
  const { party, title, owner, version, inquire, certificates, documents, verify, callback } = manifest;
  const settling = (contract: ContractName): Pick<Deliverable, 'settleMs'> => {
    const asked = inquire[contract];
    return asked === undefined ? {} : { settleMs: deployedSettleMs ?? asked.settleMs ?? settleMsOfAll };
  };
  const offers = offersOf(manifest);
  return {
    party,
    title,
    owner,
    version,
    terms: terms satisfies Terms,
    ...offers,
    delivers: offers.delivers.map((one) => ({
      ...one,
      ...settling(one.contract),
      limits: limits.deliver[one.contract] ?? [],
    })),
    queries: offers.queries.map((one) => ({ ...one, limits: limits.queries[one.name] ?? [] })),
    documents: documents['*'] === undefined ? Object.keys(documents) : Object.keys(certificates),
    verifies: verify !== undefined,
    takesCallbacks: callback !== undefined,
  };
}

/** What a party takes and answers, whatever its deployment's settings are. */
export function offersOf({ deliver, queries, certificates }: Manifest): PartyOffers {
  return {
    delivers: Object.entries(deliver).map(([contract, { result, replies }]) => ({ contract, result, replies })),
    queries: Object.entries(queries).map(([name, { title: words, request, reply }]) => ({
      name,
      title: words,
      request,
      reply,
    })),
    certificates: Object.keys(certificates),
  };
}

/** Abilities are said in the type: an adapter has only the methods that its manifest speaks of. */
function offered(manifest: Manifest, caller: Caller): Adapter {
  const { party, inquire, ask, callback, queries, certificates, documents, verify } = manifest;
  const operations = new Operations(manifest, caller);
  const any = (table: object): boolean => Object.keys(table).length > 0;
  return {
    deliver: (envelope, call) => operations.deliver(envelope, call),
    probe: (call) => operations.probe(call),
    close: () => caller.close(),
    ...(any(inquire) && { inquire: operations.inquire.bind(operations) }),
    ...(any(ask) && { collect: operations.collect.bind(operations) }),
    ...(callback !== undefined && {
      callback: (request, inbox, call) => takePush(party, callback, caller, request, inbox, call),
    }),
    ...(any(queries) && { query: operations.query.bind(operations) }),
    ...(any(certificates) && { certificates: operations.certificates.bind(operations) }),
    ...(any(documents) && { document: operations.document.bind(operations) }),
    ...(verify !== undefined && { verify: operations.verify.bind(operations) }),
  };
}
