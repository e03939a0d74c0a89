import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** Values of `X-Signature-Method`, and the digest behind each (SM3: GB/T 32905). */
const DIGESTS = { 'HMAC-SHA256': 'sha256', 'HMAC-SM3': 'sm3' } as const;
export type SignatureMethod = keyof typeof DIGESTS;

export function isSignatureMethod(value: string): value is SignatureMethod {
  return Object.hasOwn(DIGESTS, value);
}

/** What is signed of a request. */
export interface Signable {
  readonly method: string;
  /** Path with query, as it stands in the request line. */
  readonly target: string;
  /** The bytes as sent; empty when there is no body. */
  readonly body: Uint8Array;
  /** Milliseconds since the epoch, in digits, as sent. */
  readonly timestamp: string;
  /** 16–64 visible ASCII characters, used once. */
  readonly nonce: string;
}

/** Lower-case hex HMAC under `secret` of `METHOD\npath with query\nhex digest of the body\ntimestamp\nnonce`. */
export function sign(request: Signable, secret: string, method: SignatureMethod = 'HMAC-SHA256'): string {
  return hmac(signedText(request, method), secret, method);
}

function signedText(request: Signable, method: SignatureMethod): string {
  const body = createHash(DIGESTS[method]).update(request.body).digest('hex');
  return [request.method, request.target, body, request.timestamp, request.nonce].join('\n');
}

function hmac(text: string, secret: string, method: SignatureMethod): string {
  return createHmac(DIGESTS[method], secret).update(text).digest('hex');
}

/**
 * Which of an app's secrets made `signature`, counted from 0; undefined: none did. Each is compared whatever the ones before gave, so that the time it takes tells
 * neither what is wrong with a signature nor which secret is in use.
 */
export function findSigningSecret(
  request: Signable,
  secrets: readonly string[],
  method: SignatureMethod,
  signature: string,
): number | undefined {
  const text = signedText(request, method);
  const given = Buffer.from(signature);
  const matches = secrets.map((secret) => {
    const right = Buffer.from(hmac(text, secret, method));
    return given.length === right.length && timingSafeEqual(given, right);
  });
  const found = matches.indexOf(true);
  return found === -1 ? undefined : found;
}

/** The headers of a signed request. */
export function signedHeaders(
  request: Signable,
  app: { readonly key: string; readonly secret: string },
  method: SignatureMethod = 'HMAC-SHA256',
): { readonly [name: string]: string } {
  return {
    'X-App-Key': app.key,
    'X-Timestamp': request.timestamp,
    'X-Nonce': request.nonce,
    ...(method === 'HMAC-SHA256' ? {} : { 'X-Signature-Method': method }),
    'X-Signature': sign(request, app.secret, method),
  };
}
