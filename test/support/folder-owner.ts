/** A process that claims a folder, puts a file into it, says where, forgets all of it, and then lives until it is killed. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { claimFolder } from '../../gateway/certificates/documents/process-folder.ts';

const { folder } = await claimFolder(process.argv[2] ?? '');
const file = path.join(folder, 'document');
await writeFile(file, 'of somebody');
process.send?.(file);
process.on('message', async () => {
  // Finalizers run in a later turn.
  for (let turn = 0; turn < 5; turn += 1) {
    globalThis.gc?.();
    await new Promise(setImmediate);
  }
  process.send?.('collected');
});
// Its parent's channel keeps it alive, and its end ends it.
process.once('disconnect', () => process.exit(0));
