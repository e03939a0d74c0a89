import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Adapter, Call, Connected, PartyFolder } from '../../contracts/ports/adapter.ts';
import { wallClock } from '../../contracts/ports/clock.ts';
import type { Envelope, JsonObject } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { FarSide } from '../../test/support/far-side.ts';
import { loadParties } from '../load.ts';

const parties = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'test', 'support', 'parties');
const mill: PartyFolder = (await loadParties(parties)).find(({ party }) => party === 'mill') ?? assert.fail();

const FIRST = { attempt: 1, sentBefore: false };
const AGAIN = { attempt: 1, sentBefore: true };
const call = (more: Partial<Call> = {}): Call => ({
  signal: AbortSignal.timeout(2_000),
  attempt: 1,
  log: silent,
  traceparent: '',
  ...more,
});
const OURS = { holder: '331124199001010011', price: '1200000.00' };
const envelope = (contract = 'mill.grind@1', body: JsonObject = OURS): Envelope => ({
  id: '331124261123000001-02',
  caseNo: '331124261123000001',
  stepNo: '02',
  to: 'mill',
  contract,
  body,
  traceparent: '',
  createdAt: 0,
});
const faultOf = async (run: () => Promise<unknown>): Promise<Fault> => {
  try {
    await run();
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    return error;
  }
  return assert.fail('it should have failed');
};
const told = ({ kind, reason, ours, maybeArrived }: Fault) => [kind, reason.code, ours, maybeArrived];

describe('a duplicate is adopted only when the record of the party is of the same case', () => {
  const far = new FarSide();
  let live: Connected;
  let adapter: Adapter;
  before(async () => {
    live = mill.connect({ baseUrl: await far.open() }, { clock: wallClock, log: silent });
    ({ adapter } = live);
  });
  after(async () => {
    await adapter.close();
    await far.close();
  });
  beforeEach(() => {
    far.forget();
    far.says('/grind', { means: 'duplicate', words: '收件编号已存在', number: 'M1' });
    far.says('/store', { means: 'duplicate', words: '收件编号已存在', number: 'M1' });
  });
  const deliver = (more: Partial<Call>, contract?: string) => adapter.deliver(envelope(contract), call(more));
  const inquire = (contract?: string) => adapter.inquire?.(envelope(contract), call()) ?? assert.fail();

  test('a house at 1,200,000 is not approved with another sale’s tax filing over 860,000', async () => {
    far.says('/look', { means: 'filed', number: 'M1', holder: OURS.holder, price: '860000.00' });
    const fault = await faultOf(() => deliver(FIRST));
    assert.deepEqual(told(fault), ['malformed', 'otherRecord', true, false]);
    assert.ok(!JSON.stringify(fault.reason).includes(OURS.holder) && !fault.message.includes('860000'));
  });

  test('another holder under the same number is another case, however its filing ended', async () => {
    for (const means of ['filed', 'pending', 'refused', 'duplicate']) {
      far.says('/look', { means, number: 'M1', holder: '331124197203040017', price: OURS.price });
      assert.deepEqual(told(await faultOf(() => deliver(FIRST))), ['malformed', 'otherRecord', true, false], means);
      // Sent before: then nobody knows what became of that.
      assert.deepEqual(told(await faultOf(() => deliver(AGAIN))), ['malformed', 'otherRecord', true, true], means);
    }
  });

  test('the record of the same case is adopted, sent before or not, however they write numbers and amounts', async () => {
    far.says('/look', { means: 'filed', number: 'M1', holder: ' ３31124199001010011', price: '1200000' });
    for (const more of [FIRST, AGAIN, { attempt: 1 }])
      assert.deepEqual(await deliver(more), { number: 'M1', duplicate: true });
    assert.equal(far.on('/look').length, 3, 'it was asked each time, though the reply had a number');
  });

  test('a record that shows nothing to compare: adopted when this envelope may have been sent before, else for a person', async () => {
    far.says('/look', { means: 'filed', number: 'M1' });
    assert.deepEqual(told(await faultOf(() => deliver(FIRST))), ['malformed', 'duplicateUnproved', true, true]);
    assert.deepEqual(told(await faultOf(() => deliver({ attempt: 1 }))), [
      'malformed',
      'duplicateUnproved',
      true,
      true,
    ]);
    for (const more of [AGAIN, { attempt: 2 }]) assert.equal((await deliver(more)).duplicate, true);
    // Who knows better than the count is believed.
    assert.equal((await faultOf(() => deliver({ attempt: 2, sentBefore: false }))).reason.code, 'duplicateUnproved');
  });

  test('a manifest without `same`: no question settles a first send', async () => {
    far.says('/look', { means: 'filed', number: 'M1', holder: OURS.holder });
    const fault = await faultOf(() => deliver(FIRST, 'mill.store@1'));
    assert.deepEqual(told(fault), ['malformed', 'duplicateUnproved', true, true]);
    assert.match(fault.reason.zh, /收件编号已存在/);
    assert.equal(far.on('/look').length, 0);
    assert.deepEqual(await deliver(AGAIN, 'mill.store@1'), { number: 'M1', duplicate: true });
  });

  test('an inquiry after doubt: another case’s record under our number is not adopted either, and the doubt stays', async () => {
    far.says('/look', { means: 'filed', number: 'M1', holder: OURS.holder, price: '860000.00' });
    assert.deepEqual(told(await faultOf(() => inquire())), ['malformed', 'otherRecord', true, true]);
    far.says('/look', { means: 'filed', number: 'M1', holder: OURS.holder, price: '1200000.00' });
    assert.deepEqual(await inquire(), { number: 'M1', duplicate: false });
    far.says('/look', { means: 'filed', number: 'M1' });
    assert.equal(((await inquire()) as { number: string }).number, 'M1', 'it was sent, and nothing says otherwise');
    far.says('/look', { means: 'none' });
    assert.equal(await inquire(), 'neverArrived');
  });

  test('they say that they have it, and cannot be asked: it may have arrived, and whoever comes next asks first', async () => {
    for (const says of ['hangUp', { means: 'busy' }, { means: 'what?' }] as const) {
      far.says('/look', says);
      const fault = await faultOf(() => deliver(FIRST));
      assert.equal(fault.maybeArrived, true, fault.message);
      assert.notEqual(fault.kind, 'unreachable');
    }
  });
});

