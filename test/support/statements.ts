import type { CompiledQuery, DatabaseConnection } from 'kysely';
import type { Lease, Store } from '../../contracts/ports/store.ts';
import { cursorOf } from '../../gateway/store/cursor.ts';
import type { StoreDialect } from '../../gateway/store/dialect.ts';
import { ledgerEntry } from './ledger-entry.ts';
import { change, fault, HOLD, newCase, nothing, stepIn } from './sample-case.ts';

/** The same dialect, telling each statement that it runs, each that is made, whether it is ever run or not, and how many rows each gave back. */
export function listening(
  dialect: StoreDialect,
  heard: (query: CompiledQuery) => void,
  compiled: (query: CompiledQuery) => void = () => {},
  answered: (rows: number) => void = () => {},
): StoreDialect {
  const { kysely } = dialect;
  const overheard = (connection: DatabaseConnection): DatabaseConnection =>
    new Proxy(connection, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        if (name !== 'executeQuery') return value.bind(target);
        return async (query: CompiledQuery) => {
          heard(query);
          const result = await target.executeQuery(query);
          answered(result.rows.length);
          return result;
        };
      },
    });
  return {
    ...dialect,
    kysely: {
      createAdapter: () => kysely.createAdapter(),
      createIntrospector: (db) => kysely.createIntrospector(db),
      createQueryCompiler: () => {
        const compiler = kysely.createQueryCompiler();
        return {
          compileQuery(node, id) {
            const query = compiler.compileQuery(node, id);
            compiled(query);
            return query;
          },
        };
      },
      createDriver: () => {
        const driver = kysely.createDriver();
        const acquire = driver.acquireConnection.bind(driver);
        driver.acquireConnection = async () => overheard(await acquire());
        return driver;
      },
    },
  };
}

/** Everything that happens again and again while cases go through. */
export async function wholePath(store: Store): Promise<void> {
  const lane = 'tea-office';
  await store.byApplication('window-demo', 'A0');
  await Promise.all(['A0', 'A1', 'A2', 'A3'].map((applicationNo) => store.accept(newCase({ applicationNo }))));
  const round = { lanes: [{ lane, limit: 9 }], forMs: 1000, now: Date.now() };
  const leases = (await store.lease({ ...round, toBegin: true })) as [Lease, Lease, Lease, Lease];
  const [one, two, three, four] = leases;
  await Promise.all(leases.map(({ envelope: { id }, fence }) => store.begin({ lane, id, fence })));
  await store.delivered(one, { number: 'N1', duplicate: false }, nothing, 1);
  const when = { notBefore: Date.now() + 9999, tried: true, doubtedAt: null };
  await store.postponed(two, fault('busy'), when, nothing);
  await store.parked(three, fault('malformed'), true, nothing);
  await store.returned(four);
  await store.released(three.envelope.id, () => nothing);
  await store.awaiting({ party: lane, limit: 9, now: Date.now(), scheduleMs: [5] });
  await store.owing({ limit: 9, now: Date.now(), scheduleMs: [5] });
  await store.due();
  const answer = { outcome: 'done' as const, result: {} };
  const word = (number: string) => ({ from: lane, about: { number }, dedupe: number, at: 1, answer });
  await store.collected(word('N1'), () => async (record) => change({ steps: [stepIn(record, '01', 'DONE')] }));
  await store.collected(word('N2'), () => nothing);
  await store.rematch({ party: lane, key: one.envelope.id, number: 'N1' }, () => nothing);
  await store.retryKept(null, () => nothing);
  await store.held(one.envelope.caseNo, HOLD, nothing);
  await store.paused(lane, 'operator-demo', 'tea');
  await store.resumed(lane, 'operator-demo');
  await store.write([ledgerEntry('L1')]);
  await store.read({ caseNo: 'x', after: 'L1', limit: 1 });
  await store.read({ holderHash: 'x', limit: 1 });
  await store.firstUse('window-demo', '0123456789abcdef', Date.now() + 1000);
  for (const period of ['a', 'b']) await store.allot(lane, period, 9, 1);
  await store.allotted(lane, 'a');
  await store.claim('trial', 'node', Date.now(), Date.now() + 1000);
  await store.unclaim('trial', 'node');
  await store.keep('session', 'x', Date.now() + 1000);
  await store.kept('session', Date.now());
  await store.reserve('sequence', 0, 1);
  await store.once(one.envelope.id, 'serial', '000001');
  await store.onceValues(one.envelope.id);
  await store.keepItemVersions([{ code: 'item', version: 'v1', definition: '{}' }], Date.now());
  await store.itemVersion('item', 'v1');
  await store.itemVersion('item', null);
  await store.undecidedCases();
  await store.caseOf(one.envelope.caseNo);
  await store.timeline(one.envelope.caseNo, undefined, 9);
  await store.envelope(one.envelope.id);
  await store.envelopes({ caseNo: one.envelope.caseNo, limit: 9 });
  await store.envelopes({ party: lane, state: 'parked', limit: 9 });
  await store.cases({ limit: 9 });
  await store.cases({ state: 'HANDLING', limit: 9, cursor: cursorOf([1, 1]) });
}
