/** Types of the contracts in schemas/. Written by `npm run generate`; do not edit. */

export type CaseNo = string;
export type CaseState =
  | 'RECEIVED'
  | 'ACCEPTED'
  | 'NOT_ACCEPTED'
  | 'CORRECTING'
  | 'RETURNED'
  | 'HANDLING'
  | 'SUSPENDED'
  | 'DECIDED'
  | 'WITHDRAWN';
/**
 * ISO 8601 with the county's offset
 */
export type Time = string;
export type PartyName = string;
export type ReasonOrNull = {
  code: string;
  zh: string;
  en: string;
} | null;
export type TimeOrNull = string | null;
export type MaterialCode = string;
/**
 * the caller's own number of the application
 */
export type ApplicationNo = string;
export type ItemCode = string;
export type PartyNameOrNull = string | null;
export type CertificateType = string;
export type Channel = 'window' | 'web' | 'app' | 'terminal' | 'post';
export type Uscc = string;
/**
 * whose certificate; idType 001 is the unified social credit code of an organisation
 */
export type Holder = {
  name: string;
  idType: '111' | '414' | '516' | '001';
  idNo: string;
};
/**
 * one line of text; whoever uses it bounds it
 */
export type Line = string;
/**
 * per cent, with two decimals
 */
export type Share = string;
export type MaritalStatus = '未婚' | '已婚' | '离异' | '丧偶';
export type CitizenId = string;
export type Mobile = string;
/**
 * decimal text; the unit is fixed per field
 */
export type Money = string;
/**
 * square metres
 */
export type Area = string;
/**
 * inside the county
 */
export type Region = string;
/**
 * village or community inside the county, 12 digits
 */
export type Village = string;
export type Month = string;
export type Date = string;
export type Address = string;
export type EstateUnitNo = string;
export type EstateCertNo = string;
export type HouseContractNo = string;
export type HouseCategory = '住宅' | '非住宅';
export type FamilyHouseCount = '唯一' | '二套' | '多套';
export type DeliveryMode = 'window' | 'terminal' | 'ems' | 'ecert';
/**
 * GB/T 36904, with a check character by the standard or by the known deviant form
 */
export type CertificateIdentifier = string;

export interface CaseAccepted1 {
  caseNo: CaseNo;
  /**
   * with it the applicant asks for the state of the case
   */
  queryCode: string;
  state: CaseState;
  promisedBy: Time;
  statutoryBy: Time;
  /**
   * true: a time limit lies beyond the holiday table and will be computed again
   */
  provisional?: boolean;
  /**
   * @maxItems 100
   */
  steps: Step[];
  /**
   * true: this application was accepted earlier
   */
  seenBefore?: boolean;
  /**
   * accepted without them: fetched when their source is back, and until then these steps wait
   *
   * @maxItems 100
   */
  owed?: {
    material: string;
    title: Words;
    dueBy: Time;
    /**
     * @maxItems 99
     */
    steps: string[];
    told: boolean;
  }[];
}
export interface Step extends StepFields {}
/**
 * a step, open to more fields
 */
export interface StepFields {
  no: string;
  title: Words;
  party: PartyName;
  blocking?: boolean;
  state:
    | 'PENDING'
    | 'SENT'
    | 'WAITING'
    | 'ACKED'
    | 'WAITING_RECEIPT'
    | 'CORRECTING'
    | 'PARKED'
    | 'DONE'
    | 'REJECTED'
    | 'SKIPPED';
  /**
   * under which the department filed it
   */
  number?: string | null;
  reason?: ReasonOrNull;
  resumesAt?: TimeOrNull;
}
export interface Words {
  zh: string;
  en: string;
}
/**
 * supplied when a department asked for it
 */
export interface CaseCorrect1 {
  /**
   * the whole form anew
   */
  form?: {
    [k: string]: unknown;
  };
  /**
   * @minItems 1
   * @maxItems 200
   */
  materials?: Material[];
}
/**
 * handed in with one of digest, file and seen; an entry with none of them is `materialEmpty`
 */
export interface Material {
  code: MaterialCode;
  name?: string;
  source?: 'form' | 'upload' | 'ecert';
  fileName?: string;
  /**
   * SM3 of the file, lower-case hex
   */
  digest?: string;
  /**
   * a file handed in, named by its digest: `sm3:` or `sha256:` and lower-case hex
   */
  file?: string;
  /**
   * a paper original that an officer looked at: who, and when
   */
  seen?: {
    officer: string;
    at: Time;
  };
  /**
   * JSON Pointer into the form: whose material it is, for example /buyers/0
   */
  holderRef?: string;
}
/**
 * to the window
 */
