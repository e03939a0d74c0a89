import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseDocument } from 'yaml';
import { linearPattern } from '../contracts/linear-pattern.ts';
import type { Json, JsonObject } from '../contracts/ports/envelope.ts';
import defaults from './defaults.json' with { type: 'json' };
import { demoApps, demoMistakes } from './demo.ts';
import { holderHashKey } from './holder-key.ts';
import { settingMistakes } from './mistakes.ts';
import { makePrivateFolder } from './private-files.ts';
import schema from './settings.schema.json' with { type: 'json' };
import type { App, Settings } from './settings.ts';
import { databaseTransportMistake } from './transport.ts';

/** Everything wrong with the settings at once, one plain line each; never a secret's value. */
export class SettingsError extends Error {
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(`the settings have mistakes:\n${mistakes.map((mistake) => `  ${mistake}`).join('\n')}`);
    this.name = 'SettingsError';
    this.mistakes = mistakes;
  }
}

export const HELP = `Onewindow 一窗总线

  npm start                serves                                  启动服务
  npm start -- --demo      serves, with demo apps and departments  演示模式
  npm start -- --check     checks all configuration, serves not    只检查配置
  npm start -- --help      tells this                              显示本说明
  npm run migrate          brings the store up, as its owner       以属主身份升级存储

Environment, all optional 环境变量（均可省略）:
  PORT       port to listen on (8080)                              监听端口
  HOST       address to listen on (127.0.0.1)                      监听地址
  ADMIN_PORT a port of its own for the metrics (none)              指标专用端口
  TRUSTED_PROXIES  balancers in front, addresses or CIDR, with ,   前置代理的地址
  DATA_DIR   folder of the store (./data)                          数据目录
  DATABASE_URL  a PostgreSQL that nodes share, not DATA_DIR        PostgreSQL 地址
  AMQP_URL   a RabbitMQ, where there are several nodes             RabbitMQ 地址
  CONFIG     a settings file, JSON or YAML                         配置文件
  LOG_LEVEL  error, warn, info or debug (info)                     日志级别
`;

export const wantsCheck = (argv: readonly string[]): boolean => argv.includes('--check');
export const wantsHelp = (argv: readonly string[]): boolean => argv.includes('--help') || argv.includes('-h');

type Env = { readonly [name: string]: string | undefined };

/** Which setting a variable of the environment sets, and how its text is read; what cannot be read stays text, and is told as such. */
const FROM_ENV = [
  { name: 'PORT', key: 'port', read: (text: string): Json => (/^\d+$/.test(text) ? Number(text) : text) },
  { name: 'ADMIN_PORT', key: 'adminPort', read: (text: string): Json => (/^\d+$/.test(text) ? Number(text) : text) },
  {
    name: 'TRUSTED_PROXIES',
    key: 'http.trustedProxies',
    read: (text: string): Json => text.split(',').map((one) => one.trim()),
  },
  { name: 'HOST', key: 'host', read: (text: string): Json => text },
  { name: 'DATA_DIR', key: 'dataDir', read: (text: string): Json => text },
  { name: 'DATABASE_URL', key: 'databaseUrl', read: (text: string): Json => text },
  { name: 'AMQP_URL', key: 'amqpUrl', read: (text: string): Json => text },
  { name: 'LOG_LEVEL', key: 'logLevel', read: (text: string): Json => text },
] as const;

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const FOLDERS = {
  items: path.join(root, 'config', 'items'),
  schemas: path.join(root, 'contracts', 'schemas'),
  adapters: path.join(root, 'adapters'),
};

/**
 * Settings from, each over the one before: defaults.json, the file CONFIG names, the environment, the command line.
 * The only reader of the environment. Makes the data folder, and in it the key of the holder hashes where none is set.
 *
 * @param argv without node and the script
 * @throws SettingsError with every mistake
 */
export async function loadSettings(env: Env, argv: readonly string[] = []): Promise<Settings> {
  const mistakes: string[] = [];
  // An empty variable is one that is not set, as compose files leave them.
  const set = FROM_ENV.flatMap(({ name, key, read }) => (env[name] ? [{ name, key, value: read(env[name]) }] : []));
  for (const flag of argv)
    if (flag !== '--demo' && flag !== '--check') mistakes.push(`${flag}: there is no such option; see --help`);

  const written = [
    { folders: FOLDERS },
    env.CONFIG ? await settingsFile(env.CONFIG, mistakes) : {},
    set.map(({ key, value }) => nested(key.split('.'), value)).reduce(laidOver, {}),
    argv.includes('--demo') ? { demo: true } : {},
  ].reduce<JsonObject>(laidOver, defaults);
  const origins = new Map(set.map(({ name, key }) => [key as string, name as string]));
  const wrong = settingMistakes(written, origins);
  const settings = written as unknown as WrittenSettings;
  mistakes.push(...wrong, ...(wrong.length > 0 ? [] : await demoMistakes(settings, origins.get('host'))));
  if (mistakes.length > 0) throw new SettingsError(mistakes);

  const own = settings.apps.map(appOf);
  const apps = settings.demo ? withDemo(own) : own;
  const dataDir = path.resolve(settings.dataDir);
  const key = await prepared(dataDir, settings.holderHashKey);
  return { ...settings, apps, dataDir, holderHashKey: key };
}

