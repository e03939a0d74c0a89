import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Mood } from '../../contracts/ports/simulator.ts';
import type { Engines } from '../support/engines.ts';
import { birth, deedTax, flexibleEmployment, houseTransfer } from '../support/submissions.ts';
import { until } from '../support/world.ts';
import type { Damage } from './books.ts';
import { Hall, type Matter } from './hall.ts';
import type { KillPoint } from './killable.ts';

/** The gateway dies at one point while the departments are in one mood; they are well again once it is back. */
export interface Trial {
  readonly point: KillPoint;
  readonly mood: Mood;
  /** Who is in that mood; those asked for certificates must stay well for a case to be accepted at all. */
  readonly who: readonly string[];
  readonly story: 'three' | 'correction' | 'release';
}

const EVERYBODY = [
  'housing-construction',
  'tax',
  'real-estate',
  'utilities',
  'public-security',
  'medical-insurance',
  'social-security',
  'window',
];
const DEPARTMENTS_ASKED = EVERYBODY.filter((party) => party !== 'utilities' && party !== 'window');
const NOT_ASKED_FOR_CERTIFICATES = ['tax', 'medical-insurance', 'social-security', 'utilities'];

/** At every commit point, in every mood. `begins`: the bus asks the store before it hands a lease out. */
export function trials({ begins = false }: { readonly begins?: boolean } = {}): readonly Trial[] {
  const all: Trial[] = [];
  const add = (mood: Mood, who: readonly string[], points: readonly KillPoint[], story: Trial['story'] = 'three') =>
    all.push(...points.map((point) => ({ point, mood, who, story })));
  const at = (
    port: KillPoint['port'],
    method: string,
    whens: readonly KillPoint['when'][],
    nths: readonly number[],
    parties: readonly (string | undefined)[] = [undefined],
  ): readonly KillPoint[] =>
    parties.flatMap((party) =>
      nths.flatMap((nth) =>
        whens.map((when) => ({ port, method, when, nth, ...(party === undefined ? {} : { party }) })),
      ),
    );
  const around = ['before', 'after'] as const;
  const whole = ['before', 'within', 'after'] as const;

  add(
    'well',
    [],
    [
      ...at('store', 'firstUse', ['after'], [2]),
      ...at('store', 'byApplication', ['before'], [2]),
      ...at('store', 'write', around, [3]),
      ...at('adapter', 'certificates', around, [2]),
      ...at('store', 'accept', whole, [2]),
      ...at('store', 'lease', around, [3]),
      ...at('bus', 'publish', around, [4]),
      ...at('adapter', 'deliver', around, [1], EVERYBODY),
      ...at('adapter', 'deliver', around, [6], ['window']),
      ...at('store', 'delivered', whole, [1, 5, 13]),
      ...at('store', 'awaiting', ['after'], [1]),
      ...at('adapter', 'collect', around, [1], ['tax']),
      ...at('adapter', 'callback', around, [1], ['real-estate']),
      ...at('store', 'collected', whole, [1, 2]),
      ...at('store', 'rematch', around, [1]),
    ],
  );
  add('forgetful', EVERYBODY, [
    ...at('adapter', 'deliver', ['before'], [4]),
    ...at('store', 'postponed', whole, [1, 4]),
    ...at('adapter', 'inquire', around, [1], DEPARTMENTS_ASKED),
    ...at('store', 'delivered', whole, [4]),
    ...at('store', 'lease', ['after'], [4]),
    ...at('bus', 'publish', ['after'], [6]),
  ]);
  add('busy', NOT_ASKED_FOR_CERTIFICATES, at('store', 'postponed', around, [1]));
  add('absent', NOT_ASKED_FOR_CERTIFICATES, at('store', 'postponed', whole, [2]));
  add('absent', ['window'], at('store', 'postponed', ['after'], [2]));
  add('deaf', ['tax', 'window'], at('store', 'postponed', around, [2]));
  add('garbled', NOT_ASKED_FOR_CERTIFICATES, at('store', 'parked', whole, [1]));
  add('garbled', ['window'], at('store', 'parked', ['after'], [1]));
  add('garbled', ['tax'], at('store', 'released', whole, [1]), 'release');
  add('refuses', ['tax', 'social-security'], at('store', 'refused', whole, [1]));
  add('well', [], at('store', 'changed', whole, [1]), 'correction');
  if (begins) {
    add('well', [], at('store', 'begin', around, [2, 6]));
    add('forgetful', EVERYBODY, at('store', 'begin', around, [4]));
  }
  return all;
}

const label = ({ point: { port, method, when, nth, party }, mood }: Trial): string =>
  `${mood}: ${when} ${port}.${method}${party === undefined ? '' : ` of ${party}`}, call ${nth}`;

