import type { ContractName, Json, JsonObject, Words } from './envelope.ts';

/**
 * One thing wrong with an input. A person told once hears all of them (一次性告知).
 * Neither the sentence nor the pointer ever carries the value itself.
 */
export interface Problem extends Words {
  /** RFC 6901, into the body; '' is the whole. */
  readonly pointer: string;
  /** A short stable word for programs: `required`, `format.citizen-id`, `materialMissing` … */
  readonly code: string;
}

/** Thrown by whoever finds an input unfit. The HTTP layer turns it into RFC 9457; `status` is the HTTP status. */
export class Unfit extends Error {
  readonly status: number;
  readonly code: string;
  readonly words: Words;
  readonly problems: readonly Problem[];
  /** Seconds. */
  readonly retryAfter?: number;

  constructor(status: number, code: string, words: Words, problems: readonly Problem[] = [], retryAfter?: number) {
    super(`${code}: ${words.en}`);
    this.name = 'Unfit';
    this.status = status;
    this.code = code;
    this.words = words;
    this.problems = problems;
    if (retryAfter !== undefined) this.retryAfter = retryAfter;
  }
}

export interface PublishedContract {
  readonly name: ContractName;
  readonly title: Words;
  /** JSON Schema 2020-12. Fields marked `x-sensitive: true` are personal. */
  readonly schema: JsonObject;
}

/** All published contracts, compiled once. */
export interface Contracts {
  has(name: ContractName): boolean;
  /** Every problem of `body` under the contract, each once, in document order; [] when it is right. Throws on an unknown contract. */
  problems(name: ContractName, body: Json): readonly Problem[];
  list(): readonly PublishedContract[];
  get(name: ContractName): PublishedContract | undefined;
}

/** The one way in which a body is kept: dots between names, width and case of numbers as its contract's formats say; every other text as it was written. */
export interface BodyNormaliser {
  /** Applied once, where a body comes in: what is checked, stored, mapped and compared is what it gives. Throws on an unknown contract. */
  normalise(name: ContractName, body: Json): Json;
}
