import { isLoopback } from './loopback.ts';
import type { Settings, TlsSettings } from './settings.ts';

const NO_TLS: ReadonlySet<string> = new Set(['disable', 'false', '0']);

/**
 * The files of the database's TLS, whose certificates are always verified; undefined: none is asked for. `database.tls` asks for it, and `sslmode` in the address,
 * of which `prefer` and `require` are as strict as `verify-full`.
 */
export function databaseTlsFiles(url: string | undefined, own?: TlsSettings): TlsSettings | undefined {
  if (url === undefined) return undefined;
  const { searchParams } = databaseAddress(url);
  const [ssl, sslmode, ca, cert, key] = ['ssl', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey'].map(
    (name) => searchParams.get(name) ?? undefined,
  );
  const mode = sslmode ?? ssl;
  const asked = [own, mode, ca, cert].some((one) => one !== undefined);
  if (!asked || (mode !== undefined && NO_TLS.has(mode))) return undefined;
  const files = { ca: own?.ca ?? ca, cert: own?.cert ?? cert, key: own?.key ?? key };
  return Object.fromEntries(Object.entries(files).filter(([, file]) => file !== undefined));
}

/** What an address of PostgreSQL asks for that is not to be had; undefined when nothing is wrong. */
export function databaseTransportMistake(url: string, own?: TlsSettings): string | undefined {
  const { searchParams } = databaseAddress(url);
  const modes = ['sslmode', 'ssl'].flatMap((name) => searchParams.getAll(name));
  if (modes.includes('no-verify') || searchParams.has('uselibpqcompat'))
    return 'certificates are always verified: neither sslmode=no-verify nor uselibpqcompat; name the issuer in database.tls.ca（证书始终校验，请设置 database.tls.ca）';
  if (searchParams.getAll('sslnegotiation').some((how) => how !== 'postgres'))
    return 'sslnegotiation is not supported（不支持 sslnegotiation）';
  if (own !== undefined && modes.some((mode) => NO_TLS.has(mode)))
    return 'it turns off TLS, which database.tls asks for（与 database.tls 矛盾）';
  return undefined;
}

export interface OpenTransport {
  readonly setting: 'databaseUrl' | 'amqpUrl';
  readonly host: string;
}

/** Connections to other machines that go without TLS: whoever is on the way reads and changes what they carry. */
export async function openTransports({
  databaseUrl,
  database,
  amqpUrl,
}: Pick<Settings, 'databaseUrl' | 'database' | 'amqpUrl'>): Promise<readonly OpenTransport[]> {
  const open: OpenTransport[] = [];
  if (databaseUrl !== undefined && databaseTlsFiles(databaseUrl, database.tls) === undefined)
    open.push({ setting: 'databaseUrl', host: databaseAddress(databaseUrl).host });
  if (amqpUrl !== undefined && URL.canParse(amqpUrl)) {
    const address = new URL(amqpUrl);
    if (address.protocol === 'amqp:') open.push({ setting: 'amqpUrl', host: hostOf(address) });
  }
  const away = await Promise.all(open.map(async ({ host }) => !(await staysHere(host))));
  return open.filter((_, at) => away[at]);
}

/** As pg reads it, which also takes an address with a user and no host. */
function databaseAddress(url: string): { readonly host: string; readonly searchParams: URLSearchParams } {
  const [place = '', ...query] = url.split('?');
  const searchParams = new URLSearchParams(query.join('?'));
  const host = URL.canParse(place) ? hostOf(new URL(place)) : '';
  return { host: searchParams.get('host') ?? host, searchParams };
}

const hostOf = ({ hostname }: URL): string => decodeURIComponent(hostname).replace(/^\[|\]$/g, '');

/** A path is a socket of this machine; no host is localhost. */
async function staysHere(host: string): Promise<boolean> {
  return host === '' || host.startsWith('/') || (await isLoopback(host));
}
