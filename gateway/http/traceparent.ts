import { randomBytes } from 'node:crypto';

const W3C = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;

/** The caller's trace goes on when it is one (W3C Trace Context, level 1); otherwise it begins here, sampled. */
export function traceparentOf(header: string | undefined): string {
  const [, trace, parent] = W3C.exec(header ?? '') ?? [];
  const goesOn = trace !== undefined && parent !== undefined && !isZero(trace) && !isZero(parent);
  if (header !== undefined && goesOn) return header;
  const ids = randomBytes(24).toString('hex');
  return `00-${ids.slice(0, 32)}-${ids.slice(32)}-01`;
}

/** An id of nothing but zeros is none. */
const isZero = (id: string): boolean => /^0*$/.test(id);
