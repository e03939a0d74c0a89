import { type TlsFiles, TlsFilesError, type TlsFilesParts, WatchedTlsFiles } from '../contracts/tls-files.ts';
import { SettingsError } from './load.ts';

/** The files that settings name, read and watched; undefined where they name none. @throws SettingsError with every mistake of the files */
export function openTlsFiles(files: TlsFiles | undefined, parts: TlsFilesParts): WatchedTlsFiles | undefined {
  if (files === undefined) return undefined;
  try {
    return new WatchedTlsFiles(files, parts);
  } catch (error) {
    throw error instanceof TlsFilesError ? new SettingsError(error.mistakes) : error;
  }
}
