import { makeCertificateIdentifier, readCertificateIdentifier } from '../../contracts/identifiers.ts';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import { sampleOfd } from './sample-ofd.ts';
import { samplePdf } from './sample-pdf.ts';

/** Who is asked for; `certNo` where the question narrows it. */
export interface SampleHolder {
  readonly name: string;
  readonly idNo: string;
  readonly certNo?: string;
}

/** An invented certificate as every library that archives it knows it: they and the office that issued it agree. `fields` as in config/certificates.json. */
export interface SampleCertificate {
  readonly name: string;
  readonly issuer: string;
  readonly identifier: string;
  readonly number: string;
  readonly fields: JsonObject;
  readonly fileType: 'pdf' | 'ofd';
  readonly file: Buffer;
}

interface Kind {
  readonly name: string;
  readonly issuer: string;
  readonly issuerUscc: string;
  readonly fields: (holder: SampleHolder) => JsonObject;
  readonly number: (fields: JsonObject) => Json | undefined;
  /** Of the identifier; all have one but titles, which carry their number. */
  readonly serial?: (number: string) => string | undefined;
  readonly fileType?: 'ofd';
}

const MARRIAGE = '111000000000131433001';
/** As civil affairs knows them. */
const UNMARRIED: ReadonlySet<string> = new Set(['331124199001010011', '331124200102030041']);
const SERIAL = '20260000000000000001';
const ADDRESS = '浙江省松阳县西屏街道样例路1号';
const ESTATE_UNIT = '331124001002GB00123F00010001';
const certNo = (fields: JsonObject): Json | undefined => fields.certNo;
const isMan = (idNo: string): boolean => Number(idNo[16]) % 2 === 1;

const KINDS: { readonly [type: string]: Kind } = {
  '11100000000013127D001': {
    name: '居民身份证',
    issuer: '松阳县公安局',
    issuerUscc: '11331124QA0000049U',
    fields: ({ name, idNo }) => ({
      name,
      sex: isMan(idNo) ? '1' : '2',
      ethnicity: '01',
      birth: idNo.slice(6, 14),
      address: ADDRESS,
      idNo,
    }),
    number: ({ idNo }) => idNo,
  },
  '11331124QA0000049U901': {
    name: '居民户口簿',
    issuer: '松阳县公安局西屏派出所',
    issuerUscc: '11331124QA0000049U',
    fields: ({ name }) => ({ householdNo: '331124001000123', head: name, relation: '户主', address: ADDRESS }),
    number: ({ householdNo }) => householdNo,
  },
  [MARRIAGE]: {
    name: '结婚证',
    issuer: '松阳县民政局',
    issuerUscc: '11331124QA0000030Y',
    fields: () => ({
      certNo: 'J331124-2016-000520',
      spouseName: '配偶样例',
      spouseIdNo: '331124198506150023',
      registeredOn: '2016-05-20',
    }),
    number: certNo,
  },
  '11100000MB03271699001': {
    name: '不动产权证书',
    issuer: '松阳县自然资源和规划局',
    issuerUscc: '11331124QA0000057N',
    fields: ({ certNo: asked }) => ({
      certNo: asked ?? '浙(2026)松阳县不动产权第0001234号',
      estateUnitNo: ESTATE_UNIT,
      address: ADDRESS,
      area: '98.60',
    }),
    number: certNo,
    serial(number) {
      const [, year, own] = /^浙\((\d{4})\)松阳县不动产权第(\d{7})号$/.exec(number) ?? [];
      return year === undefined ? undefined : `${year}000000000${own}`;
    },
  },
  '11100000MB03271699022': {
    name: '不动产登记证明',
    issuer: '松阳县自然资源和规划局',
    issuerUscc: '11331124QA0000057N',
    fields: () => ({
      proofNo: '浙(2026)松阳县不动产证明第0000567号',
      estateUnitNo: ESTATE_UNIT,
      right: '抵押权',
    }),
    number: ({ proofNo }) => proofNo,
  },
  '11331124QA00000A8Y901': {
    name: '出生医学证明',
    issuer: '松阳县卫生健康局',
    issuerUscc: '11331124QA00000A8Y',
    fields({ name, idNo }) {
      const asked = { name, idNo };
      const [father, mother] = isMan(idNo)
        ? [asked, { name: '林样例', idNo: '331124198808080040' }]
        : [{ name: '陈样例', idNo: '331124199512120052' }, asked];
      return {
        birthCertNo: 'V330000001',
        childName: '陈小样',
        sex: '2',
        birth: '2026-11-20 08:30',
        motherName: mother.name,
        motherIdNo: mother.idNo,
        fatherName: father.name,
        fatherIdNo: father.idNo,
      };
    },
    number: ({ birthCertNo }) => birthCertNo,
    fileType: 'ofd',
  },
  '11331124QA00000817901': {
    name: '就业创业证',
    issuer: '松阳县人力资源和社会保障局',
    issuerUscc: '11331124QA00000817',
    fields: () => ({ certNo: '3311240026000123', status: '就业', registeredOn: '2024-03-01' }),
    number: certNo,
  },
  '11331124QA00000B6R901': {
    name: '网签合同备案',
    issuer: '松阳县住房和城乡建设局',
    issuerUscc: '11331124QA00000B6R',
    fields: () => ({ contractNo: 'WQ2026112300017', filedOn: '2026-11-20', price: '860000.00' }),
    number: ({ contractNo }) => contractNo,
  },
  '11331124QA0000065H901': {
    name: '契税完税凭证',
    issuer: '松阳县税务局',
    issuerUscc: '11331124QA0000065H',
    fields: () => ({ amount: '8600.00', contractNo: 'WQ2026112300017', paidOn: '2026-11-23' }),
    // The number of the receipt is none of its fields.
    number: () => '333261126000123456',
  },
  '11100000MB0143028R001': {
    name: '营业执照',
    issuer: '松阳县市场监督管理局',
    issuerUscc: '11331124QA00000149',
    fields: ({ name, idNo }) => ({
      name,
      uscc: idNo,
      legalPerson: '张样例',
      address: ADDRESS,
      establishedOn: '2020-01-01',
      scope: '茶叶种植、销售',
    }),
    number: ({ uscc }) => uscc,
  },
};

/** Undefined: nobody holds that kind, or this holder does not. */
export function sampleCertificate(type: string, holder: SampleHolder): SampleCertificate | undefined {
  const kind = KINDS[type];
  if (kind === undefined || (type === MARRIAGE && UNMARRIED.has(holder.idNo))) return undefined;
  const fields = kind.fields(holder);
  const number = String(kind.number(fields));
  const serial = kind.serial?.(number) ?? SERIAL;
  const identifier = makeCertificateIdentifier({ type, issuer: kind.issuerUscc, serial, version: '001' });
  const file = fileOf(kind, identifier);
  return { name: kind.name, issuer: kind.issuer, identifier, number, fields, fileType: kind.fileType ?? 'pdf', file };
}

/** The file of one by its identifier: its bytes, and which kind of file it is. */
export function sampleFile(identifier: string): Pick<SampleCertificate, 'fileType' | 'file'> | undefined {
  const kind = KINDS[readCertificateIdentifier(identifier)?.type ?? ''];
  return kind === undefined ? undefined : { fileType: kind.fileType ?? 'pdf', file: fileOf(kind, identifier) };
}

const fileOf = ({ name, fileType }: Kind, identifier: string): Buffer =>
  fileType === 'ofd' ? sampleOfd(name) : samplePdf(['ELECTRONIC CERTIFICATE (sample)', identifier]);
