import { randomBytes } from 'node:crypto';
import { type SignatureMethod, signedHeaders } from '../gateway/http/signature.ts';

export interface App {
  readonly key: string;
  readonly secret: string;
}

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
  readonly headers: Headers;
}

/** The secret of a demo app is its name with `-secret`; outside the demo profile they do not exist. */
export const demoApp = (key: string): App => ({ key, secret: `${key}-secret` });

/** A signed caller of the API. Every call has an end: 15 s unless told otherwise. */
export class Client {
  readonly url: string;
  readonly #app: App;
  readonly #method: SignatureMethod;
  readonly #withinMs: number;

  constructor(url: string, app: App, method: SignatureMethod = 'HMAC-SHA256', withinMs = 15_000) {
    this.url = url;
    this.#app = app;
    this.#method = method;
    this.#withinMs = withinMs;
  }

  /** Headers of one request, good for one use. */
  headers(method: string, target: string, body: Uint8Array): Record<string, string> {
    const nonce = randomBytes(16).toString('hex');
    return {
      ...signedHeaders({ method, target, body, timestamp: String(Date.now()), nonce }, this.#app, this.#method),
    };
  }

  get<T>(target: string): Promise<Answer<T>> {
    return this.#call('GET', target);
  }

  post<T>(target: string, body: unknown): Promise<Answer<T>> {
    return this.#call('POST', target, body);
  }

  async #call<T>(method: string, target: string, json?: unknown): Promise<Answer<T>> {
    const body = json === undefined ? new Uint8Array() : Buffer.from(JSON.stringify(json));
    const response = await fetch(`${this.url}${target}`, {
      method,
      headers: {
        ...this.headers(method, target, body),
        ...(json === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(json === undefined ? {} : { body }),
      signal: AbortSignal.timeout(this.#withinMs),
    });
    const text = await response.text();
    return { status: response.status, body: (text === '' ? null : JSON.parse(text)) as T, headers: response.headers };
  }
}
