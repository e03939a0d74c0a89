import { randomUUID } from 'node:crypto';
import { XMLBuilder, XMLParser } from 'fast-xml-parser';
import iconv from 'iconv-lite';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import type { Filing, MakeSimulator, SimulatorOptions } from '../../contracts/ports/simulator.ts';
import { type Door, httpDoor, Office, type OfficeReply, type OfficeRequest } from '../wire/office.ts';

/** A value of their documents: text, elements, or several of them. */
interface Element {
  [name: string]: string | Element | (string | Element)[];
}

const parser = new XMLParser({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  parseTagValue: false,
  parseAttributeValue: false,
  removeNSPrefix: true,
  trimValues: false,
});
const builder = new XMLBuilder({
  ignoreAttributes: false,
  attributeNamePrefix: '@',
  cdataPropName: '#cdata',
  suppressEmptyNode: false,
});

/** One task of theirs (房产交易任务): 1 not assessed, 2 assessed, 3 paid, 0 no tax due, 8 to be mended, 9 rejected. */
interface Task {
  readonly key: string;
  readonly uuid: string;
  status: '0' | '1' | '2' | '3' | '8' | '9';
  words: string;
  changedAt: number;
  readonly inner: Element;
}

/** The tax office's bus: SOAP around a string around CDATA around taxML, GBK (GB18030 for rare names), HTTP 200 for everything. */
const makeTax: MakeSimulator = () => {
  const office = new Office('tax');
  const tasks = new Map<string, Task>();
  let door: Door | undefined;
  let decideAfterMs = 1_000;
  /** How the next tasks end: `paid`, `exempt`, `correct`, `reject`. */
  let decide = 'paid';

  function answer(request: OfficeRequest, mood: 'well' | 'refuses' | 'busy'): OfficeReply {
    const { trade, channel, inner } = opened(request.body);
    if (mood === 'busy')
      return reply({ rtn_code: '5', rtn_msg: { Code: 'BUSY', Message: '系统繁忙，请稍后再试', Reason: '' } });
    if (channel !== 'SYX.YCSL.GATEWAY')
      return reply({ rtn_code: '9', rtn_msg: { Code: 'ESB-0901', Message: '接入校验出错', Reason: '渠道未登记' } });
    if (mood === 'refuses') return said({ FHM: '1', FHXX: '该合同编号不允许申报' });
    switch (trade) {
      case 'FCJY.A002':
        return takeTask(inner);
      case 'FCJY.A003':
        return status(text(inner, 'SJBH'));
      case 'FCJY.A020':
        return certificate(text(inner, 'HTBH'), text(inner, 'sfzjhm'));
      case 'SBJF.B001':
        return takePayment(inner);
      case 'SBJF.B002': {
        const payment = office.find(text(inner, 'YWBH'));
        return said(
          payment === undefined
            ? { FHM: '1', FHXX: '该业务编号不存在' }
            : { FHM: '0', FHXX: '成功', JKBH: payment.number, ...paid(payment.content as unknown as Element) },
        );
      }
      case 'SWZJ.HXZG.DJ.CXNSRXX': {
        const nsrsbh = text(inner, 'nsrsbh');
        return said(
          nsrsbh.startsWith('91331124')
            ? { FHM: '0', FHXX: '成功', NSRSBH: nsrsbh, NSRMC: '松阳样例科技有限公司', NSRZT: '正常' }
            : { FHM: '1', FHXX: '纳税人不存在' },
        );
      }
      case 'SWZJ.PING':
        return said({ FHM: '0', FHXX: '成功' });
      default:
        return said({ FHM: '1', FHXX: '交易码未开通' });
    }
  }

  function takeTask(inner: Element): OfficeReply {
    const key = text(inner, 'SJBH');
    if (tasks.has(key)) return said({ FHM: '1', FHXX: `收件编号${key}已存在` });
    const now = Date.now();
    const task: Task = {
      key,
      uuid: randomUUID().replaceAll('-', '').toUpperCase(),
      status: '1',
      words: '',
      changedAt: now,
      inner,
    };
    tasks.set(key, task);
    office.file(key, task.uuid, 'A002', inner as unknown as Json);
    const ending = decide;
    office.later(decideAfterMs, () => settle(task, ending));
    return said({ FHM: '0', FHXX: '成功', JYUUID: task.uuid, FWUUID: randomUUID().replaceAll('-', '').toUpperCase() });
  }

  function settle(task: Task, ending: string): void {
    const endings: Record<string, [Task['status'], string]> = {
      paid: ['3', ''],
      exempt: ['0', ''],
      correct: ['8', '合同扫描件不清晰，请补正'],
      reject: ['9', '申报价格明显偏低且无正当理由'],
    };
    [task.status, task.words] = endings[ending] ?? ['3', ''];
    task.changedAt = Date.now();
  }

  function status(key: string): OfficeReply {
    const task = tasks.get(key);
    if (task === undefined) return said({ FHM: '1', FHXX: '该收件编号不存在' });
    const settled = task.status === '3' || task.status === '0';
    return said({
      FHM: '0',
      FHXX: '成功',
      SJBH: key,
      HTBH: text(task.inner, 'HTBH'),
      BDCDYH: text(task.inner, 'fcjycjxx', 'bdcdyh'),
      JYJG: text(task.inner, 'fcjycjxx', 'jyjg'),
      jyfxx: people(task).map(({ zrfcsfbz = '', sfzjhm = '' }) => ({ zrfcsfbz, sfzjhm })),
      JYUUID: task.uuid,
      ZT: task.status,
      SJJE: task.status === '3' ? due(task) : '0.00',
      WSPZH: settled ? voucher(task) : '/',
      GXSJ: local(task.changedAt),
      ...(task.words === '' ? {} : { BZXX: task.words, BZCL: '/form/contractNo' }),
    });
  }

  function certificate(contractNo: string, idNo: string): OfficeReply {
    const paid = [...tasks.values()].filter(
      (task) => (task.status === '3' || task.status === '0') && text(task.inner, 'HTBH') === contractNo,
    );
    const rows = paid.flatMap((task) =>
      people(task)
        .filter((person) => person.sfzjhm === idNo)
        .map((person) => ({
          ZZBS: '/',
          WSPZH: voucher(task),
          NSRMC: String(person.nsrmc),
          SFZJLXD: String(person.sfzjlxd),
          SFZJHM: idNo,
          SJJE: task.status === '3' ? due(task) : '0.00',
          HTBH: contractNo,
          KJRQ: local(task.changedAt).slice(0, 10).replaceAll('-', ''),
          ZT: '01',
        })),
    );
    return said(rows.length === 0 ? { FHM: '1', FHXX: '无记录' } : { FHM: '0', FHXX: '成功', WSXX: rows });
  }

  function takePayment(inner: Element): OfficeReply {
    const key = text(inner, 'YWBH');
    if (office.find(key) !== undefined) return said({ FHM: '1', FHXX: `业务编号${key}已存在` });
    const number = `JK${local(Date.now()).slice(0, 10).replaceAll('-', '')}${String(office.next()).padStart(8, '0')}`;
    office.file(key, number, 'B001', inner as unknown as Json);
    return said({ FHM: '0', FHXX: '成功', JKBH: number });
  }

  return {
    party: 'tax',
    filed: (): readonly Filing[] => office.filed(),
    async start(options: SimulatorOptions) {
      decideAfterMs = options.decideAfterMs ?? decideAfterMs;
      door = await httpDoor(office, options.port, answer, garbled);
      return { settings: { baseUrl: `http://127.0.0.1:${door.port}` } satisfies JsonObject };
    },
    async mood(mood) {
      office.mood = mood;
      await door?.absent(mood === 'absent');
    },
    /** `decide`: paid | exempt | correct | reject, for the tasks that come from now on; `decideAfterMs`: a number. */
    async pull(lever, value) {
      if (lever === 'decide' && typeof value === 'string') decide = value;
      else if (lever === 'decideAfterMs' && typeof value === 'number') decideAfterMs = value;
      else throw new Error('levers: decide (paid, exempt, correct, reject), decideAfterMs (ms)');
    },
    async stop() {
      office.close();
      await door?.close();
    },
  };
};

