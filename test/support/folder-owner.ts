/** A process that claims a folder, puts a file into it, says where, and then lives until it is killed. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { claimFolder } from '../../gateway/certificates/documents/process-folder.ts';

const { folder } = await claimFolder(process.argv[2] ?? '');
const file = path.join(folder, 'document');
await writeFile(file, 'of somebody');
process.send?.(file);
// Its parent's channel keeps it alive, and its end ends it.
process.once('disconnect', () => process.exit(0));
