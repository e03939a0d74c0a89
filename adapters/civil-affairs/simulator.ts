import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { publicDataOffice } from '../wire/public-data.ts';

/** 张样例 is unmarried; so is 李样例. */
const UNMARRIED: ReadonlySet<string> = new Set(['331124199001010011', '331124200102030041']);

/** Marriages and allowances behind the provincial public-data API. Whoever is asked about is married to an invented spouse, but for those who are not. */
export default publicDataOffice({
  party: 'civil-affairs',
  app: { key: 'A331124000011202611000002', secret: 'demo-civil-affairs-secret' },
  services: {
    // This one gives an object for one record.
    Mr3nHy7Jk2Zx9Lw1: (body, state) => (UNMARRIED.has(String(body.cert_num)) ? undefined : marriage(body, state)),
    // And this one a text with a list in it.
    Db5bZh8Nc4Vd6Xe2: (body, state) =>
      UNMARRIED.has(String(body.cert_num)) ? undefined : JSON.stringify([allowance(body, state)]),
  },
  torn: '{"code":"00","msg":"成功","datas":[{"cert_no":"J33',
});

/** `divorced` is a record of its own; any other state is the certificate's. */
function marriage({ name = '', cert_num: idNo = '' }: JsonObject, state: string): JsonObject {
  const [isMan, spouse] = [Number(String(idNo)[16]) % 2 === 1, { name: '配偶样例', idNo: '331124198506150023' }];
  const [man, woman] = isMan ? [{ name, idNo }, spouse] : [spouse, { name, idNo }];
  return {
    name_man: man.name,
    cert_num_man: man.idNo,
    name_woman: woman.name,
    cert_num_woman: woman.idNo,
    op_type: state === 'divorced' ? 'IB' : 'IA',
    op_date: '2016-05-20',
    cert_no: 'J331124-2016-000520',
    cert_identifier: '1.2.156.3005.2.111000000000131433001.11331124QA0000030Y.20260000000000000001.001.U',
    cert_state: state === 'divorced' ? '01' : state,
  };
}

function allowance({ name = '', cert_num: idNo = '' }: JsonObject, state: string): JsonObject {
  return {
    name,
    cert_num: idNo,
    cert_no: 'DB331124000123',
    cert_identifier: '1.2.156.3005.2.11331124QA0000030Y901.11331124QA0000030Y.20260000000000000001.001.H',
    since: '2025-01-01',
    until: '2099-12-31',
    household_size: '3',
    cert_state: state,
  };
}