export default makeTax;

function opened(bytes: Buffer): { trade: string; channel: string; inner: Element } {
  const soap = parser.parse(iconv.decode(bytes, 'gb18030')) as Element;
  const service = parser.parse(text(soap, 'Envelope', 'Body', 'process', 'in0')) as Element;
  const head = (service.service as Element).head as Element;
  const inner = parser.parse(text(service, 'service', 'body')) as Element;
  return { trade: text(head, 'tran_id'), channel: text(head, 'channel_id'), inner: inner.taxML as Element };
}

/** The text at the end of a path; '' when there is none. */
function text(from: Element, ...path: string[]): string {
  let at: string | Element | (string | Element)[] | undefined = from;
  for (const name of path) at = typeof at === 'object' && !Array.isArray(at) ? at[name] : undefined;
  return typeof at === 'string' ? at : '';
}

/** Of a payment, whose it is and for what: as it was asked for. */
function paid({ sfzjhm = '', kssj = '', jfmx = [] }: Element): Element {
  return { sfzjhm, kssj, jfmx };
}

function people(task: Task): readonly Element[] {
  const sides = task.inner.jyfxx;
  return (Array.isArray(sides) ? sides : [sides]).filter((side): side is Element => typeof side === 'object');
}

const voucher = (task: Task): string => `333261${task.uuid.slice(0, 12)}`;

