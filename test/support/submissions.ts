import { createHash, randomInt, randomUUID } from 'node:crypto';
import type { JsonObject } from '../../contracts/ports/envelope.ts';

/**
 * Whole and valid `case.submit@1` bodies of the four items, fresh on every call. The people are invented; their numbers have
 * valid check digits. Certificates are left to be fetched; only what has no source is among the materials.
 */
export interface Variation {
  /** Another one on every call, unless given. */
  readonly applicationNo?: string;
  /** Of the one who applies: the buyer, the taxpayer, the father, the insured. */
  readonly name?: string;
  /** Of the other side: the first seller, the mother; the newborn is `childName`. */
  readonly otherName?: string;
  readonly childName?: string;
  readonly channel?: 'window' | 'web' | 'app' | 'terminal' | 'post';
  /** When it is filed, ms; now, unless given. */
  readonly at?: number;
  /** Laid over the form's own fields. */
  readonly form?: JsonObject;
}

const ITEM = {
  houseTransfer: '11331124QA0000057N433071500400501',
  deedTax: '11331124QA0000065H433203000500101',
  birth: '11331124QA0000049U433070900200101',
  flexibleEmployment: '11331124QA00000817433201400100401',
};

const person = (name: string, idNo: string, mobile: string): JsonObject => ({ name, idType: '111', idNo, mobile });
const seller = (name = '周样例') => person(name, '331124197203040017', '13900000001');
const sellersWife = () => person('吴样例', '331124197405060024', '13900000002');
const buyer = (name = '陈样例') => person(name, '331124199512120052', '13900000003');
const mother = (name = '林样例') => person(name, '331124198808080040', '13900000004');
const insured = (name = '张样例') => person(name, '331124199001010011', '13900000005');

/** A file that was handed in, by the SM3 of what stands in it. */
const uploaded = (code: string, name: string): JsonObject => ({
  code,
  name,
  source: 'upload',
  digest: createHash('sm3').update(name).digest('hex'),
});

/** Local time, ISO 8601. */
const local = (at: number): string => `${new Date(at + 8 * 3_600_000).toISOString().slice(0, 19)}+08:00`;

function submission(
  itemCode: string,
  { applicationNo = `YC-${randomUUID()}`, channel = 'window' }: Variation,
  applicant: JsonObject,
  form: JsonObject,
  materials: JsonObject[] = [],
): JsonObject {
  return { applicationNo, itemCode, channel, applicant, form, materials };
}

/** 二手房转移登记: a couple sells, a married man buys. */
export function houseTransfer(vary: Variation = {}): JsonObject {
  const form: JsonObject = {
    estateUnitNo: '331124001002GB00123F00010001',
    // Another title each time: the registry ends the one that it transfers.
    certNo: `浙(2026)松阳县不动产权第${randomInt(2_000_000, 10_000_000)}号`,
    houseAddress: '松阳县西屏街道样例路1号2幢301室',
    area: '89.50',
    price: '1250000.00',
    contractNo: 'SYFC2026110001',
    houseCategory: '住宅',
    familyHouseCount: '唯一',
    sellers: [
      { ...seller(vary.otherName), share: '50.00' },
      { ...sellersWife(), share: '50.00' },
    ],
    buyers: [{ ...buyer(vary.name), share: '100.00', maritalStatus: '已婚' }],
    deliveryMode: 'window',
    ...vary.form,
  };
  return submission(ITEM.houseTransfer, vary, buyer(vary.name), form, [uploaded('5-04', '结婚证')]);
}

/** 契税申报: one unmarried taxpayer. */
export function deedTax(vary: Variation = {}): JsonObject {
  const form: JsonObject = {
    contractNo: 'SYFC2026110002',
    estateUnitNo: '331124001002GB00123F00010001',
    certNo: '浙(2026)松阳县不动产权第0001234号',
    houseAddress: '松阳县西屏街道样例路1号2幢301室',
    area: '89.50',
    declaredPrice: '1250000.00',
    sellers: [{ ...seller(vary.otherName), share: '100.00' }],
    taxpayers: [{ ...insured(vary.name), share: '100.00', maritalStatus: '未婚' }],
    familyHouseCount: '唯一',
    houseCategory: '住宅',
    exemption: { kind: 'none' },
    ...vary.form,
  };
  return submission(ITEM.deedTax, vary, insured(vary.name), form);
}

/** 出生登记: a girl three days old, both parents, medical insurance and card wanted. */
export function birth(vary: Variation = {}): JsonObject {
  const form: JsonObject = {
    child: {
      name: vary.childName ?? '陈小样',
      sex: '2',
      birth: local((vary.at ?? Date.now()) - 3 * 86_400_000),
      birthCertNo: 'V330000001',
      ethnicity: '01',
    },
    father: buyer(vary.name),
    mother: mother(vary.otherName),
    settleWith: 'father',
    address: { region: '331124001002', detail: '样例路1号2幢301室' },
    followUps: ['医保', '社保卡'],
    ...vary.form,
  };
  return submission(ITEM.birth, vary, buyer(vary.name), form, [
    uploaded('4-01', '出生医学证明'),
    uploaded('4-04', '结婚证'),
  ]);
}

/** 灵活就业参保: pension and medical insurance from the month of filing on. */
export function flexibleEmployment(vary: Variation = {}): JsonObject {
  const form: JsonObject = {
    applicant: insured(vary.name),
    hukouArea: '331124',
    insuranceTypes: ['110', '310'],
    base: '6000.00',
    startMonth: local(vary.at ?? Date.now())
      .slice(0, 7)
      .replace('-', ''),
    bankAccount: { holder: vary.name ?? '张样例', bankName: '松阳农商银行', accountNo: '6200000000000000001' },
    employmentStatus: '灵活就业',
    ...vary.form,
  };
  return submission(ITEM.flexibleEmployment, vary, insured(vary.name), form, [uploaded('8-03', '就业创业证')]);
}
