import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import type { MakeSimulator } from '../../contracts/ports/simulator.ts';
import { type Door, httpDoor, Office, type OfficeReply, type OfficeRequest } from '../wire/office.ts';

const API_KEY = 'demo-utilities-key';

/** The notice desk of water, electricity and gas: REST, status "200" in the body, one notice for each serial number. */
const makeUtilities: MakeSimulator = () => {
  const office = new Office('utilities');
  const numbers = new Map<string, string>();
  let door: Door | undefined;

  function answer(request: OfficeRequest, mood: 'well' | 'refuses' | 'busy'): OfficeReply {
    if (mood === 'busy') return said('503', '服务繁忙');
    if (request.headers['x-api-key'] !== API_KEY) return { ...said('401', 'key错误'), status: 401 };
    if (request.path === '/gysy/gh/ping') return said('200', '成功');
    if (mood === 'refuses') return said('600', '该户存在欠费，暂不能过户');
    const body = JSON.parse(request.body.toString('utf8')) as JsonObject;
    const key = String(body.lsh);
    let number = numbers.get(key);
    if (number === undefined) {
      number = `GH${String(office.next()).padStart(8, '0')}`;
      numbers.set(key, number);
      office.file(key, number, String(body.ywlx), body as Json);
    }
    return said('200', '成功', number);
  }

  return {
    party: 'utilities',
    filed: () => office.filed(),
    async start({ port }) {
      door = await httpDoor(office, port, answer, () => ({
        headers: { 'content-type': 'application/json' },
        body: '{"status":"2',
      }));
      return { settings: { baseUrl: `http://127.0.0.1:${door.port}`, apiKey: API_KEY } };
    },
    async mood(mood) {
      office.mood = mood;
      await door?.absent(mood === 'absent');
    },
    async stop() {
      office.close();
      await door?.close();
    },
  };
};

export default makeUtilities;

function said(status: string, message: string, slh?: string): OfficeReply {
  return {
    headers: { 'content-type': 'application/json;charset=UTF-8' },
    body: JSON.stringify({ status, message, ...(slh === undefined ? {} : { slh }) }),
  };
}
