import { createHash, createHmac, randomBytes, randomUUID } from 'node:crypto';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import type { MakeSimulator } from '../../contracts/ports/simulator.ts';
import { type Door, httpDoor, Office, type OfficeReply, type OfficeRequest } from '../wire/office.ts';
import { samplePdf } from '../wire/sample-pdf.ts';

const APP_ID = 'SYX-YCSL';
const SIGN_KEY = 'demo-registry-sign-key';
const PUSH_KEY = 'demo-registry-push-key';
const PUSHES = 5;
const PUSH_EVERY_MS = 500;

/** One acceptance of theirs: 已受理 → 审核中 → 已登簿 | 不予登记 | 补正. */
interface Acceptance {
  readonly key: string;
  readonly number: string;
  readonly asked: JsonObject;
  state: '已受理' | '审核中' | '已登簿' | '不予登记' | '补正';
  words: string;
  changedAt: number;
  certNo: string;
}

/** The registry: REST with a token and a signature; business errors and a lost token come with HTTP 200; results are pushed. */
const makeRealEstate: MakeSimulator = () => {
  const office = new Office('real-estate');
  const acceptances = new Map<string, Acceptance>();
  /** Titles that a transfer has ended. */
  const ended = new Set<string>();
  /** What a test made of single titles. */
  const states = new Map<string, string>();
  let spoil = '';
  let door: Door | undefined;
  let gateway: string | undefined;
  let decideAfterMs = 1_000;
  let decide = 'register';
  let push = true;
  /** The push is sent before the reply to the submission. */
  let pushEarly = false;
  let token = '';
  /** A token that every log-in gets, so that two clients can be held against each other. */
  let pinned: string | undefined;

  async function answer(request: OfficeRequest, mood: 'well' | 'refuses' | 'busy'): Promise<OfficeReply> {
    if (mood === 'busy') return said('503', '系统日终处理中');
    const body = JSON.parse(request.body.toString('utf8')) as JsonObject;
    if (request.path === '/bdc/rest/v1/token') {
      if (body.appId !== APP_ID || body.sign !== signature(`${body.appId}${body.time}`, SIGN_KEY))
        return said('403', '应用未登记或签名错误');
      token = pinned ?? randomBytes(16).toString('hex');
      return said('0', '成功', { token, expire: '7200' });
    }
    if (request.headers.token !== token || token === '') return said('401', 'token失效');
    if (request.headers.digitalsign !== signature(JSON.stringify({ ...body, bizMsgID: '' }), SIGN_KEY))
      return said('403', '验签失败');
    if (mood === 'refuses') return said('1', '该不动产单元存在查封登记');
    switch (request.path) {
      case '/bdc/rest/v1/sj':
        return submit(body);
      case '/bdc/rest/v1/jd': {
        const acceptance = acceptances.get(String(body.slbh));
        return acceptance === undefined
          ? said('2', '受理编号不存在')
          : said('0', '成功', { ...view(acceptance), ...askedFor(acceptance) });
      }
      case '/bdc/rest/v1/cx':
        return said('0', '成功', { bdcdyh: body.bdcdyh ?? '', cfzt: '0', dyzt: '0' });
      case '/bdc/rest/v1/zz':
        return certificate(body);
      case '/bdc/rest/v1/zzwj':
        return file(String(body.zzbs));
      case '/bdc/rest/v1/zzhy':
        return verdict(String(body.bdcqzh ?? ''), String(body.zzbs ?? ''));
      default:
        return said('0', '成功', {});
    }
  }

  async function submit(body: JsonObject): Promise<OfficeReply> {
    const key = String(body.slbh);
    const earlier = acceptances.get(key);
    if (earlier !== undefined) return said('500', '受理编号已存在', { bdcSlbh: earlier.number });
    if (!body.wspzh) return said('1', '未提交契税完税或免税凭证，依法不予登记');
    const number = `BDC${day(Date.now())}${String(office.next()).padStart(6, '0')}`;
    const acceptance: Acceptance = {
      key,
      number,
      asked: body,
      state: '已受理',
      words: '/',
      changedAt: Date.now(),
      certNo: '/',
    };
    acceptances.set(key, acceptance);
    office.file(key, number, 'sj', body as Json);
    const ending = decide;
    if (pushEarly) {
      settle(acceptance, ending);
      await tell(acceptance);
    } else {
      office.later(decideAfterMs, () => {
        settle(acceptance, ending);
        tellUntilTaken(acceptance, PUSHES);
      });
    }
    return said('0', '成功', { slbh: key, bdcSlbh: number, zt: '已受理' });
  }

  function settle(acceptance: Acceptance, ending: string): void {
    acceptance.changedAt = Date.now();
    if (ending === 'refuse') [acceptance.state, acceptance.words] = ['不予登记', '权属存在争议'];
    else if (ending === 'correct') [acceptance.state, acceptance.words] = ['补正', '房屋坐落与登记簿不一致'];
    else {
      acceptance.state = '已登簿';
      acceptance.certNo = `浙(${new Date().getUTCFullYear()})松阳县不动产权第${String(office.next() + 1_000).padStart(7, '0')}号`;
      ended.add(String(acceptance.asked.ybdcqzh));
    }
  }

  /** Pushes until it is taken, a bounded number of times; while the office is not well it does not push either. */
  function tellUntilTaken(acceptance: Acceptance, left: number): void {
    if (left === 0 || !push || gateway === undefined) return;
    void tell(acceptance).then((taken) => {
      if (!taken) office.later(PUSH_EVERY_MS, () => tellUntilTaken(acceptance, left - 1));
    });
  }

  async function tell(acceptance: Acceptance): Promise<boolean> {
    if (!push || gateway === undefined || office.mood !== 'well') return false;
    return post(JSON.stringify(view(acceptance)));
  }

  async function post(text: string): Promise<boolean> {
    if (gateway === undefined) return false;
    try {
      const response = await fetch(`${gateway}/v1/callbacks/real-estate`, {
        method: 'POST',
        headers: { 'content-type': 'application/json;charset=UTF-8', 'x-bdc-sign': signature(text, PUSH_KEY) },
        body: text,
        signal: AbortSignal.timeout(3_000),
      });
      return response.ok && ((await response.json()) as { code?: unknown }).code === 0;
    } catch {
      return false;
    }
  }

  function certificate(body: JsonObject): OfficeReply {
    const certNo = String(body.bdcqzh ?? '');
    if (certNo === '') return said('2', '未查到登记信息');
    const ours = [...acceptances.values()].find((acceptance) => acceptance.certNo === certNo);
    const rows = [
      {
        bdcqzh: certNo,
        bdcdyh: ours?.asked.bdcdyh ?? body.bdcdyh ?? '/',
        qlrmc: body.qlrmc ?? '',
        zjzl: '1',
        zjh: body.zjh ?? '',
        zl: ours?.asked.zl ?? '浙江省丽水市松阳县西屏街道样例路1号101室',
        jzmj: ours?.asked.jzmj ?? '/',
        djrq: ours === undefined ? '2018-05-20' : local(ours.changedAt).slice(0, 10),
        zzbs: identifier(certNo),
        zzzt: stateOf(certNo),
        wjbs: Buffer.from(certNo).toString('hex'),
        wjzy: createHash('sm3').update(title(certNo)).digest('hex'),
      },
    ];
    return said('0', '成功', { rows });
  }

  const stateOf = (certNo: string): string => states.get(certNo) ?? (ended.has(certNo) ? '04' : '01');

  /** The file of a title, by the hex of its number; spoiled where a test asks for it. */
  function file(reference: string): OfficeReply {
    if (reference === '') return said('2', '无此文件');
    const pdf = title(Buffer.from(reference, 'hex').toString());
    const body = spoil === 'digest' ? title('0') : spoil === 'noPdf' ? Buffer.from('<html>维护中</html>') : pdf;
    return { headers: { 'content-type': 'application/pdf' }, body };
  }

  function verdict(certNo: string, zzbs: string): OfficeReply {
    const shown = certNo === '' ? numberOf(zzbs) : certNo;
    if (shown === undefined || !TITLE_NO.test(shown)) return said('2', '未查到登记信息');
    return said('0', '成功', { zzzt: stateOf(shown) });
  }

  /** A title is suspended, cancelled or valid again: they say so of their own accord. */
  async function change(certNo: string, state: string, idNo: string): Promise<void> {
    states.set(certNo, state);
    const xxbh = `zzbg-${randomUUID()}`;
    await post(JSON.stringify({ xxbh, lx: 'zzbg', bdcqzh: certNo, zzzt: state, zjzl: '1', zjh: idNo }));
  }

  return {
    party: 'real-estate',
    filed: () => office.filed(),
    async start(options) {
      ({ gateway, decideAfterMs = decideAfterMs } = options);
      door = await httpDoor(office, options.port, answer, () => ({
        headers: { 'content-type': 'application/json;charset=UTF-8' },
        body: '{"code":0,"msg":"成功","data":{"slbh":"33',
      }));
      return {
        settings: { baseUrl: `http://127.0.0.1:${door.port}`, appId: APP_ID, signKey: SIGN_KEY, pushKey: PUSH_KEY },
      };
    },
    async mood(mood) {
      office.mood = mood;
      await door?.absent(mood === 'absent');
    },
    /** `decide`: register | refuse | correct, for what comes from now on; `push`: false = results wait to be asked for; `pushEarly`: before their own reply; `expireToken`; `pinToken`; `decideAfterMs`. */
    async pull(lever, value) {
      if (lever === 'decide' && typeof value === 'string') decide = value;
      else if (lever === 'push' && typeof value === 'boolean') push = value;
      else if (lever === 'pushEarly' && typeof value === 'boolean') pushEarly = value;
      else if (lever === 'expireToken') token = '';
      else if (lever === 'pinToken' && typeof value === 'string') [token, pinned] = [value, value];
      else if (lever === 'decideAfterMs' && typeof value === 'number') decideAfterMs = value;
      else if (lever === 'spoilFile' && typeof value === 'string') spoil = value;
      else if (lever === 'title' && isTitle(value)) await change(value.certNo, value.state, value.idNo);
      else
        throw new Error(
          'levers: decide (register, refuse, correct), push (true, false), pushEarly (true, false), expireToken, pinToken (a text), decideAfterMs (ms), spoilFile (digest, noPdf, or nothing), title ({certNo, state, idNo}: changed, and told)',
        );
    },
    async stop() {
      office.close();
      await door?.close();
    },
  };
};

