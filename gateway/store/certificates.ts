import type { Selectable } from 'kysely';
import type {
  Certificate,
  CertificateState,
  HandedOutFiles,
  IssuedCertificate,
  Mandate,
  Mandates,
  Register,
  UseTickets,
} from '../../contracts/ports/certificate.ts';
import type { Millis } from '../../contracts/ports/envelope.ts';
import { VALID } from './casebook.ts';
import type { StoreParts } from './parts.ts';
import { inserting, prepared } from './prepared.ts';
import type { Tables } from './tables.ts';

/** A use code that ended is remembered this long, so that it is refused for the right reason. */
const REMEMBERED_MS = 86_400_000;
/** Codes forgotten at a time: more than are issued at a time. */
const MOST_FORGOTTEN = 500;
/** Rows of one certificate or one holder and type that are looked at; the newest. */
const MOST_ISSUED = 100;

/** Stands in the register where a state of GB/T 36903 would: its keeper has spoken of it since, and is asked himself. */
const SPOKEN_OF = 'spokenOf';

/** What the certificate service has to remember: what our cases issued, consents, use codes, and the files handed out. */
export function makeCertificateStore({
  db,
  dialect,
  group,
}: Pick<StoreParts, 'db' | 'dialect' | 'group'>): Mandates & Register & UseTickets & HandedOutFiles {
  const byHolder = prepared((p: { holderHash: string; type: string }) =>
    db
      .selectFrom('register')
      .selectAll()
      .where('holder_hash', '=', p.holderHash)
      .where('type', '=', p.type)
      .where('state', '!=', SPOKEN_OF)
      .orderBy('seq', 'desc')
      .limit(MOST_ISSUED),
  );
  const byNumber = prepared((p: { type: string; number: string }) =>
    db
      .selectFrom('register')
      .selectAll()
      .where('type', '=', p.type)
      .where('number', '=', p.number)
      .where('state', '!=', SPOKEN_OF)
      .orderBy('seq', 'desc')
      .limit(MOST_ISSUED),
  );
  const byIdentifier = prepared((p: { identifier: string }) =>
    db
      .selectFrom('register')
      .selectAll()
      .where('identifier', '=', p.identifier)
      .where('state', '!=', SPOKEN_OF)
      .limit(MOST_ISSUED),
  );
  const ticketOf = prepared((p: { codeHash: string }) =>
    db.selectFrom('use_codes').selectAll().where('code_hash', '=', p.codeHash),
  );
  const use = prepared((p: { codeHash: string; now: Millis }) =>
    db
      .updateTable('use_codes')
      .set({ used_at: p.now })
      .where('code_hash', '=', p.codeHash)
      .where('used_at', 'is', null),
  );
  const unuse = prepared((p: { codeHash: string }) =>
    db.updateTable('use_codes').set({ used_at: null }).where('code_hash', '=', p.codeHash),
  );
  const forget = prepared((p: { before: Millis }) =>
    db
      .deleteFrom('use_codes')
      .where('code_hash', 'in', (from) =>
        from
          .selectFrom('use_codes')
          .select('code_hash')
          .where('expires_at', '<', p.before)
          .orderBy('expires_at')
          .limit(MOST_FORGOTTEN),
      ),
  );
  const insertTickets = inserting(db, dialect, {
    into: 'use_codes',
    columns: ['code_hash', 'app_key', 'expires_at', 'ticket'],
  });

  return {
    async issuedTo(holderHash, type) {
      return (await db.executeQuery(byHolder({ holderHash, type }))).rows.map(issued);
    },

    async issuedAs(claim) {
      const query = 'identifier' in claim ? byIdentifier(claim) : byNumber(claim);
      return (await db.executeQuery(query)).rows.map(issued);
    },

    spokenOf: (stale) =>
      group.run(async (tx) => {
        const update = db.updateTable('register').set({ state: SPOKEN_OF }).where('state', '=', VALID);
        await tx.write(
          ('identifier' in stale
            ? update.where('identifier', '=', stale.identifier)
            : update.where('holder_hash', '=', stale.holderHash).where('type', '=', stale.type)
          ).compile(),
        );
      }),

    record: (mandate) =>
      group.run(async (tx) => {
        const { id, holderHash, from } = mandate;
        const row = { id, holder_hash: holderHash, recorded_at: from, mandate: JSON.stringify(mandate), revoked: null };
        await tx.write(db.insertInto('mandates').values(row).compile());
      }),

    async mandate(id) {
      const row = await db
        .selectFrom('mandates')
        .select(['mandate', 'revoked'])
        .where('id', '=', id)
        .executeTakeFirst();
      if (row === undefined) return undefined;
      const revoked: Mandate['revoked'] = row.revoked === null ? null : JSON.parse(row.revoked);
      return { ...(JSON.parse(row.mandate) as Mandate), revoked };
    },

    revoke: (id, revoked) =>
      group.run(async (tx) => {
        const update = db
          .updateTable('mandates')
          .set({ revoked: JSON.stringify(revoked) })
          .where('id', '=', id)
          .where('revoked', 'is', null);
        return (await tx.write(update.compile())) === 1;
      }),

    issue: (tickets, now) =>
      group.run(async (tx) => {
        // They hold a name and a number: none outlives its time by more than it is remembered, also where no code is ever redeemed.
        await tx.write(forget({ before: now - REMEMBERED_MS }));
        await tx.write(
          ...insertTickets(
            tickets.map(({ codeHash, appKey, expiresAt, ticket }) => ({
              code_hash: codeHash,
              app_key: appKey,
              expires_at: expiresAt,
              ticket: JSON.stringify(ticket),
            })),
          ),
        );
      }),

    redeem: (codeHash, appKey, now) =>
      group.run(async (tx) => {
        await tx.write(forget({ before: now - REMEMBERED_MS }));
        const row = await tx.first(ticketOf({ codeHash }));
        if (row === undefined) return { refused: 'unknown' };
        const ticket = { codeHash, appKey: row.app_key, expiresAt: row.expires_at, ticket: JSON.parse(row.ticket) };
        if (row.app_key !== appKey) return { refused: 'notYours', ticket };
        if (row.used_at !== null) return { refused: 'used', ticket };
        if (row.expires_at <= now) return { refused: 'expired', ticket };
        // Decided by the write: of two at once, one finds it used.
        if ((await tx.write(use({ codeHash, now }))) === 0) return { refused: 'used', ticket };
        return { refused: null, ticket };
      }),

    giveBack: (codeHash) =>
      group.run(async (tx) => {
        await tx.write(unuse({ codeHash }));
      }),

    handedOut: ({ sm3, originalSm3, identifier, type, number, validTo, caseNo, applicationNo, at, annotated }) =>
      group.run(async (tx) => {
        const insert = db
          .insertInto('handed_out')
          .values({
            sm3,
            original_sm3: originalSm3,
            identifier,
            type,
            case_no: caseNo,
            application_no: applicationNo,
            at,
            annotated: annotated ? 1 : 0,
            number,
            valid_to: validTo,
          })
          .onConflict((key) => key.column('sm3').doNothing());
        await tx.write(insert.compile());
      }),

    async handedOutAs(sm3) {
      const row = await db.selectFrom('handed_out').selectAll().where('sm3', '=', sm3).executeTakeFirst();
      if (row === undefined) return undefined;
      const { original_sm3: originalSm3, identifier, type, case_no: caseNo, at } = row;
      const { application_no: applicationNo, number, valid_to: validTo } = row;
      const annotated = row.annotated === 1;
      return { sm3, originalSm3, identifier, type, number, validTo, caseNo, applicationNo, at, annotated };
    },
  };
}

function issued(row: Selectable<Tables['register']>): IssuedCertificate {
  const certificate = JSON.parse(row.certificate) as Certificate;
  return {
    certificate: { ...certificate, state: row.state as CertificateState },
    holderHash: row.holder_hash,
    issuedAt: row.issued_at,
    caseNo: row.case_no,
    stepNo: row.step_no,
  };
}
