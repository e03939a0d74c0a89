import type { ConnectionOptions, TLSSocket } from 'node:tls';
import type { Reason } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { verifiedTls, type WatchedTlsFiles } from '../../contracts/tls-files.ts';
import { notConnected } from './not-connected.ts';

/** How a party is reached over TLS. A connection made later uses what stands in the files then. */
export interface WireTls {
  /** Our certificate and key, and who may issue theirs; without the last, those whom Node trusts. */
  readonly files: Pick<WatchedTlsFiles, 'contents' | 'onChange'>;
  /** The name that their certificate must be for, where it is not that of the address. */
  readonly serverName?: string | undefined;
}

export function tlsOptions({ files, serverName }: WireTls): ConnectionOptions {
  return { ...verifiedTls(files.contents), ...(serverName === undefined ? {} : { servername: serverName }) };
}

export interface Handshake {
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** Whether what is sent next must not be sent in doubt. */
  readonly write: boolean;
  /** Whether we show a certificate. */
  readonly ownCertificate: boolean;
}

/**
 * How long a TLS 1.3 server may take to say what it thinks of our certificate, where it does not say that it accepts it: so many times as long as the handshake
 * took, within these bounds (ms).
 */
const VERDICT = { times: 3, least: 50, most: 1_000 };

/**
 * Calls `done` once, when the connection may be written to, or with why it never will be: then the socket is destroyed, and nothing of ours has been sent.
 *
 * In TLS 1.3 our side of the handshake ends before the server has looked at our certificate, or missed it: what is written at once is lost with the
 * connection, and looks as if it might have arrived. So a write waits for the server's next word: a session ticket, which it gives to those it has accepted, or its
 * refusal. A server that gives no tickets is waited for as `VERDICT` says.
 */
export function handshake(
  socket: TLSSocket,
  { signal, write, ownCertificate }: Handshake,
  done: (fault?: Fault) => void,
): void {
  const began = performance.now();
  let [reached, secured, accepted, over] = [false, false, false, false];
  let verdict: ReturnType<typeof setTimeout> | undefined;
  const finish = (fault?: Fault): void => {
    if (over) return;
    over = true;
    clearTimeout(verdict);
    signal.removeEventListener('abort', aborted);
    socket.off('close', closed).off('end', closed).off('session', ticket);
    if (fault !== undefined) socket.destroy();
    done(fault);
  };
  const aborted = (): void => finish(notConnected('ETIMEDOUT', signal.reason));
  const closed = (): void => finish(brokenOff('closed', undefined));
  const brokenOff = (code: string, cause: unknown): Fault =>
    unreachable(
      {
        code: 'tlsBrokenOff',
        zh: `对方在 TLS 握手中断开了连接（${code}）${ownCertificate ? '，可能不接受我方证书' : '，可能要求我方证书'}`,
        en: `they broke the TLS handshake off (${code}); it may be that they ${ownCertificate ? 'do not accept our certificate' : 'want a certificate of ours'}`,
      },
      cause,
    );
  const failed = (error: NodeJS.ErrnoException): void => {
    const fault =
      theirCertificate(socket.authorizationError, error) ??
      ourCertificate(error, ownCertificate, secured || socket.getPeerX509Certificate() !== undefined) ??
      protocol(error);
    finish(fault ?? (reached ? brokenOff(error.code ?? 'failed', error) : notConnected(error.code ?? 'failed', error)));
  };
  const ticket = (): void => {
    accepted = true;
    // Told from within OpenSSL's reading: what is written there would never leave.
    if (secured) setImmediate(finish);
  };

  // Stays, so that what happens to a socket that nobody uses yet ends no process.
  socket.on('error', failed);
  socket.once('close', closed).once('end', closed).on('session', ticket);
  socket.once('connect', () => {
    reached = true;
  });
  socket.once('secureConnect', () => {
    secured = true;
    if (!write || accepted || socket.getProtocol() !== 'TLSv1.3') return finish();
    const took = (performance.now() - began) * VERDICT.times;
    verdict = setTimeout(() => finish(), Math.min(VERDICT.most, Math.max(VERDICT.least, took)));
  });
  if (signal.aborted) aborted();
  else signal.addEventListener('abort', aborted, { once: true });
}

/**
 * A refusal of our certificate that comes after bytes were sent: it ends the handshake, before which nothing that was sent is read. Undefined for all else.
 */
export function lateRefusal(error: unknown, ownCertificate: boolean): Fault | undefined {
  return ourCertificate(error as NodeJS.ErrnoException, ownCertificate, false);
}

