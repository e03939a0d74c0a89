import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { maskIdNo, maskName } from '../../contracts/mask.ts';
import { maskValues } from './mask.ts';

describe('masking', () => {
  test('keeps the surname only, one star whatever the length', () => {
    assert.deepEqual(['张样例', '欧阳样例', '𠮷样', '张', ''].map(maskName), ['张*', '欧阳*', '𠮷*', '张*', '*']);
  });

  test('keeps six and four of an identity number, little of a shorter one', () => {
    assert.equal(maskIdNo('331124199001010011'), '331124********0011');
    assert.equal(maskIdNo('E12345678'), '****78');
  });

  test('of a body covers people wherever they stand, and leaves codes and amounts', () => {
    assert.deepEqual(
      maskValues({
        contractNo: 'SYFC2026110001',
        caseNo: '331124261123000001',
        price: '1250000.00',
        buyers: [{ name: '张样例', idType: '111', idNo: '331124199001010011', mobile: '13800005678', share: '50.00' }],
        houseAddress: '松阳县西屏街道样例路1号',
        address: { region: '331124001002', detail: '样例路1号' },
        bankAccount: { holder: '张样例', bankName: '松阳农商银行', accountNo: '6200000000001234' },
        remark: '电话13800005678，证件33112419900101001X。',
        names: ['x'],
        count: 3,
        none: null,
      }),
      {
        contractNo: 'SYFC2026110001',
        caseNo: '331124261123000001',
        price: '1250000.00',
        buyers: [{ name: '张*', idType: '111', idNo: '331124********0011', mobile: '138****5678', share: '50.00' }],
        houseAddress: '松阳县西屏街道****',
        address: { region: '331124001002', detail: '****' },
        bankAccount: { holder: '张*', bankName: '松阳农商银行', accountNo: '************1234' },
        remark: '电话138****5678，证件331124********001X。',
        names: ['x'],
        count: 3,
        none: null,
      },
    );
  });
});