describe('a rest before a party’s "unknown" is believed', () => {
  const connect = (terms?: JsonObject) =>
    mill.connect(
      { baseUrl: 'http://127.0.0.1:1', ...(terms === undefined ? {} : { terms }) },
      { clock: wallClock, log: silent },
    );
  const settleMs = ({ facts }: Connected) =>
    Object.fromEntries(facts.delivers.map((one) => [one.contract, one.settleMs]));

  test('is the inquiry’s own, else the manifest’s, else a minute; 0 is at once; a deployment’s goes before all', async () => {
    assert.deepEqual(settleMs(connect()), { 'mill.grind@1': 90_000, 'mill.store@1': 60_000, 'mill.sift@1': 0 });
    assert.deepEqual(settleMs(connect({ settleMs: 5 })), { 'mill.grind@1': 5, 'mill.store@1': 5, 'mill.sift@1': 5 });
    assert.deepEqual(settleMs(connect({ settleMs: 0 })), { 'mill.grind@1': 0, 'mill.store@1': 0, 'mill.sift@1': 0 });
    assert.ok(!('settleMs' in connect({ settleMs: 0 }).facts.terms), 'it is told where it holds, and only there');
  });

  test('that is no time, or longer than a day, is told by its place', () => {
    for (const settleMs of [-1, 0.5, 'soon', 86_400_001])
      assert.throws(
        () => connect({ settleMs }),
        (error: unknown) =>
          (error as { problems?: readonly { pointer: string }[] }).problems?.map(({ pointer }) => pointer).join() ===
          '/terms/settleMs',
      );
  });
});