export interface CaseCorrection1 extends NoticeFields {
  step: Step;
  /**
   * @maxItems 100
   *
   * Items: JSON Pointer into the form, or the code of a material
   */
  asks: string[];
}
/**
 * how every message to the window begins
 */
export interface NoticeFields {
  caseNo: CaseNo;
  applicationNo: ApplicationNo;
  itemCode: ItemCode;
  /**
   * 1, 2, 3 … within the case
   */
  sequence: number;
  at: Time;
  state: CaseState;
}
/**
 * to the window
 */
export interface CaseProgress1 extends NoticeFields {
  step: Step;
}
export interface DecidedStep extends StepFields {
  /**
   * by the result contract of the step
   */
  result?: {
    [k: string]: unknown;
  } | null;
}
/**
 * to the window, once
 */
export interface CaseResult1 extends NoticeFields {
  outcome: 'approved' | 'refused' | 'withdrawn';
  by: PartyNameOrNull;
  reason: ReasonOrNull;
  /**
   * @maxItems 100
   */
  steps: DecidedStep[];
  /**
   * made by the steps of the case; to be fetched by POST /v1/certificates/retrievals
   *
   * @maxItems 100
   */
  certificates?: {
    stepNo: string;
    type: CertificateType;
    title: string;
    identifier: string;
    number: string | null;
    issuer: string;
  }[];
}
export interface CaseSubmit1 {
  applicationNo: ApplicationNo;
  itemCode: ItemCode;
  channel: Channel;
  clerk?: Clerk;
  applicant: Org | Person;
  agent?: Person;
  /**
   * by the contract that the item names, see GET /v1/items
   */
  form: {
    [k: string]: unknown;
  };
  /**
   * @maxItems 200
   */
  materials: Material[];
}
/**
 * who sits at the window: named in every audit
 */
export interface Clerk {
  officerId: string;
  deptUscc?: Uscc;
  windowId?: string;
}
export interface Org {
  name: string;
  uscc: string;
  legalPersonName: string;
  mobile?: string;
  address?: string;
}
export interface Person extends PersonFields {}
/**
 * a person, open to more fields; contracts use Person, Owner or Buyer
 */
