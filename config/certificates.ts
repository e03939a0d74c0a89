import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileSchema } from '../contracts/compile.ts';
import type { Json } from '../contracts/ports/envelope.ts';
import type { CertificateType, CertificateTypes } from '../contracts/ports/item.ts';
import schema from './certificates.schema.json' with { type: 'json' };
import { CatalogueError } from './items.ts';

const SHIPPED = path.join(path.dirname(fileURLToPath(import.meta.url)), 'certificates.json');
const check = compileSchema(schema as Json, { names: 'shown' });

/**
 * The types of certificates there are, whoever keeps them: codes of GB/T 36904, titles, fields, and how long a copy is fresh.
 * @throws CatalogueError with every mistake of the file
 */
export async function loadCertificateTypes(file: string = SHIPPED): Promise<CertificateTypes> {
  const name = path.basename(file);
  let json: Json;
  try {
    json = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new CatalogueError([
      `${name}: ${error instanceof SyntaxError ? `not JSON: ${error.message}` : 'cannot be read'}`,
    ]);
  }
  const mistakes = check(json).map(({ pointer, en }) => `${name} ${pointer}: ${en}`);
  if (mistakes.length > 0) throw new CatalogueError(mistakes);
  const { types: list } = json as unknown as { readonly types: readonly CertificateType[] };
  const types = new Map<string, CertificateType>();
  for (const [at, type] of list.entries()) {
    if (types.has(type.code)) mistakes.push(`${name} /types/${at}/code: this type stands twice`);
    types.set(type.code, type);
  }
  if (mistakes.length > 0) throw new CatalogueError(mistakes);
  return { get: (code) => types.get(code), list: () => list };
}
