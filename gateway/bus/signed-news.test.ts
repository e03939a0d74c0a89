import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { News } from '../../contracts/ports/news.ts';
import { HandClock } from '../../test/support/hand-clock.ts';
import { type LogLine, logInto } from '../../test/support/party.ts';
import { nodeNews } from './news.ts';
import { signedNews } from './signed-news.ts';

const KEY = 'a1'.repeat(32);
const OPENED: News = { kind: 'breakerOpened', body: { party: 'tax', node: 'one', group: 'deliver', until: 9 } };

/** Two nodes on a carrier on which everybody may speak. */
function nodes() {
  const clock = new HandClock();
  const lines: LogLine[] = [];
  const carrier = nodeNews();
  const carried: News[] = [];
  carrier.hear((news) => void carried.push(news));
  const node = (key = KEY) => {
    const news = signedNews({ carrier, key, clock, log: logInto(lines) });
    const heard: News[] = [];
    news.hear((one) => void heard.push(one));
    return { news, heard };
  };
  return { clock, lines, carrier, carried, node };
}

test('what a node tells every node hears once, and nothing of the signature; whoever has stopped does not', async () => {
  const { node, carried } = nodes();
  const [one, two] = [node(), node()];
  const late: News[] = [];
  const stop = two.news.hear((news) => void late.push(news));
  stop();
  await one.news.announce(OPENED);
  assert.deepEqual([one.heard, two.heard, late], [[OPENED], [OPENED], []]);
  // As nodes of the version before read it.
  assert.deepEqual({ ...carried[0]?.body, signature: undefined }, { ...OPENED.body, signature: undefined });
  two.news.close();
  await one.news.announce(OPENED);
  assert.equal(two.heard.length, 1);
});

test('forged breaker state stopped a lane: unsigned, under another key, changed, or signed for something else', async () => {
  const { carrier, carried, node, lines } = nodes();
  const one = node();
  const stranger = node('b2'.repeat(32));
  await stranger.news.announce(OPENED);
  await one.news.announce({ kind: 'breakerClosed', body: OPENED.body });
  one.heard.length = 0;
  const signature = (carried.at(-1) ?? assert.fail()).body.signature as JsonObject;
  let deep: JsonObject = {};
  for (let n = 0; n < 50_000; n += 1) deep = { deep };
  const bodies: JsonObject[] = [
    OPENED.body,
    { ...OPENED.body, signature },
    { ...OPENED.body, signature: { ...signature, id: 'another' } },
    { ...OPENED.body, signature: { ...signature, at: 1 } },
    { ...OPENED.body, signature: { ...signature, mac: '' } },
    { ...OPENED.body, signature: [signature] },
    { ...OPENED.body, signature: null },
    { ...OPENED.body, signature: 'yes' },
    { deep, signature },
  ];
  for (const body of bodies) await carrier.announce({ kind: 'breakerOpened', body });
  assert.deepEqual(one.heard, []);
  assert.ok(lines.every(({ level }) => level === 'warn'));
  assert.ok(!JSON.stringify(lines).includes('deliver'), 'nothing of it is told');
});

test('told again it is not heard again, and what is old, or of a time to come, not at all', async () => {
  const { clock, carrier, carried, node } = nodes();
  const [one, two] = [node(), node()];
  await one.news.announce(OPENED);
  const told = carried[0] ?? assert.fail();
  await carrier.announce(told);
  assert.equal(two.heard.length, 1);
  const early = node();
  clock.move(60_000);
  await carrier.announce(told);
  assert.equal(early.heard.length, 1, 'still of this minute, to whom has not heard it');
  const late = node();
  clock.move(1);
  await carrier.announce(told);
  assert.deepEqual(late.heard, []);
  clock.move(-120_002);
  await carrier.announce(told);
  assert.deepEqual(late.heard, []);
});
