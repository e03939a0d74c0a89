import { isIP } from 'node:net';
import { compileSchema } from '../contracts/compile.ts';
import { countOf } from '../contracts/count.ts';
import { linearPattern } from '../contracts/linear-pattern.ts';
import type { Json, JsonObject } from '../contracts/ports/envelope.ts';
import { repeatedSecrets } from './app-secrets.ts';
import schema from './settings.schema.json' with { type: 'json' };
import type { Settings } from './settings.ts';
import { databaseTransportMistake } from './transport.ts';

const check = compileSchema(schema as Json, { names: 'shown' });

/**
 * What is wrong with the settings, each in one plain line: `delivery.sweepMs: expected an integer from 10 to 60000, got "5s"`.
 * The value of a secret is never told.
 *
 * @param origins settings that came from the environment, by name: told by the variable's name
 */
export function settingMistakes(settings: JsonObject, origins: ReadonlyMap<string, string>): readonly string[] {
  const shape = check(settings).map(({ pointer, code, en }) => {
    const keys = pointer.split('/').slice(1).map(unescaped);
    const place = origins.get(keys.join('.')) ?? placeOf(keys);
    const { node, secret } = schemaAt(keys);
    if (node === undefined || code === 'unknownField') return `${place}: ${en}`;
    const value = valueAt(settings, keys);
    const expected = expectation(node, value);
    if (expected === undefined) return `${place}: ${en}`;
    return `${place}: expected ${expected}, got ${value === undefined ? 'nothing' : told(value, secret)}`;
  });
  // One line a place: what fails twice is no more wrong for it.
  if (shape.length > 0) return [...new Set(shape)];
  return [
    ...appMistakes(settings.apps as unknown as readonly AppAsWritten[]),
    ...partyMistakes(settings.parties),
    ...transportMistakes(
      settings as unknown as Pick<Settings, 'databaseUrl' | 'database' | 'amqpUrl' | 'bus'>,
      origins,
    ),
    ...serverMistakes(settings as unknown as Pick<Settings, 'http' | 'limits' | 'tls'>),
  ];
}

function serverMistakes({ http, limits, tls }: Pick<Settings, 'http' | 'limits' | 'tls'>): readonly string[] {
  const { bodyBytes, callbackBytes, bodiesBytes } = limits;
  return [
    ...http.trustedProxies.flatMap((proxy, at) =>
      isNetwork(proxy)
        ? []
        : [
            `http.trustedProxies[${at}]: expected an address or a CIDR range such as 10.0.0.0/24, got ${told(proxy, false)}`,
          ],
    ),
    ...(http.connectionsPerAddress > http.connections
      ? ['http.connectionsPerAddress: expected not more than http.connections']
      : []),
    ...(http.requestMs < http.headersMs ? ['http.requestMs: expected not less than http.headersMs'] : []),
    ...(bodiesBytes < Math.max(bodyBytes, callbackBytes)
      ? ['limits.bodiesBytes: expected not less than limits.bodyBytes and limits.callbackBytes']
      : []),
    ...(tls?.clientCertificate !== undefined && tls.clientCa === undefined
      ? ['tls.clientCertificate: only with tls.clientCa']
      : []),
  ];
}

function transportMistakes(
  { databaseUrl, database, amqpUrl, bus }: Pick<Settings, 'databaseUrl' | 'database' | 'amqpUrl' | 'bus'>,
  origins: ReadonlyMap<string, string>,
): readonly string[] {
  const wrong = databaseUrl === undefined ? undefined : databaseTransportMistake(databaseUrl, database.tls);
  return [
    ...(wrong === undefined ? [] : [`${origins.get('databaseUrl') ?? 'databaseUrl'}: ${wrong}`]),
    ...(database.tls !== undefined && databaseUrl === undefined ? ['database.tls: only with databaseUrl'] : []),
    ...(bus.tls !== undefined && amqpUrl?.startsWith('amqps:') !== true
      ? ['bus.tls: only with an amqpUrl that begins with amqps://']
      : []),
  ];
}

