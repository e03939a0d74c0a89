import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { sm2 } from 'sm-crypto-v2';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { MakeSimulator } from '../../contracts/ports/simulator.ts';
import { type Door, httpDoor, Office, type OfficeReply, type OfficeRequest } from '../wire/office.ts';

const USER_ID = '1234567812345678';
const BODY_KEY = '0123456789abcdeffedcba9876543210';

/** The medical insurance platform: an infno envelope, SM2 over the canonical text, SM4 inside, a daily sign-in; infcode -1 for everything that went wrong. */
const makeMedicalInsurance: MakeSimulator = () => {
  const office = new Office('medical-insurance');
  const gateway = sm2.generateKeyPairHex();
  const platform = sm2.generateKeyPairHex();
  const filings = new Map<string, JsonObject>();
  let door: Door | undefined;
  let signNo = '';

  function answer(request: OfficeRequest, mood: 'well' | 'refuses' | 'busy'): OfficeReply {
    if (mood === 'busy') return said('-1', '系统繁忙，请稍后再试');
    const { cainfo, ...message } = JSON.parse(request.body.toString('utf8')) as JsonObject;
    if (!sm2.doVerifySignature(sorted(message), String(cainfo), gateway.publicKey, { hash: true, userId: USER_ID }))
      return said('-1', '验签失败');
    const input = JSON.parse(opened(String(message.input))) as { data?: JsonObject };
    if (message.infno === '9001') {
      signNo = `SIGN${Date.now()}${office.next()}`;
      return said('0', '', { signinoutb: { sign_time: message.inf_time ?? '', sign_no: signNo } });
    }
    if (message.sign_no !== signNo || signNo === '') return said('-1', '签到编号已失效,请重新签到');
    if (mood === 'refuses') return said('-1', '该人员已参加其他统筹区医疗保险');
    const data = input.data ?? {};
    const person = personal(String(data.certno));
    switch (message.infno) {
      case 'L001': {
        const key = String(data.ywlsh);
        if (filings.has(key)) return said('-1', `业务流水号${key}重复`);
        const result = { ywlsh: `YB${String(office.next()).padStart(12, '0')}`, psn_no: person };
        filings.set(key, result);
        office.file(key, result.ywlsh, 'L001', data);
        return said('0', '', { result });
      }
      case 'L002': {
        const key = String(data.ywlsh);
        const result = filings.get(key);
        if (result === undefined) return said('-1', '未查询到业务信息');
        const { certno = '', insutype = '', begn_ym = '' } = (office.find(key)?.content ?? {}) as JsonObject;
        return said('0', '', { result: { ...result, certno, insutype, begn_ym } });
      }
      case '1101':
        return said('0', '', {
          baseinfo: { psn_no: person, certno: data.certno ?? '', psn_name: data.psn_name ?? '' },
          insuinfo: { insutype: '310', psn_insu_stas: '1', insuplc_admdvs: '331124' },
        });
      default:
        return said('0', '', {});
    }
  }

  function said(infcode: string, errMsg: string, output?: JsonObject): OfficeReply {
    // Their infcode is a JSON number; the canonical text has it as it is written.
    const body = {
      infcode: Number(infcode),
      inf_refmsgid: `331124${Date.now()}`,
      refmsg_time: String(Date.now()),
      err_msg: errMsg,
      ...(output === undefined ? { output: null } : { output: sealed(JSON.stringify(output)) }),
    };
    const cainfo = sm2.doSignature(sorted(body), platform.privateKey, { hash: true, userId: USER_ID });
    return { headers: { 'content-type': 'application/json;charset=UTF-8' }, body: JSON.stringify({ ...body, cainfo }) };
  }

  return {
    party: 'medical-insurance',
    filed: () => office.filed(),
    async start({ port }) {
      door = await httpDoor(office, port, answer, () => ({
        headers: { 'content-type': 'application/json;charset=UTF-8' },
        body: '{"infcode":0,"output":"9f86d081884c7d65","cainfo":"00"}',
      }));
      return {
        settings: {
          baseUrl: `http://127.0.0.1:${door.port}`,
          privateKey: gateway.privateKey,
          theirPublicKey: platform.publicKey,
          bodyKey: BODY_KEY,
        },
      };
    },
    async mood(mood) {
      office.mood = mood;
      await door?.absent(mood === 'absent');
    },
    /** `endSignIn`: the sign-in is lost, as at midnight. */
    async pull(lever) {
      if (lever !== 'endSignIn') throw new Error('levers: endSignIn');
      signNo = '';
    },
    async stop() {
      office.close();
      await door?.close();
    },
  };
};

export default makeMedicalInsurance;

/** a=1&b=2, keys sorted, empty values left out. */
function sorted(message: { readonly [key: string]: unknown }): string {
  return Object.keys(message)
    .sort()
    .filter((key) => message[key] !== '' && message[key] !== null && message[key] !== undefined)
    .map((key) => `${key}=${String(message[key])}`)
    .join('&');
}

function sealed(text: string): string {
  const cipher = createCipheriv('sm4-ecb', Buffer.from(BODY_KEY, 'hex'), null);
  return Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]).toString('hex');
}

function opened(hex: string): string {
  const decipher = createDecipheriv('sm4-ecb', Buffer.from(BODY_KEY, 'hex'), null);
  return Buffer.concat([decipher.update(Buffer.from(hex, 'hex')), decipher.final()]).toString('utf8');
}

/** Their personal number of somebody: the same for the same person. */
function personal(idNo: string): string {
  return `3311${createHmac('sm3', 'person').update(idNo).digest('hex').replaceAll(/[a-f]/g, '').padEnd(16, '0').slice(0, 16)}`;
}
