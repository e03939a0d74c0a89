import type { Certificate, CertificateQuery } from '../../contracts/ports/certificate.ts';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Millis, Party, Reason, Words } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { Retrieved } from '../../contracts/ports/retrieval.ts';
import { comparable, sameHolder } from './matter.ts';
import { notValid, usable } from './validity.ts';

/** A party that can be asked, through its guard; or the register of what our own cases made. */
export interface Source {
  /** Undefined: every type. */
  readonly types: readonly string[] | undefined;
  /** What is known here of others' certificates: no word against a keeper who has searched and holds none. */
  readonly secondHand?: true;
  ask(query: CertificateQuery, traceparent: string): Promise<readonly Certificate[]>;
}

type Tried = Retrieved['tried'][number];

/** What the sources have to say about one certificate of one holder. */
export type Outcome = { readonly tried: readonly Tried[] } & (
  | {
      readonly state: 'found';
      readonly certificate: Certificate;
      readonly source: Party;
      readonly fetchedAt: Millis;
    }
  | { readonly state: 'none' | 'unavailable' | 'notPermitted'; readonly reason: Reason }
);

const WORDS = {
  noData: { zh: '已查询，无此证照', en: 'searched, and none is held' },
  notConnected: { zh: '没有可用的来源', en: 'no source is connected' },
  holderMismatch: {
    zh: '来源返回的证照与持证人不符，已拦截',
    en: "a source answered with somebody else's certificate; it was not handed out",
  },
} as const satisfies Record<string, Words>;

/**
 * Asks the sources in the item's order until one has it. `none` only when every source that was asked searched and holds none; once one could not be asked, or
 * its owner does not let us look, absence is not proven. One that is suspended, ended or outside its dates is an answer too, and no hit. A certificate of anybody
 * else is never handed out, and rings; nor is the holder's own for another house, contract or child than the one that was asked for. Never rejects.
 */
export async function search(
  query: CertificateQuery,
  order: readonly Party[],
  sources: ReadonlyMap<Party, Source>,
  { clock, log, traceparent }: { readonly clock: Clock; readonly log: Logger; readonly traceparent: string },
): Promise<Outcome> {
  const { holder, type } = query;
  const tried: Tried[] = [];
  let couldNot: Reason | undefined;
  let somebodyElses: Reason | undefined;
  let denied: Reason | undefined;
  for (const name of order) {
    const source = sources.get(name);
    const started = clock.now();
    const note = (outcome: string): void => void tried.push({ source: name, outcome, ms: clock.now() - started });
    if (source === undefined || source.types?.includes(type) === false) {
      note('notConnected');
      couldNot ??= { code: 'notConnected', ...WORDS.notConnected };
      continue;
    }
    if (source.secondHand === true && tried.some(({ outcome }) => outcome === 'none')) continue;
    try {
      const certificates = await source.ask(query, traceparent);
      const theirs = certificates.filter((certificate) => sameHolder(certificate.holder, holder));
      if (theirs.length < certificates.length)
        log.error("a source answered with somebody else's certificate", { source: name, type, traceparent });
      const meant = theirs.filter((certificate) => isMeant(certificate, query));
      const now = clock.now();
      const certificate = meant.find((one) => usable(one, now));
      if (certificate !== undefined) {
        note('found');
        return { state: 'found', certificate, source: name, fetchedAt: now, tried };
      }
      const [first] = meant;
      if (first !== undefined) {
        // An answer: a library further down may not have heard yet that it was suspended.
        note('notValid');
        return { state: 'none', reason: notValid(first, now), tried };
      }
      if (theirs.length < certificates.length) {
        note('holderMismatch');
        somebodyElses = { code: 'holderMismatch', ...WORDS.holderMismatch };
      } else note('none');
    } catch (error) {
      const { kind, reason } = Fault.from(error);
      const { zh, en, code } = reason;
      const fields = { source: name, type, fault: kind, code, traceparent };
      if (kind === 'refused') {
        note('refused');
        denied ??= { code: 'refusedByOwner', zh, en };
        log.warn("a certificate's owner does not let us look at it", fields);
        continue;
      }
      note('fault');
      couldNot ??= { code: WHY[code] ?? 'fault', zh, en };
      // Not away, but not to be trusted: somebody must look.
      if (code in FORGED) log.error('what a certificate source answered cannot be trusted', fields);
      else log.warn('a certificate source could not be asked', fields);
    }
  }
  // An answer all the same, whatever keeps the others from answering: it is told before their absence.
  if (somebodyElses !== undefined) return { state: 'unavailable', reason: somebodyElses, tried };
  if (couldNot !== undefined) return { state: 'unavailable', reason: couldNot, tried };
  if (denied !== undefined) return { state: 'notPermitted', reason: denied, tried };
  return { state: 'none', reason: { code: 'noData', ...WORDS.noData }, tried };
}

/** A hint that stands among a certificate's fields says which one is meant. */
function isMeant({ fields }: Certificate, { hints }: CertificateQuery): boolean {
  return Object.entries(hints).every(([name, hint]) => {
    const value = fields[name];
    return typeof value !== 'string' || typeof hint !== 'string' || comparable(value) === comparable(hint);
  });
}

/** Codes of faults that callers know a certificate's absence by. */
const WHY: { readonly [code: string]: string } = {
  breakerOpen: 'breakerOpen',
  closedHours: 'closed',
  decryption: 'decryption',
  signature: 'signature',
};
const FORGED = { decryption: true, signature: true };
