import { createHash, randomBytes } from 'node:crypto';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import type { MakeSimulator } from '../../contracts/ports/simulator.ts';
import { type Door, httpDoor, Office, type OfficeReply, type OfficeRequest } from '../wire/office.ts';

const APP_KEY = 'A331124000001202611000001';
const APP_SECRET = 'demo-app-secret';
const REQUEST_SECRET_MS = 15 * 60_000;
const REFRESH_SECRET_MS = 48 * 3_600_000;

/** The provincial public-data gateway in front of the bureau: two levels of secrets, each new one ends the old; code "00" is success. */
const makeHousingConstruction: MakeSimulator = () => {
  const office = new Office('housing-construction');
  let door: Door | undefined;
  let requestSecret = '';
  let refreshSecret = '';
  /** Milliseconds their clock is ahead of ours. */
  let skewMs = 0;

  const now = (): number => Date.now() + skewMs;
  const signed = (secret: string, given: { appKey: string; sign: string; requestTime: string }): boolean =>
    given.appKey === APP_KEY &&
    secret !== '' &&
    Math.abs(Number(given.requestTime) - now()) < 5 * 60_000 &&
    given.sign === createHash('md5').update(`${given.appKey}${secret}${given.requestTime}`).digest('hex');

  function answer(request: OfficeRequest, mood: 'well' | 'refuses' | 'busy'): OfficeReply {
    if (mood === 'busy') return json({ code: '19', msg: '访问过于频繁，请稍后再试', data: '', datas: '' });
    if (request.path.endsWith('/refreshTokenByKey.htm')) return secrets(APP_SECRET, request);
    if (request.path.endsWith('/refreshTokenBySec.htm')) return secrets(refreshSecret, request);
    const { appkey = '', sign = '', requesttime = '' } = request.headers;
    if (!signed(requestSecret, { appKey: appkey, sign, requestTime: requesttime }))
      return json({ code: '14', msg: '签名错误', data: '', datas: '' });
    const service = request.path.slice(request.path.lastIndexOf('/') + 1);
    const body = JSON.parse(request.body.toString('utf8') || '{}') as JsonObject;
    if (mood === 'refuses') return json({ code: '31', msg: '该合同已撤销备案', data: '', datas: [] });
    switch (service) {
      case 'Ht7qKp2Zx9Lm4Rw1.htm':
        return check(body);
      case 'Jg3tYb8Nc5Vd6Xe2.htm': {
        const filing = office.find(String(body.ywbh));
        // This one service gives its list as a text (datas may be an object, a list or JSON in a string).
        return json({
          code: '00',
          msg: '成功',
          datas:
            filing === undefined
              ? '[]'
              : JSON.stringify([{ ...row(filing.number), ...checked(filing.content as JsonObject) }]),
        });
      }
      case 'Wq5sMf1Hk7Pz9Ba3.htm':
        return json({
          code: '00',
          msg: '成功',
          datas: !String(body.htbh).includes('NONE')
            ? [{ htbh: body.htbh ?? '', barq: '2026-11-20', cjje: '860000.00', htzt: '已备案' }]
            : [],
        });
      case 'Zz8uGr4Jd2Tn6Cy7.htm':
        return json({
          code: '00',
          msg: '成功',
          datas: !String(body.htbh).includes('NONE') ? [certificate(body)] : [],
        });
      default:
        return json({ code: '00', msg: '成功', datas: [] });
    }
  }

  function secrets(secret: string, request: OfficeRequest): OfficeReply {
    const given = {
      appKey: request.query.get('appKey') ?? '',
      sign: request.query.get('sign') ?? '',
      requestTime: request.query.get('requestTime') ?? '',
    };
    if (!signed(secret, given)) return json({ code: '14', msg: '签名错误', data: '', datas: '' });
    rotate();
    const at = now();
    return json({
      code: '00',
      msg: '成功',
      data: '',
      datas: {
        refreshSecret,
        refreshSecretEndTime: at + REFRESH_SECRET_MS,
        requestSecret,
        requestSecretEndTime: at + REQUEST_SECRET_MS,
      },
    });
  }

  function rotate(): void {
    requestSecret = randomBytes(16).toString('hex');
    refreshSecret = randomBytes(16).toString('hex');
  }

  function check(body: JsonObject): OfficeReply {
    const key = String(body.ywbh);
    const earlier = office.find(key);
    if (earlier !== undefined) return json({ code: '21', msg: `业务编号${key}已存在`, datas: [row(earlier.number)] });
    const number = `HY${new Date(now() + 8 * 3_600_000).toISOString().slice(0, 10).replaceAll('-', '')}${String(office.next()).padStart(6, '0')}`;
    office.file(key, number, 'contract-check', body as Json);
    return json({
      code: '00',
      msg: '成功',
      data: '',
      datas: [row(number)],
      dataCount: 1,
      totalDataCount: 1,
      totalPage: 1,
      requestId: null,
    });
  }

  function json(body: Json): OfficeReply {
    return {
      headers: { 'content-type': 'application/json;charset=UTF-8', date: new Date(now()).toUTCString() },
      body: JSON.stringify(body),
    };
  }

  return {
    party: 'housing-construction',
    filed: () => office.filed(),
    async start({ port }) {
      door = await httpDoor(office, port, answer, () => ({
        headers: { 'content-type': 'application/json;charset=UTF-8' },
        body: '{"code":"00","msg":"成功","datas":[{"hyxh":"HY2026',
      }));
      return { settings: { baseUrl: `http://127.0.0.1:${door.port}`, appKey: APP_KEY, appSecret: APP_SECRET } };
    },
    async mood(mood) {
      office.mood = mood;
      await door?.absent(mood === 'absent');
    },
    /** `rotateSecret`: another client of theirs fetches a secret, which ends ours; `skewMs`: their clock runs ahead. */
    async pull(lever, value) {
      if (lever === 'rotateSecret') rotate();
      else if (lever === 'skewMs' && typeof value === 'number') skewMs = value;
      else throw new Error('levers: rotateSecret, skewMs (ms)');
    },
    async stop() {
      office.close();
      await door?.close();
    },
  };
};

export default makeHousingConstruction;

const row = (number: string): JsonObject => ({ hyxh: number, barq: '2026-11-20', zjjg: '1' });

/** Which contract a check was of. */
function checked({ htbh = '', bdcdyh = '', cjje = '', cmr = [], msr = [] }: JsonObject): JsonObject {
  const numbers = (people: Json): Json => [people].flat().map((one) => ({ zjhm: (one as JsonObject).zjhm ?? '' }));
  return { htbh, bdcdyh, cjje, cmr: numbers(cmr), msr: numbers(msr) };
}

/** Their library holds a filing for whoever is asked about with an online contract. */
function certificate({ htbh = '', xm = '', zjhm = '' }: JsonObject): JsonObject {
  return { zzbs: '/', htbh, xm, zjlx: '1', zjhm, barq: '2026-11-20', cjje: '860000.00', zzzt: '01' };
}
