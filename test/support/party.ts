import type { PartyFacts, Terms } from '../../contracts/ports/adapter.ts';
import type { Party } from '../../contracts/ports/envelope.ts';
import type { LogFields, Logger } from '../../contracts/ports/logger.ts';
import type { Metrics } from '../../contracts/ports/observe.ts';

export const TERMS: Terms = {
  idempotent: false,
  concurrency: 2,
  deadlineMs: 1_000,
  quota: null,
  closed: [],
  backoffMs: { first: 100, max: 1_000 },
  breaker: { failures: 3, windowMs: 10_000, openMs: 2_000 },
  askAfterMs: [],
};

export const words = (text: string) => ({ zh: text, en: text });

export function partyFacts(terms: Partial<Terms> = {}, more: Partial<PartyFacts> = {}): PartyFacts {
  return {
    party: 'tea-office',
    title: words('tea office'),
    owner: 'tea office',
    version: '1.0.0',
    terms: { ...TERMS, ...terms },
    delivers: [{ contract: 'tea-office.work@1', result: null, replies: 'later' }],
    queries: [],
    certificates: [],
    documents: [],
    verifies: false,
    takesCallbacks: false,
    ...more,
  };
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: LogFields;
}

/** A log that can be read afterwards. */
export function logInto(lines: LogLine[], own: LogFields = {}): Logger {
  const at =
    (level: LogLine['level']) =>
    (message: string, fields: LogFields = {}) =>
      void lines.push({ level, message, fields: { ...own, ...fields } });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (fields) => logInto(lines, { ...own, ...fields }),
  };
}

/** Metrics that can be read afterwards: one line each, `called deliver done`. */
export function metricsInto(told: string[]): Metrics {
  const tell =
    (name: string) =>
    (...values: readonly unknown[]) =>
      void told.push([name, ...values.filter((value) => typeof value !== 'number')].join(' '));
  return {
    accepted: tell('accepted'),
    delivered: (party: Party) => tell('delivered')(party),
    fault: tell('fault'),
    called: tell('called'),
    breaker: tell('breaker'),
    certificate: tell('certificate'),
    ignored: (party, reason) => void told.push(`ignored ${party} ${reason}`),
    messagesEnded: (party: Party, count: number) => void told.push(`messagesEnded ${party} ${count}`),
    refused: tell('refused'),
    http: tell('http'),
    render: async () => ({ contentType: 'text/plain', text: told.join('\n') }),
  };
}
