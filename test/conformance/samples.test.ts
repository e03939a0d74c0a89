import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { partyFolders } from '../../adapters/load.ts';
import { judged } from '../../adapters/manifest/call.ts';
import { mappingFunctions } from '../../adapters/manifest/functions.ts';
import { readManifest } from '../../adapters/manifest/manifest.ts';
import { loadContracts } from '../../contracts/load.ts';
import type { MappingFunctions } from '../../contracts/mapping.ts';
import type { CertificateQuery } from '../../contracts/ports/certificate.ts';
import { wallClock } from '../../contracts/ports/clock.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { Fault } from '../../contracts/ports/fault.ts';

const adapters = path.join(path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url)))), 'adapters');
const ours = (await loadContracts(path.join(adapters, '..', 'contracts', 'schemas'))).map(({ name }) => name);

/** A line of `samples/index.yaml`. */
interface Sample {
  readonly file: string;
  readonly call: string;
  readonly as: string;
  readonly status?: number;
  readonly contentType?: string;
  /** The contract whose sample envelope this record is of. */
  readonly same?: string;
}

for (const party of await partyFolders()) {
  const folder = path.join(adapters, party);
  const samples = path.join(folder, 'samples');

  describe(`real bytes of ${party}`, async () => {
    assert.ok(
      existsSync(path.join(samples, 'index.yaml')),
      `${party}/samples/index.yaml is missing: every party shows its bytes`,
    );
    const index = parse(readFileSync(path.join(samples, 'index.yaml'), 'utf8')) as readonly Sample[];
    const own = (await loadContracts(path.join(folder, 'schemas'))).map(({ name }) => name);
    const manifest = readManifest(folder, mappingFunctions, new Set([...ours, ...own]));
    // Keys under which sealed samples were made, where a party seals.
    const keys = path.join(samples, 'settings.json');
    const settings = existsSync(keys) ? (JSON.parse(readFileSync(keys, 'utf8')) as JsonObject) : {};

    for (const { file, call, as, status = 200, contentType = '' } of index) {
      test(`${file} means ${as}`, async () => {
        const wireCall = manifest.calls[call];
        assert.ok(wireCall, `there is no call ${call}`);
        const came = { status, headers: { 'content-type': contentType }, body: readFileSync(path.join(samples, file)) };
        const meaning = await judged(
          wireCall,
          came,
          { settings, now: Date.now() },
          { functions: {}, clock: wallClock },
        ).then(
          (outcome) => outcome.as,
          (error: unknown) => (error instanceof Fault ? error.kind : Promise.reject(error)),
        );
        assert.equal(meaning, as);
      });
    }

    for (const { file, call, contentType = '', same: contract } of index) {
      if (contract === undefined) continue;
      test(`${file} is the record of samples/envelopes/${contract}.json, and of no other case`, async () => {
        const { same } = manifest.inquire[contract] ?? {};
        const wireCall = manifest.calls[call];
        assert.ok(same !== undefined && wireCall !== undefined);
        const came = {
          status: 200,
          headers: { 'content-type': contentType },
          body: readFileSync(path.join(samples, file)),
        };
        const now = Date.now();
        const { reply } = await judged(wireCall, came, { settings, now }, { functions: {}, clock: wallClock });
        const text = readFileSync(path.join(samples, 'envelopes', `${contract}.json`), 'utf8');
        const compared = (body: string) => same({ reply, envelope: { body: JSON.parse(body) as JsonObject } });
        assert.equal(await compared(text), true);
        for (const [one, other] of [
          [/"idNo": "\d{17}./, '"idNo": "331124196507070034'],
          [/"(price|base)": "[\d.]+"/, '"$1": "860000.00"'],
        ] as const)
          assert.equal(await compared(text.replace(one, other)), false, String(one));
      });
    }

    for (const [type, { calls }] of Object.entries(manifest.certificates)) {
      test(`who asks for ${type} says for which case, which item and why`, async () => {
        const query = JSON.parse(
          readFileSync(path.join(samples, 'certificates', `${type}.json`), 'utf8'),
        ) as CertificateQuery;
        const { purpose, cause } = query;
        const base = {
          settings: { region: '331124', deptName: '样例' },
          session: { token: 't' },
          now: Date.now(),
          replies: {},
        };
        const sequence = (digits: number) => '1'.repeat(digits);
        const bodies = calls.map((name) =>
          manifest.calls[name]?.send.map({ ...base, certificate: query as unknown as JsonObject }, {
            sequence,
          } as unknown as MappingFunctions),
        );
        const said = JSON.stringify(await Promise.all(bodies)).replaceAll('\\', '');
        assert.ok(said.includes(purpose.applicationNo ?? 'no number'), `${said} names no case`);
        // An interface that has no place for a cause of its own has one for the item.
        assert.ok(said.includes(cause) || said.includes(purpose.itemCode), `${said} names no reason`);
      });
    }

    test('at least success, a refusal or a duplicate, and garbage are among them', () => {
      const meanings = new Set(index.map(({ as }) => as));
      assert.ok(
        meanings.has('filed') &&
          (meanings.has('refused') || meanings.has('duplicate')) &&
          (meanings.has('malformed') || meanings.has('sessionLost')),
        [...meanings].join(', '),
      );
    });
  });
}