const UNTRUSTED = ['签发机构不受信任，请核对 tls.ca', 'nobody trusted has issued it: see tls.ca'] as const;
const WHY: { readonly [code: string]: readonly [zh: string, en: string] } = {
  CERT_HAS_EXPIRED: ['已过期', 'it has run out'],
  CERT_NOT_YET_VALID: ['尚未生效', 'it is not valid yet'],
  CERT_REVOKED: ['已被吊销', 'it has been revoked'],
  ERR_TLS_CERT_ALTNAME_INVALID: [
    '不是发给这个主机名的，请核对地址或 tls.serverName',
    'it is for another name: see the address, or tls.serverName',
  ],
  HOSTNAME_MISMATCH: [
    '不是发给这个主机名的，请核对地址或 tls.serverName',
    'it is for another name: see the address, or tls.serverName',
  ],
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
};

/** Node says so only where its own check of the other side failed. */
function theirCertificate(verdict: Error | string | null | undefined, cause: NodeJS.ErrnoException): Fault | undefined {
  if (verdict === null || verdict === undefined) return undefined;
  const code = cause.code ?? 'failed';
  const [zh, en] = WHY[code] ?? ['未通过校验', 'it did not stand up to the check'];
  return unreachable(
    {
      code: 'theirCertificate',
      zh: `对方的 TLS 证书不可信：${zh}（${code}）`,
      en: `their TLS certificate is not accepted: ${en} (${code})`,
    },
    cause,
  );
}

/** RFC 8446, 6.2; as OpenSSL names them behind `_ALERT_`. */
const OURS: ReadonlySet<string> = new Set([
  'ACCESS_DENIED',
  'BAD_CERTIFICATE',
  'CERTIFICATE_EXPIRED',
  'CERTIFICATE_REQUIRED',
  'CERTIFICATE_REVOKED',
  'CERTIFICATE_UNKNOWN',
  'DECRYPT_ERROR',
  'NO_CERTIFICATE',
  'UNKNOWN_CA',
  'UNSUPPORTED_CERTIFICATE',
]);

/** @param theirsSeen the handshake had come so far that what they refuse in it can only be ours */
function ourCertificate(cause: NodeJS.ErrnoException, own: boolean, theirsSeen: boolean): Fault | undefined {
  const code = cause.code ?? '';
  const [, alert = ''] = code.split('_ALERT_');
  // Before TLS 1.3 there was no word for a certificate that is missing.
  if (!OURS.has(alert) && !(theirsSeen && alert === 'HANDSHAKE_FAILURE')) return undefined;
  const missing = !own || alert === 'CERTIFICATE_REQUIRED';
  return new Fault('unauthorized', {
    maybeArrived: false,
    reason: missing
      ? {
          code: 'certificateWanted',
          zh: `对方要求我方出示 TLS 客户端证书，请设置 tls.cert 与 tls.key（${code}）`,
          en: `they want a client certificate of ours: set tls.cert and tls.key (${code})`,
        }
      : {
          code: 'ourCertificate',
          zh: `对方不接受我方的 TLS 客户端证书（${code}）`,
          en: `they do not accept our client certificate (${code})`,
        },
    cause,
  });
}

function protocol(cause: NodeJS.ErrnoException): Fault | undefined {
  const { code = '' } = cause;
  if (!code.startsWith('ERR_SSL_') && code !== 'EPROTO') return undefined;
  if (code.includes('WRONG_VERSION_NUMBER') || code.includes('PACKET_LENGTH') || code.includes('HTTP_REQUEST'))
    return unreachable(
      {
        code: 'noTls',
        zh: `对方在该地址上不使用 TLS（${code}）`,
        en: `what listens at their address does not speak TLS (${code})`,
      },
      cause,
    );
  if (code.includes('UNSUPPORTED_PROTOCOL') || code.includes('PROTOCOL_VERSION'))
    return unreachable(
      {
        code: 'tlsVersion',
        zh: `对方的 TLS 版本低于 1.2（${code}）`,
        en: `they do not speak TLS 1.2 or newer (${code})`,
      },
      cause,
    );
  return unreachable(
    { code: 'tlsFailed', zh: `与对方的 TLS 握手失败（${code}）`, en: `the TLS handshake failed (${code})` },
    cause,
  );
}

const unreachable = (reason: Reason, cause: unknown): Fault => new Fault('unreachable', { reason, cause });
