import { createHash, createHmac, randomBytes } from 'node:crypto';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { MakeSimulator } from '../../contracts/ports/simulator.ts';
import { sm2PublicKey } from '../../contracts/sm2.ts';
import { sm2Encrypt, sm2Sign } from '../wire/crypto/sm2.ts';
import { type Door, httpDoor, Office, type OfficeReply, type OfficeRequest } from '../wire/office.ts';
import { type SampleCertificate, sampleCertificate, sampleFile } from '../wire/sample-certificates.ts';

const ACCESS_ID = 'SYX-GATEWAY';
const ACCESS_SECRET = 'demo-province-secret';
const TOKEN_SECONDS = 1_800;

/** What departments archive there. */
const TYPES: ReadonlySet<string> = new Set([
  '11100000000013127D001',
  '11331124QA0000049U901',
  '111000000000131433001',
  '11100000MB03271699001',
  '11100000MB03271699022',
  '11331124QA00000A8Y901',
  '11331124QA00000817901',
  '11331124QA00000B6R901',
  '11331124QA0000065H901',
  '11100000MB0143028R001',
]);
const ANOTHER = { name: '别样例', idNo: '331124195809090036' };

/** The provincial library: sealed and signed data, a token, a cause for every look, files behind links that last a minute. */
const makeProvinceShare: MakeSimulator = () => {
  const office = new Office('province-share');
  const theirKey = keyFor('province');
  const ourKey = keyFor('gateway');
  /** By holder: `none`, a state such as `02`, `other` or `otherType`: somebody else's certificate, or another one of theirs. */
  const special = new Map<string, string>();
  /** Whose it is, by type and number, of what was asked for. */
  const holders = new Map<string, string>();
  const links = new Map<string, string>();
  let door: Door | undefined;
  let token = '';
  let sealedFor = ourKey;
  let signedBy: string | undefined = theirKey.privateKey;
  /** How many a list holds; null: one, which is no list. */
  let list: number | null = null;
  let untidy = false;

  function answer(request: OfficeRequest, mood: 'well' | 'refuses' | 'busy'): OfficeReply {
    if (mood === 'busy') return said(500, '服务繁忙，请稍后再试');
    if (request.path.startsWith('/zzk/file/')) return mood === 'refuses' ? said(304, '该证照不可下载') : file(request);
    const body = JSON.parse(request.body.toString('utf8')) as JsonObject;
    if (request.path === '/zzk/token') return logIn(body);
    const { head = {}, data = {} } = body as { head?: JsonObject; data?: JsonObject };
    if (head.accessId !== ACCESS_ID) return said(302, '应用未注册');
    if (head.accessToken !== token || token === '') return said(301, 'accessToken已失效');
    if (mood === 'refuses') return said(303, '未获该证照类型的使用授权');
    switch (request.path) {
      case '/zzk/getDataByHolder':
        return byHolder(data);
      case '/zzk/downloadUrl': {
        const id = randomBytes(12).toString('hex');
        links.set(id, String(data.certificateIdentifier));
        return said(0, '成功', { url: `/zzk/file/${id}` });
      }
      case '/zzk/verifyCertInfo':
        return verdict(data);
      default:
        return said(0, '成功');
    }
  }

  function logIn({ accessId, time, sign }: JsonObject): OfficeReply {
    const right = createHmac('sm3', ACCESS_SECRET).update(`${accessId}${time}`).digest('hex');
    if (accessId !== ACCESS_ID || sign !== right) return said(302, '应用未注册或签名错误');
    token = randomBytes(16).toString('hex');
    return said(0, '成功', { accessToken: token, expiresIn: String(TOKEN_SECONDS) });
  }

  function byHolder(asked: JsonObject): OfficeReply {
    const cause = String(asked.useCause ?? '');
    if (cause === '' || [...cause].length > 200) return said(304, '用途说明为必填，且不超过200字');
    const type = String(asked.certTypeCode);
    const holder = holderOf(asked);
    const how = special.get(holder.idNo) ?? '01';
    const archived = TYPES.has(type) && how !== 'none' ? sampleCertificate(type, holder) : undefined;
    if (archived === undefined) return said(1, '未查询到证照数据');
    holders.set(`${type} ${archived.number}`, holder.idNo);
    const row = certificate(asked, archived, how);
    const one = untidy ? untidied(row) : row;
    const certData = sm2Encrypt(
      JSON.stringify(list === null ? one : Array.from({ length: list }, () => one)),
      sealedFor.publicKey,
    );
    return said(0, '数据获取成功', {
      certData,
      ...(signedBy === undefined ? {} : { sign: sm2Sign(certData, signedBy) }),
    });
  }

  /** By number with the holder's state; identifiers are the same for every holder here, so that they only tell what there is. */
  function verdict({ certIdentifier, certTypeCode, certNo }: JsonObject): OfficeReply {
    const holder = holders.get(`${certTypeCode} ${certNo}`);
    const how = holder === undefined ? '01' : (special.get(holder) ?? '01');
    const known = holder !== undefined || sampleFile(String(certIdentifier)) !== undefined;
    if (!known || how === 'none') return said(1, '未查询到证照数据');
    return said(0, '核验成功', { state: how.startsWith('other') ? '01' : how });
  }

  function file({ path, headers }: OfficeRequest): OfficeReply {
    if (headers.accesstoken !== token || token === '') return said(301, 'accessToken已失效');
    const wanted = links.get(path.split('/').at(-1) ?? '');
    if (wanted === undefined) return said(1, '下载链接无效或已过期');
    const found = sampleFile(wanted);
    if (found === undefined) return said(1, '无此文件');
    return { headers: { 'content-type': `application/${found.fileType}` }, body: found.file };
  }

  return {
    party: 'province-share',
    filed: () => office.filed(),
    async start({ port }) {
      door = await httpDoor(office, port, answer, () => ({
        headers: { 'content-type': 'application/json;charset=UTF-8' },
        body: '{"head":{"status":0,"message":"数据获取成功"},"data":{"certData":"04ab',
      }));
      return {
        settings: {
          baseUrl: `http://127.0.0.1:${door.port}`,
          accessId: ACCESS_ID,
          accessSecret: ACCESS_SECRET,
          privateKey: ourKey.privateKey,
          theirPublicKey: theirKey.publicKey,
        },
      };
    },
    async mood(mood) {
      office.mood = mood;
      await door?.absent(mood === 'absent');
    },
    /**
     * `expireToken`; `certificate`: {idNo, state}, where state is `none`, `other` (somebody else's), `otherType` or 01–07; `sealFor`: `us`, or `another`, who
     * alone can open it; `signBy`: `them`, `another` or `nobody`; `list`: how many a list holds, null for one that is no list; `untidy`: full-width digits,
     * spaces, marks for nothing.
     */
    async pull(lever, value) {
      if (lever === 'expireToken') token = '';
      else if (lever === 'sealFor') sealedFor = value === 'another' ? keyFor('another') : ourKey;
      else if (lever === 'signBy')
        signedBy = value === 'nobody' ? undefined : (value === 'another' ? keyFor('another') : theirKey).privateKey;
      else if (lever === 'list') list = typeof value === 'number' ? value : null;
      else if (lever === 'untidy') untidy = value === true;
      else if (lever === 'certificate' && value !== null && typeof value === 'object' && !Array.isArray(value))
        special.set(String(value.idNo), String(value.state));
      else
        throw new Error(
          'levers: expireToken, certificate ({idNo, state}), sealFor (us, another), signBy (them, another, nobody), list (number, or null), untidy',
        );
    },
    async stop() {
      office.close();
      await door?.close();
    },
  };
};

