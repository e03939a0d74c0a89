import { describe, test } from 'node:test';
import { COMBINATIONS, lacking, nameOf } from '../support/engines.ts';
import { survived, type Trial, trials } from './trials.ts';

/**
 * Where the store, the bus or a party has just been told, or is about to be: one point of each kind, in the moods that leave most doubt. A lease that is lost
 * with its node runs out only after 13 s where other nodes may have it; so more halls at a time, and fewer points than on the embedded engines.
 */
const telling = ({ point: { port, method, when, nth, party }, mood, story }: Trial): boolean =>
  story === 'three' &&
  ((port === 'store' &&
    ['accept', 'delivered', 'postponed', 'collected'].includes(method) &&
    when !== 'before' &&
    nth < 5) ||
    (port === 'bus' && method === 'publish') ||
    (port === 'adapter' && method === 'deliver' && (party === 'tax' || mood === 'forgetful') && nth < 5) ||
    (port === 'store' && method === 'lease' && when === 'after') ||
    (port === 'store' && method === 'begin'));

/** Between the store's word that a lease is begun and the call of the department. */
const beginning = ({ point: { method } }: Trial): boolean => method === 'begin';

describe('killed with SIGKILL, on other engines', () => {
  for (const engines of COMBINATIONS.slice(1)) {
    const alone = engines.store === 'SQLite';
    // With one of the two embedded, less is new: every third point.
    const some = alone || engines.bus !== 'RabbitMQ' ? 3 : 1;
    test(`${nameOf(engines)}: nothing lost, doubled, out of order or stuck`, { timeout: 900_000 }, async (t) => {
      const skip = await lacking(engines);
      if (skip !== false) return t.skip(skip);
      await survived(
        t,
        trials({ begins: engines.bus === 'RabbitMQ' })
          .filter(telling)
          .filter((one, at) => at % some === 0 || beginning(one)),
        { halls: alone ? 2 : 6, engines },
      );
    });
  }
});
