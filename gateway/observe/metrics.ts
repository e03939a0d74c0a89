import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { BreakerState, Metrics } from '../../contracts/ports/observe.ts';
import type { LaneState } from '../../contracts/ports/store.ts';

export interface MetricsParts {
  readonly clock: Clock;
  /** Read at each scrape. */
  readonly lanes: () => Promise<readonly LaneState[]>;
  /** Item codes that may be labels; anything else is `other`. */
  readonly items: () => ReadonlySet<string>;
}

const BREAKER: Record<BreakerState, number> = { closed: 0, halfOpen: 1, open: 2 };
const FAST = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const SLOW = [0.05, 0.25, 1, 5, 30, 120, 600, 3_600, 21_600, 86_400];

/** Each is there from the start, so that no stranger makes a new series. */
const REFUSED: ReadonlySet<string> = new Set(
  [400, 401, 404, 405, 406, 408, 413, 414, 415, 417, 429, 499, 500, 503].map(String),
);

/** Prometheus metrics on a registry of their own. Labels are parties, items, kinds and routes: a bounded number, and never a personal value. */
export function makeMetrics({ clock, lanes, items }: MetricsParts): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const accepted = new Counter({
    registers,
    name: 'onewindow_cases_accepted_total',
    help: 'Cases accepted',
    labelNames: ['item', 'channel'],
  });
  const delivered = new Histogram({
    registers,
    name: 'onewindow_delivery_seconds',
    help: 'From the making of an envelope to its receipt',
    labelNames: ['party'],
    buckets: SLOW,
  });
  const faults = new Counter({
    registers,
    name: 'onewindow_faults_total',
    help: 'Calls to parties that ended in a fault, by kind',
    labelNames: ['party', 'kind'],
  });
  const calls = new Histogram({
    registers,
    name: 'onewindow_call_seconds',
    help: 'Calls to parties',
    labelNames: ['party', 'group', 'outcome'],
    buckets: FAST,
  });
  const breakers = new Gauge({
    registers,
    name: 'onewindow_breaker_state',
    help: '0 closed, 1 half open, 2 open',
    labelNames: ['party', 'group'],
  });
  const certificates = new Counter({
    registers,
    name: 'onewindow_certificates_total',
    help: 'Certificates asked for, by outcome',
    labelNames: ['type', 'state', 'cached'],
  });
  const messagesEnded = new Counter({
    registers,
    name: 'onewindow_messages_ended_total',
    help: 'Messages of parties that matched no envelope until their time was over',
    labelNames: ['party'],
  });
  const ignored = new Counter({
    registers,
    name: 'onewindow_bus_ignored_total',
    help: 'Messages of the broker that did nothing, by reason',
    labelNames: ['party', 'reason'],
  });
  const http = new Histogram({
    registers,
    name: 'onewindow_http_seconds',
    help: 'Requests by route',
    labelNames: ['method', 'route', 'status'],
    buckets: FAST,
  });
  const refused = new Counter({
    registers,
    name: 'onewindow_http_refused_total',
    help: 'Requests whose caller proved nothing, by status',
    labelNames: ['status'],
  });
  for (const status of [...REFUSED, 'other']) refused.inc({ status }, 0);
  const lane = (name: string, help: string): Gauge<'party'> =>
    new Gauge({ registers, name: `onewindow_lane_${name}`, help, labelNames: ['party'] });
  const waiting = lane('waiting', 'Envelopes that wait');
  const leased = lane('in_flight', 'Envelopes under way');
  const parked = lane('parked', 'Envelopes set aside for a person');
  const unmatched = lane('unmatched', 'Messages that match no envelope yet');
  const age = lane('oldest_seconds', 'Age of the oldest envelope that waits');
  const paused = lane('paused', '1 when the lane is stopped');

  return {
    accepted: (item, channel) => accepted.inc({ item: items().has(item) ? item : 'other', channel }),
    delivered: (party, seconds) => delivered.observe({ party }, seconds),
    fault: (party, kind) => faults.inc({ party, kind }),
    called: (party, group, outcome, seconds) => calls.observe({ party, group, outcome }, seconds),
    breaker: (party, group, state) => breakers.set({ party, group }, BREAKER[state]),
    certificate: (type, state, cached) => certificates.inc({ type, state, cached: String(cached) }),
    messagesEnded: (party, count) => messagesEnded.inc({ party }, count),
    ignored: (party, reason) => ignored.inc({ party, reason }),
    refused: (status) => refused.inc({ status: REFUSED.has(String(status)) ? String(status) : 'other' }),
    http: (method, route, status, seconds) => http.observe({ method, route, status: String(status) }, seconds),
    async render() {
      for (const one of await lanes()) {
        const party = one.lane;
        waiting.set({ party }, one.waiting);
        leased.set({ party }, one.leased);
        parked.set({ party }, one.parked);
        unmatched.set({ party }, one.unmatched);
        age.set({ party }, one.oldestWaiting === null ? 0 : Math.max(0, (clock.now() - one.oldestWaiting) / 1_000));
        paused.set({ party }, one.paused === null ? 0 : 1);
      }
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}
