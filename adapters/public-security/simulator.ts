import { createHmac, randomBytes } from 'node:crypto';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import type { MakeSimulator } from '../../contracts/ports/simulator.ts';
import { type Door, httpDoor, Office, type OfficeReply, type OfficeRequest } from '../wire/office.ts';

const APP_ID = 'SYX-YCSL';
const APP_SECRET = 'demo-police-secret';
const TOKEN_SECONDS = 1_800;

/** The police request-service platform: a form field full of JSON, a token that ends with code 2002, a daily quota, every question audited. */
const makePublicSecurity: MakeSimulator = () => {
  const office = new Office('public-security');
  const births = new Map<string, JsonObject>();
  /** Identity numbers whose certificates are not as usual: `none`, or a state such as `02`. */
  const certificates = new Map<string, string>();
  let door: Door | undefined;
  let token = '';
  let quota = Number.POSITIVE_INFINITY;

  function answer(request: OfficeRequest, mood: 'well' | 'refuses' | 'busy'): OfficeReply {
    const text = request.body.toString('utf8');
    const { gateway_appid: appId = '', gateway_rtime: time = '', gateway_sig: signature = '' } = request.headers;
    if (mood === 'busy' || quota <= 0) return said('0402', '今日调用次数已达上限');
    if (appId !== APP_ID || signature !== createHmac('sm3', APP_SECRET).update(`${appId}${time}${text}`).digest('hex'))
      return said('0301', '认证失败');
    if (request.path === '/pspt/token') {
      token = randomBytes(16).toString('hex');
      return said('0000', '成功', { token, expires: String(TOKEN_SECONDS) });
    }
    quota -= 1;
    const { head, data } = JSON.parse(new URLSearchParams(text).get('gxData') ?? '{}') as {
      head: JsonObject;
      data: { cxywlb: string; cxywcs: JsonObject[] };
    };
    if (head.token !== token || token === '') return said('2002', 'token已过期');
    if (!head.businessNumber || !head.userName || !head.deptName) return said('1004', '缺少业务编号或经办人，不予受理');
    const asked = data.cxywcs[0] ?? {};
    if (mood === 'refuses') return said('1002', '该申请不符合办理条件');
    switch (data.cxywlb) {
      case 'birth_register':
        return register(asked);
      case 'birth_register_result': {
        const birth = births.get(String(asked.ywbh));
        return found(birth === undefined ? [] : [{ ...birth, ...registered(String(asked.ywbh)) }]);
      }
      case 'police_identity_check':
        return found([
          String(asked.xm).includes('不符')
            ? { CheckCode: '0', CheckCodeDesc: '不一致' }
            : { CheckCode: '1', CheckCodeDesc: '一致' },
        ]);
      case 'ecert_id_card':
        return found(held(asked, idCard));
      case 'ecert_household':
        return found(held(asked, household));
      case 'ping':
        return found([]);
      default:
        return said('9900', '其他错误');
    }
  }

  function register(asked: JsonObject): OfficeReply {
    const key = String(asked.ywbh);
    if (births.has(key))
      return said('1001', '业务编号重复', { ResourceInfos: [{ ReturnInfos: [births.get(key) as Json] }] });
    const sequence = office.next();
    const number = `HJ${String(sequence).padStart(10, '0')}`;
    const birth: JsonObject = {
      Slbh: number,
      Gmsfhm: identityNumber(String(asked.csrq), String(asked.xb), sequence),
      Hh: `3311240010${String(sequence).padStart(5, '0')}`,
    };
    births.set(key, birth);
    office.file(key, number, 'birth_register', asked);
    return found([birth]);
  }

  /** Whose registration it is. */
  function registered(key: string): JsonObject {
    const {
      xm = '',
      csrq = '',
      cszmbh = '',
      fqsfzh = '',
      mqsfzh = '',
    } = (office.find(key)?.content ?? {}) as JsonObject;
    return { Xm: xm, Csrq: csrq, Cszmbh: cszmbh, Fqsfzh: fqsfzh, Mqsfzh: mqsfzh };
  }

  function held(asked: JsonObject, make: (asked: JsonObject, state: string) => JsonObject): JsonObject[] {
    const state = certificates.get(String(asked.sfzh)) ?? '01';
    return state === 'none' ? [] : [make(asked, state)];
  }

  return {
    party: 'public-security',
    filed: () => office.filed(),
    async start({ port }) {
      door = await httpDoor(office, port, answer, () => ({
        headers: { 'content-type': 'text/html; charset=utf-8' },
        body: '<html><body>Bad Gateway: 请求服务平台升级中</body>',
      }));
      return { settings: { baseUrl: `http://127.0.0.1:${door.port}`, appId: APP_ID, appSecret: APP_SECRET } };
    },
    async mood(mood) {
      office.mood = mood;
      await door?.absent(mood === 'absent');
    },
    /** `expireToken`; `quota`: calls left today; `certificate`: {idNo, state}, where state is `none` or 01–07. */
    async pull(lever, value) {
      if (lever === 'expireToken') token = '';
      else if (lever === 'quota' && typeof value === 'number') quota = value;
      else if (lever === 'certificate' && value !== null && typeof value === 'object' && !Array.isArray(value))
        certificates.set(String(value.idNo), String(value.state));
      else throw new Error('levers: expireToken, quota (calls left), certificate ({idNo, state})');
    },
    async stop() {
      office.close();
      await door?.close();
    },
  };
};

