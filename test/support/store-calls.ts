import type { CompiledQuery } from 'kysely';
import type { CaseRecord } from '../../contracts/ports/case.ts';
import type { Certificate, LedgerFilter } from '../../contracts/ports/certificate.ts';
import type { Message } from '../../contracts/ports/envelope.ts';
import type { Lease, Store } from '../../contracts/ports/store.ts';
import { cursorOf } from '../../gateway/store/cursor.ts';
import type { HandClock } from './hand-clock.ts';
import { ledgerEntry } from './ledger-entry.ts';
import { caseNoOf, FAR } from './long-history.ts';
import { change, event, fault, HOLD, newCase, nothing, reason, stepIn } from './sample-case.ts';

/** Every method of the store that asks the database something. */
export type Method = Exclude<keyof Store, 'news' | 'close' | 'alone'>;

/** What a statement is known by: the method that issued it, and for searches what was searched by. */
export type Call = string;

interface Scene {
  readonly store: Store;
  readonly clock: HandClock;
  /** An envelope of a new case, leased. */
  leased(): Promise<Lease>;
  /** A new case, and the number under which its first step was delivered. */
  delivered(): Promise<{ readonly caseNo: string; readonly number: string }>;
  /** What the store issues in `work` is `call`'s. */
  as(call: Call, work: () => Promise<unknown>): Promise<void>;
}

const LANE = 'tea-office';
const MINUTE = 60_000;
/** Of the history. */
const CASE_NO = caseNoOf(20_000);
const AT = 1_762_000_000_000;
const ROWS = 5;

const certificate: Certificate = {
  type: 'type-1',
  identifier: 'new-1',
  number: 'new-1',
  title: '样例证照',
  holder: { name: '张样例', idType: '111', idNo: '331124199001010011' },
  state: '01',
  issuer: LANE,
  validFrom: null,
  validTo: null,
  fields: {},
};

/** Every choice of at most so many of these, also of none; and all of them. */
function choices<T extends object>(all: T, most = Object.keys(all).length): readonly Partial<T>[] {
  const names = Object.keys(all) as (keyof T)[];
  return Array.from({ length: 2 ** names.length }, (_, chosen) => names.filter((_, i) => (chosen >> i) & 1))
    .filter(({ length }) => length <= most || length === names.length)
    .map((chosen) => Object.fromEntries(chosen.map((name) => [name, all[name]])) as unknown as Partial<T>);
}

export const CASE_FILTERS = choices({
  state: 'DECIDED',
  itemCode: 'item-3',
  applicationNo: 'F20000',
  appKey: 'hall',
  party: 'office-1',
  since: AT - 10_000_000_000,
  until: AT + 1_000_000_000,
  cursor: cursorOf([AT, 20_000]),
});
export const ENVELOPE_FILTERS = (
  [undefined, 'waiting', 'leased', 'parked', 'delivered', 'refused', 'cancelled'] as const
).flatMap((state) =>
  choices({ party: 'office-1', caseNo: CASE_NO, cursor: cursorOf([100_000]) }).map((filter) =>
    state === undefined ? filter : { ...filter, state },
  ),
);
export const LEDGER_FILTERS: readonly (LedgerFilter & { readonly after?: string })[] = choices(
  {
    holderHash: 'h3',
    officerId: 'W3',
    caseNo: caseNoOf(3),
    applicationNo: 'F4',
    type: 'type-3',
    itemCode: 'item-3',
    source: 'office-3',
    state: 'found' as const,
    phase: 'answered' as const,
    from: 1,
    until: AT,
    after: 'L20000-1',
  },
  3,
);

const word = (number: string, dedupe = number): Message => ({
  from: LANE,
  about: { number },
  dedupe,
  at: 1,
  answer: { outcome: 'done', result: {} },
});
const done = async (record: CaseRecord) =>
  change({ steps: [stepIn(record, '01', 'DONE')], events: [event('answered')] });

/**
 * Every method with everything that it can do: each outcome, each filter and each choice of several. A method that is added to the store is missed by the
 * compiler here, and one of its statements that nothing here issues by the test.
 */
