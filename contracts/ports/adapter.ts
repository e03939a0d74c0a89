import type {
  Certificate,
  CertificateChange,
  CertificateClaim,
  CertificateDocument,
  CertificateQuery,
  Verdict,
} from './certificate.ts';
import type { Clock } from './clock.ts';
import type { PublishedContract } from './contract.ts';
import type { Coordination } from './coordination.ts';
import type { ContractName, Envelope, Json, JsonObject, Message, Party, Receipt, Words } from './envelope.ts';
import type { Logger } from './logger.ts';
import type { OnceValues } from './once-values.ts';
import type { SessionBook } from './session-book.ts';
import type { AwaitedAnswer } from './store.ts';

/** Given to every call of an adapter. `signal` aborts it: the adapter must then let go of its sockets at once. */
export interface Call {
  readonly signal: AbortSignal;
  /** 1 for the first. */
  readonly attempt: number;
  /**
   * Of `deliver`: whether this very envelope may have reached the party before, so that a record under its key may be its own. Left out: whether
   * `attempt` is more than 1.
   */
  readonly sentBefore?: boolean;
  readonly log: Logger;
  /** W3C; passed on wherever the wire has a place for it. */
  readonly traceparent: string;
}

/** Resolves when the message is durably kept (then it may be taken off the party's side). */
export type Accept = (message: Message) => Promise<'applied' | 'seenBefore' | 'unmatched'>;

/** Where what a party says of its own accord goes: `accept` as above; `changed` resolves when every copy of the certificate is on its way out. Both do nothing for what this party said before under the same name. */
export interface Inbox {
  readonly accept: Accept;
  /** @param name the push's own for ever, as `Message.dedupe` is */
  changed(change: CertificateChange, name: string): Promise<void>;
}

/** A department's own request to us, in its own bytes. Header names in lower case. */
export interface RawRequest {
  readonly method: string;
  readonly path: string;
  readonly query: { readonly [name: string]: string };
  readonly headers: { readonly [name: string]: string };
  readonly body: Uint8Array;
}

export interface RawReply {
  readonly status: number;
  readonly headers: { readonly [name: string]: string };
  readonly body: Uint8Array;
  /** Nothing proved that the request came from the party: this is what a stranger is told. */
  readonly unverified?: true;
}

/**
 * Speaks one party's wire. It translates and carries: it keeps no queue, retries nothing, remembers nothing but its session.
 * Called by the delivery engine through the party's guard only, at most `terms.concurrency` at a time.
 * Every method throws `Fault` and nothing else on purpose; whatever else escapes counts as `inDoubt`.
 */
export interface Adapter {
  /**
   * Resolves only when the party has taken responsibility. Bytes gone and no answer is `inDoubt`. A duplicate they report is success when their record is of
   * this case: as it shows itself, or, where it shows nothing, because the envelope may have been sent before (`call.sentBefore`). Else it is `malformed`:
   * `otherRecord` (of another case) or `duplicateUnproved` (nobody can tell).
   */
  deliver(envelope: Envelope, call: Call): Promise<Receipt>;
  /**
   * Asked after `inDoubt`, before any resend. May be missing only where `terms.idempotent`. `neverArrived` is to be believed only after
   * `Deliverable.settleMs`. A record under the envelope's key that is of another case is `malformed` (`otherRecord`), which leaves the doubt.
   */
  inquire?(envelope: Envelope, call: Call): Promise<Receipt | 'neverArrived'>;
  /** Asks for the answers that are due and gives each to `accept`; takes it off their side only after `accept` resolved. */
  collect?(awaited: readonly AwaitedAnswer[], accept: Accept, call: Call): Promise<void>;
  /** Reads the party's own push: verifies it, gives its messages to the inbox, and answers in the party's words only after that. */
  callback?(request: RawRequest, inbox: Inbox, call: Call): Promise<RawReply>;
  /** `name` is one of `about.queries`. */
  query?(name: string, body: JsonObject, call: Call): Promise<JsonObject>;
  /** [] = searched, and holds none. Could not search = Fault. */
  certificates?(query: CertificateQuery, call: Call): Promise<readonly Certificate[]>;
  /** The file of a certificate it gave before, for the same question. `call.signal` also ends the bytes. */
  document?(certificate: Certificate, query: CertificateQuery, call: Call): Promise<CertificateDocument>;
  /** Whether a certificate that somebody shows is theirs and may be used. */
  verify?(claim: CertificateClaim, call: Call): Promise<Verdict>;
  /** A harmless call that tells whether the party is there. */
  probe(call: Call): Promise<void>;
  close(): Promise<void>;
}

