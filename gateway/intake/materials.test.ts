import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Submission } from '../../contracts/ports/case.ts';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import type { Facts, Item } from '../../contracts/ports/item.ts';
import type { Retrieved } from '../../contracts/ports/retrieval.ts';
import { gather } from './materials.ts';

const words = (text: string) => ({ zh: text, en: text });
const TYPE = '11100000000013127D001';
const HOLDER = { name: '张样例', idType: '111', idNo: '331124199001010011' };

function item(required: boolean): Item {
  return {
    code: 'ITEM',
    version: '0123456789abcdef',
    title: words('item'),
    area: words('area'),
    owner: { name: '松阳县样例局', uscc: '11331124QA0000057N' },
    form: 'form.sample@1',
    promised: { limit: 1, unit: 'wd' },
    statutory: { limit: 1, unit: 'wd' },
    basis: 'law',
    materials: [
      {
        code: 'M1',
        title: words('card'),
        from: 'certificate',
        required,
        certificate: { type: TYPE, title: words('card'), holders: async () => [], sources: ['a'], fields: [] },
      },
    ],
    route: [],
    rules: [],
  };
}

const SUBMISSION: Submission = {
  applicationNo: 'A1',
  itemCode: 'ITEM',
  channel: 'window',
  applicant: { ...HOLDER },
  form: {},
  materials: [],
};
const FACTS: Facts = {
  case: { caseNo: '', applicationNo: 'A1', itemCode: 'ITEM', channel: 'window', acceptedAt: 0 },
  applicant: {},
  agent: null,
  form: {},
  materials: [] as readonly JsonObject[],
  certificates: [],
  steps: {},
};

async function gathered(of: Item, answers: readonly Partial<Retrieved>[], materials: JsonObject[] = []) {
  const { states, problems, owed } = await gather(of, { ...SUBMISSION, materials }, FACTS, {
    certificates: {
      retrieve: async () => answers.map((answer) => ({ material: 'M1', type: TYPE, ...answer }) as Retrieved),
      refused: async () => {},
      changed: async () => {},
      close: async () => {},
    },
    timeLimitMs: 100,
    appKey: 'window-1',
    traceparent: '',
    now: 0,
    deadline: () => ({ at: 0, date: '', provisional: false }),
  });
  return [states[0]?.state, problems.map(({ code }) => code), owed.length];
}

test('a required certificate of which nobody could tell whose it is, is missing; one that is not required is not', async () => {
  assert.deepEqual(await gathered(item(true), []), ['missing', ['materialMissing'], 0]);
  assert.deepEqual(await gathered(item(false), []), ['notNeeded', [], 0]);
});

test('where the owner does not let us look nothing will come by itself: it has to be brought', async () => {
  const refused = { state: 'notPermitted', reason: { code: 'refusedByOwner', ...words('no') } } as const;
  const [material] = item(true).materials;
  const later = { do: 'later', steps: ['01'], within: { limit: 3, unit: 'wd' } } as const;
  const of = {
    ...item(true),
    materials: [{ ...material, certificate: { ...material?.certificate, whenDown: later } }],
  } as unknown as Item;
  assert.deepEqual(await gathered(of, [refused]), ['missing', ['certificateNone'], 0]);
  const away = { state: 'unavailable', holder: HOLDER } as const;
  assert.deepEqual(await gathered(of, [away]), ['owed', [], 1]);
});

const away = { state: 'unavailable', reason: { code: 'fault', ...words('away') } } as const;
const noData = { state: 'none', reason: { code: 'noData', ...words('none') } } as const;
const cancelled = { state: 'none', reason: { code: 'notValid', ...words('cancelled') } } as const;
const somebodyElses = { state: 'unavailable', reason: { code: 'holderMismatch', ...words('another') } } as const;
const found = { state: 'found', holder: HOLDER, certificate: {} } as Partial<Retrieved>;
const handedIn = [{ code: 'M1', digest: 'ab'.repeat(32) }];

test('what is handed in stands in where no source has it or can be asked, and not where one says no, of one holder or of all', async () => {
  for (const answers of [[away], [noData], [away, noData], [found, noData]])
    assert.deepEqual(await gathered(item(true), answers, handedIn), ['supplied', [], 0]);
  for (const answers of [
    [cancelled],
    [somebodyElses],
    [found, cancelled],
    [away, cancelled],
    [cancelled, somebodyElses],
  ]) {
    const [state, codes] = await gathered(item(true), answers, handedIn);
    assert.deepEqual([state, [...new Set(codes as string[])]], ['missing', ['certificateInvalid']]);
  }
  assert.deepEqual(await gathered(item(true), [found], handedIn), ['fetched', [], 0]);
  // Not even where it need not be there: who hands it in is told.
  assert.deepEqual(await gathered(item(false), [cancelled], handedIn), ['missing', ['certificateInvalid'], 0]);
  assert.deepEqual(await gathered(item(false), [cancelled]), ['notNeeded', [], 0]);
  assert.deepEqual(await gathered(item(true), [cancelled, noData]), [
    'missing',
    ['certificateInvalid', 'certificateNone'],
    0,
  ]);
});

test('an entry without content hands nothing in', async () => {
  for (const entry of [{ code: 'M1' }, { code: 'M1', name: '身份证', fileName: 'a.pdf', source: 'upload' }])
    assert.deepEqual(await gathered(item(true), [noData], [entry]), ['missing', ['certificateNone'], 0]);
});

test('an item may say that what is handed in stands in for an invalid certificate as well', async () => {
  const [material] = item(true).materials;
  const of = {
    ...item(true),
    materials: [{ ...material, certificate: { ...material?.certificate, uploadMayReplace: 'invalid' } }],
  } as unknown as Item;
  assert.deepEqual(await gathered(of, [cancelled], handedIn), ['supplied', [], 0]);
  assert.deepEqual(await gathered(of, [cancelled]), ['missing', ['certificateInvalid'], 0]);
});
