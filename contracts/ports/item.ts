import type { CaseRecord } from './case.ts';
import type { Certificate, Holder } from './certificate.ts';
import type { ContractName, Json, JsonObject, Party, Reason, Words } from './envelope.ts';

/** What an item's expressions may look at. */
export interface Facts {
  readonly case: {
    readonly caseNo: string;
    readonly applicationNo: string;
    readonly itemCode: string;
    readonly channel: string;
    readonly acceptedAt: number;
  };
  readonly applicant: JsonObject;
  readonly agent: JsonObject | null;
  readonly form: JsonObject;
  readonly materials: readonly JsonObject[];
  /** Fetched for a material, or (`stepNo`) made by a step. */
  readonly certificates: readonly {
    readonly material: string | null;
    readonly stepNo?: string;
    readonly holder: Holder;
    readonly certificate: Certificate;
  }[];
  /** By step number; only steps that have ended. */
  readonly steps: {
    readonly [no: string]: {
      readonly state: string;
      readonly number: string | null;
      readonly result: JsonObject | null;
    };
  };
}

/** A compiled expression of the catalogue (JSONata in `config/items`). Throws `Error` when it cannot be evaluated. */
export type Expression<T extends Json = Json> = (facts: Facts) => Promise<T>;

/** `wd` working days, `day` calendar days; limit 0 = on the spot (即办). */
export interface TimeLimit {
  readonly limit: number;
  readonly unit: 'wd' | 'day';
}

export interface Material {
  readonly code: string;
  readonly title: Words;
  /** `form`: the form itself; `upload`: brought by the applicant; `certificate`: fetched; `step`: made by a step of the route. */
  readonly from: 'form' | 'upload' | 'certificate' | 'step';
  readonly required: boolean;
  readonly when?: Expression<boolean>;
  /** Only for `certificate`. What is handed in under the same material code stands in where `uploadMayReplace` says so. */
  readonly certificate?: {
    readonly type: string;
    readonly title: Words;
    /** Whose: [{name, idType, idNo}]. */
    readonly holders: Expression<Json[]>;
    readonly hints?: Expression<JsonObject>;
    /** Asked in this order until one has it. `register` = what our own cases have made. */
    readonly sources: readonly Party[];
    /** The business fields that this matter needs; no others leave the gateway. */
    readonly fields: readonly string[];
    /**
     * What something handed in may stand in for. `absent` (left out: this): a certificate that no source has on record, or whose sources cannot be asked.
     * `invalid`: also one of which a source says that it is suspended, ended, outside its dates or somebody else's.
     */
    readonly uploadMayReplace?: 'absent' | 'invalid';
    /** Left out: `required`. */
    readonly whenDown?: WhenDown;
  };
}

/**
 * What may happen when no source can be asked. `required`: the applicant has to come again or bring it. `asOf`: a copy fetched at most `hours` ago stands in.
 * `later` (容缺受理): the case is accepted and owes the material; it is fetched when the source is back, and until then `steps` wait. After `within` the
 * clerk is told.
 */
export type WhenDown =
  | { readonly do: 'required' }
  | { readonly do: 'asOf'; readonly hours: number }
  | { readonly do: 'later'; readonly steps: readonly string[]; readonly within: TimeLimit };

export interface RouteStep {
  /** Two digits, in the order of the route. */
  readonly no: string;
  readonly title: Words;
  readonly party: Party;
  readonly contract: ContractName;
  readonly after: readonly string[];
  /** Whether the case waits for it. A step that is not blocking never undoes the matter. */
  readonly blocking: boolean;
  readonly when?: Expression<boolean>;
  /** From the case and earlier steps' results to the department's contract. */
  readonly map: Expression<JsonObject>;
  /** Certificates that its result is, or brings. */
  readonly issues?: readonly Issue[];
  /** Certificates that are no longer true when it is done. */
  readonly ends?: readonly {
    readonly type: string;
    readonly holders: Expression<Json[]>;
    /** Of the one that ends; without it every one of the holder's. */
    readonly number?: Expression<string>;
  }[];
}

export interface Issue {
  readonly type: string;
  readonly title: Words;
  readonly issuer: { readonly name: string; readonly uscc: string };
  /** {holders, number, identifier?, validFrom?, validTo?, fields?}; without an identifier of theirs we make one. */
  readonly map: Expression<JsonObject>;
}

/** A type of certificate, whoever keeps it. */
export interface CertificateType {
  readonly code: string;
  readonly title: Words;
  /** The real code is not known to us. */
  readonly invented: boolean;
  /** How long a copy counts as fresh. */
  readonly freshSeconds: number;
  /** What a clerk and an applicant are spared by not having to bring it; for the yearly report. */
  readonly minutesSaved: number;
  /** Its business fields by name; every source gives them under these. */
  readonly fields: { readonly [name: string]: Words };
}

export interface Item {
  readonly code: string;
  /** First 16 hex digits of the SHA-256 of its definition: another definition is another version. */
  readonly version: string;
  readonly title: Words;
  readonly area: Words;
  readonly owner: { readonly name: string; readonly uscc: string };
  readonly form: ContractName;
  readonly promised: TimeLimit;
  readonly statutory: TimeLimit;
  readonly basis: string;
  readonly materials: readonly Material[];
  readonly route: readonly RouteStep[];
  /** What the form's schema cannot say (shares sum to 100.00 …): each yields problems' codes and pointers; [] when fine. */
  readonly rules: readonly {
    readonly pointer: string;
    readonly code: string;
    readonly words: Words;
    readonly holds: Expression<boolean>;
  }[];
}

/** `get` and `list`: the items that new cases are accepted for. */
export interface Catalogue {
  get(code: string): Item | undefined;
  list(): readonly Item[];
  /**
   * The item of a running case, in the version that the case began with. Of a case without one (accepted before there were versions): the current item, else
   * the newest version that is stored. Rejects with `ItemUnusable` when there is none, or it can no longer be read. Left out: only the current items are known.
   */
  ofCase?(record: OfItem): Promise<Item>;
}

/** What of a case says which item it follows. */
export interface OfItem {
  readonly itemVersion: CaseRecord['itemVersion'];
  readonly submission: Pick<CaseRecord['submission'], 'itemCode'>;
}

/** Rejects with `ItemUnusable`; see `Catalogue.ofCase`. */
export async function itemOfCase(catalogue: Catalogue, record: OfItem): Promise<Item> {
  if (catalogue.ofCase !== undefined) return catalogue.ofCase(record);
  const { itemCode } = record.submission;
  const item = catalogue.get(itemCode);
  if (item === undefined) throw new Error(`item ${itemCode} is no longer in the catalogue`);
  return item;
}

/** An item as it is stored: `definition` is one canonical JSON text of item.json and the mappings that it names. */
export interface ItemVersion {
  readonly code: string;
  readonly version: string;
  readonly definition: string;
}

/** What a running case needs of its item is no longer there; `reason` names it, for the person whose queue it is in. */
export class ItemUnusable extends Error {
  readonly reason: Reason;

  constructor(reason: Reason, cause?: unknown) {
    super(reason.en, { cause });
    this.name = 'ItemUnusable';
    this.reason = reason;
  }
}

export interface CertificateTypes {
  get(code: string): CertificateType | undefined;
  list(): readonly CertificateType[];
}
