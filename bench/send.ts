/**
 * What is durable when it resolves, 32 at a time, without HTTP around it, for BENCH.ms on BENCH.databaseUrl: `node bench/send.ts <who>` prints {count, ms} as one
 * JSON line.
 *   store    our own store: a case, its event and its first envelope, accepted
 *   pg-boss  the peer: a job, sent
 */
import { PgBoss } from 'pg-boss';
import { loadSettings } from '../config/load.ts';
import { wallClock } from '../contracts/ports/clock.ts';
import { silent } from '../contracts/ports/logger.ts';
import { openStore } from '../gateway/store/open.ts';
import { newCase } from '../test/support/sample-case.ts';

const { databaseUrl, ms, body } = JSON.parse(process.env.BENCH ?? '{}') as {
  databaseUrl: string;
  ms: number;
  body: object;
};

const senders = {
  async store(): Promise<(no: number) => Promise<unknown>> {
    const { database } = await loadSettings({}, ['--demo']);
    const store = await openStore({ databaseUrl, database, clock: wallClock, log: silent });
    const run = `${process.pid}-${Date.now()}`;
    return (no) => store.accept(newCase({ applicationNo: `${run}-${no}` }));
  },
  async 'pg-boss'(): Promise<(no: number) => Promise<unknown>> {
    const boss = new PgBoss({ connectionString: databaseUrl, max: 10 });
    boss.on('error', () => {});
    await boss.start();
    await boss.createQueue('bench');
    return () => boss.send('bench', body);
  },
};

const send = await senders[process.argv[2] === 'store' ? 'store' : 'pg-boss']();
const began = performance.now();
const end = began + ms;
let count = 0;
await Promise.all(
  Array.from({ length: 32 }, async () => {
    while (performance.now() < end) {
      count += 1;
      await send(count);
    }
  }),
);
console.log(JSON.stringify({ count, ms: Math.round(performance.now() - began) }));
process.exit(0);
