import { sql } from 'kysely';
import type { Millis } from '../../contracts/ports/envelope.ts';
import type { DeliveryStore, Lease, LeaseName } from '../../contracts/ports/store.ts';
import type { BetweenNodes } from './dialect.ts';
import type { Many } from './group.ts';
import { leaseOf } from './lease.ts';
import type { StoreParts } from './parts.ts';
import { compilable, prepared, textOf } from './prepared.ts';
import { type CaseRow, type EnvelopeRow, mayNotBeSent } from './rows.ts';

type Begun = EnvelopeRow & Pick<CaseRow, 'steps' | 'decision' | 'deadlines'>;
type Begin = Many<LeaseName, Lease | undefined>;

const NAME = ['lane', 'id', 'fence'] as const;
/** What a lease tells of its case. */
const OF_CASE = ['steps', 'decision', 'deadlines'] as const;

/**
 * The names come from where others may write, and each is only a question: the statement that marks a lease as begun holds the name against the row itself. All that
 * are asked for together are one transaction; and one statement, where a statement is a way to a server and back.
 */
export function makeBegin({ db, dialect, group, clock }: StoreParts): Pick<DeliveryStore, 'begin'> {
  const begin = dialect.between === undefined ? oneByOne() : together(dialect.between);
  return { begin: (name) => group.together(begin, name) };

  function oneByOne(): Begin {
    const one = prepared((p: LeaseName & { now: Millis }) =>
      compilable(
        db,
        sql<Begun>`update envelopes set unbegun_fence = null
                   where id = ${p.id} and lane = ${p.lane} and fence = ${p.fence} and ${unbegun(p.now)}
                   returning *, ${sql.join(OF_CASE.map((column) => sql`(select ${sql.ref(column)} from cases where cases.case_no = envelopes.case_no) as ${sql.ref(column)}`))}`,
      ),
    );
    return async (tx, names) => {
      const now = clock.now();
      const rows = await Promise.all(names.map((name) => tx.first(one({ ...name, now }))));
      return rows.map((row) => row && begun(row));
    };
  }

  function together({ rowsFrom }: BetweenNodes): Begin {
    const all = prepared((p: { names: string; now: Millis }) =>
      compilable(
        db,
        sql<Begun>`update envelopes set unbegun_fence = null
                   from ${rowsFrom('envelopes', p.names)} as named, cases
                   where envelopes.id = named.id and envelopes.lane = named.lane and envelopes.fence = named.fence and ${unbegun(p.now)}
                     and cases.case_no = envelopes.case_no
                   returning envelopes.*, ${sql.join(OF_CASE.map((column) => sql.ref(`cases.${column}`)))}`,
      ),
    );
    return async (tx, names) => {
      const rows = await tx.rows(all({ names: textOf(NAME, names), now: clock.now() }));
      const leases = new Map(rows.map((row) => [row.id, begun(row)]));
      // Named twice among those that came together: the first has it.
      return names.map(({ id, lane, fence }) => {
        const lease = leases.get(id);
        if (lease?.envelope.to !== lane || lease.fence !== fence) return undefined;
        leases.delete(id);
        return lease;
      });
    };
  }
}

/** In one piece, so that a row is found by its name alone, and not among all that are leased. */
const unbegun = (now: unknown) => sql`case when envelopes.place = 'leased'
                                      then envelopes.unbegun_fence = envelopes.fence and envelopes.wakes_at > ${now} end`;

function begun(row: Begun): Lease {
  const [, statutoryBy] = JSON.parse(row.deadlines);
  const standing = { steps: JSON.parse(row.steps), decision: row.decision === null ? null : JSON.parse(row.decision) };
  return leaseOf(row, statutoryBy.at, mayNotBeSent(standing, row));
}