/** Deed tax on a dwelling: 1 % to 140 m² or first house at 1 % / 1.5 %, second 1 % / 2 %, anything else 3 %; in 分 to stay exact. */
function due(task: Task): string {
  const deal = task.inner.fcjycjxx as Element;
  const price = BigInt(String(deal.jyjg).replace('.', ''));
  const large = Number(deal.jzmj) > 140;
  const houses = people(task).find((person) => person.zrfcsfbz === '1')?.fwtcdm ?? '2';
  const perMille = deal.fwlx_dm !== '01' || houses === '2' ? 30n : large ? (houses === '0' ? 15n : 20n) : 10n;
  const fen = ((price * perMille) / 1000n).toString().padStart(3, '0');
  return `${fen.slice(0, -2)}.${fen.slice(-2)}`;
}

const local = (at: number): string => new Date(at + 8 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ');

function said(taxML: Element): OfficeReply {
  const inner = `<?xml version="1.0" encoding="GBK"?>${builder.build({ taxML })}`;
  return reply({ rtn_code: '0', rtn_msg: { Code: '000', Message: '', Reason: '' } }, inner);
}

function reply(head: Element, inner = ''): OfficeReply {
  const service = `<?xml version="1.0" encoding="UTF-8"?>${builder.build({ service: { '@xmlns': 'urn:x:tax:spec', head, body: inner === '' ? '' : { '#cdata': inner } } })}`;
  const soap = builder.build({
    'soapenv:Envelope': {
      '@xmlns:soapenv': 'http://schemas.xmlsoap.org/soap/envelope/',
      'soapenv:Body': { 'ns1:processResponse': { '@xmlns:ns1': 'urn:x:tax:esb', return: service } },
    },
  });
  return {
    headers: { 'content-type': 'text/xml; charset=GBK' },
    body: iconv.encode(`<?xml version="1.0" encoding="GBK"?>${soap}`, 'gb18030'),
  };
}

/** Their bus at its worst: a document that stops in the middle of a GBK character. */
function garbled(): OfficeReply {
  const whole = iconv.encode('<?xml version="1.0" encoding="GBK"?><soapenv:Envelope><soapenv:Body>系统异常', 'gbk');
  return { headers: { 'content-type': 'text/xml; charset=GBK' }, body: whole.subarray(0, whole.length - 1) };
}