const CALLS: Record<Method, (scene: Scene) => Promise<unknown>> = {
  // First: what it wrote goes along with the next commit, and what is forgotten of it.
  async firstUse({ store, clock }) {
    await store.firstUse('hall', '0123456789abcdef', clock.now() + MINUTE);
    clock.move(2 * MINUTE);
    await store.firstUse('hall', 'fedcba9876543210', clock.now() + MINUTE);
    // As soon as anything is committed.
    await store.resumed(LANE, 'operator-demo');
  },

  async accept({ store }) {
    await Promise.all(['A0', 'A1', 'A2', 'A3'].map((applicationNo) => store.accept(newCase({ applicationNo }))));
    await store.accept(newCase({ applicationNo: 'A0' }));
    await store.accept(newCase({ applicationNo: 'A0', bodyHash: 'b'.repeat(64) }));
  },
  byApplication: ({ store }) => store.byApplication('hall', 'F20000'),
  async changed({ store, delivered }) {
    const [one, two] = [await delivered(), await delivered()];
    await store.changed(one.caseNo, async (record) => {
      const { submission, certificates } = record;
      return change({ steps: [stepIn(record, '01', 'DONE')], events: [event('answered')], submission, certificates });
    });
    await store.changed(two.caseNo, async (record) =>
      change({
        steps: [stepIn(record, '01', 'SKIPPED')],
        issued: [{ certificate, holderHash: 'h1', issuedAt: 1, caseNo: record.caseNo, stepNo: '01' }],
        ended: [
          { type: 'type-1', holderHash: 'h1', number: 'N1', stepNo: '01' },
          { type: 'type-1', holderHash: 'h1', number: null, stepNo: '01' },
        ],
      }),
    );
    await store.changed('none', nothing);
  },
  async changeKnown({ store }) {
    await store.changeKnown({ party: LANE, dedupe: 'change-1' });
  },
  async changeTold({ store }) {
    await store.changeTold({ party: LANE, dedupe: 'change-1' }, []);
    await store.changeTold({ party: LANE, dedupe: 'change-1' }, []);
  },
  async collected({ store, delivered }) {
    const { caseNo, number } = await delivered();
    await store.collected(word(number), () => done);
    await store.collected(word(number), () => done);
    await store.collected({ ...word('x'), about: { key: `${caseNo}-01` } }, () => nothing);
    await store.collected(word('none-1', 'unknown'), () => nothing);
  },
  async rematch({ store, leased }) {
    await store.rematch({ party: 'office-1', key: 'key-151', number: null }, () => nothing);
    const lease = await leased();
    await store.collected(word('early'), () => nothing);
    await store.delivered(lease, { number: 'early', duplicate: false }, nothing, null);
    const about = { party: LANE, key: lease.envelope.id, number: 'early' };
    // The first time it cannot be used.
    await store.rematch(about, () => () => Promise.reject(fault('malformed')));
    await store.rematch(about, () => done);
  },
  async retryKept({ store, leased }) {
    const { next } = await store.retryKept(null, () => nothing);
    const lease = await leased();
    await store.collected(word('early-too'), () => nothing);
    await store.delivered(lease, { number: 'early-too', duplicate: false }, nothing, null);
    // After all that is of the history.
    const after = next && { ...next, receivedAt: 1_000 };
    await store.retryKept(after, () => () => Promise.reject(fault('malformed')));
    await store.retryKept(after, () => done);
  },
  owing: ({ store }) => store.owing({ limit: ROWS, now: FAR, scheduleMs: [MINUTE] }),

  async lease({ store, clock, leased }) {
    await leased();
    // One whose step has ended meanwhile, and those that ran out.
    const { record } = await store.accept(newCase({ applicationNo: 'ended' }));
    await store.changed(record.caseNo, done);
    clock.move(2 * MINUTE);
    await store.lease({ lanes: [{ lane: LANE, limit: ROWS }], forMs: MINUTE, now: clock.now() });
  },
  async begin({ store, clock }) {
    await Promise.all(['begin-1', 'begin-2'].map((applicationNo) => store.accept(newCase({ applicationNo }))));
    const request = { lanes: [{ lane: LANE, limit: 1_000 }], forMs: MINUTE, now: clock.now(), toBegin: true };
    const leases = await store.lease(request);
    await Promise.all(leases.map(({ envelope: { id, to: lane }, fence }) => store.begin({ lane, id, fence })));
  },
  async delivered({ store, clock, leased }) {
    await store.delivered(await leased(), { number: 'N', duplicate: false }, nothing, clock.now() + 1);
    await store.delivered(await leased(), { number: null, duplicate: false }, done, null);
  },
  async refused({ store, leased }) {
    await store.refused(await leased(), fault('refused'), nothing);
  },
  async postponed({ store, clock, leased }) {
    const when = { notBefore: clock.now() + MINUTE, tried: true, doubtedAt: null };
    await store.postponed(await leased(), fault('busy'), when, nothing);
    await store.postponed(await leased(), fault('busy'), { ...when, notBefore: 0 }, nothing);
  },
  async parked({ store, leased }) {
    await store.parked(await leased(), fault('malformed'), true, nothing);
  },
  async returned({ store, leased }) {
    await store.returned(await leased());
  },
  async mayBeSent({ store, leased }) {
    await store.mayBeSent(await leased());
  },
  async withheld({ store, leased }) {
    await store.withheld(await leased());
  },
  async answerFailed({ store, leased }) {
    const lease = await leased();
    await store.delivered(lease, { number: 'failed', duplicate: false }, nothing, 1);
    await store.answerFailed(lease.envelope.id, fault('malformed'), () => nothing);
    await store.answerFailed('none', fault('malformed'), () => nothing);
  },
  async answerAwaited({ store, leased }) {
    const lease = await leased();
    await store.delivered(lease, { number: 'awaited', duplicate: false }, nothing, 1);
    await store.answerFailed(lease.envelope.id, fault('malformed'), () => nothing);
    await store.answerAwaited(lease.envelope.id, () => nothing);
  },
  endMessages: ({ store }) => store.endMessages(3),
  forgetSeen: ({ store }) => store.forgetSeen(AT),
  partyAway: ({ store }) => store.partyAway('office-1', 1, reason('away')),
  async partyBack({ store }) {
    await store.partyBack('office-1', FAR);
    await store.partyBack('office-1', 0);
  },
  awaiting: ({ store }) => store.awaiting({ party: 'office-1', limit: ROWS, now: FAR, scheduleMs: [MINUTE] }),
  due: ({ store }) => store.due(),

  async released({ store, leased }) {
    const lease = await leased();
    await store.parked(lease, fault('malformed'), true, nothing);
    const remade = { id: lease.envelope.id, body: {} };
    await store.released(lease.envelope.id, () => async () => change({ remade }));
    await store.released('none', () => nothing);
  },
  async settled({ store, leased }) {
    for (const receipt of [{ number: 'settled', duplicate: false }, null]) {
      const lease = await leased();
      await store.parked(lease, fault('inDoubt', true), true, nothing);
      await store.settled(lease.envelope.id, receipt, null, () => nothing);
    }
  },
  async cancelled({ store, leased }) {
    const lease = await leased();
    await store.parked(lease, fault('malformed'), true, nothing);
    await store.cancelled(lease.envelope.id, () => nothing);
  },
  async attached({ store, leased }) {
    const { envelope } = await leased();
    await store.collected(word('none-2', 'stray'), () => nothing);
    const [stray] = (await store.unmatched({ party: LANE, limit: 1_000 })).rows.filter(
      ({ dedupe }) => dedupe === 'stray',
    );
    const to = { envelopeId: envelope.id, by: 'operator-demo', reason: 'tea' };
    await store.attached(stray?.id ?? '', to, () => done);
  },
  async discarded({ store }) {
    await store.collected(word('none-3', 'useless'), () => nothing);
    const [useless] = (await store.unmatched({ party: LANE, limit: 1_000 })).rows.filter(
      ({ dedupe }) => dedupe === 'useless',
    );
    await store.discarded(useless?.id ?? '', 'operator-demo', 'tea');
    await store.discarded(useless?.id ?? '', 'operator-demo', 'tea');
  },
  paused: ({ store }) => store.paused('office-1', 'operator-demo', 'tea'),
  resumed: ({ store }) => store.resumed('office-1', 'operator-demo'),
  async held({ store }) {
    const sends = [
      ['01', LANE],
      ['02', LANE],
    ] as const;
    const { record } = await store.accept(newCase({ applicationNo: 'held', parties: [LANE, LANE], sends }));
    await store.held(record.caseNo, HOLD, nothing);
    await store.held(record.caseNo, null, nothing);
  },

  caseOf: ({ store }) => store.caseOf(CASE_NO),
  async cases({ store, as }) {
    for (const filter of CASE_FILTERS)
      await as(`cases by ${caseLead(filter)}`, () => store.cases({ ...filter, limit: ROWS }));
  },
  async timeline({ store }) {
    await store.timeline(CASE_NO, undefined, ROWS);
    await store.timeline(CASE_NO, cursorOf([2]), ROWS);
  },
  pauses: ({ store }) => store.pauses(),
  async open({ store }) {
    await store.open([CASE_NO]);
    await store.open([CASE_NO, caseNoOf(3)]);
  },
  envelope: ({ store }) => store.envelope(`${CASE_NO}-01`),
  async envelopes({ store, as }) {
    for (const filter of ENVELOPE_FILTERS)
      await as(`envelopes by ${envelopeLead(filter)}`, () => store.envelopes({ ...filter, limit: ROWS }));
  },
  async unmatched({ store }) {
    const { next } = await store.unmatched({ party: 'office-1', limit: ROWS });
    await store.unmatched({ limit: ROWS, ...(next === null ? {} : { cursor: next }) });
  },
  async message({ store }) {
    const [one] = (await store.unmatched({ limit: 1 })).rows;
    await store.message(one?.id ?? '');
  },
  lanes: ({ store }) => store.lanes(),

  async write({ store }) {
    await store.write([ledgerEntry('new-1', { at: AT }), ledgerEntry('new-2', { at: AT })]);
  },
  async read({ store, as }) {
    for (const filter of LEDGER_FILTERS)
      await as(`read by ${ledgerLead(filter)}`, () => store.read({ ...filter, limit: ROWS }));
  },
  async count({ store }) {
    for (const by of ['item', 'type', 'source'] as const) await store.count({ from: AT, until: AT + 10_000_000, by });
  },
  async check({ store }) {
    await store.check();
    await store.check('L20000-1');
  },
  async deleteBefore({ store }) {
    await store.deleteBefore(1_750_000_000_000 + 600_001);
  },

  record: ({ store }) =>
    store.record({
      id: 'new-1',
      appKey: 'hall',
      holderMasked: '张*例',
      holderHash: 'h1',
      agentMasked: '李*例',
      itemCode: 'item-1',
      types: [],
      evidence: 'E1',
      officerId: 'W1',
      from: 1,
      until: 2,
      revoked: null,
    }),
  mandate: ({ store }) => store.mandate('D20000'),
  revoke: ({ store }) => store.revoke('D20000', { at: 1, by: 'hall', reason: 'r' }),
  issuedTo: ({ store }) => store.issuedTo('h3', 'type-3'),
  async issuedAs({ store }) {
    await store.issuedAs({ identifier: 'I20000' });
    await store.issuedAs({ type: 'type-0', number: 'N20000' });
  },
  async spokenOf({ store }) {
    await store.spokenOf({ identifier: 'I20000' });
    await store.spokenOf({ holderHash: 'h4', type: 'type-4' });
  },
  issue: ({ store, clock }) =>
    store.issue([{ codeHash: 'new', appKey: 'hall', expiresAt: clock.now() + MINUTE, ticket: {} }], clock.now()),
  redeem: ({ store, clock }) => store.redeem('U20000', 'hall', clock.now()),
  giveBack: ({ store }) => store.giveBack('U20000'),
  handedOut: ({ store }) =>
    store.handedOut({
      sm3: 'new',
      originalSm3: 'new',
      identifier: null,
      type: 'type-1',
      number: null,
      validTo: null,
      caseNo: null,
      applicationNo: null,
      at: 1,
      annotated: false,
    }),
  handedOutAs: ({ store }) => store.handedOutAs('sm3:20000'),

  tell: ({ store }) =>
    store.tell([
      {
        id: 'new',
        kind: 'certificate.changed',
        subject: null,
        sequence: null,
        time: '2026-11-23T09:00:00+08:00',
        traceparent: null,
        keys: [],
        data: {},
      },
    ]),
  unpublished: ({ store }) => store.unpublished(ROWS),
  published: ({ store }) => store.published([20_001, 20_002]),
  async giveUp({ store }) {
    await store.giveUp(1_000_000_000);
    await store.giveUp(100);
  },

  async once({ store, clock }) {
    await store.once(`${CASE_NO}-02`, 'serial', '000001');
    clock.move(2 * MINUTE);
    await store.once(`${CASE_NO}-02`, 'serial', '000002');
  },
  onceValues: ({ store }) => store.onceValues(`${CASE_NO}-01`),

  keepItemVersions: ({ store, clock }) =>
    store.keepItemVersions([{ code: 'item-3', version: 'new', definition: '{}' }], clock.now()),
  async itemVersion({ store }) {
    await store.itemVersion('item-3', 'v1');
    await store.itemVersion('item-3', null);
  },
  undecidedCases: ({ store }) => store.undecidedCases(),

  async allot({ store, clock }) {
    await store.allot('office-1', 'p20000', 9, 1);
    // What has ended is forgotten now and then.
    clock.move(2 * MINUTE);
    await store.allot('office-1', 'p20000', 9, 1);
  },
  allotted: ({ store }) => store.allotted('office-1', 'p20000'),
  claim: ({ store, clock }) => store.claim('new', 'node', clock.now(), clock.now() + MINUTE),
  unclaim: ({ store }) => store.unclaim('new', 'node'),
  keep: ({ store, clock }) => store.keep('new', '{}', clock.now() + MINUTE),
  kept: ({ store, clock }) => store.kept('k20000', clock.now()),
  reserve: ({ store }) => store.reserve('s20000', 0, 1),
};

