import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { connect } from 'amqplib';
import { Client, demoApp } from '../../console/client.ts';
import { loadContracts } from '../../contracts/load.ts';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { makeContracts } from '../../gateway/contracts/registry.ts';
import { start } from '../../gateway/main.ts';
import { BoundQueue, type CameEvent, kindOf } from '../support/bound-queue.ts';
import { COMBINATIONS, type Engines, lacking, nameOf } from '../support/engines.ts';
import { type CaseSeen, Follower } from '../support/follow.ts';
import { birth, deedTax, flexibleEmployment, houseTransfer } from '../support/submissions.ts';
import { freePort, startWorld, until } from '../support/world.ts';

const contracts = makeContracts(await loadContracts(path.join(import.meta.dirname, '../../contracts/schemas')));
const DELIVERY = { leaseMs: 10_000, stopMs: 5_000, askSweepMs: 300, alarmAfterMs: 300_000, messageDays: 30 };
/** So that nothing comes by the sweep. */
const NEVER_MS = 60_000;

async function worldOn(t: TestContext, engines: Engines, sweepMs = NEVER_MS) {
  const world = await startWorld({ engines, over: { delivery: { ...DELIVERY, sweepMs } } });
  const {
    amqpUrl = '',
    bus: { prefix },
  } = world.settings;
  const queues: BoundQueue[] = [];
  t.after(async () => {
    for (const queue of queues) await queue.close();
    if (queues.length > 0) {
      const connection = await connect(amqpUrl);
      const channel = await connection.createChannel();
      for (const n of queues.keys()) await channel.deleteQueue(`${prefix}.others.${n}`);
      await connection.close();
    }
    await world.stop();
  });
  return {
    world,
    hall: new Follower(world),
    async bind(...keys: readonly string[]): Promise<BoundQueue> {
      const name = `${prefix}.others.${queues.length}`;
      const queue = await BoundQueue.open(amqpUrl, { exchange: `${prefix}.events`, queue: name, keys });
      queues.push(queue);
      return queue;
    },
  };
}

const ENDED = ['DONE', 'REJECTED', 'SKIPPED'];

/** Waits until the events of a case tell of its decision and of the end of each step. */
async function told(queue: BoundQueue, view: CaseSeen): Promise<readonly CameEvent[]> {
  return until(
    () => {
      const events = queue.of(view.caseNo);
      const ended = view.steps.every(({ no, state }) => lastOf(events, no) === state && ENDED.includes(state));
      return ended && events.some((event) => kindOf(event) === 'case.decided') ? events : undefined;
    },
    60_000,
    `all events of ${view.caseNo}`,
  );
}

const stepOf = ({ data }: CameEvent) => data.step as { no: string; party: string; state: string };
const progress = (events: readonly CameEvent[]) => events.filter((event) => kindOf(event) === 'case.progressed');
const lastOf = (events: readonly CameEvent[], no: string): string | undefined =>
  progress(events)
    .map(stepOf)
    .findLast((step) => step.no === no)?.state;

/** CloudEvents 1.0.2, sections "Type System" and "Context Attributes". */
function isCloudEvent(event: CameEvent): void {
  for (const [name, value] of Object.entries(event)) {
    assert.match(name, /^[a-z0-9]{1,20}$/);
    if (name !== 'data') assert.ok(typeof value === 'string' && value !== '', name);
  }
  assert.equal(event.specversion, '1.0');
  assert.match(event.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+08:00$/);
  assert.ok(URL.canParse(event.dataschema), 'dataschema is an absolute URI');
  assert.equal(event.datacontenttype, 'application/json');
}

/** Every text of a submission that is long enough, or Chinese: none may stand in an event. */
function textsOf(value: Json): readonly string[] {
  if (typeof value === 'string') return value.length >= 7 || /\p{Script=Han}/u.test(value) ? [value] : [];
  return value === null || typeof value !== 'object' ? [] : Object.values(value).flatMap(textsOf);
}

/** `small` stands in `large` in its order. */
function standsIn(small: readonly string[], large: readonly string[]): boolean {
  let at = 0;
  for (const one of large) if (one === small[at]) at += 1;
  return at === small.length;
}

