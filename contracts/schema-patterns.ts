import type { Json } from './ports/envelope.ts';

/** A regular expression of a JSON Schema, and where it stands (RFC 6901). */
export interface SchemaPattern {
  readonly pointer: string;
  readonly pattern: string;
}

/** Their members are schemas by names that are nobody's keywords. */
const BY_NAME: ReadonlySet<string> = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
]);
/** Values, not schemas. */
const VALUES: ReadonlySet<string> = new Set(['const', 'enum', 'default', 'examples']);

/** Every regular expression in a schema: of `pattern` and of the names of `patternProperties`, also where ajv would come to it only later. */
export function patternsOf(schema: Json, pointer = ''): readonly SchemaPattern[] {
  if (schema === null || typeof schema !== 'object') return [];
  if (Array.isArray(schema)) return schema.flatMap((one, at) => patternsOf(one, `${pointer}/${at}`));
  return Object.entries(schema).flatMap(([keyword, value]) => {
    const place = `${pointer}/${keyword}`;
    if (VALUES.has(keyword)) return [];
    if (keyword === 'pattern') return typeof value === 'string' ? [{ pointer: place, pattern: value }] : [];
    if (!BY_NAME.has(keyword) || value === null || typeof value !== 'object') return patternsOf(value, place);
    const members = Object.entries(value);
    const named = keyword === 'patternProperties' ? members.map(([pattern]) => ({ pointer: place, pattern })) : [];
    return [...named, ...members.flatMap(([name, one]) => patternsOf(one, `${place}/${escaped(name)}`))];
  });
}

const escaped = (step: string): string => step.replaceAll('~', '~0').replaceAll('/', '~1');
