import { randomBytes, randomUUID } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makePrivateFolder, PRIVATE } from './private-files.ts';

/**
 * The key under which the access ledger hashes its holders: 64 hex digits in `<dataDir>/holder-hash.key`, readable by the owner
 * only, made at the first start. With another key nobody's entries would be found again, so it is never made twice.
 *
 * @throws Error when the folder or file cannot be used, or the file holds something else
 */
export async function holderHashKey(dataDir: string): Promise<string> {
  makePrivateFolder(dataDir);
  const file = path.join(dataDir, 'holder-hash.key');
  const kept = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  const key = (kept ?? (await made(file))).trim();
  if (!/^[0-9a-f]{64}$/.test(key)) throw new Error(`${file} does not hold 64 hex digits; restore it from a backup`);
  return key;
}

/** Written whole beside it and then linked: neither a crash nor two gateways starting at once leave half a key or two keys. */
async function made(file: string): Promise<string> {
  const draft = `${file}.${randomUUID()}`;
  await writeFile(draft, `${randomBytes(32).toString('hex')}\n`, { mode: PRIVATE.file, flush: true });
  try {
    await link(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(draft);
  }
  return readFile(file, 'utf8');
}
