import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const file = () => import.meta.resolve('@expo-google-fonts/noto-sans-sc/400Regular/NotoSansSC_400Regular.ttf');
let bytes: Promise<Uint8Array> | undefined;

/** Noto Sans SC Regular, with TrueType outlines for some 30,000 characters: 10 MB, read once a thread, when it is first needed. */
export function chineseFont(): Promise<Uint8Array> {
  bytes ??= readFile(fileURLToPath(file())).catch((error: unknown) => {
    // The next one tries again.
    bytes = undefined;
    throw error;
  });
  return bytes;
}
