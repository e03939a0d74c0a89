import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { JsonObject, Words } from '../../contracts/ports/envelope.ts';
import { type CaseSeen, Follower } from '../support/follow.ts';
import { birth } from '../support/submissions.ts';
import { startWorld, type World } from '../support/world.ts';

describe('an item with running cases cannot vanish or change under them', () => {
  let world: World;
  let hall: Follower;
  let place: string;
  const folders = () => ({ ...world.settings.folders });

  before(async () => {
    place = await mkdtemp(path.join(tmpdir(), 'onewindow-items-'));
    world = await startWorld();
    hall = new Follower(world);
  });
  after(async () => {
    await world.stop();
    await rm(place, { recursive: true, force: true });
  });

  /** The shipped items, changed by hand. */
  async function items(change: (folder: string) => Promise<void>): Promise<string> {
    const folder = await mkdtemp(path.join(place, 'items-'));
    await cp(folders().items, folder, { recursive: true });
    await change(folder);
    return folder;
  }
  const restartedWith = (folder: string) =>
    world.restart({ ...world.settings, folders: { ...folders(), items: folder } });
  /** Nothing is sent to this office: what is submitted now is under way until it goes on. */
  const pause = (party: string) => world.operator.post(`/v1/departments/${party}/pause`, { reason: 'trial' });
  const resume = (party: string) => world.operator.post(`/v1/departments/${party}/resume`, {});

  test('an item that was taken out: its case ends as it began, new cases are refused, and the start says so', async () => {
    await pause('public-security');
    const caseNo = await hall.submit(birth());
    await restartedWith(await items((folder) => rm(path.join(folder, 'birth'), { recursive: true })));
    const told = world.log.filter(({ message }) => message === 'cases go on under an earlier version of their item');
    assert.deepEqual(
      told.map(({ level, fields: { item, current, cases } }) => [level, item, current, cases]),
      [['warn', '11331124QA0000049U433070900200101', null, 1]],
    );
    const refused = await world.window.post<{ problems: { code: string }[] }>('/v1/cases', birth());
    assert.equal(refused.status, 422);
    assert.deepEqual(
      refused.body.problems.map(({ code }) => code),
      ['itemUnknown'],
    );
    assert.equal(((await hall.look(caseNo)) as CaseSeen & { itemTitle: Words }).itemTitle.en, 'Birth registration');
    await resume('public-security');
    const { decision, steps } = await hall.ends(caseNo);
    assert.equal(decision?.outcome, 'approved');
    assert.deepEqual(
      steps.map(({ state }) => state),
      ['DONE', 'DONE', 'DONE'],
    );
    await restartedWith(folders().items);
  });

  test('an item that was changed: a running case keeps its route and its mappings, a new one has the new', async () => {
    await pause('public-security');
    const old = await hall.submit(birth());
    await restartedWith(
      await items(async (folder) => {
        const own = path.join(folder, 'birth', 'item.json');
        const item = JSON.parse(await readFile(own, 'utf8')) as { route: JsonObject[] };
        item.route = item.route.slice(0, 2);
        await writeFile(own, JSON.stringify(item));
        await rm(path.join(folder, 'birth', '03-card.jsonata'));
        const sample = path.join(folder, 'birth', 'samples', 'case.json');
        const { results, ...rest } = JSON.parse(await readFile(sample, 'utf8')) as { results: JsonObject };
        delete results['03'];
        await writeFile(sample, JSON.stringify({ ...rest, results }));
      }),
    );
    await resume('public-security');
    const next = await hall.submit(birth());
    const states = async (caseNo: string) => (await hall.ends(caseNo)).steps.map(({ no, state }) => `${no} ${state}`);
    assert.deepEqual(await states(old), ['01 DONE', '02 DONE', '03 DONE']);
    assert.deepEqual(await states(next), ['01 DONE', '02 DONE']);
    assert.deepEqual(hall.filed('social-security', old), [`${old}-03`]);
    await restartedWith(folders().items);
    hall.rang();
  });
});
