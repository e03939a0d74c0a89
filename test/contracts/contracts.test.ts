import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { CaseSubmit1, FormDeedTax1 } from '../../contracts/contracts.gen.ts';
import { COMMAND, checkedIn, generated } from '../../contracts/generate.ts';
import { loadContracts } from '../../contracts/load.ts';
import type { Submission } from '../../contracts/ports/case.ts';
import type { Problem } from '../../contracts/ports/contract.ts';
import type { Json, JsonObject } from '../../contracts/ports/envelope.ts';
import { everyPart } from '../../contracts/references.ts';
import { makeContracts } from '../../gateway/contracts/registry.ts';

const FOLDER = path.join(import.meta.dirname, '../../contracts/schemas');
const published = await loadContracts(FOLDER);
const contracts = makeContracts(published);
/** `common@1` holds definitions only: it is nobody's body. */
const bodies = published.filter(({ schema }) => schema.type !== undefined);

const read = async (...place: string[]): Promise<Json> =>
  JSON.parse(await readFile(path.join(FOLDER, ...place), 'utf8'));
const short = ({ pointer, code }: Problem): string => `${pointer} ${code}`;

/** Every name and value in a body, as text. Short ones are left out: they stand in any sentence by chance. */
function valuesOf(body: Json): readonly string[] {
  const values: string[] = [];
  const see = (value: Json): void => {
    if (value !== null && typeof value === 'object') Object.values(value).forEach(see);
    else if (String(value).length >= 7) values.push(String(value));
  };
  see(body);
  return values;
}

for (const { name } of bodies) {
  describe(name, async () => {
    const files = await readdir(path.join(FOLDER, 'samples', name)).catch((): string[] => []);
    const expected = files.includes('expected.json')
      ? ((await read('samples', name, 'expected.json')) as { [file: string]: string[] })
      : {};

    test('has a right sample, several wrong ones, and each wrong one is said what is wrong with it', () => {
      assert.ok(files.some((file) => file.startsWith('ok-')));
      const bad = files.filter((file) => file.startsWith('bad-')).map((file) => file.slice(0, -'.json'.length));
      assert.ok(bad.length >= 3);
      assert.deepEqual(bad.sort(), Object.keys(expected).sort());
    });

    for (const file of files.filter((one) => one !== 'expected.json')) {
      test(file, async () => {
        const body = await read('samples', name, file);
        const problems = contracts.problems(name, body);
        assert.deepEqual(problems.map(short), expected[file.slice(0, -'.json'.length)] ?? []);
        for (const { zh, en, pointer } of problems) {
          assert.match(zh, /\p{Script=Han}/u);
          for (const value of valuesOf(body)) {
            assert.ok(!`${zh}${en}${pointer}`.includes(value), `a problem of ${pointer} tells a value`);
          }
        }
      });
    }
  });
}

test('whatever is laid over a right body, no problem tells a value or an unknown name of it', async () => {
  const rights = await Promise.all(
    bodies.map(async ({ name }) => {
      const files = (await readdir(path.join(FOLDER, 'samples', name))).filter((file) => file.startsWith('ok-'));
      return { name, bodies: await Promise.all(files.map((file) => read('samples', name, file))) };
    }),
  );
  const secret = fc.stringMatching(/^秘[0-9A-Z\p{Script=Han}]{6,18}密$/u);
  const planted = fc.oneof(
    secret,
    secret.map((text) => [text]),
    fc.tuple(secret, secret).map(([name, text]) => ({ [name]: text })),
    secret.map((text) => ({ [text]: { [text]: [text] } })),
  );
  const choice = fc.record({
    right: fc.constantFrom(...rights.flatMap(({ name, bodies: all }) => all.map((body) => ({ name, body })))),
    planted,
    at: fc.nat(1000),
    underItsOwnName: fc.boolean(),
  });
  let told = 0;
  fc.assert(
    fc.property(choice, ({ right, planted: plant, at, underItsOwnName }) => {
      const body = structuredClone(right.body);
      const places: { [key: string]: Json }[] = [];
      const see = (part: Json): void => {
        if (part === null || typeof part !== 'object') return;
        places.push(part as { [key: string]: Json });
        Object.values(part).forEach(see);
      };
      see(body);
      const place = places[at % places.length] as { [key: string]: Json };
      const keys = Object.keys(place);
      const key = underItsOwnName || keys.length === 0 ? '秘名0000000密' : (keys[at % keys.length] as string);
      if (Array.isArray(place)) place.push(plant);
      else place[key] = plant;
      const problems = contracts.problems(right.name, body);
      told += problems.length;
      assert.doesNotMatch(JSON.stringify(problems), /秘.*密/u);
    }),
    { numRuns: 1000 },
  );
  assert.ok(told > 500, `only ${told} problems were told: the property looked at nothing`);
});

test('every contract is closed against unknown fields', () => {
  for (const { name, schema } of published) {
    // Those are open on purpose: they are closed where they are used.
    const open = Object.entries((schema.$defs ?? {}) as JsonObject)
      .filter(([key]) => key.endsWith('Fields'))
      .map(([, part]) => part);
    everyPart(schema, (part) => {
      if (part.type !== 'object' || part.properties === undefined || open.includes(part)) return;
      const closed = part.additionalProperties === false || part.unevaluatedProperties === false;
      assert.ok(closed, `${name}: the object with ${Object.keys(part.properties as JsonObject).join(', ')} is open`);
    });
  }
});

test('what says who somebody is, or where the money goes, is marked as personal', () => {
  const personal = /^(idNo|mobile|accountNo|birthCertNo|legalPersonName|holder|child)$/;
  let marked = 0;
  for (const { name, schema } of published) {
    everyPart(schema, ({ type, properties }) => {
      if (type !== 'object') return;
      for (const [field, value] of Object.entries((properties ?? {}) as { [field: string]: JsonObject })) {
        if (!personal.test(field) || value.type === undefined) continue;
        assert.equal(value['x-sensitive'], true, `${name}: ${field}`);
        marked += 1;
      }
    });
  }
  assert.ok(marked > 5);
});

test('the generated types are those of the schemas', async () => {
  assert.ok(
    (await checkedIn()) === (await generated()),
    `contracts.gen.ts is not what the schemas say; run: ${COMMAND}`,
  );
});

test('what is typed by the generated types meets the contracts, and is a submission', () => {
  const person = { name: '张样例', idNo: '331124199001010011' };
  const form = {
    contractNo: 'SYFC2026110002',
    estateUnitNo: '331124001002GB00123F00010001',
    houseAddress: '松阳县西屏街道样例路1号2幢301室',
    area: '89.50',
    declaredPrice: '1250000.00',
    sellers: [{ ...person, share: '100.00' }],
    taxpayers: [{ ...person, share: '100.00', maritalStatus: '未婚' }],
    familyHouseCount: '唯一',
    houseCategory: '住宅',
  } satisfies FormDeedTax1;
  const body = {
    applicationNo: 'YC-1',
    itemCode: '11331124QA0000065H433203000500101',
    channel: 'web',
    applicant: person,
    form,
    materials: [{ code: '5-04', digest: 'ab'.repeat(32) }],
  } satisfies CaseSubmit1 & Submission;
  assert.deepEqual(contracts.problems('form.deed-tax@1', form), []);
  assert.deepEqual(contracts.problems('case.submit@1', body), []);
});