export default makePublicSecurity;

function said(code: string, msg: string, data: JsonObject = {}): OfficeReply {
  return {
    headers: { 'content-type': 'application/json;charset=UTF-8' },
    body: JSON.stringify({ head: { code, msg }, data }),
  };
}

/** One answer is an object, several are a list, none is absent. */
function found(rows: readonly JsonObject[]): OfficeReply {
  const [only] = rows;
  const returned: JsonObject =
    rows.length === 0 ? {} : { ReturnInfos: rows.length === 1 ? (only as JsonObject) : [...rows] };
  return said('0000', '成功', { ResourceInfos: [returned] });
}

/** GB 11643; the 17th digit is odd for a man. */
function identityNumber(birth: string, sex: string, sequence: number): string {
  const body = `331124${birth.slice(0, 10).replaceAll('-', '')}${String((sequence * 2 + (sex === '1' ? 1 : 0)) % 1_000).padStart(3, '0')}`;
  const weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
  const sum = weights.reduce((total, weight, at) => total + weight * Number(body[at]), 0);
  return `${body}${'10X98765432'[sum % 11]}`;
}

function idCard({ xm = '', sfzh = '' }: JsonObject, state: string): JsonObject {
  const id = String(sfzh);
  return {
    Xm: xm,
    Gmsfhm: id,
    Xb: Number(id[16]) % 2 === 1 ? '1' : '2',
    Mz: '01',
    Csrq: id.slice(6, 14),
    Zz: '浙江省松阳县西屏街道样例路1号',
    Qfjg: '松阳县公安局',
    Yxqq: '20200101',
    Yxqz: '20400101',
    Zzbs: '1.2.156.3005.2.11100000000013127D001.11331124QA0000049U.20260000000000000001.001.N',
    Zzzt: state,
  };
}

function household({ xm = '', sfzh = '' }: JsonObject, state: string): JsonObject {
  return {
    Xm: xm,
    Gmsfhm: sfzh,
    Hh: '331124001000123',
    Hzxm: xm,
    Yhzgx: '户主',
    Zz: '浙江省松阳县西屏街道样例路1号',
    Qfjg: '松阳县公安局西屏派出所',
    Qfrq: '20150601',
    Zzbs: '1.2.156.3005.2.11331124QA0000049U901.11331124QA0000049U.20260000000000000001.001.U',
    Zzzt: state,
  };
}