export default makeProvinceShare;

/** Invented, and the same in every run. */
function keyFor(whom: string): { readonly privateKey: string; readonly publicKey: string } {
  const privateKey = `1${createHash('sm3').update(`demo key of ${whom}`).digest('hex').slice(1)}`;
  return { privateKey, publicKey: sm2PublicKey(privateKey) };
}

const holderOf = ({ holderName, holderCode, certNo }: JsonObject) => ({
  name: String(holderName ?? ''),
  idNo: String(holderCode ?? ''),
  ...(typeof certNo === 'string' && { certNo }),
});

/** GB/T 36903. */
function certificate(asked: JsonObject, archived: SampleCertificate, how: string): JsonObject {
  const { name, idNo } = how === 'other' ? ANOTHER : holderOf(asked);
  const [type, issuer] = archived.identifier.split('.').slice(5);
  return {
    certificateIdentifier: archived.identifier,
    certificateType: archived.name,
    certificateTypeCode: how === 'otherType' ? '11331124QA0000030Y901' : (type ?? ''),
    certificateName: archived.name,
    certificateNumber: archived.number,
    certificateHolder: name,
    certificateHolderTypeCode: asked.holderTypeCode ?? '111',
    certificateHolderCode: idNo,
    issuingAuthority: archived.issuer,
    issuingAuthorityCode: issuer ?? '',
    issueDate: '20200101',
    effectiveDate: '20200101',
    expiringDate: '20400101',
    areaCode: '331124',
    version: '001',
    state: how.startsWith('other') ? '01' : how,
    business: archived.fields,
    fileType: archived.fileType,
    fileDigest: createHash('sm3').update(archived.file).digest('hex'),
  };
}

/** As departments archive what they never tidied. */
function untidied(tidy: JsonObject): JsonObject {
  const wide = String(tidy.certificateHolderCode).replaceAll(/\d/g, (digit) =>
    String.fromCharCode(digit.charCodeAt(0) + 0xfee0),
  );
  return {
    ...tidy,
    certificateNumber: '/',
    certificateHolder: `${tidy.certificateHolder} `,
    certificateHolderCode: ` ${wide}`,
    effectiveDate: '2020-01-01',
    expiringDate: '长期',
    fileDigest: 'null',
  };
}

function said(status: number, message: string, data: JsonObject | null = null): OfficeReply {
  return {
    headers: { 'content-type': 'application/json;charset=UTF-8' },
    body: JSON.stringify({ head: { status, message }, data }),
  };
}