for (const engines of COMBINATIONS.filter(({ bus }) => bus === 'RabbitMQ')) {
  test(`${nameOf(engines)}: every event of a flow comes, in the order of its case, by its contract, and names nobody`, async (t) => {
    const skip = await lacking(engines);
    if (skip !== false) return t.skip(skip);
    const { hall, bind } = await worldOn(t, engines);
    const all = await bind('#');
    const ofTax = await bind('case.*.tax');
    const submissions: JsonObject[] = [houseTransfer(), deedTax(), birth(), flexibleEmployment()];
    const caseNos = await Promise.all(submissions.map((submission) => hall.submit(submission)));
    const views: CaseSeen[] = [];
    for (const caseNo of caseNos) views.push(await hall.ends(caseNo, 60_000));
    await hall.mood('tax', 'refuses');
    const refused = deedTax();
    submissions.push(refused);
    views.push(await hall.ends(await hall.submit(refused)));

    for (const view of views) {
      const events = await told(all, view);
      const kinds = events.map(kindOf);
      assert.equal(kinds[0], 'case.accepted');
      assert.equal(kinds.filter((kind) => kind === 'case.accepted').length, 1);
      const decided = events.filter((event) => kindOf(event) === 'case.decided');
      assert.deepEqual(
        decided.map(({ data }) => [data.outcome, data.by]),
        [[view.decision?.outcome, view.decision?.by]],
      );
      // The window was told of the same by its own lane.
      const heard = hall.notices(view.caseNo).flatMap(({ what, content }) => {
        const { step } = content as { step?: { no: string; state: string } };
        return what === 'case.progress@1' && step !== undefined ? [`${step.no} ${step.state}`] : [];
      });
      const states = progress(events).map((event) => `${stepOf(event).no} ${stepOf(event).state}`);
      assert.ok(heard.length > 0 && standsIn(heard, states), `${states.join(', ')} hold ${heard.join(', ')}`);
      assert.deepEqual(
        [...events.map(({ sequence }) => sequence)].sort(),
        events.map(({ sequence }) => sequence),
      );
      assert.equal(new Set(events.map(({ sequence }) => sequence)).size, events.length);
      const result = (await hall.told(view.caseNo, 'case.result@1')) as { certificates: { identifier: string }[] };
      const issued = events.filter((event) => kindOf(event) === 'certificate.issued');
      assert.deepEqual(
        issued.map(({ data }) => data.identifier).sort(),
        result.certificates.map(({ identifier }) => identifier).sort(),
      );
    }
    assert.ok(all.events.some((event) => kindOf(event) === 'certificate.issued'));

    const [transfer] = views;
    const ended = all.of(transfer?.caseNo ?? '').filter((event) => kindOf(event) === 'certificate.changed');
    assert.equal(ended.length, 1, 'the title that was transferred is told once, though two held it');
    assert.match(String(ended[0]?.data.identifier), /^1\.2\.156\.3005\.2\.11100000MB03271699001\./);

    await hall.lever('real-estate', 'title', {
      certNo: '浙(2026)松阳县不动产权第7654321号',
      state: '02',
      idNo: '331124197203040017',
    });
    const said = await until(() => all.first.find((event) => event.data.caseNo === null));
    assert.deepEqual(said.data, {
      type: '11100000MB03271699001',
      identifier: null,
      caseNo: null,
      stepNo: null,
      party: 'real-estate',
    });

    for (const { fields, properties, content } of all.messages) {
      const event = JSON.parse(content.toString()) as CameEvent;
      isCloudEvent(event);
      assert.deepEqual(contracts.problems(`event.${kindOf(event)}@1`, event.data), [], content.toString());
      assert.equal(event.dataschema, `urn:onewindow:contract:event.${kindOf(event)}@1`);
      assert.equal(event.source, '/onewindow/331124');
      assert.equal(properties.contentType, 'application/cloudevents+json');
      assert.equal(properties.messageId, event.id);
      assert.equal(properties.deliveryMode, 2);
      assert.deepEqual(properties.headers, {});
      assert.ok(fields.routingKey.startsWith(kindOf(event)));
    }
    const wire = all.messages.map(({ content, fields, properties }) => [content.toString(), fields, properties]);
    const text = JSON.stringify(wire);
    const spoken = submissions.flatMap(({ itemCode: _, ...rest }) => textsOf(rest));
    assert.ok(spoken.length > 50);
    assert.deepEqual(
      spoken.filter((one) => text.includes(one)),
      [],
      'of a submission in an event',
    );

    const brief = (events: readonly CameEvent[]) =>
      events.map((event) => [kindOf(event), event.subject, event.data.step ?? null]);
    const onRoute = new Set(
      views.filter(({ steps }) => steps.some(({ party }) => party === 'tax')).map(({ caseNo }) => caseNo),
    );
    const expected = all.first.filter((event) => {
      if (kindOf(event) === 'case.progressed') return stepOf(event).party === 'tax';
      return kindOf(event).startsWith('case.') && onRoute.has(event.subject ?? '');
    });
    assert.ok(expected.length > 5);
    await until(() => ofTax.first.length >= expected.length || undefined);
    // Whoever chose an event by several of its keys has it once.
    assert.deepEqual(brief(ofTax.first), brief(expected), 'of its own steps, and of the cases it has one in');
    assert.equal(ofTax.events.length, ofTax.first.length);
    hall.nobodyInTheLog();
  });
}

