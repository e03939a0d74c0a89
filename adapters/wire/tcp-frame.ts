import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { countOf } from '../../contracts/count.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { silent } from './http.ts';
import { notConnected } from './not-connected.ts';
import { handshake, lateRefusal, tlsOptions, type WireTls } from './tls.ts';
import type { FrameOptions, FrameWire } from './wire.ts';

/** A body behind its length, in bytes. @throws Fault `malformed` (ours) when the length needs more digits than the frame has */
export function encodeFrame(body: Uint8Array, { lengthDigits, lengthIncludesPrefix, lengthPad }: FrameOptions): Buffer {
  const length = String(body.length + (lengthIncludesPrefix ? lengthDigits : 0));
  if (length.length > lengthDigits) {
    throw new Fault('malformed', {
      ours: true,
      maybeArrived: false,
      reason: {
        code: 'frameTooLong',
        zh: `报文 ${body.length} 字节，超过长度前缀可表示的范围`,
        en: `a body of ${countOf(body.length, 'byte')} does not fit a length of ${countOf(lengthDigits, 'digit')}`,
      },
    });
  }
  return Buffer.concat([Buffer.from(length.padStart(lengthDigits, lengthPad), 'latin1'), body]);
}

/**
 * Takes a stream apart into frames, however it was cut: a length split over two packets, two frames in one.
 * `push` gives the bodies that are whole now; it throws Fault `malformed` (theirs) on a length that is no number or larger than `maxBytes`,
 * before a byte of such a body is kept.
 */
export function frameReader(
  { lengthDigits, lengthIncludesPrefix }: FrameOptions,
  maxBytes: number,
): { push(chunk: Uint8Array): readonly Buffer[]; rest(): number } {
  let pending = Buffer.alloc(0);
  return {
    push(chunk) {
      pending = pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([pending, chunk]);
      const bodies: Buffer[] = [];
      while (pending.length >= lengthDigits) {
        const text = pending.subarray(0, lengthDigits).toString('latin1').trim();
        if (!/^\d+$/.test(text)) throw lying(`长度前缀不是数字`, 'the length of the frame is no number');
        const length = Number(text) - (lengthIncludesPrefix ? lengthDigits : 0);
        if (length < 0) throw lying('长度前缀小于其自身', 'the length of the frame is less than its own prefix');
        if (length > maxBytes)
          throw lying(
            `长度前缀 ${length} 超过上限 ${maxBytes} 字节`,
            `the frame says ${countOf(length, 'byte')}, over the limit of ${maxBytes}`,
          );
        if (pending.length < lengthDigits + length) break;
        bodies.push(Buffer.from(pending.subarray(lengthDigits, lengthDigits + length)));
        pending = pending.subarray(lengthDigits + length);
      }
      return bodies;
    },
    rest: () => pending.length,
  };
}

const lying = (zh: string, en: string): Fault => new Fault('malformed', { reason: { code: 'frame', zh, en } });

/** One connection an exchange; each is closed whatever comes. @param tls absent: plain TCP */
export function frameWire(options: FrameOptions, tls?: WireTls): FrameWire {
  const open = new Set<Socket>();
  return {
    exchange: (host, port, body, how) =>
      new Promise((resolve, reject) => {
        let frame: Buffer;
        try {
          frame = encodeFrame(body, options);
        } catch (error) {
          reject(error);
          return;
        }
        const reader = frameReader(options, how.maxBytes);
        let connected = false;
        const connecting = new AbortController();
        const timer = setTimeout(() => {
          connecting.abort();
          done(notConnected('ETIMEDOUT', undefined));
        }, how.connectMs);
        const onAbort = (): void =>
          done(connected ? silent('ETIMEDOUT', how, how.signal.reason) : notConnected('ETIMEDOUT', how.signal.reason));

        function done(outcome: Buffer | Fault): void {
          clearTimeout(timer);
          how.signal.removeEventListener('abort', onAbort);
          open.delete(socket);
          // Those of others stay: a socket over TLS has some of its own, by which it is taken down.
          socket.off('connect', send).off('data', take).off('error', failed).off('close', closed);
          socket.on('error', () => {});
          socket.destroy();
          if (outcome instanceof Fault) reject(outcome);
          else resolve(outcome);
        }

        function take(chunk: Buffer): void {
          try {
            const [first, ...more] = reader.push(chunk);
            if (first === undefined) return;
            if (more.length > 0 || reader.rest() > 0)
              throw lying('一个应答之后还有多余字节', 'there are bytes behind the one reply');
            done(first);
          } catch (error) {
            const fault = Fault.from(error);
            done(new Fault(fault.kind, { reason: fault.reason, maybeArrived: how.write, cause: error }));
          }
        }

        function send(): void {
          connected = true;
          clearTimeout(timer);
          socket.on('data', take);
          socket.write(frame);
        }

        function failed(error: NodeJS.ErrnoException): void {
          const { code = 'failed' } = error;
          done(
            connected ? (lateRefusal(error, ownCertificate) ?? silent(code, how, error)) : notConnected(code, error),
          );
        }

        function closed(): void {
          done(connected ? silent('closed', how, undefined) : notConnected('closed', undefined));
        }

        const ownCertificate = tls?.files.contents.cert !== undefined;
        let socket: Socket;
        if (tls === undefined) {
          socket = connect({ host, port, noDelay: true });
          socket.once('connect', send);
        } else {
          const secured = connectTls({ host, port, ...tlsOptions(tls) });
          secured.setNoDelay(true);
          socket = secured;
          const signal = AbortSignal.any([how.signal, connecting.signal]);
          handshake(secured, { signal, write: how.write, ownCertificate }, (fault) =>
            fault === undefined ? send() : done(fault),
          );
        }
        open.add(socket);
        socket.once('error', failed).once('close', closed);
        if (how.signal.aborted) onAbort();
        else how.signal.addEventListener('abort', onAbort, { once: true });
      }),
    async close() {
      for (const socket of open) socket.destroy();
    },
  };
}
