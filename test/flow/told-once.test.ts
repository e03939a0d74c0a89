import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { JsonObject } from '../../contracts/ports/envelope.ts';
import { type CaseSeen, Follower, type ProblemSeen } from '../support/follow.ts';
import { birth, flexibleEmployment, houseTransfer } from '../support/submissions.ts';
import { startWorld, type World } from '../support/world.ts';

interface Precheck {
  readonly acceptable: boolean;
  readonly problems: NonNullable<ProblemSeen['problems']>;
}

describe('told once means once', () => {
  let world: World;
  let hall: Follower;
  before(async () => {
    world = await startWorld();
    hall = new Follower(world);
  });
  after(() => world.stop());

  const precheck = async (body: JsonObject): Promise<Precheck['problems']> =>
    (await world.window.post<Precheck>('/v1/cases/precheck', body)).body.problems;
  const submit = (body: JsonObject) => world.window.post<CaseSeen & ProblemSeen>('/v1/cases', body);
  /** Precheck and submission tell the same; those of certificates are left out: they are a source's answer. */
  async function told(body: JsonObject): Promise<Precheck['problems']> {
    const before = await precheck(body);
    const { status, body: answer } = await submit(body);
    assert.equal(status, before.length === 0 ? 202 : 422, JSON.stringify(answer));
    assert.deepEqual(
      (answer.problems ?? []).map(({ pointer, code }) => `${pointer} ${code}`),
      before.map(({ pointer, code }) => `${pointer} ${code}`),
    );
    return before.filter(({ code }) => !code.startsWith('certificate'));
  }
  const short = (problems: Precheck['problems']) => problems.map(({ pointer, code }) => `${pointer} ${code}`);

  test('a name of 26 characters is told before acceptance, and not parked as fieldTooLong', async () => {
    const name = '张样例'.repeat(9).slice(0, 26);
    const body = flexibleEmployment({ name });
    const problems = await told(body);
    assert.deepEqual(short(problems), [
      '/form/applicant/name tooLongForDepartment',
      '/form/bankAccount/holder tooLongForDepartment',
    ]);
    assert.match(problems[0]?.zh ?? '', /人力资源和社会保障局.*50 字节（GBK，约 25 个汉字）.*52 字节/);
    assert.match(problems[0]?.en ?? '', /Social security bureau.*50 bytes.*GBK, about 25 Han characters.*52/);
    assert.doesNotMatch(JSON.stringify(problems), /张样例/);
  });

  test('a name of 25 characters is taken, and arrives whole', async () => {
    const name = '张样例'.repeat(9).slice(0, 25);
    const caseNo = await hall.submit(flexibleEmployment({ name }));
    await hall.ends(caseNo);
    const filed = world.book('social-security').filter(({ key }) => key.startsWith(caseNo));
    assert.match(JSON.stringify(filed), new RegExp(name));
  });

  test('another dot between the parts of a name is the middle dot, and is not parked as unencodable', async () => {
    for (const dot of ['•', '・', '‧', '･', '∙', '⋅', '．']) {
      const name = `阿依古丽${dot}买买提`;
      const caseNo = await hall.submit(flexibleEmployment({ name }));
      await hall.ends(caseNo);
      const filed = world.book('social-security').filter(({ key }) => key.startsWith(caseNo));
      assert.match(JSON.stringify(filed), /阿依古丽·买买提/, dot);
      const { body } = await world.window.get<{ form: { applicant: { name: string } } }>(`/v1/cases/${caseNo}`);
      assert.doesNotMatch(JSON.stringify(body), new RegExp(name), 'it is kept in the one way of writing');
    }
  });

  test('a rare character is told where a department of the item cannot hold it, by place and code point', async () => {
    const problems = await told(flexibleEmployment({ name: '王㙓𠮷' }));
    assert.deepEqual(short(problems), [
      '/form/applicant/name charactersNotHeld',
      '/form/bankAccount/holder charactersNotHeld',
    ]);
    assert.match(problems[0]?.zh ?? '', /第 2 个字符 U\+3653、第 3 个字符 U\+20BB7/);
    assert.doesNotMatch(JSON.stringify(problems), /[王㙓𠮷]/u);
  });

  test('a rare character is taken where every department holds it', async () => {
    assert.deepEqual(await precheck(houseTransfer({ name: '王㙓', otherName: '陈𠮷' })), []);
  });

  test('only the departments of steps that apply are asked: without the pension its record is no limit', async () => {
    const name = '张样例'.repeat(9).slice(0, 26);
    const form = { insuranceTypes: ['310'] };
    assert.deepEqual(short(await told(flexibleEmployment({ name, form }))), []);
    const children = birth({ name, form: { followUps: ['医保'] } });
    assert.deepEqual(short(await told(children)), []);
  });

  test('of two parents only the one whose name is sent is limited', async () => {
    const long = '张样例'.repeat(9).slice(0, 26);
    assert.deepEqual(short(await told(birth({ name: long, otherName: '林样例' }))), [
      '/form/father/name tooLongForDepartment',
    ]);
    assert.deepEqual(short(await told(birth({ otherName: long }))), []);
    assert.deepEqual(short(await told(birth({ otherName: long, form: { settleWith: 'mother' } }))), [
      '/form/mother/name tooLongForDepartment',
    ]);
    assert.deepEqual(short(await told(birth({ childName: long }))), ['/form/child/name tooLongForDepartment']);
  });

  test("what breaks a department's contract is told by the form's field: a bank of 61 characters, a document number of 19", async () => {
    const bankAccount = { holder: '张样例', bankName: 'B'.repeat(61), accountNo: '6200000000000000001' };
    assert.deepEqual(short(await told(flexibleEmployment({ form: { bankAccount } }))), [
      '/form/bankAccount/bankName tooLongForDepartment',
      '/form/bankAccount/bankName tooLongForDepartment',
    ]);
    const applicant = { name: '张样例', idType: '414', idNo: 'E'.repeat(19), mobile: '13900000005' };
    assert.deepEqual(short(await told(flexibleEmployment({ form: { applicant } }))), [
      '/form/applicant/idNo tooLongForDepartment',
    ]);
  });

  test('form, rules, materials and departments are told together', async () => {
    const body = flexibleEmployment({ name: '王㙓' });
    const form = body.form as JsonObject;
    const { status, body: answer } = await submit({
      ...body,
      applicant: { ...(body.applicant as JsonObject), mobile: '1390000' },
      form: { ...form, base: '1.00', hukouArea: '33112' },
    });
    assert.equal(status, 422);
    assert.deepEqual(short(answer.problems ?? []), [
      '/applicant/mobile format.mobile',
      '/form/hukouArea pattern',
      '/form/base baseOutOfRange',
      '/form/applicant/name charactersNotHeld',
      '/form/bankAccount/holder charactersNotHeld',
    ]);
  });

  for (const [name, character] of [
    ['U+200B', '\u200b'],
    ['U+FEFF', '\ufeff'],
    ['U+202E', '\u202e'],
    ['U+2028', '\u2028'],
    ['U+00A0', '\u00a0'],
    ['U+3000', '\u3000'],
    ['U+FFFD', '\ufffd'],
    ['U+0007', '\u0007'],
    ['U+E5E5', '\ue5e5'],
    ['U+FE0F', '\ufe0f'],
  ] as const)
    test(`${name} in names and numbers is told with its place`, async () => {
      const body = birth({ name: `陈${character}样例` });
      const form = body.form as { father: JsonObject; child: JsonObject };
      const problems = await told({
        ...body,
        clerk: { officerId: `SY${character}-W07` },
        form: {
          ...form,
          father: { ...form.father, mobile: `1390000${character}0003` },
          child: { ...form.child, birthCertNo: `V33000000${character}1` },
        },
      });
      const places = ['/clerk/officerId', '/applicant/name', '/form/child/birthCertNo', '/form/father/name'];
      assert.deepEqual(
        short(problems).sort(),
        [...places, '/form/father/mobile'].map((place) => `${place} characterNotAllowed`).sort(),
      );
      assert.ok(problems.every(({ zh, en }) => zh.includes(name) && en.includes(name)));
      assert.match(problems.find(({ pointer }) => pointer === '/applicant/name')?.zh ?? '', /第 2 个字符/);
    });
});
