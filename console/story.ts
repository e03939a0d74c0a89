import { createHash, randomInt, randomUUID } from 'node:crypto';

/**
 * The submissions of the demo. The people are invented; their numbers have valid check digits.
 * Shapes: `case.submit@1` with the form contracts of each item.
 */
const person = (name: string, idNo: string) => ({ name, idType: '111', idNo, mobile: '13900000000' });

/** A house is sold once: its title ends with the transfer. */
const anotherTitle = () => `浙(2026)松阳县不动产权第${String(randomInt(1, 10_000_000)).padStart(7, '0')}号`;

const upload = (code: string, name: string) => ({
  code,
  name,
  source: 'upload',
  digest: createHash('sm3').update(name).digest('hex'),
});

function submission<Form extends object>(itemCode: string, applicant: object, form: Form, materials: object[] = []) {
  return {
    applicationNo: `DEMO-${randomUUID()}`,
    itemCode,
    channel: 'window',
    clerk: { officerId: 'SY-W07-012', windowId: 'W07' },
    applicant,
    form,
    materials,
  };
}

export function houseSale() {
  const buyer = person('张样例', '331124199001010011');
  return submission('11331124QA0000057N433071500400501', buyer, {
    estateUnitNo: '331124001002GB00123F00010001',
    certNo: anotherTitle(),
    houseAddress: '浙江省丽水市松阳县西屏街道样例路1号101室',
    area: '98.60',
    price: '860000.00',
    contractNo: 'WQ2026112300017',
    houseCategory: '住宅',
    familyHouseCount: '唯一',
    sellers: [{ ...person('王样例', '331124197203040017'), share: '100.00' }],
    buyers: [{ ...buyer, share: '100.00', maritalStatus: '未婚' }],
    deliveryMode: 'window',
  });
}

/** Another house, another buyer. */
export function secondSale() {
  const buyer = person('何样例', '331124198808080040');
  const sale = houseSale();
  return {
    ...sale,
    applicant: buyer,
    form: {
      ...sale.form,
      certNo: anotherTitle(),
      contractNo: 'WQ2026112300019',
      sellers: [{ ...person('周样例', '331124195809090036'), share: '100.00' }],
      buyers: [{ ...buyer, share: '100.00', maritalStatus: '未婚' }],
    },
  };
}

/** Shares that do not add up, a wrong check digit, a price in words, an unknown way of delivery. */
export function houseSaleWithMistakes() {
  const sale = houseSale();
  const buyers = [{ ...person('张样例', '331124199001010012'), share: '60.00', maritalStatus: '已婚' }];
  return { ...sale, form: { ...sale.form, price: '八十六万', buyers, deliveryMode: 'pigeon' } };
}

/** Sound in form; but the buyer says that he is married, and no source has it on record. */
export function houseSaleWithoutMarriageCertificate() {
  const sale = houseSale();
  return {
    ...sale,
    form: {
      ...sale.form,
      buyers: sale.form.buyers.map((buyer) => ({ ...buyer, share: '90.00', maritalStatus: '已婚' })),
    },
  };
}

export function deedTax(name: string) {
  const payer = person(name, '331124198506150023');
  return submission('11331124QA0000065H433203000500101', payer, {
    contractNo: 'WQ2026112300018',
    estateUnitNo: '331124001002GB00123F00010001',
    certNo: anotherTitle(),
    houseAddress: '浙江省丽水市松阳县西屏街道样例路1号101室',
    area: '98.60',
    declaredPrice: '860000.00',
    sellers: [{ ...person('王样例', '331124197203040017'), share: '100.00' }],
    taxpayers: [{ ...payer, share: '100.00', maritalStatus: '未婚' }],
    familyHouseCount: '唯一',
    houseCategory: '住宅',
    exemption: { kind: 'none' },
  });
}

export function birth() {
  const father = person('陈样例', '331124199512120052');
  return submission(
    '11331124QA0000049U433070900200101',
    father,
    {
      child: {
        name: '陈小样',
        sex: '2',
        birth: '2026-11-20T08:30:00+08:00',
        birthCertNo: 'V330000001',
        ethnicity: '01',
      },
      father,
      mother: person('林样例', '331124198808080040'),
      settleWith: 'father',
      address: { region: '331124001002', detail: '样例路1号' },
      followUps: ['医保', '社保卡'],
    },
    [upload('4-01', '出生医学证明'), upload('4-04', '结婚证')],
  );
}

export function flexibleEmployment(name: string) {
  const insured = person(name, '331124199001010011');
  const month = new Date(Date.now() + 8 * 3_600_000).toISOString().slice(0, 7).replace('-', '');
  return submission(
    '11331124QA00000817433201400100401',
    insured,
    {
      applicant: insured,
      hukouArea: '331124',
      insuranceTypes: ['110', '310'],
      base: '6000.00',
      startMonth: month,
      bankAccount: { holder: name, bankName: '松阳农商银行', accountNo: '6200000000000000001' },
      employmentStatus: '灵活就业',
    },
    [upload('8-03', '就业创业证')],
  );
}