/** Does what the story says, until the gateway dies or there is nothing left to do. */
async function play(
  hall: Hall,
  { story, mood, who }: Trial,
): Promise<{ matters: Matter[]; afterwards?: () => Promise<void> }> {
  if (story === 'correction') {
    const tax = hall.simulated.simulators.get('tax');
    await tax?.pull?.('decide', 'correct');
    const submission = deedTax();
    const matter = await hall.submit(submission);
    const { caseNo = '' } = matter;
    await until(async () => (await hall.look(caseNo))?.state === 'CORRECTING' || undefined, 5_000, 'a correction');
    await tax?.pull?.('decide', 'paid');
    const form = { ...(submission.form as JsonObject), contractNo: 'SYFC2026110077' };
    const supply = () => hall.window.post<{ code?: string }>(`/v1/cases/${caseNo}/corrections`, { form });
    await supply().catch(() => {});
    return {
      matters: [matter],
      async afterwards() {
        const { status, body } = await supply();
        // Supplied before the kill, or now: either way it is.
        assert.ok(status === 200 || body.code === 'notCorrecting', `${status} ${body.code}`);
      },
    };
  }
  await hall.mood(who, mood);
  const matters = await Promise.all([houseTransfer(), birth(), flexibleEmployment()].map((one) => hall.submit(one)));
  if (story === 'release') {
    const id = `${matters[0]?.caseNo}-02`;
    await until(
      async () =>
        (await hall.operator.get<{ state: string }>(`/v1/envelopes/${id}`)).body.state === 'parked' || undefined,
      5_000,
      'parked',
    );
    await hall.operator.post(`/v1/envelopes/${id}/release`, {}).catch(() => {});
  }
  return { matters };
}

export interface Tally {
  points: number;
  kills: number;
  acknowledged: number;
  resubmitted: number;
  readonly missed: string[];
  readonly lost: string[];
  readonly doubled: string[];
  readonly outOfOrder: string[];
  readonly stuck: string[];
  /** Cases of which others did not hear as they should. */
  readonly unheard: string[];
  readonly failed: string[];
}

async function run(hall: Hall, trial: Trial, tally: Tally): Promise<void> {
  tally.points += 1;
  await hall.arm(trial.point);
  const { matters, afterwards } = await play(hall, trial);
  const outcome = await hall.diesOrEnds(matters, 30_000);
  if (outcome === 'died') {
    tally.kills += 1;
    await hall.mood(EVERYBODY, 'well');
    await hall.start();
  } else {
    tally.missed.push(label(trial));
    await hall.arm(null);
    await hall.mood(EVERYBODY, 'well');
  }
  await afterwards?.();
  const damage: Damage = await hall.heal(matters);
  const known = matters.filter(({ caseNo }) => caseNo !== undefined).length;
  tally.acknowledged += known;
  tally.resubmitted += matters.length - known;
  for (const kind of ['lost', 'doubled', 'outOfOrder', 'stuck'] as const)
    tally[kind].push(...damage[kind].map((what) => `${label(trial)} → ${what}`));
}

/** All of them, or none is left open. */
async function openHalls(many: number, engines?: Engines): Promise<readonly Hall[]> {
  const opened = await Promise.allSettled(Array.from({ length: many }, () => Hall.open(engines)));
  const halls = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = opened.find((one) => one.status === 'rejected');
  if (failed === undefined) return halls;
  await Promise.all(halls.map((hall) => hall.close()));
  throw failed.reason;
}

/** Suffers all these trials in so many halls side by side, each one gateway, and asserts that nothing was lost, doubled, out of order or stuck. */
export async function survived(
  t: TestContext,
  all: readonly Trial[],
  { halls: many, engines }: { readonly halls: number; readonly engines?: Engines },
): Promise<void> {
  const queue = [...all];
  const tally: Tally = {
    points: 0,
    kills: 0,
    acknowledged: 0,
    resubmitted: 0,
    missed: [],
    lost: [],
    doubled: [],
    outOfOrder: [],
    stuck: [],
    unheard: [],
    failed: [],
  };
  const started = Date.now();
  const halls = await openHalls(many, engines);
  await Promise.all(
    halls.map(async (hall) => {
      for (let trial = queue.shift(); trial !== undefined; trial = queue.shift()) {
        try {
          await run(hall, trial, tally);
        } catch (error) {
          const cause = error instanceof Error && error.cause !== undefined ? ` (${String(error.cause)})` : '';
          const words = hall.dead ? ` and the gateway is dead: ${hall.words}` : '';
          tally.failed.push(
            `${label(trial)} → ${error instanceof Error ? error.message : String(error)}${cause}${words}`,
          );
          await hall.mood(EVERYBODY, 'well');
          if (hall.dead) await hall.start();
        }
      }
    }),
  )
    .then(async () => {
      tally.unheard.push(...(await Promise.all(halls.map((hall) => hall.unheard()))).flat());
    })
    .finally(() => Promise.all(halls.map((hall) => hall.close())));
  const { points, kills, acknowledged, resubmitted, missed, unheard, failed, ...damage } = tally;
  const released = halls.reduce((sum, hall) => sum + hall.released, 0);
  t.diagnostic(
    `${points} points, ${kills} kills, ${acknowledged} cases acknowledged, ${resubmitted} submitted again, ${released} released by a person; ` +
      `lost ${damage.lost.length}, doubled ${damage.doubled.length}, out of order ${damage.outOfOrder.length}, stuck ${damage.stuck.length}, not heard of ${unheard.length}; ` +
      `${Math.round((Date.now() - started) / 1_000)} s`,
  );
  for (const one of missed) t.diagnostic(`never reached: ${one}`);
  // A department that answers nonsense is put before a person; nothing else rings.
  const rang = halls.flatMap((hall) => hall.rang);
  const strange = rang.filter(
    (line) => !line.includes('parked: a person must look at it') || line.includes('"code":"mapping"'),
  );
  assert.deepEqual(strange, []);
  const none = { lost: [], doubled: [], outOfOrder: [], stuck: [], unheard: [], failed: [] };
  assert.deepEqual({ ...damage, unheard, failed }, none);
  assert.ok(kills >= points * 0.9, `${kills} kills of ${points}`);
}
