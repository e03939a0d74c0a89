import { writeSync } from 'node:fs';
import { wallClock } from '../../contracts/ports/clock.ts';
import { silent } from '../../contracts/ports/logger.ts';
import type { Store } from '../../contracts/ports/store.ts';
import { openStore } from '../../gateway/store/open.ts';
import { ledgerEntry } from './ledger-entry.ts';
import { change, event, newCase, stepIn } from './sample-case.ts';

/**
 * Writes until it is killed: `store-writer.ts <file> <name>`. Each line on stdout is one thing that the store has promised:
 * `accepted <caseNo>`, `delivered <envelope id>`, `ledger <entry id>`, `collected <dedupe>`.
 */
const [file, name] = process.argv.slice(2) as [string, string];
const store: Store = await openStore({ file, clock: wallClock, log: silent });
const promise = (line: string) => writeSync(1, `${line}\n`);

async function accepts(of: string): Promise<never> {
  for (let i = 0; ; i++) {
    const { record } = await store.accept(newCase({ applicationNo: `${name}-${of}-${i}`, acceptedAt: Date.now() }));
    promise(`accepted ${record.caseNo}`);
  }
}

async function delivers(): Promise<never> {
  for (;;) {
    const leases = await store.lease({ lanes: [{ lane: 'tea-office', limit: 8 }], forMs: 60_000, now: Date.now() });
    await Promise.all(
      leases.map(async (lease) => {
        const number = `N${lease.envelope.id}`;
        await store.delivered(
          lease,
          { number, duplicate: false },
          async (record) => change({ steps: [stepIn(record, '01', 'DONE')], events: [event('delivered')] }),
          null,
        );
        promise(`delivered ${lease.envelope.id}`);
        const message = {
          from: 'tea-office',
          about: { number },
          dedupe: number,
          at: 1,
          answer: { outcome: 'done' as const, result: {} },
        };
        await store.collected(message, () => async () => change({ events: [event('answered')] }));
        promise(`collected ${number}`);
      }),
    );
  }
}

async function ledgers(): Promise<never> {
  for (let i = 0; ; i++) {
    const id = `${name}-${i}`;
    await store.write([ledgerEntry(id), ledgerEntry(`${id}-answered`)]);
    promise(`ledger ${id}`);
  }
}

await Promise.all([...['a', 'b', 'c', 'd'].map(accepts), delivers(), ledgers()]);
