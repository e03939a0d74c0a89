import { createHash } from 'node:crypto';
import type { Json } from '../../contracts/ports/envelope.ts';

/** The same JSON whatever the order of its keys. */
function canonical(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key] as Json)}`);
  return `{${members.join(',')}}`;
}

/** Lower-case hex SHA-256 of the canonical form: two submissions are the same exactly when their hashes are. */
export function bodyHash(value: Json): string {
  return createHash('sha256').update(canonical(value)).digest('hex');
}
