import type { Kysely } from 'kysely';
import type { Clock } from '../../contracts/ports/clock.ts';
import type { Logger } from '../../contracts/ports/logger.ts';
import type { CaseChanges } from './case-changes.ts';
import type { CaseBook } from './casebook.ts';
import type { StoreDialect } from './dialect.ts';
import type { Group } from './group.ts';
import type { Tables } from './tables.ts';
import type { UnderWay } from './under-way.ts';

/** What every part of the store is made with. */
export interface StoreParts {
  readonly db: Kysely<Tables>;
  readonly dialect: StoreDialect;
  readonly group: Group;
  readonly book: CaseBook;
  readonly cases: CaseChanges;
  readonly underWay: UnderWay;
  readonly clock: Clock;
  readonly log: Logger;
}
