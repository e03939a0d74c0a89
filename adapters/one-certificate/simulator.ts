import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import type { MakeSimulator } from '../../contracts/ports/simulator.ts';
import { type Door, httpDoor, Office, type OfficeReply, type OfficeRequest } from '../wire/office.ts';
import { type SampleCertificate, sampleCertificate } from '../wire/sample-certificates.ts';

const USERNAME = 'songyang';
const SECRET = 'demo-one-certificate-secret';
/** What the city has connected. */
const TYPES: ReadonlySet<string> = new Set([
  '11100000000013127D001',
  '11331124QA0000049U901',
  '111000000000131433001',
  '11100000MB03271699001',
  '11331124QA0000065H901',
]);
const ANOTHER = { name: '别样例', idNo: '331124195809090036' };

/** The city's product: one form, one answer; the file as base64 beside the data. */
const makeOneCertificate: MakeSimulator = () => {
  const office = new Office('one-certificate');
  /** By holder: `none`, a state such as `02`, `other` or `otherType`: somebody else's certificate, or another one of theirs. */
  const special = new Map<string, string>();
  let door: Door | undefined;
  let withoutFile: string | undefined;
  /** How many a list holds; null: one, which is no list. */
  let list: number | null = null;
  let untidy = false;

  function answer(request: OfficeRequest, mood: 'well' | 'refuses' | 'busy'): OfficeReply {
    if (mood === 'busy') return said('9', '系统繁忙，请稍后再试');
    const form = new URLSearchParams(request.body.toString('utf8'));
    if (form.get('username') !== USERNAME || form.get('secret') !== SECRET) return said('2', '用户名或密钥错误');
    if (request.path === '/yztb/api/ping') return said('0', '成功');
    if (mood === 'refuses') return said('3', '该事项未配置此证照');
    const type = form.get('certCode') ?? '';
    if (!form.get('busiCode') || !form.get('applicantUser')) return said('3', '缺少业务编号或经办人');
    const how = special.get(form.get('cerNo') ?? '') ?? '01';
    const kept = TYPES.has(type) && how !== 'none' ? sampleCertificate(type, holderOf(form)) : undefined;
    if (kept === undefined) return said('1', '未查询到证照');
    const one = untidy ? untidied(row(form, kept, how)) : row(form, kept, how);
    return said('0', '成功', {
      certFile: withoutFile ?? kept.file.toString('base64'),
      certData: list === null ? one : Array.from({ length: list }, () => one),
    });
  }

  return {
    party: 'one-certificate',
    filed: () => office.filed(),
    async start({ port }) {
      door = await httpDoor(office, port, answer, () => ({
        headers: { 'content-type': 'application/json;charset=UTF-8' },
        body: '{"returnCode":"0","certFile":"JVBERi0',
      }));
      return { settings: { baseUrl: `http://127.0.0.1:${door.port}`, username: USERNAME, secret: SECRET } };
    },
    async mood(mood) {
      office.mood = mood;
      await door?.absent(mood === 'absent');
    },
    /**
     * `certificate`: {idNo, state}, where state is `none`, `other` (somebody else's), `otherType` or 01–07; `file`: what stands in its place, such as `null`;
     * `list`: how many a list holds, null for one that is no list; `untidy`: full-width digits, spaces, marks for nothing.
     */
    async pull(lever, value) {
      if (lever === 'file') withoutFile = typeof value === 'string' ? value : undefined;
      else if (lever === 'list') list = typeof value === 'number' ? value : null;
      else if (lever === 'untidy') untidy = value === true;
      else if (lever === 'certificate' && value !== null && typeof value === 'object' && !Array.isArray(value))
        special.set(String(value.idNo), String(value.state));
      else
        throw new Error('levers: certificate ({idNo, state}), file (a text, or null), list (number, or null), untidy');
    },
    async stop() {
      office.close();
      await door?.close();
    },
  };
};

export default makeOneCertificate;

const holderOf = (form: URLSearchParams) => {
  const certNo = form.get('certNo') ?? '';
  return { name: form.get('cerName') ?? '', idNo: form.get('cerNo') ?? '', ...(certNo !== '' && { certNo }) };
};

function row(form: URLSearchParams, kept: SampleCertificate, how: string): JsonObject {
  const asked = holderOf(form);
  const { name, idNo } = how === 'other' ? ANOTHER : asked;
  return {
    certCode: how === 'otherType' ? '11331124QA0000030Y901' : (form.get('certCode') ?? ''),
    certName: kept.name,
    certIdentifier: kept.identifier,
    certNo: kept.number,
    cerName: name,
    cerNo: idNo,
    certState: how.startsWith('other') ? '01' : how,
    issueUnit: kept.issuer,
    beginDate: '20200101',
    endDate: '20400101',
    content: kept.fields,
  };
}

/** As a clerk's form and an old table write it. */
function untidied(tidy: JsonObject): JsonObject {
  const wide = String(tidy.cerNo).replaceAll(/\d/g, (digit) => String.fromCharCode(digit.charCodeAt(0) + 0xfee0));
  return {
    ...tidy,
    cerName: `${tidy.cerName} `,
    cerNo: ` ${wide}`,
    certIdentifier: '/',
    beginDate: 'null',
    endDate: '长期',
  };
}

function said(returnCode: string, returnMessage: string, more: { readonly [name: string]: Json } = {}): OfficeReply {
  return {
    headers: { 'content-type': 'application/json;charset=UTF-8' },
    body: JSON.stringify({ returnCode, returnMessage, ...more }),
  };
}
