/** Signs one call of the API, and prints it as a curl command or sends it. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type SignatureMethod, signedHeaders } from '../gateway/http/signature.ts';

const HELP = `npm run sign -- METHOD PATH [BODY] [options]     为一次接口调用签名 · signs one call of the API

  BODY               JSON 文件；- 为标准输入 · a JSON file; - is standard input
  --send             直接发送并显示应答 · send it, and show the answer
  --app KEY          应用标识 · app key                         (window-demo)
  --secret SECRET    密钥 · its secret                          (KEY-secret, as in the demo 演示密钥)
  --method SM3       SHA256 或 or SM3                            (SHA256)
  --url URL          网关地址 · where the gateway is             (http://127.0.0.1:8080)

  npm run sign -- POST /v1/cases/precheck case.json --send
  npm run sign -- GET '/v1/envelopes?state=parked' --app operator-demo --send
`;

interface Call {
  readonly method: string;
  readonly url: URL;
  readonly headers: { readonly [name: string]: string };
  readonly body: Buffer;
  /** For curl: where the very same bytes can be read again. */
  readonly file: string | undefined;
}

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        send: { type: 'boolean' },
        app: { type: 'string', default: 'window-demo' },
        secret: { type: 'string' },
        method: { type: 'string', default: 'SHA256' },
        url: { type: 'string', default: 'http://127.0.0.1:8080' },
      },
    });
    const [method, path, file] = positionals;
    if (values.help === true || method === undefined || path === undefined) {
      console.log(HELP);
      return values.help === true ? 0 : 2;
    }
    const app = { key: values.app, secret: values.secret ?? `${values.app}-secret` };
    const call = await signed(
      method.toUpperCase(),
      new URL(path, values.url),
      file,
      app,
      signatureMethod(values.method),
    );
    if (values.send !== true) {
      console.log(curl(call));
      return 0;
    }
    return await send(call);
  } catch (error) {
    const { message, cause } = error as Error;
    console.error(cause instanceof Error ? `${message}: ${cause.message}` : message);
    return 2;
  }
}

function signatureMethod(name: string): SignatureMethod {
  if (/^(?:HMAC-)?SM3$/i.test(name)) return 'HMAC-SM3';
  if (/^(?:HMAC-)?SHA-?256$/i.test(name)) return 'HMAC-SHA256';
  throw new Error(`--method: expected SHA256 or SM3, got "${name}"`);
}

async function signed(
  method: string,
  url: URL,
  file: string | undefined,
  app: { readonly key: string; readonly secret: string },
  how: SignatureMethod,
): Promise<Call> {
  const body = file === undefined ? Buffer.alloc(0) : await read(file);
  const request = {
    method,
    target: `${url.pathname}${url.search}`,
    body,
    timestamp: String(Date.now()),
    nonce: randomBytes(16).toString('hex'),
  };
  const type: { [name: string]: string } = file === undefined ? {} : { 'Content-Type': 'application/json' };
  return { method, url, headers: { ...type, ...signedHeaders(request, app, how) }, body, file };
}

async function read(file: string): Promise<Buffer> {
  if (file !== '-') return readFile(file);
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Good for five minutes, and once. */
function curl({ method, url, headers, body, file }: Call): string {
  const data = file === undefined ? [] : ['--data-binary', file === '-' ? quoted(body.toString()) : quoted(`@${file}`)];
  return [
    ['curl', '-sS', '--globoff', '-X', method, quoted(url.href)].join(' '),
    ...Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    ...(data.length === 0 ? [] : [data.join(' ')]),
  ].join(' \\\n  ');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** 0 when the answer is a success. */
async function send({ method, url, headers, body }: Call): Promise<number> {
  const init = { method, headers, signal: AbortSignal.timeout(60_000), redirect: 'manual' as const };
  const response = await fetch(url, body.length === 0 ? init : { ...init, body: new Uint8Array(body) });
  const text = await response.text();
  console.error(`${response.status} ${response.statusText}`);
  console.log(
    /json/.test(response.headers.get('content-type') ?? '') ? JSON.stringify(JSON.parse(text), null, 2) : text,
  );
  return response.ok ? 0 : 1;
}