export interface PersonFields {
  name: string;
  /**
   * GA/T 2000.156; 111 resident identity card, 414 passport, 516 permit of a Hong Kong or Macao resident
   */
  idType?: '111' | '414' | '516';
  idNo: string;
  mobile?: string;
  address?: string;
}
export interface CaseWithdraw1 {
  reason: string;
}
export interface CertificateDocument1 {
  /**
   * from a retrieval with want: file; good once
   */
  useCode: string;
  /**
   * a copy stamped with what it is for (加注件); PDF only
   */
  annotated?: boolean;
}
export interface CertificateMandate1 {
  holder: Holder;
  agent: Holder;
  itemCode: ItemCode;
  /**
   * left out: every certificate that the item names
   *
   * @minItems 1
   * @maxItems 20
   */
  types?: CertificateType[];
  /**
   * where the signed consent is kept: its file number
   */
  evidence: string;
  clerk: Clerk;
  from?: Time;
  until: Time;
}
export interface CertificateRetrieve1 {
  /**
   * the caller's own, given back
   */
  requestId?: string;
  holder?: Holder;
  /**
   * in place of holder: several of one matter, such as buyer and seller
   *
   * @minItems 1
   * @maxItems 20
   */
  holders?: Holder[];
  /**
   * before acceptance: the application form as it stands, under the item's form contract; it shows who the parties are
   */
  form?: {
    [k: string]: unknown;
  };
  /**
   * @minItems 1
   * @maxItems 20
   */
  types?: CertificateType[];
  itemCode?: ItemCode;
  purpose: {
    caseNo?: CaseNo;
    applicationNo?: ApplicationNo;
    itemCode: ItemCode;
    clerk: Clerk;
    /**
     * legal basis or consent
     */
    basis: string;
    /**
     * present: the holder stands at the window; mandate: by a recorded mandate; duty: by official duty, for a party of a known matter. Left out: duty where the matter is known, otherwise present
     */
    use?: 'present' | 'mandate' | 'duty';
    mandateId?: string;
  };
  /**
   * narrows the search where a source needs it
   */
  hints?: {
    [k: string]: string;
  };
  /**
   * file: also a use code with which the document can be fetched once
   */
  want?: 'data' | 'file';
  channel?: Channel;
  /**
   * for all types together
   */
  timeLimitMs?: number;
}
export interface Certificate {
  type: CertificateType;
  /**
   * as the source gave it: a wrong check character is a warning
   */
  identifier: string | null;
  number: string | null;
  title: string;
  holder: Holder;
  /**
   * GB/T 36903
   */
  state: '01' | '02' | '03' | '04' | '05' | '06' | '07' | '99';
  issuer: string;
  /**
   * YYYYMMDD
   */
  validFrom: string | null;
  /**
   * YYYYMMDD; null: unlimited, or not told
   */
  validTo: string | null;
  /**
   * the rest of GB/T 36903; null where the source does not tell
   */
  metadata?: {
    /**
     * unified social credit code of the issuing authority
     */
    issuerCode: string | null;
    /**
     * YYYYMMDD
     */
    issuedOn: string | null;
    /**
     * GB/T 2260
     */
    areaCode: string | null;
    version: string | null;
  };
  /**
   * the business fields, as texts
   */
  fields: {
    [k: string]: unknown;
  };
}
export interface CertificateRetrieved1 {
  requestId?: string;
  /**
   * false: some source could not be asked
   */
  complete: boolean;
  elapsedMs?: number;
  /**
   * @maxItems 100
   */
  results: {
    type: CertificateType;
    /**
     * the item's material it is for; null where none is
     */
    material?: string | null;
    title: Words;
    holder: Holder;
    state: 'found' | 'none' | 'unavailable' | 'notPermitted';
    reason?: Reason;
    source: PartyNameOrNull;
    /**
     * @maxItems 100
     */
    tried: {
      source: PartyName;
      outcome: string;
      ms: number;
    }[];
    fetchedAt: TimeOrNull;
    /**
     * a copy; see freshness and fetchedAt
     */
    cached: boolean;
    /**
     * live: asked for just now; cached: a copy still fresh; asOf: an older copy, while its source is away; null: none was found
     */
    freshness?: 'live' | 'cached' | 'asOf' | null;
    /**
     * @maxItems 100
     */
    warnings: string[];
    certificate?: Certificate;
    /**
     * the right to fetch the document once, by POST /v1/certificates/documents
     */
    file?: {
      useCode: string;
      mediaType: 'application/pdf' | 'application/ofd';
      /**
       * as the source told it: sm3: or sha256: and hex
       */
      digest: string | null;
      expiresAt: Time;
    };
    ledgerId: string;
  }[];
}
/**
 * why, in a party's own words; `code` is theirs
 */
export interface Reason {
  code: string;
  zh: string;
  en: string;
}
export interface CertificateVerify1 {
  /**
   * GB/T 36904, as it stands on the certificate
   */
  identifier?: string;
  type?: CertificateType;
  number?: string;
  /**
   * SM3 of a file that was handed out here
   */
  sm3?: string;
  /**
   * with sm3: the seal that came with the file
   */
  seal?: string;
  clerk: Clerk;
  /**
   * legal basis or reason
   */
  basis: string;
  channel?: Channel;
}
/**
 * a person with a share in something
 */
export interface Owner extends PersonFields {
  share: Share;
}
export interface Buyer extends PersonFields {
  share: Share;
  maritalStatus: MaritalStatus;
}
export interface Bank {
  holder: string;
  bankName: string;
  accountNo: string;
}
export interface Problem {
  pointer: string;
  code: string;
  zh: string;
  en: string;
}
/**
 * by an operator; the reason is kept
 */
export interface EnvelopeCancel1 {
  reason: string;
}
/**
 * by an operator who has found out whether the party has it; the reason is kept
 */
export interface EnvelopeSettle1 {
  /**
   * filed: the party has it; notThere: it has not, and it is sent again
   */
  outcome: 'filed' | 'notThere';
  /**
   * under which the party filed it; only with `filed`
   */
  number?: string;
  reason: string;
}
/**
 * data of an event for others, docs/events.md
 */
export interface EventCaseAccepted1 {
  caseNo: CaseNo;
  itemCode: ItemCode;
  channel: Channel;
  promisedBy: Time;
  statutoryBy: Time;
}
/**
 * data of an event for others, docs/events.md
 */
export interface EventCaseDecided1 {
  caseNo: CaseNo;
  itemCode: ItemCode;
  outcome: 'approved' | 'refused' | 'withdrawn';
  by: PartyNameOrNull;
}
/**
 * data of an event for others, docs/events.md
 */
