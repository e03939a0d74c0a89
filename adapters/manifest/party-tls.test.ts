import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { wallClock } from '../../contracts/ports/clock.ts';
import { Unfit } from '../../contracts/ports/contract.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { silent } from '../../contracts/ports/logger.ts';
import { Authority } from '../../test/support/certificates.ts';
import { loadParties } from '../load.ts';

const parties = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'test', 'support', 'parties');
const folders = await loadParties(parties);
const bakery = folders.find(({ party }) => party === 'bakery') ?? assert.fail();
const authority = new Authority();

describe("tls in a party's settings", () => {
  let folder: string;
  const file = (name: string) => path.join(folder, name);
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'onewindow-party-tls-'));
    const [one, another] = [authority.issue({ name: 'the gateway' }), authority.issue()];
    await writeFile(file('ca.pem'), authority.ca);
    await writeFile(file('cert.pem'), one.cert);
    await writeFile(file('key.pem'), one.key, { mode: 0o600 });
    await writeFile(file('another-key.pem'), another.key, { mode: 0o600 });
    await writeFile(file('words.pem'), 'no certificate');
  });
  after(() => rm(folder, { recursive: true }));

  const connect = (settings: JsonObject) =>
    bakery.connect({ pushKey: 'a key of the bakery', ...settings }, { clock: wallClock, log: silent });
  const problems = (settings: JsonObject): readonly string[] => {
    try {
      void connect(settings).adapter.close();
    } catch (error) {
      assert.ok(error instanceof Unfit);
      return error.problems.map(({ pointer, en, zh }) => `${pointer}: ${en} / ${zh}`);
    }
    return assert.fail('nothing is wrong with it');
  };

  test('its mistakes are told all at once, in both languages', () => {
    const wrong = problems({
      baseUrl: 'https://bakery.example',
      terms: { concurrency: 0 },
      tls: { ca: file('words.pem'), cert: file('cert.pem'), key: file('none.pem') },
    });
    assert.equal(wrong.length, 3);
    assert.match(wrong[0] ?? '', /^\/terms\/concurrency: /);
    assert.match(wrong[1] ?? '', /^\/tls\/key: .*none\.pem cannot be read \(ENOENT\) \/ .*无法读取/);
    assert.match(wrong[2] ?? '', /^\/tls\/ca: .*holds no certificate in PEM \/ .*不是 PEM 证书/);
    assert.match(
      problems({
        baseUrl: 'https://bakery.example',
        tls: { cert: file('cert.pem'), key: file('another-key.pem') },
      }).join(),
      /^\/tls\/key: the key is not that of the certificate/,
    );
  });

  test('what would have no effect, or turn the check off, is refused', () => {
    const tls = { ca: file('ca.pem') };
    assert.match(problems({ baseUrl: 'http://bakery.example', tls }).join(), /^\/tls: nothing of it is used/);
    const https = { baseUrl: 'https://bakery.example' };
    assert.match(problems({ ...https, tls: { ...tls, enabled: true } }).join(), /^\/tls\/enabled: only for tcp-frame/);
    assert.match(problems({ ...https, tls: { ...tls, serverName: '192.0.2.1' } }).join(), /^\/tls\/serverName: /);
    assert.match(problems({ ...https, tls: { ...tls, rejectUnauthorized: false } }).join(), /rejectUnauthorized/);
    assert.match(problems({ ...https, tls: 'on' }).join(), /^\/tls: /);
  });

  test('our certificate is shown to the department', async (t) => {
    const seen: string[] = [];
    const server = createServer(
      { ...authority.issue(), ca: authority.ca, requestCert: true, rejectUnauthorized: true },
      (request, response) => {
        seen.push(String((request.socket as import('node:tls').TLSSocket).getPeerCertificate().subject.CN));
        response.end();
      },
    );
    t.after(() => server.close());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { adapter } = connect({
      baseUrl: `https://localhost:${(server.address() as AddressInfo).port}`,
      tls: { ca: file('ca.pem'), cert: file('cert.pem'), key: file('key.pem') },
    });
    await adapter
      .probe({ signal: AbortSignal.timeout(10_000), attempt: 1, log: silent, traceparent: '' })
      .catch(() => {});
    await adapter.close();
    assert.ok(seen.length > 0);
    assert.ok(seen.every((name) => name === 'the gateway'));
  });
});
