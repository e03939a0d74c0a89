import { createHash } from 'node:crypto';
import { canonicalJson } from '../../contracts/canonical.ts';
import type { Json } from '../../contracts/ports/envelope.ts';

/** Lower-case hex SHA-256 of the canonical form: two submissions are the same exactly when their hashes are. */
export function bodyHash(value: Json): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}
