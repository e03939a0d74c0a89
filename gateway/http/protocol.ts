import proxyAddr from 'proxy-addr';
import { Unfit } from '../../contracts/ports/contract.ts';
import { type IsTrusted, plainAddress } from './address.ts';
import { hasBody } from './bodies.ts';
import type { Handler, Request } from './route.ts';
import { MOST_TARGET_BYTES, targetTooLong } from './server.ts';

/** RFC 9110, 7.2 and 4.2: a name or address, and a port. Each character once: no more than linear. */
const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]+)(?::\d{0,5})?$/;

/** What HTTP itself asks of a request, told as every other problem (RFC 9112, 3.2; RFC 9110, 10.1.1). @throws Unfit */
export const judgeProtocol: Handler = (request, response, next) => {
  if (request.url.length > MOST_TARGET_BYTES) throw targetTooLong();
  judgeHost(request);
  const { expect } = request.headers;
  if (expect !== undefined && expect.toLowerCase() !== '100-continue')
    throw new Unfit(417, 'expectation', {
      zh: '不支持该 Expect 请求头；只支持 100-continue',
      en: 'this Expect header cannot be met; only 100-continue can',
    });
  response.locals.awaitsContinue = expect !== undefined && hasBody(request);
  next();
};

function judgeHost({ rawHeaders, headers, httpVersion }: Request): void {
  const hosts = rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'host').length;
  if (hosts > 1)
    throw new Unfit(400, 'hostTwice', { zh: '请求头 Host 重复', en: 'the header Host is given more than once' });
  if (hosts === 0 && httpVersion !== '1.0')
    throw new Unfit(400, 'hostMissing', { zh: '缺少请求头 Host', en: 'the header Host is missing' });
  if (hosts === 1 && headers.host !== '' && !HOST.test(headers.host ?? ''))
    throw new Unfit(400, 'hostInvalid', { zh: '请求头 Host 有误', en: 'the header Host is not right' });
}

/** Whose request it is. Behind a proxy of ours: the last address of `X-Forwarded-For` that is none of our proxies'. */
export const callerAddress = (request: Request, trusted: IsTrusted): string =>
  plainAddress(proxyAddr(request, trusted));

/** @param types what the route answers with when all is well; none, where a department's own words are the answer */
export function acceptable(types: readonly string[]): Handler {
  const offered = [...types];
  return (request, _response, next) => {
    if (request.headers.accept === undefined || offered.length === 0 || request.accepts(offered) !== false)
      return next();
    throw new Unfit(406, 'notAcceptable', {
      zh: `该资源只以 ${offered.join('、')} 应答，请修改 Accept`,
      en: `the answer here is ${offered.join(', ')}: change the header Accept`,
    });
  };
}
