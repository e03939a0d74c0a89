import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import defaults from '../../config/defaults.json' with { type: 'json' };
import { HELP } from '../../config/load.ts';

const root = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));
const read = (file: string) => readFile(path.join(root, file), 'utf8');

interface Service {
  readonly image?: string;
  readonly user?: string;
  readonly command?: readonly string[];
  readonly environment?: { readonly [name: string]: string };
  readonly volumes?: readonly string[];
  readonly tmpfs?: readonly string[];
  readonly ports?: readonly string[];
  readonly networks?: readonly string[];
  readonly depends_on?: readonly string[] | { readonly [service: string]: { readonly condition: string } };
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean };
  readonly deploy?: { readonly resources: { readonly limits: { readonly memory: string } } };
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly cap_add?: readonly string[];
  readonly privileged?: boolean;
  readonly security_opt?: readonly string[];
  readonly pids_limit?: number;
}

const composed = parse(await read('docker-compose.yml'), { merge: true }) as {
  readonly services: { readonly [name: string]: Service };
  readonly volumes: object;
  readonly networks: {
    readonly [name: string]: { readonly internal?: boolean; readonly ipam?: { readonly config: { subnet: string }[] } };
  };
};
const { services } = composed;
const nodes = Object.keys(services).filter((name) => name.startsWith('node-'));
const front = await read('config/nginx.conf');

