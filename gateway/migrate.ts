/** `npm run migrate`: everything of the store that its owner does, so that the gateway itself need not be the owner. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadOwnerUrl, loadSettings, SettingsError } from '../config/load.ts';
import { openTlsFiles } from '../config/open-tls-files.ts';
import { closeToOthers } from '../config/private-files.ts';
import { databaseTlsFiles } from '../config/transport.ts';
import { wallClock } from '../contracts/ports/clock.ts';
import { makeLog } from './observe/log.ts';
import { type MigratedStore, migrateStore } from './store/migrate-store.ts';
import { NotOpened } from './store/unavailable.ts';

const HELP = `npm run migrate -- [options]     升级存储结构，并给网关的角色授权 · brings the store's schema up, and gives the gateway's role its rights

  --role NAME        网关用的数据库角色 · the database role that gateways use
                     (省略时取 DATABASE_URL 的用户 · left out: the user of DATABASE_URL, where it is not the owner)
  --help             显示本说明 · shows this

环境变量 · Environment (和网关的其他变量与 CONFIG 一样读取 · the gateway's others, and CONFIG, are read as there):
  MIGRATE_DATABASE_URL   属主的地址，网关不读它 · the owner's address; gateways do not read it
                         (省略时用 DATABASE_URL · left out: DATABASE_URL)
  DATABASE_URL           网关用的地址 · the address that gateways use
                         (都没有时：DATA_DIR 中的内置存储 · neither: the embedded store in DATA_DIR)

退出码 · Exit codes:
  0  结构已是最新 · the schema is this program's
  1  失败；排除原因后可原样再次执行 · it failed, and can be run again as it is
  2  选项或配置有误，什么也没有做 · options or settings are wrong; nothing was done
`;

const EXIT = { done: 0, failed: 1, wrong: 2 } as const;

if (process.argv[1] !== undefined && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url))
  process.exitCode = await main(process.argv.slice(2), process.env);

async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  let options: { readonly role?: string; readonly help?: boolean };
  try {
    options = parseArgs({
      args: [...argv],
      options: { role: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    }).values;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${HELP}`);
    return EXIT.wrong;
  }
  if (options.help === true) {
    console.log(HELP);
    return EXIT.done;
  }
  try {
    const settings = await loadSettings(env);
    const owner = loadOwnerUrl(env);
    const url = owner ?? settings.databaseUrl;
    const log = makeLog({ level: settings.logLevel, clock: wallClock });
    if (url === undefined && options.role !== undefined)
      throw new SettingsError(['--role: the embedded store has no roles; set MIGRATE_DATABASE_URL']);
    if (url === undefined) await closeToOthers(settings.dataDir, log);
    await using opened = new AsyncDisposableStack();
    const tls = openTlsFiles(databaseTlsFiles(url, settings.database.tls), {
      place: 'database.tls',
      clock: wallClock,
      log,
    });
    opened.defer(() => tls?.close());
    const place =
      url === undefined
        ? { dataDir: settings.dataDir }
        : { databaseUrl: url, database: settings.database, ledgerDays: settings.certificates.ledgerDays };
    const role = options.role ?? (owner === undefined ? undefined : userOf(settings.databaseUrl, owner));
    tell(
      await migrateStore(place, role, {
        clock: wallClock,
        log,
        tls,
        progress: {
          begins: (name) => console.log(`${name} …`),
          ended: (name) => console.log(`${name} 完成 done`),
        },
      }),
    );
    return EXIT.done;
  } catch (error) {
    // What the database refuses it says in a sentence, under a code; all else is a fault of ours.
    const said = error instanceof SettingsError || error instanceof NotOpened || typeof codeOf(error) === 'string';
    console.error(said ? (error as Error).message : error);
    return error instanceof SettingsError ? EXIT.wrong : EXIT.failed;
  }
}

const codeOf = (error: unknown): unknown => (error as { code?: unknown } | null)?.code;

/** Whom to give rights to: the user of the gateway's own address, where it has another than the owner's. */
function userOf(gateway: string | undefined, owner: string): string | undefined {
  if (gateway === undefined) return undefined;
  const [user, own] = [gateway, owner].map((url) => decodeURIComponent(new URL(url).username));
  return user === '' || user === own ? undefined : user;
}

function tell({ migrations, owner, granted }: MigratedStore): void {
  console.log(
    migrations.length === 0
      ? '结构已是最新，无须迁移 · the schema is up to date: nothing was to be migrated'
      : `已完成 ${migrations.length} 项迁移，全部一起生效 · ${migrations.length} migrations are done, all in force together`,
  );
  if (owner === undefined) return;
  if (granted === undefined) {
    console.log(
      `没有给任何角色授权：网关若以 ${owner} 连接，会在启动时告警 · no role was given rights: a gateway that connects as ${owner} warns at each start`,
    );
    return;
  }
  const { role, couldRewrite, mayCreate } = granted;
  console.log(`角色 ${role} 有网关所需的权限 · the role ${role} has the rights that a gateway needs`);
  if (couldRewrite !== undefined)
    console.log(
      `警告：${role} 仍能改写台账（${couldRewrite}） · warning: ${role} could still rewrite the ledger (${couldRewrite})`,
    );
  if (mayCreate)
    console.log(
      `警告：${role} 能在该模式中建表，请执行 revoke create on schema public from public · warning: ${role} may make tables in the schema: revoke create on schema public from public`,
    );
}
