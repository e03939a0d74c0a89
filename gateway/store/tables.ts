import type { Generated } from 'kysely';

/**
 * Where an envelope stands in its lane. The first four are what the outside calls `waiting`.
 *
 *   ready      next in line, and due
 *   asleep     next in line, not due before `not_before`; woken by time (`wakes_at`)
 *   behind     an earlier envelope of the same case and lane has not ended
 *   held       a person holds its case
 *   leased     somebody works on it until `wakes_at`
 *   parked     set aside for a person
 *   unanswered it was delivered, and its answer could not be collected: for a person, and in nobody's way
 *   refused, cancelled   ended without being delivered
 *   null       delivered. Null, so that the lane's partial index keeps only what is not, and stays small for ever
 */
export type Place =
  | 'ready'
  | 'asleep'
  | 'behind'
  | 'held'
  | 'leased'
  | 'parked'
  | 'unanswered'
  | 'refused'
  | 'cancelled';

/** Columns ending in `_at`, `_due`, `_before` are `Millis`; 0 and 1 are the truth values; `json` texts are as the ports say. */
export interface Tables {
  cases: {
    seq: Generated<number>;
    case_no: string;
    app_key: string;
    application_no: string;
    body_hash: string;
    query_code: string;
    item_code: string;
    state: string;
    held: number;
    /** By whom, why and since when it is held: JSON. */
    hold: string | null;
    /** How many messages to the window there were. */
    messages: number;
    /** How many events there were; the next one's number is one more. */
    events: number;
    accepted_at: number;
    traceparent: string;
    submission: string;
    certificates: string;
    steps: string;
    /** [promisedBy, statutoryBy] */
    deadlines: string;
    decision: string | null;
    owed: Generated<string>;
    /** When what it owes is tried again; null when it owes nothing. */
    owed_due: number | null;
    owed_asked: Generated<number>;
    /** Of its item; null where an earlier program accepted it. */
    item_version: string | null;
  };
  /** A case once for each party of its steps: what a department sees, newest first. */
  case_parties: {
    party: string;
    accepted_at: number;
    case_no: string;
  };
  envelopes: {
    /** Order of arrival: the age that `lease` goes by. */
    seq: Generated<number>;
    id: string;
    case_no: string;
    step_no: string | null;
    lane: string;
    contract: string;
    body: string;
    traceparent: string;
    created_at: number;
    place: Place | null;
    attempts: number;
    not_before: number;
    /** One more with every lease, and with every word that ends one: equal means nobody has had it since. */
    fence: number;
    /** End of the sleep or of the lease. */
    wakes_at: number | null;
    in_doubt: number;
    /** Since when. */
    doubted_at: number | null;
    /** The fence under which that was written down; another than `fence`, or null: by a program that knows neither, or somebody has it now. */
    doubted_fence: number | null;
    /** The fence of a lease under which nobody has begun to send; another than `fence`, or null: somebody may have. */
    unbegun_fence: number | null;
    /** Begin of the first lease under which it may have been sent. */
    first_sent_at: number | null;
    fault: string | null;
    reason: string | null;
    number: string | null;
    delivered_at: number | null;
    answer_due: number | null;
    /** How often its answer was asked for. */
    asked: number;
    updated_at: number;
  };
  events: { case_no: string; no: number; event: string };
  lanes: {
    lane: string;
    paused_by: string | null;
    paused_reason: string | null;
    paused_at: number | null;
    last_delivered_at: number | null;
    /** Since when its party does not answer, and why: what was told once. */
    away_since: number | null;
    away_reason: string | null;
  };
  /** What parties said later: every name seen; the message itself only while it matches nothing. */
  messages: {
    party: string;
    dedupe: string;
    received_at: number;
    message: string | null;
    /** Of a message that was kept; null where a program of before kept it, until it is filled in. */
    id: string | null;
    /** Which envelope it says that it is about: one of both. */
    about_key: string | null;
    about_number: string | null;
    /** Why it could not be used the last time: JSON. */
    problem: string | null;
    /** How a person ended it: JSON. Null with a `message` that is null: it was used. */
    ended: string | null;
  };
  counters: { prefix: string; last: number };
  ledger: {
    seq: Generated<number>;
    id: string;
    at: number;
    phase: string;
    officer_id: string;
    case_no: string | null;
    application_no: string | null;
    item_code: string;
    type: string;
    holder_hash: string;
    source: string | null;
    state: string | null;
    cached: number;
    /** All of it, and what the hash is over; the columns before it repeat what is searched and counted by. */
    entry: string;
    hash: string;
  };
  /** One row: the hash that the first row of the ledger follows, which is that of the last one deleted, or empty. Locked while rows are added. */
  ledger_anchor: {
    id: number;
    hash: string;
    /** Days that a row is kept at least: where roles are told apart, written by the owner of the tables alone. */
    kept_days: Generated<number>;
    /** Says nothing: who may change it may lock the row, and change nothing else of it. */
    locked: number | null;
  };
  /** What our own cases made; the state is the column's. */
  register: {
    seq: Generated<number>;
    identifier: string;
    holder_hash: string;
    type: string;
    number: string | null;
    state: string;
    certificate: string;
    issued_at: number;
    case_no: string;
    step_no: string;
  };
  mandates: { id: string; holder_hash: string; recorded_at: number; mandate: string; revoked: string | null };
  use_codes: { code_hash: string; app_key: string; expires_at: number; used_at: number | null; ticket: string };
  handed_out: {
    sm3: string;
    original_sm3: string;
    identifier: string | null;
    type: string;
    case_no: string | null;
    application_no: string | null;
    at: number;
    annotated: number;
    number: string | null;
    valid_to: string | null;
  };
  nonces: { forget_at: number; app_key: string; nonce: string };
  /** Where several nodes share the database. */
  used_nonces: { app_key: string; nonce: string; forget_at: number };
  /** `latest`: how many the last taking got. The rows of this and the next two are forgotten some time after `ends_at`. */
  allotments: { party: string; period: string; taken: number; latest: number; ends_at: number };
  claims: { what: string; holder: string; ends_at: number };
  kept: { key: string; value: string; ends_at: number };
  sequences: { name: string; next: number };
  /** What an envelope is sent with each time, fixed before the first; `value` is JSON. */
  envelope_values: { envelope_id: string; name: string; value: string; at: number };
  /** `current_at`: when a node last began with it as the current one. */
  item_versions: { code: string; version: string; definition: string; current_at: number };
  /** Events for others that are not published yet. */
  public_events: { seq: Generated<number>; event: string };
}
