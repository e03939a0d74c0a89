/**
 * What stands in a store after years: many cases that are finished, with all that was ever written of them, and a few that are under way. It is written by bulk
 * statements that both databases understand, after the store has made its tables.
 */

/** Finished cases of a long history, nine envelopes each. */
export const FINISHED = 40_000;
/** Cases under way beside them, whatever the history. */
const UNDER_WAY = 40;
/** Messages that match nothing. */
const UNMATCHED = 250;
const from = `case when n > 100 then 'office-1' else 'office-' || (n % 10) end`;

/** Of the first case; the others follow. */
const FIRST_CASE_NO = 331_124_250_000_000_000n;
const FIRST_ACCEPTED_AT = 1_750_000_000_000;
/** Between two cases. */
const STEP_MS = 600_000;
/** A time that does not come. */
export const FAR = 9_000_000_000_000_000;
const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
/** Envelopes of a finished case: three to departments, six to the window. */
const LANE = `case when i > 3 then 'window' else 'office-' || ((n + i) % 10) end`;

/** Numbers from one on, as a table `series(n)`: SQLite has no `generate_series`. */
const series = (count: number): string =>
  `with recursive series(n) as (select 1 union all select n + 1 from series where n < ${count})`;
const few = (count: number, name: string): string =>
  `(with recursive f(i) as (select 1 union all select i + 1 from f where i < ${count}) select i from f) as ${name}`;
const caseNo = (offset: string | number = 0): string =>
  `cast(${FIRST_CASE_NO} + ${offset === 0 ? 'n' : `n + ${offset}`} as text)`;
const acceptedAt = (n: string): string => `(${FIRST_ACCEPTED_AT} + cast(${n} as bigint) * ${STEP_MS})`;
const text = (characters: number): string => `'{"x": "${'x'.repeat(characters)}"}'`;

/** The number of the n-th case, from one on. */
export const caseNoOf = (n: number): string => String(FIRST_CASE_NO + BigInt(n));

