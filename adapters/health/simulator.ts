import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { publicDataOffice } from '../wire/public-data.ts';

/** Births and deaths behind the provincial public-data API. Whoever is asked about as a parent has the child that is asked for. */
export default publicDataOffice({
  party: 'health',
  app: { key: 'A331124000021202611000003', secret: 'demo-health-secret' },
  services: {
    Cs6yXz1Hk7Pz9Ba3: (body, state) => [birth(body, state)],
    Sw4zMg8Jd2Tn6Cy7: death,
  },
  torn: '{"code":"00","msg":"成功","datas":[{"cert_no":"J33',
});

function birth({ name = '', cert_num: idNo = '', birth_cert_no: certNo }: JsonObject, state: string): JsonObject {
  const isFather = Number(String(idNo)[16]) % 2 === 1;
  const other = isFather
    ? { name: '林样例', idNo: '331124198808080040' }
    : { name: '陈样例', idNo: '331124199512120052' };
  const [father, mother] = isFather ? [{ name, idNo }, other] : [other, { name, idNo }];
  return {
    cert_no: certNo ?? 'V330000001',
    cert_identifier: '1.2.156.3005.2.11331124QA00000A8Y901.11331124QA00000A8Y.20260000000000000001.001.O',
    child_name: '陈小样',
    sex: '2',
    birth: '2026-11-20 08:30',
    mother_name: mother.name,
    mother_id: mother.idNo,
    father_name: father.name,
    father_id: father.idNo,
    issued_on: '2026-11-21',
    cert_state: state,
  };
}

function death({ name = '', cert_num: idNo = '' }: JsonObject, state: string): JsonObject {
  return {
    name,
    cert_num: idNo,
    cert_no: 'S331124000007',
    cert_identifier: '1.2.156.3005.2.11331124QA00000A8Y902.11331124QA00000A8Y.20260000000000000001.001.Y',
    died_on: '2026-10-01',
    cert_state: state,
  };
}
