import assert from 'node:assert/strict';
import { chown, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import defaults from '../../config/defaults.json' with { type: 'json' };
import { wallClock } from '../../contracts/ports/clock.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { openStore } from '../../gateway/store/open.ts';
import { Authority } from '../support/certificates.ts';
import type { PostgresNode } from '../support/postgres-node.ts';
import { postgresNode } from '../support/services.ts';

const theirs = new Authority();
const own = theirs.issue({ hosts: ['127.0.0.1'] });
const found = await postgresNode();

describe('a PostgreSQL that speaks TLS', { skip: 'missing' in found ? found.missing : false }, () => {
  const node = found as PostgresNode;
  before(async () => {
    // Its user reads a key of its own only.
    const data = (await asked(node.url, 'show data_directory'))[0]?.data_directory as string;
    const { uid, gid } = await stat(data);
    for (const [name, text] of [
      ['server.crt', own.cert],
      ['server.key', own.key],
    ] as const) {
      await writeFile(path.join(data, name), text, { mode: 0o600 });
      await chown(path.join(data, name), uid, gid);
    }
    await asked(node.url, 'alter system set ssl = on');
    await node.stop();
    await node.start();
  });
  after(() => node.discard());

  test('is opened over TLS, with every connection, and only where its issuer is trusted', async () => {
    const open = (ca: string) =>
      openStore({
        databaseUrl: `${node.url}?sslmode=require`,
        database: defaults.database,
        clock: wallClock,
        log: silent,
        tls: { contents: { ca } },
      });
    await assert.rejects(open(new Authority('Another authority').ca), /cannot be opened/);
    const store = await open(theirs.ca);
    await Promise.all(Array.from({ length: 5 }, () => store.due()));
    const connections = await asked(
      node.url,
      "select ssl, version from pg_stat_ssl join pg_stat_activity using (pid) where application_name = 'onewindow'",
    );
    await store.close();
    assert.ok(connections.length >= 2, `${connections.length} connections`);
    assert.ok(connections.every(({ ssl, version }) => ssl === true && /^TLSv1\.[23]$/.test(String(version))));
  });
});

async function asked(url: string, text: string): Promise<readonly { readonly [column: string]: unknown }[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows as { readonly [column: string]: unknown }[];
  } finally {
    await client.end();
  }
}