/** The statements that write it, in order; `finished` may be 0. Every one of a table that grows with the cases is there. */
function historyOf(finished: number): readonly string[] {
  const cases = (count: number, offset: number, state: string, owed: string) => `
    insert into cases (case_no, app_key, application_no, body_hash, query_code, item_code, state, held, messages, events, accepted_at,
        traceparent, submission, certificates, steps, deadlines, decision, owed, owed_due)
    ${series(count)} select ${caseNo(offset)}, case when n % 1000 = 0 then 'kiosk' else 'hall' end, 'F' || (n + ${offset}), '${'a'.repeat(64)}', '123456',
      'item-' || (n % 40), ${state}, 0, 6, 6, ${acceptedAt(`n + ${offset}`)}, '${TRACEPARENT}', ${text(200)}, '[]', '[]', '[]', null, '[]', ${owed}
    from series`;
  const parties = (count: number, offset: number) => `
    insert into case_parties (party, accepted_at, case_no)
    ${series(count)} select case when i = 0 and n % 4000 = 0 then 'rare-office' else 'office-' || ((n + i) % 10) end, ${acceptedAt(`n + ${offset}`)}, ${caseNo(offset)}
    from series cross join ${few(3, 'parties')}`;
  const envelopes = (
    count: number,
    offset: number,
    each: number,
    more: { place: string; wakes: string; due: string },
  ) => `
    insert into envelopes (id, case_no, step_no, lane, contract, body, traceparent, created_at, place, attempts, not_before, fence, wakes_at, in_doubt,
        number, delivered_at, answer_due, asked, updated_at)
    ${series(count)} select ${caseNo(offset)} || '-0' || i, ${caseNo(offset)}, case when i > 3 then null else '0' || i end, ${LANE}, 'office.work@1', ${text(120)},
      '${TRACEPARENT}', ${acceptedAt(`n + ${offset}`)}, ${more.place}, 0, 0, 2, ${more.wakes}, 0, 'N' || (n + ${offset}) || '-' || i, ${acceptedAt(`n + ${offset}`)}, ${more.due}, 0, 0
    from series cross join ${few(each, 'each')}`;

  const history =
    finished === 0
      ? []
      : [
          cases(finished, 0, `case when n % 50 = 0 then 'WITHDRAWN' else 'DECIDED' end`, 'null'),
          parties(finished, 0),
          envelopes(finished, 0, 9, {
            place: `case when i = 3 and n % 50 = 0 then 'cancelled' when i = 3 and n % 20 = 0 then 'refused' end`,
            wakes: 'null',
            due: 'null',
          }),
          `insert into events (case_no, no, event) ${series(finished)} select ${caseNo()}, i, ${text(60)} from series cross join ${few(6, 'each')}`,
          `insert into messages (party, dedupe, received_at, message)
           ${series(finished)} select 'office-' || ((n + i) % 10), 'M' || n || '-' || i, ${acceptedAt('n')}, null from series cross join ${few(3, 'each')}`,
          `insert into ledger (id, case_no, holder_hash, entry, hash, at, phase, officer_id, application_no, item_code, type, source, state, cached)
           ${series(finished)} select 'L' || n || '-' || i, case when n % 3 = 0 then ${caseNo()} end, 'h' || (n % 20000), '{"id": "L' || n || '-' || i || '", "x": "${'x'.repeat(300)}"}', '${'h'.repeat(64)}', ${acceptedAt('n')},
             case when n % 5000 = 0 then 'document' when i % 2 = 1 then 'asked' else 'answered' end, 'W' || (n % 200), case when n % 3 <> 0 then 'F' || n end, 'item-' || (n % 40),
             'type-' || (n % 100), case when i % 2 = 0 then 'office-' || (n % 10) end,
             case when i % 2 = 0 then case when n % 5000 = 1 then 'notPermitted' else 'found' end end, 0
           from series cross join ${few(2, 'each')}`,
          `insert into register (identifier, holder_hash, type, number, state, certificate, issued_at, case_no, step_no)
           ${series(finished)} select 'I' || n, 'h' || (n % 20000), 'type-' || (n % 10), 'N' || n, case when n % 3 = 0 then '04' else '01' end, ${text(200)}, n, ${caseNo()}, '01' from series`,
          `insert into handed_out (sm3, original_sm3, identifier, type, case_no, application_no, at, annotated)
           ${series(finished)} select 'sm3:' || n, 'sm3:' || n, 'I' || n, 'type-1', ${caseNo()}, null, n, 0 from series`,
          `insert into mandates (id, holder_hash, recorded_at, mandate, revoked) ${series(finished)} select 'D' || n, 'h' || n, n, '{}', null from series`,
          `insert into use_codes (code_hash, app_key, expires_at, used_at, ticket) ${series(finished)} select 'U' || n, 'hall', ${FAR} + n, null, '{}' from series`,
          `insert into nonces (forget_at, app_key, nonce) ${series(finished)} select ${FAR} + n % 300, 'hall', 'nonce-of-request-' || n from series`,
          `insert into used_nonces (app_key, nonce, forget_at) ${series(finished)} select 'hall', 'nonce-of-request-' || n, ${FAR} from series`,
          `insert into envelope_values (envelope_id, name, value, at)
           ${series(finished)} select ${caseNo()} || '-01', 'serial', '"000001"', ${acceptedAt('n')} from series`,
          `insert into item_versions (code, version, definition, current_at)
           ${series(Math.ceil(finished / 10))} select 'item-' || (n % 400), 'v' || n, ${text(400)}, n from series`,
          `insert into public_events (event) ${series(finished)} select '{}' from series`,
          `insert into counters (prefix, last) ${series(finished)} select 'P' || n, 9 from series`,
          `insert into claims (what, holder, ends_at) ${series(finished)} select 'c' || n, 'node', ${FAR} from series`,
          `insert into kept (key, value, ends_at) ${series(finished)} select 'k' || n, '{}', ${FAR} from series`,
          `insert into allotments (party, period, taken, latest, ends_at) ${series(finished)} select 'office-1', 'p' || n, 1, 1, ${FAR} from series`,
          `insert into sequences (name, next) ${series(finished)} select 's' || n, 1 from series`,
        ];
  return [
    ...history,
    // Under way: one envelope for each way of standing open, and a few answers, materials and messages that are waited for.
    cases(
      UNDER_WAY,
      finished,
      `case when n % 10 = 0 then 'CORRECTING' else 'HANDLING' end`,
      `case when n % 10 = 1 then ${FAR} end`,
    ),
    parties(UNDER_WAY, finished),
    envelopes(UNDER_WAY, finished, 4, {
      place: `case when i = 1 then null when n % 6 = 0 then 'ready' when n % 6 = 1 then 'asleep' when n % 6 = 2 then 'behind' when n % 6 = 3 then 'held' when n % 6 = 4 then 'leased' when n % 12 = 5 then 'unanswered' else 'parked' end`,
      wakes: `case when i > 1 and n % 6 in (1, 4) then ${FAR} end`,
      due: `case when i = 1 and n % 5 = 0 then ${FAR} end`,
    }),
    // More than are matched at a time, and most of them of one party.
    `insert into messages (party, dedupe, received_at, id, about_key, about_number, message)
     ${series(UNMATCHED)} select ${from}, 'K' || n, n, case when n <> 50 then 'id-' || n end, case when n % 3 = 1 then 'key-' || n end,
       case when n % 3 <> 1 then 'none-' || n end, '{"from": "' || ${from} || '", "about": {"number": "none-' || n || '"}, "dedupe": "K' || n ||
       '", "at": 1, "answer": {"outcome": "done", "result": {}}}' from series`,
    `insert into lanes (lane, paused_by, paused_reason, paused_at, last_delivered_at) ${series(10)} select 'office-' || (n - 1), null, null, null, n from series`,
  ];
}

/** A connection to a database of one test alone, in which the store has made its tables. */
export interface Filled {
  run(statement: string): Promise<void>;
  /** Name and definition of each index that belongs to no constraint. */
  indexes(): Promise<readonly { readonly name: string; readonly definition: string }[]>;
}

/** Writes it in seconds: an index is made faster when all of its rows are there. */
export async function fill(database: Filled, finished: number): Promise<void> {
  const indexes = await database.indexes();
  for (const { name } of indexes) await database.run(`drop index ${name}`);
  for (const statement of historyOf(finished)) await database.run(statement);
  for (const { definition } of indexes) await database.run(definition);
}
