import type { Insertable } from 'kysely';
import type { LedgerEntry } from '../../contracts/ports/certificate.ts';
import type { Tables } from './tables.ts';

/** The database itself keeps a row this long (网络安全法 art. 21: at least six months). */
export const KEPT_DAYS = 180;

export const COLUMNS = [
  'at',
  'phase',
  'officer_id',
  'case_no',
  'application_no',
  'item_code',
  'type',
  'holder_hash',
  'source',
  'state',
  'cached',
] as const satisfies readonly (keyof Tables['ledger'])[];

type Columns = Pick<Insertable<Tables['ledger']>, (typeof COLUMNS)[number]>;

/** What of an entry is searched and counted by. An entry of the first release has no `cached`. */
export function columnsOf(entry: LedgerEntry): Columns {
  return {
    at: entry.at,
    phase: entry.phase,
    officer_id: entry.officerId,
    case_no: entry.caseNo,
    application_no: entry.applicationNo,
    item_code: entry.itemCode,
    type: entry.type,
    holder_hash: entry.holderHash,
    source: entry.source,
    state: entry.state,
    cached: entry.cached === true ? 1 : 0,
  };
}
