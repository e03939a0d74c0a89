import { sql } from 'kysely';

/** A case that goes on. In this one form, so that the index over these rows serves whoever asks for them. */
export const UNDECIDED = sql`state not in ('DECIDED', 'WITHDRAWN')`;