/**
 * The address under which the store's owner migrates it, where that is another than the gateway's. No setting: a gateway never has it.
 *
 * @throws SettingsError, without the address
 */
export function loadOwnerUrl({ MIGRATE_DATABASE_URL: url }: Env): string | undefined {
  if (!url) return undefined;
  const { pattern, description } = schema.properties.databaseUrl;
  if (!linearPattern(pattern).test(url) || !URL.canParse(url))
    throw new SettingsError([`MIGRATE_DATABASE_URL: expected ${description}, got something else (not shown)`]);
  const wrong = databaseTransportMistake(url);
  if (wrong !== undefined) throw new SettingsError([`MIGRATE_DATABASE_URL: ${wrong}`]);
  return url;
}

/** Checked, and not yet complete. */
type WrittenSettings = Omit<Settings, 'holderHashKey' | 'apps'> &
  Partial<Pick<Settings, 'holderHashKey'>> & { readonly apps: readonly WrittenApp[] };

type WrittenApp = Omit<App, 'secrets'> & { readonly secret: string; readonly previousSecret?: string };

const appOf = ({ secret, previousSecret, ...app }: WrittenApp): App => ({
  ...app,
  secrets: previousSecret === undefined ? [secret] : [secret, previousSecret],
});

/** The demo apps stand beside the file's own; one of the file's under the same key is the one that counts. */
function withDemo(apps: readonly App[]): readonly App[] {
  return [...apps, ...demoApps.filter((demo) => !apps.some(({ key }) => key === demo.key))];
}

/** A settings file as it is written, its paths made absolute: they are relative to the file. */
async function settingsFile(file: string, mistakes: string[]): Promise<JsonObject> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    mistakes.push(`CONFIG: ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
    return {};
  }
  // JSON is YAML. Pretty messages would quote the line, and a secret may stand in it.
  const document = parseDocument(text, { prettyErrors: false, stringKeys: true, logLevel: 'error' });
  for (const { code, pos } of document.errors) mistakes.push(`CONFIG: ${file}:${lineOf(text, pos[0])}: ${code}`);
  if (document.errors.length > 0) return {};
  const value = document.toJS() as Json;
  if (!isObject(value)) {
    mistakes.push(`CONFIG: ${file} holds no settings`);
    return {};
  }
  const resolve = (place: Json | undefined) =>
    typeof place === 'string' && place !== '' ? path.resolve(path.dirname(file), place) : place;
  const within = (object: JsonObject, keys: readonly string[]): JsonObject =>
    Object.fromEntries(
      Object.entries(object).map(([key, one]) => [key, keys.includes(key) ? (resolve(one) ?? one) : one]),
    );
  const withTls = (one: Json): Json =>
    isObject(one) && isObject(one.tls) ? { ...one, tls: within(one.tls, ['ca', 'cert', 'key']) } : one;
  const { folders, tls, parties, database, bus } = value;
  return {
    ...within(value, ['dataDir']),
    ...(isObject(tls) ? { tls: within(tls, ['cert', 'key', 'clientCa']) } : {}),
    ...(isObject(folders) ? { folders: within(folders, Object.keys(FOLDERS)) } : {}),
    ...(isObject(parties)
      ? { parties: Object.fromEntries(Object.entries(parties).map(([party, own]) => [party, withTls(own)])) }
      : {}),
    ...(isObject(database) ? { database: withTls(database) } : {}),
    ...(isObject(bus) ? { bus: withTls(bus) } : {}),
  };
}

const lineOf = (text: string, at: number): number => text.slice(0, at).split('\n').length;

const nested = (keys: readonly string[], value: Json): JsonObject =>
  keys.reduceRight<Json>((inside, key) => ({ [key]: inside }), value) as JsonObject;

/** `over` wins, key by key; lists are replaced whole. */
function laidOver(under: JsonObject, over: JsonObject): JsonObject {
  const both = Object.entries(over).map(([key, value]): [string, Json] => {
    const below = under[key];
    return [key, isObject(below) && isObject(value) ? laidOver(below, value) : value];
  });
  return { ...under, ...Object.fromEntries(both) };
}

function isObject(value: Json | undefined): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** Makes the data folder, and finds the key of the holder hashes. */
async function prepared(dataDir: string, given: string | undefined): Promise<string> {
  try {
    makePrivateFolder(dataDir);
    return given ?? (await holderHashKey(dataDir));
  } catch (error) {
    throw new SettingsError([`dataDir: ${error instanceof Error ? error.message : String(error)}`]);
  }
}
