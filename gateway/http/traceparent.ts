import { randomBytes } from 'node:crypto';

const W3C = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The caller's trace goes on when it is one (W3C Trace Context, level 1); otherwise it begins here, sampled. */
export function traceparentOf(header: string | undefined): string {
  if (header !== undefined && W3C.test(header)) return header;
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;
}
