import { createHmac } from 'node:crypto';
import type { Socket } from 'node:net';
import iconv from 'iconv-lite';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { MakeSimulator } from '../../contracts/ports/simulator.ts';
import { type Door, Office, tcpDoor } from '../wire/office.ts';

const MAC_KEY = 'demo-social-security-mac';

/** What stands behind the common head of a request, in bytes, by trade code. */
const LAYOUTS: Record<string, readonly (readonly [string, number])[]> = {
  '6009': [
    ['ywbh', 24],
    ['zjlx', 2],
    ['AAE135', 18],
    ['AAC003', 50],
    ['AAE140', 3],
    ['AAE200', 12],
    ['AAE041', 6],
    ['AAB301', 6],
    ['yhzh', 30],
    ['yhmc', 60],
    ['hzmc', 50],
  ],
  '6019': [['ywbh', 24]],
  '6101': [
    ['AAE135', 18],
    ['AAC003', 50],
  ],
  '6111': [
    ['AAE135', 18],
    ['AAC003', 50],
    ['sy', 400],
  ],
  '7001': [
    ['ywbh', 24],
    ['AAE135', 18],
    ['AAC003', 50],
    ['jhrzjh', 18],
    ['jhrxm', 50],
  ],
  '9999': [['ywbh', 24]],
};
LAYOUTS['6010'] = LAYOUTS['6009'] as (typeof LAYOUTS)[string];

type Saying = (retcode: string, retmsg: string, rest?: readonly (readonly [string, number])[]) => Buffer;

interface Filed {
  readonly personNo: string;
  readonly number: string;
  readonly cardNo: string;
  readonly asked: Readonly<Record<string, string>>;
}