/** No container engine runs it here, so at least it must not name what is not there. */
describe('docker-compose.yml, nginx.conf and Dockerfile agree with each other and with the program', () => {
  test('every file, service, volume, network and variable that is named is there', async () => {
    assert.equal(nodes.length, 3);
    for (const [name, { volumes = [], depends_on = [], healthcheck, deploy, networks = [] }] of Object.entries(
      services,
    )) {
      assert.ok(healthcheck !== undefined && deploy?.resources.limits.memory !== undefined, name);
      for (const other of Array.isArray(depends_on) ? depends_on : Object.keys(depends_on))
        assert.ok(other in services, `${name} depends on ${other}`);
      for (const network of networks) assert.ok(network in composed.networks, `${name}: ${network}`);
      for (const [from = ''] of volumes.map((volume) => volume.split(':'))) {
        // Written by whoever sets it up.
        if (from === './gateway.yaml') continue;
        assert.ok(
          from.startsWith('.') ? existsSync(path.join(root, from)) : from in composed.volumes,
          `${name}: ${from}`,
        );
      }
    }
    const known = `${HELP}${await read('gateway/migrate.ts')}`;
    for (const name of [...nodes, 'migrate'])
      for (const variable of Object.keys(services[name]?.environment ?? {}))
        assert.match(known, new RegExp(`\\b${variable}\\b`));
    const { PORT } = services[nodes[0] ?? '']?.environment ?? {};
    assert.deepEqual(
      [...front.matchAll(/server (node-\d+:\d+)/g)].map(([, server]) => server),
      nodes.map((name) => `${name}:${PORT}`),
    );
  });

  test('no container can write its image, has a right of root, or can get one', async () => {
    for (const [name, service] of Object.entries(services)) {
      assert.equal(service.read_only, true, name);
      assert.deepEqual(service.cap_drop, ['ALL'], name);
      assert.deepEqual(service.security_opt, ['no-new-privileges:true'], name);
      assert.ok(service.cap_add === undefined && service.privileged === undefined, name);
      assert.ok((service.pids_limit ?? 0) > 0, name);
      assert.ok(service.user !== undefined && !/^(0|root)\b/.test(service.user), `${name} runs as ${service.user}`);
      for (const place of service.tmpfs ?? []) assert.match(place, /noexec,nosuid,nodev/, `${name}: ${place}`);
      for (const volume of (service.volumes ?? []).filter((one) => one.startsWith('.')))
        assert.match(volume, /:ro$/, `${name}: ${volume}`);
    }
    const image = await read('Dockerfile');
    const user = /^USER (\d+):\d+$/m.exec(image)?.[1];
    assert.ok(user !== undefined && user !== '0', 'by number, and not root');
    for (const name of [...nodes, 'migrate']) assert.equal(services[name]?.user?.split(':')[0], user, name);
    assert.ok(image.lastIndexOf('\nUSER ') > image.lastIndexOf('\nRUN '), 'nothing is run as root after it');
  });

  test('a node has a password of a role that owns nothing, and none of the owner’s or the server’s', async () => {
    const roles = await read('config/postgres-roles.sh');
    const created = [...roles.matchAll(/create role (\w+) ([^;]+);/g)];
    assert.deepEqual(
      created.map(([, role]) => role),
      ['onewindow_owner', 'onewindow'],
    );
    for (const [, role, how] of created) assert.match(how ?? '', /login nosuperuser nocreatedb nocreaterole/, role);
    assert.match(roles, /create database onewindow owner onewindow_owner\b/);
    assert.ok(((await stat(path.join(root, 'config/postgres-roles.sh'))).mode & 0o111) !== 0, 'it can be run');
    for (const name of nodes) {
      const { environment = {}, depends_on = {} } = services[name] ?? {};
      assert.match(environment.DATABASE_URL ?? '', /^postgres:\/\/onewindow:/);
      assert.doesNotMatch(JSON.stringify(environment), /OWNER|ADMIN_PASSWORD/);
      assert.deepEqual((depends_on as { migrate?: object }).migrate, { condition: 'service_completed_successfully' });
    }
    const { environment = {}, command = [] } = services.migrate ?? {};
    assert.match(environment.MIGRATE_DATABASE_URL ?? '', /^postgres:\/\/onewindow_owner:/);
    assert.deepEqual(command, ['node', 'gateway/migrate.ts', '--role', 'onewindow']);
    assert.notEqual(services.postgres?.environment?.POSTGRES_USER, 'onewindow');
    assert.ok((services.postgres?.volumes ?? []).some((volume) => volume.includes('/docker-entrypoint-initdb.d/')));
  });

  test('no secret stands in a file of ours, nor goes into the image', async () => {
    for (const [name, { environment = {} }] of Object.entries(services))
      for (const [variable, value] of Object.entries(environment)) {
        if (/PASS/.test(variable)) assert.match(value, /^\$\{[A-Z_]+:\?[^}]*\}$/, `${name}: ${variable}`);
        if (/URL/.test(variable)) assert.match(value, /^\w+:\/\/\w+:\$\{[A-Z_]+:\?[^}]*\}@/, `${name}: ${variable}`);
      }
    const image = await read('Dockerfile');
    assert.doesNotMatch(image, /^\s*(?:ARG|ENV).*(?:SECRET|PASSWORD|_URL|TOKEN)/im);
    // What is copied is named; a folder that deployments keep settings in is copied without them.
    assert.doesNotMatch(image, /^COPY \. /m);
    const ignored = (await read('.dockerignore')).split('\n');
    for (const line of ['.git', '**/.env*', 'gateway.yaml', '**/*.key', '**/*.pem'])
      assert.ok(ignored.includes(line), line);
  });

  test('only nginx is reached from outside; the database and the broker reach nobody', () => {
    const published = Object.keys(services).filter((name) => services[name]?.ports !== undefined);
    assert.deepEqual(published, ['front']);
    for (const name of ['postgres', 'rabbitmq', 'migrate']) {
      assert.deepEqual(services[name]?.networks, ['inside'], name);
      assert.equal(composed.networks.inside?.internal, true);
    }
    assert.deepEqual(services.front?.networks, ['front']);
  });

  test('whether a container is well is asked where the program answers that', () => {
    for (const name of nodes) assert.match(String(services[name]?.healthcheck?.test), /127\.0\.0\.1:8080\/readyz/);
    assert.match(String(services.front?.healthcheck?.test), /127\.0\.0\.1:8080\/readyz/);
    assert.match(String(services.postgres?.healthcheck?.test), /pg_isready -h 127\.0\.0\.1/);
    assert.match(String(services.rabbitmq?.healthcheck?.test), /check_port_connectivity/);
    const unwatched = Object.keys(services).filter((name) => services[name]?.healthcheck?.disable);
    assert.deepEqual(unwatched, ['migrate'], 'it ends');
  });

  test('nodes believe nginx, and nobody else, who the caller is; and nginx believes no caller', () => {
    const subnet = composed.networks.front?.ipam?.config[0]?.subnet;
    assert.ok(subnet !== undefined);
    for (const name of nodes) {
      assert.equal(services[name]?.environment?.TRUSTED_PROXIES, subnet);
      assert.ok(services[name]?.networks?.includes('front'));
    }
    assert.match(front, /^ {6}proxy_set_header X-Forwarded-For \$remote_addr;$/m);
    assert.doesNotMatch(front, /proxy_add_x_forwarded_for|^\s*(?:set_real_ip_from|real_ip_header)/m);
  });

  test('nginx has the bounds that a node has', () => {
    const { headersMs, connectionsPerAddress } = defaults.http;
    const seconds = (name: string) => Number(new RegExp(`^\\s*${name} (\\d+)s;$`, 'm').exec(front)?.[1]);
    assert.equal(seconds('client_header_timeout') * 1_000, headersMs);
    assert.ok(seconds('client_body_timeout') * 1_000 <= defaults.http.requestMs);
    assert.equal(Number(/^\s*limit_conn addresses (\d+);$/m.exec(front)?.[1]), connectionsPerAddress);
    assert.match(front, /limit_conn_zone \$binary_remote_addr zone=addresses:/);
    // 16 KiB of headers, 8 KiB of them the first line.
    assert.match(front, /^\s*large_client_header_buffers 2 8k;$/m);
    const body = Number(/^\s*client_max_body_size (\d+)m;$/m.exec(front)?.[1]) * 2 ** 20;
    assert.ok(
      body > defaults.limits.bodyBytes && body > defaults.limits.callbackBytes,
      'a node says what is too large',
    );
  });
});
