import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { Clock } from './ports/clock.ts';
import type { Logger } from './ports/logger.ts';

/** Absolute paths of PEM files. */
export interface TlsFiles {
  /** A certificate, and those that lead to its issuer. */
  readonly cert?: string | undefined;
  /** Its private key. */
  readonly key?: string | undefined;
  /** Certificates of those who may issue the other side's. */
  readonly ca?: string | undefined;
}

/** What stands in them. */
export interface TlsContents {
  readonly cert?: string;
  readonly key?: string;
  readonly ca?: string;
}

export interface TlsFilesProblem {
  readonly file: keyof TlsFiles;
  readonly zh: string;
  readonly en: string;
}

/** Everything that is wrong with the files at once; `mistakes` has one plain line each: `tls.key: …`. Never what stands in them. */
export class TlsFilesError extends Error {
  readonly problems: readonly TlsFilesProblem[];
  readonly mistakes: readonly string[];

  constructor(place: string, problems: readonly TlsFilesProblem[]) {
    const mistakes = problems.map(({ file, zh, en }) => `${place}.${file}: ${zh} / ${en}`);
    super(mistakes.join('\n'));
    this.name = 'TlsFilesError';
    this.problems = problems;
    this.mistakes = mistakes;
  }
}

/** For whoever connects. Nothing of the environment turns the check off, or takes an older version. */
export function verifiedTls({ ca, cert, key }: TlsContents) {
  return {
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  } as const;
}

/** Between two looks at the files. */
const LOOK_MS = 5_000;
const DAY_MS = 86_400_000;
/** A certificate that ends within this is warned of. */
const SOON_MS = 14 * DAY_MS;

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\r\n]*-----END CERTIFICATE-----/g;

export interface TlsFilesParts {
  /** Of the settings, for what is told: `tls`, `parties.tax.tls`. */
  readonly place: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Certificate, key and issuers out of files, and what comes in their place while the program runs: files are looked at again every few seconds, since whoever renews
 * them replaces them in ways that no watch of the file system hears. A new set that does not fit keeps the old one.
 */
export class WatchedTlsFiles {
  readonly #files: TlsFiles;
  readonly #parts: TlsFilesParts;
  readonly #listeners = new Set<(contents: TlsContents) => void>();
  #contents: TlsContents;
  #seen: string;
  #stopTimer = () => {};

  /** @throws TlsFilesError */
  constructor(files: TlsFiles, parts: TlsFilesParts) {
    this.#files = files;
    this.#parts = parts;
    this.#seen = stateOf(files);
    this.#contents = read(files, parts);
    this.#warnOfModes();
    this.#lookLater();
  }

  get contents(): TlsContents {
    return this.#contents;
  }

  /** The function that is returned ends it. */
  onChange(listener: (contents: TlsContents) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#stopTimer();
    this.#listeners.clear();
  }

  #lookLater(): void {
    this.#stopTimer = this.#parts.clock.after(LOOK_MS, () => {
      this.#look();
      this.#lookLater();
    });
  }

  #look(): void {
    const { place, log } = this.#parts;
    const now = stateOf(this.#files);
    if (now === this.#seen) return;
    this.#seen = now;
    try {
      this.#contents = read(this.#files, this.#parts);
    } catch (error) {
      if (!(error instanceof TlsFilesError)) throw error;
      log.error('certificate files have changed and do not fit; the ones before stay in use', {
        place,
        mistakes: error.mistakes,
      });
      return;
    }
    this.#warnOfModes();
    log.info('certificate files have changed; new connections use them', { place });
    for (const listener of this.#listeners) listener(this.#contents);
  }

  #warnOfModes(): void {
    const { key } = this.#files;
    const { place, log } = this.#parts;
    if (key !== undefined && (statSync(key, { throwIfNoEntry: false })?.mode ?? 0) & 0o077)
      log.warn('a private key can be read by other users of this machine: set its mode to 0600', {
        place: `${place}.key`,
      });
  }
}

/** Which files these are: another one under the same name, or the same one written again, is another state. */
function stateOf(files: TlsFiles): string {
  return Object.values(files)
    .filter((file): file is string => file !== undefined)
    .map((file) => {
      const stat = statSync(file, { throwIfNoEntry: false });
      return stat === undefined ? 'none' : `${stat.ino} ${stat.size} ${stat.mtimeMs}`;
    })
    .join(' ');
}

function read(files: TlsFiles, { place, clock, log }: TlsFilesParts): TlsContents {
  const problems: TlsFilesProblem[] = [];
  const wrong = (name: keyof TlsFiles, zh: string, en: string): void => void problems.push({ file: name, zh, en });
  const texts: { -readonly [name in keyof TlsContents]: TlsContents[name] } = {};
  for (const name of ['cert', 'key', 'ca'] as const) {
    const file = files[name];
    if (file === undefined) continue;
    try {
      texts[name] = readFileSync(file, 'utf8');
    } catch (error) {
      const { code = 'unreadable' } = error as NodeJS.ErrnoException;
      wrong(name, `${file} 无法读取（${code}）`, `${file} cannot be read (${code})`);
    }
  }
  const certificates = (name: 'cert' | 'ca'): readonly X509Certificate[] => {
    const text = texts[name];
    if (text === undefined) return [];
    try {
      const found = [...text.matchAll(CERTIFICATE)].map(([pem]) => new X509Certificate(pem));
      if (found.length > 0) return found;
    } catch {
      // Told below.
    }
    wrong(name, `${files[name]} 不是 PEM 证书`, `${files[name]} holds no certificate in PEM`);
    return [];
  };
  const [own] = certificates('cert');
  const issuers = certificates('ca');
  const key = keyOf(texts.key);
  if (texts.key !== undefined && key === undefined)
    wrong(
      'key',
      `${files.key} 不是未加密的 PEM 私钥`,
      `${files.key} holds no private key in PEM that needs no passphrase`,
    );
  if (own !== undefined && key !== undefined && !own.checkPrivateKey(key))
    wrong('key', '私钥与证书不匹配', 'the key is not that of the certificate');
  if ((files.cert === undefined) !== (files.key === undefined))
    wrong(
      files.cert === undefined ? 'cert' : 'key',
      '证书与私钥须同时设置',
      'certificate and key are set together or not at all',
    );
  if (problems.length > 0) throw new TlsFilesError(place, problems);

  for (const [name, certificate] of [['cert', own] as const, ...issuers.map((one) => ['ca', one] as const)]) {
    if (certificate === undefined) continue;
    const left = certificate.validToDate.getTime() - clock.now();
    const fields = { place: `${place}.${name}`, until: certificate.validToDate.toISOString() };
    if (left <= 0) log.error('a certificate has run out: whoever checks it refuses it', fields);
    else if (left < SOON_MS) log.warn('a certificate runs out soon', fields);
  }
  return texts;
}

function keyOf(pem: string | undefined): KeyObject | undefined {
  if (pem === undefined) return undefined;
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