/** The old TCP trade system: 8 digits of length in bytes, fixed-width GBK, validate before execute, a MAC behind the body. */
const makeSocialSecurity: MakeSimulator = () => {
  const office = new Office('social-security');
  const filings = new Map<string, Filed>();
  /** Employment certificates that are not as usual: `none`, or a state such as `02`. */
  const certificates = new Map<string, string>();
  let door: Door | undefined;
  /** Replies are written in pieces, as slow lines do. */
  let fragments = 1;

  function converse(socket: Socket): void {
    let pending = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      if (pending.length < 8) return;
      const length = Number(pending.subarray(0, 8).toString('latin1'));
      if (pending.length < 8 + length) return;
      const body = pending.subarray(8, 8 + length);
      pending = pending.subarray(8 + length);
      const { mood } = office;
      if (mood === 'deaf' || mood === 'absent') return;
      if (mood === 'garbled') return void socket.end('99999999garbled');
      const before = office.filed().length;
      const reply = answer(body, mood === 'forgetful' ? 'well' : mood);
      if (mood === 'forgetful' && office.filed().length > before) socket.destroy();
      else send(socket, reply);
    });
  }

  function send(socket: Socket, body: Buffer): void {
    const frame = Buffer.concat([Buffer.from(String(body.length).padStart(8, '0')), body]);
    const size = Math.ceil(frame.length / fragments);
    const piece = (from: number): void => {
      if (from >= frame.length) return void socket.end();
      socket.write(frame.subarray(from, from + size));
      office.later(fragments === 1 ? 0 : 2, () => piece(from + size));
    };
    socket.setNoDelay(true);
    piece(0);
  }

  function answer(body: Buffer, mood: 'well' | 'refuses' | 'busy'): Buffer {
    const text = body.subarray(0, body.length - 16);
    const head = { txcode: cut(body, 0, 4), time: cut(body, 4, 14), seq: cut(body, 18, 12) };
    const say = (retcode: string, retmsg: string, rest: readonly (readonly [string, number])[] = []): Buffer =>
      Buffer.concat([
        ...([[head.txcode, 4], [head.time, 14], [head.seq, 12], [retcode, 4], [retmsg, 40], ...rest] as const).map(
          ([value, bytes]) => padded(value, bytes),
        ),
      ]);
    if (mood === 'busy') return say('9004', '日终批处理，暂停受理');
    const mac = createHmac('sm3', MAC_KEY).update(iconv.decode(text, 'gbk')).digest('hex').slice(0, 16);
    if (body.subarray(body.length - 16).toString('latin1') !== mac) return say('9001', 'MAC错误');
    const layout = LAYOUTS[head.txcode];
    if (layout === undefined) return say('9904', '交易码不存在');
    const fields: Record<string, string> = {};
    let at = 30;
    for (const [name, bytes] of layout) {
      fields[name] = cut(text, at, bytes);
      at += bytes;
    }
    if (at !== text.length) return say('9904', '报文长度不符');
    if (head.txcode === '9999') return say('0000', '交易成功');
    if (mood === 'refuses') return say('9901', '该人员已参加职工养老保险');
    const key = fields.ywbh ?? '';
    const done = filings.get(key);
    const outcome = ({ personNo, number, cardNo }: Filed) =>
      [
        [personNo, 12],
        [number, 20],
        [cardNo, 20],
      ] as const;
    /** And whom it was for: an insurance, its base and first month, where it was an enrolment. */
    const trade = (one: Filed) =>
      [
        ...outcome(one),
        [one.asked.AAE135 ?? '', 18],
        [one.asked.AAE140 ?? '', 3],
        [one.asked.AAE200 ?? '', 12],
        [one.asked.AAE041 ?? '', 6],
      ] as const;
    switch (head.txcode) {
      case '6009':
        return say('0000', '校验通过', [[personal(fields.AAE135), 12]]);
      case '6010':
        if (done !== undefined) return say('0002', '该业务已受理', outcome(done));
        return say('0000', '交易成功', outcome(file(key, head.txcode, fields)));
      case '7001':
        if (done !== undefined) return say('0002', '该业务已受理', outcome(done));
        return say('0000', '交易成功', outcome(file(key, head.txcode, fields)));
      case '6111':
        return employed(fields, say);
      case '6019':
        return done === undefined ? say('0404', '未查询到该业务') : say('0000', '交易成功', trade(done));
      default:
        return say('0000', '交易成功', [
          [personal(fields.AAE135), 12],
          ['', 20],
          ['', 20],
          ['01', 2],
          ['000000865000', 12],
        ]);
    }
  }

  function employed({ AAE135 = '', AAC003 = '' }: Record<string, string>, say: Saying): Buffer {
    const state = certificates.get(AAE135) ?? '01';
    if (state === 'none') return say('0404', '未查询到就业登记');
    return say('0000', '交易成功', [
      [AAE135, 18],
      [AAC003, 50],
      ['3311240026000123', 20],
      ['就业', 8],
      ['20240301', 8],
      [state, 2],
    ]);
  }

  function file(key: string, trade: string, fields: Record<string, string>): Filed {
    const sequence = String(office.next());
    const filed: Filed = {
      personNo: personal(fields.AAE135),
      number: `SB${sequence.padStart(12, '0')}`,
      cardNo: trade === '7001' ? `F${sequence.padStart(8, '0')}` : '',
      asked: fields,
    };
    filings.set(key, filed);
    office.file(key, filed.number, trade, fields satisfies JsonObject);
    return filed;
  }

  return {
    party: 'social-security',
    filed: () => office.filed(),
    async start({ port }) {
      door = await tcpDoor(port, converse);
      return { settings: { host: '127.0.0.1', port: door.port, macKey: MAC_KEY } };
    },
    async mood(mood) {
      office.mood = mood;
      await door?.absent(mood === 'absent');
    },
    /** `fragments`: into how many pieces a reply is cut; `certificate`: {idNo, state}, where state is `none` or 01–07. */
    async pull(lever, value) {
      if (lever === 'fragments' && typeof value === 'number') fragments = value;
      else if (lever === 'certificate' && value !== null && typeof value === 'object' && !Array.isArray(value))
        certificates.set(String(value.idNo), String(value.state));
      else throw new Error('levers: fragments (pieces of a reply), certificate ({idNo, state})');
    },
    async stop() {
      office.close();
      await door?.close();
    },
  };
};

export default makeSocialSecurity;

const cut = (bytes: Buffer, from: number, length: number): string =>
  iconv.decode(bytes.subarray(from, from + length), 'gbk').trim();

function padded(value: string, bytes: number): Buffer {
  return Buffer.concat([iconv.encode(value, 'gbk'), Buffer.alloc(bytes, 0x20)]).subarray(0, bytes);
}

/** Their personal number of somebody: the same for the same person. */
function personal(idNo = ''): string {
  return `9${createHmac('sm3', 'person').update(idNo).digest('hex').replaceAll(/[a-f]/g, '').slice(0, 8)}`;
}