export interface EventCaseProgressed1 {
  caseNo: CaseNo;
  itemCode: ItemCode;
  state: CaseState;
  step: {
    no: string;
    party: PartyName;
    state:
      | 'PENDING'
      | 'SENT'
      | 'WAITING'
      | 'ACKED'
      | 'WAITING_RECEIPT'
      | 'CORRECTING'
      | 'PARKED'
      | 'DONE'
      | 'REJECTED'
      | 'SKIPPED';
    /**
     * 1, and one more for each correction supplied
     */
    revision: number;
  };
}
/**
 * data of an event for others, docs/events.md
 */
export interface EventCertificateChanged1 {
  type: CertificateType;
  /**
   * GB/T 36904; null where it is not known, or tells who holds it
   */
  identifier: string | null;
  party: PartyName;
  /**
   * which ended it; null when its department said so of itself
   */
  caseNo: string | null;
  stepNo: string | null;
}
/**
 * data of an event for others, docs/events.md
 */
export interface EventCertificateIssued1 {
  type: CertificateType;
  /**
   * GB/T 36904; null where it is not known, or tells who holds it
   */
  identifier: string | null;
  party: PartyName;
  caseNo: CaseNo;
  itemCode: ItemCode;
  stepNo: string;
}
export interface FormBirth1 {
  /**
   * under 14: sensitive as a whole
   */
  child: {
    name: string;
    /**
     * 1 male, 2 female
     */
    sex: '1' | '2';
    birth: Time;
    birthCertNo: string;
    /**
     * GB/T 3304, two digits
     */
    ethnicity: string;
  };
  father?: Person;
  mother?: Person;
  settleWith: 'father' | 'mother';
  address: {
    region: Village;
    detail: Address;
  };
  /**
   * @maxItems 2
   */
  followUps?: ('医保' | '社保卡')[];
}
export interface FormDeedTax1 {
  contractNo: HouseContractNo;
  estateUnitNo: EstateUnitNo;
  certNo?: EstateCertNo;
  houseAddress: Address;
  area: Area;
  declaredPrice: Money;
  /**
   * @minItems 1
   * @maxItems 50
   */
  sellers: Owner[];
  /**
   * the buyers
   *
   * @minItems 1
   * @maxItems 50
   */
  taxpayers: Buyer[];
  familyHouseCount: FamilyHouseCount;
  houseCategory: HouseCategory;
  exemption?: {
    kind: 'none' | '夫妻变更' | '法定继承' | 'other';
    /**
     * for other
     */
    text?: string;
  };
}
export interface FormFlexibleEmployment1 {
  applicant: Person;
  /**
   * GB/T 2260, anywhere in the country
   */
  hukouArea: string;
  /**
   * @minItems 1
   * @maxItems 2
   *
   * Items: 110 pension, 310 medical
   */
  insuranceTypes: ('110' | '310')[];
  base: Money;
  startMonth: Month;
  bankAccount: Bank;
  employmentStatus: '灵活就业' | '个体' | '新业态';
}
export interface FormHouseTransfer1 {
  estateUnitNo: EstateUnitNo;
  certNo: EstateCertNo;
  houseAddress: Address;
  area: Area;
  price: Money;
  contractNo: HouseContractNo;
  houseCategory: HouseCategory;
  familyHouseCount: FamilyHouseCount;
  /**
   * @minItems 1
   * @maxItems 50
   */
  sellers: Owner[];
  /**
   * @minItems 1
   * @maxItems 50
   */
  buyers: Buyer[];
  mortgage?: {
    exists: boolean;
    bank?: string;
    proofNo?: string;
  };
  deliveryMode: DeliveryMode;
  deliveryAddress?: Address;
}
/**
 * by an operator who has found out which envelope a department's message is about; the reason is kept
 */
export interface MessageAttach1 {
  /**
   * the envelope's id; it must be to the party that the message is from
   */
  envelope: string;
  reason: string;
}
/**
 * by an operator, of a department's message that is of no use; the reason is kept
 */
export interface MessageDiscard1 {
  reason: string;
}
/**
 * application/problem+json
 */
export interface Problem1 {
  type: string;
  title: string;
  status: number;
  detail?: string;
  instance?: string;
  /**
   * a short stable word for programs
   */
  code: string;
  zh: string;
  en: string;
  /**
   * all at once; never the value itself
   *
   * @maxItems 500
   */
  problems: Problem[];
  /**
   * seconds
   */
  retryAfter?: number;
  traceId?: string;
}
