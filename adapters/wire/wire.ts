/**
 * A wire carries bytes there and back, and knows one thing more: whether they may have arrived.
 *
 * `exchange` throws Fault:
 *   unreachable  it certainly did not arrive (connect refused, DNS, TLS, connect timeout), or it is no write
 *   inDoubt      a write: connected and sent, then silence, a reset or the deadline
 *   malformed    the reply is larger than `maxBytes`, or its frame lies about its length
 * The signal is the deadline of the whole exchange, the body included; an abort is treated like silence.
 */
export interface Exchange {
  readonly signal: AbortSignal;
  readonly write: boolean;
  readonly connectMs: number;
  readonly maxBytes: number;
}

export interface HttpRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: { readonly [name: string]: string };
  readonly body: Uint8Array | null;
}

/** Header names in lower case. */
export interface HttpReply {
  readonly status: number;
  readonly headers: { readonly [name: string]: string };
  readonly body: Uint8Array;
}

/** A reply whose body has not come yet. It comes a chunk at a time, as fast as it is taken, and ends with a Fault when it is cut off, too large or aborted. */
export interface HttpStream extends Omit<HttpReply, 'body'> {
  readonly body: AsyncIterable<Uint8Array>;
}

export interface HttpWire {
  exchange(request: HttpRequest, how: Exchange): Promise<HttpReply>;
  /** The same, resolved when the head is there. The body must be read, or ended by its iterator's `return`. */
  stream(request: HttpRequest, how: Exchange): Promise<HttpStream>;
  close(): Promise<void>;
}

export interface FrameOptions {
  readonly lengthDigits: number;
  readonly lengthIncludesPrefix: boolean;
  /** "0" or " ". */
  readonly lengthPad: string;
}

/** One connection an exchange: a frame out, a frame back. */
export interface FrameWire {
  exchange(host: string, port: number, body: Uint8Array, how: Exchange): Promise<Uint8Array>;
  close(): Promise<void>;
}