const TWO_NODES: Engines = { store: 'PostgreSQL', bus: 'RabbitMQ' };

test('two nodes: every event comes, though each of them is stopped in the middle, the publishing one too', async (t) => {
  const skip = await lacking(TWO_NODES);
  if (skip !== false) return t.skip(skip);
  const { world, hall, bind } = await worldOn(t, TWO_NODES, 300);
  const all = await bind('#');
  const dataDir = await mkdtemp(path.join(tmpdir(), 'onewindow-second-'));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const second = await start({ ...world.settings, dataDir, port: await freePort() }, { log: silent });
  t.after(() => second.stop());
  const other = new Client(second.url, demoApp('window-demo'));
  const submit = (n: number) =>
    Promise.all(
      Array.from({ length: n }, async (_, i) => {
        if (i % 2 === 0) return hall.submit(deedTax());
        const { status, body } = await other.post<CaseSeen>('/v1/cases', deedTax());
        assert.equal(status, 202, JSON.stringify(body));
        return body.caseNo;
      }),
    );
  const calm = await submit(8);
  for (const caseNo of calm) await told(all, await hall.ends(caseNo, 60_000));
  assert.equal(all.events.length, all.first.length, 'each was published by one of them');
  const caseNos = await submit(8);
  await world.restart();
  caseNos.push(...(await submit(4)));
  await second.stop();
  caseNos.push(await hall.submit(deedTax()));
  for (const caseNo of caseNos) {
    const events = await told(all, await hall.ends(caseNo, 60_000));
    const sequences = events.map(({ sequence }) => sequence);
    assert.deepEqual([...sequences].sort(), sequences);
    assert.equal(events.filter((event) => kindOf(event) === 'case.accepted').length, 1);
  }
});

for (const engines of COMBINATIONS.filter(({ store }) => store === 'SQLite')) {
  const left = engines.bus === 'RabbitMQ' ? 'what was published is forgotten' : 'nothing is written for others';
  test(`${nameOf(engines)}: ${left}`, async (t) => {
    const skip = await lacking(engines);
    if (skip !== false) return t.skip(skip);
    const { world, hall, bind } = await worldOn(t, engines);
    const all = engines.bus === 'RabbitMQ' ? await bind('#') : undefined;
    const file = path.join(world.settings.dataDir, 'onewindow.db');
    const view = await hall.ends(await hall.submit(deedTax()));
    if (all !== undefined) await told(all, view);
    await world.gateway.stop();
    assert.equal(written(file), 0);
  });
}

/** Events that wait in a store which nobody has open. */
function written(file: string): number {
  const db = new DatabaseSync(file, { readOnly: true });
  const { n } = db.prepare('select count(*) as n from public_events').get() as { n: number };
  db.close();
  return n;
}

test('left out by the settings: cases go on, nothing is written, and what was written before is still sent', async (t) => {
  const engines: Engines = { store: 'SQLite', bus: 'RabbitMQ' };
  const skip = await lacking(engines);
  if (skip !== false) return t.skip(skip);
  const { world, hall, bind } = await worldOn(t, engines);
  const { settings } = world;
  const file = path.join(settings.dataDir, 'onewindow.db');
  // Without a broker that answers, what is told stays in the store.
  await world.restart({ ...settings, amqpUrl: `amqp://guest:guest@127.0.0.1:${await freePort()}` });
  const before = await hall.submit(deedTax());
  await world.gateway.stop();
  assert.ok(written(file) > 0);
  const all = await bind('#');
  world.gateway = await start({ ...settings, bus: { ...settings.bus, events: false } }, { log: silent });
  const after = await hall.submit(deedTax());
  for (const caseNo of [before, after]) await hall.ends(caseNo, 60_000);
  await until(() => all.of(before).length > 0 || undefined, 60_000, 'what was written before');
  await world.gateway.stop();
  assert.equal(written(file), 0);
  assert.ok(all.of(before).every((event) => kindOf(event) === 'case.accepted' || kindOf(event) === 'case.progressed'));
  assert.deepEqual(all.of(after), []);
});
