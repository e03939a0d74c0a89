import { randomBytes } from 'node:crypto';
import { asked, freshDatabase } from './services.ts';

/** A database whose tables one role will own, while gateways use another. */
export interface TwoRoles {
  readonly ownerUrl: string;
  readonly gatewayUrl: string;
  readonly gatewayRole: string;
  /** As whoever administers the server. */
  admin(statement: string): Promise<void>;
  drop(): Promise<void>;
}

/** @param server the address of somebody who may make roles there */
export async function twoRoles(server: string): Promise<TwoRoles> {
  const { url, drop } = await freshDatabase(server);
  const name = new URL(url).pathname.slice(1);
  const made: string[] = [];
  const role = async (what: string): Promise<string> => {
    const user = `${name}_${what}`;
    const password = randomBytes(16).toString('hex');
    await asked(server, `create role ${user} login nosuperuser password '${password}'`);
    made.push(user);
    const own = new URL(url);
    own.username = user;
    own.password = password;
    return own.href;
  };
  const ownerUrl = await role('owner');
  const gatewayUrl = await role('gateway');
  await asked(server, `alter database ${name} owner to ${name}_owner`);
  return {
    ownerUrl,
    gatewayUrl,
    gatewayRole: `${name}_gateway`,
    admin: (statement) => asked(url, statement),
    async drop() {
      await drop();
      for (const user of made) await asked(server, `drop role if exists ${user}`);
    },
  };
}
