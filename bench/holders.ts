/**
 * The certificate service alone, in a process of its own: HOLDERS distinct holders, each found at its source; tells after every tenth what it holds. The
 * ledger is left out, or a million rows on disk would be measured.
 */

import { loadCertificateTypes } from '../config/certificates.ts';
import { loadItems } from '../config/items.ts';
import { wallClock } from '../contracts/ports/clock.ts';
import { silent } from '../contracts/ports/logger.ts';
import { makeCertificates } from '../gateway/certificates/service.ts';

const holders = Number(process.env.HOLDERS ?? 100_000);
const TYPE = '11100000000013127D001';
const catalogue = await loadItems(new URL('certificate-items', import.meta.url).pathname);
const fields = { name: '样例', idNo: '331124199001010011', address: '松阳县西屏街道样例路1号' };
const certificates = makeCertificates({
  sources: () =>
    new Map([
      [
        'public-security',
        {
          types: undefined,
          ask: async ({ holder, type }) => [
            {
              type,
              identifier: null,
              number: holder.idNo,
              title: '居民身份证',
              holder,
              state: '01',
              issuer: '松阳县公安局',
              validFrom: null,
              validTo: null,
              fields: { ...fields },
            },
          ],
        },
      ],
    ]),
  catalogue,
  types: await loadCertificateTypes(),
  cases: { caseOf: async () => undefined, byApplication: async () => undefined },
  mandates: { mandate: async () => undefined },
  register: { issuedTo: async () => [], spokenOf: async () => {} },
  tickets: { issue: async () => {} },
  ledger: { write: async () => {} },
  announce: async () => {},
  clock: wallClock,
  log: silent,
  metrics: { certificate: () => {} },
  hashOf: (idNo) => idNo,
  settings: { max: 50_000, negativeSeconds: 15, useCodeSeconds: 300 },
});

console.log(JSON.stringify({ holders }));
const series: { holders: number; kept: number; heap: number }[] = [];
for (let done = 0; done < holders; ) {
  await Promise.all(
    Array.from({ length: 100 }, (_, at) =>
      certificates.retrieve({
        holders: [{ name: `样例${done + at}`, idType: '111', idNo: '331124199001010011' }],
        types: [TYPE],
        purpose: {
          applicationNo: 'A1',
          itemCode: '11331124QA0000065H433203000500101',
          clerk: { officerId: 'W07' },
          basis: '法',
        },
        hints: {},
        channel: 'window',
        appKey: 'window-1',
        traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
        timeLimitMs: 1_000,
      }),
    ),
  );
  done += 100;
  if (done % (holders / 10) !== 0) continue;
  globalThis.gc?.();
  const kept = Math.min(done, 50_000);
  series.push({ holders: done, kept, heap: Math.round(process.memoryUsage().heapUsed / 1_048_576) });
}
await certificates.close();
process.send?.(series, () => process.exit(0));
