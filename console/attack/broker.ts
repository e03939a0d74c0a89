import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type ConfirmChannel, connect } from 'amqplib';
import * as story from '../story.ts';
import type { Attack } from './attacks.ts';
import { Target } from './target.ts';

const LANE = 'tax';
const STRANGER = '伪造样例';
const WITHIN_MS = 30_000;
const properties = (version: number) => ({
  contentType: 'application/json',
  type: 'onewindow.lease',
  headers: { 'x-onewindow-version': version },
});

interface CaseSeen {
  readonly caseNo: string;
  readonly steps: readonly { readonly party: string; readonly state: string }[];
}

/** With a broker on which a stranger may write as the gateway's own user does: AMQP_URL, which a gateway of its own is started on. */
export const ON_THE_BROKER: Attack = {
  zh: '消息代理上的伪造报文：不送、不改、不泄露',
  en: 'forged messages on the broker: nothing filed, changed or told',
  async run() {
    const url = process.env.AMQP_URL;
    if (url === undefined) return 'left out: AMQP_URL names no broker';
    const prefix = `attack-${randomBytes(4).toString('hex')}`;
    const target = await Target.start({ amqpUrl: url, settings: { bus: { prefix, events: true } } });
    const connection = await connect(url);
    const channel = await connection.createConfirmChannel();
    try {
      return await forge(target, channel, prefix);
    } finally {
      const lanes = [...(await target.metrics().catch(() => new Map<string, number>())).keys()];
      await target.stop();
      for (const line of lanes) {
        const [, lane] = /^onewindow_lane_waiting\{party="([^"]+)"\}$/.exec(line) ?? [];
        if (lane !== undefined) await channel.deleteQueue(`${prefix}.leases.${lane}`);
      }
      await channel.deleteQueue(`${prefix}.lane.${LANE}`);
      await channel.deleteExchange(`${prefix}.events`);
      await connection.close();
    }
  },
};

async function forge(target: Target, channel: ConfirmChannel, prefix: string): Promise<string> {
  const queue = `${prefix}.leases.${LANE}`;
  const sent = await through(target);
  const before = await calls(target);
  const id = `${sent.caseNo}-01`;
  const body = { SJBH: id, taxpayer: STRANGER };
  const envelope = {
    id,
    caseNo: sent.caseNo,
    stepNo: '01',
    to: LANE,
    contract: 'tax.deed@1',
    body,
    traceparent: '',
    createdAt: 1,
  };
  const whole = { envelope, fence: 1, until: Date.now() + 60_000, attempts: 0, inDoubt: false };
  const name = { lane: LANE, id, fence: 1 };
  const messages: readonly (readonly [content: string, version: number])[] = [
    ...[1, 2, 3].map((version) => [JSON.stringify(whole), version] as const),
    [
      JSON.stringify({
        ...whole,
        envelope: { ...envelope, id: '331124261123999999-01', caseNo: '331124261123999999' },
      }),
      1,
    ],
    // Of a lease that was, and of such as may come.
    ...Array.from({ length: 20 }, (_, fence) => [JSON.stringify({ ...name, fence }), 3] as const),
    [JSON.stringify({ ...name, id: '331124261123999999-01' }), 3],
    [JSON.stringify({ ...name, lane: 'social-security' }), 3],
    [JSON.stringify({ ...name, body }), 3],
    ['['.repeat(100_000), 3],
    ['', 3],
  ];
  for (const [content, version] of messages) channel.sendToQueue(queue, Buffer.from(content), properties(version));
  // Where the versions before had their leases, and their news.
  await channel.assertQueue(`${prefix}.lane.${LANE}`, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  channel.sendToQueue(`${prefix}.lane.${LANE}`, Buffer.from(JSON.stringify(whole)), properties(1));
  await channel.waitForConfirms();

  await seen('every message ignored', async () => (await ignored(target)) >= messages.length);
  const after = await calls(target);
  if (after !== before) throw new Error(`the department was called ${after - before} times more`);
  if (target.log().includes(STRANGER)) throw new Error('what a stranger wrote stands in the log');
  await through(target);
  return `${messages.length} messages did nothing, and the next case went through`;
}

/** A case that the tax office has. */
async function through(target: Target): Promise<CaseSeen> {
  const { status, body } = await target.window.post<CaseSeen>('/v1/cases', story.deedTax('张样例'));
  if (status !== 202) throw new Error(`a case was answered ${status}`);
  await seen('a case at its department', async () => {
    const { body: now } = await target.window.get<CaseSeen>(`/v1/cases/${body.caseNo}`);
    return now.steps.some(({ party, state }) => party === LANE && ['ACKED', 'WAITING_RECEIPT', 'DONE'].includes(state));
  });
  return body;
}

async function sum(target: Target, of: (line: string) => boolean): Promise<number> {
  return [...(await target.metrics())].reduce((all, [line, value]) => all + (of(line) ? value : 0), 0);
}

const ignored = (target: Target) => sum(target, (line) => line.startsWith('onewindow_bus_ignored_total{'));
const calls = (target: Target) =>
  sum(
    target,
    (line) => line.startsWith('onewindow_call_seconds_count{') && line.includes(`party="${LANE}",group="deliver"`),
  );

async function seen(what: string, look: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + WITHIN_MS; !(await look()); await pause(50))
    if (Date.now() > end) throw new Error(`${what}: not within ${WITHIN_MS} ms`);
}
