import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { Json } from '../../contracts/ports/envelope.ts';
import type { MakeSimulator } from '../../contracts/ports/simulator.ts';
import { type Door, httpDoor, Office, type OfficeReply, type OfficeRequest } from '../wire/office.ts';

const APP_KEY = 'YCSL-GATEWAY';
const APP_SECRET = 'demo-platform-secret';

/** The acceptance platform's receiving side: a token that each new one ends, "00" for the token and "01" for the notice, HTTP 200 for all. */
const makeWindow: MakeSimulator = () => {
  const office = new Office('window');
  let door: Door | undefined;
  let token = '';

  function answer(request: OfficeRequest, mood: 'well' | 'refuses' | 'busy'): OfficeReply {
    if (mood === 'busy') return said('98', '系统繁忙');
    if (request.path === '/ycsl/token') {
      const [key, time] = [request.query.get('requestKey') ?? '', request.query.get('requestTime') ?? ''];
      if (
        key !== APP_KEY ||
        request.query.get('sign') !== createHash('md5').update(`${key}${APP_SECRET}${time}`).digest('hex')
      )
        return said('97', '签名错误');
      token = randomBytes(16).toString('hex');
      return said('00', token);
    }
    if (request.path === '/ycsl/ping')
      return request.query.get('token') === token && token !== '' ? said('01', '成功') : said('99', 'token无效');
    const text = request.body.toString('utf8');
    const form = new URLSearchParams(text);
    if (form.get('token') !== token || token === '') return said('99', 'token无效');
    if (request.headers['x-sign'] !== createHmac('sm3', APP_SECRET).update(text).digest('hex'))
      return said('97', '验签失败');
    if (mood === 'refuses') return said('03', '办件不属于本平台');
    const key = form.get('noticeId') ?? '';
    const earlier = office.find(key);
    if (earlier !== undefined) return said('02', `noticeId:${key} 已经存在`, earlier.number);
    const number = `TZ${String(office.next()).padStart(8, '0')}`;
    office.file(key, number, form.get('contract') ?? '', JSON.parse(form.get('notice') ?? 'null') as Json);
    return said('01', '成功', number);
  }

  return {
    party: 'window',
    filed: () => office.filed(),
    async start({ port }) {
      door = await httpDoor(office, port, answer, () => ({
        headers: { 'content-type': 'text/html; charset=utf-8' },
        body: '<html><title>502 Bad Gateway</title>',
      }));
      return { settings: { baseUrl: `http://127.0.0.1:${door.port}`, appKey: APP_KEY, appSecret: APP_SECRET } };
    },
    async mood(mood) {
      office.mood = mood;
      await door?.absent(mood === 'absent');
    },
    /** `stealToken`: another node of theirs fetches a token, which ends ours. */
    async pull(lever) {
      if (lever !== 'stealToken') throw new Error('levers: stealToken');
      token = randomBytes(16).toString('hex');
    },
    async stop() {
      office.close();
      await door?.close();
    },
  };
};

export default makeWindow;

function said(result: string, resultmsg: string, noticeNo?: string): OfficeReply {
  return {
    headers: { 'content-type': 'application/json;charset=UTF-8' },
    body: JSON.stringify({ result, resultmsg, ...(noticeNo === undefined ? {} : { noticeNo }) }),
  };
}
