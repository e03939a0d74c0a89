import { createHash, randomBytes } from 'node:crypto';
import type { Json, JsonObject, Party } from '../../contracts/ports/envelope.ts';
import type { MakeSimulator } from '../../contracts/ports/simulator.ts';
import { type Door, httpDoor, Office, type OfficeReply, type OfficeRequest } from './office.ts';

const REQUEST_SECRET_MS = 15 * 60_000;
const REFRESH_SECRET_MS = 48 * 3_600_000;
const SIGNED_WITHIN_MS = 5 * 60_000;

interface PublicDataOffice {
  readonly party: Party;
  readonly app: { readonly key: string; readonly secret: string };
  /** By the name of the service: what it gives for a question about somebody, whose certificate is in this state. Undefined: nothing is on record. */
  readonly services: { readonly [service: string]: (body: JsonObject, state: string) => Json | undefined };
  /** Where an answer breaks off when the office is garbled. */
  readonly torn: string;
}

/**
 * An office behind the provincial public-data API. Levers: `rotateSecret`; `skewMs`: their clock runs ahead; `certificate`: {idNo, state}, where state is
 * `none`, one of 01–07, or a word that the office's services know.
 */
export const publicDataOffice =
  ({ party, app, services, torn }: PublicDataOffice): MakeSimulator =>
  () => {
    const office = new Office(party);
    const gateway = new PublicDataGateway(app);
    /** By holder. */
    const special = new Map<string, string>();
    let door: Door | undefined;

    function answer(request: OfficeRequest, mood: 'well' | 'refuses' | 'busy'): OfficeReply {
      if (mood === 'busy') return gateway.said('19', '访问过于频繁，请稍后再试', '');
      return gateway.answer(request, (service, body) => {
        if (mood === 'refuses') return { code: '31', msg: '未获该数据的使用授权', datas: [] };
        const state = special.get(String(body.cert_num)) ?? '01';
        const datas = state === 'none' ? undefined : services[service]?.(body, state);
        return { code: '00', msg: '成功', datas: datas ?? [] };
      });
    }

    return {
      party,
      filed: () => office.filed(),
      async start({ port }) {
        door = await httpDoor(office, port, answer, () => ({
          headers: { 'content-type': 'application/json;charset=UTF-8' },
          body: torn,
        }));
        return { settings: { baseUrl: `http://127.0.0.1:${door.port}`, appKey: app.key, appSecret: app.secret } };
      },
      async mood(mood) {
        office.mood = mood;
        await door?.absent(mood === 'absent');
      },
      async pull(lever, value) {
        if (lever === 'rotateSecret') gateway.rotate();
        else if (lever === 'skewMs' && typeof value === 'number') gateway.skewMs = value;
        else if (lever === 'certificate' && value !== null && typeof value === 'object' && !Array.isArray(value))
          special.set(String(value.idNo), String(value.state));
        else throw new Error('levers: rotateSecret, skewMs (ms), certificate ({idNo, state})');
      },
      async stop() {
        office.close();
        await door?.close();
      },
    };
  };

/**
 * The far side of the provincial public-data API, in front of offices that have no gateway of their own: two levels of secrets, each new one ends the old;
 * `sign` = MD5 of key, secret and time; code "00" is success, and an empty `datas` is "none".
 */
class PublicDataGateway {
  readonly #app: { readonly key: string; readonly secret: string };
  #requestSecret = '';
  #refreshSecret = '';
  /** Milliseconds their clock is ahead of ours. */
  skewMs = 0;

  constructor(app: { readonly key: string; readonly secret: string }) {
    this.#app = app;
  }

  now(): number {
    return Date.now() + this.skewMs;
  }

  /** Another client of theirs fetches a secret, which ends ours. */
  rotate(): void {
    this.#requestSecret = randomBytes(16).toString('hex');
    this.#refreshSecret = randomBytes(16).toString('hex');
  }

  /** The secrets, and the signature of everything else; what `serve` gives is the reply's body. */
  answer(request: OfficeRequest, serve: (service: string, body: JsonObject) => JsonObject): OfficeReply {
    if (request.path.endsWith('/refreshTokenByKey.htm')) return this.#secrets(this.#app.secret, request);
    if (request.path.endsWith('/refreshTokenBySec.htm')) return this.#secrets(this.#refreshSecret, request);
    const { appkey = '', sign = '', requesttime = '' } = request.headers;
    if (!this.#signed(this.#requestSecret, appkey, sign, requesttime)) return this.said('14', '签名错误', '');
    const service = request.path.slice(request.path.lastIndexOf('/') + 1).replace('.htm', '');
    return this.json(serve(service, JSON.parse(request.body.toString('utf8') || '{}') as JsonObject));
  }

  said(code: string, msg: string, datas: Json): OfficeReply {
    return this.json({ code, msg, data: '', datas });
  }

  json(body: Json): OfficeReply {
    return {
      headers: { 'content-type': 'application/json;charset=UTF-8', date: new Date(this.now()).toUTCString() },
      body: JSON.stringify(body),
    };
  }

  #signed(secret: string, appKey: string, sign: string, time: string): boolean {
    return (
      appKey === this.#app.key &&
      secret !== '' &&
      Math.abs(Number(time) - this.now()) < SIGNED_WITHIN_MS &&
      sign === createHash('md5').update(`${appKey}${secret}${time}`).digest('hex')
    );
  }

  #secrets(secret: string, { query }: OfficeRequest): OfficeReply {
    const given = (name: string): string => query.get(name) ?? '';
    if (!this.#signed(secret, given('appKey'), given('sign'), given('requestTime')))
      return this.said('14', '签名错误', '');
    this.rotate();
    const at = this.now();
    return this.said('00', '成功', {
      refreshSecret: this.#refreshSecret,
      refreshSecretEndTime: at + REFRESH_SECRET_MS,
      requestSecret: this.#requestSecret,
      requestSecretEndTime: at + REQUEST_SECRET_MS,
    });
  }
}
