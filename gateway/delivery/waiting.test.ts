import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CaseRecord, Step } from '../../contracts/ports/case.ts';
import type { OpenEnvelope } from '../../contracts/ports/store.ts';
import { newCase } from '../../test/support/sample-case.ts';
import { makeCaseProgress } from './waiting.ts';

const SENT: Step['state'] = 'SENT';

async function recordOf(more: Partial<CaseRecord> = {}): Promise<CaseRecord> {
  const { record } = await newCase({ applicationNo: 'A1', parties: ['tea', 'rice'] }).open('331124261123500000');
  return { ...record, steps: record.steps.map((step) => ({ ...step, state: SENT })), ...more };
}

/** What the steps show: state, why, since when. */
async function shown(
  record: CaseRecord,
  place: OpenEnvelope['place'] | undefined,
  { pauses = {}, connected = true }: { pauses?: object; connected?: boolean } = {},
) {
  const { caseNo } = record;
  const open = place === undefined ? [] : [{ id: 'x', caseNo, stepNo: '01', lane: 'tea', place, since: 7 } as const];
  const store = { open: async () => open, pauses: async () => new Map(Object.entries(pauses)) };
  const [one] = await makeCaseProgress(store, () => connected).shown([record]);
  const step = one?.steps[0];
  return [step?.state, step?.reason?.code ?? null, step?.since];
}

test('a step whose message is kept back says WAITING, why and since when; one that is under way, or delivered, says what it said', async () => {
  const record = await recordOf();
  const held = { by: 'operator', reason: '核实', at: 9 };
  const pause = { by: 'operator', reason: '割接', at: 8 };
  assert.deepEqual(await shown(record, 'waiting'), ['SENT', null, 1]);
  assert.deepEqual(await shown(record, 'leased', { pauses: { tea: pause } }), ['SENT', null, 1]);
  assert.deepEqual(await shown(record, undefined, { pauses: { tea: pause } }), ['SENT', null, 1]);
  assert.deepEqual(await shown(record, 'waiting', { pauses: { tea: pause } }), ['WAITING', 'lanePaused', 8]);
  assert.deepEqual(await shown(record, 'waiting', { pauses: { rice: pause } }), ['SENT', null, 1]);
  assert.deepEqual(await shown(record, 'behind'), ['WAITING', 'behindEarlier', 7]);
  assert.deepEqual(await shown(record, 'waiting', { connected: false }), ['WAITING', 'notConnected', 7]);
  assert.deepEqual(await shown({ ...record, held }, 'waiting', { pauses: { tea: pause } }), ['WAITING', 'caseHeld', 9]);
});
