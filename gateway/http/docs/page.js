const encoder = new TextEncoder();
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');

/** The five lines that X-Signature is over, and their HMAC-SHA256 under the secret; lower-case hex. */
async function signature({ method, target, body, timestamp, nonce }, secret) {
  const digest = hex(await crypto.subtle.digest('SHA-256', encoder.encode(body)));
  const text = [method, target, digest, timestamp, nonce].join('\n');
  const key = await crypto.subtle.importKey('raw', encoder.encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, [
    'sign',
  ]);
  return hex(await crypto.subtle.sign('HMAC', key, encoder.encode(text)));
}

/** Signs what Swagger UI is about to send; leaves it alone where no app is given, or the browser offers no cryptography (plain http elsewhere than localhost). */
async function signed(request, app, secret) {
  if (app === '' || secret === '' || globalThis.crypto?.subtle === undefined) return request;
  const url = new URL(request.url, location.href);
  const what = {
    method: (request.method || 'GET').toUpperCase(),
    target: url.pathname + url.search,
    body: typeof request.body === 'string' ? request.body : '',
    timestamp: String(Date.now()),
    nonce: hex(crypto.getRandomValues(new Uint8Array(16))),
  };
  request.headers['X-App-Key'] = app;
  request.headers['X-Timestamp'] = what.timestamp;
  request.headers['X-Nonce'] = what.nonce;
  request.headers['X-Signature'] = await signature(what, secret);
  return request;
}

if (typeof SwaggerUIBundle !== 'undefined') {
  const field = (id) => document.getElementById(id).value.trim();
  SwaggerUIBundle({
    url: 'openapi.json',
    dom_id: '#api',
    deepLinking: true,
    docExpansion: 'list',
    defaultModelsExpandDepth: 0,
    validatorUrl: null,
    requestInterceptor: (request) => (request.loadSpec ? request : signed(request, field('app'), field('secret'))),
  });
}
