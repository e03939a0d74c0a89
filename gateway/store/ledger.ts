import { createHash } from 'node:crypto';
import type { Ledger, LedgerEntry } from '../../contracts/ports/certificate.ts';
import type { StoreParts } from './parts.ts';
import { inserting, prepared } from './prepared.ts';

/**
 * Hash of a ledger row: SM3 over the hash of the row before it (empty for the first), a line feed, and the entry as canonical
 * JSON (its members in alphabetical order). Whoever changes or removes a row breaks every hash after it.
 */
export function chained(before: string, entry: LedgerEntry): string {
  return createHash('sm3')
    .update(`${before}\n${canonical(entry)}`)
    .digest('hex');
}

/** An entry is flat but for its list of field names, so that sorting its own members is enough. */
function canonical(entry: LedgerEntry): string {
  return JSON.stringify(entry, Object.keys(entry).sort());
}

/** The access ledger: only ever added to, the database itself refuses anything else. */
export function makeLedger({ db, group }: Pick<StoreParts, 'db' | 'group'>): Ledger {
  const last = prepared((_: object) => db.selectFrom('ledger').select('hash').orderBy('seq', 'desc').limit(1));
  const insert = inserting(db, 'ledger', ['id', 'case_no', 'holder_hash', 'entry', 'hash']);

  return {
    write: (entries) =>
      group.run(async (tx) => {
        let hash = (await tx.first(last({})))?.hash ?? '';
        const rows = entries.map((entry) => {
          hash = chained(hash, entry);
          return { id: entry.id, case_no: entry.caseNo, holder_hash: entry.holderHash, entry: canonical(entry), hash };
        });
        await tx.write(...insert(rows));
      }),

    /** In the order written; `after` is the id of the last entry already read. */
    async read({ holderHash, caseNo, after, limit }) {
      let query = db.selectFrom('ledger').select(['entry', 'hash']);
      if (holderHash !== undefined) query = query.where('holder_hash', '=', holderHash);
      if (caseNo !== undefined) query = query.where('case_no', '=', caseNo);
      if (after !== undefined) {
        query = query.where('seq', '>', (of) => of.selectFrom('ledger').select('seq').where('id', '=', after));
      }
      const rows = await query.orderBy('seq').limit(limit).execute();
      return rows.map(({ entry, hash }) => ({ ...(JSON.parse(entry) as LedgerEntry), hash }));
    },
  };
}
