import type { Certificate, Holder } from './certificate.ts';
import type { ContractName, Json, JsonObject, Party, Words } from './envelope.ts';

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
  readonly certificates: readonly {
    readonly material: string;
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
  /** Only for `certificate`. An upload under the same material code stands in where the source has none. */
  readonly certificate?: {
    readonly type: string;
    readonly title: Words;
    /** Whose: [{name, idType, idNo}]. */
    readonly holders: Expression<Json[]>;
    readonly hints?: Expression<JsonObject>;
    /** Asked in this order until one has it. */
    readonly sources: readonly Party[];
  };
}

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
}

export interface Item {
  readonly code: string;
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

export interface Catalogue {
  get(code: string): Item | undefined;
  list(): readonly Item[];
}