export default makeRealEstate;

const isTitle = (value: unknown): value is { certNo: string; state: string; idNo: string } =>
  ['certNo', 'state', 'idNo'].every((name) => typeof (value as JsonObject | null)?.[name] === 'string');

const title = (certNo: string): Buffer =>
  samplePdf(['REAL ESTATE CERTIFICATE (sample)', `No. ${Buffer.from(certNo).toString('hex')}`]);

const signature = (text: string, key: string): string => createHmac('sm3', key).update(text).digest('hex');
const local = (at: number): string => new Date(at + 8 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ');
const day = (at: number): string => local(at).slice(0, 10).replaceAll('-', '');

/** Their business codes are JSON numbers. */
function said(code: string, msg: string, data: Json = null): OfficeReply {
  return {
    headers: { 'content-type': 'application/json;charset=UTF-8' },
    body: JSON.stringify({ code: Number(code), msg, data }),
  };
}

function view(acceptance: Acceptance): JsonObject {
  const { key, number, state, words, changedAt, certNo } = acceptance;
  return {
    xxbh: `${number}-${state}`,
    slbh: key,
    bdcSlbh: number,
    zt: state,
    yy: words,
    bzcl: state === '补正' ? ['/form/houseAddress'] : [],
    bdcqzh: certNo,
    zzbs: state === '已登簿' ? identifier(certNo) : '/',
    djsj: local(changedAt),
    gxsj: local(changedAt),
  };
}

/** What the acceptance is about, as it was handed in: in the reply to a question, not in a push. */
function askedFor({ asked: { bdcdyh = '', htbh = '', jyjg = '', qlr = [], ywr = [] } }: Acceptance): JsonObject {
  const numbers = (people: Json): Json => [people].flat().map((one) => ({ zjh: (one as JsonObject).zjh ?? '' }));
  return { bdcdyh, htbh, jyjg, qlr: numbers(qlr), ywr: numbers(ywr) };
}

/** Year and number. */
const TITLE_NO = /^浙\((\d{4})\)松阳县不动产权第(\d{7})号$/;
const IDENTIFIER = /^1\.2\.156\.3005\.2\.11100000MB03271699001\.11331124QA0000057N\.(\d{4})0{9}(\d{7})\.001\..$/;

function numberOf(zzbs: string): string | undefined {
  const [, year, number] = IDENTIFIER.exec(zzbs) ?? [];
  return year === undefined ? undefined : `浙(${year})松阳县不动产权第${number}号`;
}

/** GB/T 36904, of the title's own number; check character by ISO 7064 MOD 37,36. What is no number of theirs has none. */
function identifier(certNo: string): string {
  const [, year, number] = TITLE_NO.exec(certNo) ?? [];
  if (year === undefined) return '/';
  const [type, issuer, version] = ['11100000MB03271699001', '11331124QA0000057N', '001'];
  const serial = `${year}000000000${number}`;
  const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ';
  let product = 36;
  for (const character of `${type}${issuer}${serial}${version}`)
    product = (((product + alphabet.indexOf(character)) % 36 || 36) * 2) % 37;
  return `1.2.156.3005.2.${type}.${issuer}.${serial}.${version}.${alphabet[(37 - product) % 36]}`;
}