/** What the gateway must know of a party besides its methods; read by dispatcher, guard and the conformance suite alike. */
export interface Terms {
  /** It honours our key: the same envelope twice takes effect once. */
  readonly idempotent: boolean;
  /** Calls at a time, over all operations. */
  readonly concurrency: number;
  /** For one operation as a whole, all its wire calls together, in ms. */
  readonly deadlineMs: number;
  readonly quota: { readonly calls: number; readonly per: 'minute' | 'day' } | null;
  /** Closed hours in local time (+08:00), `HH:MM-HH:MM`; may pass midnight. */
  readonly closed: readonly string[];
  readonly backoffMs: { readonly first: number; readonly max: number };
  readonly breaker: { readonly failures: number; readonly windowMs: number; readonly openMs: number };
  /** Delays before the first, second … question for an answer that is due; the last repeats. Empty: never asked. */
  readonly askAfterMs: readonly number[];
}

/** What becomes of a text in a party's system. */
export interface Measured {
  /** Of the party's encoding; null where no record bounds it. */
  readonly bytes: number | null;
  /** Characters that its encoding does not have, in order; `at` is 1 for the first, `codePoint` as `U+2022`. */
  readonly notHeld: readonly { readonly at: number; readonly codePoint: string }[];
}

/**
 * What a party's system can hold at one place of a message. Derived once, when the party is loaded, from its layouts and encodings; a place that cannot be
 * followed there has none, so that nothing is refused which the party would take.
 */
export interface TextLimit {
  /** RFC 6901 into the message's body; `*` stands for every member of a list. */
  readonly pointer: string;
  /** As people call it: `GBK`. */
  readonly encoding: string;
  /** Null: any length. */
  readonly maxBytes: number | null;
  /** Bytes of a Han character that the encoding has; null where the text is rewritten on its way (an amount in 分), and bytes say nothing of what was written. */
  readonly bytesPerHan: number | null;
  /** Pure, and quick: called for every submission. */
  measure(text: string): Measured;
}

/** One kind of envelope a party takes. */
export interface Deliverable {
  readonly contract: ContractName;
  /** Contract of `answer.result`, null when it has none. */
  readonly result: ContractName | null;
  readonly replies: 'atOnce' | 'later' | 'never';
  /**
   * ms after the doubt arose before an inquiry's `neverArrived` is believed: until then the message may still be on its way. 0: at once. Absent where the
   * party cannot be asked.
   */
  readonly settleMs?: number;
  /** Of the contract's texts; left out where nothing is known of the party's system. */
  readonly limits?: readonly TextLimit[];
}

export interface PartyFacts {
  readonly party: Party;
  readonly title: Words;
  readonly owner: string;
  readonly version: string;
  readonly terms: Terms;
  readonly delivers: readonly Deliverable[];
  readonly queries: readonly {
    readonly name: string;
    readonly title: Words;
    readonly request: ContractName;
    readonly reply: ContractName;
    /** Of the texts of `request`. */
    readonly limits?: readonly TextLimit[];
  }[];
  /** Certificate types (21 characters) it can be asked for. */
  readonly certificates: readonly string[];
  /** Those whose file it hands out. */
  readonly documents: readonly string[];
  /** Whether it can be asked about a certificate that somebody shows. */
  readonly verifies: boolean;
  readonly takesCallbacks: boolean;
}

export type PartyOffers = Pick<PartyFacts, 'delivers' | 'queries' | 'certificates'>;

/** A party as the gateway gets it from the loader. */
export interface Connected {
  readonly facts: PartyFacts;
  readonly adapter: Adapter;
}

/** What a party's folder offers before a deployment's settings are known. */
export interface PartyFolder {
  readonly party: Party;
  readonly title: Words;
  /** The contracts in its `schemas/`, to be published with ours. */
  readonly contracts: readonly PublishedContract[];
  /** What it takes and answers, for whoever checks what others want of it; left out where only the connected party knows. */
  readonly offers?: PartyOffers;
  /** Throws `Unfit` with every problem of the settings at once. */
  connect(settings: Json, means: PartyMeans): Connected;
}

/** `sessions`, `numbers` and `values`: what several nodes share, and restarts; without them an adapter is alone. */
export interface PartyMeans {
  readonly clock: Clock;
  readonly log: Logger;
  readonly sessions?: SessionBook;
  readonly numbers?: Pick<Coordination, 'reserve'>;
  readonly values?: OnceValues;
}