/** Those of a search's filters that have an index, or what it goes along without them. */
const leadsOf = (filter: object, names: readonly string[], without: string): string =>
  names.filter((name) => name in filter).join(', ') || without;

function caseLead(filter: object): string {
  return 'applicationNo' in filter
    ? 'applicationNo'
    : leadsOf(filter, ['itemCode', 'party', 'state', 'appKey'], 'time');
}

function envelopeLead(filter: (typeof ENVELOPE_FILTERS)[number]): string {
  if ('caseNo' in filter) return 'case';
  const state = 'state' in filter && filter.state !== 'delivered';
  if ('party' in filter) return state ? 'state and party' : 'party';
  return state ? 'state' : 'age';
}

function ledgerLead(filter: object): string {
  const matter = leadsOf(filter, ['caseNo', 'applicationNo'], '');
  return matter || leadsOf(filter, ['holderHash', 'officerId', 'source', 'state', 'type', 'itemCode', 'phase'], 'time');
}

const SWEEP = /^delete from "(nonces|used_nonces|allotments|claims|kept|envelope_values)" where [^=]* in \(select /;

/** Every statement that the store issues, each under all the calls that issue it. */
export class IssuedStatements {
  readonly #calls = new Map<Call, Map<string, CompiledQuery>>([['start', new Map()]]);
  #call: Call = 'start';

  /** To be called with every statement that is run. */
  readonly heard = (query: CompiledQuery): void => {
    // What is forgotten now and then goes along with any call.
    const call = SWEEP.test(query.sql) ? 'sweep' : this.#call;
    const statements = this.#calls.get(call) ?? new Map<string, CompiledQuery>();
    this.#calls.set(call, statements);
    statements.set(query.sql, query);
  };

  get calls(): ReadonlyMap<Call, ReadonlyMap<string, CompiledQuery>> {
    return this.#calls;
  }

  /** Calls every method of a store in which a long history stands. */
  async callAll(inner: Store, clock: HandClock): Promise<void> {
    let named: Call | undefined;
    const store = new Proxy(inner, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        return (...given: unknown[]) => {
          this.#call = named ?? String(name);
          if (!this.#calls.has(this.#call)) this.#calls.set(this.#call, new Map());
          return value.apply(target, given);
        };
      },
    });
    let made = 0;
    const scene: Scene = {
      store,
      clock,
      async leased() {
        made += 1;
        await store.accept(newCase({ applicationNo: `scene-${made}`, parties: [LANE, LANE] }));
        const leases = await store.lease({ lanes: [{ lane: LANE, limit: 1_000 }], forMs: MINUTE, now: clock.now() });
        return leases.at(-1) ?? Promise.reject(new Error('nothing was leased'));
      },
      async delivered() {
        const lease = await scene.leased();
        const number = `scene-${made}`;
        await store.delivered(lease, { number, duplicate: false }, nothing, clock.now() + MINUTE);
        return { caseNo: lease.envelope.caseNo, number };
      },
      async as(call, work) {
        named = call;
        try {
          await work();
        } finally {
          named = undefined;
        }
      },
    };
    for (const call of Object.values(CALLS)) await call(scene);
  }
}