/** An address, or a range that is not all there is: a proxy that anybody can be is none. */
function isNetwork(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return (
    bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) >= 1 && Number(bits) <= (family === 4 ? 32 : 128))
  );
}

interface AppAsWritten {
  readonly key: string;
  readonly secret: string;
  readonly previousSecret?: string;
  readonly role: string;
  readonly channels?: readonly string[];
  readonly party?: string;
}

function appMistakes(apps: readonly AppAsWritten[]): readonly string[] {
  const keys = apps.map(({ key }) => key);
  const mistakes = apps.flatMap(({ key, role, channels, party }, at) => [
    ...(keys.indexOf(key) < at ? [`apps[${at}].key: another app has this key too`] : []),
    ...(role === 'department' && party === undefined
      ? [`apps[${at}].party: a department's app must name its party`]
      : []),
    ...(role !== 'department' && party !== undefined ? [`apps[${at}].party: only for the role department`] : []),
    ...(role !== 'window' && channels !== undefined ? [`apps[${at}].channels: only for the role window`] : []),
  ]);
  return [...mistakes, ...repeatedSecrets(apps)];
}

const PARTY = linearPattern(schema.$defs.party.pattern);

function partyMistakes(parties: Json | undefined): readonly string[] {
  return Object.keys(parties ?? {})
    .filter((party) => !PARTY.test(party))
    .map((party) => `parties.${party}: a party's name is ${schema.$defs.party.description}`);
}

const unescaped = (key: string): string => key.replaceAll('~1', '/').replaceAll('~0', '~');
const placeOf = (keys: readonly string[]): string =>
  keys.reduce((place, key) => place + (/^\d+$/.test(key) ? `[${key}]` : `${place === '' ? '' : '.'}${key}`), '');

/** The part of the settings schema that speaks of a place, and whether the place lies in a secret. */
function schemaAt(keys: readonly string[]): { readonly node: JsonObject | undefined; readonly secret: boolean } {
  let node: JsonObject | undefined = schema as JsonObject;
  let secret = false;
  for (const key of keys) {
    const inside: Json | undefined =
      ((node.properties ?? {}) as JsonObject)[key] ?? node.items ?? node.additionalProperties;
    if (inside === undefined || inside === null || typeof inside !== 'object') return { node: undefined, secret };
    node = resolved(inside as JsonObject);
    secret ||= node['x-secret'] === true;
  }
  return { node, secret };
}

function resolved(node: JsonObject): JsonObject {
  return node.$ref === '#/$defs/party' ? { ...schema.$defs.party } : node;
}

function valueAt(value: Json | undefined, keys: readonly string[]): Json | undefined {
  return keys.reduce<Json | undefined>(
    (inside, key) => (inside !== null && typeof inside === 'object' ? (inside as JsonObject)[key] : undefined),
    value,
  );
}

const told = (value: Json, secret: boolean): string => {
  if (secret) return 'something else (not shown)';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
};

/** What a place wants, in words; undefined where the value is of the right kind and only its inside is not. */
function expectation(node: JsonObject, value: Json | undefined): string | undefined {
  const { type, minimum, maximum, minLength, maxLength, description } = node;
  if (Array.isArray(node.enum)) return `one of ${node.enum.join(', ')}`;
  if (type === 'integer') return `an integer from ${minimum} to ${maximum}`;
  if (type === 'boolean') return 'true or false';
  if (type === 'string' && node.pattern !== undefined) return String(description ?? node.pattern);
  if (type === 'string')
    return maxLength === undefined ? 'a text' : `a text of ${minLength} to ${countOf(Number(maxLength), 'character')}`;
  if (type === 'array') return Array.isArray(value) ? undefined : 'a list';
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? undefined : 'an object';
}
