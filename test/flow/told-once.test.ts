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
    const names = ['•', '・', '‧', '･', '∙', '⋅', '．'].map((dot) => `阿依古丽${dot}买买提`);
    const cases = await Promise.all(names.map((name) => hall.submit(flexibleEmployment({ name }))));
    for (const [nth, caseNo] of cases.entries()) {
      const name = names[nth] ?? '';
      await hall.reaches(caseNo, '01', 'DONE');
      const filed = world.book('social-security').filter(({ key }) => key.startsWith(caseNo));
      assert.match(JSON.stringify(filed), /阿依古丽·买买提/, name);
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

  test('two ways of writing one name under one number are two submissions; the same body again is the same case', async () => {
    const body = flexibleEmployment({ name: '阿依古丽•买买提' });
    const first = await submit(body);
    assert.equal(first.status, 202);
    const again = await submit(structuredClone(body));
    assert.deepEqual([again.status, again.body.caseNo, again.body.seenBefore], [200, first.body.caseNo, true]);
    const applicationNo = String(body.applicationNo);
    const other = await submit(flexibleEmployment({ name: '阿依古丽·买买提', applicationNo }));
    assert.deepEqual([other.status, other.body.code], [409, 'applicationConflict']);
  });

  test('numbers are kept half-width and in capitals, an address as it was written', async () => {
    const buyer = {
      name: '韩样例',
      idType: '111',
      idNo: '３３１１２４１９６８０９０９００９ｘ',
      mobile: '１３９００００００４４',
    };
    const buyers = [{ ...buyer, share: '100.00', maritalStatus: '未婚' }];
    const form = { buyers, houseAddress: '松阳县西屏街道样例路１号Ａ座', price: '１２５００００．００' };
    const { status, body } = await submit(houseTransfer({ form }));
    assert.equal(status, 202, JSON.stringify(body));
    await hall.reaches(body.caseNo, '02', ['WAITING_RECEIPT', 'DONE', 'ACKED']);
    const filed = JSON.stringify(world.book('tax').filter(({ key }) => key.startsWith(body.caseNo)));
    for (const one of ['33112419680909009X', '松阳县西屏街道样例路１号Ａ座', '1250000.00'])
      assert.ok(filed.includes(one), one);
  });

  test('at a correction too: form, rules and materials are told together', async () => {
    await hall.lever('tax', 'decide', 'correct');
    const { body } = await submit(houseTransfer());
    await hall.reaches(body.caseNo, '02', 'CORRECTING');
    await hall.lever('tax', 'decide', 'paid');
    const sent = houseTransfer().form as JsonObject;
    const seller = (sent.sellers as JsonObject[])[0];
    const worse = { ...sent, price: '0.00', sellers: [{ ...seller, name: '周\u200b样例', share: '50.00' }] };
    const answer = await world.window.post<ProblemSeen>(`/v1/cases/${body.caseNo}/corrections`, {
      form: worse,
      materials: [{ code: '5-0 4' }],
    });
    assert.equal(answer.status, 422);
    assert.deepEqual(short(answer.body.problems ?? []).sort(), [
      '/form/price pricePositive',
      '/form/sellers sharesSum',
      '/form/sellers/0/name characterNotAllowed',
      '/materials/0 materialEmpty',
      '/materials/0/code pattern',
    ]);
  });

  test('a question: dots and width are read in the same way, and what the department cannot hold is told by its field', async () => {
    const ask = (body: JsonObject) =>
      world.window.post<ProblemSeen>('/v1/departments/social-security/queries/account', body);
    const idNo = '331124199001010011';
    const long = await ask({ name: '张样例'.repeat(9), idNo });
    assert.deepEqual([long.status, short(long.body.problems ?? [])], [422, ['/name tooLongForDepartment']]);
    const rare = await ask({ name: '王㙓', idNo });
    assert.deepEqual([rare.status, short(rare.body.problems ?? [])], [422, ['/name charactersNotHeld']]);
    const hidden = await ask({ name: '张样例\u200b', idNo: '\ufeff331124199001010011' });
    assert.deepEqual(
      [hidden.status, short(hidden.body.problems ?? [])],
      [422, ['/name characterNotAllowed', '/idNo characterNotAllowed']],
    );
    // Asked with the middle dot, which GBK has, and not refused for want of it.
    const dotted = await ask({ name: '阿依古丽•买买提', idNo: '３３１１２４１９９００１０１００１１' });
    assert.notEqual(dotted.body.problems?.[0]?.code, 'charactersNotHeld');
    assert.notEqual(dotted.body.code, 'replyBroken');
  });

  test('a retrieval: the holder is read in the same way, and what nobody sees is told', async () => {
    const retrieve = (holder: JsonObject) =>
      world.window.post<ProblemSeen & { results: { holder: JsonObject }[] }>('/v1/certificates/retrievals', {
        holder,
        types: ['11100000000013127D001'],
        purpose: {
          applicationNo: 'YC-TOLD-1',
          itemCode: '11331124QA0000057N433071500400501',
          clerk: { officerId: 'CK-07' },
          basis: '不动产登记暂行条例第十六条',
          use: 'present',
        },
      });
    const idNo = '３３１１２４１９９００１０１００１１';
    const { status, body } = await retrieve({ name: '阿依古丽•买买提', idType: '１１１', idNo });
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual(body.results[0]?.holder, { name: '阿依古丽·买买提', idType: '111', idNo: '331124199001010011' });
    const hidden = await retrieve({ name: '张\u202e样例', idType: '111', idNo: '33112419900101\u00a00011' });
    assert.deepEqual(
      [hidden.status, short(hidden.body.problems ?? [])],
      [422, ['/holder/name characterNotAllowed', '/holder/idNo characterNotAllowed']],
    );
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
