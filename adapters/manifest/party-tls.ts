import { isIP } from 'node:net';
import { compileSchema } from '../../contracts/compile.ts';
import type { PartyMeans } from '../../contracts/ports/adapter.ts';
import type { Problem } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import { type TlsFiles, TlsFilesError, WatchedTlsFiles } from '../../contracts/tls-files.ts';
import type { WireTls } from '../wire/tls.ts';
import type { Manifest } from './manifest.ts';

/** What a deployment may say under `tls` of any party's settings. */
interface PartyTls extends TlsFiles {
  readonly serverName?: string;
  readonly enabled?: boolean;
}

const PATH = { type: 'string', minLength: 1 };
const checkShape = compileSchema(
  {
    $id: 'party-tls@1',
    type: 'object',
    additionalProperties: false,
    properties: {
      ca: PATH,
      cert: PATH,
      key: PATH,
      serverName: { type: 'string', minLength: 1, maxLength: 253, pattern: '^[A-Za-z0-9][A-Za-z0-9.-]*$' },
      enabled: { type: 'boolean' },
    },
  } as Json,
  { names: 'shown' },
);

/** What is wrong with `tls` itself: how it is written, and whether it fits the wire. Pointers are within `tls`. */
export function partyTlsProblems(
  written: Json,
  { wire }: Pick<Manifest, 'wire'>,
  settings: JsonObject,
): readonly Problem[] {
  const problems = checkShape(written);
  if (problems.length > 0) return problems;
  const { serverName, enabled } = written as PartyTls;
  const wrong = (pointer: string, zh: string, en: string): Problem => ({ pointer, code: 'format', zh, en });
  return [
    ...(serverName !== undefined && isIP(serverName) !== 0
      ? [wrong('/serverName', '应为主机名，不能是地址', 'expected a name, not an address')]
      : []),
    ...(wire.kind === 'http' && enabled !== undefined
      ? [
          wrong(
            '/enabled',
            '只用于 tcp-frame；HTTP 由 baseUrl 以 https:// 开头决定',
            'only for tcp-frame: with HTTP a baseUrl that begins with https:// says so',
          ),
        ]
      : []),
    ...(wire.kind === 'http' && !String(settings.baseUrl).toLowerCase().startsWith('https:')
      ? [
          wrong(
            '',
            'baseUrl 不以 https:// 开头，tls 不起作用',
            'nothing of it is used: baseUrl does not begin with https://',
          ),
        ]
      : []),
  ];
}

/**
 * The files of `tls`, read; undefined where the party is not spoken to over TLS.
 * @param written without `partyTlsProblems`
 * @throws TlsFilesError
 */
export function openPartyTls(
  written: Json | undefined,
  { party, wire }: Pick<Manifest, 'party' | 'wire'>,
  { clock, log }: PartyMeans,
): (WireTls & { readonly files: WatchedTlsFiles }) | undefined {
  if (written === undefined) return undefined;
  const { serverName, enabled = true, ...files } = written as PartyTls;
  if (wire.kind === 'tcp-frame' && !enabled) return undefined;
  return { files: new WatchedTlsFiles(files, { place: `parties.${party}.tls`, clock, log }), serverName };
}

/** The same as problems of the settings. */
export function tlsFileProblems(error: unknown): readonly Problem[] {
  if (!(error instanceof TlsFilesError)) throw error;
  return error.problems.map(({ file, zh, en }) => ({ pointer: `/${file}`, code: 'file', zh, en }));
}
